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

/// A message from another user that is kept before it is handed out; what became of it.
fn push(herald: &Herald, uid: &str, body: &str) -> Value {
    let hello = json!({ "uid": "alice", "token": "secret", "presence": false });
    let (mut alice, _) = Page::enter(herald, Way::Socket, hello);
    alice.say(json!({ "t": "send", "ref": format!("{uid}-{body}"), "to": uid, "body": body }));
    alice.expect("sent")["results"][0].take()
}

fn since(page: &str, since: u64, epoch: &Value) -> Value {
    json!({ "uid": "bob", "token": "secret", "resource": page, "since": since, "epoch": epoch })
}

#[test]
fn messages_go_both_ways_with_their_number_and_their_answer() {
    for (from, to) in WAYS.into_iter().zip(WAYS.into_iter().rev()) {
        let herald = start("");
        let mut alice = Page::login(&herald, from, "alice", "secret");
        let (mut bob, ready) = Page::enter(&herald, to, json!({ "uid": "bob", "token": "secret" }));
        assert_eq!((&ready["jid"], &ready["uid"]), (&json!("bob@localhost"), &json!("bob")));
        let last = ready["last"].as_u64().expect("a number");
        for n in 1..=3 {
            let (reference, body) = (format!("{from:?}-{n}"), format!("<{n}> & ü"));
            let json = json!({ "n": [n, "\u{0}"] });
            let send = json!({ "t": "send", "ref": reference, "to": "bob", "body": body, "json": json });
            alice.say(send);
            let sent = alice.expect("sent");
            let result = &sent["results"][0];
            assert_eq!((&sent["ref"], &result["uid"]), (&json!(reference), &json!("bob")));
            assert_eq!((&result["state"], &result["id"]), (&json!("delivered"), &json!(last + n)), "{sent}");
            let message = bob.expect("message");
            assert_eq!((&message["id"], &message["body"]), (&json!(last + n), &json!(body)));
            assert_eq!((&message["json"], &message["mid"]), (&json, &json!(reference)));
            assert_eq!((&message["from"], &message["uid"]), (&json!("alice@localhost/page"), &json!("alice")));
            assert_eq!(message.get("payload"), None, "{message}");
        }
        bob.say(json!({ "t": "send", "to": "alice@localhost/page", "state": "composing" }));
        let message = alice.expect("message");
        assert_eq!((&message["state"], message.get("id")), (&json!("composing"), None), "{message}");
        alice.say(json!({ "t": "bye" }));
        bob.say(json!({ "t": "bye" }));
    }
}

#[test]
fn whoever_comes_back_goes_on_behind_what_it_had_also_when_the_server_was_killed() {
    for way in WAYS {
        let mut herald = start("");
        let (mut bob, ready) = Page::enter(&herald, way, json!({ "uid": "bob", "token": "secret" }));
        let (epoch, last) = (ready["epoch"].clone(), ready["last"].as_u64().expect("a number"));
        push(&herald, "bob", "seen");
        assert_eq!(bob.expect("message")["id"], last + 1);
        for body in ["a", "b"] {
            assert_eq!(push(&herald, "bob", body)["state"], "delivered");
        }
        herald.kill(); // nothing was acknowledged, and nobody knows what was read
        herald.restart();
        push(&herald, "bob", "c");
        for again in [way, Way::Socket] {
            let (mut bob, ready) = Page::enter(&herald, again, since("page", last + 1, &epoch));
            assert_eq!((&ready["since"], &ready["last"]), (&json!(last + 1), &json!(last + 4)));
            let bodies: Vec<Value> = (0..3).map(|_| bob.expect("message")["body"].take()).collect();
            assert_eq!(bodies, ["a", "b", "c"]);
        }
        let (mut bob, _) = Page::enter(&herald, way, since("page", last + 4, &epoch));
        assert!(bob.until_quiet().iter().all(|frame| frame["t"] != "message"), "it has them all");
    }
}

#[test]
fn who_is_new_begins_with_what_nobody_had() {
    let herald = start("");
    push(&herald, "bob", "a");
    push(&herald, "bob", "b");
    let hello = || json!({ "uid": "bob", "token": "secret" });
    let (mut bob, ready) = Page::enter(&herald, Way::Socket, hello());
    assert_eq!((&ready["since"], &ready["last"]), (&json!(0), &json!(2)));
    assert_eq!(bob.expect("message")["id"], 1);
    bob.say(json!({ "t": "ack", "id": 1 }));
    assert_eq!(bob.expect("message")["id"], 2);
    bob.until_quiet();
    drop(bob);
    let mut bob = begins_at(&herald, Way::Polls, 1);
    assert_eq!(bob.expect("message")["id"], 2, "this one was not acknowledged");
    bob.until_quiet(); // over requests, asking for more says that it was read
    drop(bob);
    let mut bob = begins_at(&herald, Way::Socket, 2);
    assert!(bob.until_quiet().iter().all(|frame| frame["t"] != "message"));
}

/// Comes in anew until what was read is marked as such: many are at a time, within a second.
fn begins_at(herald: &Herald, way: Way, since: u64) -> Page {
    for _ in 0..1_000 {
        let hello = json!({ "uid": "bob", "token": "secret", "resource": "again" });
        let (page, ready) = Page::enter(herald, way, hello);
        if ready["since"] == since {
            return page;
        }
    }
    panic!("it does not come to begin at {since}");
}

#[test]
fn a_message_sent_again_is_kept_once() {
    let mut herald = start("");
    let send = json!({ "t": "send", "ref": "r1", "to": "bob", "body": "once" });
    let mut alice = Page::login(&herald, Way::Socket, "alice", "secret");
    alice.say(send.clone());
    let first = alice.expect("sent")["results"][0].clone();
    assert_eq!((&first["state"], &first["id"]), (&json!("stored"), &json!(1)));
    herald.kill();
    herald.restart();
    for way in WAYS {
        let mut alice = Page::login(&herald, way, "alice", "secret");
        alice.say(send.clone());
        let again = alice.expect("sent")["results"][0].clone();
        assert_eq!((&again["id"], &again["repeated"]), (&json!(1), &json!(true)), "{again}");
    }
    let (mut bob, ready) = Page::enter(&herald, Way::Socket, json!({ "uid": "bob", "token": "secret" }));
    assert_eq!(ready["last"], 1);
    assert_eq!(bob.expect("message")["body"], "once");
    assert!(bob.until_quiet().iter().all(|frame| frame["t"] != "message"));
}

#[test]
fn an_answer_that_was_lost_is_given_again_and_a_request_carried_out_once() {
    let herald = start("");
    let mut bob = Page::login(&herald, Way::Polls, "bob", "secret");
    push(&herald, "bob", "a");
    let polls = bob.polls();
    polls.seq += 1;
    let lost = polls.post("", 20);
    assert_eq!(lost["frames"][0]["body"], "a", "{lost}");
    // The same request once more, and the next one, of a client that has not got the answer.
    assert_eq!(polls.post("", 20), lost);
    polls.seq += 1;
    let send = r#"{"t":"send","to":"alice","body":"x"}"#;
    assert_eq!(polls.post(send, 0), lost);
    assert_eq!(polls.post(send, 0), lost);
    polls.take(lost);
    // A later one comes first: it waits for its turn.
    let turn = polls.seq;
    polls.seq = turn + 2;
    polls.post(r#"{"t":"send","to":"alice","body":"z"}"#, 0);
    polls.seq = turn + 1;
    polls.post(r#"{"t":"send","to":"alice","body":"y"}"#, 0);
    polls.seq = turn + 2;
    bob.until_quiet();
    let mut alice = Page::login(&herald, Way::Socket, "alice", "secret");
    let bodies: Vec<Value> = (0..3).map(|_| alice.expect("message")["body"].take()).collect();
    assert_eq!(bodies, ["x", "y", "z"]);
    assert!(alice.until_quiet().iter().all(|frame| frame["t"] != "message"));
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
fn what_retention_removed_is_told_as_a_gap() {
    let herald = start("[history]\nmessages_max = 10\n");
    let (mut bob, ready) = Page::enter(&herald, Way::Socket, json!({ "uid": "bob", "token": "secret" }));
    for n in 1..=60 {
        push(&herald, "bob", &n.to_string());
        assert_eq!(bob.expect("message")["id"], n);
        bob.say(json!({ "t": "ack", "id": n }));
    }
    bob.until_quiet();
    drop(begins_at(&herald, Way::Socket, 60));
    push(&herald, "bob", "61"); // what is kept removes what is too old
    let (mut bob, _) = Page::enter(&herald, Way::Polls, since("other", 3, &ready["epoch"]));
    let gap = bob.expect("gap");
    let before = gap["before"].as_u64().expect("a number");
    assert!(gap["after"] == 3 && (5..=52).contains(&before) && gap.get("epoch").is_none(), "{gap}");
    for n in before..=61 {
        assert_eq!(bob.expect("message")["id"], n, "all of the rest is there");
    }
}

#[test]
fn numbers_of_another_log_mean_nothing() {
    let herald = start("");
    push(&herald, "bob", "a");
    for (way, since, epoch) in [(Way::Socket, 1, json!("another")), (Way::Polls, 7, Value::Null)] {
        let hello = json!({ "uid": "bob", "token": "secret", "since": since, "epoch": epoch });
        let (mut bob, ready) = Page::enter(&herald, way, hello);
        let gap = bob.next();
        assert_eq!((&gap["t"], &gap["after"], &gap["epoch"]), (&json!("gap"), &json!(since), &ready["epoch"]));
        assert_eq!(bob.expect("message")["id"], 1, "from the beginning");
    }
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
fn contacts_see_each_other_come_and_go() {
    let herald = start("");
    let mut alice = Page::login(&herald, Way::Socket, "alice", "secret");
    let mut bob = Page::login(&herald, Way::Polls, "bob", "secret");
    alice.say(json!({ "t": "subscribe", "to": "bob" }));
    let asked = bob.expect("subscription");
    assert_eq!((&asked["uid"], &asked["kind"]), (&json!("alice"), &json!("subscribe")));
    bob.say(json!({ "t": "accept", "to": "alice" }));
    assert_eq!(alice.expect("subscription")["kind"], "subscribed");
    let online = |frame: &Value| (frame["uid"].clone(), frame["online"].clone(), frame["show"].clone());
    assert_eq!(online(&alice.expect("presence")), (json!("bob"), json!(true), Value::Null));
    bob.say(json!({ "t": "presence", "show": "away", "status": "tea" }));
    let away = alice.expect("presence");
    assert_eq!((&away["show"], &away["status"]), (&json!("away"), &json!("tea")));
    bob.say(json!({ "t": "bye" }));
    assert_eq!(online(&alice.expect("presence")), (json!("bob"), json!(false), Value::Null));
    // Who is seen by nobody gets its messages all the same.
    let hidden = json!({ "uid": "bob", "token": "secret", "presence": false });
    let (mut bob, _) = Page::enter(&herald, Way::Socket, hidden);
    let roster = bob.expect("roster");
    assert_eq!((&roster["whole"], &roster["items"][0]["uid"]), (&json!(true), &json!("alice")), "{roster}");
    push(&herald, "bob", "psst");
    assert_eq!(bob.expect("message")["body"], "psst");
    assert!(alice.until_quiet().iter().all(|frame| frame["t"] != "presence"));
    let seen = herald.api("GET", "/api/v1/presence?uid=bob", None);
    assert!(!seen.text.contains("\"online\":true"), "{}", seen.text);
}

#[test]
fn history_goes_in_both_directions() {
    let herald = start("");
    for n in 1..=5 {
        push(&herald, "bob", &n.to_string());
    }
    let mut bob = Page::login(&herald, Way::Socket, "bob", "secret");
    let mut ids = |asked: Value| -> (Vec<u64>, bool) {
        bob.say(with(asked, json!({ "t": "history", "ref": "h" })));
        let answer = bob.expect("history");
        assert_eq!((&answer["ref"], &answer["last"]), (&json!("h"), &json!(5)));
        let ids = answer["items"].as_array().expect("items").iter().map(|m| m["id"].as_u64().expect("an id"));
        (ids.collect(), answer["complete"] == true)
    };
    assert_eq!(ids(json!({ "since": 1, "limit": 2 })), (vec![2, 3], false));
    assert_eq!(ids(json!({ "since": 3 })), (vec![4, 5], true));
    assert_eq!(ids(json!({ "before": 4, "limit": 2, "reverse": true })), (vec![3, 2], false));
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
        let reference = format!("{way:?}");
        page.say(json!({ "t": "send", "ref": reference, "to": ["nobody", "bob", "@"], "body": "x" }));
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
