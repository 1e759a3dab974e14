//! A family of actors by key: at most one per key, found or started, restarted from one shared factory.

use crate::actor::Actor;
use crate::addr::Addr;
use crate::cell::{Cell, Kin};
use crate::supervise::{Family, Policy};
use crate::system::System;
use crate::watch::Watcher;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::hash::Hash;
use std::sync::Arc;

/// What a key may be.
pub trait Key: Eq + Hash + Clone + Display + Send + Sync + 'static {}
impl<K: Eq + Hash + Clone + Display + Send + Sync + 'static> Key for K {}

/// Actors by key. Cheap to clone. An actor leaves it when it ends, after its `stopping`.
///
/// The key is kept once, in the map. A cell knows only its key's hash; when it is restarted, or looked at, the map
/// finds the key again by that hash and the cell's address.
pub struct Registry<K: Key, A: Actor> {
    system: System,
    people: Arc<People<K, A>>,
    /// The same, as the cells know it.
    family: Arc<Kin<A>>,
}

struct People<K: Key, A: Actor> {
    map: DashMap<K, Addr<A>>,
    policy: Policy,
    factory: Box<dyn Fn(&K) -> A + Send + Sync>,
}

impl<K: Key, A: Actor> Registry<K, A> {
    /// An empty registry. `factory` makes a state for a key, on a worker: at the first start and at each restart. It
    /// must not block; what takes long is loaded from `started` with a [`wait`](crate::Ctx::wait).
    pub fn new(system: &System, policy: Policy, factory: impl Fn(&K) -> A + Send + Sync + 'static) -> Self {
        let people = Arc::new(People { map: DashMap::new(), policy, factory: Box::new(factory) });
        let kin: Kin<A> = Box::new(people.clone());
        Registry { system: system.clone(), people, family: Arc::new(kin) }
    }

    /// The actor of this key, unless there is none or it is ending.
    pub fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Addr<A>>
    where
        K: Borrow<Q>,
    {
        self.people.map.get(key).map(|addr| addr.clone()).filter(|addr| !addr.is_closed())
    }

    /// The actor of this key, started if there is none. If the last one is still ending, the new one takes mail at
    /// once but starts only when the last has ended: never two at a time.
    pub fn find_or_spawn(&self, key: &K) -> Addr<A> {
        if let Some(addr) = self.find(key) {
            return addr;
        }
        let hash = self.people.map.hash_usize(key) as u64;
        // `_last` outlives the map's lock: dropping the last address of a cell runs code that may want the map.
        let (addr, start, _last) = match self.people.map.entry(key.clone()) {
            Entry::Occupied(entry) if !entry.get().is_closed() => return entry.get().clone(),
            Entry::Occupied(mut entry) => {
                let addr = self.make(hash);
                let last = entry.insert(addr.clone());
                let start = last.cell.watch(Watcher::Successor(addr.cell.clone())).is_err();
                (addr, start, Some(last))
            }
            Entry::Vacant(entry) => {
                let addr = self.make(hash);
                entry.insert(addr.clone());
                (addr, true, None)
            }
        };
        if start {
            self.system.enqueue(addr.cell.clone());
        }
        addr
    }

    /// How many keys have an actor, those ending included.
    pub fn len(&self) -> usize {
        self.people.map.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.people.map.is_empty()
    }

    /// Every key and its actor, copied at once: no lock is held between two of them, so anything may be done with
    /// them. One that comes or goes during the copy may or may not be seen.
    pub fn iter(&self) -> impl Iterator<Item = (K, Addr<A>)> + use<K, A> {
        let all: Vec<_> = self.people.map.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        all.into_iter()
    }

    fn make(&self, hash: u64) -> Addr<A> {
        Addr { cell: Cell::new(self.system.clone(), None, Some(self.family.clone()), hash) }
    }
}

impl<K: Key, A: Actor> Clone for Registry<K, A> {
    fn clone(&self) -> Self {
        Registry { system: self.system.clone(), people: self.people.clone(), family: self.family.clone() }
    }
}

impl<K: Key, A: Actor> fmt::Debug for Registry<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} of {})", self.len(), std::any::type_name::<A>())
    }
}

impl<K: Key, A: Actor> People<K, A> {
    /// The key under which this cell is in the map.
    fn key(&self, cell: &Cell<A>) -> Option<K> {
        let shard = self.map.shards()[self.map.determine_shard(cell.hash as usize)].read();
        shard.get(cell.hash, |(_, addr)| is(addr.get(), cell)).map(|(key, _)| key.clone())
    }
}

impl<K: Key, A: Actor> Family<A> for Arc<People<K, A>> {
    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn build(&self, addr: &Addr<A>) -> Option<A> {
        self.key(&addr.cell).map(|key| (self.factory)(&key))
    }

    fn ended(&self, cell: &Cell<A>) {
        let mut shard = self.map.shards()[self.map.determine_shard(cell.hash as usize)].write();
        let gone = shard.remove_entry(cell.hash, |(_, addr)| is(addr.get(), cell));
        drop(shard);
        // A key's and an address's drop: outside the lock.
        drop(gone);
    }

    fn name(&self, cell: &Cell<A>) -> Option<String> {
        self.key(cell).map(|key| key.to_string())
    }
}

fn is<A: Actor>(addr: &Addr<A>, cell: &Cell<A>) -> bool {
    std::ptr::eq(Arc::as_ptr(&addr.cell), cell)
}
