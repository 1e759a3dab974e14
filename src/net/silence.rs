//! Clients that say nothing: they are asked whether they are there, and let go when they do not answer.
//!
//! Nothing is kept for a connection but two numbers in its outbox and eight bytes in a wheel, and no task is
//! woken while its client has something to say: the wheel looks at the time something came last, and comes
//! again when that would be too long ago. Any byte counts as life.

use super::World;
use super::deadlines::{Deadlines, SLOT};
use super::outbox::Outbox;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// A stream with stanzas on the wire that nobody was asked about has come to rest after this time.
const REST: Duration = Duration::from_secs(2);

/// A time, in slots of the wheel since the server's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Coarse(pub(crate) u32);

/// Why the task of a connection is to look at its client; several reasons at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look(u8);

impl Look {
    /// Nothing has come for so long that it should be asked whether it is there.
    pub(crate) const SILENT: Look = Look(1);
    /// It was asked, and has not answered.
    pub(crate) const GONE: Look = Look(2);
    /// It could be asked what it has handled (XEP-0198).
    pub(crate) const RESTS: Look = Look(4);

    pub(crate) fn contains(self, other: Look) -> bool {
        self.0 & other.0 != 0
    }
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub(crate) fn insert(&mut self, other: Look) {
        self.0 |= other.0;
    }
}

/// Minds all stream connections of the server.
pub(crate) struct Silence {
    start: Instant,
    now: AtomicU32,
    /// In slots; 0: nobody is asked.
    after: u32,
    timeout: u32,
    minded: Deadlines<Outbox>,
    resting: Deadlines<Outbox>,
}

impl Silence {
    pub(crate) fn new(start: Instant, after_secs: u32, timeout_secs: u32) -> Silence {
        let slots = |secs: u32| (Duration::from_secs(secs.into()).as_nanos() / SLOT.as_nanos()) as u32;
        Silence {
            start,
            now: AtomicU32::new(0),
            after: slots(after_secs),
            timeout: slots(timeout_secs),
            minded: Deadlines::new(start),
            resting: Deadlines::new(start),
        }
    }

    /// What time it is, up to a slot late.
    pub(crate) fn now(&self) -> Coarse {
        Coarse(self.now.load(Ordering::Relaxed))
    }

    /// From now on this client is minded.
    pub(crate) fn mind(&self, outbox: &Arc<Outbox>) {
        if self.after > 0 {
            outbox.heard(self.now());
            self.put(Coarse(self.now().0 + self.after), outbox);
        }
    }

    /// Looks at this client when it has come to rest.
    pub(crate) fn let_rest(&self, outbox: &Arc<Outbox>) {
        self.resting.put(self.start + SLOT * self.now().0 + REST, outbox);
    }

    /// Looks at those whose time has come, until it is told to stop.
    pub(crate) async fn tick(world: Arc<World>, stop: CancellationToken) {
        let mut slots = tokio::time::interval(SLOT);
        slots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                now = slots.tick() => world.silence.look(now.into_std()),
                () = stop.cancelled() => return,
            }
        }
    }

    fn look(&self, now: Instant) {
        let coarse = Coarse((now.saturating_duration_since(self.start).as_nanos() / SLOT.as_nanos()) as u32);
        self.now.store(coarse.0, Ordering::Relaxed);
        for outbox in self.minded.due(now) {
            if let Some(next) = outbox.mind(coarse, self.after, self.timeout) {
                self.put(next, &outbox);
            }
        }
        for outbox in self.resting.due(now) {
            outbox.look(Look::RESTS);
        }
    }

    fn put(&self, when: Coarse, outbox: &Arc<Outbox>) {
        self.minded.put(self.start + SLOT * when.0, outbox);
    }
}
