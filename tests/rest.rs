//! Connections at rest: they are parked, and neither their clients nor who talks to them can tell.

mod support;

use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;
use support::page::{Page, Way};
use support::peer::{Peer, Via};
use support::{Herald, PATIENCE};

fn server() -> Herald {
    let herald = Herald::start_with("[stream_management]\nresume_secs = 60");
    for uid in ["alice", "bob"] {
        herald.user(uid, "secret");
    }
    herald
}

/// Waits until so many connections are parked.
#[allow(clippy::disallowed_methods)] // it waits for a change, within a limit
fn parked(herald: &Herald, count: usize) {
    let started = Instant::now();
    let wanted = format!("\nherald_connections_parked {count}\n");
    loop {
        let page = herald.http("GET", "/metrics", &[], "").text;
        if page.contains(&wanted) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "not {count}:\n{page}");
    }
}

fn available(herald: &Herald, via: Via, uid: &str) -> Peer {
    let mut peer = Peer::bind(herald, via, uid, "desk");
    peer.send("<presence xmlns='jabber:client'/>");
    peer.fence();
    peer
}

#[test]
fn streams_that_are_parked_talk_as_before() {
    for via in Via::ALL {
        let herald = server();
        let (mut alice, mut bob) = (available(&herald, via, "alice"), available(&herald, via, "bob"));
        for round in 0..2 {
            parked(&herald, 2);
            // Alice's socket wakes her connection, bob's outbox his.
            alice.message("bob@localhost", &format!("{via:?} {round}"));
            bob.expect_body(&format!("{via:?} {round}"));
            bob.message("alice@localhost", "I am here");
            alice.expect_body("I am here");
        }
        parked(&herald, 2);
        alice.close();
        alice.rest();
        drop(bob);
        parked(&herald, 0);
        let sessions = herald.api("GET", "/api/v1/sessions?uid=bob", None).json["sessions"].clone();
        assert_eq!(sessions, json!([]), "a parked connection that was cut is gone");
    }
}

#[test]
fn half_a_stanza_is_not_parked_and_is_not_lost() {
    let herald = server();
    let (mut alice, mut bob) = (available(&herald, Via::Tcp, "alice"), available(&herald, Via::Tcp, "bob"));
    alice.send("<message to='bob@localhost'><body>first ");
    parked(&herald, 1);
    bob.fence();
    parked(&herald, 1);
    alice.send("half</body></message>");
    bob.expect_body("first half");
    parked(&herald, 2);
}

#[test]
fn a_parked_stream_can_be_resumed() {
    let herald = server();
    let (alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
    parked(&herald, 1);
    // While it is parked another connection takes it over.
    let mut again = Peer::resume(&herald, Via::Websocket, "alice", &id, alice.handled);
    let mut bob = available(&herald, Via::Tcp, "bob");
    parked(&herald, 2);
    bob.message("alice@localhost/desk", "still there?");
    again.expect_body("still there?");
    // And one that is cut while it is parked waits for the next.
    parked(&herald, 2);
    let handled = again.handled;
    drop(again);
    parked(&herald, 1);
    bob.message("alice@localhost/desk", "and now?");
    bob.fence();
    let mut third = Peer::resume(&herald, Via::Tcp, "alice", &id, handled);
    third.expect_body("and now?");
}

#[test]
fn requests_that_wait_are_parked_and_answered() {
    let herald = server();
    let mut bob = available(&herald, Via::Tcp, "bob");
    let mut page = Page::login(&herald, Way::Socket, "alice", "secret");
    let mut poll = TcpStream::connect(herald.address("http")).expect("it listens");
    let hold =
        "<body xmlns='http://jabber.org/protocol/httpbind' to='localhost' rid='1' wait='60' hold='1' ver='1.11'/>";
    post(&mut poll, hold);
    let created = answer(&mut poll);
    let sid = created.split("sid='").nth(1).and_then(|rest| rest.split('\'').next()).expect("a sid").to_owned();
    let body = |rid: u32, payload: &str| {
        format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' sid='{sid}'>{payload}</body>")
    };
    // Held by a session that has not logged in.
    post(&mut poll, &body(2, ""));
    let mut idle = TcpStream::connect(herald.address("http")).expect("it listens");
    parked(&herald, 4);
    bob.message("alice@localhost", "to the page");
    let told = page.expect("message").to_string();
    assert!(told.contains("to the page"), "{told}");
    parked(&herald, 4);
    post(&mut idle, &body(3, ""));
    assert!(answer(&mut poll).contains("<body"), "the second request ends the wait of the first");
    parked(&herald, 4);
    idle.shutdown(Shutdown::Both).expect("it is open");
    parked(&herald, 3);
    drop(poll);
    parked(&herald, 2);
}

fn post(socket: &mut TcpStream, body: &str) {
    let head = format!("POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes()).expect("it reads");
}

/// One answer, whole.
fn answer(socket: &mut TcpStream) -> String {
    socket.set_read_timeout(Some(PATIENCE)).expect("a time");
    let (mut all, mut byte) = (Vec::new(), [0]);
    loop {
        socket.read_exact(&mut byte).expect("an answer");
        all.push(byte[0]);
        let text = String::from_utf8_lossy(&all);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next().and_then(|line| line.trim().parse::<usize>().ok()));
            if body.len() >= length.expect("a length") {
                return text.into_owned();
            }
        }
    }
}
