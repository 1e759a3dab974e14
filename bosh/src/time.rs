//! A point in time in one word.

use std::num::NonZeroU64;
use std::ops::{Add, Sub};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An [`Instant`], to the nanosecond, in half its room, and none more for an `Option` of it: a session keeps several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(NonZeroU64);

/// What they all count from: the first instant that this process named. Which one that is makes no difference.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// The origin's own number, in nanoseconds: 146 years may lie on either side of it.
const MIDDLE: u64 = 1 << 62;

impl Time {
    /// Before all others: where no time is known.
    pub const NEVER: Time = Time(NonZeroU64::MIN);
}

impl From<Instant> for Time {
    fn from(instant: Instant) -> Time {
        let origin = *ORIGIN.get_or_init(|| instant);
        let number = match instant.checked_duration_since(origin) {
            Some(after) => MIDDLE + nanos(after),
            None => MIDDLE - nanos(origin - instant),
        };
        Time(NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN))
    }
}

impl From<Time> for Instant {
    fn from(time: Time) -> Instant {
        let (number, origin) = (time.0.get(), *ORIGIN.get_or_init(|| unreachable!("no time came from an instant")));
        match number.checked_sub(MIDDLE) {
            Some(after) => origin + Duration::from_nanos(after),
            None => origin - Duration::from_nanos(MIDDLE - number),
        }
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, later: Duration) -> Time {
        Time(self.0.saturating_add(nanos(later)))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(MIDDLE).min(MIDDLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // any instant will do
    fn a_time_is_the_instant_it_came_from() {
        let now = Instant::now();
        let odd = Duration::new(86_401, 987_654_321);
        for instant in [now, now + odd, now.checked_sub(Duration::from_nanos(1)).expect("not the first"), now] {
            let time = Time::from(instant);
            assert_eq!(Instant::from(time), instant);
            assert_eq!(Instant::from(time + odd), instant + odd);
            assert_eq!((time + odd) - time, odd);
            assert_eq!(time - (time + odd), Duration::ZERO);
        }
        assert_eq!(size_of::<Option<Time>>(), 8);
    }
}
