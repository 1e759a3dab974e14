//! A server with users, messages for them in rounds, and what they got in the end.

use crate::support::client::Client;
use crate::support::{Herald, Home};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Users of a scene: user0 and so on.
pub const USERS: usize = 12;
/// Messages for each of them.
pub const ROUNDS: usize = 200;
/// What the last message says.
const END: &str = "the end";
/// How often something is asked for until it is what is waited for; a little apart, so that those who are to bring it
/// about have the processor.
const ASKED_MAX: usize = 8_000;
const APART: Duration = Duration::from_millis(10);

/// A server with the users.
pub fn herald(toml: &str) -> Herald {
    let home = Home::new(&format!("[offline]\nmessages_max = 100000\n{toml}"));
    (0..USERS).for_each(|user| home.user(&name(user), "secret"));
    home.start()
}

/// A user's name.
pub fn name(user: usize) -> String {
    format!("user{user}")
}

/// What a message says.
pub fn body(round: usize, user: usize) -> String {
    if round == ROUNDS { END.to_owned() } else { format!("{round} for {}", name(user)) }
}

/// All bodies that a user is given who logs in, up to this one.
pub fn kept(herald: &Herald, uid: &str, last: &str) -> Vec<String> {
    let mut client = Client::bind(herald, uid, "secret", "here");
    client.send("<presence/>");
    let text = client.expect(&format!("<body>{last}</body>"));
    text.split("<body>").skip(1).filter_map(|rest| Some(rest.split_once("</body>")?.0.to_owned())).collect()
}

/// Every user got every message, once, in order; looked at when the source has nothing left.
pub fn assert_all_came(herald: &Herald, nothing_left: impl Fn() -> bool) {
    assert!(comes(nothing_left), "something is left at the source");
    for user in 0..USERS {
        let wanted: Vec<String> = (0..=ROUNDS).map(|round| body(round, user)).collect();
        let got = kept(herald, &name(user), END);
        if let Some(at) = (0..wanted.len().max(got.len())).find(|at| got.get(*at) != wanted.get(*at)) {
            let near = |all: &[String]| format!("{:?}", &all[at.min(all.len())..(at + 9).min(all.len())]);
            panic!("{} got {} messages; from {at} on\n{}, not\n{}", name(user), got.len(), near(&got), near(&wanted));
        }
    }
}

/// A server that is killed while somebody uses it: who finds it gone waits here until it is back.
pub struct Killed<S>(Mutex<S>);

impl<S> Killed<S> {
    pub fn new(server: S) -> Killed<S> {
        Killed(Mutex::new(server))
    }
    pub fn there(&self) -> MutexGuard<'_, S> {
        self.0.lock().expect("nobody panics with it")
    }
}

/// What happens at this round: both are killed, one in the middle of the other's work, more than once.
pub fn with_kills<S: Send>(
    herald: &mut Herald,
    server: &Killed<S>,
    kill: impl Fn(&mut S),
    publish: impl FnOnce(&Killed<S>, Sender<usize>) + Send,
) {
    let (tell, told) = channel();
    thread::scope(|scope| {
        let publisher = scope.spawn(|| publish(server, tell));
        wait(&told, ROUNDS / 6);
        herald.kill();
        wait(&told, ROUNDS / 4);
        herald.restart();
        wait(&told, ROUNDS / 2);
        kill(&mut server.there());
        wait(&told, ROUNDS * 2 / 3);
        assert!(herald.terminate().success(), "it ends well, with the source there");
        herald.restart();
        wait(&told, ROUNDS * 5 / 6);
        herald.kill();
        herald.restart();
        told.iter().for_each(drop); // the rest comes while it works on what it missed
        publisher.join().expect("all is published");
    });
}

fn wait(told: &Receiver<usize>, round: usize) {
    told.iter().find(|at| *at >= round).expect("it goes on");
}

/// A number of `/metrics`.
pub fn metric(herald: &Herald, name: &str) -> u64 {
    let text = herald.http("GET", "/metrics", &[], "").text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// Waits until a number of `/metrics` is such.
pub fn until(herald: &Herald, name: &str, such: impl Fn(u64) -> bool) {
    assert!(comes(|| such(metric(herald, name))), "{name} is {}", metric(herald, name));
}

/// Runs something that waits.
pub fn block_on<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(what)
}

/// Waits until the server's log has this.
pub fn until_logged(herald: &Herald, words: &str) {
    assert!(comes(|| herald.log().contains(words)), "no {words:?} in\n{}", herald.log());
}

/// Asks again and again, for what nobody tells.
fn comes(asked: impl Fn() -> bool) -> bool {
    let (_keep, never) = channel::<()>();
    (0..ASKED_MAX).any(|_| asked() || never.recv_timeout(APART).is_ok())
}
