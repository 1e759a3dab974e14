//! herald-load, which holds the sessions and tells of every message that comes.

use super::Options;
use super::servers::{Plan, QUIET_SECS, SECRET_FILE, Servers};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Logins under way at a time, over all servers.
const IN_FLIGHT: u32 = 256;
/// How long it may take to end when the servers are gone.
const END_MAX: Duration = Duration::from_secs(60);

/// The running client.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    heard: Receiver<Value>,
    status: Status,
}

/// How it stands.
#[derive(Clone, Default)]
pub struct Status {
    pub ready: u32,
    pub failed: u32,
    pub lost: u32,
    /// Resident memory of all its processes, in bytes.
    pub bytes: u64,
    /// Why sessions failed.
    pub reasons: String,
}

/// A message that came.
pub struct Message {
    /// The number of the user.
    pub user: u32,
    /// When, by CLOCK_MONOTONIC.
    pub at_ns: u64,
    pub body: String,
}

impl Client {
    /// Begins to log in the users.
    pub fn start(program: &Path, options: &Options, plan: &Plan, servers: &Servers, folder: &Path) -> Result<Client> {
        let mut command = Command::new(program);
        command.args(["hold", "--events", "--transport", options.transport.name(), "--domain", "localhost"]);
        command.args(["--sasl", "plain", "--login-secs", "300"]);
        command.args(["--sessions", &plan.sessions.to_string(), "--in-flight", &IN_FLIGHT.to_string()]);
        command.args(["--wait", &QUIET_SECS.to_string()]);
        command.arg("--jwt-secret").arg(folder.join(SECRET_FILE));
        for address in servers.addresses() {
            command.args(["--to", address]);
        }
        if plan.addresses() > 1 {
            let last = std::net::Ipv4Addr::from(u32::from(std::net::Ipv4Addr::LOCALHOST) + plan.addresses() - 1);
            command.args(["--from", &format!("127.0.0.1-{last}")]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let input = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        let (tell, heard) = mpsc::channel();
        thread::spawn(move || {
            for event in lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Client { child, input, heard, status: Status::default() })
    }

    /// Waits so long for something to come; a message, when it is one.
    pub fn hear(&mut self, at_most: Duration) -> Result<Option<Message>> {
        let event = match self.heard.recv_timeout(at_most) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => return Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("herald-load has ended"),
        };
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        let (status, message) = (&event["status"], &event["message"]);
        if status.is_object() {
            self.status = Status {
                ready: number(&status["ready"]),
                failed: number(&status["failed"]),
                lost: number(&status["lost"]),
                bytes: status["client_bytes"].as_u64().unwrap_or_default(),
                reasons: status["reasons"].to_string(),
            };
        }
        Ok(message.is_object().then(|| Message {
            user: number(&message["user"]),
            at_ns: message["at_ns"].as_u64().unwrap_or_default(),
            body: message["body"].as_str().unwrap_or_default().to_owned(),
        }))
    }

    /// How it stood a moment ago.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Ends it.
    pub fn end(&mut self) {
        self.input = None;
        let began = Instant::now();
        while began.elapsed() < END_MAX {
            // It says how it stands until its output ends.
            if let Err(RecvTimeoutError::Disconnected) = self.heard.recv_timeout(Duration::from_millis(100)) {
                break;
            }
        }
        let _ = self.child.kill(); // it may have ended by itself; its workers end when it does
        let _ = self.child.wait();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill(); // see above
        let _ = self.child.wait();
    }
}
