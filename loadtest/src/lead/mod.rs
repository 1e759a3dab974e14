//! The process that leads: it starts the workers, watches the server, and puts together what they say.
//!
//! | file | what is in it |
//! |---|---|
//! | `workers.rs` | the worker processes |
//! | `limits.rs` | open files, ports, and what to do about the reasons of failures |
//! | `process.rs` | what the server's processes take |
//! | `progress.rs` | what is shown meanwhile |

#![allow(clippy::disallowed_methods)] // a driver: it reads the clock

pub mod limits;
mod process;
mod progress;
mod workers;

use crate::chat::{self, Count};
use crate::options::{self, Run};
use crate::report::{self, Latency, Sample, Summary};
use crate::talk::{Message, Order, Report, Setup, Status};
use crate::tally::Histogram;
use crate::target::{Carrier, Target};
use crate::tls::Trust;
use crate::users::{Pattern, Secret, Users};
use anyhow::{Context, Result, bail, ensure};
use progress::Progress;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use workers::Workers;

const SAMPLE: Duration = Duration::from_secs(1);
/// When nobody has logged in after so many failures, nobody will.
const HOPELESS: u32 = 100;
/// How long workers may take to log out.
const LEAVE_MAX: Duration = Duration::from_secs(60);

/// What to do with the sessions.
pub struct Plan {
    sessions: u32,
    seconds: u64,
    work: Work,
}

enum Work {
    Hold { events: bool },
    Chat { plan: chat::Plan, warm_up: Duration, drain: Duration },
}

impl Plan {
    /// `hold`
    pub fn hold(hold: &options::Hold) -> Plan {
        Plan { sessions: hold.sessions, seconds: hold.seconds, work: Work::Hold { events: hold.events } }
    }

    /// `chat`
    pub fn chat(chat: &options::Chat) -> Plan {
        let plan = chat::Plan { body_bytes: chat.body_bytes as usize, outstanding: chat.outstanding };
        let (warm_up, drain) = (Duration::from_secs(chat.warm_up), Duration::from_secs(chat.drain));
        Plan { sessions: 2 * chat.pairs, seconds: chat.seconds, work: Work::Chat { plan, warm_up, drain } }
    }
}

/// Does what the plan says; true when all went well.
pub fn run(run: &Run, plan: Plan) -> Result<bool> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, ends.clone()).context("signals cannot be handled")?;
    }
    let events = matches!(plan.work, Work::Hold { events: true });
    if events {
        let ends = ends.clone();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink()); // its end is what matters
            ends.store(true, Ordering::Relaxed);
        });
    }
    let setups = setups(run, &plan)?;
    let before = process::usage(&run.pid);
    ensure!(run.pid.is_empty() || before.is_some(), "--pid {:?}: there is no such process", run.pid);
    let mut workers = Workers::new();
    for setup in &setups {
        workers.start(setup)?;
    }
    let mut lead = Lead {
        progress: Progress::new(events, plan.sessions),
        pids: &run.pid,
        workers,
        plan,
        ends,
        began: Instant::now(),
        sampled: Instant::now(),
        samples: Vec::new(),
        fresh: Fresh::default(),
        logins: Histogram::default(),
        latencies: Histogram::default(),
        ended: Count::default(),
        ended_workers: 0,
    };
    lead.sample("starting", &Status::default());
    let mut summary = lead.drive(report::begin(run, &setups, before.map(|usage| usage.rss)))?;
    lead.leave();
    summary.count = (lead.ended.sent > 0).then_some(lead.ended);
    summary.samples = std::mem::take(&mut lead.samples);
    lead.progress.end();
    if !events {
        print!("{}", report::table(&summary));
    }
    for (reason, _) in &summary.reasons {
        if let Some(advice) = limits::advice(reason) {
            eprintln!("{reason}:\n  {advice}");
        }
    }
    if let Some(file) = &run.json {
        let text = serde_json::to_string_pretty(&summary)?;
        std::fs::write(file, text + "\n").with_context(|| format!("--json {}", file.display()))?;
    }
    if let Some(file) = &run.html {
        std::fs::write(file, report::html(&summary)).with_context(|| format!("--html {}", file.display()))?;
    }
    Ok(summary.is_good())
}

/// One setup for each worker: each target has its block of the users, and each block its workers.
fn setups(run: &Run, plan: &Plan) -> Result<Vec<Setup>> {
    let targets = run.to.iter().map(|to| Ok(Target::parse(to, run.transport)?)).collect::<Result<Vec<_>>>()?;
    let domain = run.domain.clone().unwrap_or_else(|| targets[0].host.clone());
    let users = users(run)?;
    ensure!(plan.sessions == 1 || users.names.differs(), "--users {:?} has no {{n}}: they would all be one", run.users);
    let chats = matches!(plan.work, Work::Chat { .. });
    let from = limits::addresses(&run.from)?;
    let open_files = limits::raise_open_files().context("the limit of open files cannot be read")?;
    // A BOSH session that says something has two connections.
    let connections =
        u64::from(plan.sessions) * if chats && run.transport.carrier() == Carrier::Requests { 2 } else { 1 };
    let blocks = blocks(plan.sessions, targets.len() as u32, if chats { 2 } else { 1 });
    let each = run.workers.map(|workers| workers.div_ceil(targets.len() as u32));
    let mut setups = Vec::new();
    let mut first = run.first;
    for (target, sessions) in targets.iter().zip(blocks) {
        let share = connections * u64::from(sessions) / u64::from(plan.sessions);
        let address = resolve(target)?;
        limits::check_ports(share, from.len())?;
        let workers = limits::workers(share, open_files, each)? as u32;
        for sessions in self::blocks(sessions, workers, if chats { 2 } else { 1 }) {
            setups.push(Setup {
                target: target.clone(),
                address,
                transport: run.transport,
                domain: domain.clone(),
                users: users.clone(),
                first,
                sessions,
                resource: run.resource.clone(),
                mechanism: run.sasl,
                rate: 0.0,
                in_flight: 1,
                login_secs: run.login_secs,
                wait_secs: run.wait,
                trust: trust(run),
                from: from.clone(),
                tls_name: domain.clone(),
                chat: match plan.work {
                    Work::Chat { plan, .. } => Some(plan),
                    Work::Hold { .. } => None,
                },
                tell_messages: matches!(plan.work, Work::Hold { events: true }),
            });
            first = first.checked_add(sessions).context("there are no numbers for so many users")?;
        }
    }
    let count = setups.len() as u32;
    for setup in &mut setups {
        setup.rate = run.rate / f64::from(count);
        setup.in_flight = run.in_flight.div_ceil(count);
    }
    Ok(setups)
}

/// Parts whole into so many blocks that are multiples of `unit`, those with nothing in them left out.
fn blocks(whole: u32, parts: u32, unit: u32) -> Vec<u32> {
    let (units, parts) = (whole / unit, parts.max(1));
    let blocks = (0..parts).map(|part| (units / parts + u32::from(part < units % parts)) * unit);
    blocks.filter(|block| *block > 0).collect()
}

fn users(run: &Run) -> Result<Users> {
    let secret = match &run.jwt_secret {
        None => Secret::Password(Pattern::new(&run.password)),
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("--jwt-secret {}", file.display()))?;
            Secret::Jwt(text.trim_end_matches(['\r', '\n']).to_owned())
        }
    };
    Ok(Users { names: Pattern::new(&run.users), secret })
}

fn trust(run: &Run) -> Trust {
    match (&run.ca, run.insecure) {
        (_, true) => Trust::Anybody,
        (Some(file), false) => Trust::File(file.clone()),
        (None, false) => Trust::System,
    }
}

fn resolve(target: &Target) -> Result<SocketAddr> {
    let mut found = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .with_context(|| format!("--to {}: the name leads nowhere", target.authority()))?;
    found.next().with_context(|| format!("--to {}: the name leads nowhere", target.authority()))
}

/// What came since the last sample.
#[derive(Default)]
struct Fresh {
    logins: Histogram,
    latencies: Histogram,
}

struct Lead<'r> {
    progress: Progress,
    pids: &'r [u32],
    workers: Workers,
    plan: Plan,
    ends: Arc<AtomicBool>,
    began: Instant,
    sampled: Instant,
    samples: Vec<Sample>,
    fresh: Fresh,
    logins: Histogram,
    /// Of messages while it is measured.
    latencies: Histogram,
    ended: Count,
    ended_workers: usize,
}

/// Why waiting ended.
#[derive(PartialEq, Eq)]
enum Until {
    Done,
    Time,
    Signal,
}

impl Lead<'_> {
    fn drive(&mut self, mut summary: Summary) -> Result<Summary> {
        let wanted = self.plan.sessions;
        let opened = self.wait("logging in", None, |status, _| {
            let hopeless = status.ready == 0 && status.lost == 0 && status.failed >= HOPELESS;
            status.ready + status.lost + status.failed >= wanted || hopeless
        })?;
        let status = self.workers.status();
        summary.logins_secs = self.samples.last().map_or(0.0, |sample| sample.secs);
        summary.logins_per_sec = f64::from(status.ready) / summary.logins_secs.max(0.001);
        summary.login_cpu_secs = self.cpu_since(0.0);
        summary.peak = status.ready;
        if opened == Until::Done && status.ready > 0 {
            let from = self.samples.last().map_or(0.0, |sample| sample.secs);
            match self.plan.work {
                Work::Hold { events } => self.hold(events)?,
                Work::Chat { warm_up, drain, .. } => self.chat(&mut summary, warm_up, drain)?,
            }
            let secs = self.samples.last().map_or(0.0, |sample| sample.secs) - from;
            summary.held_secs = secs;
            summary.held_cpu_secs = self.cpu_since(from);
        }
        let status = self.workers.status();
        (summary.ready, summary.failed, summary.lost) = (status.ready, status.failed, status.lost);
        summary.interrupted =
            self.ends.load(Ordering::Relaxed) && !matches!(self.plan.work, Work::Hold { events: true });
        summary.repeated_requests = status.repeated;
        summary.reasons = status.reasons.into_iter().collect();
        summary.login = Latency::of(&self.logins);
        summary.server_bytes_after = self.samples.iter().rev().find_map(|sample| sample.server_bytes);
        summary.client_bytes = self.samples.last().map(|sample| sample.client_bytes);
        Ok(summary)
    }

    fn hold(&mut self, events: bool) -> Result<()> {
        let seconds = if events { u64::MAX / 4 } else { self.plan.seconds };
        self.wait("holding", Some(Duration::from_secs(seconds)), |status, _| status.ready == 0).map(drop)
    }

    fn chat(&mut self, summary: &mut Summary, warm_up: Duration, drain: Duration) -> Result<()> {
        self.workers.tell(Order::Chat);
        let mut interrupted = self.wait("warming up", Some(warm_up), |_, _| false)? == Until::Signal;
        self.ask("warming up")?;
        let (began, before) = (self.samples.last().map_or(0.0, |s| s.secs), self.workers.status().count);
        self.latencies = Histogram::default();
        if !interrupted {
            interrupted = self
                .wait("exchanging messages", Some(Duration::from_secs(self.plan.seconds)), |_, _| false)?
                == Until::Signal;
        }
        self.ask("exchanging messages")?;
        summary.latency = Latency::of(&self.latencies);
        summary.chat_secs = self.samples.last().map_or(0.0, |s| s.secs) - began;
        summary.messages = self.workers.status().count.received - before.received;
        summary.chat_cpu_secs = self.cpu_since(began);
        self.workers.tell(Order::Stop);
        self.ends.store(false, Ordering::Relaxed); // a second Ctrl-C ends the waiting, too
        let workers = self.workers.len();
        self.wait("waiting for the last ones", Some(drain), |_, ended| ended == workers)?;
        self.ends.store(interrupted, Ordering::Relaxed);
        Ok(())
    }

    /// Has every worker say how it stands, so that a measure begins and ends with what is so now.
    fn ask(&mut self, what: &str) -> Result<()> {
        self.workers.ask();
        while !self.workers.answered() {
            if let Some(report) = self.workers.hear(Duration::from_millis(20)) {
                self.take(report)?;
            }
        }
        self.sample(what, &self.workers.status());
        Ok(())
    }

    /// Takes samples until something is so, or for so long.
    fn wait(&mut self, what: &str, at_most: Option<Duration>, done: impl Fn(&Status, usize) -> bool) -> Result<Until> {
        let began = Instant::now();
        loop {
            if let Some(report) = self.workers.hear(Duration::from_millis(20)) {
                self.take(report)?;
                // However much they say, a look at everything else comes every second.
                if self.sampled.elapsed() < SAMPLE {
                    continue;
                }
            }
            if self.workers.running() < self.workers.len() {
                bail!("a worker has ended: is there memory enough?");
            }
            let status = self.workers.status();
            let is_done = done(&status, self.ended_workers);
            let over = at_most.is_some_and(|at_most| began.elapsed() >= at_most);
            let signalled = self.ends.load(Ordering::Relaxed);
            if is_done || over || signalled || self.sampled.elapsed() >= SAMPLE {
                self.sample(what, &status);
            }
            match (is_done, over, signalled) {
                (_, _, true) => return Ok(Until::Signal),
                (true, ..) => return Ok(Until::Done),
                (_, true, _) => return Ok(Until::Time),
                _ => {}
            }
        }
    }

    fn take(&mut self, report: Report) -> Result<()> {
        match report {
            Report::Status(status) => {
                self.fresh.logins.add(&status.logins);
                self.fresh.latencies.add(&status.latencies);
                self.logins.add(&status.logins);
                self.latencies.add(&status.latencies);
            }
            Report::Message(Message { user, at_ns, body }) => {
                tell(&serde_json::json!({ "message": { "user": user, "at_ns": at_ns, "body": body } }));
            }
            Report::Ended(count) => {
                self.ended = self.ended.plus(&count);
                self.ended_workers += 1;
            }
            Report::Broken(why) => bail!("a worker cannot go on: {why}"),
        }
        Ok(())
    }

    fn sample(&mut self, what: &str, status: &Status) {
        self.sampled = Instant::now();
        let fresh = std::mem::take(&mut self.fresh);
        let server = process::usage(self.pids);
        let client = process::usage(&[std::process::id()]).unwrap_or_default();
        self.samples.push(Sample {
            secs: self.began.elapsed().as_secs_f64(),
            ready: status.ready,
            received: status.count.received,
            server_bytes: server.map(|usage| usage.rss),
            server_cpu_secs: server.map(|usage| usage.cpu_secs),
            client_bytes: client.rss,
            login: Latency::of(&fresh.logins),
            latency: Latency::of(&fresh.latencies),
        });
        if matches!(self.plan.work, Work::Hold { events: true }) {
            tell(&serde_json::json!({ "status": {
                "ready": status.ready, "failed": status.failed, "lost": status.lost, "under_way": status.under_way,
                "client_bytes": client.rss, "reasons": status.reasons,
            }}));
        }
        self.progress.show(what, status, &self.samples);
    }

    /// CPU that the server took since a time of this run.
    fn cpu_since(&self, secs: f64) -> Option<f64> {
        let first = self.samples.iter().rev().find(|sample| sample.secs <= secs).or(self.samples.first())?;
        Some(self.samples.last()?.server_cpu_secs? - first.server_cpu_secs?)
    }

    /// Has everybody log out.
    fn leave(&mut self) {
        self.progress.say("logging out");
        self.workers.tell(Order::Leave);
        let began = Instant::now();
        while self.workers.running() > 0 && began.elapsed() < LEAVE_MAX {
            if let Some(Report::Ended(count)) = self.workers.hear(Duration::from_millis(50)) {
                self.ended = self.ended.plus(&count);
                self.ended_workers += 1;
            }
        }
    }
}

fn tell(line: &serde_json::Value) {
    // Whoever listened may be gone: the end of the standard input says so.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_add_up_and_pairs_stay_together() {
        assert_eq!(blocks(10, 3, 1), [4, 3, 3]);
        assert_eq!(blocks(10, 3, 2), [4, 4, 2]);
        assert_eq!(blocks(2, 3, 1), [1, 1]);
        for (whole, parts) in [(1_000_000, 53), (7, 7), (400, 9)] {
            assert_eq!(blocks(whole, parts, 1).iter().sum::<u32>(), whole);
        }
    }
}
