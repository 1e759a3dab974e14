//! The pages that a connection keeps in memory: given back when nobody has asked for a while.
//!
//! SQLite keeps up to 2 MB for each connection and never lets go of it by itself. What a storm of logins has read
//! would then count for the sessions that came of it, for as long as they last.

use super::writer::now;
use rusqlite::Connection;
use std::time::{Duration, Instant};

/// So long nobody asks, and the pages are given back.
const REST: Duration = Duration::from_secs(3);

/// When a connection was used last, unless it has given everything back since.
#[derive(Default)]
pub(super) struct Cache(Option<Instant>);

impl Cache {
    /// The connection was just used.
    pub(super) fn used(&mut self) {
        self.0 = Some(now());
    }

    /// When to give the pages back, if there are any.
    pub(super) fn rests_at(&self) -> Option<Instant> {
        self.0.map(|used| used + REST)
    }

    /// Gives them back; what is needed again is read again, mostly from the system's own cache.
    pub(super) fn give_back(&mut self, conn: &Connection) {
        self.0 = None;
        if let Err(e) = conn.execute_batch("PRAGMA shrink_memory") {
            tracing::debug!("pages are kept in memory: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    /// What the pages in memory take, in bytes.
    fn cached(conn: &Connection) -> i32 {
        let (mut now, mut most) = (0, 0);
        // SAFETY: the connection is open, and the two places are there for the length of the call.
        let done =
            unsafe { ffi::sqlite3_db_status(conn.handle(), ffi::SQLITE_DBSTATUS_CACHE_USED, &mut now, &mut most, 0) };
        assert_eq!(done, ffi::SQLITE_OK);
        now
    }

    #[test]
    fn pages_are_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let conn = Connection::open(folder.path().join("pages.db")).unwrap();
        let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)";
        let fill = format!("CREATE TABLE t (text); {rows} INSERT INTO t SELECT randomblob(1000) FROM n");
        conn.execute_batch(&fill).unwrap();
        let used = || {
            let sum: i64 = conn.query_row("SELECT sum(length(text)) FROM t", [], |row| row.get(0)).unwrap();
            assert_eq!(sum, 500_000);
            cached(&conn)
        };
        let mut cache = Cache::default();
        assert_eq!(cache.rests_at(), None);
        assert!(used() > 400_000);
        cache.used();
        assert!(cache.rests_at().is_some());
        cache.give_back(&conn);
        assert!(cached(&conn) < 50_000, "{}", cached(&conn));
        assert_eq!(cache.rests_at(), None, "there is nothing to give back twice");
        assert!(used() > 400_000);
    }
}
