//! H. The push path: what operators send, and what that costs.

use crate::f_ends::many_held;
use crate::scene::{CREATION, FAST, HARNESS, PASSWORD, Page, Scene, Server};
use crate::support::websocket::WebSocket;
use crate::wire::EMPTY;
use serde_json::json;

/// What one session that is logged in and holds a request may cost the server, socket included, bytes. The
/// figure of a release build with a hundred times as many is published in `docs/measured.md`.
const SESSION_BYTES_MAX: u64 = 6 << 10;

#[test]
fn t77_one_push_four_connections() {
    let s = Scene::new();
    let (mut second, _) = Page::create(&s.server, CREATION);
    second.login_as(&s.alice, "second");
    second.settle("<presence xmlns='jabber:client'/>");
    let mut ws = WebSocket::login(&s.server.herald(), "http", &s.alice, PASSWORD, "ws");
    ws.say("<presence xmlns='jabber:client'/>");
    ws.say("<iq xmlns='jabber:client' type='get' id='there'><ping xmlns='urn:xmpp:ping'/></iq>");
    while !ws.next().expect("a frame").text().contains("'there'") {}
    let mut tcp = s.server.tcp(&s.alice, "tcp");
    let state = s.server.push(&s.alice, "to all of you");
    assert_eq!((&state["state"], &state["sessions"]), (&json!("delivered"), &json!(4)));
    tcp.expect("<body>to all of you</body>");
    while !ws.next().expect("a frame").text().contains("<body>to all of you</body>") {}
    for mut page in [s.page, second] {
        page.talk("", "", "<body>to all of you</body>");
    }
}

#[test]
fn t78_pushes_for_somebody_who_is_away() {
    let server = Server::shared(HARNESS);
    let alice = server.user("alice");
    let send = |body: &str, more: serde_json::Value| {
        let mut message = json!({ "to": alice, "body": body });
        message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        server.api("POST", "/api/v1/sendto", message).json["results"][0]["state"].clone()
    };
    assert_eq!(send("never", json!({ "store": "never" })), "dropped");
    assert_eq!(send("too late", json!({ "ttl_secs": 1 })), "stored");
    assert_eq!(send("kept", json!({})), "stored");
    crate::wire::Conn::open(&server).stays_silent(std::time::Duration::from_millis(1_100));
    let (mut page, _) = Page::create(&server, CREATION);
    page.login(&alice);
    let said = page.settle("<presence xmlns='jabber:client'/>");
    assert_eq!(crate::wire::messages(&said), ["kept"]);
    assert!(said.contains("<delay xmlns='urn:xmpp:delay'"), "{said}");
}

/// Ten thousand pushes of a kilobyte each, to somebody who has said that she will not ask for a while.
#[test]
fn t82_a_flood_for_a_page_that_pauses() {
    const QUEUE_BYTES_MAX: usize = 65_536;
    let server = Server::alone("[bosh]\nqueue_bytes_max = 65536\nmaxpause_secs = 600\n[offline]\nmessages_max = 200\n");
    let s = Scene::of(server, CREATION);
    s.page.say_with(1, "pause='600'", "").answer().is(EMPTY);
    let before = s.server.herald().rss_bytes();
    let text = "x".repeat(1_000);
    let mut states = std::collections::BTreeMap::<String, usize>::new();
    for (kind, count) in [("headline", 5_000), ("chat", 5_000)] {
        for n in 0..count {
            let message = json!({ "to": s.alice, "type": kind, "body": format!("{kind} {n} {text}") });
            let state = &s.server.api("POST", "/api/v1/sendto", message).json["results"][0]["state"];
            *states.entry(format!("{kind} {}", state.as_str().expect("a state"))).or_default() += 1;
        }
    }
    let grown = s.server.herald().rss_bytes().saturating_sub(before);
    println!("the server grew by {grown} bytes; {states:?}");
    assert!(grown < 8 << 20, "the server grew by {grown} bytes");
    // All that was called delivered or stored is delivered in the end, headlines first, in order and once.
    let delivered = |kind: &str| *states.get(kind).unwrap_or(&0);
    assert!(delivered("headline delivered") > 0 && delivered("headline dropped") > 0, "{states:?}");
    assert!(delivered("headline delivered") * text.len() <= QUEUE_BYTES_MAX, "{states:?}");
    assert_eq!(delivered("headline stored"), 0, "{states:?}");
    assert!(delivered("chat stored") > 0, "{states:?}");
    let kept = delivered("headline delivered") + delivered("chat delivered") + delivered("chat stored");
    let mut got = Vec::new();
    let mut n = 2;
    while got.len() < kept {
        got.extend(s.page.ask(n).answer().messages());
        n += 1;
    }
    let number = |text: &str| text.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok()).expect("a number");
    for kind in ["headline", "chat"] {
        let numbers: Vec<usize> = got.iter().filter(|t| t.starts_with(kind)).map(|t| number(t)).collect();
        assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>(), "{kind}");
    }
    assert_eq!(got.len(), kept, "{states:?}");
}

#[test]
fn t83_a_megabyte_that_waits() {
    const SOFT: usize = 65_536;
    let server = Server::shared("[bosh]\nqueue_bytes_max = 2000000\n");
    let s = Scene::of(server, CREATION);
    let text = "y".repeat(10_000);
    for n in 0..100 {
        assert_eq!(s.server.push(&s.alice, &format!("{n} {text}"))["state"], "delivered");
    }
    let mut got = Vec::new();
    for n in 1.. {
        let answer = s.page.ask(n).answer();
        assert!(answer.body.len() < SOFT + 2 * text.len(), "{} bytes in one answer", answer.body.len());
        got.extend(answer.messages());
        if got.len() == 100 {
            assert!(n >= 1_000_000 / SOFT as u64, "in {n} answers");
            break;
        }
    }
    assert!(got.iter().enumerate().all(|(n, t)| t.starts_with(&format!("{n} "))));
}

#[test]
fn t85_what_an_idle_session_costs() {
    const SESSIONS: usize = 1_000;
    let server = Server::alone(FAST.replace("wait_max_secs = 10", "wait_max_secs = 600").as_str());
    let warm = many_held(&server, 4, 25);
    let before = server.herald().rss_bytes();
    let held = many_held(&server, SESSIONS / 25, 25);
    let each = server.herald().rss_bytes().saturating_sub(before) / SESSIONS as u64;
    println!("{each} bytes for each session");
    assert!(each < SESSION_BYTES_MAX, "{each} bytes for each session");
    drop((warm, held));
}
