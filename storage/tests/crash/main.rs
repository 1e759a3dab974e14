//! Processes that die, share, and run out of room. This program starts itself again as the child, so
//! it brings its own `main`: `cargo test --test crash [name]`.
//!
//! A child says on its standard output what was acknowledged to it, when it was. SIGKILL takes the
//! process and leaves the operating system, so this shows what a crash does, not a power cut.

mod child;
mod ledger;

use herald_storage::sqlite::{Settings, Sqlite};
use herald_storage::{NewMessage, Put, Store, StoreError, wait};
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::{Credentials, ScramKeys};
use ledger::Ledger;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

const TESTS: [(&str, fn()); 3] = [("killed", killed), ("two_processes", two_processes), ("no_room", no_room)];

/// So often the process is killed, and the store opened again.
const ROUNDS: u64 = 15;

/// The child lives for at most so many lines of its output.
const LINES_MAX: u64 = 4_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mark, kind, dir] = &args[..]
        && mark == "child"
    {
        return child::run(kind, Path::new(dir));
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    for (name, test) in TESTS {
        if args.iter().any(|arg| arg == "--list") {
            println!("{name}: test");
        } else if filters.is_empty() || filters.iter().any(|part| name.contains(*part)) {
            test();
            println!("test {name} ... ok");
        }
    }
}

/// Nothing acknowledged is gone, nothing is there twice, and ids only grow, through every crash.
fn killed() {
    let home = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for round in 1..=ROUNDS {
        // Any mixture will do; the moment of death is at the mercy of the scheduler anyway.
        let after = 1 + round.wrapping_mul(0x9e37_79b9_7f4a_7c15) % LINES_MAX;
        let mut child = start(&mut me("killed", home.path()));
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        for _ in 0..after {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the child ended by itself");
            ledger.note(&line);
        }
        child.kill().unwrap();
        let mut rest = Vec::new();
        said.read_to_end(&mut rest).unwrap();
        for line in String::from_utf8(rest).unwrap().split_inclusive('\n') {
            ledger.note(line);
        }
        child.wait().unwrap();
        ledger.check(&*open(home.path()), &format!("round {round}, after {after} lines"));
    }
    ledger.must_have_seen_enough();
}

/// Two processes write for one user at once: each gets its own ids, and there are no gaps.
fn two_processes() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path());
    wait(|then| store.put_account(&user(0), keys(), Put::Create, then)).unwrap();
    let child = start(&mut me("shares", home.path()));
    let mut ids: Vec<u64> = (0..child::SHARED).map(|_| append(&*store, 10).unwrap()).collect();
    let said = child.wait_with_output().unwrap();
    assert!(said.status.success());
    ids.extend(String::from_utf8(said.stdout).unwrap().lines().map(|id| id.parse::<u64>().unwrap()));
    ids.sort_unstable();
    assert_eq!(ids, (1..=2 * child::SHARED).collect::<Vec<_>>());
    assert_eq!(wait(|then| store.pending_count(&user(0), then)), Ok(2 * child::SHARED));
}

/// Where files may not grow any more, writes fail with an error, and only those.
fn no_room() {
    let home = tempfile::tempdir().unwrap();
    wait(|then| open(home.path()).put_account(&user(0), keys(), Put::Create, then)).unwrap();
    let child = me("no_room", home.path());
    // 150 KB; the signal that would end the process is ignored, so the write itself fails.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\""]);
    limited.arg(child.get_program()).args(child.get_args());
    let said = start(&mut limited).wait_with_output().unwrap();
    assert!(said.status.success());
    let said = String::from_utf8(said.stdout).unwrap();
    let (kept, failed): (Vec<&str>, Vec<&str>) = said.lines().partition(|l| !l.starts_with('E'));
    assert!(kept.len() > 5 && failed.len() > 5, "{said}");

    let store = open(home.path());
    let there = wait(|then| store.pending(&user(0), 0, u32::MAX, usize::MAX, then)).unwrap();
    let there: BTreeSet<u64> = there.iter().map(|kept| kept.id).collect();
    assert_eq!(there, kept.iter().map(|id| id.parse().unwrap()).collect());
    assert_eq!(append(&*store, 10), Ok(there.len() as u64 + 1), "with room again, it goes on");
}

fn me(kind: &str, dir: &Path) -> Command {
    let mut me = Command::new(std::env::current_exe().unwrap());
    me.args(["child", kind]).arg(dir);
    me
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

fn open(dir: &Path) -> Arc<dyn Store> {
    Sqlite::open(dir, Settings::default()).unwrap()
}

fn user(n: usize) -> BareJid {
    BareJid::new(Some(&format!("user{n}")), "example.org").unwrap()
}

fn append(store: &dyn Store, bytes: usize) -> Result<u64, StoreError> {
    let message = NewMessage { at_ms: 0, expires_ms: None, stanza: vec![b'x'; bytes].into(), extra: None };
    wait(|then| store.append(&user(0), message, then)).map(|appended| appended.id)
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
