//! Servers that others wrote, for tests: Redis, PostgreSQL, RabbitMQ from Debian's packages.
//!
//! ```ignore
//! let Some(mut broker) = Rabbit::start() else { return };  // says what is missing, see [`super::skip`]
//! broker.url("guest", "guest");                            // amqp://guest:guest@127.0.0.1:23456/%2f
//! broker.kill();                                           // SIGKILL, waits
//! broker.restart();                                        // same port, same data; ready when it returns
//! ```
//!
//! Each runs in a temporary folder of its own, on loopback, on a port of its own, and is killed by its pid on
//! drop. Nothing sleeps: a server is ready when it says so, and then a connection is tried.

mod postgres;
mod rabbit;
mod redis;

#[allow(unused_imports)] // each test file uses its own part of it
pub use {postgres::Postgres, rabbit::Rabbit, redis::Redis};

use super::PATIENCE;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;

/// How often a server that ended at once is started anew: PostgreSQL does so while what was left by a killed
/// one is still there.
const STARTS_MAX: usize = 200;

/// A process of a server, its output kept.
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    name: &'static str,
}

impl Process {
    /// Starts it and waits until it has written `ready`; `None` when it ended without.
    fn try_start(name: &'static str, command: &mut Command, ready: &'static str) -> Result<Process, String> {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let log = Arc::new(Mutex::new(String::new()));
        let (tell, told) = mpsc::channel();
        let out: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("it is piped")), Box::new(child.stderr.take().expect("it is piped"))];
        for out in out {
            let (log, tell) = (log.clone(), tell.clone());
            thread::spawn(move || {
                for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    if line.contains(ready) {
                        let _ = tell.send(()); // it may be heard already
                    }
                    let mut log = log.lock().expect("nobody panics with it");
                    log.push_str(&line);
                    log.push('\n');
                }
            });
        }
        drop(tell);
        let mut process = Process { child, log, name };
        match told.recv_timeout(PATIENCE) {
            Ok(()) => Ok(process),
            Err(RecvTimeoutError::Timeout) => {
                process.kill();
                panic!("{name} did not get ready; it said:\n{}", process.log());
            }
            Err(RecvTimeoutError::Disconnected) => {
                process.kill();
                Err(process.log())
            }
        }
    }

    fn start(name: &'static str, command: impl Fn() -> Command, ready: &'static str) -> Process {
        let mut said = String::new();
        for _ in 0..STARTS_MAX {
            match Process::try_start(name, &mut command(), ready) {
                Ok(process) => return process,
                Err(log) => said = log,
            }
        }
        panic!("{name} ended at once; it said:\n{said}");
    }

    /// SIGKILL, and waits for the end.
    fn kill(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }

    fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            eprintln!("--- the end of {}'s log", self.name);
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A port that is free now. Not one of those that the system gives to connections: while a server is down, one that
/// is tried again and again could meet itself there.
fn free_port() -> u16 {
    let random = RandomState::new();
    let mut tries = (0..10_000u64).map(|n| 12_000 + (random.hash_one(n) % 20_000) as u16);
    tries.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}

/// A program on the path, or where Debian keeps servers.
fn program(name: &str, elsewhere: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    elsewhere.iter().cloned().chain(folders).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The folders `parent/*/below`, the last by name first.
fn versions(parent: &str, below: &str) -> Vec<PathBuf> {
    let found = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = found.map(|version| version.path().join(below)).collect();
    found.sort();
    found.reverse();
    found
}

fn folder(name: &str) -> tempfile::TempDir {
    tempfile::Builder::new().prefix(&format!("herald-{name}-")).tempdir().expect("a temporary folder")
}

/// A connection, to see that there is one.
fn connects(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Runs a command of a server to its end; what it wrote.
fn run(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().expect("the command starts");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

/// The processes that this one has started.
fn children(pid: u32) -> Vec<i32> {
    let file = Path::new("/proc").join(pid.to_string()).join("task").join(pid.to_string()).join("children");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
