//! Time, from the machine or from a test's hand.

use crate::timer::Wheel;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a system reads the time. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<Hand>>);

#[derive(Debug)]
struct Hand {
    start: Instant,
    start_unix: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    passed: Duration,
    wheels: Vec<Weak<Wheel>>,
}

impl Clock {
    /// The machine's clock.
    pub fn real() -> Clock {
        Clock(None)
    }

    /// A monotonic instant.
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => machine_now(),
            Some(hand) => hand.start + hand.state.lock().passed,
        }
    }

    /// Wall time in milliseconds since 1970-01-01 UTC; 0 when the machine says it is earlier than that.
    pub fn unix_ms(&self) -> i64 {
        let since = match &self.0 {
            None => machine_unix(),
            Some(hand) => hand.start_unix + hand.state.lock().passed,
        };
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// True when a test moves it.
    pub fn is_manual(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn turn(&self, wheel: &Arc<Wheel>) {
        if let Some(hand) = &self.0 {
            hand.state.lock().wheels.push(Arc::downgrade(wheel));
        }
    }
}

/// A clock that stands still until it is told: for tests.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Hand>);

impl ManualClock {
    /// Starts at the machine's present time.
    #[allow(clippy::new_without_default)] // a default that reads the machine's clock would surprise
    pub fn new() -> ManualClock {
        let state = Mutex::new(State { passed: Duration::ZERO, wheels: Vec::new() });
        ManualClock(Arc::new(Hand { start: machine_now(), start_unix: machine_unix(), state }))
    }

    /// The clock to give to [`System::with_clock`](crate::System::with_clock).
    pub fn clock(&self) -> Clock {
        Clock(Some(self.0.clone()))
    }

    /// Lets `by` pass. Every timer due by then is in its actor's mailbox when this returns, so a message sent after
    /// it is handled after them.
    pub fn advance(&self, by: Duration) {
        let (now, wheels) = {
            let mut state = self.0.state.lock();
            state.passed += by;
            state.wheels.retain(|wheel| wheel.strong_count() > 0);
            (self.0.start + state.passed, state.wheels.clone())
        };
        for wheel in wheels.iter().filter_map(Weak::upgrade) {
            wheel.turn_to(now);
        }
    }
}

#[allow(clippy::disallowed_methods)] // the crate's only look at the monotonic clock
fn machine_now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)] // the crate's only look at the wall clock
fn machine_unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
