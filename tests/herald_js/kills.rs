//! Ten thousand messages, and everything that may go wrong.

use crate::backend::Backend;
use crate::clients::Client;
use crate::needs::Needs;
use crate::path::Path;
use crate::support::{Herald, Home};
use serde_json::{Value, json};

const MESSAGES: usize = 10_000;
const PUSHERS: usize = 4;
/// What a page sends meanwhile, to another.
const UPSTREAM: usize = 800;
const UNSENT: usize = 5;
const PASSWORD: &str = "correct horse";
/// More waits for a page that sleeps than may wait for an ordinary one.
const TOML: &str = "[herald]\nping_secs = 1\n[offline]\nmessages_max = 20000\n[history]\nmessages_max = 100000\n";

#[test]
fn ten_thousand_messages_survive_kills_cuts_sleep_reloads_and_blocked_websockets() {
    let Some(needs) = Needs::all() else { return };
    let home = Home::new(TOML);
    home.user("alice", PASSWORD);
    home.user("bob", PASSWORD);
    let mut herald = home.start();
    let path = Path::to(herald.address("http"));
    let origin = format!("http://{}", path.at);
    let mut bob = Client::script("bob", "tests/herald_js/node.mjs", &needs, &[format!("{origin}/herald")]);
    let mut alice =
        Client::script("alice", "tests/herald_js/browser.mjs", &needs, &[needs.chromium.display().to_string(), origin]);
    for (client, uid) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        client.tell(json!({"do": "connect", "uid": uid, "token": PASSWORD}));
        client.expect("state", |e| e["state"] == "online");
    }
    let backend = Backend::start(&herald, &["alice", "bob"], MESSAGES, PUSHERS);
    let half = UPSTREAM / 2;
    alice.tell(json!({"do": "send", "to": "bob", "prefix": "u", "from": 0, "until": half, "lead": 20}));

    until(&mut alice, &backend, 1_000);
    kill(&mut herald, &path, &backend);

    until(&mut alice, &backend, 2_500);
    path.cut();

    until(&mut alice, &backend, 3_500);
    alice.tell(json!({"do": "freeze", "on": true}));
    alice.expect("frozen", |e| e["on"] == true);
    kill(&mut herald, &path, &backend);
    alice.tell(json!({"do": "freeze", "on": false}));
    alice.expect("frozen", |e| e["on"] == false);

    until(&mut alice, &backend, 5_000);
    path.hole(true);
    alice.expect("state", |e| e["state"] == "offline" && e["code"] == "network");
    path.hole(false);
    alice.expect("sent", |e| e["until"] == half);

    until(&mut alice, &backend, 6_000);
    path.block_websockets(true);
    alice.expect("state", |e| e["transport"] == "longpoll");
    alice.tell(json!({"do": "send", "to": "bob", "prefix": "u", "from": half, "until": UPSTREAM, "lead": 20}));
    until(&mut alice, &backend, 7_000);
    kill(&mut herald, &path, &backend);
    until(&mut alice, &backend, 8_000);
    alice.expect("sent", |e| e["until"] == UPSTREAM);

    // What is said while the network is away, and not sent, is sent by the page after this one.
    path.hole(true);
    let more = UPSTREAM + UNSENT;
    alice.tell(json!({"do": "send", "to": "bob", "prefix": "u", "from": UPSTREAM, "until": more, "lead": UNSENT}));
    alice.expect("begun", |e| e["from"] == UPSTREAM);
    alice.tell(json!({"do": "reload"}));
    alice.expect("reloaded", |_| true);
    path.cut();
    path.hole(false);
    alice.tell(json!({"do": "connect", "uid": "alice", "token": "void: the ticket is what opens"}));
    until(&mut alice, &backend, 9_000);
    path.block_websockets(false);

    // What was acknowledged is what there is to be had, each once: nobody pushed anything twice.
    let acked = backend.finish();
    assert_eq!(acked.len(), 2 * MESSAGES);
    let pushed = |uid: &str| -> Vec<(u64, String)> {
        acked.iter().filter(|((of, _), _)| of == uid).map(|((_, id), body)| (*id, body.clone())).collect()
    };
    let got = all(&mut alice, MESSAGES);
    same(&got, &pushed("alice"));
    let got = all(&mut bob, MESSAGES + more);
    assert!(got.is_sorted_by(|a, b| a.0 < b.0), "bob got something twice, or too late");
    let (of_alice, of_backend): (Vec<_>, Vec<_>) = got.into_iter().partition(|(_, body)| body.starts_with('u'));
    same(&of_backend, &pushed("bob"));
    let of_alice: Vec<_> = of_alice.into_iter().map(|(_, body)| body).collect();
    assert_eq!(of_alice, (0..more).map(|n| format!("u{n}")).collect::<Vec<_>>());
    assert!(herald.rss_bytes() > 0, "the last server lives");
    let (websockets, refused, requests) = path.counts();
    // Both began with one; how often they came back by another depends on how long all takes.
    assert!(websockets >= 2 && refused >= 1 && requests >= 1, "{websockets} {refused} {requests}");
}

/// Waits until the watched client has so many.
fn until(client: &mut Client, backend: &Backend, count: u64) {
    loop {
        let has = number(&client.expect("progress", |_| true)["count"]);
        backend.seen(has as usize);
        if has >= count {
            return;
        }
    }
}

/// SIGKILL, and another server on the same data.
fn kill(herald: &mut Herald, path: &Path, backend: &Backend) {
    backend.leads_to(None);
    herald.kill();
    herald.restart();
    path.lead_to(herald.address("http"));
    backend.leads_to(Some(herald.address("admin")));
}

/// All that a client got, once it has so many.
fn all(client: &mut Client, count: usize) -> Vec<(u64, String)> {
    client.tell(json!({"do": "reach", "count": count}));
    client.expect("reached", |_| true);
    client.tell(json!({"do": "report"}));
    let report = client.expect("report", |_| true);
    assert_eq!((&report["unsent"], &report["state"]), (&json!(0), &json!("online")));
    let got = report["got"].as_array().expect("a list");
    got.iter().map(|message| (number(&message[0]), text(&message[1]))).collect()
}

/// Compares without showing ten thousand lines.
fn same(got: &[(u64, String)], wanted: &[(u64, String)]) {
    let differs = got.iter().zip(wanted).position(|(got, wanted)| got != wanted);
    assert_eq!(differs.map(|at| (&got[at], &wanted[at])), None);
    assert_eq!(got.len(), wanted.len());
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
