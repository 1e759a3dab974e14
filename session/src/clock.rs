//! Time as a value.

use std::time::Instant;

/// One moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For measuring how long something takes.
    pub at: Instant,
    /// For people and for the store: milliseconds since 1970 UTC.
    pub unix_ms: i64,
}

/// Where the actors read the time. Tests bring their own.
pub trait Clock: Send + Sync + 'static {
    /// This moment.
    fn now(&self) -> Now;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place of this crate that reads the clock
    fn now(&self) -> Now {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Now { at: Instant::now(), unix_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }
}

/// The clock of an actor system: the real one, or one that a test moves.
impl Clock for herald_actor::Clock {
    fn now(&self) -> Now {
        Now { at: herald_actor::Clock::now(self), unix_ms: herald_actor::Clock::unix_ms(self) }
    }
}
