//! The time that a connection has for what comes next.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};

/// Stopping and winding it again costs a few words: what stands in the runtime's wheel is moved only when it would be
/// too late, and given back when the connection waits without it.
#[derive(Default)]
pub(crate) struct Timer {
    due: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Goes off then, if ever.
    pub(crate) fn at(due: Option<Instant>) -> Timer {
        Timer { due, sleep: None }
    }

    /// Begins anew.
    pub(crate) fn wind(&mut self, within: Duration) {
        self.wind_to(Instant::now() + within);
    }

    /// Begins anew, and goes off then.
    pub(crate) fn wind_to(&mut self, due: Instant) {
        self.due = Some(due);
    }

    pub(crate) fn stop(&mut self) {
        self.due = None;
    }

    /// When the time is up, unless it is stopped.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Ready when the time is up.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(due) = self.due.map(Into::into) else {
            self.sleep = None;
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            if sleep.deadline() > due {
                sleep.as_mut().reset(due);
            }
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn it_goes_off_when_it_was_last_wound_for() {
        let mut timer = Timer::default();
        let (short, long) = (Duration::from_millis(30), Duration::from_secs(600));
        // Longer, then shorter than what stands in the wheel.
        for first in [Duration::from_millis(5), long] {
            timer.wind(first);
            assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
            timer.stop();
            let begun = Instant::now();
            timer.wind(short);
            poll_fn(|cx| timer.poll(cx)).await;
            assert!((short..long).contains(&begun.elapsed()));
        }
        timer.stop();
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        assert!(timer.sleep.is_none(), "it owns nothing while it is stopped");
    }
}
