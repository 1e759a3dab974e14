//! herald.v1 against the real server, over WebSocket and over requests. What the frames mean is told in
//! `docs/page-protocol.md`.

mod support;

use serde_json::{Value, json};
use support::Herald;
use support::page::{Page, WAYS, Way, with};

/// With two users.
fn start(toml: &str) -> Herald {
    let herald = Herald::start_with(toml);
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    herald
}

#[test]
fn a_newer_request_ends_the_wait_of_the_older() {
    let herald = start("");
    let mut bob = Page::login(&herald, Way::Polls, "bob", "secret");
    bob.until_quiet();
    let polls = bob.polls();
    std::thread::scope(|scope| {
        let mut older = support::page::Polls::new(&herald);
        (older.sid, older.ack, older.seq) = (polls.sid.clone(), polls.ack, polls.seq + 1);
        let waits = scope.spawn(move || older.post("", 50));
        polls.seq += 2;
        let newer = polls.post(r#"{"t":"ping"}"#, 50);
        // Whichever of them came first: each is answered, the wait of 50 s is not waited for.
        let older = waits.join().expect("it is answered");
        let frames = [older, newer].map(|answer| answer["frames"].clone());
        assert!(frames.contains(&json!([{ "t": "pong" }])), "{frames:?}");
    });
}

#[test]
fn a_ticket_outlives_the_server_but_not_the_password() {
    let mut herald = start("");
    let token = herald.api("POST", "/api/v1/token", Some(json!({ "uid": "bob" }))).json["token"].clone();
    let (_, ready) = Page::enter(&herald, Way::Socket, json!({ "token": token }));
    assert_eq!(ready["uid"], "bob", "a token says whose it is");
    let hello = |ticket: &Value| json!({ "uid": "bob", "token": ticket });
    herald.kill();
    herald.restart();
    let (_, ready) = Page::enter(&herald, Way::Polls, hello(&ready["ticket"]));
    let (_, ready) = Page::enter(&herald, Way::Socket, json!({ "token": ready["ticket"] }));
    let changed = herald.api("PUT", "/api/v1/users/bob", Some(json!({ "password": "another" })));
    assert!(changed.status < 300, "{changed:?}");
    let eve = json!({ "uid": "alice", "token": ready["ticket"] });
    for hello in [hello(&ready["ticket"]), hello(&token), json!({ "token": ready["ticket"] }), eve] {
        for way in WAYS {
            let mut page = Page::open(&herald, way);
            page.say(with(hello.clone(), json!({ "t": "hello" })));
            let close = page.next();
            assert_eq!((&close["code"], &close["retry"]), (&json!("unauthorized"), &json!(false)), "{close}");
            if way == Way::Socket {
                assert_eq!(page.close_code(), 4001);
            }
        }
    }
}

#[test]
fn the_newest_of_one_resource_wins() {
    let herald = start("");
    for way in WAYS {
        let mut first = Page::login(&herald, way, "bob", "secret");
        let _second = Page::login(&herald, Way::Socket, "bob", "secret");
        let close = loop {
            match first.next() {
                frame if frame["t"] == "close" => break frame,
                _ => {}
            }
        };
        assert_eq!((&close["code"], &close["retry"]), (&json!("conflict"), &json!(false)));
    }
}

#[test]
fn hostile_frames_hurt_nobody() {
    let herald = start("[herald]\nframe_bytes_max = 4096\n");
    let mut bob = Page::login(&herald, Way::Socket, "bob", "secret");
    for way in WAYS {
        let mut page = Page::open(&herald, way);
        if way == Way::Socket {
            page.say(json!({ "t": "send", "to": "bob", "body": "x" }));
            assert_eq!(page.next()["code"], "not_ready");
        }
        let mut page = Page::login(&herald, way, "alice", "secret");
        for (frame, reference) in [
            (r#"{"t":"nothing","ref":"r"}"#, json!("r")),
            (r#"{"t":7}"#, Value::Null),
            (r#"[1,2]"#, Value::Null),
            (r#"{"t":"send","ref":"r","to":"bob"}"#, json!("r")),
            (r#"{"t":"send","ref":"r","to":"bob","body":"\u0001"}"#, json!("r")),
            (r#"{"t":"subscribe","to":"@"}"#, Value::Null),
            (r#"{"t":"history","ref":"\n"}"#, json!("\n")),
            (r#"{"t":"hello","token":"x"}"#, Value::Null),
        ] {
            page.say_text(frame);
            let error = page.next();
            assert_eq!((&error["t"], &error["code"]), (&json!("error"), &json!("invalid")), "{frame}: {error}");
            assert_eq!(error.get("ref").cloned().unwrap_or_default(), reference, "{frame}");
        }
        page.say(json!({ "t": "send", "ref": "r", "to": ["nobody", "bob", "@"], "body": "x" }));
        let sent = page.expect("sent");
        let states: Vec<&Value> = sent["results"].as_array().expect("results").iter().map(|r| &r["state"]).collect();
        assert_eq!(states, ["no_such_user", "delivered", "no_such_user"]);
        assert_eq!(bob.expect("message")["body"], "x");
        page.say_text(&format!(r#"{{"t":"ping","x":"{}"}}"#, "x".repeat(5_000)));
        assert_eq!(page.next()["code"], "too_large");
    }
    let polls = support::page::Polls::new(&herald);
    for (body, status) in [("", 400), ("{", 400), ("[]", 400), (r#"{"sid":7}"#, 400), (r#"{"frames":[]}"#, 200)] {
        assert_eq!(polls.post_raw(body.into()).0, status, "{body}");
    }
    let unknown = polls.post_raw(format!(r#"{{"sid":"{:032x}"}}"#, 7)).1;
    assert!(unknown.contains(r#""code":"unknown_session""#) && unknown.contains(r#""retry":true"#), "{unknown}");
    let mut broken = Page::open(&herald, Way::Socket);
    broken.say_raw(0x82, b"binary");
    assert_eq!(broken.close_code(), 1003);
    bob.say(json!({ "t": "ping" }));
    bob.expect("pong");
}

#[test]
fn who_is_told_to_go_is_told_why() {
    let mut herald = start("");
    let mut bob = Page::login(&herald, Way::Polls, "bob", "secret");
    let mut alice = Page::login(&herald, Way::Socket, "alice", "secret");
    let mut guest = Page::open(&herald, Way::Socket);
    for page in [&mut alice, &mut bob] {
        page.until_quiet();
    }
    herald.signal(libc::SIGTERM);
    for page in [&mut alice, &mut bob, &mut guest] {
        let close = page.next();
        assert_eq!((&close["code"], &close["retry"]), (&json!("shutdown"), &json!(true)), "{close}");
    }
    assert_eq!((alice.close_code(), guest.close_code()), (1012, 1012));
    assert!(herald.wait().success());
}

#[test]
fn a_session_over_requests_ends_when_nobody_asks_for_it() {
    let herald = start("[herald]\ninactivity_secs = 2\n");
    let mut bob = Page::login(&herald, Way::Polls, "bob", "secret");
    let mut alice = Page::login(&herald, Way::Socket, "alice", "secret");
    alice.say(json!({ "t": "subscribe", "to": "bob" }));
    bob.expect("subscription");
    bob.say(json!({ "t": "accept", "to": "alice" }));
    loop {
        if alice.expect("presence")["online"] == false {
            break; // within the patience of the test
        }
    }
    bob.polls().seq += 1;
    let answer = bob.polls().post("", 0);
    assert_eq!(answer["frames"][0]["code"], "unknown_session", "{answer}");
}
