//! The same calls, asked of ejabberd itself (Debian's package), so that the tables of `ejabberd.rs` stay true.

use crate::ejabberd::{BUSY, shape, shapes, transcript};
use crate::support::client::Client;
use crate::support::{PATIENCE, skip};
use serde_json::{Value, json};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use tempfile::TempDir;

const CONFIG: &str = r#"
hosts: [localhost]
loglevel: info
listen:
  - {port: C2S, ip: "127.0.0.1", module: ejabberd_c2s, access: all}
  - {port: HTTP, ip: "127.0.0.1", module: ejabberd_http, request_handlers: {/api: mod_http_api}}
auth_method: mnesia
auth_password_format: scram
api_permissions:
  all: {from: mod_http_api, who: all, what: "*"}
access_rules:
  c2s: {allow: all}
modules: {mod_admin_extra: {}, mod_http_api: {}, mod_last: {}, mod_offline: {}, mod_ping: {}, mod_roster: {}}
"#;

struct Ejabberd {
    child: Child,
    _dir: TempDir,
    c2s: SocketAddr,
    http: SocketAddr,
}

impl Ejabberd {
    /// `None` when it is not installed.
    fn start() -> Option<Ejabberd> {
        let libs = ["/usr/lib"].iter().flat_map(std::fs::read_dir).flatten().flatten().map(|e| e.path());
        let has_it = |dir: &PathBuf| {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|e| e.file_name()).any(|name| name.to_string_lossy().starts_with("ejabberd-23."))
        };
        let libs = libs.filter(|dir| dir.is_dir()).find(has_it)?;
        let dir = tempfile::Builder::new().prefix("ejabberd-test-").tempdir().expect("a folder");
        let [c2s, http] = [port(1), port(2)];
        let config = CONFIG.replace("C2S", &c2s.port().to_string()).replace("HTTP", &http.port().to_string());
        std::fs::write(dir.path().join("ejabberd.yml"), config).expect("the configuration is written");
        // Without a name there is no distribution, and no port mapper is started.
        let mut child = Command::new("erl")
            .args(["-noinput", "-mnesia", "dir", "\"spool\"", "-s", "ejabberd"])
            .current_dir(dir.path())
            .env("HOME", dir.path())
            .env("ERL_LIBS", &libs)
            .env("EJABBERD_CONFIG_PATH", dir.path().join("ejabberd.yml"))
            .env("EJABBERD_LOG_PATH", dir.path().join("ejabberd.log"))
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (tell, started) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut log = String::new();
            for line in out.lines().map_while(Result::ok) {
                if line.contains("is started in the node") {
                    let _ = tell.send(()); // once is enough
                }
                log += &line;
                log.push('\n');
            }
            log
        });
        let ejabberd = Ejabberd { child, _dir: dir, c2s, http };
        if started.recv_timeout(PATIENCE).is_err() {
            drop(ejabberd);
            panic!("ejabberd did not start: {}", reader.join().unwrap_or_default());
        }
        Some(ejabberd)
    }

    fn ask(&self, command: &str, arguments: &Value) -> (u16, Value) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        let url = format!("http://{}/api/{command}", self.http);
        let mut answer = agent.post(&url).send(arguments.to_string()).expect("ejabberd answers");
        let text = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }
}

impl Drop for Ejabberd {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// ejabberd cannot be asked which port it took, so one is looked for that is free.
fn port(salt: u64) -> SocketAddr {
    let random = RandomState::new();
    let mut tries = (0..10_000u64).map(|n| 32_000 + (random.hash_one(n + salt * 10_000) % 20_000) as u16);
    let free = tries.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port");
    SocketAddr::from(([127, 0, 0, 1], free))
}

#[test]
fn ejabberd_itself_answers_as_the_tables_say() {
    let Some(ejabberd) = Ejabberd::start() else { return skip("ejabberd 23 is not installed") };
    for (command, arguments, status, body) in transcript() {
        assert_eq!(ejabberd.ask(command, &arguments), (status, body), "{command} {arguments}");
    }
    ejabberd.ask("register", &json!({"user": "alice", "host": "localhost", "password": "secret"}));
    let mut desk = Client::connect_to(ejabberd.c2s);
    desk.log_in("alice", "secret", "desk");
    desk.send(BUSY);
    desk.expect("'busy'");
    for (command, arguments, wanted) in shapes() {
        let (status, body) = ejabberd.ask(command, &arguments);
        assert_eq!((status, shape(&body).as_str()), (200, wanted), "{command} {arguments}: {body}");
    }
}
