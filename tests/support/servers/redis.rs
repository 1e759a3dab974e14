//! Redis: everything written goes to its append-only file before it is answered.

use super::{Process, connects, folder, free_port, program};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// A running Redis.
pub struct Redis {
    process: Option<Process>, // ends before the folder
    program: PathBuf,
    password: &'static str,
    dir: TempDir,
    port: u16,
}

impl Redis {
    /// Without a password; `None` and a line when it is not installed.
    pub fn start() -> Option<Redis> {
        Redis::start_with_password("")
    }
    /// One that wants a password.
    pub fn start_with_password(password: &'static str) -> Option<Redis> {
        let Some(program) = program("redis-server", &[]) else {
            super::super::skip("no redis-server; run cargo xtask install");
            return None;
        };
        let mut redis = Redis { process: None, program, password, dir: folder("redis"), port: free_port() };
        redis.restart();
        Some(redis)
    }
    /// `redis://127.0.0.1:PORT/`, with the password when there is one.
    pub fn url(&self) -> String {
        let user = if self.password.is_empty() { String::new() } else { format!(":{}@", self.password) };
        format!("redis://{user}127.0.0.1:{}/", self.port)
    }
    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.process = None;
    }
    /// Starts it again, on the same port and data.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        let command = || {
            let mut command = Command::new(&self.program);
            command.args(["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "no", "--save", ""]);
            command.args(["--port", &self.port.to_string()]).arg("--dir").arg(self.dir.path());
            if !self.password.is_empty() {
                command.args(["--requirepass", self.password]);
            }
            command
        };
        self.process = Some(Process::start("redis-server", command, "Ready to accept connections"));
        assert!(connects(self.port), "Redis does not listen");
    }
}
