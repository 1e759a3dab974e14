//! F. Terminate, errors, shutdown (XEP-0124 sections 13 and 17, XEP-0206 section 6).

use crate::scene::{CREATION, FAST, HARNESS, PING, Page, Post, Scene, Server, creation, post};
use crate::support::raise_open_files;
use crate::wire::{Answer, Conn, EMPTY, request};
use std::time::{Duration, Instant};

#[test]
fn t61_the_client_terminates() {
    let mut s = Scene::new();
    let held = s.held(1);
    let last = s.page.say_with(2, "type='terminate'", "<presence xmlns='jabber:client' type='unavailable'/>");
    held.answer().closes();
    last.answer().is(EMPTY);
    s.bob_sees_her_go();
    s.page.ask(3).answer().terminates("item-not-found");
    // With nothing else open it is told itself; what it carries goes where it should.
    let mut s = Scene::new();
    let bye = s.to_bob("bye") + "<presence xmlns='jabber:client' type='unavailable'/>";
    s.page.say_with(1, "type='terminate'", &bye).answer().closes();
    s.bob.expect("<body>bye</body>");
    s.is_gone(2);
}

/// The answer that ends a session with a stream error.
#[track_caller]
fn is_stream_error(answer: &Answer, condition: &str) {
    assert_eq!((answer.status, answer.attr("condition").as_deref()), (200, Some("remote-stream-error")));
    assert!(answer.body.contains("xmlns:stream='http://etherx.jabber.org/streams'"), "{}", answer.body);
    let (before, error) = answer.body.split_once("<stream:error>").expect("a stream error");
    assert!(error.starts_with(&format!("<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'")), "{error}");
    assert!(error.ends_with("</stream:error></body>"), "it is the last: {error}");
    assert!(!before.contains("stream:error"));
}

/// Somebody else binds her resource.
fn conflict(s: &Scene) {
    let (mut other, _) = Page::create(&s.server, CREATION);
    other.login(&s.alice);
}

#[test]
fn t62_a_conflict_while_a_request_waits() {
    // Two stanzas are queued, since the request that waits is one that came before its elder.
    let mut s = Scene::new();
    let mut early = s.page.ask(2);
    early.0.stays_silent(Duration::from_millis(50));
    for text in ["one", "two"] {
        assert_eq!(s.server.push(&s.alice, text)["state"], "delivered");
    }
    conflict(&s);
    let answer = early.answer();
    is_stream_error(&answer, "conflict");
    assert_eq!(answer.messages(), ["one", "two"], "stanzas come before the error");
    s.is_gone(1);
    // Held in its turn, with nothing queued.
    let mut s = Scene::new();
    let held = s.held(1);
    conflict(&s);
    is_stream_error(&held.answer(), "conflict");
    s.is_gone(2);
}

#[test]
fn t63_a_kick_while_nothing_is_held() {
    let mut s = Scene::new();
    s.server.kick(&s.alice);
    s.bob_sees_her_go();
    is_stream_error(&s.page.ask(1).answer(), "policy-violation");
    s.page.ask(2).answer().terminates("item-not-found");
}

#[test]
fn t64_a_session_that_never_was() {
    let server = Server::shared(HARNESS);
    for sid in ["0".repeat(32), "nonsense".into(), String::new()] {
        let page = Page { server: server.clone(), sid, r: 1, polls: false };
        page.ask(1).answer().terminates("item-not-found");
        page.say_with(1, "type='terminate'", "").answer().terminates("item-not-found");
    }
}

#[test]
fn t65_what_a_client_without_ver_is_told() {
    const LEGACY: &str = "wait='60' hold='1' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'";
    let mut bad_rid = Scene::with(LEGACY);
    bad_rid.page.ask(9).answer().refuses(404, "item-not-found");
    bad_rid.is_gone(1);
    let mut often = Scene::with(LEGACY);
    let mut conn = Conn::open(&often.server);
    conn.send([request("", often.page.body(1, "", "")), request("", often.page.body(2, "", ""))].concat());
    conn.answer().terminates("other-request");
    conn.answer().refuses(403, "policy-violation");
    often.is_gone(3);
    let mut malformed = Scene::with(LEGACY);
    post(&malformed.server, &malformed.page.body(1, "", "<message>")).answer().refuses(400, "bad-request");
    malformed.is_gone(2);
}

/// Sessions of `users` users, `each` of them; every one has a request open.
pub fn many_held(server: &Server, users: usize, each: usize) -> Vec<Post> {
    assert!(raise_open_files(4_096), "4096 files open");
    let mut held = Vec::new();
    for _ in 0..users {
        let alice = server.user("alice");
        for n in 0..each {
            let (mut page, _) = Page::create(server, CREATION);
            page.login_as(&alice, &format!("page{n}"));
            held.push(page.ask(1));
        }
    }
    held
}

#[test]
fn t66_shutdown_with_a_thousand_held() {
    let server = Server::alone("[bosh]\nwait_max_secs = 60\n");
    let mut held = many_held(&server, 4, 25);
    held.extend((0..900).map(|_| Page::create(&server, CREATION).0.ask(1)));
    let mut newcomer = Conn::open(&server);
    newcomer.send("GET /http-bind HTTP/1.1\r\nHost: localhost\r\n\r\n");
    newcomer.answer();
    let begun = Instant::now();
    server.herald().signal(libc::SIGTERM);
    held[0].0.answer().terminates("system-shutdown");
    // While the others are told: when all are, the server is gone.
    newcomer.post(&creation(1, &format!("to='localhost' {CREATION}"), ""));
    newcomer.answer().terminates("system-shutdown");
    for post in &mut held[1..] {
        post.0.answer().terminates("system-shutdown");
    }
    let took = begun.elapsed();
    println!("a thousand were told in {took:?}");
    assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 1 }), "{took:?}");
    assert!(server.herald().wait().success());
}

/// What happens above BOSH when an actor breaks is shown where an actor can be made to break:
/// `session/tests/live.rs`, `a_user_that_breaks_takes_nobody_along`. It tells every connection of that user
/// [`Close::Internal`], as an operator's kick does with other words; what BOSH makes of such an end is case 62
/// and 63. Here: a session that a client breaks takes nobody along.
#[test]
fn t67_others_are_untouched() {
    let s = Scene::of(Server::shared(FAST), CREATION);
    let mut broken = Scene::of(Server::shared(FAST), CREATION);
    broken.page.say(1, "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>").answer();
    broken.is_gone(2);
    s.page.say(1, PING).answer().says("type='result'");
}
