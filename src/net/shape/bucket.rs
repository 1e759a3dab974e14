//! A token bucket in one word, without a clock.
//!
//! Counting tokens would take two numbers: how many there are, and when they were counted. One is enough:
//! **when the bucket will be full again.** A bucket whose time has passed is full; taking a token moves the time
//! on by what it takes to make one; the tokens that are there now are those that are not still being made. So
//! nothing is ever refilled, a bucket at rest is a bucket that nobody need keep, and nothing is lost to rounding.

use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Tokens made within [`Rate::nanos`]; 0 for a rule that is off.
    tokens: u32,
    nanos: u64,
    /// How long it takes to make all that the bucket holds, nanoseconds.
    burst_nanos: u64,
}

/// See the module page. The time is nanoseconds since some start, never real time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at: u64,
}

impl Rate {
    /// So many tokens in that time, and at most `burst` saved up. With no tokens there is no limit.
    pub(crate) fn new(tokens: u32, within: Duration, burst: u32) -> Rate {
        let nanos = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        let rate = Rate { tokens, nanos, burst_nanos: 0 };
        Rate { burst_nanos: rate.cost(burst.max(1).into()), ..rate }
    }

    /// Is the rule in force?
    pub(crate) fn is_on(&self) -> bool {
        self.tokens > 0
    }

    /// How long it takes to make so many tokens, nanoseconds.
    fn cost(&self, tokens: u64) -> u64 {
        let per = self.tokens.max(1);
        match tokens.checked_mul(self.nanos) {
            Some(nanos) => nanos / u64::from(per),
            None => u64::try_from(u128::from(tokens) * u128::from(self.nanos) / u128::from(per)).unwrap_or(u64::MAX),
        }
    }
}

impl Bucket {
    /// Takes a token; without one, says how long it is until there will be one.
    pub(crate) fn take(&mut self, now: u64, rate: &Rate) -> Result<(), Duration> {
        self.wait(now, rate, 1)?;
        self.spend(now, rate, 1);
        Ok(())
    }

    /// Takes so many tokens whether they are there or not: what came has come. What is missing is a debt.
    pub(crate) fn spend(&mut self, now: u64, rate: &Rate, tokens: u64) {
        if rate.is_on() {
            self.full_at = self.full_at.max(now).saturating_add(rate.cost(tokens));
        }
    }

    /// Are there so many tokens (0: is there no debt)? Else, how long it is until there are.
    pub(crate) fn wait(&self, now: u64, rate: &Rate, tokens: u32) -> Result<(), Duration> {
        let rest = rate.burst_nanos.saturating_sub(rate.cost(tokens.into()));
        match self.full_at.saturating_sub(now).checked_sub(rest) {
            Some(nanos) if nanos > 0 && rate.is_on() => Err(Duration::from_nanos(nanos)),
            _ => Ok(()),
        }
    }

    /// Has the debt grow so that it is not paid before then.
    pub(crate) fn hold(&mut self, until: u64, rate: &Rate) {
        self.full_at = self.full_at.max(until.saturating_add(rate.burst_nanos));
    }

    /// When it will be full again: a bucket of another time says more of its owner the later that is.
    pub(crate) fn full_at(&self) -> u64 {
        self.full_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEC: u64 = 1_000_000_000;

    fn rate(tokens: u32, secs: u64, burst: u32) -> Rate {
        Rate::new(tokens, Duration::from_secs(secs), burst)
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let (mut bucket, rate) = (Bucket::default(), rate(10, 60, 3));
        for _ in 0..3 {
            assert_eq!(bucket.take(SEC, &rate), Ok(()));
        }
        assert_eq!(bucket.take(SEC, &rate), Err(Duration::from_secs(6)));
        assert_eq!(bucket.take(6 * SEC, &rate), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(7 * SEC, &rate), Ok(()));
        assert_eq!(bucket.take(7 * SEC, &rate), Err(Duration::from_secs(6)));
    }

    #[test]
    fn a_rule_that_is_off_refuses_nothing_and_remembers_nothing() {
        let (mut bucket, rate) = (Bucket::default(), rate(0, 1, 0));
        bucket.spend(0, &rate, u64::MAX);
        assert_eq!(bucket.take(0, &rate), Ok(()));
        assert_eq!(bucket, Bucket::default());
    }

    #[test]
    fn debt_is_paid_before_anything_is_given() {
        let (mut bucket, rate) = (Bucket::default(), rate(100, 1, 50));
        bucket.spend(0, &rate, 250);
        assert_eq!(bucket.wait(0, &rate, 0), Err(Duration::from_secs(2)));
        assert_eq!(bucket.wait(2 * SEC, &rate, 0), Ok(()));
        assert!(bucket.take(2 * SEC, &rate).is_err());
        bucket.hold(5 * SEC, &rate);
        assert_eq!(bucket.wait(3 * SEC, &rate, 0), Err(Duration::from_secs(2)));
        bucket.hold(4 * SEC, &rate);
        assert_eq!(bucket.wait(3 * SEC, &rate, 0), Err(Duration::from_secs(2)), "held longer before");
    }

    proptest! {
        /// Never more than the burst and what was made meanwhile; and never less, for whoever waits as told.
        #[test]
        fn what_passes_is_the_burst_and_the_rate(
            tokens in 1u32..5_000_000,
            secs in 1u64..100,
            burst in 1u32..1_000_000,
            steps in prop::collection::vec((0u64..3 * SEC, 0u32..2_000), 1..60),
        ) {
            let rate = rate(tokens, secs, burst);
            let (mut bucket, mut now, mut passed) = (Bucket::default(), 1, 0u128);
            for (gap, wanted) in steps {
                now += gap;
                for _ in 0..wanted {
                    if bucket.take(now, &rate).is_err() {
                        break;
                    }
                    passed += 1;
                }
                let made = u128::from(now) * u128::from(tokens) / u128::from(secs * SEC);
                // Each token's time is rounded down to whole nanoseconds: a little more may pass.
                let rounding = made / 100 + 1;
                prop_assert!(passed <= u128::from(burst) + made + rounding, "{passed} of {burst} + {made}");
                if let Err(wait) = bucket.wait(now, &rate, 1) {
                    let then = now + wait.as_nanos() as u64;
                    let before = bucket;
                    prop_assert!(bucket.take(then, &rate).is_ok());
                    prop_assert!(before.wait(then - 1, &rate, 1).is_err());
                    (now, passed) = (then, passed + 1);
                }
            }
        }

        /// A debt is exactly as long as what is missing takes to make, and a long rest forgives no more than a burst.
        #[test]
        fn a_debt_is_as_long_as_what_is_missing(
            tokens in 1u32..1_000_000, burst in 1u32..100_000, spent in 0u64..10_000_000, rest in 0u64..1_000_000,
        ) {
            let rate = rate(tokens, 1, burst);
            let (mut bucket, now) = (Bucket::default(), rest * SEC);
            bucket.spend(now, &rate, spent);
            let wait = bucket.wait(now, &rate, 0).err().unwrap_or_default().as_secs_f64();
            let exact = (spent as f64 - f64::from(burst)).max(0.0) / f64::from(tokens);
            prop_assert!((wait - exact).abs() < 1e-6, "{wait} {exact}");
        }
    }
}
