//! A store under test, and short words to ask it.

use bytes::Bytes;
use herald_storage::{
    Appended, Beginning, Extra, Kept, NewMessage, Page, Put, Retention, Roster, RosterChange, RosterItem, Slice, Store,
    StoreError, wait,
};
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::{Credentials, ScramKeys};
use std::path::Path;
use std::sync::Arc;

pub type Outcome<T> = Result<T, StoreError>;

/// Where stores are opened, and how. A new directory, removed at the end.
pub struct Subject {
    home: tempfile::TempDir,
    open: fn(&Path) -> Arc<dyn Store>,
    /// How long they keep what is delivered.
    pub history: Retention,
}

impl Subject {
    pub fn new(open: fn(&Path) -> Arc<dyn Store>, history: Retention) -> Subject {
        Subject { home: tempfile::tempdir().unwrap(), open, history }
    }

    pub fn open(&self) -> Asked {
        Asked((self.open)(self.home.path()))
    }

    /// With an account for each of `users`.
    pub fn open_with(&self, users: &[&str]) -> Asked {
        let store = self.open();
        for user in users {
            assert_eq!(store.put_account(user, 1, Put::Create), Ok(true));
        }
        store
    }
}

/// A store that is asked and waited for.
#[derive(Clone)]
pub struct Asked(pub Arc<dyn Store>);

/// In the year 2096.
pub const FUTURE_MS: i64 = 4_000_000_000_000;

/// `name@example.org`
pub fn jid(name: &str) -> BareJid {
    BareJid::new(Some(name), "example.org").unwrap()
}

pub fn names(users: Vec<BareJid>) -> String {
    let names: Vec<&str> = users.iter().map(|user| user.local().unwrap()).collect();
    names.join(" ")
}

/// Keys that `keys_mark` tells apart.
pub fn keys(mark: u8) -> Credentials {
    let keys = |more: u8, size: usize| ScramKeys {
        salt: vec![mark; 16].into(),
        iterations: 4096 + u32::from(mark),
        stored_key: vec![mark.wrapping_add(more); size].into(),
        server_key: vec![mark.wrapping_add(more + 1); size].into(),
    };
    Credentials { sha1: keys(1, 20), sha256: keys(3, 32) }
}

/// Every field of the keys, as one comparable value.
pub fn fields(keys: &Credentials) -> impl PartialEq + std::fmt::Debug + use<> {
    [&keys.sha1, &keys.sha256].map(|k| (k.salt.clone(), k.iterations, k.stored_key.clone(), k.server_key.clone()))
}

/// From the future: too young for any history to give it up.
pub fn message(text: &str) -> NewMessage {
    NewMessage { at_ms: FUTURE_MS, expires_ms: None, stanza: Bytes::copy_from_slice(text.as_bytes()), extra: None }
}

/// `1:text 2:text`
pub fn told(kept: Outcome<Vec<Kept>>) -> String {
    let each = |k: &Kept| format!("{}:{}", k.id, String::from_utf8_lossy(&k.stanza));
    kept.unwrap().iter().map(each).collect::<Vec<_>>().join(" ")
}

impl Asked {
    /// The mark of the user's keys.
    pub fn account(&self, user: &str) -> Outcome<Option<u8>> {
        let found = wait(|then| self.0.account(&jid(user), then))?;
        Ok(found.map(|keys| keys.sha1.salt[0]))
    }
    pub fn put_account(&self, user: &str, mark: u8, how: Put) -> Outcome<bool> {
        wait(|then| self.0.put_account(&jid(user), keys(mark), how, then))
    }
    pub fn import(&self, users: &[&str], mark: u8) -> Outcome<u64> {
        let users = users.iter().map(|user| (jid(user), keys(mark))).collect();
        wait(|then| self.0.import(users, then))
    }
    pub fn delete_account(&self, user: &str) -> Outcome<bool> {
        wait(|then| self.0.delete_account(&jid(user), then))
    }
    pub fn accounts(&self, after: Option<&str>, limit: u32) -> Outcome<Vec<BareJid>> {
        wait(|then| self.0.accounts(after.map(jid), limit, then))
    }
    pub fn account_count(&self) -> Outcome<u64> {
        wait(|then| self.0.account_count(then))
    }
    pub fn beginning(&self, user: &str) -> Outcome<Option<Beginning>> {
        wait(|then| self.0.beginning(&jid(user), then))
    }
    pub fn roster(&self, user: &str) -> Outcome<Roster> {
        wait(|then| self.0.roster(&jid(user), then))
    }
    pub fn put_item(&self, user: &str, item: &RosterItem) -> Outcome<u64> {
        wait(|then| self.0.put_item(&jid(user), item.clone(), then))
    }
    pub fn remove_item(&self, user: &str, contact: &str) -> Outcome<u64> {
        wait(|then| self.0.remove_item(&jid(user), &jid(contact), then))
    }
    pub fn roster_since(&self, user: &str, version: u64) -> Outcome<Option<Vec<RosterChange>>> {
        wait(|then| self.0.roster_since(&jid(user), version, then))
    }
    pub fn append(&self, user: &str, text: &str) -> Outcome<u64> {
        self.append_message(user, message(text))
    }
    pub fn append_message(&self, user: &str, message: NewMessage) -> Outcome<u64> {
        wait(|then| self.0.append(&jid(user), message, then)).map(|appended| appended.id)
    }
    pub fn reserve(&self, user: &str, count: u32) -> Outcome<u64> {
        wait(|then| self.0.reserve(&jid(user), count, then))
    }
    pub fn append_at(&self, user: &str, id: u64, text: &str) -> Outcome<()> {
        wait(|then| self.0.append_at(&jid(user), id, message(text), then))
    }
    pub fn pending(&self, user: &str, after: u64, limit: u32) -> Outcome<Vec<Kept>> {
        self.page(user, after, limit, usize::MAX)
    }
    pub fn page(&self, user: &str, after: u64, limit: u32, bytes_max: usize) -> Outcome<Vec<Kept>> {
        wait(|then| self.0.pending(&jid(user), after, limit, bytes_max, then))
    }
    pub fn delivered(&self, user: &str, ids: &[u64]) -> Outcome<()> {
        wait(|then| self.0.delivered(&jid(user), ids.to_vec(), then))
    }
    pub fn delivered_to(&self, user: &str, id: u64) -> Outcome<u64> {
        wait(|then| self.0.delivered_to(&jid(user), id, then))
    }
    pub fn history(&self, user: &str, slice: Slice) -> Outcome<Page> {
        wait(|then| self.0.history(&jid(user), slice, then))
    }
    /// All of it: `1:text 2:text`
    pub fn log(&self, user: &str) -> String {
        told(self.history(user, Slice::after(0, u32::MAX, usize::MAX)).map(|page| page.items))
    }
    pub fn append_with(&self, user: &str, text: &str, extra: Extra) -> Outcome<Appended> {
        let message = NewMessage { extra: Some(Box::new(extra)), ..message(text) };
        wait(|then| self.0.append(&jid(user), message, then))
    }
    pub fn pending_count(&self, user: &str) -> Outcome<u64> {
        wait(|then| self.0.pending_count(&jid(user), then))
    }
    pub fn private(&self, user: &str, space: &str, key: &str) -> Outcome<Option<Bytes>> {
        wait(|then| self.0.private(&jid(user), space, key, then))
    }
    pub fn put_private(&self, user: &str, space: &str, key: &str, value: Option<&[u8]>) -> Outcome<()> {
        let value = value.map(Bytes::copy_from_slice);
        wait(|then| self.0.put_private(&jid(user), space, key, value, then))
    }
}
