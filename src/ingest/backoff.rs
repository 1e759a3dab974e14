//! How long to wait before trying again: at random up to a bound that doubles (full jitter), so that many who
//! failed together do not come back together.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(10);

/// How often it was in vain.
#[derive(Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// It went well: the next time begins anew.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
    /// It was in vain once more: so long to wait.
    pub fn next(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.tries.min(10)).min(LAST);
        self.tries += 1;
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        bound.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let longest = |backoff: &mut Backoff| {
            let tries = backoff.tries;
            let longest = (0..200)
                .map(|_| {
                    backoff.tries = tries;
                    backoff.next()
                })
                .max();
            longest.expect("there are some")
        };
        let first = longest(&mut backoff);
        assert!(first <= FIRST && first > FIRST / 2, "{first:?}");
        (0..100).for_each(|_| assert!(backoff.next() <= LAST));
        assert!(longest(&mut backoff) > LAST / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
