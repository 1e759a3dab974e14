//! What is particular to SQLite: the file, the queue, the grouped commits, the errors of the engine.

mod log;

use bytes::Bytes;
use herald_storage::sqlite::{Settings, Sqlite};
use herald_storage::{NewMessage, Put, Store, StoreError, wait};
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::{Credentials, ScramKeys};
use rusqlite::Connection;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

fn ada() -> BareJid {
    BareJid::new(Some("ada"), "example.org").unwrap()
}

/// In the year 2096: too young for any history to give it up.
const FUTURE_MS: i64 = 4_000_000_000_000;

fn keys() -> Credentials {
    let keys = |size: usize| ScramKeys {
        salt: vec![1; 16].into(),
        iterations: 4096,
        stored_key: vec![2; size].into(),
        server_key: vec![3; size].into(),
    };
    Credentials { sha1: keys(20), sha256: keys(32) }
}

fn message(bytes: usize) -> NewMessage {
    NewMessage { at_ms: FUTURE_MS, expires_ms: None, stanza: Bytes::from(vec![b'x'; bytes]), extra: None }
}

fn open(dir: &Path, settings: Settings) -> Arc<dyn Store> {
    let store = Sqlite::open(dir, settings).unwrap();
    wait(|then| store.put_account(&ada(), keys(), Put::Upsert, then)).unwrap();
    store
}

/// The file as another program sees it.
fn beside(dir: &Path) -> Connection {
    Connection::open(dir.join("herald.db")).unwrap()
}

fn append(store: &dyn Store) -> Result<u64, StoreError> {
    wait(|then| store.append(&ada(), message(10), then)).map(|appended| appended.id)
}

/// Keeps the writer busy until the sender is dropped or sent to.
fn hold_writer(store: &dyn Store) -> Sender<()> {
    let (release, held) = mpsc::channel();
    let (tell, holds) = mpsc::channel();
    let then = move |_| {
        tell.send(()).unwrap();
        let _ = held.recv();
    };
    store.delivered(&ada(), vec![], Box::new(then));
    holds.recv().unwrap();
    release
}

/// Asks for an append, without waiting.
fn begin_append(store: &dyn Store, user: &BareJid, bytes: usize) -> Receiver<Result<u64, StoreError>> {
    let (tell, hear) = mpsc::channel();
    let then = move |answer: Result<herald_storage::Appended, StoreError>| {
        tell.send(answer.map(|a| a.id)).unwrap();
    };
    store.append(user, message(bytes), Box::new(then));
    hear
}

#[test]
fn made_for_its_owner_only() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("new/data");
    let store = open(&dir, Settings::default());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in ["herald.db", "herald.db-wal", "herald.db-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    drop(store);
}

#[test]
fn the_settings_that_make_it_last() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings::default());
    let mode: String = beside(home.path()).pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    drop(store);
    let left: Vec<_> = home.path().read_dir().unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(left, ["herald.db"], "closed well, the log is folded in");
}

#[test]
fn one_commit_for_many_and_a_failure_for_one() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings::default());
    let nobody = BareJid::new(Some("nobody"), "example.org").unwrap();
    let release = hold_writer(&*store);
    let before = store.stats();
    let answers: Vec<_> = [ada(), nobody, ada(), ada()].iter().map(|user| begin_append(&*store, user, 10)).collect();
    assert_eq!(store.stats().writes_waiting, 4);
    drop(release);
    let answers: Vec<_> = answers.iter().map(|answer| answer.recv().unwrap()).collect();
    assert_eq!(answers, [Ok(1), Err(StoreError::NoAccount), Ok(2), Ok(3)]);
    let after = store.stats();
    assert_eq!(after.commits - before.commits, 1);
    assert_eq!(after.writes - before.writes, 3);
}

#[test]
fn a_full_queue_says_so_at_once() {
    let home = tempfile::tempdir().unwrap();
    let bounds = [
        (Settings { queue_ops_max: 2, ..Settings::default() }, 10),
        (Settings { queue_bytes_max: 25_000, ..Settings::default() }, 10_000),
    ];
    for (settings, bytes) in bounds {
        let store = open(home.path(), settings);
        let release = hold_writer(&*store);
        let first = begin_append(&*store, &ada(), bytes);
        let second = begin_append(&*store, &ada(), bytes);
        let third = begin_append(&*store, &ada(), bytes);
        assert_eq!(third.try_recv(), Ok(Err(StoreError::Busy)), "while the writer is still held");
        assert_eq!(store.stats().busy, 1);
        drop(release);
        let first = first.recv().unwrap().unwrap();
        assert_eq!(second.recv().unwrap(), Ok(first + 1));
        assert_eq!(append(&*store), Ok(first + 2), "and goes on; the refused one is not there");
    }
}

#[test]
fn a_receiver_that_panics_harms_nobody() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings { readers: 1, ..Settings::default() });
    store.append(&ada(), message(10), Box::new(|_| panic!("on purpose")));
    assert_eq!(append(&*store), Ok(2));
    store.pending_count(&ada(), Box::new(|_| panic!("on purpose")));
    assert_eq!(wait(|then| store.pending_count(&ada(), then)), Ok(2));
    assert_eq!(store.close(), Ok(()));
}

#[test]
fn the_last_owner_may_be_a_receiver() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings::default());
    let (tell, hear) = mpsc::channel();
    let release = hold_writer(&*store);
    let last = store.clone();
    let then = move |answer: Result<_, StoreError>| {
        drop(last); // closes the store on the store's own thread
        tell.send(answer).unwrap();
    };
    store.append(&ada(), message(10), Box::new(then));
    drop(store);
    drop(release);
    assert_eq!(hear.recv().unwrap().map(|a| a.id), Ok(1));
    let again = Sqlite::open(home.path(), Settings::default()).unwrap();
    assert_eq!(append(&*again), Ok(2));
}

#[test]
fn locked_by_another_process() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { busy_timeout: Duration::from_millis(10), ..Settings::default() };
    let store = open(home.path(), settings);
    assert_eq!(append(&*store), Ok(1));
    let other = beside(home.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(append(&*store), Err(StoreError::Locked));
    assert_eq!(wait(|then| store.pending_count(&ada(), then)), Ok(1), "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(append(&*store), Ok(2), "the refused one is not there");
}

#[test]
fn no_database() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("herald.db"), vec![b'?'; 8192]).unwrap();
    let refused = Sqlite::open(home.path(), Settings::default()).err();
    assert!(matches!(refused, Some(StoreError::Corrupt(_))), "{refused:?}");
}

#[test]
fn no_directory() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = Sqlite::open(&file, Settings::default()).err().unwrap();
    assert!(refused.to_string().contains("/file: "), "{refused}");
}

#[test]
fn a_damaged_row_is_said_and_not_passed_on() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings::default());
    beside(home.path()).execute("UPDATE account SET jid = 'no @ address'", []).unwrap();
    let page = wait(|then| store.accounts(None, 9, then));
    assert!(matches!(page, Err(StoreError::Corrupt(_))), "{page:?}");
}

#[test]
fn from_a_newer_program() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path(), Settings::default()));
    beside(home.path()).pragma_update(None, "user_version", 999).unwrap();
    let refused = Sqlite::open(home.path(), Settings::default()).err();
    assert!(matches!(refused, Some(StoreError::Newer { found: 999, .. })), "{refused:?}");
}

/// A plan that reads a whole table would pass every other test.
#[test]
fn every_row_is_found_by_an_index() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path(), Settings::default()));
    let conn = beside(home.path());
    let by_user = "user = (SELECT id FROM account WHERE jid = 'x')";
    for sql in [
        &format!("SELECT * FROM inbox WHERE {by_user} AND id > 5 ORDER BY id LIMIT 9"),
        &format!("DELETE FROM inbox WHERE {by_user} AND id = 5"),
        &format!("SELECT * FROM roster WHERE {by_user} ORDER BY contact"),
        &format!("SELECT * FROM private WHERE {by_user} AND space = 'a' AND key = 'b'"),
        "SELECT id FROM inbox WHERE user = 1 AND id > 5 AND delivered = 0 ORDER BY id LIMIT 9",
        "SELECT id FROM inbox WHERE user = 1 AND id < 5 ORDER BY id DESC LIMIT 9",
        "SELECT user FROM inbox WHERE user > 5 ORDER BY user LIMIT 1",
        "SELECT account.jid, inbox.id, counter.last_id
         FROM inbox JOIN counter ON counter.user = inbox.user JOIN account ON account.id = inbox.user
         WHERE expires_ms <= 5 ORDER BY expires_ms LIMIT 9",
        "SELECT 1 FROM inbox WHERE body = 5",
        "SELECT id FROM body WHERE number = x'05'",
        "DELETE FROM member WHERE user = 5",
        "SELECT jid FROM member WHERE user_group = 1 AND jid > 'x' ORDER BY jid LIMIT 9",
        "SELECT name FROM user_group WHERE name >= 'x' AND NOT (1 AND name = 'x') ORDER BY name LIMIT 9",
        "SELECT user, key FROM once WHERE until_ms <= 5 ORDER BY until_ms LIMIT 9",
        "SELECT key FROM result WHERE expires_ms <= 5 ORDER BY expires_ms LIMIT 9",
        "SELECT seq, item FROM outbox WHERE sink = (SELECT id FROM sink WHERE name = 'x') AND seq > 5 ORDER BY seq LIMIT 9",
        "SELECT jid FROM account WHERE jid > 'x' ORDER BY jid LIMIT 9",
    ] {
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        let slow = |step: &String| step.starts_with("SCAN") || step.contains("TEMP B-TREE");
        assert!(!steps.iter().any(slow), "{sql}: {steps:?}");
    }
}
