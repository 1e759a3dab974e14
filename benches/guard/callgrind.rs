//! A server under callgrind, which counts every instruction that it executes outside the kernel, on every thread.
//!
//! It is asked by vgdb, valgrind's own way in, for a dump between two measurements; a dump begins the count anew.

use crate::on_one_processor;
use crate::support::{self, Herald, Home};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// The server, and how often it was asked.
pub struct Callgrind {
    herald: Herald,
    dumps: u32,
}

impl Callgrind {
    /// A server on what is in this home.
    pub fn start(home: Home) -> Callgrind {
        let server = support::herald(home.path());
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--quiet", "--dump-line=no", "--vgdb=yes"]);
        command.arg(vgdb_prefix(&home)).arg(option("--callgrind-out-file=", out(&home)));
        command.arg(option("--log-file=", home.path().join("valgrind.log")));
        command.arg(server.get_program()).current_dir(home.path());
        // Workers that take turns by chance would count differently each time.
        command.env("TOKIO_WORKER_THREADS", "1").env_remove("RUST_LOG").env("NO_COLOR", "1");
        let herald = home.start_as(on_one_processor(command, 0));
        Callgrind { herald, dumps: 0 }
    }

    /// The server.
    pub fn herald(&self) -> &Herald {
        &self.herald
    }

    /// Instructions since the last time.
    pub fn count(&mut self) -> u64 {
        let mut vgdb = Command::new("vgdb");
        // It waits for the server's next tick and does not use ptrace, which containers often forbid.
        vgdb.arg("--max-invoke-ms=0").arg(vgdb_prefix(&self.herald)).arg(format!("--pid={}", self.herald.pid()));
        vgdb.arg("dump");
        let said = vgdb.output().expect("vgdb comes with valgrind");
        assert!(said.status.success(), "vgdb: {}", String::from_utf8_lossy(&said.stderr));
        self.dumps += 1;
        let mut file = out(&self.herald).into_os_string();
        file.push(format!(".{}", self.dumps));
        let dump = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let totals = dump.lines().rev().find_map(|line| line.strip_prefix("totals: "));
        totals.and_then(|n| n.trim().parse().ok()).unwrap_or_else(|| panic!("no total in {}", file.display()))
    }
}

fn out(home: &Home) -> PathBuf {
    home.path().join("callgrind.out")
}

fn vgdb_prefix(home: &Home) -> OsString {
    option("--vgdb-prefix=", home.path().join("vgdb"))
}

fn option(name: &str, path: PathBuf) -> OsString {
    let mut option = OsString::from(name);
    option.push(path);
    option
}
