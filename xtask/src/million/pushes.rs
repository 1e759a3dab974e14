//! One `sendto` to each of many users, drawn from all of them, and when each came to its client.

use super::client::Client;
use super::servers::{Plan, Servers};
use super::{Options, go_on};
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Requests that may be under way at a time.
const BACKENDS: u32 = 16;
/// How long is waited for the last ones, and then for any that come twice.
const WAIT: Duration = Duration::from_secs(30);
const AFTER: Duration = Duration::from_secs(2);

/// What became of the pushes; times in milliseconds.
#[derive(Default)]
pub struct Pushed {
    pub pushes: usize,
    /// Answered with `delivered`.
    pub delivered: usize,
    /// That came to the client of their user, once.
    pub arrived: usize,
    /// That came again, or to somebody else.
    pub wrong: usize,
    /// From the request to the client, sorted.
    pub latencies: Vec<f64>,
    /// Answers that were no success, some of them.
    pub refusals: Vec<String>,
}

impl Pushed {
    /// The latency that this share of all does not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let at = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(at.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// A push that was made: to whom, when, and what was answered.
struct Made {
    user: u32,
    at_ns: u64,
    refused: Option<String>,
}

/// Pushes, and waits for what comes.
pub fn push(
    options: &Options,
    plan: &Plan,
    servers: &Servers,
    client: &mut Client,
    ends: &AtomicBool,
) -> Result<Pushed> {
    let users = draw(plan.sessions, options.pushes, monotonic_ns());
    println!("pushing to {} of the users, {} a second", users.len(), options.rate);
    let (tell, made) = mpsc::channel();
    let backends = BACKENDS.min(users.len().max(1) as u32);
    let began = Instant::now();
    let (mut sent, mut came) = (HashMap::new(), Vec::new());
    let mut pushed = Pushed { pushes: users.len(), ..Pushed::default() };
    thread::scope(|scope| -> Result<()> {
        let mut stops = Vec::new();
        for backend in 0..backends {
            let (stop, stopped) = mpsc::channel::<()>();
            stops.push(stop);
            let (users, tell) = (&users, tell.clone());
            scope.spawn(move || {
                let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
                for at in (backend as usize..users.len()).step_by(backends as usize) {
                    let due = Duration::from_secs_f64(at as f64 / f64::from(options.rate));
                    let wait = due.saturating_sub(began.elapsed());
                    if stopped.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Disconnected) {
                        return;
                    }
                    send(&agent, plan, servers, users[at], &tell);
                }
            });
        }
        drop(tell);
        // Leaving this early drops `stops`, which ends the backends.
        let (mut last, mut whole) = (None, None::<Instant>);
        loop {
            go_on(ends)?;
            if let Some(message) = client.hear(Duration::from_millis(20))? {
                came.push(message);
            }
            loop {
                match made.try_recv() {
                    Ok(Made { user, at_ns, refused }) => {
                        sent.insert(user, at_ns);
                        match refused {
                            None => pushed.delivered += 1,
                            Some(words) => pushed.refusals.push(words),
                        }
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => {
                        last.get_or_insert_with(Instant::now);
                        break;
                    }
                }
            }
            if last.is_some() && came.len() >= pushed.delivered {
                whole.get_or_insert_with(Instant::now);
            }
            let over = last.is_some_and(|last| last.elapsed() > WAIT);
            if over || whole.is_some_and(|whole| whole.elapsed() > AFTER) {
                return Ok(());
            }
        }
    })?;
    let mut seen = HashSet::new();
    for message in came {
        match sent.get(&message.user) {
            Some(at_ns) if message.body == body(message.user) && seen.insert(message.user) => {
                pushed.latencies.push(message.at_ns.saturating_sub(*at_ns) as f64 / 1e6);
            }
            _ => pushed.wrong += 1,
        }
    }
    pushed.arrived = seen.len();
    pushed.latencies.sort_by(f64::total_cmp);
    Ok(pushed)
}

fn send(agent: &ureq::Agent, plan: &Plan, servers: &Servers, user: u32, tell: &Sender<Made>) {
    let (admin, key) = servers.admin(plan.server_of(user));
    let at_ns = monotonic_ns();
    let answer = agent
        .post(format!("http://{admin}/api/v1/sendto"))
        .header("X-API-Key", key)
        .send_json(serde_json::json!({ "to": format!("u{user}"), "body": body(user) }))
        .context("no answer")
        .and_then(|mut answer| Ok(answer.body_mut().read_to_string()?));
    let refused = match answer {
        Ok(text) if text.contains("\"delivered\"") => None,
        Ok(text) => Some(text),
        Err(e) => Some(format!("{e:#}")),
    };
    let _ = tell.send(Made { user, at_ns, refused }); // nobody listens any more when the run was ended
}

fn body(user: u32) -> String {
    format!("for u{user}")
}

/// So many different users of all.
fn draw(users: u32, wanted: u32, seed: u64) -> Vec<u32> {
    let (mut random, mut drawn, mut order) = (seed | 1, HashSet::new(), Vec::new());
    while order.len() < wanted.min(users) as usize {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let user = (random % u64::from(users)) as u32;
        if drawn.insert(user) {
            order.push(user);
        }
    }
    order
}

/// Nanoseconds of CLOCK_MONOTONIC, by which herald-load says when a message came.
fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a whole timespec that outlives the call. This clock cannot fail on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_drawn_once_each() {
        for (users, wanted, drawn) in [(1_000_000, 1_000, 1_000), (5, 10, 5), (1, 1, 1)] {
            let order = draw(users, wanted, 7);
            assert_eq!(order.iter().collect::<HashSet<_>>().len(), drawn);
            assert!(order.iter().all(|user| *user < users));
        }
    }

    #[test]
    fn quantiles_of_latencies() {
        let pushed = Pushed { latencies: (1..=100).map(f64::from).collect(), ..Pushed::default() };
        assert_eq!([0.5, 0.99, 1.0].map(|share| pushed.quantile(share) as u32), [50, 99, 100]);
        assert!(Pushed::default().quantile(0.5).abs() < f64::EPSILON);
    }
}
