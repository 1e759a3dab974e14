//! Bytes of one more session at rest: authenticated, bound, available, silent, each of a user of its own.
//!
//! They are bytes of the heap (`src/heap.rs`), so what the kernel keeps for a socket is not in them, and holes between
//! blocks are not. Of two numbers of sessions the difference is taken; both lie between the sizes at which
//! tables double, and a table doubles once in between.

use crate::bosh::Page;
use crate::support::peer::{Peer, Via};
use crate::support::{self, Herald, Home};
use crate::{Figures, on_one_processor, seed};
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

const FEW: usize = 1_250;
const MANY: usize = 2_500;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(500);
/// At rest is what has not changed for so long: longer than the server waits before it makes a silent connection smaller.
const REST: Duration = Duration::from_secs(10);
/// It comes to rest within this.
const REST_MAX: Duration = Duration::from_secs(60);
/// The page of metrics itself and what ticks in the server may come and go, in bytes.
const PLAY_BYTES: u64 = 1_024;

#[derive(Clone, Copy)]
enum Way {
    Stream(Via),
    Bosh,
}

const WAYS: [(&str, Way); 4] = [
    ("tcp", Way::Stream(Via::Tcp)),
    ("tls", Way::Stream(Via::Tls)),
    ("websocket", Way::Stream(Via::Websocket)),
    ("bosh", Way::Bosh),
];

/// A client that is there.
enum Session {
    Stream { _peer: Box<Peer> },
    Bosh { _page: Box<Page> },
}

/// For each way to connect.
pub fn bytes() -> Figures {
    let files = (WAYS.len() + 1) * MANY + 500;
    assert!(support::raise_open_files(files as u64), "{files} open files are needed (ulimit -Hn)");
    let home = seed::home((0..MANY).map(uid));
    let homes: Vec<_> = WAYS.iter().map(|_| seed::copy(&home)).collect();
    thread::scope(|threads| {
        let measured: Vec<_> = WAYS
            .into_iter()
            .zip(homes)
            .enumerate()
            .map(|(at, ((name, way), home))| threads.spawn(move || (name.to_owned(), of(way, home, at))))
            .collect();
        measured.into_iter().map(|way| way.join().expect("it is measured")).collect()
    })
}

fn of(way: Way, home: Home, processor: usize) -> f64 {
    let mut command = on_one_processor(support::herald(home.path()), processor);
    command.env("TOKIO_WORKER_THREADS", "1");
    let herald = home.start_as(command);
    let mut sessions: Vec<_> = (0..FEW).map(|at| login(&herald, way, at)).collect();
    let few = at_rest(&herald);
    sessions.extend((FEW..MANY).map(|at| login(&herald, way, at)));
    let many = at_rest(&herald);
    (many - few) as f64 / (MANY - FEW) as f64
}

fn uid(at: usize) -> String {
    format!("user{at}")
}

fn login(herald: &Herald, way: Way, at: usize) -> Session {
    match way {
        Way::Stream(via) => {
            let mut peer = Peer::bind(herald, via, &uid(at), "rest");
            peer.send("<presence xmlns='jabber:client'/>");
            peer.fence();
            Session::Stream { _peer: Box::new(peer) }
        }
        Way::Bosh => {
            let mut page = Page::login(herald, &uid(at));
            page.park();
            Session::Bosh { _page: Box::new(page) }
        }
    }
}

/// What is allocated when that has not changed for a while.
#[allow(clippy::disallowed_methods)] // it waits for a change, within a limit
fn at_rest(herald: &Herald) -> u64 {
    let started = Instant::now();
    let mut seen = VecDeque::new();
    while started.elapsed() < REST_MAX {
        let bytes = allocated(herald);
        seen.retain(|other: &u64| other.abs_diff(bytes) <= PLAY_BYTES);
        seen.push_back(bytes);
        if seen.len() as u128 * LOOK.as_millis() > REST.as_millis() {
            return seen.iter().copied().min().unwrap_or(bytes);
        }
        thread::sleep(LOOK);
    }
    panic!("the server did not come to rest within {REST_MAX:?}; last it was {seen:?}");
}

fn allocated(herald: &Herald) -> u64 {
    let page = herald.http("GET", "/metrics", &[], "");
    let line = page.text.lines().find_map(|line| line.strip_prefix("herald_heap_bytes "));
    line.and_then(|n| n.parse().ok()).expect("a server with the feature `guard`: run `cargo xtask guard`")
}
