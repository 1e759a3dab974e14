//! The database file: made with narrow permissions, opened with our settings, brought to the newest schema.

use super::{Settings, Synchronous};
use crate::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The database in its directory. SQLite puts `-wal` and `-shm` beside it, with the same permissions.
pub(super) const FILE: &str = "herald.db";

/// One file for each version of the schema; the first makes version 1. Never changed once released.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_first.sql"), include_str!("migrations/0002_log.sql")];

/// So many prepared statements a connection keeps: more than there are different ones.
const STATEMENTS_MAX: usize = 128;

/// The log is carried over into the file when it has so many pages (of 4 KiB). A page written many
/// times meanwhile is carried over once; what waits here is read again after a crash.
const LOG_PAGES: u32 = 8_192;

/// After a checkpoint the write-ahead log is cut back to this.
const LOG_BYTES_MAX: u32 = 64 << 20;

/// Makes the directory (0700) and an empty file (0600) where they are missing. Leaves what is there.
///
/// The lock keeps others from opening the same store until it is dropped. Two reasons: who switches a
/// new file to a write-ahead log meanwhile is refused at once, whatever the busy timeout; and closing
/// a descriptor of our own on the file would end the locks SQLite holds on it in this process.
pub(super) fn make(dir: &Path) -> Result<(PathBuf, File), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| cannot(dir, &e))?;
    let opening = File::open(dir).map_err(|e| cannot(dir, &e))?;
    opening.lock().map_err(|e| cannot(dir, &e))?;
    let path = dir.join(FILE);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        // The name must last too, or a power cut takes everything acknowledged with it.
        Ok(_) => opening.sync_all().map_err(|e| cannot(dir, &e))?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(cannot(&path, &e)),
    }
    Ok((path, opening))
}

/// A connection that writes; brings the schema to the newest version.
pub(super) fn open_writer(path: &Path, settings: &Settings) -> Result<Connection, StoreError> {
    let mut conn = connect(path, settings)?;
    let synchronous = match settings.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", LOG_PAGES, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_MAX, |_| Ok(()))?;
    migrate(&mut conn, MIGRATIONS)?;
    Ok(conn)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path, settings: &Settings) -> Result<Connection, StoreError> {
    let conn = connect(path, settings)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn connect(path: &Path, settings: &Settings) -> Result<Connection, StoreError> {
    // No CREATE: the file is there, and one that was taken away must not come back empty. Each
    // connection belongs to one thread, so SQLite needs no mutex of its own.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(settings.busy_timeout)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Failed(format!(
            "{} cannot have a write-ahead log here (it has {mode}); is it on a network disk?",
            path.display()
        )));
    }
    Ok(conn)
}

/// Each step is one transaction; another process may be doing the same right now, so the version is
/// read again under the write lock.
fn migrate(conn: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let known = steps.len() as u32;
    while version(conn)? != known {
        let step = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found = version(&step)?;
        if found > known {
            return Err(StoreError::Newer { found, known });
        }
        if let Some(sql) = steps.get(found as usize) {
            step.execute_batch(sql)?;
            step.pragma_update(None, "user_version", found + 1)?;
        }
        step.commit()?;
    }
    Ok(())
}

fn version(conn: &Connection) -> Result<u32, StoreError> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn cannot(path: &Path, e: &io::Error) -> StoreError {
    match e.kind() {
        io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
        io::ErrorKind::StorageFull => StoreError::Full,
        _ => StoreError::Open { path: path.display().to_string(), why: e.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody outside the connection can see these.
    #[test]
    fn durable_unless_told_otherwise() {
        let home = tempfile::tempdir().unwrap();
        let (path, _opening) = make(home.path()).unwrap();
        for (synchronous, expected) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
            let settings = Settings { synchronous, ..Settings::default() };
            let conn = open_writer(&path, &settings).unwrap();
            let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            assert_eq!(pragma("synchronous"), Ok(expected));
            assert_eq!(pragma("foreign_keys"), Ok(1));
        }
        let reader = open_reader(&path, &Settings::default()).unwrap();
        let write = reader.execute("DELETE FROM account", []).map_err(StoreError::from);
        assert_eq!(write, Err(StoreError::ReadOnly));
    }

    #[test]
    fn each_step_once_and_in_order() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, &["CREATE TABLE a (x)"]).unwrap();
        migrate(&mut conn, &["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"]).unwrap();
        conn.execute("INSERT INTO a (x, y) VALUES (1, 2)", []).unwrap();
        assert_eq!(version(&conn), Ok(2));
    }

    #[test]
    fn a_step_that_fails_leaves_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        let bad = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
        assert!(matches!(migrate(&mut conn, &bad), Err(StoreError::Failed(_))));
        assert_eq!(version(&conn), Ok(1));
        assert!(conn.execute("INSERT INTO b (x) VALUES (1)", []).is_err());
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "user_version", 7).unwrap();
        let refused = migrate(&mut conn, &["CREATE TABLE a (x)"]);
        assert_eq!(refused, Err(StoreError::Newer { found: 7, known: 1 }));
    }
}
