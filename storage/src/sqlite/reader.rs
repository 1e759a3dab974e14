//! The threads that read, each with a connection of its own. A read sees one moment of the database.

use super::Counts;
use super::cache::Cache;
use super::queue::{Queue, Taken};
use crate::{StoreError, Then};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

/// One read.
pub(super) trait Read: Send {
    /// Runs and answers. Says whether it went well.
    fn run(self: Box<Self>, conn: &Connection) -> bool;
    /// Answers without having run.
    fn refuse(self: Box<Self>, why: StoreError);
}

/// A read from a closure.
pub(super) struct Ask<T, F> {
    act: F,
    then: Then<T>,
}

impl<T, F> Ask<T, F> {
    pub(super) fn new(act: F, then: Then<T>) -> Ask<T, F> {
        Ask { act, then }
    }
}

impl<T, F> Read for Ask<T, F>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(self: Box<Self>, conn: &Connection) -> bool {
        let Ask { act, then } = *self;
        let answer = catch_unwind(AssertUnwindSafe(|| snapshot(conn, act)))
            .unwrap_or_else(|_| Err(StoreError::Failed("the read panicked".into())));
        let well = answer.is_ok();
        if catch_unwind(AssertUnwindSafe(|| then(answer))).is_err() {
            tracing::error!("the receiver of a store's answer panicked");
        }
        well
    }

    fn refuse(self: Box<Self>, why: StoreError) {
        (self.then)(Err(why));
    }
}

/// Until the queue is closed and empty.
pub(super) fn run(conn: &Connection, queue: &Queue<Box<dyn Read>>, counts: &Counts) {
    let mut next = Vec::new();
    let mut cache = Cache::default();
    loop {
        match queue.take(&mut next, 1, usize::MAX, cache.rests_at()) {
            Taken::Some => {}
            Taken::Nothing => cache.give_back(conn),
            Taken::End => return,
        }
        for read in next.drain(..) {
            let count = if read.run(conn) { &counts.reads } else { &counts.failed };
            count.fetch_add(1, Relaxed);
            cache.used();
        }
    }
}

/// All statements of one read see the same moment.
fn snapshot<T>(conn: &Connection, act: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    let moment = conn.unchecked_transaction()?; // ends when dropped, also by a panic
    act(&moment)
}
