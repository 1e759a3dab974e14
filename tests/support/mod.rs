//! A real `herald` for end-to-end tests: the binary, a data folder of its own, free ports.
//!
//! ```ignore
//! let herald = Herald::start();                            // ready when this returns
//! let herald = Herald::start_with("[bosh]\ninactivity_secs = 5\n"); // TOML laid over the base
//! herald.user("alice", "secret");                          // `herald user add`
//! let tcp = TcpStream::connect(herald.address("xmpp"))?;   // xmpp xmpps http https admin
//! let said = herald.api("POST", "/api/v1/sendto", Some(json!({"to": "alice", "body": "hi"})));
//! assert_eq!((said.status, &said.json["results"][0]["state"]), (200, &json!("stored")));
//! let out = herald.run(&["user", "list"], "");             // any command against this server's config
//! herald.terminate();                                      // SIGTERM, waits; the exit status
//! ```
//!
//! The base configuration: domain `localhost`, every listener on 127.0.0.1 port 0,
//! `plain_without_tls = "loopback"`. Nothing sleeps: readiness is the banner on standard output, the
//! end is the process's own. A server that a test leaves behind is killed on drop; when the test
//! panics its log is shown. Every wait ends after [`PATIENCE`] with a panic that says for what.

#![allow(dead_code)] // each test file uses its own part of it

pub mod built;
pub mod client;
pub mod page;
pub mod peer;
pub mod servers;
pub mod websocket;

use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// How long anything here is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the base configuration says, before what the test lays over it.
pub const BASE: &str = r#"
domain = "localhost"
[listen]
xmpp = "127.0.0.1:0"
xmpps = "127.0.0.1:0"
http = "127.0.0.1:0"
https = "127.0.0.1:0"
admin = "127.0.0.1:0"
[auth]
plain_without_tls = "loopback"
"#;

/// A folder with a configuration and a data folder; commands can run there without a server.
pub struct Home {
    dir: TempDir,
}

/// A running server in its [`Home`].
pub struct Herald {
    home: Home,
    running: Option<Running>,
    addresses: HashMap<String, SocketAddr>,
}

struct Running {
    pid: u32,
    ended: Receiver<ExitStatus>,
    /// Lines of standard output, the ready line first.
    out: Receiver<String>,
}

/// An answer of the operator's API.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; null when it is none.
    pub json: Value,
}

impl Home {
    /// The base configuration with `toml` laid over it.
    pub fn new(toml: &str) -> Home {
        let dir = tempfile::Builder::new().prefix("herald-test-").tempdir().expect("a temporary folder");
        let mut config: toml::Table = BASE.parse().expect("the base is TOML");
        let data = dir.path().join("data").to_string_lossy().into_owned();
        config.insert("data_dir".into(), data.into());
        lay_over(&mut config, toml.parse().expect("the test's configuration is TOML"));
        std::fs::write(dir.path().join("herald.toml"), config.to_string()).expect("the configuration is written");
        Home { dir }
    }
    /// The folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("herald.toml")
    }
    /// The data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    /// Runs a command to its end: `args`, then `--config` of this home.
    pub fn run(&self, args: &[&str], stdin: &str) -> Output {
        let mut command = herald(self.path());
        let mut child = command
            .args(args)
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut input = child.stdin.take().expect("it is piped");
        let text = stdin.to_owned();
        // A thread of its own: a command that writes much before it reads much must not stall.
        let writer = thread::spawn(move || drop(input.write_all(text.as_bytes()))); // may end without reading
        let pid = child.id();
        let (tell, ended) = mpsc::channel();
        thread::spawn(move || drop(tell.send(child.wait_with_output()))); // nobody hears after the patience
        let Ok(output) = ended.recv_timeout(PATIENCE) else {
            kill(pid, libc::SIGKILL);
            panic!("{args:?} did not end");
        };
        writer.join().expect("the writer ends");
        output.expect("the command's output")
    }
    /// The operator's token.
    pub fn token(&self) -> String {
        let text = std::fs::read_to_string(self.data_dir().join("admin.token")).expect("there is a token");
        text.trim().to_owned()
    }
    /// Makes an account, and panics when that fails.
    pub fn user(&self, uid: &str, password: &str) {
        let out = self.run(&["user", "add", uid], password);
        assert!(out.status.success(), "user add {uid}: {}", String::from_utf8_lossy(&out.stderr));
    }
    /// Starts a server here and waits until it is ready.
    pub fn start(self) -> Herald {
        let server = herald(self.path());
        self.start_as(server)
    }
    /// The same with a command that may do more than start the server, such as watch it; the arguments of the
    /// server go to its end.
    pub fn start_as(self, command: Command) -> Herald {
        let running = self.spawn(command);
        let addresses = read_addresses(&self.data_dir());
        Herald { home: self, running: Some(running), addresses }
    }

    fn spawn(&self, mut command: Command) -> Running {
        let log = self.path().join("herald.log");
        let log_out = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log file");
        let mut child = command
            .args(["serve", "--config"])
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_out)
            .spawn()
            .expect("the server starts");
        let pid = child.id();
        let (tell, out) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(line); // the test may have ended
            }
        });
        let ended = end_of(child);
        let running = Running { pid, ended, out };
        match running.line() {
            Some(line) if line.starts_with("Herald ") && line.contains(" is ready") => running,
            other => {
                running.signal(libc::SIGKILL);
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("the server did not get ready, but said {other:?}; its log:\n{log}");
            }
        }
    }
}

impl Herald {
    /// A server on the base configuration.
    pub fn start() -> Herald {
        Home::new("").start()
    }
    /// A server with `toml` laid over the base configuration.
    pub fn start_with(toml: &str) -> Herald {
        Home::new(toml).start()
    }
    /// Where a listener is: `xmpp`, `xmpps`, `http`, `https`, `admin`.
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self.addresses.get(listener).unwrap_or_else(|| panic!("no listener {listener}"))
    }
    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server runs").pid
    }
    /// What stands below the ready line, up to the last command to type. Once.
    pub fn rest_of_banner(&self) -> String {
        let running = self.running.as_ref().expect("the server runs");
        let mut banner = String::new();
        while !banner.contains("3. ") {
            banner += &running.line().expect("the banner goes on");
            banner.push('\n');
        }
        banner
    }
    /// What the server has logged since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("herald.log")).unwrap_or_default()
    }
    /// Resident memory of the server, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("the server runs");
        let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("statm has a second number");
        pages * 4096
    }
    /// Asks the operator's API, with the token.
    pub fn api(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let token = format!("Bearer {}", self.home.token());
        let body = body.map(|b| b.to_string());
        let mut headers = vec![("authorization", token.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.http(method, path, &headers, body.as_deref().unwrap_or(""))
    }
    /// Asks the operator's port, with just these headers.
    pub fn http(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        let url = format!("http://{}{path}", self.address("admin"));
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = if body.is_empty() && method != "POST" && method != "PUT" {
            agent.run(request.body(()).expect("a request"))
        } else {
            agent.run(request.body(body.to_owned()).expect("a request"))
        };
        let mut answer = answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let headers = answer.headers().iter();
        let headers = headers.map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
        let (headers, status) = (headers.collect(), answer.status().as_u16());
        let text = answer.body_mut().read_to_string().unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer { status, headers, text, json }
    }
    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.end_with(libc::SIGTERM)
    }
    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) {
        let status = self.end_with(libc::SIGKILL);
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    }
    /// Sends a signal and does not wait.
    pub fn signal(&self, signal: i32) {
        self.running.as_ref().expect("the server runs").signal(signal);
    }
    /// Waits for the end that something else brings.
    pub fn wait(&mut self) -> ExitStatus {
        let running = self.running.take().expect("the server runs");
        running.ended.recv_timeout(PATIENCE).expect("the server ends")
    }
    /// Starts again in the same home, after [`terminate`](Herald::terminate) or [`kill`](Herald::kill).
    /// Ports change.
    pub fn restart(&mut self) {
        assert!(self.running.is_none(), "the server still runs");
        self.running = Some(self.home.spawn(herald(self.path())));
        self.addresses = read_addresses(&self.home.data_dir());
    }

    fn end_with(&mut self, signal: i32) -> ExitStatus {
        self.signal(signal);
        self.wait()
    }
}

impl std::ops::Deref for Herald {
    type Target = Home;
    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Running {
    /// The next line of standard output; none when that ends or nothing comes.
    fn line(&self) -> Option<String> {
        self.out.recv_timeout(PATIENCE).ok()
    }
    fn signal(&self, signal: i32) {
        kill(self.pid, signal);
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.signal(libc::SIGKILL);
            let _ = running.ended.recv_timeout(PATIENCE); // the folder goes only after the process
        }
        if thread::panicking() {
            eprintln!("--- the server's log\n{}---", self.log());
        }
    }
}

/// The binary, with nothing of the tester's surroundings that could change what it does.
pub fn herald(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herald"));
    command.current_dir(dir).env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

pub fn kill(pid: u32, signal: i32) {
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    // SAFETY: kill takes no pointer; the pid is that of a child of ours that nobody has waited for yet.
    unsafe { libc::kill(pid, signal) };
}

/// The end of a child, to be waited for with a limit.
pub fn end_of(mut child: Child) -> Receiver<ExitStatus> {
    let (tell, ended) = mpsc::channel();
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            let _ = tell.send(status); // the test may have ended
        }
    });
    ended
}

/// Reads all there is until the peer closes; for raw sockets with a read timeout.
pub fn read_all(from: &mut impl Read) -> String {
    let mut out = Vec::new();
    from.read_to_end(&mut out).expect("the peer closes in time");
    String::from_utf8_lossy(&out).into_owned()
}

fn read_addresses(data_dir: &Path) -> HashMap<String, SocketAddr> {
    let text = std::fs::read_to_string(data_dir.join("addresses.json")).expect("a ready server has told its addresses");
    serde_json::from_str(&text).expect("addresses.json is a map of addresses")
}

fn lay_over(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(value)) => lay_over(below, value),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

/// Raises this process's limit of open files; false when it may not be so high.
pub fn raise_open_files(wanted: u64) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a whole rlimit that outlives them.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && limit.rlim_max >= wanted && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
        }
    }
}

/// Says that a test is skipped, and why. Under `cargo xtask test` (`HERALD_TEST_ALL=1`) that is a failure.
pub fn skip(why: &str) {
    assert!(std::env::var_os("HERALD_TEST_ALL").is_none(), "{why}");
    // Not eprintln: the harness would hide it, and a skipped test must not look like a passed one.
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}
