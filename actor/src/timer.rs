//! One timer wheel per system: no task and no `Sleep` per timer, nothing in an actor that has none.
//!
//! Six levels of 64 slots; a slot of level 0 is one tick. Setting and cancelling are O(1); a timer is moved down at
//! most once per level as its time comes near. A timer goes off in the first tick that is not before its time, so up
//! to [`TICK_MS`] late (plus the machine's own scheduling), never early. The wheel holds actors weakly.

use crate::cell::{Erased, Notice};
use parking_lot::Mutex;
use std::sync::Weak;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The wheel's resolution in milliseconds.
pub const TICK_MS: u64 = 10;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 6;
/// Ticks the wheel spans (over twenty years); a longer timer is kept in the last slot and looked at again.
const SPAN_TICKS: u64 = 1 << (SLOT_BITS * LEVELS as u32);
const NONE: u32 = u32::MAX;

/// What [`later`] makes of a time no clock can hold: as good as never.
const NEVER: Duration = Duration::from_secs(20 * 365 * 86_400);

/// `now + by`, without a panic however long `by` is.
pub(crate) fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or_else(|| now + NEVER)
}

/// Names one set timer; it stays unique after the timer went off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

/// What a timer does when it goes off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// A signal to the actor.
    Token(u64),
    /// A wait ran out of time.
    Deadline(u64),
    /// A restart's back-off is over.
    Restart,
}

pub(crate) struct Due {
    pub(crate) id: TimerId,
    pub(crate) purpose: Purpose,
    target: Weak<dyn Erased>,
}

pub(crate) struct Wheel {
    start: Instant,
    state: Mutex<State>,
    /// Told when an earlier timer than all others was set.
    pub(crate) earlier: Notify,
}

impl std::fmt::Debug for Wheel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wheel({} timers)", self.len())
    }
}

struct State {
    /// Every tick up to this one was turned.
    tick: u64,
    entries: Vec<Entry>,
    free: u32,
    len: usize,
    levels: [Level; LEVELS],
}

struct Level {
    /// Which slots have entries.
    used: u64,
    first: [u32; SLOTS],
}

struct Entry {
    generation: u32,
    prev: u32,
    next: u32,
    /// Level and slot, to unlink the first of a slot.
    place: u16,
    due: u64,
    purpose: Purpose,
    /// `None`: the entry is free.
    target: Option<Weak<dyn Erased>>,
}

impl Wheel {
    pub(crate) fn new(start: Instant) -> Wheel {
        let level = || Level { used: 0, first: [NONE; SLOTS] };
        let levels = std::array::from_fn(|_| level());
        let state = State { tick: 0, entries: Vec::new(), free: NONE, len: 0, levels };
        Wheel { start, state: Mutex::new(state), earlier: Notify::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().len
    }

    pub(crate) fn set(&self, at: Instant, target: Weak<dyn Erased>, purpose: Purpose) -> TimerId {
        let mut state = self.state.lock();
        let before = state.next_tick();
        let due = self.tick_not_before(at).max(state.tick + 1);
        let slot = state.allocate(due, target, purpose);
        let id = TimerId { slot, generation: state.entries[slot as usize].generation };
        let earlier = before.is_none_or(|before| due < before);
        drop(state);
        if earlier {
            self.earlier.notify_one();
        }
        id
    }

    /// `false`: it went off or was cancelled before.
    pub(crate) fn cancel(&self, id: TimerId) -> bool {
        let mut state = self.state.lock();
        let gone = match state.entries.get(id.slot as usize) {
            Some(entry) if entry.generation == id.generation && entry.target.is_some() => {
                state.unlink(id.slot);
                state.release(id.slot)
            }
            _ => return false,
        };
        drop(state);
        // The last weak reference may free the cell's memory: outside the lock.
        drop(gone);
        true
    }

    /// Delivers everything due at `now`.
    pub(crate) fn turn_to(&self, now: Instant) {
        let mut due = Vec::new();
        self.state.lock().turn_to(self.tick_passed(now), &mut due);
        for Due { id, purpose, target } in due {
            if let Some(cell) = target.upgrade() {
                cell.post(match purpose {
                    Purpose::Token(token) => Notice::Timer { id, token },
                    Purpose::Deadline(wait) => Notice::Deadline(wait),
                    Purpose::Restart => Notice::Restart,
                });
            }
        }
    }

    /// When `turn_to` has something to do next; never later than the earliest timer.
    pub(crate) fn next(&self) -> Option<Instant> {
        let tick = self.state.lock().next_tick()?;
        Some(self.start + Duration::from_millis(tick.saturating_mul(TICK_MS)))
    }

    fn tick_passed(&self, now: Instant) -> u64 {
        let ms = now.saturating_duration_since(self.start).as_millis();
        u64::try_from(ms).unwrap_or(u64::MAX) / TICK_MS
    }

    fn tick_not_before(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos.div_ceil(u128::from(TICK_MS) * 1_000_000)).unwrap_or(u64::MAX)
    }
}

impl State {
    fn turn_to(&mut self, to: u64, out: &mut Vec<Due>) {
        while self.tick < to {
            // Jump over ticks in which nothing happens.
            self.tick = match self.next_tick() {
                Some(next) => next.min(to),
                None => to,
            };
            // Higher levels first: what comes down may be due in this very tick.
            for level in (0..LEVELS).rev() {
                let shift = SLOT_BITS * level as u32;
                if level > 0 && !self.tick.is_multiple_of(1 << shift) {
                    continue;
                }
                let slot = (self.tick >> shift) as usize & (SLOTS - 1);
                self.empty_slot(level, slot, out);
            }
        }
    }

    fn empty_slot(&mut self, level: usize, slot: usize, out: &mut Vec<Due>) {
        let mut at = std::mem::replace(&mut self.levels[level].first[slot], NONE);
        self.levels[level].used &= !(1 << slot);
        while at != NONE {
            let entry = &self.entries[at as usize];
            let (next, due, generation, purpose) = (entry.next, entry.due, entry.generation, entry.purpose);
            if due <= self.tick {
                if let Some(target) = self.release(at) {
                    out.push(Due { id: TimerId { slot: at, generation }, purpose, target });
                }
            } else {
                self.link(at);
            }
            at = next;
        }
    }

    /// The next tick at which a used slot comes up, at any level.
    fn next_tick(&self) -> Option<u64> {
        let mut best: Option<u64> = None;
        for (level, Level { used, .. }) in self.levels.iter().enumerate() {
            if *used == 0 {
                continue;
            }
            let shift = SLOT_BITS * level as u32;
            let here = self.tick >> shift;
            // The slot we stand in has been emptied, so the nearest used one is 1 to 64 slots ahead.
            let ahead = used.rotate_right((here as u32 + 1) % SLOTS as u32).trailing_zeros();
            let tick = (here + 1 + u64::from(ahead)) << shift;
            best = Some(best.map_or(tick, |best| best.min(tick)));
        }
        best
    }

    fn allocate(&mut self, due: u64, target: Weak<dyn Erased>, purpose: Purpose) -> u32 {
        let slot = if self.free != NONE {
            let slot = self.free;
            self.free = self.entries[slot as usize].next;
            slot
        } else {
            self.entries.push(Entry { generation: 0, prev: NONE, next: NONE, place: 0, due, purpose, target: None });
            (self.entries.len() - 1) as u32
        };
        let entry = &mut self.entries[slot as usize];
        entry.due = due;
        entry.purpose = purpose;
        entry.target = Some(target);
        self.len += 1;
        self.link(slot);
        slot
    }

    /// Puts an entry, due after the present tick, where it belongs.
    fn link(&mut self, at: u32) {
        let due = self.entries[at as usize].due;
        let reach = due.min(self.tick + SPAN_TICKS - 1);
        // The highest bit in which the time differs from now says how far up.
        let differs = reach ^ self.tick;
        let level = if differs == 0 { 0 } else { ((63 - differs.leading_zeros()) / SLOT_BITS) as usize };
        let level = level.min(LEVELS - 1);
        let slot = (reach >> (SLOT_BITS * level as u32)) as usize & (SLOTS - 1);
        let first = std::mem::replace(&mut self.levels[level].first[slot], at);
        self.levels[level].used |= 1 << slot;
        if first != NONE {
            self.entries[first as usize].prev = at;
        }
        let entry = &mut self.entries[at as usize];
        entry.prev = NONE;
        entry.next = first;
        entry.place = (level * SLOTS + slot) as u16;
    }

    fn unlink(&mut self, at: u32) {
        let Entry { prev, next, place, .. } = self.entries[at as usize];
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
        if prev != NONE {
            self.entries[prev as usize].next = next;
            return;
        }
        let (level, slot) = (place as usize / SLOTS, place as usize % SLOTS);
        self.levels[level].first[slot] = next;
        if next == NONE {
            self.levels[level].used &= !(1 << slot);
        }
    }

    fn release(&mut self, at: u32) -> Option<Weak<dyn Erased>> {
        let free = std::mem::replace(&mut self.free, at);
        self.len -= 1;
        let entry = &mut self.entries[at as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = free;
        entry.target.take()
    }
}
