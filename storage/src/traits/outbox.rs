//! What is on its way out of the server: events for webhooks and brokers.

use super::Then;
use bytes::Bytes;

/// One queue for each named sink. What is put in stays until it is done.
pub trait Outbox {
    /// Puts items at the end. Each gets the next number of its sink, beginning with 1 and never given twice.
    /// Answers the last number given out, also when there are no items.
    fn put_out(&self, sink: &str, items: Vec<Bytes>, then: Then<u64>);
    /// The oldest items with a number greater than `after`, at most `limit`.
    fn out(&self, sink: &str, after: u64, limit: u32, then: Then<Vec<(u64, Bytes)>>);
    /// Everything up to `upto` is done, itself too, and goes.
    fn done_out(&self, sink: &str, upto: u64, then: Then<()>);
}
