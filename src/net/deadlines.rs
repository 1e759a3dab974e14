//! When to look at a BOSH session again: one coarse wheel for all of them.
//!
//! A session that is to be looked at at some time stands in that time's slot as a weak reference of
//! eight bytes; there is no task, no sleep and no walk over all sessions. A deadline that moves back
//! costs nothing: the session is looked at too early, and stands in a later slot from then on.

use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Length of a slot. A deadline is kept up to one slot late, never early.
pub(crate) const SLOT: Duration = Duration::from_millis(250);
/// Slots in the wheel: 128 s. What is due later is looked at on the way.
const SLOTS: usize = 512;

/// A slot by its number since the start; of 250 ms each, 34 years of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(NonZeroU32); // one above its number: an `Option` of it takes no more room

impl Slot {
    /// Of 34 years on, all are the same.
    fn new(number: u64) -> Slot {
        Slot(NonZeroU32::MIN.saturating_add(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn number(self) -> u64 {
        u64::from(self.0.get() - 1)
    }
}

/// The wheel.
pub(crate) struct Deadlines<T: ?Sized> {
    start: Instant,
    state: Mutex<State<T>>,
}

struct State<T: ?Sized> {
    /// The next slot to be emptied, counted from the start.
    next: u64,
    slots: Box<[Vec<Weak<T>>]>,
}

impl<T: ?Sized> Deadlines<T> {
    pub(crate) fn new(start: Instant) -> Deadlines<T> {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Deadlines { start, state: Mutex::new(State { next: 0, slots }) }
    }

    /// The slot in which something is due that is to be looked at at `when`.
    pub(crate) fn slot(&self, when: Instant) -> Slot {
        let since = when.saturating_duration_since(self.start);
        // Asked at every turn of every session: not by dividing 128 bits.
        let (in_a_second, nanos) = (1_000_000_000 / SLOT.subsec_nanos(), since.subsec_nanos());
        Slot::new(since.as_secs() * u64::from(in_a_second) + u64::from(nanos.div_ceil(SLOT.subsec_nanos())))
    }

    /// Looks at `item` at `when`, or up to a slot later. Returns the slot it stands in, an earlier one
    /// when the wheel does not reach so far.
    pub(crate) fn put(&self, when: Instant, item: &Arc<T>) -> Slot {
        let due = self.slot(when).number();
        let mut state = self.state.lock();
        let slot = due.clamp(state.next, state.next + SLOTS as u64 - 1);
        state.slots[slot as usize % SLOTS].push(Arc::downgrade(item));
        Slot::new(slot)
    }

    /// Never mind: `item` is not looked at again in the slot that [`Deadlines::put`] returned. A weak
    /// reference alone would keep the memory of an item that is gone until its time has come.
    pub(crate) fn take_back(&self, slot: Slot, item: *const T) {
        let mut state = self.state.lock();
        if slot.number() < state.next {
            return;
        }
        let slot = &mut state.slots[slot.number() as usize % SLOTS];
        if let Some(at) = slot.iter().rposition(|other| std::ptr::addr_eq(other.as_ptr(), item)) {
            slot.swap_remove(at);
        }
    }

    /// Everything due by `now`.
    pub(crate) fn due(&self, now: Instant) -> Vec<Arc<T>> {
        let current = (now.saturating_duration_since(self.start).as_nanos() / SLOT.as_nanos()) as u64;
        let mut state = self.state.lock();
        let mut out = Vec::new();
        while state.next <= current {
            let slot = state.next as usize % SLOTS;
            out.append(&mut state.slots[slot]);
            state.slots[slot] = Vec::new();
            state.next += 1;
        }
        drop(state);
        out.into_iter().filter_map(|weak| weak.upgrade()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_at_its_time_and_once() {
        let start = Instant::now();
        let wheel = Deadlines::new(start);
        let items: Vec<_> = (0..2_000u64).map(Arc::new).collect();
        for item in &items {
            wheel.put(start + Duration::from_millis(**item * 50), item);
        }
        let mut seen = 0;
        for ms in (0..=101_000).step_by(90) {
            let now = start + Duration::from_millis(ms);
            for item in wheel.due(now) {
                let want = Duration::from_millis(*item * 50);
                assert!(want <= now - start && now - start <= want + SLOT + Duration::from_millis(90));
                seen += 1;
            }
        }
        assert_eq!(seen, 2_000);
    }

    #[test]
    fn what_was_taken_back_is_not_due_and_not_kept() {
        let start = Instant::now();
        let wheel = Deadlines::new(start);
        let items: Vec<_> = (0..10u32).map(Arc::new).collect();
        let slots: Vec<_> = items.iter().map(|item| wheel.put(start + SLOT * (**item % 3), item)).collect();
        for (item, slot) in items.iter().zip(&slots).skip(1) {
            wheel.take_back(*slot, Arc::as_ptr(item));
        }
        assert!(items[1..].iter().all(|item| Arc::weak_count(item) == 0));
        assert_eq!(wheel.due(start + SLOT * 3), [items[0].clone()]);
        wheel.take_back(slots[0], Arc::as_ptr(&items[0])); // too late, which is no harm
    }

    #[test]
    fn far_ones_are_looked_at_on_the_way_and_dead_ones_never() {
        let start = Instant::now();
        let wheel = Deadlines::new(start);
        let far = Arc::new(());
        let looked_at = start + SLOT * wheel.put(start + SLOT * 3 * SLOTS as u32, &far).number() as u32;
        assert!(looked_at < start + SLOT * SLOTS as u32);
        assert_eq!(wheel.due(looked_at).len(), 1);
        wheel.put(start, &Arc::new(()));
        assert_eq!(wheel.due(looked_at + SLOT * 2).len(), 0);
    }
}
