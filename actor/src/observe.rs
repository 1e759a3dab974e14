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
    /// Messages handled since it was spawned; from 0 again after 2^32.
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

/// Slots are made so many at a time, so that there are never many more than actors.
const CHUNK: usize = 256;

/// Every live actor, in slots that are used again under a new generation. An id is generation, slot, shard.
pub(crate) struct Directory {
    shards: [Mutex<Shard>; SHARDS],
    /// Deals new actors out to the shards; also the count.
    turn: AtomicUsize,
    live: AtomicUsize,
}

struct Shard {
    chunks: Vec<Box<Chunk>>,
    free: u32,
}

struct Chunk {
    slots: [Slot; CHUNK],
    generations: [u32; CHUNK], // beside them, or each would take 24 bytes and not 20
}

enum Slot {
    Live(Weak<dyn Erased>),
    /// Nobody's; the next one like that.
    Free(u32),
}

impl Directory {
    pub(crate) fn new() -> Directory {
        let shards = std::array::from_fn(|_| Mutex::new(Shard { chunks: Vec::new(), free: NONE }));
        Directory { shards, turn: AtomicUsize::new(0), live: AtomicUsize::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    pub(crate) fn insert(&self, cell: Weak<dyn Erased>) -> u64 {
        let shard_number = self.turn.fetch_add(1, Ordering::Relaxed) % SHARDS;
        self.live.fetch_add(1, Ordering::Relaxed);
        let mut shard = self.shards[shard_number].lock();
        let (at, generation) = shard.put(cell);
        u64::from(generation) << 32 | u64::from(at) << SHARD_BITS | shard_number as u64
    }

    /// Returns how many are left.
    pub(crate) fn remove(&self, id: ActorId) {
        let (shard_number, at) = place(id);
        let Some(gone) = self.shards[shard_number].lock().take(at, (id.0 >> 32) as u32) else { return };
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
            found.extend(shard.live(at).filter_map(Weak::upgrade).take(limit - found.len()));
            shard_number += 1;
            at = 0;
        }
        found
    }
}

impl Shard {
    /// Where it is now, and under which generation.
    fn put(&mut self, cell: Weak<dyn Erased>) -> (u32, u32) {
        if self.free == NONE {
            self.grow();
        }
        let at = self.free;
        let chunk = &mut self.chunks[at as usize / CHUNK];
        if let Slot::Free(next) = std::mem::replace(&mut chunk.slots[at as usize % CHUNK], Slot::Live(cell)) {
            self.free = next;
        }
        (at, chunk.generations[at as usize % CHUNK])
    }

    fn take(&mut self, at: usize, generation: u32) -> Option<Weak<dyn Erased>> {
        let chunk = self.chunks.get_mut(at / CHUNK)?;
        let (slot, of_slot) = (&mut chunk.slots[at % CHUNK], &mut chunk.generations[at % CHUNK]);
        if *of_slot != generation || matches!(slot, Slot::Free(_)) {
            return None;
        }
        *of_slot = generation.wrapping_add(1);
        let gone = std::mem::replace(slot, Slot::Free(self.free));
        self.free = at as u32;
        match gone {
            Slot::Live(cell) => Some(cell),
            Slot::Free(_) => None,
        }
    }

    /// Those from this place on.
    fn live(&self, from: usize) -> impl Iterator<Item = &Weak<dyn Erased>> {
        let slots = self.chunks.iter().skip(from / CHUNK).flat_map(|chunk| chunk.slots.iter());
        slots.skip(from % CHUNK).filter_map(|slot| match slot {
            Slot::Live(cell) => Some(cell),
            Slot::Free(_) => None,
        })
    }

    fn grow(&mut self) {
        let first = (self.chunks.len() * CHUNK) as u32;
        let next = |at: usize| if at + 1 < CHUNK { first + at as u32 + 1 } else { NONE };
        self.chunks.push(Box::new(Chunk {
            slots: std::array::from_fn(|at| Slot::Free(next(at))),
            generations: [0; CHUNK],
        }));
        self.free = first;
    }
}

fn place(id: ActorId) -> (usize, usize) {
    let low = (id.0 & u64::from(u32::MAX)) as usize;
    (low % SHARDS, low >> SHARD_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_takes_twenty_bytes() {
        assert_eq!(size_of::<Chunk>(), 20 * CHUNK);
    }
}
