//! The servers: as many as the limit of open files asks for, each with a folder, free ports and users of its own.
//!
//! Users need no accounts beforehand and no hashing of passwords: they come with JWTs, and a login makes the account.

use super::{Transport, memory};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Open files that a server keeps for itself; see `FILES_RESERVED` in src/serve.rs.
const FILES_RESERVED: u64 = 256;
/// Of its places, a server is left so many in a hundred for requests that come beside.
const SPARE_PERCENT: u64 = 3;
/// Connections from one address to one server: fewer than there are ports.
const ADDRESS_CONNECTIONS: u32 = 20_000;
/// How long an empty BOSH request is held, and how long a client over TCP or WebSocket may say nothing.
pub const QUIET_SECS: u32 = 600;
/// What signs the users' JWTs. It guards nothing: these servers listen on this machine only, and are gone soon.
const SECRET: &str = "a secret of 32 characters or more, for nothing";
/// The file with it, in the folder of the run.
pub const SECRET_FILE: &str = "jwt.secret";

/// Which users are where.
pub struct Plan {
    /// Sessions in all.
    pub sessions: u32,
    /// How many servers hold them.
    pub servers: u32,
}

impl Plan {
    /// With that limit of open files for a process; `each` asks for smaller servers.
    pub fn new(sessions: u32, open_files: u64, each: Option<u32>) -> Plan {
        let places = open_files - FILES_RESERVED.min(open_files / 4);
        let room = (places * (100 - SPARE_PERCENT) / 100).max(1);
        let room = each.map_or(room, |each| room.min(each.into()));
        let servers = u64::from(sessions).div_ceil(room);
        Plan { sessions, servers: u32::try_from(servers).unwrap_or(u32::MAX) }
    }

    /// Sessions of the fullest server.
    pub fn each(&self) -> u32 {
        self.sessions.div_ceil(self.servers)
    }

    /// Addresses that the client connects from.
    pub fn addresses(&self) -> u32 {
        self.each().div_ceil(ADDRESS_CONNECTIONS)
    }

    /// The server of a user. herald-load gives each target a block of the users, the first ones one more.
    pub fn server_of(&self, user: u32) -> usize {
        let (size, more) = (self.sessions / self.servers, self.sessions % self.servers);
        let longer = more * (size + 1);
        let server = if user < longer { user / (size + 1) } else { more + (user - longer) / size.max(1) };
        server as usize
    }
}

/// All that run.
#[derive(Default)]
pub struct Servers {
    servers: Vec<Server>,
}

struct Server {
    child: Child,
    /// Where clients go, and backends.
    address: String,
    admin: String,
    key: String,
}

impl Servers {
    /// Starts one, and waits until it is ready.
    pub fn start(
        &mut self,
        program: &Path,
        folder: &Path,
        number: u32,
        plan: &Plan,
        transport: Transport,
    ) -> Result<()> {
        let secret = folder.join(SECRET_FILE);
        if number == 0 {
            fs::write(&secret, SECRET).with_context(|| secret.display().to_string())?;
        }
        let home = folder.join(format!("server-{number}"));
        fs::create_dir(&home).with_context(|| home.display().to_string())?;
        let config = home.join("herald.toml");
        fs::write(&config, configuration(&home, &secret, plan, transport))?;

        let out = herald(program, &config).args(["key", "add", "million", "--scope", "push"]).output()?;
        ensure!(out.status.success(), "herald key add: {}", String::from_utf8_lossy(&out.stderr));
        let key = String::from_utf8_lossy(&out.stdout).trim().to_owned();
        let log = fs::File::create(home.join("log"))?;
        let mut command = herald(program, &config);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
        // SAFETY: between fork and exec this makes one system call and touches no memory of ours.
        unsafe { command.pre_exec(die_with_us) };
        let mut child = command.spawn().with_context(|| format!("{} does not start", program.display()))?;
        let mut first = String::new();
        let out = child.stdout.take().context("it is piped")?;
        self.servers.push(Server { child, address: String::new(), admin: String::new(), key });
        BufReader::new(out).read_line(&mut first)?;
        if !first.contains("is ready") {
            let log = fs::read_to_string(home.join("log")).unwrap_or_default();
            bail!("a server did not get ready:\n{}", log.lines().rev().take(5).collect::<Vec<_>>().join("\n"));
        }
        let addresses = home.join("data/addresses.json");
        let addresses: serde_json::Value = serde_json::from_str(&fs::read_to_string(addresses)?)?;
        let address = |listener: &str| addresses[listener].as_str().map(str::to_owned).context("no address");
        let server = self.servers.last_mut().context("it was put there")?;
        (server.address, server.admin) = (address(transport.listener())?, address("admin")?);
        Ok(())
    }

    /// Where clients go, in order.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(|server| server.address.as_str())
    }

    /// Where a backend goes, and the key that it brings.
    pub fn admin(&self, server: usize) -> (&str, &str) {
        (&self.servers[server].admin, &self.servers[server].key)
    }

    /// Resident memory of all of them, in bytes.
    pub fn bytes(&self) -> u64 {
        self.servers.iter().map(|server| memory::resident(server.child.id())).sum()
    }

    /// Ends them at once: what they hold is thrown away.
    pub fn end(&mut self) {
        for server in &mut self.servers {
            let _ = server.child.kill(); // it may have ended by itself
        }
        for server in &mut self.servers {
            let _ = server.child.wait();
        }
        self.servers.clear();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.end();
    }
}

fn herald(program: &Path, config: &PathBuf) -> Command {
    let mut command = Command::new(program);
    command.arg("--config").arg(config).env_remove("RUST_LOG");
    command
}

fn die_with_us() -> std::io::Result<()> {
    // SAFETY: the call takes two numbers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Everything is the default but what this says. A session at rest asks again, or is asked, every
/// [`QUIET_SECS`]: at the default of a minute a million of them are 17,000 requests a second for nothing.
fn configuration(home: &Path, secret: &Path, plan: &Plan, transport: Transport) -> String {
    let (listener, other) = match transport {
        Transport::Tcp => ("xmpp", "http"),
        _ => ("http", "xmpp"),
    };
    let connections = plan.each() + plan.each() / 20 + 1000;
    format!(
        "domain = \"localhost\"\ndata_dir = {data}\n\
         [listen]\n{listener} = \"127.0.0.1:0\"\n{other} = \"\"\nxmpps = \"\"\nhttps = \"\"\nadmin = \"127.0.0.1:0\"\n\
         [auth]\nplain_without_tls = \"loopback\"\n\
         [jwt]\nsecret_file = {secret}\ncreate_users = true\n\
         [limits]\nconnections_max = {connections}\n\
         [bosh]\nwait_max_secs = {QUIET_SECS}\n\
         [ping]\nafter_secs = {QUIET_SECS}\n\
         [http]\ndemo = \"off\"\n\
         [log]\nlevel = \"warn\"\n",
        data = toml::Value::from(home.join("data").to_string_lossy().as_ref()),
        secret = toml::Value::from(secret.to_string_lossy().as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_servers_as_open_files_ask_for() {
        let plan = Plan::new(1_000_000, 20_000, None);
        assert_eq!((plan.servers, plan.each(), plan.addresses()), (53, 18_868, 1));
        let plan = Plan::new(1_000_000, 1 << 21, None);
        assert_eq!((plan.servers, plan.each(), plan.addresses()), (1, 1_000_000, 50));
        assert_eq!(Plan::new(2_000, 20_000, Some(500)).servers, 4);
    }

    #[test]
    fn every_user_is_on_a_server_and_blocks_follow_each_other() {
        for (sessions, each) in [(10, 3), (9, 3), (1_000, 999), (5, 1)] {
            let plan = Plan::new(sessions, 1 << 20, Some(each));
            let servers: Vec<usize> = (0..sessions).map(|user| plan.server_of(user)).collect();
            assert!(servers.is_sorted());
            for server in 0..plan.servers as usize {
                let users = servers.iter().filter(|of| **of == server).count() as u32;
                assert!(users.abs_diff(plan.each()) <= 1, "{sessions} {each}: {servers:?}");
            }
        }
    }
}
