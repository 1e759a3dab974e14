//! What the child processes do.

use crate::{append, keys, open, user};
use bytes::Bytes;
use herald_storage::{NewMessage, Put, Store, StoreError, wait};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

/// So many appends each of two processes makes.
pub const SHARED: u64 = 200;

/// So many calls are unanswered at any time.
const OUTSTANDING: usize = 64;

/// Should nobody kill it, it ends.
const STEPS_MAX: u64 = 200_000;

/// So many users are written for.
pub const USERS: usize = 5;

pub fn run(kind: &str, dir: &Path) {
    match kind {
        "killed" => until_killed(open(dir)),
        "shares" => {
            let store = open(dir);
            (0..SHARED).for_each(|_| say(&append(&*store, 10).unwrap().to_string()));
        }
        "no_room" => {
            let store = open(dir);
            let mut failed = 0;
            while failed < 10 {
                match append(&*store, 4_000) {
                    Ok(id) => say(&id.to_string()),
                    Err(e) => {
                        failed += 1;
                        say(&format!("E {e}"));
                    }
                }
            }
        }
        _ => panic!("no such child: {kind}"),
    }
}

/// A whole line at once, straight into the pipe: a line that was said outlives us.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn until_killed(store: Arc<dyn Store>) {
    for n in 0..USERS {
        wait(|then| store.put_account(&user(n), keys(), Put::Create, then)).unwrap();
    }
    // One of a kind in all rounds, and newer rounds count on from older ones.
    let found = wait(|then| store.private(&user(0), "", "step", then)).unwrap();
    let first = found.map_or(0, |bytes| number(&bytes)) + STEPS_MAX;
    let (free, next) = mpsc::channel();
    (0..OUTSTANDING).for_each(|_| free.send(()).unwrap());
    for step in first..first + STEPS_MAX {
        next.recv().unwrap();
        one_step(&store, step, free.clone());
    }
}

pub fn number(bytes: &[u8]) -> u64 {
    std::str::from_utf8(bytes).unwrap().parse().unwrap()
}

/// `k` kept, `?` about to be marked delivered, `d` marked delivered, `p` a private value replaced.
fn one_step(store: &Arc<dyn Store>, step: u64, free: Sender<()>) {
    let n = step as usize % USERS;
    if step.is_multiple_of(7) {
        let value = Bytes::from(step.to_string());
        let then = move |answer: Result<(), StoreError>| {
            answer.unwrap();
            say(&format!("p {step}"));
            let _ = free.send(());
        };
        return store.put_private(&user(0), "", "step", Some(value), Box::new(then));
    }
    let message = NewMessage { at_ms: 0, expires_ms: None, stanza: step.to_string().into(), extra: None };
    let again = store.clone();
    let then = move |answer: Result<herald_storage::Appended, StoreError>| {
        let id = answer.unwrap().id;
        say(&format!("k {n} {id} {step}"));
        if !step.is_multiple_of(3) {
            let _ = free.send(());
            return;
        }
        say(&format!("? {n} {id}"));
        let then = move |answer: Result<(), StoreError>| {
            answer.unwrap();
            say(&format!("d {n} {id}"));
            let _ = free.send(());
        };
        again.delivered(&user(n), vec![id], Box::new(then));
    };
    store.append(&user(n), message, Box::new(then));
}
