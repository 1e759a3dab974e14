//! How one way out is doing.

use std::sync::atomic::AtomicU64;

/// Counters since the start, except where it says "now".
#[derive(Default)]
pub struct Counts {
    /// The last number in the outbox now.
    pub stored_to: AtomicU64,
    /// All up to this number is settled now.
    pub done_to: AtomicU64,
    /// Events that the receiver has.
    pub taken: AtomicU64,
    /// Batches that it refused, or did not answer in time.
    pub refused: AtomicU64,
    /// Batches that did not reach it, or that it had no time for.
    pub unreachable: AtomicU64,
    /// Events in the file of dead letters.
    pub dead: AtomicU64,
    /// Events that are nowhere.
    pub lost: AtomicU64,
    /// Users now whose events are tried apart from others'.
    pub held: AtomicU64,
}
