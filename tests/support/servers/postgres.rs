//! PostgreSQL: a cluster of its own, with passwords (SCRAM). Without fsync: a process that is killed loses nothing by that.
//! The superuser is `postgres` with the password `secret`.

use super::{Process, children, connects, folder, free_port, program, run, versions};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running PostgreSQL.
pub struct Postgres {
    process: Option<Process>, // ends before the folder
    bin: PathBuf,
    dir: TempDir,
    port: u16,
    owner: Option<(u32, u32)>,
}

impl Postgres {
    /// A new cluster; `None` and a line when it is not installed.
    pub fn start() -> Option<Postgres> {
        let bin = program("postgres", &versions("/usr/lib/postgresql", "bin"));
        let bin = bin.and_then(|file| std::fs::canonicalize(file).ok()?.parent().map(PathBuf::from));
        let Some(bin) = bin else {
            super::super::skip("no postgres; run cargo xtask install");
            return None;
        };
        let dir = folder("postgres");
        // It refuses to run as root.
        let owner = is_root().then(|| id_of("postgres").or(id_of("nobody")).expect("a user that is not root"));
        if let Some((user, group)) = owner {
            chown(dir.path(), Some(user), Some(group)).expect("root may give folders away");
        }
        let mut postgres = Postgres { process: None, bin, dir, port: free_port(), owner };
        let password = postgres.dir.path().join("password");
        std::fs::write(&password, "secret\n").expect("a file");
        let mut init = postgres.command("initdb");
        init.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        run(init.arg(format!("--pwfile={}", password.display())).arg("-D").arg(postgres.dir.path().join("data")));
        postgres.restart();
        Some(postgres)
    }
    /// `postgres://USER:PASSWORD@127.0.0.1:PORT/postgres`
    pub fn url(&self, user: &str, password: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", self.port)
    }
    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// Runs SQL with psql, as the superuser; what it prints, without headers.
    pub fn sql(&self, sql: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        run(psql.arg(self.url("postgres", "secret")))
    }
    /// SIGKILL to it and to its own processes, and waits for the end.
    pub fn kill(&mut self) {
        let Some(process) = self.process.take() else { return };
        let own = children(process.child.id());
        drop(process);
        for pid in own {
            // SAFETY: kill takes no pointer; these are processes that ours has started.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
    /// Starts it again, on the same port and data.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "it still runs");
        let command = || {
            let mut command = self.command("postgres");
            command.arg("-D").arg(self.dir.path().join("data")).args(["-h", "127.0.0.1", "-F"]);
            command.args(["-p", &self.port.to_string()]).arg("-k").arg(self.dir.path());
            command
        };
        self.process = Some(Process::start("postgres", command, "ready to accept connections"));
        assert!(connects(self.port), "PostgreSQL does not listen");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.dir.path()).env("LC_ALL", "C");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

fn is_root() -> bool {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

fn id_of(user: &str) -> Option<(u32, u32)> {
    let ask = |what: &str| {
        let out = Command::new("id").args([what, user]).stderr(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&out.stdout).trim().parse().ok()
    };
    Some((ask("-u")?, ask("-g")?))
}
