//! Webhooks: signed, in order for each user, at least once.

use crate::receiver::{Answer, Post, Receiver};
use crate::stream::wait_for_metric;
use crate::support::client::Client;
use crate::support::{Herald, Home, skip};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

const WAITING: &str = "herald_events_out_waiting{to=\"webhook-crm\"}";
const UNSTORED: &str = "herald_events_out_unstored_bytes{to=\"webhook-crm\"}";
const DEAD: &str = "herald_events_out_dead_total{to=\"webhook-crm\"}";

/// A server with this webhook, and three users.
fn herald(receiver: &Receiver, more: &str) -> Herald {
    let home = Home::new(&format!(
        "[webhook.crm]\nurl = '{}'\nbackoff_max_secs = 1\ntypes = ['server', 'message.stored']\n{more}",
        receiver.url()
    ));
    let herald = home.start();
    for uid in ["alice", "bob", "carol"] {
        herald.user(uid, "secret");
    }
    herald
}

/// Keeps a message for each; they are told of as `message.stored`.
fn store(herald: &Herald, uids: &[&str]) {
    for uid in uids {
        let said = herald.api("POST", "/api/v1/sendto", Some(json!({ "to": uid, "body": "kept" })));
        assert_eq!(said.json["results"][0]["state"], "stored", "{}", said.text);
    }
}

fn is(uid: &str, message_id: u64) -> impl Fn(&Value) -> bool + '_ {
    move |event| event["uid"] == uid && event["message_id"] == message_id
}

/// Each user's messages, in the order in which they came first.
fn in_order(events: &[Value]) -> HashMap<String, Vec<u64>> {
    let mut of: HashMap<String, Vec<u64>> = HashMap::new();
    for event in events {
        if let (Some(uid), Some(id)) = (event["uid"].as_str(), event["message_id"].as_u64()) {
            let ids = of.entry(uid.to_owned()).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    of
}

fn dead_letters(herald: &Herald) -> Vec<Value> {
    let file = herald.data_dir().join("dead-letters/webhook-crm.ndjson");
    let text = std::fs::read_to_string(file).expect("there are dead letters");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn events_are_posted_with_a_signature_that_the_page_tells_how_to_check() {
    let receiver = Receiver::start();
    let herald = herald(&receiver, "");
    let post = receiver.next();
    let started = &post.events[0];
    assert_eq!((&started["type"], &started["domain"]), (&json!("server.started"), &json!("localhost")));
    assert_eq!(started["version"], env!("CARGO_PKG_VERSION"));
    store(&herald, &["alice"]);
    let post = receiver.next();
    assert_eq!(post.events.len(), 1);
    assert_eq!((&post.events[0]["uid"], &post.events[0]["message_id"]), (&json!("alice"), &json!(1)));
    let body: Value = serde_json::from_str(&post.body).expect("JSON");
    assert_eq!(body["webhook"], "crm");
    assert_eq!(post.headers["content-type"], "application/json");
    let secret = std::fs::read_to_string(herald.data_dir().join("webhook-crm.secret")).expect("it was made");
    check_as_the_page_says(&post, secret.trim());
}

/// Runs the snippet of docs/events.md.
fn check_as_the_page_says(post: &Post, secret: &str) {
    let page = include_str!("../../docs/events.md");
    let snippet = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a snippet");
    let main = "\nimport sys\nheader, secret = sys.argv[1:3]\nbody = sys.stdin.buffer.read()\n\
                for body in body, body + b' ':\n    print(genuine(header, body, secret.encode(), int(sys.argv[3])))\n";
    let seconds = post.headers["herald-signature"].split([',', '=']).nth(1).expect("t=..").to_owned();
    let check = |now: i64| {
        let mut python = Command::new("python3");
        let python = python.args(["-c", &format!("{snippet}{main}"), &post.headers["herald-signature"], secret]);
        let python = python.arg(now.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut python) = python else {
            skip("no python3");
            return None;
        };
        python.stdin.take().expect("piped").write_all(post.body.as_bytes()).expect("it reads");
        Some(String::from_utf8(python.wait_with_output().expect("it ends").stdout).expect("text"))
    };
    let now: i64 = seconds.parse().expect("seconds");
    let Some(said) = check(now) else { return };
    assert_eq!(said, "True\nFalse\n", "the body as it came, and a forged one");
    assert_eq!(check(now + 301).as_deref(), Some("False\nFalse\n"), "too old");
    assert!((now - jiff::Timestamp::now().as_second()).abs() < 300);
}

#[test]
fn an_event_that_is_refused_holds_up_its_user_alone_and_ends_in_a_file() {
    let receiver = Receiver::start();
    let herald = herald(&receiver, "tries_max = 4\n");
    receiver.taken_until(|event| event["type"] == "server.started");
    // Bob's first message is poison.
    receiver.answer(|post| Answer::Status(if post.events.iter().any(is("bob", 1)) { 500 } else { 200 }));
    store(&herald, &["alice", "bob", "carol", "bob", "alice", "carol"]);
    let mut taken = receiver.taken_until(is("carol", 2));
    // Alice's second may have been tried together with the poison.
    while !["alice", "bob"].iter().all(|uid| taken.iter().any(is(uid, 2))) {
        taken.extend(receiver.taken_until(|_| true));
    }
    let order = in_order(&taken);
    assert_eq!((&order["alice"], &order["carol"], &order["bob"]), (&vec![1, 2], &vec![1, 2], &vec![2]));
    let dead = dead_letters(&herald);
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(is("bob", 1)(&dead[0]["event"]) && dead[0]["why"].as_str().is_some_and(|why| why.contains("500")));
    wait_for_metric(&herald, WAITING, 0);
    wait_for_metric(&herald, DEAD, 1);
    // It is gone for good.
    store(&herald, &["bob"]);
    receiver.taken_until(is("bob", 3));
}

#[test]
fn whoever_says_410_gets_them_never_again() {
    let receiver = Receiver::start();
    let herald = herald(&receiver, "");
    receiver.taken_until(|event| event["type"] == "server.started");
    receiver.answer(|_| Answer::Status(410));
    store(&herald, &["alice"]);
    wait_for_metric(&herald, DEAD, 1);
    wait_for_metric(&herald, WAITING, 0);
    assert!(is("alice", 1)(&dead_letters(&herald)[0]["event"]));
    receiver.answer(|_| Answer::Status(200));
    store(&herald, &["alice"]);
    assert!(!receiver.taken_until(is("alice", 2)).iter().any(is("alice", 1)));
}

#[test]
fn a_receiver_that_hangs_hangs_up_or_redirects_gets_them_again() {
    let elsewhere = Receiver::start();
    let (receiver, port) = (Receiver::start(), elsewhere.address.port());
    let herald = herald(&receiver, "timeout_secs = 1\n");
    receiver.taken_until(|event| event["type"] == "server.started");
    let mut script = [Answer::Hang, Answer::HangUp, Answer::Elsewhere(port), Answer::Status(503)].into_iter();
    receiver.answer(move |_| script.next().unwrap_or(Answer::Status(200)));
    store(&herald, &["alice"]);
    let wanted = [Answer::Hang, Answer::HangUp, Answer::Elsewhere(port), Answer::Status(503), Answer::Status(200)];
    for answer in wanted {
        let post = receiver.next();
        assert!(post.answer == answer && is("alice", 1)(&post.events[0]), "{post:?}");
    }
    wait_for_metric(&herald, WAITING, 0);
    assert!(elsewhere.so_far().is_empty(), "a redirect is not followed");
}

#[test]
fn a_receiver_that_is_down_gets_everything_in_order_when_it_is_back() {
    let mut receiver = Receiver::start();
    receiver.go_down();
    let herald = herald(&receiver, "batch_events = 7\n");
    for _ in 0..10 {
        store(&herald, &["alice", "bob", "carol"]);
    }
    wait_for_metric(&herald, WAITING, 31);
    receiver.come_back();
    let taken = receiver.taken_until(is("carol", 10));
    assert_eq!(taken[0]["type"], "server.started");
    assert_eq!(taken.len(), 31, "each once: nothing was answered before");
    for (uid, ids) in in_order(&taken) {
        assert_eq!(ids, (1..=10).collect::<Vec<u64>>(), "{uid}");
    }
    wait_for_metric(&herald, WAITING, 0);
}

#[test]
fn a_server_that_is_killed_loses_none_and_keeps_their_order() {
    let receiver = Receiver::start();
    receiver.answer(|_| Answer::Status(503));
    let mut herald = herald(&receiver, "batch_events = 5\n");
    for _ in 0..10 {
        store(&herald, &["alice", "bob", "carol"]);
    }
    wait_for_metric(&herald, UNSTORED, 0);
    wait_for_metric(&herald, WAITING, 31);
    herald.kill();
    receiver.so_far();
    herald.restart();
    store(&herald, &["alice"]);
    // It dies again as the first batches are taken.
    let mut taken_batches = 0;
    receiver.answer(move |_| {
        taken_batches += 1;
        Answer::Status(if taken_batches > 2 { 503 } else { 200 })
    });
    let mut taken = receiver.taken_until(is("alice", 2));
    wait_for_metric(&herald, UNSTORED, 0);
    herald.kill();
    herald.restart();
    receiver.answer(|_| Answer::Status(200));
    taken.extend(receiver.taken_until(is("alice", 11)));
    while receiver_has(&taken, "server.started") < 3 {
        taken.extend(receiver.taken_until(|_| true));
    }
    let order = in_order(&taken);
    assert_eq!(order["alice"], (1..=11).collect::<Vec<u64>>());
    for uid in ["bob", "carol"] {
        assert_eq!(order[uid], (1..=10).collect::<Vec<u64>>(), "{uid}");
    }
    wait_for_metric(&herald, WAITING, 0);
}

/// How many different events of this type there are.
fn receiver_has(events: &[Value], kind: &str) -> usize {
    let of = events.iter().filter(|event| event["type"] == kind).map(|event| event["id"].to_string());
    of.collect::<std::collections::HashSet<_>>().len()
}

/// Comings and goings, too, and those that a going server makes.
#[test]
fn a_server_that_stops_tells_who_went() {
    let receiver = Receiver::start();
    let mut herald = Home::new(&format!("[webhook.crm]\nurl = '{}'\nuids = ['alice']\n", receiver.url())).start();
    for uid in ["alice", "bob"] {
        herald.user(uid, "secret");
    }
    let _alice = Client::login(&herald, "alice", "secret", "desk");
    let _bob = Client::login(&herald, "bob", "secret", "desk");
    herald.terminate();
    let taken = receiver.taken_until(|event| event["type"] == "session.down");
    let types: Vec<&str> = taken.iter().filter_map(|event| event["type"].as_str()).collect();
    let wanted = ["server.started", "session.up", "user.online", "user.offline", "session.down"];
    let mut of_wanted = types.iter().filter(|kind| wanted.contains(kind));
    assert!(wanted.iter().all(|kind| of_wanted.next() == Some(kind)), "{types:?}");
    assert!(taken.iter().all(|event| event["uid"] != "bob"), "{taken:?}");
}

#[test]
fn https_is_trusted_by_its_certificate() {
    // Another server's HTTPS port: it refuses the post, but only of whoever trusts its certificate.
    let other = Herald::start();
    let url = format!("https://localhost:{}/hook", other.address("https").port());
    let certificate = std::fs::read_dir(other.data_dir()).expect("a folder").filter_map(Result::ok);
    let certificate = certificate
        .map(|file| file.path())
        .find(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE")));
    let certificate = certificate.expect("the development certificate");
    let base = format!("[webhook.crm]\nurl = '{url}'\ntries_max = 1\nbackoff_max_secs = 1\n");
    let trusting = Home::new(&format!("{base}ca_file = '{}'\n", certificate.display())).start();
    wait_for_metric(&trusting, DEAD, 1);
    assert!(dead_letters(&trusting)[0]["why"].as_str().is_some_and(|why| why.contains("40")), "it was reached");
    let wary = Home::new(&base).start();
    wait_for_metric(&wary, "herald_events_out_unreachable_total{to=\"webhook-crm\"}", 1);
    assert!(wary.log().contains("ertificate"), "{}", wary.log());
}
