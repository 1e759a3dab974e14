//! D. Acknowledgements (XEP-0124 section 9).

use crate::scene::{CREATION, PING, Page, Post, Scene};

const ACKS: &str = "ack='1' wait='60' hold='1' ver='1.6' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'";

#[test]
fn t49_the_server_says_what_it_has() {
    let mut s = Scene::with(ACKS);
    let (page, creation) = Page::create(&s.server, ACKS);
    assert_eq!(creation.attr("ack"), Some(page.r.to_string()));
    assert_eq!(Page::create(&s.server, CREATION).1.attr("ack"), None, "nobody asked for it");
    // Answered when R+2 has come: it is acknowledged.
    let first = s.held(1);
    let second = s.page.say(2, &s.to_bob("hi"));
    assert_eq!(first.answer().attr("ack"), Some((s.page.r + 2).to_string()));
    // Answered when nothing else has come: no need.
    s.bob_says("push");
    let second = second.answer().says("push");
    assert_eq!(second.attr("ack"), None);
}

#[test]
fn t50_a_client_that_has_less_than_it_was_sent() {
    let s = Scene::with(ACKS);
    let acked = |n: u64| format!("ack='{}'", s.page.r + n);
    for (n, has) in [(1, 0), (2, 1), (3, 2), (4, 2)] {
        s.page.say_with(n, &acked(has), PING).answer();
    }
    // It has not got the answer to R+3, though R+4 is answered too: told at once, with nothing else to say.
    let answer = s.page.say_with(5, &acked(2), "").answer();
    assert_eq!(answer.attr("report"), Some((s.page.r + 3).to_string()));
    let time: u64 = answer.attr("time").and_then(|t| t.parse().ok()).expect("milliseconds");
    assert!(time < 60_000, "{time}");
    s.page.say(3, PING).answer().says("'ping'");
}

/// A client that announces acknowledgements and then never says what it has.
#[test]
fn t51_answers_that_are_never_acknowledged() {
    const ANSWERS: u64 = 10_000;
    let server = crate::scene::Server::alone(crate::scene::HARNESS);
    let s = Scene::of(server, ACKS);
    let stuck = format!("ack='{}'", s.page.r);
    let mut conn = crate::wire::Conn::open(&s.server);
    let mut rss = Vec::new();
    for n in 1..=ANSWERS {
        let ping = PING.replace("'ping'", &format!("'{n:0>200}'"));
        conn.post(&s.page.body(n, &stuck, &ping));
        conn.answer().omits("type='terminate'");
        if n % (ANSWERS / 2) == 0 {
            rss.push(s.server.herald().rss_bytes());
        }
    }
    // Both times far more was answered than is kept (256 KiB).
    assert!(rss[1] < rss[0] + (2 << 20), "{rss:?}");
}

#[test]
fn t52_what_was_acknowledged_is_not_said_again() {
    let mut s = Scene::with(ACKS);
    for n in 1..=3 {
        s.page.say(n, PING).answer();
    }
    s.page.say_with(4, &format!("ack='{}'", s.page.r + 3), PING).answer();
    s.page.say(2, PING).answer().terminates("item-not-found");
    s.bob_has(5, &[]);
}

/// R+1 is answered with a push, and `end` ends its connection; then R+2 comes with nothing in it, from a page that
/// does not know of the answer. Gives what R+2 and the next answers say, up to another push.
fn after_a_push(end: impl FnOnce(Post)) -> Vec<String> {
    let mut s = Scene::new();
    let mut held = s.held(1);
    s.bob_says("push");
    held.0.has_come();
    end(held);
    // The server hears of it before it hears these, one after the other: none of its threads is still at it then.
    for n in 0..20 {
        s.bob.send(&PING.replace("'ping'", &format!("'turn{n}'")));
        s.bob.expect(&format!("'turn{n}'"));
    }
    let mut said = Vec::new();
    let mut next = s.page.ask(2);
    s.bob_says("next");
    for n in 3.. {
        said.extend(next.answer().messages());
        if said.last().is_some_and(|text| text == "next") {
            break;
        }
        next = s.page.say(n, &s.to_bob("and"));
    }
    said
}

/// Without acknowledgements an empty request is one, unless the connection says that its answer was not read.
#[test]
fn a_push_that_was_written_and_not_read() {
    let closed = |held: Post| drop(held); // the system sends a reset, because of what is unread
    assert_eq!(after_a_push(closed), ["push", "next"]);
    assert_eq!(after_a_push(|held| held.0.reset()), ["push", "next"]);
    let crossed = |mut held: Post| {
        held.0.half_close();
        held.0.reset();
    };
    // At most a second may lie between the push and both: a busy machine may need more, and then it is tried again.
    assert!((0..3).any(|_| after_a_push(crossed) == ["push", "next"]));
}

#[test]
fn a_push_that_was_read_before_the_connection_was_closed() {
    let read = |held: Post| assert_eq!(held.answer().messages(), ["push"]);
    assert_eq!(after_a_push(read), ["next"]);
}
