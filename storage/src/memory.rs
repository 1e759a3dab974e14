//! The traits on a map: the plainest thing that keeps their promises, but for lasting.
//!
//! For tests, and to be the model that the others are compared with. It answers at once, on the
//! caller's thread.

use crate::StoreError;
use crate::clock::now_ms;
use crate::error::NOT_SET_ASIDE;
use crate::traits::{
    Accounts, Appended, Kept, Messages, NewMessage, Private, Put, ROSTER_REMOVALS_MAX, Roster, RosterChange,
    RosterItem, Rosters, Stats, Store, Then,
};
use bytes::Bytes;
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::Credentials;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;

/// A store that forgets everything when it is dropped.
#[derive(Default)]
pub struct Memory(Mutex<World>);

#[derive(Default)]
struct World {
    accounts: BTreeMap<BareJid, Account>,
    /// New accounts count from here: see the traits' `delete_account`.
    id_floor: u64,
    version_floor: u64,
    closed: bool,
    stats: Stats,
}

struct Account {
    keys: Credentials,
    last_id: u64,
    inbox: BTreeMap<u64, NewMessage>,
    version: u64,
    versions_from: u64,
    roster: BTreeMap<BareJid, (u64, RosterItem)>,
    removed: BTreeMap<BareJid, u64>,
    private: BTreeMap<(String, String), Bytes>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn read<T>(&self, then: Then<T>, act: impl FnOnce(&World) -> Result<T, StoreError>) {
        let answer = {
            let mut world = self.0.lock();
            let answer = if world.closed { Err(StoreError::Closed) } else { act(&world) };
            world.stats.reads += u64::from(answer.is_ok());
            world.stats.failed += u64::from(answer.is_err());
            answer
        };
        then(answer);
    }

    fn write<T>(&self, then: Then<T>, act: impl FnOnce(&mut World) -> Result<T, StoreError>) {
        let answer = {
            let mut world = self.0.lock();
            let answer = if world.closed { Err(StoreError::Closed) } else { act(&mut world) };
            world.stats.writes += u64::from(answer.is_ok());
            world.stats.commits += u64::from(answer.is_ok());
            world.stats.failed += u64::from(answer.is_err());
            answer
        };
        then(answer);
    }
}

impl World {
    fn of(&mut self, user: &BareJid) -> Result<&mut Account, StoreError> {
        self.accounts.get_mut(user).ok_or(StoreError::NoAccount)
    }

    fn put(&mut self, user: &BareJid, keys: Credentials, how: Put) -> bool {
        match self.accounts.get_mut(user) {
            Some(account) if how != Put::Create => account.keys = keys,
            None if how != Put::Replace => {
                let account = Account {
                    keys,
                    last_id: self.id_floor,
                    inbox: BTreeMap::new(),
                    version: self.version_floor,
                    versions_from: self.version_floor,
                    roster: BTreeMap::new(),
                    removed: BTreeMap::new(),
                    private: BTreeMap::new(),
                };
                self.accounts.insert(user.clone(), account);
            }
            _ => return false,
        }
        true
    }
}

impl Account {
    fn pending(&self, after: u64) -> impl Iterator<Item = (&u64, &NewMessage)> {
        let now = now_ms();
        let later = self.inbox.range((Bound::Excluded(after), Bound::Unbounded));
        later.filter(move |(_, m)| m.expires_ms.is_none_or(|at| at > now))
    }

    fn remember_removal(&mut self, contact: BareJid) {
        self.removed.insert(contact, self.version);
        if self.removed.len() > ROSTER_REMOVALS_MAX as usize {
            let oldest = self.removed.values().min().copied().unwrap_or_default();
            self.removed.retain(|_, version| *version > oldest);
            self.versions_from = self.versions_from.max(oldest);
        }
    }
}

impl Accounts for Memory {
    fn account(&self, user: &BareJid, then: Then<Option<Credentials>>) {
        self.read(then, |w| Ok(w.accounts.get(user).map(|a| a.keys.clone())));
    }

    fn put_account(&self, user: &BareJid, keys: Credentials, how: Put, then: Then<bool>) {
        self.write(then, |w| Ok(w.put(user, keys, how)));
    }

    fn import(&self, accounts: Vec<(BareJid, Credentials)>, then: Then<u64>) {
        self.write(then, |w| {
            let before = w.accounts.len();
            for (user, keys) in accounts {
                w.put(&user, keys, Put::Upsert);
            }
            Ok((w.accounts.len() - before) as u64)
        });
    }

    fn delete_account(&self, user: &BareJid, then: Then<bool>) {
        self.write(then, |w| {
            let Some(gone) = w.accounts.remove(user) else { return Ok(false) };
            w.id_floor = w.id_floor.max(gone.last_id);
            w.version_floor = w.version_floor.max(gone.version + 1);
            Ok(true)
        });
    }

    fn accounts(&self, after: Option<BareJid>, limit: u32, then: Then<Vec<BareJid>>) {
        self.read(then, |w| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let page = w.accounts.range((from, Bound::Unbounded)).take(limit as usize);
            Ok(page.map(|(user, _)| user.clone()).collect())
        });
    }

    fn account_count(&self, then: Then<u64>) {
        self.read(then, |w| Ok(w.accounts.len() as u64));
    }
}

impl Rosters for Memory {
    fn roster(&self, user: &BareJid, then: Then<Roster>) {
        self.read(then, |w| {
            let Some(account) = w.accounts.get(user) else { return Ok(Roster::default()) };
            let items = account.roster.values().map(|(_, item)| item.clone()).collect();
            Ok(Roster { version: account.version, items })
        });
    }

    fn put_item(&self, user: &BareJid, item: RosterItem, then: Then<u64>) {
        self.write(then, |w| {
            if item.groups.iter().any(|g| g.contains('\u{1f}')) {
                return Err(StoreError::Invalid("a group's name holds U+001F"));
            }
            let account = w.of(user)?;
            account.version += 1;
            let (jid, shown) = (item.jid.clone(), item.in_roster);
            let old = account.roster.insert(jid.clone(), (account.version, item));
            if shown {
                account.removed.remove(&jid);
            } else if old.is_some_and(|(_, old)| old.in_roster) {
                account.remember_removal(jid);
            }
            Ok(account.version)
        });
    }

    fn remove_item(&self, user: &BareJid, contact: &BareJid, then: Then<u64>) {
        self.write(then, |w| {
            let account = w.of(user)?;
            if let Some((_, old)) = account.roster.remove(contact) {
                account.version += 1;
                if old.in_roster {
                    account.remember_removal(contact.clone());
                }
            }
            Ok(account.version)
        });
    }

    fn roster_since(&self, user: &BareJid, version: u64, then: Then<Option<Vec<RosterChange>>>) {
        self.read(then, |w| {
            let Some(account) = w.accounts.get(user) else { return Ok(None) };
            if version < account.versions_from || version > account.version {
                return Ok(None);
            }
            let shown = account.roster.values().filter(|(_, item)| item.in_roster);
            let set = shown.map(|(at, item)| (*at, &item.jid, Some(item)));
            let gone = account.removed.iter().map(|(jid, at)| (*at, jid, None));
            let mut changes: Vec<RosterChange> = set
                .chain(gone)
                .filter(|(at, ..)| *at > version)
                .map(|(at, jid, item)| RosterChange { version: at, jid: jid.clone(), item: item.cloned() })
                .collect();
            changes.sort_by_key(|change| change.version);
            Ok(Some(changes))
        });
    }
}

impl Messages for Memory {
    fn append(&self, user: &BareJid, message: NewMessage, then: Then<Appended>) {
        self.write(then, |w| {
            let account = w.of(user)?;
            account.last_id += 1;
            account.inbox.insert(account.last_id, message);
            Ok(Appended { id: account.last_id })
        });
    }

    fn reserve(&self, user: &BareJid, count: u32, then: Then<u64>) {
        self.write(then, |w| {
            let account = w.of(user)?;
            let first = account.last_id + 1;
            account.last_id += u64::from(count);
            Ok(first)
        });
    }

    fn append_at(&self, user: &BareJid, id: u64, message: NewMessage, then: Then<()>) {
        self.write(then, |w| {
            let account = w.of(user)?;
            if id == 0 || id > account.last_id || account.inbox.contains_key(&id) {
                return Err(NOT_SET_ASIDE);
            }
            account.inbox.insert(id, message);
            Ok(())
        });
    }

    fn pending(&self, user: &BareJid, after: u64, limit: u32, bytes_max: usize, then: Then<Vec<Kept>>) {
        self.read(then, |w| {
            let Some(account) = w.accounts.get(user) else { return Ok(Vec::new()) };
            let mut left = bytes_max.max(1); // one is always given
            let has_room = |(_, m): &(&u64, &NewMessage)| {
                let had_room = left > 0;
                left = left.saturating_sub(m.stanza.len());
                had_room
            };
            let kept = account.pending(after).take(limit as usize).take_while(has_room);
            Ok(kept.map(|(id, m)| Kept { id: *id, at_ms: m.at_ms, stanza: m.stanza.clone() }).collect())
        });
    }

    fn delivered(&self, user: &BareJid, ids: Vec<u64>, then: Then<()>) {
        self.write(then, |w| {
            if let Ok(account) = w.of(user) {
                account.inbox.retain(|id, _| !ids.contains(id));
            }
            Ok(())
        });
    }

    fn pending_count(&self, user: &BareJid, then: Then<u64>) {
        self.read(then, |w| Ok(w.accounts.get(user).map_or(0, |a| a.pending(0).count() as u64)));
    }
}

impl Private for Memory {
    fn private(&self, user: &BareJid, space: &str, key: &str, then: Then<Option<Bytes>>) {
        self.read(then, |w| {
            let at = (space.to_owned(), key.to_owned());
            Ok(w.accounts.get(user).and_then(|a| a.private.get(&at).cloned()))
        });
    }

    fn put_private(&self, user: &BareJid, space: &str, key: &str, value: Option<Bytes>, then: Then<()>) {
        self.write(then, |w| {
            let at = (space.to_owned(), key.to_owned());
            match (w.of(user), value) {
                (Ok(account), Some(value)) => drop(account.private.insert(at, value)),
                (Ok(account), None) => drop(account.private.remove(&at)),
                (Err(e), Some(_)) => return Err(e),
                (Err(_), None) => {}
            }
            Ok(())
        });
    }
}

impl Store for Memory {
    fn epoch(&self) -> &str {
        "memory"
    }

    fn close(&self) -> Result<(), StoreError> {
        self.0.lock().closed = true;
        Ok(())
    }

    fn stats(&self) -> Stats {
        self.0.lock().stats
    }
}
