//! The one thread that writes. It takes what waits, runs it as one transaction with a savepoint for
//! each operation, commits once, and only then answers. While a commit waits for the disk the next
//! operations gather, so the batch grows with the load and a lone operation waits for nobody.

use super::cache::Cache;
use super::queue::{Queue, Taken};
use super::sweep::{SOONEST, Sweeper, until_next};
use super::{Counts, Settings};
use crate::{StoreError, Then};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// A commit takes no more operations once it has this many bytes.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// One write: first run, then answered. Dropped unanswered only with the thread.
pub(super) trait Write: Send {
    fn run(&mut self, conn: &Connection) -> Result<(), StoreError>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// A write from a closure.
pub(super) struct Act<T, F> {
    act: Option<F>,
    out: Option<T>,
    then: Then<T>,
}

impl<T, F> Act<T, F> {
    pub(super) fn new(act: F, then: Then<T>) -> Act<T, F> {
        Act { act: Some(act), out: None, then }
    }
}

impl<T, F> Write for Act<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, conn: &Connection) -> Result<(), StoreError> {
        if let Some(act) = self.act.take() {
            self.out = Some(act(conn)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let out = self.out;
        (self.then)(outcome.and_then(|()| out.ok_or(StoreError::Closed)));
    }
}

/// Until the queue is closed and empty.
pub(super) fn run(
    conn: &Connection,
    queue: &Queue<Box<dyn Write>>,
    settings: &Settings,
    counts: &Counts,
    mut sweeper: Option<Sweeper>,
) {
    let mut batch = Vec::new();
    let mut cache = Cache::default();
    // Not at once: whoever is to be told of what has expired is to say so first.
    let mut sweep_at = sweeper.as_ref().map(|_| now() + SOONEST);
    loop {
        if let Some(sweeper) = &mut sweeper
            && sweep_at.is_some_and(|at| at <= now())
        {
            sweep_at = Some(now() + sweeper.sweep(conn));
        }
        let until = [sweep_at, cache.rests_at()].into_iter().flatten().min();
        match queue.take(&mut batch, settings.batch_ops_max, BATCH_BYTES_MAX, until) {
            Taken::Some => {
                commit(conn, &mut batch, counts);
                cache.used();
                // A message may be among them that expires before the sweeper wanted to come again.
                sweep_at = sweep_at.map(|at| at.min(now() + until_next()));
            }
            Taken::Nothing if cache.rests_at().is_some_and(|at| at <= now()) => cache.give_back(conn),
            Taken::Nothing => {}
            Taken::End => return,
        }
    }
}

/// Runs them, commits, answers them all in their order. Leaves `batch` empty.
fn commit(conn: &Connection, batch: &mut Vec<Box<dyn Write>>, counts: &Counts) {
    let began = now();
    let outcomes = match transaction(conn, batch) {
        Ok(outcomes) => outcomes,
        Err(e) => {
            tracing::error!(error = %e, writes = batch.len(), "a commit failed; nothing of it is acknowledged");
            vec![Err(e); batch.len()]
        }
    };
    let failed = outcomes.iter().filter(|o| o.is_err()).count();
    counts.commit_us.fetch_add(began.elapsed().as_micros() as u64, Relaxed);
    counts.commits.fetch_add(1, Relaxed);
    counts.writes.fetch_add((batch.len() - failed) as u64, Relaxed);
    counts.failed.fetch_add(failed as u64, Relaxed);
    for (write, outcome) in batch.drain(..).zip(outcomes) {
        if catch_unwind(AssertUnwindSafe(|| write.answer(outcome))).is_err() {
            tracing::error!("the receiver of a store's answer panicked");
        }
    }
}

/// The outcome of each, or why none of them is there.
fn transaction(conn: &Connection, batch: &mut [Box<dyn Write>]) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = steps_and_commit(conn, batch);
    // Some errors have rolled back already (SQLITE_FULL, SQLITE_IOERR); then there is nothing to end.
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    done
}

fn steps_and_commit(
    conn: &Connection,
    batch: &mut [Box<dyn Write>],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut outcomes = Vec::with_capacity(batch.len());
    for write in batch {
        outcomes.push(step(conn, write.as_mut())?);
    }
    conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(outcomes)
}

/// One write in its savepoint: when it fails, it alone is undone. `Err` outside: the whole
/// transaction is gone.
fn step(conn: &Connection, write: &mut dyn Write) -> Result<Result<(), StoreError>, StoreError> {
    conn.prepare_cached("SAVEPOINT step")?.execute([])?;
    let outcome = catch_unwind(AssertUnwindSafe(|| write.run(conn)))
        .unwrap_or_else(|_| Err(StoreError::Failed("the write panicked".into())));
    if let Err(e) = &outcome {
        if conn.is_autocommit() {
            return Err(e.clone());
        }
        conn.prepare_cached("ROLLBACK TO step")?.execute([])?;
    }
    conn.prepare_cached("RELEASE step")?.execute([])?;
    Ok(outcome)
}

#[allow(clippy::disallowed_methods)] // a driver: it measures commits and paces the sweep
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Writes a row of so many bytes; answers with its size.
    fn insert(bytes: usize, tell: &mpsc::Sender<Result<usize, StoreError>>) -> Box<dyn Write> {
        let tell = tell.clone();
        let act = move |conn: &Connection| {
            conn.execute("INSERT INTO t (x) VALUES (zeroblob(?1))", [bytes as i64])?;
            Ok(bytes)
        };
        Box::new(Act::new(act, Box::new(move |answer| tell.send(answer).unwrap())))
    }

    /// Whatever SQLite undoes when there is no more room, what is acknowledged is there, and nothing else.
    #[test]
    fn full() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (x); PRAGMA max_page_count = 20").unwrap();
        let (tell, hear) = mpsc::channel();
        let sizes = [10, 200_000, 20, 30_000, 200_000, 30];
        for batch in sizes.chunks(2) {
            commit(&conn, &mut batch.iter().map(|n| insert(*n, &tell)).collect(), &Counts::default());
        }
        drop(tell);
        let answers: Vec<_> = hear.iter().collect();
        assert_eq!(answers.len(), sizes.len());
        assert_eq!(answers[1], Err(StoreError::Full));
        assert_eq!(answers[4], Err(StoreError::Full));
        let acknowledged: Vec<usize> = answers.into_iter().flatten().collect();
        let mut rows = conn.prepare("SELECT length(x) FROM t ORDER BY rowid").unwrap();
        let rows = rows.query_map([], |row| row.get::<_, i64>(0)).unwrap();
        let rows: Vec<usize> = rows.map(|n| n.unwrap() as usize).collect();
        assert_eq!(rows, acknowledged);
        assert!(rows.contains(&30_000), "and goes on where there is room: {rows:?}");
    }

    #[test]
    fn a_write_that_panics_is_undone_alone() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("CREATE TABLE t (x)").unwrap();
        let (tell, hear) = mpsc::channel();
        let tell_bad = tell.clone();
        let bad = Act::new(
            |conn: &Connection| -> Result<usize, StoreError> {
                conn.execute("INSERT INTO t (x) VALUES (7)", [])?;
                panic!("on purpose")
            },
            Box::new(move |answer| tell_bad.send(answer).unwrap()),
        );
        let mut batch = vec![insert(1, &tell), Box::new(bad), insert(2, &tell)];
        commit(&conn, &mut batch, &Counts::default());
        drop(tell);
        let answers: Vec<_> = hear.iter().collect();
        assert_eq!((&answers[0], &answers[2]), (&Ok(1), &Ok(2)));
        assert!(matches!(answers[1], Err(StoreError::Failed(_))));
        let rows: i64 = conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 2);
    }
}
