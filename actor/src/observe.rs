//! Looking inside: the directory of every live actor.

use crate::actor::ActorId;
use crate::cell::Erased;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// What an observer sees of one actor at one moment. Numbers may be a message old.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its number; also the place to go on from in [`System::actors`](crate::System::actors).
    pub id: ActorId,
    /// Its type's name.
    pub kind: &'static str,
    /// Its registry key, or what [`Actor::name`](crate::Actor::name) said.
    pub name: Option<String>,
    /// What it does.
    pub state: State,
    /// Messages in its mailbox.
    pub depth: u32,
    /// Their weight, in the units of its bound.
    pub weight: u32,
    /// Its bound.
    pub weight_max: u32,
    /// Messages handled since it was spawned.
    pub handled: u64,
    /// Restarts since it was spawned.
    pub restarts: u32,
}

/// What an actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing, and it is on no queue.
    Idle,
    /// It has mail and waits for a worker.
    Queued,
    /// A worker runs it.
    Running,
    /// Its mailbox is paused until an answer comes ([`Ctx::wait`](crate::Ctx::wait)).
    Waiting,
    /// It panicked and will be restarted.
    BackingOff,
}

impl State {
    /// The state in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Queued => "queued",
            State::Running => "running",
            State::Waiting => "waiting",
            State::BackingOff => "backing off",
        }
    }
}

const SHARD_BITS: u32 = 3;
const SHARDS: usize = 1 << SHARD_BITS;
const NONE: u32 = u32::MAX;

/// Every live actor, in slots that are used again under a new generation. An id is generation, slot, shard.
pub(crate) struct Directory {
    shards: [Mutex<Shard>; SHARDS],
    /// Deals new actors out to the shards; also the count.
    turn: AtomicUsize,
    live: AtomicUsize,
}

struct Shard {
    slots: Vec<Slot>,
    free: u32,
}

struct Slot {
    generation: u32,
    next_free: u32,
    cell: Option<Weak<dyn Erased>>,
}

impl Directory {
    pub(crate) fn new() -> Directory {
        let shards = std::array::from_fn(|_| Mutex::new(Shard { slots: Vec::new(), free: NONE }));
        Directory { shards, turn: AtomicUsize::new(0), live: AtomicUsize::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, cell: Weak<dyn Erased>) -> u64 {
        let shard_number = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
        self.live.fetch_add(1, Ordering::Relaxed);
        let mut shard = self.shards[shard_number].lock();
        let at = if shard.free != NONE {
            let at = shard.free;
            shard.free = shard.slots[at as usize].next_free;
            at
        } else {
            shard.slots.push(Slot { generation: 0, next_free: NONE, cell: None });
            (shard.slots.len() - 1) as u32
        };
        let slot = &mut shard.slots[at as usize];
        slot.cell = Some(cell);
        u64::from(slot.generation) << 32 | u64::from(at) << SHARD_BITS | shard_number as u64
    }

    /// Returns how many are left.
    pub(crate) fn remove(&self, id: ActorId) {
        let (shard_number, at) = place(id);
        let gone = {
            let mut shard = self.shards[shard_number].lock();
            let free = shard.free;
            let Some(slot) = shard.slots.get_mut(at) else { return };
            if slot.generation != (id.0 >> 32) as u32 || slot.cell.is_none() {
                return;
            }
            slot.generation = slot.generation.wrapping_add(1);
            slot.next_free = free;
            let gone = slot.cell.take();
            shard.free = at as u32;
            gone
        };
        drop(gone);
        self.live.fetch_sub(1, Ordering::AcqRel);
    }

    /// Up to `limit` live actors after `after`, by place; `None` starts.
    pub(crate) fn page(&self, after: Option<ActorId>, limit: usize) -> Vec<Arc<dyn Erased>> {
        let (mut shard_number, mut at) = after.map_or((0, 0), |id| {
            let (shard_number, at) = place(id);
            (shard_number, at + 1)
        });
        let mut found = Vec::new();
        while shard_number < SHARDS && found.len() < limit {
            let shard = self.shards[shard_number].lock();
            // What is upgraded is dropped by the caller, outside the lock: it may be the last one.
            let rest = shard.slots.get(at..).unwrap_or_default();
            found.extend(rest.iter().filter_map(|slot| slot.cell.as_ref()?.upgrade()).take(limit - found.len()));
            shard_number += 1;
            at = 0;
        }
        found
    }
}

fn place(id: ActorId) -> (usize, usize) {
    let low = (id.0 & u64::from(u32::MAX)) as usize;
    (low % SHARDS, low >> SHARD_BITS)
}
