//! A seeded simulation: clients, a network that loses, delays, doubles and reorders, cuts connections and
//! repeats, pages that are loaded anew or opened twice, strangers, a clock that jumps; and the machine, driven as the
//! server drives it. `oracle.rs` says what must be true, `scenario.rs` what a seed plays.
//!
//! `HERALD_SEED=n` plays one seed and tells what happens; `HERALD_SEEDS=n` plays that many instead of the
//! usual number; with `HERALD_COUNT=1` it goes on after a failure and tells how many seeds fail.

mod client;
mod keys;
mod oracle;
mod random;
mod scenario;
mod server;
mod world;

use oracle::Tally;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use world::World;

const SEEDS: u64 = 100_000;

/// What has to have happened in so many seeds, or they show nothing.
const MUST_HAPPEN: [&str; 16] = [
    "ended well",
    "gave up",
    "ended by silence",
    "request lost",
    "response lost",
    "connection cut",
    "reload",
    "second tab",
    "pause",
    "stranger",
    "closed by the server",
    "handed back",
    "skipped a rid",
    "told to repeat",
    "put back",
    "put back for a new page",
];

#[test]
fn every_stanza_once_and_in_order_or_handed_back() {
    let number = |name| std::env::var(name).ok().and_then(|s| s.parse().ok());
    if let Some(seed) = number("HERALD_SEED") {
        World::new(seed, true).run();
        return;
    }
    let (seeds, count) = (number("HERALD_SEEDS").unwrap_or(SEEDS), number("HERALD_COUNT").is_some());
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::<(u64, String)>::new()));
    let tally = Mutex::new(Tally::default());
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {})); // one line is said at the end, not one for each thread
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let mut mine = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || !count && !failed.lock().expect("no panic").is_empty() {
                        break;
                    }
                    match std::panic::catch_unwind(|| World::new(seed, false).run()) {
                        Ok(one) => mine.add(&one),
                        Err(why) => failed.lock().expect("no panic").push((seed, said(&*why))),
                    }
                }
                tally.lock().expect("no panic").add(&mine);
            });
        }
    });
    std::panic::set_hook(hook);
    let (mut failed, tally) = (failed.into_inner().expect("no panic"), tally.into_inner().expect("no panic"));
    println!("{tally:?}");
    failed.sort();
    let mut reasons = std::collections::BTreeMap::<String, (u64, u64)>::new();
    for (seed, why) in failed.iter().rev() {
        let kind: String = why.chars().filter(|c| c.is_alphabetic() || *c == ' ').take(60).collect();
        let (first, n) = reasons.entry(kind).or_default();
        (*first, *n) = (*seed, *n + 1);
    }
    for (why, (first, n)) in reasons {
        println!("{n} failed, seed {first} first: {why}");
    }
    if let Some((seed, why)) = failed.first() {
        let n = failed.len();
        panic!("HERALD_SEED={seed} cargo test -p herald-bosh --test simulation  # {n} failed, this one: {why}");
    }
    for what in MUST_HAPPEN.iter().filter(|_| seeds >= 10_000) {
        assert!(tally.0.get(what).is_some_and(|n| *n >= seeds / 1_000), "not often enough: {what}");
    }
}

fn said(why: &(dyn std::any::Any + Send)) -> String {
    let text = why.downcast_ref::<String>().cloned().or_else(|| why.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    text.unwrap_or_default()
}
