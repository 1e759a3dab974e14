//! `GET /api/v1/events`, read with curl.

use crate::sse::Sse;
use crate::support::client::Client;
use crate::support::{Herald, PATIENCE};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::TcpStream;

fn herald(toml: &str) -> Herald {
    let herald = Herald::start_with(toml);
    for uid in ["alice", "bob"] {
        herald.user(uid, "secret");
    }
    herald
}

#[test]
fn a_reader_is_told_who_is_online_and_then_what_happens() {
    let herald = herald("");
    let alice = Client::login(&herald, "alice", "secret", "desk");
    let mut events = Sse::open(&herald, "", "");
    assert_eq!(events.line().as_deref(), Some("retry: 2000"));
    let snapshot = events.expect("snapshot");
    assert_eq!(snapshot["more"], false);
    assert_eq!(snapshot["users"].as_array().map(Vec::len), Some(1), "{snapshot}");
    let user = &snapshot["users"][0];
    assert_eq!((&user["uid"], &user["online"]), (&json!("alice"), &json!(true)));
    assert_eq!(user["resources"][0]["resource"], "desk");
    let since: jiff::Timestamp = user["since"].as_str().and_then(|s| s.parse().ok()).expect("a time");
    assert!(since <= jiff::Timestamp::now());

    let bob = Client::bind(&herald, "bob", "secret", "phone");
    let up = events.expect("session.up");
    assert_eq!(
        (&up["uid"], &up["jid"], &up["resource"]),
        (&json!("bob"), &json!("bob@localhost/phone"), &json!("phone"))
    );
    assert_eq!((&up["transport"], &up["secure"], &up["peer"]), (&json!("tcp"), &json!(false), &json!("127.0.0.1")));
    let mut bob = bob;
    bob.send("<presence><show>away</show><status>at lunch &amp; \"out\"</status><priority>7</priority></presence>");
    let (mut presence, mut online) = (events.next().expect("an event"), events.next().expect("an event"));
    if presence["type"] == "user.online" {
        std::mem::swap(&mut presence, &mut online);
    }
    assert_eq!((&online["type"], &online["uid"]), (&json!("user.online"), &json!("bob")));
    let at: jiff::Timestamp = online["at"].as_str().and_then(|s| s.parse().ok()).expect("a time");
    assert!(at >= since);
    for (field, value) in [
        ("type", json!("presence.changed")),
        ("available", json!(true)),
        ("priority", json!(7)),
        ("show", json!("away")),
        ("status", json!("at lunch & \"out\"")),
    ] {
        assert_eq!(presence[field], value, "{presence}");
    }
    drop(bob);
    let seen = events.until("session.down bob");
    assert!(seen.contains(&"user.offline bob".to_owned()), "{seen:?}");
    drop(alice);
}

#[test]
fn a_message_is_stored_and_then_delivered() {
    let herald = herald("");
    let mut events = Sse::open(&herald, "?type=message", "");
    assert_eq!(events.line().as_deref(), Some("retry: 2000"));
    let said = herald.api("POST", "/api/v1/sendto", Some(json!({ "to": "bob", "body": "kept" })));
    assert_eq!(said.json["results"][0]["state"], "stored", "{}", said.text);
    let stored = events.expect("message.stored");
    assert_eq!((&stored["uid"], &stored["message_id"]), (&json!("bob"), &said.json["results"][0]["id"]));
    let mut bob = Client::bind(&herald, "bob", "secret", "phone");
    bob.send("<presence/>");
    bob.expect("<body>kept</body>");
    let delivered = events.expect("message.delivered");
    assert_eq!((&delivered["uid"], &delivered["message_id"]), (&json!("bob"), &stored["message_id"]));
}

#[test]
fn a_reader_comes_back_and_misses_nothing() {
    let herald = herald("");
    let mut events = Sse::open(&herald, "", "");
    events.expect("snapshot");
    let last = events.last_id.clone();
    drop(events);
    let bob = Client::login(&herald, "bob", "secret", "phone");
    drop(bob);
    let mut events = Sse::open(&herald, "", &last);
    let seen = events.until("session.down bob");
    let wanted = ["session.up bob", "user.online bob", "user.offline bob", "session.down bob"];
    assert!(wanted.iter().all(|wanted| seen.iter().any(|seen| seen == wanted)), "{seen:?}");
    assert!(!seen.iter().any(|seen| seen.starts_with("snapshot") || seen.starts_with("gap")), "{seen:?}");
    // The same from the address, for who cannot send headers.
    let mut again = Sse::open(&herald, &format!("?after={last}"), "");
    assert_eq!(again.until("session.down bob"), seen);
    // Both agree on the ids.
    assert_eq!(again.last_id, events.last_id);
}

#[test]
fn a_reader_is_told_when_the_server_was_started_anew() {
    let mut herald = herald("");
    let mut events = Sse::open(&herald, "", "");
    events.expect("snapshot");
    let last = events.last_id.clone();
    herald.terminate();
    assert_eq!(events.next(), None, "the stream ends with the server");
    herald.restart();
    let _alice = Client::login(&herald, "alice", "secret", "desk");
    let mut events = Sse::open(&herald, "", &last);
    assert_eq!(events.expect("gap")["reason"], "restarted");
    assert_eq!(events.last_id, last, "a reader that is cut here begins anew");
    assert_eq!(events.expect("snapshot")["users"][0]["uid"], "alice");
    assert_ne!(events.last_id, last);
}

#[test]
fn a_reader_is_told_of_what_the_server_has_forgotten() {
    let herald = herald("[events]\nring_bytes = 16_384\n");
    let mut events = Sse::open(&herald, "", "");
    events.expect("snapshot");
    let last = events.last_id.clone();
    let mut bob = Client::login(&herald, "bob", "secret", "phone");
    let status = "x".repeat(1_000);
    for _ in 0..40 {
        bob.send(&format!("<presence><status>{status}</status></presence>"));
    }
    bob.send("<presence type='unavailable'/>");
    wait_until_offline(&herald, "bob");
    let mut late = Sse::open(&herald, "", &last);
    assert_eq!(late.expect("gap")["reason"], "too_old");
    let snapshot = late.expect("snapshot");
    assert_eq!((&snapshot["users"][0]["uid"], &snapshot["users"][0]["online"]), (&json!("bob"), &json!(false)));
    let garbage = Sse::open(&herald, "", "no-event").expect("gap")["reason"].clone();
    assert_eq!(garbage, "restarted", "an EventSource would never come back after a refusal");
}

#[test]
fn a_reader_hears_what_it_asks_for() {
    let herald = herald("[events]\nheartbeat_secs = 1\n");
    let mut only_bob = Sse::open(&herald, "?uid=bob&type=user&type=session.down", "");
    assert_eq!(only_bob.expect("snapshot")["users"], json!([]));
    let mut nothing = Sse::open(&herald, "?type=message.expired", "");
    assert_eq!(nothing.line().as_deref(), Some("retry: 2000"));
    let alice = Client::login(&herald, "alice", "secret", "desk");
    let bob = Client::login(&herald, "bob", "secret", "phone");
    drop((alice, bob));
    assert_eq!(only_bob.until("session.down bob"), ["user.online bob", "user.offline bob", "session.down bob"]);
    // It hears nothing, but that it has missed nothing: the id moves.
    let number = |id: &str| id.rsplit('-').next().and_then(|n| n.parse::<u64>().ok());
    let passed = |line: String| line.strip_prefix("id: ").and_then(number) >= number(&only_bob.last_id);
    assert!((0..100).any(|_| nothing.line().is_some_and(passed)), "its id does not move");
    for (parameters, code) in [
        ("?type=user.onlin", 422),
        ("?type=", 422),
        ("?uid=", 422),
        ("?uid=a%40b%40c", 422),
        ("?kind=user", 422),
        ("?after=a&after=b", 422),
    ] {
        assert_eq!(herald.api("GET", &format!("/api/v1/events{parameters}"), None).status, code, "{parameters}");
    }
}

#[test]
fn readers_are_counted_and_bounded() {
    let herald = herald("[events]\nreaders_max = 1\n");
    let mut first = Sse::open(&herald, "", "");
    first.expect("snapshot");
    let refused = herald.api("GET", "/api/v1/events", None);
    assert_eq!((refused.status, &refused.json["code"]), (429, &json!("busy")), "{}", refused.text);
    assert_eq!(metric(&herald, "herald_events_readers"), 1);
    assert_eq!(herald.http("GET", "/api/v1/events", &[], "").status, 401);
    drop(first);
    wait_for_metric(&herald, "herald_events_readers", 0);
    Sse::open(&herald, "", "").expect("snapshot");
}

/// A reader that asks and then reads nothing holds no memory and is passed by; when it reads again it is told.
#[test]
fn a_reader_that_is_too_slow_is_told_of_a_gap() {
    let herald = herald("[events]\nring_bytes = 16_384\n[shaping]\nstanzas_per_sec = 0\nbytes_per_sec = 0\n");
    // With little room, so that the server feels it soon.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    deaf.set_recv_buffer_size(4_096).expect("a small one");
    deaf.connect(&herald.address("admin").into()).expect("the listener accepts");
    let mut deaf = TcpStream::from(deaf);
    deaf.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let token = herald.token();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    deaf.write_all(request.as_bytes()).expect("the peer reads");
    wait_for_metric(&herald, "herald_events_readers", 1);
    let mut bob = Client::login(&herald, "bob", "secret", "phone");
    // His own presence comes back to him.
    let mut echo = bob.socket();
    std::thread::spawn(move || std::io::copy(&mut echo, &mut std::io::sink()));
    let status = "x".repeat(1_000);
    // More than sockets hold.
    for _ in 0..5_000 {
        bob.send(&format!("<presence><status>{status}</status></presence>"));
    }
    bob.send("<presence type='unavailable'/>");
    wait_until_offline(&herald, "bob");
    let (mut seen, mut buf) = (Vec::new(), vec![0; 1 << 16]);
    let told = |seen: &[u8]| String::from_utf8_lossy(seen).contains("\"reason\":\"too_slow\"");
    while !told(&seen) {
        let n = deaf.read(&mut buf).expect("more comes");
        assert!(n > 0, "the stream ends");
        seen.drain(..seen.len().saturating_sub(1_000)); // enough for words that are cut in two
        seen.extend_from_slice(&buf[..n]);
    }
}

/// Asks until the user is not online: what they sent before is handled then.
#[allow(clippy::disallowed_methods)] // it waits for a change, within a limit
fn wait_until_offline(herald: &Herald, uid: &str) {
    let begun = std::time::Instant::now();
    let online =
        || herald.api("GET", &format!("/api/v1/presence?uid={uid}"), None).json["results"][0]["online"].clone();
    while online() != false {
        assert!(begun.elapsed() < PATIENCE, "{uid} is online");
    }
}

/// The value of a metric without labels.
pub fn metric(herald: &Herald, name: &str) -> u64 {
    let page = herald.http("GET", "/metrics", &[], "").text;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {page}"))
}

/// Asks until a metric has this value, or more when it is a counter.
#[allow(clippy::disallowed_methods)] // it waits for a change, within a limit
pub fn wait_for_metric(herald: &Herald, name: &str, value: u64) {
    let begun = std::time::Instant::now();
    let counter = name.contains("_total");
    while metric(herald, name) != value && !(counter && metric(herald, name) > value) {
        assert!(begun.elapsed() < PATIENCE, "{name} is {}", metric(herald, name));
    }
}
