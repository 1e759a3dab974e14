//! Stream management (XEP-0198) over real sockets: whatever happens to a connection, each message comes
//! exactly once, and contacts see a user leave once or not at all.

#![allow(clippy::disallowed_methods)] // it waits for a change, within a limit

mod support;

use serde_json::json;
use std::time::Instant;
use support::peer::{Peer, Via};
use support::{Herald, PATIENCE};

const ALICE: &str = "alice@localhost";
const DESK: &str = "alice@localhost/desk";

/// A server with `alice`, whose presence `bob` sees, and `carol`.
fn server(toml: &str) -> Herald {
    let herald = Herald::start_with(toml);
    for user in ["alice", "bob", "carol"] {
        herald.user(user, "secret");
    }
    let mut alice = Peer::bind(&herald, Via::Tcp, "alice", "first");
    let mut bob = available(&herald, "bob");
    bob.send("<presence to='alice@localhost' type='subscribe'/>");
    alice.send("<presence/>");
    alice.expect("type='subscribe'");
    alice.send("<presence to='bob@localhost' type='subscribed'/>");
    bob.expect("<presence from='alice@localhost/first'");
    for mut peer in [alice, bob] {
        peer.close();
        peer.rest();
    }
    herald
}

fn available(herald: &Herald, uid: &str) -> Peer {
    let mut peer = Peer::bind(herald, Via::Tcp, uid, "pc");
    peer.send("<presence/>");
    peer.fence();
    peer
}

/// Waits until so many sessions are without a connection.
fn wait_for_resumable(herald: &Herald, wanted: u64) {
    let start = Instant::now();
    loop {
        let said = herald.api("GET", "/api/v1/status", None).json["resumable"].as_u64();
        if said == Some(wanted) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{said:?} are resumable, not {wanted}");
        std::thread::yield_now();
    }
}

fn transport_of_alice(herald: &Herald) -> String {
    let sessions = herald.api("GET", "/api/v1/sessions?uid=alice", None).json["sessions"].clone();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "{sessions}");
    sessions[0]["transport"].as_str().expect("a transport").to_owned()
}

/// How often each of `what` came: these bodies in this order and nothing else.
#[track_caller]
fn assert_bodies(text: &str, wanted: &[&str]) {
    let bodies = text.split("<body>").skip(1).map(|rest| rest.split("</body>").next().expect("an end"));
    assert_eq!(bodies.collect::<Vec<_>>(), wanted, "{text}");
}

#[test]
fn a_stream_goes_on_over_any_transport_and_contacts_see_nothing() {
    let herald = server("");
    let mut bob = available(&herald, "bob");
    for from in Via::ALL {
        let (mut alice, id) = Peer::managed(&herald, from, "alice", "desk", 60);
        bob.expect(DESK);
        alice.message("bob@localhost/pc", "up");
        bob.expect_body("up");
        bob.message(ALICE, "a");
        bob.message(DESK, "b");
        alice.expect_body("b");
        let mut h = alice.handled - 1; // as far as the client knows, the last one did not arrive
        let mut lost = vec!["b"];
        drop(alice);
        for to in Via::ALL {
            wait_for_resumable(&herald, 1);
            bob.message(DESK, "c");
            bob.message(ALICE, "d");
            bob.fence();
            let mut again = Peer::resume(&herald, to, "alice", &id, h);
            let resumed = again.expect("/>");
            assert!(resumed.contains("<resumed ") && resumed.contains(&format!("previd='{id}'")), "{resumed}");
            lost.extend(["c", "d"]);
            assert_bodies(&again.fence(), &lost);
            assert_eq!(transport_of_alice(&herald), to.transport());
            lost.clear();
            h = again.handled;
        }
        wait_for_resumable(&herald, 1);
        let mut last = Peer::resume(&herald, from, "alice", &id, h);
        last.expect("<resumed ");
        assert!(!bob.fence().contains("<presence"), "contacts see nothing of it");
        last.close();
        last.rest();
        let gone = bob.expect("unavailable");
        assert_eq!(gone.matches("<presence").count(), 1, "{gone}");
    }
    wait_for_resumable(&herald, 0);
}

#[test]
fn what_the_server_has_handled_is_said_at_the_resumption() {
    let herald = server("");
    let (mut alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60); // a presence and an iq
    for n in 0..5 {
        alice.message("bob@localhost", &format!("m{n}"));
    }
    alice.send("<r xmlns='urn:xmpp:sm:3'/>");
    alice.expect("<a xmlns='urn:xmpp:sm:3' h='7'/>");
    alice.message("bob@localhost", "m5");
    alice.fence();
    let h = alice.handled;
    drop(alice);
    wait_for_resumable(&herald, 1);
    let mut alice = Peer::resume(&herald, Via::Tcp, "alice", &id, h);
    alice.expect("<resumed xmlns='urn:xmpp:sm:3' h='9'");
    let mut bob = available(&herald, "bob");
    assert_bodies(&bob.fence(), &[]);
    drop(bob);
    let offline = herald.api("GET", "/api/v1/users/bob", None);
    assert_eq!(offline.status, 200, "{}", offline.text);
}

#[test]
fn a_connection_that_seems_alive_has_to_go() {
    let herald = server("");
    let mut bob = available(&herald, "bob");
    for (old, new) in [(Via::Tcp, Via::Tcp), (Via::Tls, Via::Websocket), (Via::Websocket, Via::Tls)] {
        let (mut alice, id) = Peer::managed(&herald, old, "alice", "desk", 60);
        bob.expect(DESK);
        bob.message(ALICE, "a");
        alice.expect_body("a");
        let mut again = Peer::resume(&herald, new, "alice", &id, alice.handled - 1);
        again.expect("<resumed ");
        again.expect("/>");
        let last = alice.rest();
        assert!(last.contains("<conflict "), "{last}");
        bob.message(ALICE, "b");
        bob.fence();
        assert_bodies(&again.fence(), &["a", "b"]);
        assert!(!bob.fence().contains("<presence"));
        again.acknowledge();
        again.close();
        again.rest();
        bob.expect("unavailable");
    }
}

#[test]
fn what_is_not_there_fails_and_a_resource_can_be_bound_then() {
    let herald = server("");
    let (mut alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
    alice.fence();
    for (uid, previd) in
        [("bob", id.as_str()), ("alice", "AAAAAAAAAAAAAAAAAAAAAA"), ("alice", "no such id"), ("alice", "")]
    {
        let mut peer = Peer::resume(&herald, Via::Websocket, uid, previd, 0);
        let failed = peer.expect("</failed>");
        assert!(failed.contains("<failed xmlns='urn:xmpp:sm:3'><item-not-found "), "{failed}");
        peer.bind_here("other");
        peer.fence();
    }
    // Nobody has touched the stream that was asked for.
    alice.fence();
}

#[test]
fn a_count_that_cannot_be_ends_the_stream_and_loses_nothing() {
    let herald = server("");
    let mut bob = available(&herald, "bob");
    for (h, says) in
        [(1_000, "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='1000' send-count='"), (1, "<unexpected-request ")]
    {
        let (mut alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
        alice.acknowledge();
        bob.message(ALICE, "a");
        alice.expect_body("a");
        drop(alice);
        wait_for_resumable(&herald, 1);
        let mut again = Peer::resume(&herald, Via::Tcp, "alice", &id, h);
        again.expect(says);
        drop(again);
        wait_for_resumable(&herald, 0);
        let mut fresh = Peer::bind(&herald, Via::Tcp, "alice", "fresh");
        fresh.send("<presence/>");
        fresh.expect_body("a");
        assert_bodies(&fresh.fence(), &[]);
        fresh.close();
        fresh.rest();
    }
    // Also on a stream that goes on.
    let (mut alice, _) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
    alice.send("<a xmlns='urn:xmpp:sm:3' h='99'/>");
    let end = alice.rest();
    assert!(end.contains("<undefined-condition ") && end.contains("h='99' send-count='2'"), "{end}");
}

#[test]
fn after_its_time_a_stream_is_over_once() {
    let herald = server("[stream_management]\nresume_secs = 1");
    let mut bob = available(&herald, "bob");
    let (mut alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 1);
    bob.expect(DESK);
    bob.message(ALICE, "a");
    alice.expect_body("a");
    alice.acknowledge();
    bob.message(DESK, "b");
    alice.expect_body("b");
    alice.fence();
    drop(alice);
    bob.message(ALICE, "c");
    let gone = bob.expect("unavailable");
    assert_eq!(gone.matches("<presence").count(), 1, "{gone}");
    bob.message(ALICE, "d");
    assert!(!bob.fence().contains("<presence"), "it left once");
    // It had sent a presence and three iqs.
    let mut again = Peer::resume(&herald, Via::Websocket, "alice", &id, 0);
    again.expect("<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found ");
    again.expect("</failed>");
    again.bind_here("desk");
    again.send("<presence xmlns='jabber:client'/>");
    again.expect_body("d");
    assert_bodies(&again.fence(), &[]);
}

#[test]
fn another_resource_gets_what_was_not_acknowledged() {
    let herald = server("[stream_management]\nresume_secs = 1");
    let mut bob = available(&herald, "bob");
    let (mut desk, _) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 1);
    let mut phone = Peer::bind(&herald, Via::Websocket, "alice", "phone");
    phone.send("<presence xmlns='jabber:client'><priority>-1</priority></presence>");
    phone.fence();
    bob.message(ALICE, "a");
    bob.message(DESK, "b");
    desk.expect_body("b");
    phone.send("<presence xmlns='jabber:client'><priority>1</priority></presence>");
    phone.fence();
    drop(desk);
    let text = phone.expect_body("b");
    assert_bodies(&text, &["a", "b"]);
    assert_bodies(&phone.fence(), &[]);
}

#[test]
fn kept_messages_leave_the_store_when_they_are_acknowledged() {
    let herald = server("[stream_management]\nresume_secs = 1");
    let mut bob = available(&herald, "bob");
    bob.message(ALICE, "kept");
    bob.fence();
    for acknowledges in [false, true] {
        let (mut alice, _) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 1);
        if acknowledges {
            alice.acknowledge();
            alice.fence();
        }
        drop(alice);
        bob.expect("unavailable");
    }
    let mut alice = Peer::bind(&herald, Via::Tcp, "alice", "desk");
    alice.send("<presence/>");
    assert_bodies(&alice.fence(), &[]);
}

#[test]
fn more_than_there_is_room_for_goes_to_the_store_and_comes_once() {
    let herald = server("[stream_management]\nunacked_bytes_max = 65536\n[limits]\noutbox_bytes_max = 65536");
    let mut bob = available(&herald, "bob");
    let (alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
    let h = alice.handled;
    drop(alice);
    wait_for_resumable(&herald, 1);
    let filler = "x".repeat(1_000);
    let bodies: Vec<String> = (0..300).map(|n| format!("{n}-{filler}")).collect();
    bodies.iter().for_each(|body| bob.message(ALICE, body));
    bob.fence();
    let mut again = Peer::resume(&herald, Via::Tcp, "alice", &id, h);
    again.expect("<resumed ");
    let mut text = String::new();
    for _ in 0..300 {
        text += &again.expect("</message>");
        again.acknowledge();
    }
    let got: Vec<&str> = bodies.iter().map(String::as_str).collect();
    assert_bodies(&text, &got);
    assert_bodies(&again.fence(), &[]);
}

#[test]
fn who_acknowledges_nothing_is_sent_no_more_than_the_bound() {
    let herald = server("[stream_management]\nunacked_bytes_max = 65536");
    let mut bob = available(&herald, "bob");
    let (mut alice, _) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
    let filler = "x".repeat(1_000);
    for n in 0..200 {
        bob.message(ALICE, &format!("{n}-{filler}"));
    }
    bob.fence();
    alice.send("<r xmlns='urn:xmpp:sm:3'/>"); // the answer is no stanza: it does not have to wait
    let text = alice.expect("<a ");
    let mut got = text.matches("</message>").count();
    assert!(got < 70, "{got} of 1 kB where 64 kB are the bound");
    while got < 200 {
        alice.acknowledge();
        let text = alice.expect("</message>");
        got += text.matches("</message>").count();
    }
    assert_eq!(got, 200);
}

#[test]
fn a_stream_without_a_connection_ends_with_a_conflict_a_kick_and_the_server() {
    let mut herald = server("");
    let mut bob = available(&herald, "bob");
    let cut = |bob: &mut Peer, body: &str| {
        let (mut alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
        bob.expect(DESK);
        bob.message(ALICE, body);
        alice.expect("</message>");
        drop(alice);
        wait_for_resumable(&herald, 1);
        id
    };
    // The same resource is bound again.
    let id = cut(&mut bob, "conflict");
    let mut alice = Peer::bind(&herald, Via::Websocket, "alice", "desk");
    wait_for_resumable(&herald, 0);
    alice.send("<presence xmlns='jabber:client'/>");
    alice.expect_body("conflict");
    assert_bodies(&alice.fence(), &[]);
    let mut late = Peer::resume(&herald, Via::Tcp, "alice", &id, 0);
    late.expect("<item-not-found ");
    alice.close();
    alice.rest();
    bob.fence();
    // An operator ends it.
    cut(&mut bob, "kick");
    let kicked = herald.api("POST", "/api/v1/kick", Some(json!({ "uid": "alice" })));
    assert_eq!(kicked.json["kicked"], 1, "{}", kicked.text);
    wait_for_resumable(&herald, 0);
    bob.expect("unavailable");
    let mut alice = Peer::bind(&herald, Via::Tcp, "alice", "desk");
    alice.send("<presence/>");
    alice.expect_body("kick");
    assert_bodies(&alice.fence(), &[]);
    alice.close();
    alice.rest();
    bob.fence();
    // The server stops.
    cut(&mut bob, "drain");
    assert_eq!(herald.terminate().code(), Some(0));
    herald.restart();
    let mut alice = Peer::bind(&herald, Via::Tcp, "alice", "desk");
    alice.send("<presence/>");
    alice.expect_body("drain");
    assert_bodies(&alice.fence(), &[]);
}

#[test]
fn without_resumption_a_cut_ends_the_stream_at_once() {
    let herald = server("[stream_management]\nresume_secs = 0");
    let mut bob = available(&herald, "bob");
    let mut alice = Peer::bind(&herald, Via::Tcp, "alice", "desk");
    alice.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    alice.expect("<enabled xmlns='urn:xmpp:sm:3'/>");
    alice.send("<presence/>");
    alice.fence();
    bob.expect(DESK);
    bob.message(ALICE, "a");
    alice.expect("</message>");
    drop(alice);
    bob.expect("unavailable");
    let mut alice = Peer::resume(&herald, Via::Tcp, "alice", "AAAAAAAAAAAAAAAAAAAAAA", 0);
    alice.expect("<feature-not-implemented ");
    alice.expect("</failed>");
    alice.bind_here("desk");
    alice.send("<presence/>");
    alice.expect_body("a");
    assert_bodies(&alice.fence(), &[]);
}

#[test]
fn the_client_is_asked_after_some_stanzas_and_at_rest() {
    let herald = server("");
    let mut bob = available(&herald, "bob");
    let (mut alice, _) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
    alice.expect("<r xmlns='urn:xmpp:sm:3'/>"); // at rest
    alice.acknowledge();
    for n in 0..8 {
        bob.message(ALICE, &format!("{n}"));
    }
    let text = alice.expect("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(text.matches("<r ").count(), 1, "{text}");
    assert!(text.contains("<body>7</body>"), "it is asked behind what it is asked about: {text}");
}

/// A client that keeps what it sent, as the XEP wants it, and is thrown from one connection to the next.
#[test]
fn whatever_is_cut_wherever_each_message_comes_once_and_in_order() {
    const ROUNDS: u32 = 150;
    let herald = server("");
    for seed in [1, 198, 20_261] {
        let mut random = Random(seed);
        let mut bob = available(&herald, "bob");
        let (mut alice, id) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 60);
        bob.expect(DESK);
        let mut sent = vec![String::new(), String::new()]; // its presence and its first question
        let (mut ups, mut downs, mut got) = (0, 0, 0);
        for round in 0..ROUNDS {
            for _ in 0..random.below(6) {
                let xml = format!(
                    "<message xmlns='jabber:client' type='chat' to='bob@localhost/pc'><body>{ups}</body></message>"
                );
                alice.send(&xml);
                sent.push(xml);
                ups += 1;
            }
            for _ in 0..random.below(12) {
                bob.message(if random.below(2) == 0 { ALICE } else { DESK }, &downs.to_string());
                downs += 1;
            }
            for _ in 0..random.below(downs - got + 1) {
                got = take_next(&mut alice, got, seed, round);
            }
            if random.below(3) == 0 {
                alice.acknowledge();
            }
            let h = alice.handled;
            let seems_alive = (random.below(3) == 0).then_some(alice);
            let via = Via::ALL[random.below(4) as usize];
            alice = Peer::resume(&herald, via, "alice", &id, h);
            let resumed = alice.expect("/>");
            let handled = resumed.split(" h='").nth(1).and_then(|rest| rest.split('\'').next());
            let handled: usize = handled.and_then(|h| h.parse().ok()).unwrap_or_else(|| panic!("{resumed}"));
            sent[handled..].iter().for_each(|xml| alice.send(xml));
            drop(seems_alive);
        }
        while got < downs {
            got = take_next(&mut alice, got, seed, ROUNDS);
        }
        assert_bodies(&alice.fence(), &[]);
        let mut text = String::new();
        for _ in 0..ups {
            text += &bob.expect("</message>");
        }
        let wanted: Vec<String> = (0..ups).map(|n: u32| n.to_string()).collect();
        assert_bodies(&text, &wanted.iter().map(String::as_str).collect::<Vec<_>>());
        let left = bob.fence();
        assert!(!(text + &left).contains("<presence"), "contacts see nothing of it");
        assert_bodies(&left, &[]);
        alice.acknowledge();
        alice.close();
        alice.rest();
        bob.expect("unavailable");
    }
}

/// The next message must be this one.
#[track_caller]
fn take_next(alice: &mut Peer, number: u32, seed: u64, round: u32) -> u32 {
    let text = alice.expect("</message>");
    assert!(text.contains(&format!("<body>{number}</body>")), "not {number} (seed {seed}, round {round}): {text}");
    number + 1
}

/// Numbers that are the same at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % end
    }
}
