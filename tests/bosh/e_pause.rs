//! E. Pause and inactivity (XEP-0124 section 10), in real seconds.
//!
//! All cases run beside each other, each in a thread of its own. They are scaled: one second of the table
//! is a fifth of a second here (inactivity=1, maxpause=4, and "within a second" stays a second, since
//! deadlines are kept to half of one); the two that take minutes are scaled as their rows say.

use crate::scene::{CREATION, FAST, Page, Scene, Server};
use crate::wire::{Conn, EMPTY};
use std::thread;
use std::time::{Duration, Instant};

/// One second of the table.
const SECOND: Duration = Duration::from_millis(200);
/// How late a deadline may be kept.
const LATE: Duration = Duration::from_secs(1);

type Case = (&'static str, fn(Scene));

const CASES: &[Case] = &[
    ("t53_pause", t53_pause),
    ("t54_after_a_pause", t54_after_a_pause),
    ("t55_too_long_a_pause", t55_too_long_a_pause),
    ("t56_what_comes_during_a_pause", t56_what_comes_during_a_pause),
    ("t57_nobody_asks", t57_nobody_asks),
    ("t58_a_held_request_whose_host_is_gone", t58_a_held_request_whose_host_is_gone),
    ("t59_just_in_time", t59_just_in_time),
];

#[test]
fn t53_to_t59() {
    let server = Server::shared(FAST);
    run(CASES, |_| Scene::of(server.clone(), CREATION));
}

/// A hidden tab asks once a minute, and inactivity is 90: one second here is thirty there.
#[test]
fn t60_a_hidden_tab() {
    const MINUTE: Duration = Duration::from_secs(2);
    let s = Scene::of(Server::shared("[bosh]\ninactivity_secs = 3\nwait_max_secs = 1\n"), CREATION);
    for minute in 1..=10 {
        rest(&s, MINUTE);
        s.page.is_alive(minute);
    }
}

/// Runs them all and tells of each that failed.
fn run(cases: &[Case], scene: impl Fn(&str) -> Scene) {
    let running: Vec<_> = cases
        .iter()
        .map(|(name, case)| {
            let (case, scene) = (*case, scene(name));
            (name, thread::Builder::new().name((*name).into()).spawn(move || case(scene)).expect("a thread"))
        })
        .collect();
    let failed: Vec<_> = running.into_iter().filter_map(|(name, case)| case.join().is_err().then_some(name)).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Time passes in which the page asks for nothing.
fn rest(s: &Scene, time: Duration) {
    Conn::open(&s.server).stays_silent(time);
}

/// Bob sees her go, this long after `since`.
#[track_caller]
fn goes_after(s: &mut Scene, since: Instant, idle: Duration) {
    s.bob_sees_her_go();
    let took = since.elapsed();
    assert!(took >= idle && took < idle + LATE + LATE, "{took:?} instead of {idle:?}");
}

fn t53_pause(mut s: Scene) {
    let held = s.held(1);
    let begun = Instant::now();
    let pause = s.page.say_with(2, "pause='3'", "");
    held.answer().is(EMPTY);
    pause.answer().is(EMPTY);
    assert!(begun.elapsed() < LATE);
    rest(&s, 12 * SECOND);
    // It lives: what is said to her now is not kept for later, but waits for her to come.
    assert_eq!(s.server.push(&s.alice, "still here")["state"], "delivered");
    goes_after(&mut s, begun, 15 * SECOND);
    s.page.ask(3).answer().terminates("item-not-found");
}

fn t54_after_a_pause(mut s: Scene) {
    s.page.say_with(1, "pause='4'", "").answer().is(EMPTY);
    rest(&s, 10 * SECOND);
    s.page.is_alive(2);
    goes_after(&mut s, Instant::now(), 4 * SECOND);
    s.page.ask(3).answer().terminates("item-not-found");
}

fn t55_too_long_a_pause(mut s: Scene) {
    s.page.say_with(1, "pause='99999'", "").answer().terminates("policy-violation");
    s.is_gone(2);
}

fn t56_what_comes_during_a_pause(mut s: Scene) {
    s.page.say_with(1, "pause='4'", "").answer().is(EMPTY);
    let texts = ["one", "two", "three"];
    for text in texts {
        s.bob_says(text);
    }
    rest(&s, 10 * SECOND);
    assert_eq!(s.page.ask(2).answer().messages(), texts);
}

fn t57_nobody_asks(mut s: Scene) {
    s.page.is_alive(1);
    let begun = Instant::now();
    assert_eq!(s.server.push(&s.alice, "are you there?")["state"], "delivered");
    goes_after(&mut s, begun, 4 * SECOND);
    s.page.ask(2).answer().terminates("item-not-found");
    assert_eq!(s.kept(), ["are you there?"]);
}

/// The wait goes on for 10 s; it is not what the end waits for.
fn t58_a_held_request_whose_host_is_gone(s: Scene) {
    let (page, _) = Page::create(&s.server, CREATION);
    let mut s = Scene { page, ..s };
    let alice = s.alice.clone();
    s.page.login(&alice);
    s.page.settle("<presence xmlns='jabber:client'/>");
    let held = s.held(1);
    rest(&s, SECOND);
    let begun = Instant::now();
    held.0.reset();
    goes_after(&mut s, begun, 5 * SECOND);
    s.page.ask(1).answer().terminates("item-not-found");
}

fn t59_just_in_time(s: Scene) {
    for n in 1..=13 {
        rest(&s, 9 * SECOND / 2);
        s.page.is_alive(n);
    }
}
