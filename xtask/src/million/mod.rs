//! A million sessions on this machine: servers, a lean client, a push to ten thousand of the million, and what
//! all of it took. `docs/million.md` is about a run.
//!
//! | file | what is in it |
//! |---|---|
//! | [`kernel`] | what the system must allow, and how to have it so |
//! | [`servers`] | as many servers as the limit of open files asks for |
//! | [`client`] | herald-load, which holds the sessions |
//! | [`pushes`] | one `sendto` to each of many users, and when it came |
//! | [`memory`] | what processes and the kernel take |
//! | [`results`] | what is said in the end |
//!
//! Whatever happens, what was started is ended and the folder removed: the servers die with us, and the client
//! ends when its input does.

#![allow(clippy::disallowed_methods)] // a driver: it reads the clock

mod client;
mod kernel;
mod memory;
mod pushes;
mod results;
mod servers;

use crate::step::cargo;
use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use client::Client;
use indicatif::{ProgressBar, ProgressStyle};
use memory::Kernel;
use results::Results;
use servers::Servers;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Seconds between two lines of progress where there is no terminal.
const LINE_SECS: u64 = 15;
/// When nobody more has logged in for so long, something is wrong.
const STUCK: Duration = Duration::from_secs(120);
/// How long memory is let come to rest after the last login.
const SETTLE: Duration = Duration::from_secs(5);

/// Over what the sessions are held.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    Bosh,
    Ws,
    Tcp,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Transport::Bosh => "bosh",
            Transport::Ws => "ws",
            Transport::Tcp => "tcp",
        }
    }

    /// The listener it goes to, as `[listen]` names it.
    fn listener(self) -> &'static str {
        if self == Transport::Tcp { "xmpp" } else { "http" }
    }
}

/// Holds a million sessions on this machine, pushes to ten thousand of them, and says what that took.
#[derive(Parser)]
#[command(name = "cargo xtask million")]
struct Options {
    /// How many sessions, each of another user.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    sessions: u32,
    /// Over what.
    #[arg(long, value_enum, default_value = "bosh")]
    transport: Transport,
    /// How many users are pushed to.
    #[arg(long, default_value_t = 10_000)]
    pushes: u32,
    /// Pushes a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// A server that is built already.
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Sessions for one server; without it as many as its limit of open files allows.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    each: Option<u32>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Go on although the system does not allow what is needed.
    #[arg(long)]
    anyway: bool,
    /// Keep the folder with the servers' data and logs.
    #[arg(long)]
    keep: bool,
}

/// The command.
pub fn main(arguments: &[String]) -> ExitCode {
    let command = std::iter::once("cargo xtask million".to_owned()).chain(arguments.iter().cloned());
    match run(&Options::parse_from(command)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, ends.clone()).context("signals cannot be handled")?;
    }
    let open_files = kernel::raise_open_files()?;
    let plan = servers::Plan::new(options.sessions, open_files, options.each);
    println!(
        "{} sessions over {}: {} servers of up to {} sessions ({open_files} open files are allowed to a process)",
        options.sessions,
        options.transport.name(),
        plan.servers,
        plan.each()
    );
    check_kernel(&plan, options.anyway)?;
    let server = match &options.server {
        Some(path) => path.canonicalize().with_context(|| format!("--server {}", path.display()))?,
        None => build("herald")?,
    };
    let loader = build("herald-load")?;

    let mut folder = tempfile::Builder::new().prefix("herald-million-").tempdir().context("no temporary folder")?;
    folder.disable_cleanup(options.keep);
    if options.keep {
        println!("the servers' data and logs: {}", folder.path().display());
    }
    let before = Kernel::read();
    // Dropped before the folder, the client last: it need not log anybody out of servers that are gone.
    let mut servers = Servers::default();
    let ready = Instant::now();
    for number in 0..plan.servers {
        go_on(&ends)?;
        servers.start(&server, folder.path(), number, &plan, options.transport)?;
    }
    println!("servers are ready after {:.1} s", ready.elapsed().as_secs_f64());
    let empty = servers.bytes();
    let mut results = Results::new(options, &plan, empty);

    let mut client = Client::start(&loader, options, &plan, &servers, folder.path())?;
    let held = hold(options, &mut client, &servers, &ends, &mut results).and_then(|()| {
        results.measured(&servers, &client, &before, &Kernel::read());
        let pushed = pushes::push(options, &plan, &servers, &mut client, &ends)?;
        results.pushed(pushed, &client);
        Ok(())
    });
    servers.end();
    client.end();
    held?;
    print!("{}", results.text());
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&results.json())?;
        std::fs::write(file, text + "\n").with_context(|| format!("--json {}", file.display()))?;
    }
    Ok(results.is_good())
}

fn check_kernel(plan: &servers::Plan, anyway: bool) -> Result<()> {
    let findings = kernel::check(plan);
    for finding in &findings {
        println!("  {finding}");
    }
    let wanting = findings.iter().filter(|finding| !finding.is_enough()).count();
    ensure!(
        wanting == 0 || anyway,
        "{wanting} of these are too small for {} sessions; --anyway tries nevertheless",
        plan.sessions
    );
    Ok(())
}

/// Waits until all sessions are up, and a little longer.
fn hold(
    options: &Options,
    client: &mut Client,
    servers: &Servers,
    ends: &AtomicBool,
    results: &mut Results,
) -> Result<()> {
    let (began, mut line) = (Instant::now(), Instant::now());
    let bar = bar(options.sessions);
    let (mut most, mut moved, mut all) = (0, Instant::now(), None);
    loop {
        go_on(ends)?;
        client.hear(Duration::from_millis(250))?;
        let status = client.status();
        if status.ready > most {
            (most, moved) = (status.ready, Instant::now());
        }
        let words = format!(
            "{} up, {:.0} logins/s, servers {}",
            status.ready,
            f64::from(status.ready) / began.elapsed().as_secs_f64(),
            memory::text(servers.bytes() as f64)
        );
        if let Some(bar) = &bar {
            bar.set_position(status.ready.into());
            bar.set_message(words);
        } else if line.elapsed() >= Duration::from_secs(LINE_SECS) {
            line = Instant::now();
            eprintln!("{:6.0} s  {words}", began.elapsed().as_secs_f64());
        }
        if status.failed + status.lost > 0
            && (status.ready == 0 || status.failed + status.lost > options.sessions / 100)
        {
            bail!("{} logins failed and {} sessions were lost: {}", status.failed, status.lost, status.reasons);
        }
        if status.ready + status.failed + status.lost >= options.sessions && all.is_none() {
            results.logged_in(began.elapsed());
            all = Some(Instant::now());
        }
        if all.is_some_and(|all| all.elapsed() >= SETTLE) {
            break;
        }
        ensure!(all.is_some() || moved.elapsed() < STUCK, "nobody has logged in for {STUCK:?}: {}", status.reasons);
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(())
}

fn go_on(ends: &AtomicBool) -> Result<()> {
    ensure!(!ends.load(Ordering::Relaxed), "interrupted: everything is being ended");
    Ok(())
}

fn bar(sessions: u32) -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_bar} {msg}");
        let bar = ProgressBar::new(sessions.into()).with_style(style.expect("the template is ours"));
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    })
}

/// Builds a program for release, and says where it is.
fn build(name: &str) -> Result<PathBuf> {
    println!("building {name}");
    let mut build = cargo(["build", "--release", "-p", name, "--bin", name, "--message-format", "json"]);
    let out = build.stderr(Stdio::inherit()).output().context("cargo does not start")?;
    ensure!(out.status.success(), "{name} does not build");
    let messages = String::from_utf8_lossy(&out.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let built = messages
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    built.with_context(|| format!("cargo does not say where {name} is"))
}
