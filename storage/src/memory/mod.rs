//! The traits on a map: the plainest thing that keeps their promises, but for lasting.
//!
//! For tests, and to be the model that the others are compared with. It answers at once, on the
//! caller's thread.

mod messages;
mod rosters;
mod server;

use crate::StoreError;
use crate::traits::{Accounts, Beginning, Expired, Private, Put, Retention, RosterItem, Stats, Store, Then};
use bytes::Bytes;
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::Credentials;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::OnceLock;

/// A store that forgets everything when it is dropped.
#[derive(Default)]
pub struct Memory {
    world: Mutex<World>,
    history: Retention,
    expired: OnceLock<Expired>,
}

#[derive(Default)]
struct World {
    accounts: BTreeMap<BareJid, Account>,
    /// New accounts count from here: see the traits' `delete_account`.
    id_floor: u64,
    version_floor: u64,
    server: server::Server,
    closed: bool,
    stats: Stats,
}

struct Account {
    keys: Credentials,
    last_id: u64,
    removed_to: u64,
    last_seen: Option<i64>,
    log: BTreeMap<u64, messages::Logged>,
    once: BTreeMap<CompactString, (u64, i64)>,
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

    /// One whose delivered messages stay that long.
    pub fn keeping(history: Retention) -> Memory {
        Memory { history, ..Memory::default() }
    }

    fn read<T>(&self, then: Then<T>, act: impl FnOnce(&World) -> Result<T, StoreError>) {
        let answer = {
            let mut world = self.world.lock();
            let answer = if world.closed { Err(StoreError::Closed) } else { act(&world) };
            world.stats.reads += u64::from(answer.is_ok());
            world.stats.failed += u64::from(answer.is_err());
            answer
        };
        then(answer);
    }

    fn write<T>(&self, then: Then<T>, act: impl FnOnce(&mut World) -> Result<T, StoreError>) {
        let answer = {
            let mut world = self.world.lock();
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
                    removed_to: 0,
                    last_seen: None,
                    log: BTreeMap::new(),
                    once: BTreeMap::new(),
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
            for members in w.server.groups.values_mut() {
                members.remove(user);
            }
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

    fn beginning(&self, user: &BareJid, then: Then<Option<Beginning>>) {
        self.read(then, |w| {
            let beginning = |a: &Account| Beginning { roster: a.whole_roster(), pending: a.pending(0).count() as u64 };
            Ok(w.accounts.get(user).map(beginning))
        });
    }

    fn close(&self) -> Result<(), StoreError> {
        self.world.lock().closed = true;
        Ok(())
    }

    fn on_expired(&self, tell: Expired) {
        let _ = self.expired.set(tell);
    }

    fn stats(&self) -> Stats {
        self.world.lock().stats
    }
}
