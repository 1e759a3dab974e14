//! The backend of the test: it pushes, whatever becomes of the server, and knows what the server took.

use crate::support::{Herald, PATIENCE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

/// How far the pushers may get ahead of the client that is watched.
const LEAD: usize = 1_000;

/// Threads that push to the same users.
pub struct Backend {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    token: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Where the operator's port is; none while the server is down.
    admin: Option<SocketAddr>,
    /// What is pushed next.
    next: usize,
    until: usize,
    /// What the watched client has.
    seen: usize,
    /// Of each user, the numbers that were acknowledged, with the bodies.
    acked: BTreeMap<(String, u64), String>,
}

impl Backend {
    /// Begins to push `count` messages, numbered, to these users.
    pub fn start(herald: &Herald, to: &'static [&'static str], count: usize, threads: usize) -> Backend {
        let admin = Some(herald.address("admin"));
        let state = Mutex::new(State { admin, next: 0, until: count, seen: 0, acked: BTreeMap::new() });
        let shared = Arc::new(Shared { token: herald.token(), state, changed: Condvar::new() });
        let push = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.push(to))
        };
        let threads = (0..threads).map(push).collect();
        Backend { shared, threads }
    }

    /// The server is down, or is there again.
    pub fn leads_to(&self, admin: Option<SocketAddr>) {
        self.change(|state| state.admin = admin);
    }

    /// The watched client has so many.
    pub fn seen(&self, count: usize) {
        self.change(|state| state.seen = count);
    }

    /// Waits for the end; what was acknowledged.
    pub fn finish(self) -> BTreeMap<(String, u64), String> {
        self.change(|state| state.seen = usize::MAX / 2);
        for thread in self.threads {
            thread.join().expect("a pusher ends well");
        }
        std::mem::take(&mut self.shared.state.lock().expect("no panic under it").acked)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.state.lock().expect("no panic under it"));
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn push(&self, to: &[&str]) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        while let Some(n) = self.next() {
            // The same key until it was answered: what was lost on the way is not kept twice.
            let body = json!({"to": to, "body": format!("m{n}"), "store": "always"}).to_string();
            let answer = loop {
                let (admin, url) = self.admin();
                let said = agent
                    .post(&url)
                    .header("authorization", format!("Bearer {}", self.token))
                    .header("content-type", "application/json")
                    .header("idempotency-key", format!("push-{n}"))
                    .send(&body);
                match said {
                    Ok(mut said) if said.status() == 200 => break said.body_mut().read_to_string(),
                    Ok(said) if said.status() == 503 || said.status() == 409 => self.wait_for_another(admin),
                    Ok(mut said) => panic!("sendto: {} {:?}", said.status(), said.body_mut().read_to_string()),
                    Err(_) => self.wait_for_another(admin),
                }
            };
            let answer: Value = serde_json::from_str(&answer.unwrap_or_default()).unwrap_or_default();
            let results = answer["results"].as_array().cloned().unwrap_or_default();
            assert_eq!(results.len(), to.len(), "{answer}");
            let mut state = self.state.lock().expect("no panic under it");
            for result in results {
                let (uid, id) = (result["uid"].as_str(), result["id"].as_u64());
                let (Some(uid), Some(id)) = (uid, id) else { panic!("not kept: {result}") };
                state.acked.insert((uid.to_owned(), id), format!("m{n}"));
            }
        }
    }

    fn next(&self) -> Option<usize> {
        let state = self.state.lock().expect("no panic under it");
        let far = |state: &mut State| state.next < state.until && state.next >= state.seen + LEAD;
        let (mut state, late) = self.changed.wait_timeout_while(state, PATIENCE, far).expect("no panic under it");
        assert!(!late.timed_out(), "the watched client has had {} for a minute", state.seen);
        let n = state.next;
        state.next += 1;
        (n < state.until).then_some(n)
    }

    fn admin(&self) -> (SocketAddr, String) {
        let state = self.state.lock().expect("no panic under it");
        let down = |state: &mut State| state.admin.is_none();
        let (state, late) = self.changed.wait_timeout_while(state, PATIENCE, down).expect("no panic under it");
        assert!(!late.timed_out(), "the server does not come back");
        let admin = state.admin.expect("it is there");
        (admin, format!("http://{admin}/api/v1/sendto"))
    }

    /// A push failed: the server was killed, and the test is about to say so.
    fn wait_for_another(&self, admin: SocketAddr) {
        let state = self.state.lock().expect("no panic under it");
        let same = |state: &mut State| state.admin == Some(admin);
        let limit = std::time::Duration::from_secs(1); // it may have been one that fails by itself
        drop(self.changed.wait_timeout_while(state, limit, same).expect("no panic under it"));
    }
}
