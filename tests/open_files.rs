//! A system that allows few open files: clients over the limit are closed, and the server goes on as it should.
//! A file of its own, because the limit is the process's.

#![allow(clippy::disallowed_methods)] // it waits for a change, within a limit

mod support;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::client::Client;
use support::{Herald, PATIENCE};

const OPEN_FILES: u64 = 400;
/// A quarter is for the server itself.
const PLACES: usize = 300;

fn limit_open_files() {
    let limit = libc::rlimit { rlim_cur: OPEN_FILES, rlim_max: OPEN_FILES };
    // SAFETY: the pointer is to a whole rlimit that outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

fn open_files_of(herald: &Herald) -> u32 {
    let metrics = herald.api("GET", "/metrics", None).text;
    let line = metrics.lines().find_map(|line| line.strip_prefix("process_open_fds "));
    line.and_then(|n| n.parse().ok()).expect("a number")
}

#[test]
fn clients_take_no_file_that_the_server_needs() {
    limit_open_files();
    let herald = Herald::start_with("[limits]\nhead_secs = 60\n[auth]\nlogin_secs = 60\n");
    assert!(herald.log().contains("400 open files are allowed: that is for 300 connections"), "{}", herald.log());
    herald.user("alice", "secret");
    let alice = Client::login(&herald, "alice", "secret", "first");
    let mut sockets: Vec<TcpStream> = (0..PLACES + 20)
        .map(|_| {
            let socket = TcpStream::connect(herald.address("xmpp")).expect("the kernel accepts");
            socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
            socket
        })
        .collect();
    // They were accepted in order: the last one is closed, and so are those before it that are too many.
    let last = sockets.last_mut().expect("a socket");
    last.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    assert!(matches!(last.read(&mut [0]), Ok(0) | Err(_)), "it is closed");
    let is_open = |mut socket: &TcpStream| !matches!(socket.read(&mut [0]), Ok(0));
    assert_eq!(sockets.iter().take(PLACES - 1).filter(|s| is_open(s)).count(), PLACES - 1);
    assert_eq!(sockets.iter().skip(PLACES - 1).filter(|s| is_open(s)).count(), 0);

    // There is room for everything else: commands, the operator's port, those who are there.
    herald.user("bob", "secret");
    assert_eq!(herald.api("GET", "/api/v1/status", None).status, 200);
    drop(alice);
    sockets.clear();
    let begun = Instant::now();
    while open_files_of(&herald) > 100 {
        assert!(begun.elapsed() < PATIENCE, "the server keeps files of clients that are gone");
    }
    Client::login(&herald, "bob", "secret", "when there is room again");
}
