//! A family of actors by key: at most one per key, found or started, restarted from one shared factory.

use crate::actor::Actor;
use crate::addr::Addr;
use crate::cell::{Cell, Kin};
use crate::supervise::{Family, Policy};
use crate::system::System;
use crate::watch::Watcher;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::RwLock;
use std::borrow::Borrow;
use std::fmt::{self, Display};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

/// What a key may be.
pub trait Key: Eq + Hash + Clone + Display + Send + Sync + 'static {}
impl<K: Eq + Hash + Clone + Display + Send + Sync + 'static> Key for K {}

/// Actors by key. Cheap to clone. An actor leaves it when it ends, after its `stopping`.
///
/// Each actor has its key, once, and the tables have eight bytes and a bit for each.
pub struct Registry<A: Actor> {
    people: Arc<People<A>>,
    /// The same, as the cells know it.
    kin: Arc<Kin<A>>,
}

type Factory<A> = dyn Fn(&<A as Actor>::Key, &<A as Actor>::Common) -> A + Send + Sync;

struct People<A: Actor> {
    shards: [RwLock<HashTable<Addr<A>>>; SHARDS],
    hasher: RandomState,
    policy: Policy,
    factory: Box<Factory<A>>,
}

const SHARDS: usize = 32;

/// Where each shard ends, of all hashes. The last is twice as wide as the first: a table that has just grown is half
/// empty, and so they do not all grow at once.
static ENDS: [u32; SHARDS] = ends();

impl<A: Actor> Registry<A> {
    /// An empty registry. `factory` makes a state for a key, on a worker: at the first start and at each restart. It
    /// must not block; what takes long is loaded from `started` with a [`wait`](crate::Ctx::wait).
    pub fn new(system: &System, policy: Policy, factory: impl Fn(&A::Key) -> A + Send + Sync + 'static) -> Self
    where
        A: Actor<Common = ()>,
    {
        Registry::of(system, policy, (), move |key, ()| factory(key))
    }

    /// The same for actors that have something in common.
    pub fn of(
        system: &System,
        policy: Policy,
        common: A::Common,
        factory: impl Fn(&A::Key, &A::Common) -> A + Send + Sync + 'static,
    ) -> Self {
        let shards = std::array::from_fn(|_| RwLock::new(HashTable::new()));
        let people = Arc::new(People { shards, hasher: RandomState::new(), policy, factory: Box::new(factory) });
        let kin = Arc::new(Kin { system: system.clone(), family: Box::new(people.clone()), common });
        Registry { people, kin }
    }

    /// The actor of this key, unless there is none or it is ending.
    pub fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Addr<A>>
    where
        A::Key: Borrow<Q>,
    {
        let hash = self.people.hash(key);
        let found = self.people.shard(hash).read().find(hash, |addr| has(addr, key)).cloned();
        found.filter(|addr| !addr.is_closed())
    }

    /// The actor of this key, started if there is none. If the last one is still ending, the new one takes mail at
    /// once but starts only when the last has ended: never two at a time.
    pub fn find_or_spawn(&self, key: &A::Key) -> Addr<A> {
        if let Some(addr) = self.find(key) {
            return addr;
        }
        let people = &*self.people;
        let hash = people.hash(key);
        let mut shard = people.shard(hash).write();
        let rehash = |addr: &Addr<A>| addr.cell.key.as_ref().map_or(0, |key| people.hash(key));
        // `_last` outlives the lock: dropping the last address of a cell runs code that may want the table.
        let (addr, start, _last) = match shard.entry(hash, |addr| has(addr, key), rehash) {
            Entry::Occupied(entry) if !entry.get().is_closed() => return entry.get().clone(),
            Entry::Occupied(mut entry) => {
                let addr = self.make(key);
                let last = std::mem::replace(entry.get_mut(), addr.clone());
                let start = last.cell.watch(Watcher::Successor(addr.cell.clone())).is_err();
                (addr, start, Some(last))
            }
            Entry::Vacant(entry) => {
                let addr = self.make(key);
                entry.insert(addr.clone());
                (addr, true, None)
            }
        };
        drop(shard);
        if start {
            self.kin.system.enqueue(addr.cell.clone());
        }
        addr
    }

    /// How many keys have an actor, those ending included.
    pub fn len(&self) -> usize {
        self.people.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every key and its actor, copied at once: no lock is held between two of them, so anything may be done with
    /// them. One that comes or goes during the copy may or may not be seen.
    pub fn iter(&self) -> impl Iterator<Item = (A::Key, Addr<A>)> + use<A> {
        let mut all = Vec::new();
        for shard in &self.people.shards {
            let shard = shard.read();
            all.extend(shard.iter().filter_map(|addr| Some((addr.cell.key.clone()?, addr.clone()))));
        }
        all.into_iter()
    }

    fn make(&self, key: &A::Key) -> Addr<A> {
        Addr { cell: Cell::new(None, self.kin.clone(), Some(key.clone())) }
    }
}

impl<A: Actor> Clone for Registry<A> {
    fn clone(&self) -> Self {
        Registry { people: self.people.clone(), kin: self.kin.clone() }
    }
}

impl<A: Actor> fmt::Debug for Registry<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} of {})", self.len(), std::any::type_name::<A>())
    }
}

impl<A: Actor> People<A> {
    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// By bits in the middle: a table uses those at both ends.
    fn shard(&self, hash: u64) -> &RwLock<HashTable<Addr<A>>> {
        let at = (hash >> 24) as u32;
        &self.shards[ENDS.partition_point(|end| *end <= at).min(SHARDS - 1)]
    }
}

impl<A: Actor> Family<A> for Arc<People<A>> {
    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn build(&self, cell: &Cell<A>) -> Option<A> {
        cell.key.as_ref().map(|key| (self.factory)(key, &cell.kin.common))
    }

    fn ended(&self, cell: &Cell<A>) {
        let Some(key) = &cell.key else { return };
        let hash = self.hash(key);
        // There may be a successor in its place.
        let is_it = |addr: &Addr<A>| std::ptr::eq(Arc::as_ptr(&addr.cell), cell);
        let gone = match self.shard(hash).write().find_entry(hash, is_it) {
            Ok(entry) => Some(entry.remove().0),
            Err(_) => None,
        };
        drop(gone); // outside the lock
    }
}

fn has<A: Actor, Q: Eq + ?Sized>(addr: &Addr<A>, key: &Q) -> bool
where
    A::Key: Borrow<Q>,
{
    addr.cell.key.as_ref().is_some_and(|its| its.borrow() == key)
}

/// Shards whose widths grow by the same factor, from one to two.
const fn ends() -> [u32; SHARDS] {
    // The 32nd root of two, times 2^30.
    const ROOT: u64 = 1_097_253_708;
    const ONE: u64 = 1 << 30;
    let mut ends = [0; SHARDS];
    let (mut power, mut shard) = (ONE, 0);
    while shard < SHARDS {
        power = power * ROOT / ONE;
        let end = (power - ONE) << 2;
        ends[shard] = if end > u32::MAX as u64 { u32::MAX } else { end as u32 };
        shard += 1;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_from_one_to_two_wide_and_cover_all() {
        let last = ENDS[SHARDS - 1] - ENDS[SHARDS - 2];
        assert!(ENDS.is_sorted() && ENDS[SHARDS - 1] > u32::MAX - 1_000);
        assert!((1.9..2.0).contains(&(f64::from(last) / f64::from(ENDS[0]))));
    }
}
