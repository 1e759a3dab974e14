//! Cell against actix actor against tokio task: memory, speed and instructions, in one run, as one Markdown table.
//!
//! `cargo bench -p herald-actor`. Memory is measured in one child process per design; speed with all designs in one
//! process, in turns, as the ratio of each round; instructions by callgrind, when `valgrind` is there.
#![allow(clippy::disallowed_methods)] // a bench reads the clock and waits for other threads

mod designs;

use designs::{Actix, Cells, Design, HANDLED, Msg, STARTED, State, Tasks};
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const NAMES: [&str; 3] = ["cell", "actix actor", "tokio task + mpsc"];
const IDLE_ACTORS: usize = 1_000_000;
const RATE_ACTORS: usize = 200_000;
const RATE_MESSAGES: usize = 600_000;
const RATE_ROUNDS: usize = 9;
/// A sender this far ahead lets the actors catch up.
const AHEAD_MAX: u64 = 50_000;
const INSTRUCTIONS_N: usize = 2_000;

/// What the project wants to reach.
const OVER_STATE_BYTES_MAX: f64 = 200.0;
const RATE_OVER_ACTIX_MIN: f64 = 2.0;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--child", "idle", design, n] => on(design, Idle(number(n))),
        ["--child", "instructions", design, n, m] => on(design, Instructions(number(n), number(m))),
        ["--child", "rate"] => rate(),
        _ if args.contains(&"--bench") => table(),
        // `cargo test --all-targets` starts benches without it.
        _ => println!("run by `cargo bench`"),
    }
}

fn table() {
    let state = size_of::<State>() as f64;
    let rates: Vec<Vec<f64>> = child(&["rate"]).lines().map(|line| line.split(' ').map(float).collect()).collect();
    let ratios = |design: usize| median(rates.iter().map(|round| round[design] / round[1]).collect());
    let valgrind = Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success());
    println!(
        "| design | bytes per idle actor | over its state | messages/s | rate : actix | spawn, instructions | send, instructions |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut over_state = Vec::new();
    for (design, name) in NAMES.iter().enumerate() {
        let idle = float(child(&["idle", &design.to_string(), &IDLE_ACTORS.to_string()]).trim());
        over_state.push(idle - state);
        let rate = median(rates.iter().map(|round| round[design]).collect());
        let (spawn, send) = match valgrind {
            true => instructions(design),
            false => ("-".into(), "-".into()),
        };
        let (over, ratio) = (idle - state, ratios(design));
        println!("| {name} | {idle:.0} | {over:.0} | {rate:.0} | {ratio:.2} | {spawn} | {send} |");
    }
    println!();
    println!(
        "State {state} B, message {} B, {IDLE_ACTORS} idle actors, {RATE_ROUNDS} rounds of {RATE_MESSAGES} messages to {RATE_ACTORS} random actors, {} threads.",
        size_of::<Msg>(),
        designs::THREADS
    );
    if !valgrind {
        println!("Instructions skipped: no valgrind here.");
    }
    verdict(
        "bytes over the state",
        over_state[0] <= OVER_STATE_BYTES_MAX,
        over_state[0],
        "at most",
        OVER_STATE_BYTES_MAX,
    );
    verdict("rate : actix", ratios(0) >= RATE_OVER_ACTIX_MIN, ratios(0), "at least", RATE_OVER_ACTIX_MIN);
}

fn verdict(what: &str, ok: bool, is: f64, bound: &str, want: f64) {
    println!("{}: {what} {is:.2}, wanted {bound} {want}", if ok { "PASS" } else { "FAIL" });
}

/// Something to do in whichever design.
trait Work {
    fn run<D: Design>(self);
}

fn on(design: &str, work: impl Work) {
    match design {
        "0" => work.run::<Cells>(),
        "1" => work.run::<Actix>(),
        _ => work.run::<Tasks>(),
    }
}

struct Idle(usize);

impl Work for Idle {
    fn run<D: Design>(self) {
        let design = D::new();
        let mut handles = Vec::with_capacity(self.0);
        std::thread::sleep(Duration::from_millis(100));
        let before = resident();
        handles.extend((0..self.0).map(|n| design.spawn(State::new(n))));
        wait(|| STARTED.load(Ordering::Relaxed) == self.0 as u64);
        std::thread::sleep(Duration::from_millis(200));
        let grown = resident() - before;
        println!("{}", grown as f64 / self.0 as f64 - size_of::<D::Handle>() as f64);
        // The table wants the number, not a tidy end of a million actors.
        exit(0);
    }
}

struct Instructions(usize, usize);

impl Work for Instructions {
    fn run<D: Design>(self) {
        let design = D::new();
        let handles: Vec<_> = (0..self.0).map(|n| design.spawn(State::new(n))).collect();
        wait(|| STARTED.load(Ordering::Relaxed) == self.0 as u64);
        send::<D>(&handles, self.1, &mut 88_172_645_463_325_252);
        exit(0);
    }
}

/// Per spawn and per send: what twice as many cost more.
fn instructions(design: usize) -> (String, String) {
    let count = |n: usize, m: usize| -> Option<f64> {
        let exe = std::env::current_exe().ok()?;
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(exe)
            .args(["--child", "instructions", &design.to_string(), &n.to_string(), &m.to_string()])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        text.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok())
    };
    let n = INSTRUCTIONS_N;
    let (one, two, sent) = (count(n, 0), count(2 * n, 0), count(n, 5 * n));
    let per = |more: Option<f64>, by: usize| match (one, more) {
        (Some(one), Some(more)) => format!("{:.0}", (more - one) / by as f64),
        _ => "-".to_owned(),
    };
    (per(two, n), per(sent, 5 * n))
}

/// One line per round: messages per second of each design.
fn rate() {
    let mut seed = 88_172_645_463_325_252;
    let (for_cells, for_actix, for_tasks) = (Cells::new(), Actix::new(), Tasks::new());
    let cells: Vec<_> = (0..RATE_ACTORS).map(|n| for_cells.spawn(State::new(n))).collect();
    let actix: Vec<_> = (0..RATE_ACTORS).map(|n| for_actix.spawn(State::new(n))).collect();
    let tasks: Vec<_> = (0..RATE_ACTORS).map(|n| for_tasks.spawn(State::new(n))).collect();
    wait(|| STARTED.load(Ordering::Relaxed) == 3 * RATE_ACTORS as u64);
    for _ in 0..RATE_ROUNDS {
        let a = send::<Cells>(&cells, RATE_MESSAGES, &mut seed);
        let b = send::<Actix>(&actix, RATE_MESSAGES, &mut seed);
        let c = send::<Tasks>(&tasks, RATE_MESSAGES, &mut seed);
        println!("{a} {b} {c}");
    }
    exit(0);
}

/// Sends to random actors and waits until all is handled: messages per second.
fn send<D: Design>(handles: &[D::Handle], count: usize, seed: &mut u64) -> f64 {
    let text: Arc<[u8]> = Arc::from([b'x'; 250]);
    let base = HANDLED.load(Ordering::Relaxed);
    let start = Instant::now();
    for n in 0..count as u64 {
        let at = random(seed) as usize % handles.len();
        D::send(&handles[at], Msg { from: [7; 24], text: text.clone(), id: n });
        if n % 1_024 == 0 {
            while n > AHEAD_MAX + HANDLED.load(Ordering::Relaxed) - base {
                std::thread::yield_now();
            }
        }
    }
    wait(|| HANDLED.load(Ordering::Relaxed) - base == count as u64);
    count as f64 / start.elapsed().as_secs_f64()
}

fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

fn wait(done: impl Fn() -> bool) {
    while !done() {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn child(args: &[&str]) -> String {
    let exe = std::env::current_exe().expect("this program has a path");
    let out = Command::new(exe).arg("--child").args(args).output().expect("a child starts");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("numbers")
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).expect("an Rss line");
    number(line.trim().trim_end_matches(" kB")) as u64 * 1_024
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn float(text: &str) -> f64 {
    text.parse().expect("a number")
}
