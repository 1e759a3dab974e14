//! The log in its file: what time takes away, and what an older program left.

use super::{ada, append, beside, keys, message, open};
use herald_storage::sqlite::{Settings, Sqlite};
use herald_storage::{Extra, NewMessage, Page, Put, Retention, Slice, Store, wait};
use herald_xmpp::jid::BareJid;
use rusqlite::Connection;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

#[allow(clippy::disallowed_methods)] // messages expire against the wall clock
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis() as i64
}

fn rows(dir: &Path) -> i64 {
    beside(dir).query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap()
}

/// Who is told of expired messages, and hears of them here.
fn hear_expired(store: &dyn Store) -> Receiver<(BareJid, u64)> {
    let (tell, hear) = mpsc::channel();
    store.on_expired(Box::new(move |user, id| drop(tell.send((user.clone(), id)))));
    hear
}

/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn expired_messages_are_swept_and_told() {
    const EXPIRED: u64 = 1_300; // more than one sweep takes
    let home = tempfile::tempdir().unwrap();
    let unswept = Settings { sweeps: false, ..Settings::default() };
    let store = open(home.path(), unswept);
    for n in 0..EXPIRED {
        let expires = NewMessage { expires_ms: Some(i64::MAX - n as i64), ..message(10) };
        store.append(&ada(), expires, Box::new(|appended| assert!(appended.is_ok())));
    }
    assert_eq!(append(&*store), Ok(EXPIRED + 1));
    wait(|then| store.delivered(&ada(), vec![EXPIRED], then)).unwrap();
    drop(store);
    beside(home.path()).execute("UPDATE inbox SET expires_ms = id WHERE expires_ms IS NOT NULL", []).unwrap();

    let store = Sqlite::open(home.path(), Settings::default()).unwrap();
    let expired = hear_expired(&*store);
    for id in 1..EXPIRED {
        assert_eq!(expired.recv_timeout(LONG), Ok((ada(), id)));
    }
    assert_eq!(rows(home.path()), 2, "what is delivered or does not expire stays");
    let kept = wait(|then| store.history(&ada(), Slice::after(0, 9, 99), then)).unwrap();
    assert_eq!(kept.items.iter().map(|kept| kept.id).collect::<Vec<_>>(), [EXPIRED, EXPIRED + 1]);
    assert_eq!(kept.removed_to, 0, "nobody wants the expired");
    drop(store);
    assert!(expired.try_recv().is_err(), "the delivered one has not expired");
}

#[test]
fn the_sweeper_comes_in_time() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings::default());
    let expired = hear_expired(&*store);
    let expires_ms = Some(now_ms() + 100);
    let soon = NewMessage { expires_ms, ..message(10) };
    assert_eq!(wait(|then| store.append(&ada(), soon, then)).map(|a| a.id), Ok(1));
    assert_eq!(expired.recv_timeout(LONG), Ok((ada(), 1)));
    assert_eq!(rows(home.path()), 0);
    store.on_expired(Box::new(|_, _| panic!("only the first is told")));
}

fn history(store: &dyn Store) -> Page {
    wait(|then| store.history(&ada(), Slice::after(0, u32::MAX, usize::MAX), then)).unwrap()
}

fn ids(page: &Page) -> Vec<u64> {
    page.items.iter().map(|kept| kept.id).collect()
}

/// Until the sweeper has been there: it goes through all of them before it comes to this message, which
/// expires.
fn swept(store: &dyn Store) {
    let expired = hear_expired(store);
    let over = NewMessage { expires_ms: Some(now_ms() + 10), ..message(10) };
    wait(|then| store.append(&ada(), over, then)).unwrap();
    expired.recv_timeout(LONG).unwrap();
    wait(|then| store.delivered(&ada(), vec![], then)).unwrap(); // behind the rest of that sweep
}

#[test]
fn old_history_goes_by_age() {
    let home = tempfile::tempdir().unwrap();
    let history_of = Retention { days: 2, messages_max: 100 };
    let settings = Settings { history: history_of, ..Settings::default() };
    let store = open(home.path(), Settings { sweeps: false, ..settings.clone() });
    let hours_ago = |hours: i64| NewMessage { at_ms: now_ms() - hours * 3_600_000, ..message(10) };
    for hours in [90, 80, 70, 49, 47, 0] {
        wait(|then| store.append(&ada(), hours_ago(hours), then)).unwrap();
    }
    wait(|then| store.delivered(&ada(), vec![1, 3, 4, 5], then)).unwrap();
    assert_eq!(ids(&history(&*store)), [1, 2, 3, 4, 5, 6]);
    drop(store);

    let store = Sqlite::open(home.path(), settings.clone()).unwrap();
    swept(&*store);
    let left = history(&*store);
    assert_eq!(ids(&left), [2, 5, 6], "what is pending stays however old it is");
    assert_eq!((left.removed_to, left.last), (4, 7));
    drop(store);

    let none = Settings { history: Retention::NONE, ..settings };
    let store = Sqlite::open(home.path(), none).unwrap();
    swept(&*store);
    let left = history(&*store);
    assert_eq!(ids(&left), [2, 6], "without a history, what one left goes");
    assert_eq!(left.removed_to, 5);
}

#[test]
fn keys_that_are_over_go() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings { sweeps: false, ..Settings::default() });
    let extra = || Extra { once: Some("k".into()), collapse: Some("k".into()), ..Extra::default() };
    let with = || NewMessage { extra: Some(Box::new(extra())), ..message(10) };
    assert!(!wait(|then| store.append(&ada(), with(), then)).unwrap().repeated);
    assert!(wait(|then| store.append(&ada(), with(), then)).unwrap().repeated);
    drop(store);
    let file = beside(home.path());
    file.execute_batch("UPDATE once SET until_ms = 1; DELETE FROM inbox; UPDATE counter SET delivered_to = 1").unwrap();

    let store = Sqlite::open(home.path(), Settings::default()).unwrap();
    swept(&*store);
    let left = |table: &str| -> i64 {
        file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!((left("once"), left("collapse")), (0, 0));
    assert!(!wait(|then| store.append(&ada(), with(), then)).unwrap().repeated);
}

#[test]
fn a_body_is_there_once_and_goes() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), Settings::default());
    let shared = |number| NewMessage {
        extra: Some(Box::new(Extra { shared: Some(number), ..Extra::default() })),
        ..message(5_000)
    };
    let users: Vec<BareJid> = ["bob", "cyd"].map(|name| BareJid::new(Some(name), "example.org").unwrap()).into();
    wait(|then| store.import(users.iter().map(|user| (user.clone(), keys())).collect(), then)).unwrap();
    for user in users.iter().chain([&ada()]) {
        for number in [1, u128::MAX] {
            wait(|then| store.append(user, shared(number), then)).unwrap();
        }
    }
    let bytes = |table: &str| -> Option<i64> {
        let sql = format!("SELECT sum(length(stanza)) FROM {table}");
        beside(home.path()).query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((bytes("body"), bytes("inbox")), (Some(10_000), None));
    for user in users {
        wait(|then| store.delete_account(&user, then)).unwrap();
    }
    assert_eq!(bytes("body"), Some(10_000), "one has it still");
    wait(|then| store.delete_account(&ada(), then)).unwrap();
    assert_eq!(bytes("body"), None);
}

/// A file that the first version of the program has made.
fn made_by_version_1(dir: &Path) {
    let conn = Connection::open(dir.join("herald.db")).unwrap();
    conn.execute_batch(include_str!("../../src/sqlite/migrations/0001_first.sql")).unwrap();
    conn.execute_batch(
        "INSERT INTO account VALUES (1, 'ada@example.org', x'01', 4096, x'02', x'03', x'01', 4096, x'02', x'03'),
                                    (2, 'bob@example.org', x'01', 4096, x'02', x'03', x'01', 4096, x'02', x'03');
         INSERT INTO counter VALUES (1, 9, 3, 0), (2, 4, 0, 0);
         INSERT INTO inbox VALUES (1, 6, 1790000000000, NULL, CAST('six' AS BLOB)), (1, 8, 1790000000001, NULL, CAST('eight' AS BLOB)),
                                  (1, 9, 1790000000002, 1790000000003, x'00');
         PRAGMA user_version = 1;",
    )
    .unwrap();
}

#[test]
fn a_file_of_version_1_keeps_what_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    made_by_version_1(home.path());
    let store = Sqlite::open(home.path(), Settings::default()).unwrap();
    let pending = wait(|then| store.pending(&ada(), 0, 9, usize::MAX, then)).unwrap();
    let texts: Vec<_> = pending.iter().map(|kept| (kept.id, &kept.stanza[..])).collect();
    assert_eq!(texts, [(6, &b"six"[..]), (8, b"eight")]);
    let log = history(&*store);
    assert_eq!((ids(&log), log.last, log.removed_to), (vec![6, 8], 9, 5), "what went then is gone");
    assert_eq!(wait(|then| store.delivered_to(&ada(), 6, then)), Ok(1));
    assert_eq!(append(&*store), Ok(10));
    assert_eq!(wait(|then| store.roster(&ada(), then)).unwrap().version, 3);
    let bob = BareJid::new(Some("bob"), "example.org").unwrap();
    let log = wait(|then| store.history(&bob, Slice::after(0, 9, 99), then)).unwrap();
    assert_eq!((log.last, log.removed_to), (4, 4));
    drop(store);
    let again = Sqlite::open(home.path(), Settings::default()).unwrap();
    assert_eq!(append(&*again), Ok(11));
    assert_eq!(wait(|then| again.put_account(&bob, keys(), Put::Create, then)), Ok(false));
}
