//! How many durable writes a second, by how many are unanswered at a time: `cargo bench -p herald-storage`.
//!
//! The store lies in a new directory under the system's one for temporary files; where that is kept
//! in memory, set `TMPDIR` to a place on the disk to be measured.

use bytes::Bytes;
use herald_storage::sqlite::{Settings, Sqlite};
use herald_storage::{NewMessage, Store, wait};
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::{Credentials, ScramKeys};
use std::sync::mpsc;
use std::time::Instant;

/// The accounts of the import.
const USERS: usize = 100_000;
/// Accounts in one import.
const IMPORT: usize = 1_000;
/// Appends go round among so many users.
const TALKING: usize = 1_000;
const STANZA_BYTES: usize = 300;

fn main() {
    let home = tempfile::tempdir().unwrap();
    let store = Sqlite::open(home.path(), Settings::default()).unwrap();

    let accounts: Vec<(BareJid, Credentials)> = (0..USERS).map(|n| (user(n), keys())).collect();
    let began = now();
    for some in accounts.chunks(IMPORT) {
        wait(|then| store.import(some.to_vec(), then)).unwrap();
    }
    let secs = began.elapsed().as_secs_f64();
    println!("import: {USERS} accounts in {secs:.2} s");

    for (outstanding, appends) in [(1, 2_000), (16, 10_000), (256, 50_000), (4_096, 100_000)] {
        let before = store.stats();
        let began = now();
        many(&*store, outstanding, appends);
        let secs = began.elapsed().as_secs_f64();
        let commits = store.stats().commits - before.commits;
        println!(
            "{outstanding:>5} outstanding: {:>7.0} appends/s, {:>5.1} in a commit",
            appends as f64 / secs,
            appends as f64 / commits as f64
        );
    }

    let began = now();
    for n in 0..TALKING {
        let kept = wait(|then| store.pending(&user(n), 0, 100, usize::MAX, then)).unwrap();
        assert_eq!(kept.len(), 100);
    }
    let micros = began.elapsed().as_secs_f64() * 1e6 / TALKING as f64;
    println!("a page of 100 pending messages: {micros:.0} us");
}

fn many(store: &dyn Store, outstanding: usize, appends: usize) {
    let stanza = Bytes::from(vec![b'x'; STANZA_BYTES]);
    let (free, next) = mpsc::channel();
    (0..outstanding).for_each(|_| free.send(()).unwrap());
    for n in 0..appends {
        next.recv().unwrap();
        let free = free.clone();
        let message = NewMessage { at_ms: n as i64, expires_ms: None, stanza: stanza.clone(), extra: None };
        let then = move |answer: Result<_, _>| {
            assert!(answer.is_ok());
            let _ = free.send(());
        };
        store.append(&user(n % TALKING), message, Box::new(then));
    }
    (0..outstanding).for_each(|_| next.recv().unwrap());
}

fn user(n: usize) -> BareJid {
    BareJid::new(Some(&format!("user{n}")), "example.org").unwrap()
}

fn keys() -> Credentials {
    let keys = |size: usize| ScramKeys {
        salt: vec![1; 16].into(),
        iterations: 4096,
        stored_key: vec![2; size].into(),
        server_key: vec![3; size].into(),
    };
    Credentials { sha1: keys(20), sha256: keys(32) }
}

#[allow(clippy::disallowed_methods)] // measuring is what it is for
fn now() -> Instant {
    Instant::now()
}
