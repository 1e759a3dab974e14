//! What a push costs, by iComet's calls: server CPU for each message and memory for each subscriber.
//!
//! ```text
//! cargo bench --bench comet                              # polls, streams and memory of the server built here
//! cargo bench --bench comet -- poll --store always       # one of them; what is pushed is kept
//! cargo bench --bench comet -- poll stream memory --at 127.0.0.1:8100 127.0.0.1:8000 4711
//! ```
//!
//! The last form measures any server that speaks iComet's calls, iComet too: front port, operator's port, process id
//! (iComet with `auth: none` and `logger.level: info`). Options: `--channels 10000`, `--pushers 16`, `--rounds 5`,
//! `--bytes 64`, `--store never|if_offline|always`, `--by push|admin` (the listener that pushes go to), `--wait` (leaves the server running for a profiler until Enter).
//!
//! The client is one thread on epoll. A round pushes one message to each channel, by keep-alive connections that wait
//! for each answer; it ends when all are delivered, and polls are sent again. CPU is what /proc says of the server's
//! process, user and system, over the round; the median of all rounds counts.

#[path = "../../tests/support/mod.rs"]
mod support;

mod load;

use load::{Load, Plan, Shape};
use std::net::SocketAddr;
use support::Herald;

const USAGE: &str = "comet [poll|stream|memory].. [--store STORE] [--by push|admin] [--channels N] [--pushers N] [--rounds N] [--bytes N] \
                     [--at FRONT ADMIN PID] [--wait]";

struct Asked {
    what: Vec<String>,
    store: String,
    by: String,
    channels: usize,
    pushers: usize,
    rounds: usize,
    bytes: usize,
    at: Option<(SocketAddr, SocketAddr, u32)>,
    wait: bool,
}

fn main() {
    let asked = Asked::read();
    assert!(support::raise_open_files(20_000), "20,000 open files are needed (ulimit -Hn)");
    for what in &asked.what {
        match what.as_str() {
            "poll" => pushes(&asked, Shape::Poll),
            "stream" => pushes(&asked, Shape::Stream),
            "memory" => memory(&asked),
            other => panic!("{other}? {USAGE}"),
        }
    }
}

/// The server that is measured; its own one ends with this.
struct Server {
    plan: Plan,
    _herald: Option<Herald>,
}

impl Server {
    fn start(asked: &Asked, shape: Shape) -> Server {
        let plan = |front, admin, pid| Plan { front, admin, pid, shape, bytes: asked.bytes, browser: false };
        if let Some((front, admin, pid)) = asked.at {
            return Server { plan: plan(front, admin, pid), _herald: None };
        }
        let herald = Herald::start_with(&format!(
            "[listen]\npush = \"127.0.0.1:0\"\n[comet]\nauth = \"none\"\noperators = [\"127.0.0.1\"]\nstore = \"{}\"\npolling_timeout_secs = 600\n\
             channel_timeout_secs = 600\n",
            asked.store
        ));
        Server { plan: plan(herald.address("http"), herald.address(&asked.by), herald.pid()), _herald: Some(herald) }
    }
}

fn pushes(asked: &Asked, shape: Shape) {
    let server = Server::start(asked, shape);
    let mut load = Load::connect(server.plan, asked.channels, asked.pushers);
    if asked.wait {
        println!("pid {}: Enter begins", server.plan.pid);
        let _ = std::io::stdin().read_line(&mut String::new());
    }
    load.round(); // the first sets numbers aside, and warms all caches
    let mut cpu = Vec::new();
    let mut walls = Vec::new();
    for _ in 0..asked.rounds {
        let round = load.round();
        println!(
            "  {shape:?}: {:.1} us of CPU a push ({:.1} user), {:.0} a second",
            round.cpu_us,
            round.user_us,
            1e6 / round.wall_us
        );
        cpu.push(round.cpu_us);
        walls.push(round.wall_us);
    }
    println!(
        "{shape:?} by {}, store {}: {} channels, {} pushers, {} bytes: median {:.1} us of server CPU a push, {:.0} a second",
        if asked.at.is_some() { "-" } else { &asked.by },
        if asked.at.is_some() { "-" } else { &asked.store },
        asked.channels,
        asked.pushers,
        asked.bytes,
        median(cpu),
        1e6 / median(walls)
    );
}

/// Polls that wait, with the header fields of a browser: what one more costs.
fn memory(asked: &Asked) {
    const STEPS: [usize; 3] = [5_000, 10_000, 15_000];
    for (shape, browser) in [(Shape::Poll, true), (Shape::Poll, false), (Shape::Stream, true)] {
        let mut server = Server::start(asked, shape);
        server.plan.browser = browser;
        let mut load = Load::connect(server.plan, 0, 0);
        let before = load.rss_bytes();
        let mut at = Vec::new();
        for step in STEPS {
            load.more(step);
            at.push(load.rss_bytes());
        }
        let marginal = (at[2] - at[0]) / (STEPS[2] - STEPS[0]) as u64;
        let each: Vec<_> = STEPS.iter().zip(&at).map(|(n, rss)| (rss - before) / *n as u64).collect();
        let fields = if browser { "13 browser header fields" } else { "3 header fields" };
        println!("{shape:?}, {fields}: {before} B empty; {each:?} B each at {STEPS:?}; one more {marginal} B");
    }
}

impl Asked {
    fn read() -> Asked {
        let mut asked = Asked {
            what: Vec::new(),
            store: "never".into(),
            by: "push".into(),
            channels: 10_000,
            pushers: 16,
            rounds: 5,
            bytes: 64,
            at: None,
            wait: false,
        };
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        while let Some(word) = words.next() {
            let mut next = || words.next().unwrap_or_else(|| panic!("{USAGE}"));
            match word.as_str() {
                "--store" => asked.store = next(),
                "--by" => asked.by = next(),
                "--channels" => asked.channels = number(&next()),
                "--pushers" => asked.pushers = number(&next()),
                "--rounds" => asked.rounds = number(&next()),
                "--bytes" => asked.bytes = number(&next()),
                "--wait" => asked.wait = true,
                "--at" => asked.at = Some((address(&next()), address(&next()), number(&next()) as u32)),
                _ => asked.what.push(word),
            }
        }
        if asked.what.is_empty() {
            asked.what = ["poll", "stream", "memory"].map(Into::into).to_vec();
        }
        asked
    }
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number; {USAGE}"))
}

fn address(word: &str) -> SocketAddr {
    word.parse().unwrap_or_else(|_| panic!("{word} is no address; {USAGE}"))
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
