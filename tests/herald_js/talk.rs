//! What two people do with herald.js, one in Chromium over WebSocket, one in Node.js over long polling.

use crate::clients::Client;
use crate::needs::Needs;
use crate::support::{Herald, Home};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";

#[test]
fn two_people_see_each_other_type_talk_and_read_back() {
    let Some(needs) = Needs::all() else { return };
    let herald = herald("");
    let (mut alice, mut bob) = (browser(&needs, &herald, "alice"), node(&needs, &herald, "bob"));
    for (client, uid, way) in [(&mut alice, "alice", "websocket"), (&mut bob, "bob", "longpoll")] {
        connect(client, uid, json!(PASSWORD), json!({}));
        assert_eq!(online(client), way);
    }

    // Who asks is let, and sees; both ways.
    for (asks, asked, from, of) in [(0, 1, "alice", "bob"), (1, 0, "bob", "alice")] {
        let both = [&mut alice, &mut bob];
        both[asks].tell(json!({"do": "subscribe", "to": of}));
        both[asked].expect("subscription", |e| e["uid"] == from && e["kind"] == "subscribe");
        both[asked].tell(json!({"do": "accept", "to": from}));
        both[asks].expect("presence", |e| e["uid"] == of && e["present"] == true);
    }
    bob.tell(json!({"do": "presence", "presence": {"show": "away", "status": "<at lunch>"}}));
    alice.expect("presence", |e| e["uid"] == "bob" && e["show"] == "away" && e["present"] == true);

    // Typing is said, and kept nowhere; what is written comes once, numbered.
    bob.tell(json!({"do": "typing", "to": "alice", "on": true}));
    alice.expect("typing", |e| e["uid"] == "bob" && e["state"] == "composing");
    bob.tell(json!({"do": "typing", "to": "alice", "on": false}));
    alice.expect("typing", |e| e["uid"] == "bob" && e["state"] == "paused");
    for (says, hears, to) in [(0, 1, "bob"), (1, 0, "alice")] {
        let both = [&mut alice, &mut bob];
        both[says].tell(json!({"do": "send", "to": to, "prefix": "Ä<&> ", "from": 0, "until": 30, "lead": 30}));
        both[says].expect("sent", |e| e["until"] == 30);
        both[hears].tell(json!({"do": "reach", "count": 30}));
        both[hears].expect("reached", |_| true);
    }
    for client in [&mut alice, &mut bob] {
        let wanted: Vec<Value> = (0..30).map(|n| json!([n + 1, format!("Ä<&> {n}")])).collect();
        assert_eq!(report(client)["got"], json!(wanted));
    }

    // The log, from either end.
    for (slice, ids, complete) in [
        (json!({"since": 0, "limit": 3}), json!([1, 2, 3]), false),
        (json!({"since": 28}), json!([29, 30]), true),
        (json!({"reverse": true, "limit": 2}), json!([30, 29]), false),
        (json!({"before": 3, "reverse": true}), json!([2, 1]), true),
    ] {
        alice.tell(json!({"do": "history", "slice": slice}));
        let page = alice.expect("history", |_| true);
        assert_eq!((&page["ids"], &page["last"], &page["complete"]), (&ids, &json!(30), &json!(complete)), "{slice}");
    }

    // Who says good-bye is gone at once, whichever way they came.
    bob.tell(json!({"do": "close"}));
    alice.expect("presence", |e| e["uid"] == "bob" && e["present"] == false);
    connect(&mut bob, "bob", json!(PASSWORD), json!({}));
    alice.expect("presence", |e| e["uid"] == "bob" && e["present"] == true);
    alice.tell(json!({"do": "close"}));
    bob.expect("presence", |e| e["uid"] == "alice" && e["present"] == false);
}

#[test]
fn what_waits_comes_unasked_to_a_page_that_is_new() {
    let Some(needs) = Needs::all() else { return };
    let herald = herald("");
    for n in 0..3 {
        let said = herald.api("POST", "/api/v1/sendto", Some(json!({"to": "alice", "body": format!("m{n}")})));
        assert_eq!(said.json["results"][0]["state"], "stored", "{}", said.text);
    }
    let mut alice = node(&needs, &herald, "alice");
    connect(&mut alice, "alice", json!(PASSWORD), json!({}));
    alice.tell(json!({"do": "reach", "count": 3}));
    alice.expect("reached", |_| true);
    assert_eq!(report(&mut alice)["got"], json!([[1, "m0"], [2, "m1"], [3, "m2"]]));
}

#[test]
fn what_retention_removed_is_told_as_a_gap() {
    let Some(needs) = Needs::all() else { return };
    let herald = herald("[history]\nmessages_max = 5\n");
    let mut alice = node(&needs, &herald, "alice");
    connect(&mut alice, "alice", json!(PASSWORD), json!({"since": 0}));
    online(&mut alice);
    push(&herald, 0..40);
    alice.tell(json!({"do": "reach", "count": 40}));
    alice.expect("reached", |_| true);
    alice.tell(json!({"do": "close"}));
    alice.expect("state", |e| e["state"] == "closed");
    // What has been read makes room for what comes. The next page begins far behind what is kept.
    push(&herald, 40..45);
    connect(&mut alice, "alice", json!(PASSWORD), json!({"since": 3}));
    let gap = alice.expect("gap", |_| true);
    assert_eq!((&gap["after"], &gap["reason"]), (&json!(3), &json!("retention")), "{gap}");
    let next = gap["before"].as_u64().expect("a number");
    assert!(next > 4 && next <= 41, "{gap}");
    alice.tell(json!({"do": "reach", "count": 40 + (46 - next)}));
    alice.expect("reached", |_| true);
}

#[test]
fn who_may_not_come_in_is_told_and_it_is_over() {
    let Some(needs) = Needs::all() else { return };
    let herald = herald("");
    for mut alice in [browser(&needs, &herald, "alice"), node(&needs, &herald, "alice")] {
        connect(&mut alice, "alice", json!("wrong"), json!({}));
        let trouble = alice.expect("trouble", |_| true);
        assert_eq!((&trouble["code"], &trouble["ref"]), (&json!("unauthorized"), &Value::Null));
        alice.expect("state", |e| e["state"] == "closed");
    }
}

#[test]
fn what_cannot_be_sent_is_told_and_the_rest_goes_on() {
    let Some(needs) = Needs::all() else { return };
    let herald = herald("[herald]\nframe_bytes_max = 4096\n");
    for mut alice in [browser(&needs, &herald, "alice"), node(&needs, &herald, "alice")] {
        connect(&mut alice, "alice", json!(PASSWORD), json!({}));
        online(&mut alice);
        let long = "x".repeat(10_000);
        alice.tell(json!({"do": "send", "to": "bob", "prefix": long, "from": 0, "until": 1, "lead": 9}));
        alice.expect("trouble", |e| e["code"] == "too_large" && e["ref"].is_string());
        alice.tell(json!({"do": "send", "to": "bob", "prefix": "short", "from": 0, "until": 1, "lead": 9}));
        alice.expect("sent", |_| true);
        assert_eq!(report(&mut alice)["unsent"], 0);
    }
}

fn push(herald: &Herald, numbers: std::ops::Range<u32>) {
    for n in numbers {
        let push = json!({"to": "alice", "body": format!("m{n}"), "store": "always"});
        assert_eq!(herald.api("POST", "/api/v1/sendto", Some(push)).status, 200);
    }
}

fn herald(toml: &str) -> Herald {
    let home = Home::new(toml);
    home.user("alice", PASSWORD);
    home.user("bob", PASSWORD);
    home.start()
}

fn browser(needs: &Needs, herald: &Herald, name: &str) -> Client {
    let arguments = [needs.chromium.display().to_string(), format!("http://{}", herald.address("http"))];
    Client::script(name, "tests/herald_js/browser.mjs", needs, &arguments)
}

fn node(needs: &Needs, herald: &Herald, name: &str) -> Client {
    Client::script(name, "tests/herald_js/node.mjs", needs, &[format!("http://{}/herald", herald.address("http"))])
}

fn connect(client: &mut Client, uid: &str, token: Value, options: Value) {
    client.tell(json!({"do": "connect", "uid": uid, "token": token, "options": options}));
}

fn online(client: &mut Client) -> String {
    let online = client.expect("state", |e| e["state"] == "online");
    online["transport"].as_str().expect("it says which").to_owned()
}

fn report(client: &mut Client) -> Value {
    client.tell(json!({"do": "report"}));
    client.expect("report", |_| true)
}
