//! What lasts: numbers and messages over the end of a channel and of the server; who counts as there.

use crate::support::Herald;
use crate::support::client::Client;
use crate::wire::Conn;
use crate::{ask, open, park, push, subscribed};
use serde_json::Value;

/// The messages of an answer, as numbers and contents.
fn messages(body: &str) -> Vec<(i64, String)> {
    let said: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"));
    let one = |m: &Value| (m["seq"].as_i64().expect("seq"), m["content"].as_str().expect("content").to_owned());
    match &said {
        Value::Array(all) => all.iter().map(one).collect(),
        one_alone => vec![one(one_alone)],
    }
}

fn numbered(range: std::ops::RangeInclusive<i64>) -> Vec<(i64, String)> {
    range.map(|n| (n, n.to_string())).collect()
}

/// Waits until a channel has ended.
fn ended(herald: &Herald, cname: &str) {
    for _ in 0..100_000 {
        if ask(herald, &format!("/check?cname={cname}")).text == "{}\n" {
            return;
        }
    }
    panic!("{cname} never went");
}

#[test]
fn nothing_is_lost_when_a_channel_ends_and_comes_again() {
    let herald = open("channel_timeout_secs = 1\n");
    let mut conn = park(&herald, "a", 1);
    push(&herald, "a", "1");
    assert_eq!(messages(&conn.answer().1), numbered(1..=1));
    drop(conn);
    ended(&herald, "a");
    for n in 2..=20 {
        push(&herald, "a", &n.to_string());
    }
    // iComet begins again with 1 and loses these without a sign.
    let mut conn = Conn::to(&herald);
    assert_eq!(messages(&conn.body("/poll?cname=a&seq=2")), numbered(2..=20));
}

#[test]
fn nothing_is_lost_when_the_server_is_killed() {
    let mut herald = open("");
    let mut conn = park(&herald, "a", 1);
    push(&herald, "a", "1");
    assert_eq!(messages(&conn.answer().1), numbered(1..=1));
    for n in 2..=5 {
        push(&herald, "a", &n.to_string());
    }
    herald.kill();
    herald.restart();
    for n in 6..=7 {
        push(&herald, "a", &n.to_string());
    }
    let mut conn = Conn::to(&herald);
    assert_eq!(messages(&conn.body("/poll?cname=a&seq=2")), numbered(2..=7));
    // Who does not know a number is told that of the oldest that nobody has acknowledged.
    assert_eq!(conn.body("/poll?cname=a"), "{\"type\":\"next_seq\",\"cname\":\"a\",\"seq\":2,\"content\":\"\"}\n");
    let mut stream = Conn::to(&herald);
    stream.get("/stream?cname=a&seq=6");
    stream.head();
    let streamed: Vec<_> = (0..2).flat_map(|_| messages(&stream.chunk().expect("data"))).collect();
    assert_eq!(streamed, numbered(6..=7));
}

#[test]
fn numbers_of_what_is_not_kept_go_on_too() {
    let mut herald = open("store = \"never\"\n");
    let mut conn = park(&herald, "a", 1);
    for n in 1..=3 {
        push(&herald, "a", &n.to_string());
        assert_eq!(messages(&conn.answer().1), numbered(n..=n));
        conn.get(&format!("/poll?cname=a&seq={}", n + 1));
        subscribed(&herald, "a", 1);
    }
    herald.kill();
    herald.restart();
    // Between two polls, and before anybody polls, the channel holds what was said.
    push(&herald, "a", "x");
    let mut conn = Conn::to(&herald);
    let after = messages(&conn.body("/poll?cname=a&seq=4"));
    assert_eq!(after.len(), 1);
    assert!(after[0].0 >= 4, "numbers never begin again: {after:?}");
    for n in 0..50 {
        push(&herald, "a", &n.to_string());
    }
    let next = after[0].0 + 1;
    let kept = messages(&conn.body(&format!("/poll?cname=a&seq={next}")));
    assert_eq!(kept, (40..50).map(|n| (next + n, n.to_string())).collect::<Vec<_>>(), "buffer_messages");
}

#[test]
fn a_subscriber_is_a_resource_of_its_user() {
    let herald = open("channel_timeout_secs = 1\n");
    herald.user("ann", "secret");
    let mut desk = Client::login(&herald, "ann", "secret", "desk");
    assert_eq!(ask(&herald, "/check?cname=ann").text, "{\"ann\": 1}\n");
    let mut poll = park(&herald, "ann", 1);
    desk.expect("from='ann@localhost/comet'");
    let sessions = herald.api("GET", "/api/v1/sessions?uid=ann", None).json;
    let transports: Vec<_> =
        sessions["sessions"].as_array().expect("sessions").iter().map(|s| s["transport"].clone()).collect();
    assert_eq!(transports, ["comet", "tcp"]);
    // Both get what is pushed.
    push(&herald, "ann", "both");
    assert_eq!(messages(&poll.answer().1), [(1, "both".into())]);
    desk.expect("<body>both</body>");
    // And what others write.
    herald.user("ben", "secret");
    let mut ben = Client::login(&herald, "ben", "secret", "desk");
    poll.get("/poll?cname=ann&seq=2");
    subscribed(&herald, "ann", 1);
    ben.send("<message to='ann@localhost' type='chat'><body>from ben &lt;3</body></message>");
    assert_eq!(messages(&poll.answer().1), [(2, "from ben <3".into())]);
    drop(poll);
    desk.expect("type='unavailable'");
}

#[test]
fn what_is_not_kept_goes_to_all_resources_too() {
    let herald = open("store = \"never\"\n");
    herald.user("ann", "secret");
    let mut poll = park(&herald, "ann", 1);
    push(&herald, "ann", "alone");
    assert_eq!(messages(&poll.answer().1), [(1, "alone".into())]);
    let mut desk = Client::login(&herald, "ann", "secret", "desk");
    poll.get("/poll?cname=ann&seq=2");
    subscribed(&herald, "ann", 1);
    push(&herald, "ann", "both");
    assert_eq!(messages(&poll.answer().1), [(2, "both".into())]);
    desk.expect("<body>both</body>");
}

#[test]
fn a_drain_tells_polls_to_come_again() {
    let mut herald = open("");
    let mut poll = park(&herald, "a", 1);
    herald.signal(libc::SIGTERM);
    let (_, body) = poll.answer();
    assert_eq!(body, "{\"type\":\"noop\",\"cname\":\"a\",\"seq\":0,\"content\":\"\"}\n");
    herald.wait();
}
