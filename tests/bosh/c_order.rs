//! C. Hold, order, replay (XEP-0124 sections 8, 11, 12 and 14).

use crate::scene::{CREATION, FAST, PING, Page, Post, Scene, Server};
use crate::wire::{Conn, EMPTY, ERROR, messages, request};
use std::time::{Duration, Instant};

/// "At once", with room for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Within it a request has come that nothing tells of.
const SOON: Duration = Duration::from_millis(50);

#[test]
fn t29_a_push_answers_the_held_request() {
    let mut s = Scene::new();
    let held = s.page.ask(1);
    let begun = Instant::now();
    s.bob_says("hi");
    held.answer().says("<message ").says("xmlns='jabber:client'").says("<body>hi</body>");
    assert!(begun.elapsed() < AT_ONCE);
}

#[test]
fn t30_a_new_request_ends_the_wait_of_the_held_one() {
    let mut s = Scene::new();
    let first = s.page.ask(1);
    let begun = Instant::now();
    let second = s.page.say(2, &s.to_bob("hi"));
    first.answer().is(EMPTY);
    assert!(begun.elapsed() < AT_ONCE);
    s.bob.expect("<body>hi</body>");
    s.is_held(second);
}

/// wait='2', five times as fast.
#[test]
fn t31_an_empty_answer_when_the_wait_is_over() {
    let s = Scene::with("wait='2' hold='1' ver='1.6'");
    let begun = Instant::now();
    s.page.ask(1).answer().is(EMPTY);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_millis(3_500), "{took:?}");
}

#[test]
fn t32_out_of_order_pair() {
    let mut s = Scene::new();
    let mut second = s.page.say(2, &s.to_bob("b"));
    second.0.stays_silent(Duration::from_millis(200));
    let begun = Instant::now();
    let first = s.page.say(1, &s.to_bob("a"));
    first.answer().is(EMPTY);
    s.is_held(second);
    assert!(begun.elapsed() < AT_ONCE);
    s.bob_has(3, &["a", "b"]);
}

#[test]
fn t33_an_early_request_twice() {
    let mut s = Scene::new();
    let posts = [(); 2].map(|()| s.page.say(2, &s.to_bob("b")));
    let newer = Post::latest_of(posts);
    s.page.say(1, &s.to_bob("a")).answer().is(EMPTY);
    s.is_held(newer);
    s.bob_has(3, &["a", "b"]);
}

#[test]
fn t34_a_rid_above_the_window() {
    let mut s = Scene::new();
    s.page.ask(3).answer().terminates("item-not-found");
    s.is_gone(1);
}

#[test]
fn t35_a_rid_too_old_is_told_at_once() {
    let s = Scene::new();
    // One more than the page says: Strophe.js, attached, may ask for the first when the fifth is done.
    for n in 1..=6 {
        s.page.say(n, PING).answer();
    }
    let begun = Instant::now();
    s.page.say(1, PING).answer().terminates("item-not-found");
    assert!(begun.elapsed() < AT_ONCE);
    // A delayed duplicate of the network's ends nothing: whoever has the current rids goes on.
    s.page.is_alive(7);
}

#[test]
fn t36_an_answered_request_again() {
    let mut s = Scene::new();
    let first = s.page.say(1, &s.to_bob("once"));
    s.bob.expect("<body>once</body>");
    s.bob_says("answer");
    let first = first.answer().says("answer");
    let again = s.page.say(1, &s.to_bob("once")).answer();
    assert_eq!(again.raw, first.raw);
    s.bob_has(2, &[]);
}

#[test]
fn t37_another_payload_under_an_answered_rid() {
    let mut s = Scene::new();
    let first = s.page.say(1, &s.to_bob("this"));
    s.bob.expect("<body>this</body>");
    s.bob_says("answer");
    let first = first.answer();
    let again = s.page.say(1, &s.to_bob("something else")).answer();
    assert_eq!(again.raw, first.raw);
    s.bob_has(2, &[]);
}

#[test]
fn t38_a_held_request_again() {
    let mut s = Scene::new();
    let older = s.held(1);
    let newer = s.page.ask(1);
    older.answer().is(ERROR);
    s.bob_says("push");
    newer.answer().says("push").omits("rid=").omits("sid=");
}

#[test]
fn t39_a_request_over_and_over() {
    let mut s = Scene::new();
    let mut posts: Vec<_> = (0..50).map(|_| s.page.ask(1)).collect();
    let mut refused = 0;
    for post in posts.drain(..) {
        let answer = post.answer();
        match answer.attr("condition").as_deref() {
            None => drop(answer.is(ERROR)),
            Some("policy-violation") => refused += 1,
            // Those that came when the session was gone.
            Some(other) => assert_eq!(other, "item-not-found"),
        }
    }
    assert_eq!(refused, 1);
    s.is_gone(2);
}

#[test]
fn t40_a_held_request_whose_connection_closed() {
    let mut s = Scene::new();
    drop(s.held(1));
    s.bob_says("push");
    // Both ends of the race: the push was written to the dead connection, or waits for the next one.
    let answer = s.page.ask(1).answer();
    assert_eq!(answer.messages(), ["push"], "{}", answer.body);
    let end = s.bob_has(2, &[]);
    s.bob_says("next");
    assert_eq!(end.answer().messages(), ["next"]);
}

/// Takes the beginning of the answer to R+n, which a push fills, and cuts the connection within it.
fn cut_within_the_answer(s: &mut Scene, n: u64, text: &str) {
    let mut held = s.held(n).0;
    s.bob_says(text);
    held.some(100);
    held.reset();
}

#[test]
fn t41_an_answer_cut_in_the_middle() {
    let mut s = Scene::new();
    let large = "x".repeat(100_000);
    cut_within_the_answer(&mut s, 1, &large);
    let again = s.page.say(1, &s.to_bob("this is 1")).answer();
    assert_eq!(again.messages(), [large]);
    s.bob_has(2, &[]);
}

/// inactivity='1', five times as fast.
#[test]
fn t42_an_answer_cut_in_the_middle_and_nobody_comes_back() {
    let mut s = Scene::of(Server::shared(FAST), CREATION);
    let large = "x".repeat(100_000);
    cut_within_the_answer(&mut s, 1, &large);
    s.bob_sees_her_go();
    s.page.ask(1).answer().terminates("item-not-found");
    assert_eq!(s.kept(), [large]);
}

/// Both on their way at once, in either order, up to 50 ms apart; ten pages do a hundred each.
#[test]
fn t43_two_at_once_a_thousand_times() {
    const ROUNDS: u64 = 1_000;
    const PAGES: u64 = 10;
    let pages = (0..PAGES).map(|seed| std::thread::spawn(move || two_at_once(seed, ROUNDS / PAGES)));
    for page in pages.collect::<Vec<_>>() {
        page.join().expect("exactly once and in order");
    }
}

fn two_at_once(seed: u64, rounds: u64) {
    let mut s = Scene::new();
    let mut ways = [Conn::open(&s.server), Conn::open(&s.server)];
    let mut random = seed;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (first, delay) = ((random >> 63) as usize, (random >> 40) % 51);
        let texts = [format!("{round} a"), format!("{round} b")];
        let bodies = [1, 2].map(|n| s.page.body(n as u64, "", &s.to_bob(&texts[n - 1])));
        ways[first].post(&bodies[first]);
        ways[1].comes_within(Duration::from_millis(delay.max(1)));
        ways[1 - first].post(&bodies[1 - first]);
        ways[0].answer().is(EMPTY);
        s.bob_says("next");
        ways[1].answer().says("<body>next</body>");
        let got = messages(&s.bob.expect(&format!("{}</body>", texts[1])));
        assert_eq!(got, texts, "page {seed}");
        s.page.r += 2;
    }
    s.bob_has(1, &[]);
}

#[test]
fn t44_pipelined() {
    let mut s = Scene::new();
    let mut conn = Conn::open(&s.server);
    let (first, second) = (s.page.body(1, "", ""), s.page.body(2, "", &s.to_bob("hi")));
    conn.send([request("", first), request("", second)].concat());
    conn.answer().is(EMPTY);
    s.bob.expect("<body>hi</body>");
    s.is_held(Post(conn));
}

/// Section 14.2 says that the window is `requests` wide, section 11 that one more may come if it pauses or
/// terminates. The first rules what is too far; the second widens the window by one for those two.
#[test]
fn t45_what_may_come_before_a_withheld_request() {
    // (i) An ordinary one: out of the window.
    let mut s = Scene::new();
    let mut second = s.page.say(2, &s.to_bob("b"));
    second.0.stays_silent(SOON);
    s.page.ask(3).answer().terminates("item-not-found");
    let second = second.answer().attr("condition");
    assert!(matches!(second.as_deref(), Some("other-request" | "item-not-found")), "{second:?}");
    s.is_gone(1);
    // (ii) The one more that section 11 allows is kept, and done in its turn.
    for (attrs, ends) in [("type='terminate'", true), ("pause='15'", false)] {
        let mut s = Scene::new();
        let (mut second, mut third) = (s.page.say(2, &s.to_bob("b")), s.page.say_with(3, attrs, ""));
        second.0.stays_silent(SOON);
        third.0.stays_silent(SOON);
        let first = s.page.say(1, &s.to_bob("a"));
        let texts = messages(&s.bob.expect("<body>b</body>"));
        assert_eq!(texts, ["a", "b"]);
        let answers = [first.answer(), second.answer(), third.answer()];
        if ends {
            s.bob_sees_her_go();
            s.page.ask(4).answer().terminates("item-not-found");
        } else {
            assert!(answers.iter().all(|a| a.body == EMPTY), "{answers:?}");
            s.page.is_alive(4);
        }
    }
}

#[test]
fn t46_empty_requests_too_often() {
    let mut s = Scene::new();
    let mut conn = Conn::open(&s.server);
    conn.send([request("", s.page.body(1, "", "")), request("", s.page.body(2, "", ""))].concat());
    conn.answer().terminates("other-request");
    conn.answer().terminates("policy-violation");
    s.is_gone(3);
    // A client that has something to say may say it, and ask at once.
    let mut s = Scene::new();
    let first = s.page.say(1, &s.to_bob("a"));
    s.bob.expect("<body>a</body>");
    let second = s.page.ask(2);
    first.answer().is(EMPTY);
    s.is_held(second);
}

/// The switch: `polling` is not said then, and nothing is too often.
#[test]
fn t46_with_the_switch_off() {
    let s = Scene::of(Server::shared("[bosh]\noveractivity = false\n"), CREATION);
    assert_eq!(Page::create(&s.server, CREATION).1.attr("polling"), None);
    let mut conn = Conn::open(&s.server);
    conn.send([request("", s.page.body(1, "", "")), request("", s.page.body(2, "", ""))].concat());
    conn.answer().is(EMPTY);
    s.server.push(&s.alice, "hi");
    conn.answer().says("<body>hi</body>");
}

const POLLS: &str = "wait='0' hold='1' ver='1.6' xmpp:version='1.0' xmlns:xmpp='urn:xmpp:xbosh'";

#[test]
fn t47_a_polling_client_logs_in_quickly() {
    let mut s = Scene::with(POLLS); // which it did
    assert!(s.page.polls);
    for n in 1..=4 {
        s.page.say(n, &s.to_bob("quick")).answer().is(EMPTY);
    }
    s.bob_has(5, &["quick"; 4]);
}

#[test]
fn t48_polling_too_often() {
    let mut s = Scene::with(POLLS);
    s.page.ask(1).answer().is(EMPTY);
    s.page.ask(2).answer().terminates("policy-violation");
    s.is_gone(3);
}
