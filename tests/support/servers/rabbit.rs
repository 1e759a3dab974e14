//! RabbitMQ without plugins: a node and an epmd of its own. The user is `guest` with the password `guest`.

use super::{Process, connects, folder, free_port, program, run, versions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running RabbitMQ.
pub struct Rabbit {
    process: Option<Process>, // ends before the folder
    epmd: Child,
    programs: PathBuf,
    dir: TempDir,
    port: u16,
    dist_port: u16,
    epmd_port: u16,
}

impl Rabbit {
    /// A new node; `None` and a line when it is not installed. Takes some seconds.
    pub fn start() -> Option<Rabbit> {
        // Not what is on the path: that runs as a user of its own, in a folder of its own.
        let programs = versions("/usr/lib/rabbitmq/lib", "sbin").into_iter().next();
        let (Some(programs), Some(epmd)) = (programs, program("epmd", &[])) else {
            super::super::skip("no rabbitmq-server; run cargo xtask install");
            return None;
        };
        let dir = folder("rabbitmq");
        std::fs::write(dir.path().join("plugins"), "[].\n").expect("a file");
        std::fs::write(dir.path().join("rabbitmq.conf"), "").expect("a file");
        let epmd_port = free_port();
        // Else the node would start one that outlives it. Others than we find it by its port alone.
        let epmd = Command::new(epmd)
            .args(["-address", "127.0.0.1", "-port", &epmd_port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("epmd starts");
        let (port, dist_port) = (free_port(), free_port());
        let mut rabbit = Rabbit { process: None, epmd, programs, dir, port, dist_port, epmd_port };
        rabbit.restart();
        Some(rabbit)
    }
    /// `amqp://USER:PASSWORD@127.0.0.1:PORT/%2f`
    pub fn url(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@127.0.0.1:{}/%2f", self.port)
    }
    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// Runs `rabbitmqctl` with these arguments on it; what it prints.
    pub fn ctl(&self, args: &[&str]) -> String {
        run(self.command("rabbitmqctl").arg("--quiet").args(args))
    }
    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.process = None;
    }
    /// Starts it again, on the same port and data.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        let command = || {
            let mut command = self.command("rabbitmq-server");
            command.arg("-noinput");
            command
        };
        self.process = Some(Process::start("rabbitmq", command, " completed with 0 plugins"));
        assert!(connects(self.port), "RabbitMQ does not listen");
    }

    fn command(&self, program: &str) -> Command {
        let here = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(self.programs.join(program));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.dir.path()).current_dir(self.dir.path());
        command.env("LC_ALL", "C.UTF-8").env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let nobody: &Path = Path::new("/dev/null");
        for (name, value) in [
            ("RABBITMQ_CONF_ENV_FILE", nobody),
            ("RABBITMQ_CONFIG_FILE", &here("rabbitmq.conf")),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", &here("plugins")),
            ("RABBITMQ_MNESIA_BASE", &here("mnesia")),
            ("RABBITMQ_LOG_BASE", &here("log")),
            ("RABBITMQ_GENERATED_CONFIG_DIR", &here("config")),
            ("RABBITMQ_FEATURE_FLAGS_FILE", &here("feature_flags")),
        ] {
            command.env(name, value);
        }
        for (name, port) in [
            ("ERL_EPMD_PORT", self.epmd_port),
            ("RABBITMQ_NODE_PORT", self.port),
            ("RABBITMQ_DIST_PORT", self.dist_port),
        ] {
            command.env(name, port.to_string());
        }
        command
            .env("RABBITMQ_NODENAME", "herald@localhost")
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_LOGS", "-")
            // The process that is started is then the node itself, not a shell that waits for it.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        command
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.kill();
        let _ = self.epmd.kill();
        let _ = self.epmd.wait();
    }
}
