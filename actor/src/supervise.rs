//! Restarting: how often, how fast, and from what.

use crate::actor::Actor;
use crate::cell::Cell;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What to do when a supervised actor panics: restart it in place, with a fresh state, the same address and the mail
/// that waits, after a pause that doubles each time; after too many panics in a window, give up.
///
/// A restart is not an end: links and monitors stay, in both directions. Its timers and open waits are gone, and so is
/// the message in hand.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Restarts allowed within the window. The next panic ends the actor with [`Exit::GaveUp`](crate::Exit::GaveUp).
    pub restarts_max: u32,
    /// The window.
    pub window: Duration,
    /// The pause before the first restart of a window.
    pub backoff: Duration,
    /// No pause is longer.
    pub backoff_max: Duration,
}

impl Policy {
    /// Up to 5 restarts in a minute, after 50 ms, 100 ms, 200 ms and so on, at most 5 s.
    pub const DEFAULT: Policy = Policy {
        restarts_max: 5,
        window: Duration::from_secs(60),
        backoff: Duration::from_millis(50),
        backoff_max: Duration::from_secs(5),
    };

    /// Never restart.
    pub const NEVER: Policy = Policy { restarts_max: 0, ..Policy::DEFAULT };

    /// The pause before the next restart, or `None` to give up. `past`: the restarts so far, oldest first; those
    /// outside the window are forgotten, and this one is noted.
    pub(crate) fn next(&self, past: &mut VecDeque<Instant>, now: Instant) -> Option<Duration> {
        while past.front().is_some_and(|&at| now.saturating_duration_since(at) > self.window) {
            past.pop_front();
        }
        let done = past.len() as u32;
        if done >= self.restarts_max {
            return None;
        }
        past.push_back(now);
        let pause = self.backoff.saturating_mul(1u32.checked_shl(done).unwrap_or(u32::MAX));
        Some(pause.min(self.backoff_max))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy::DEFAULT
    }
}

/// What one actor, or a registry's whole family of them, is rebuilt from. A family has one of these, not each actor.
pub(crate) trait Family<A: Actor>: Send + Sync {
    fn policy(&self) -> &Policy;
    /// A fresh state for this cell, when there can be one.
    fn build(&self, cell: &Cell<A>) -> Option<A>;
    /// The cell ended; it may still be dropping.
    fn ended(&self, _: &Cell<A>) {}
}

/// One that is not rebuilt.
pub(crate) struct Once;

impl<A: Actor> Family<A> for Once {
    fn policy(&self) -> &Policy {
        &Policy::NEVER
    }

    fn build(&self, _: &Cell<A>) -> Option<A> {
        None
    }
}

/// A family of one.
pub(crate) struct Alone<F> {
    pub(crate) policy: Policy,
    pub(crate) factory: F,
}

impl<A: Actor, F: Fn() -> A + Send + Sync> Family<A> for Alone<F> {
    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn build(&self, _: &Cell<A>) -> Option<A> {
        Some((self.factory)())
    }
}
