//! What was acknowledged, and whether the store still knows it.

use crate::child::{USERS, number};
use crate::{keys, user};
use herald_storage::{NewMessage, Put, Store, wait};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Ledger {
    /// The text of each acknowledged message, by user and id.
    kept: BTreeMap<(usize, u64), String>,
    /// Those whose delivery was asked for: from then on they may be gone.
    may_be_gone: BTreeSet<(usize, u64)>,
    /// Those whose delivery was acknowledged: they are gone.
    gone: BTreeSet<(usize, u64)>,
    /// The newest id each user was seen to have.
    newest: [u64; USERS],
    step: u64,
}

impl Ledger {
    /// A line of the child. One cut off by its death says nothing.
    pub fn note(&mut self, line: &str) {
        let Some(line) = line.strip_suffix('\n') else { return };
        let words: Vec<&str> = line.split(' ').collect();
        let at = |user: &str, id: &str| (user.parse().unwrap(), id.parse().unwrap());
        match words[..] {
            ["k", user, id, text] => {
                let (user, id) = at(user, id);
                assert!(id > self.newest[user], "user {user}: {id} after {}", self.newest[user]);
                self.newest[user] = id;
                self.kept.insert((user, id), text.into());
            }
            ["?", user, id] => drop(self.may_be_gone.insert(at(user, id))),
            ["d", user, id] => drop(self.gone.insert(at(user, id))),
            ["p", step] => self.step = step.parse().unwrap(),
            _ => panic!("what is {line:?}?"),
        }
    }

    pub fn check(&mut self, store: &dyn Store, when: &str) {
        for n in 0..USERS {
            wait(|then| store.put_account(&user(n), keys(), Put::Upsert, then)).unwrap();
            self.check_user(store, n, when);
        }
        let step = wait(|then| store.private(&user(0), "", "step", then)).unwrap();
        let step = step.map_or(0, |bytes| number(&bytes));
        assert!(step >= self.step, "{when}: step {step} is older than {}", self.step);
    }

    fn check_user(&mut self, store: &dyn Store, n: usize, when: &str) {
        let pending = wait(|then| store.pending(&user(n), 0, u32::MAX, usize::MAX, then)).unwrap();
        let mut there = BTreeMap::new();
        let mut texts = BTreeSet::new();
        for kept in pending {
            let text = String::from_utf8(kept.stanza.to_vec()).unwrap();
            assert!(texts.insert(text.clone()), "{when}: user {n} has {text} twice");
            there.insert(kept.id, text);
        }
        for (at @ (_, id), text) in self.kept.range((n, 0)..(n + 1, 0)) {
            match there.get(id) {
                _ if self.gone.contains(at) => {
                    assert!(!there.contains_key(id), "{when}: {at:?} came back");
                }
                Some(found) => assert_eq!(found, text, "{when}: {at:?} is another"),
                None => assert!(self.may_be_gone.contains(at), "{when}: {at:?} is gone"),
            }
        }
        // What came through unacknowledged counts from now on like the rest.
        self.kept.extend(there.into_iter().map(|(id, text)| ((n, id), text)));

        let probe = NewMessage { at_ms: 0, expires_ms: None, stanza: format!("probe {when}").into(), extra: None };
        let id = wait(|then| store.append(&user(n), probe, then)).unwrap().id;
        let newest = self.kept.range((n, 0)..(n + 1, 0)).next_back().map_or(0, |((_, id), _)| *id);
        assert!(id > newest.max(self.newest[n]), "{when}: user {n} is given {id} again");
        self.newest[n] = id;
        self.kept.insert((n, id), format!("probe {when}"));
    }

    /// A test in which nothing happened proves nothing.
    pub fn must_have_seen_enough(&self) {
        let seen = (self.kept.len(), self.gone.len(), self.step);
        assert!(seen.0 > 1_000 && seen.1 > 100 && seen.2 > 0, "{seen:?}");
        println!("     {} messages kept, {} of them delivered", seen.0, seen.1);
    }
}
