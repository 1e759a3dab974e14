//! A client in a process of its own. It takes commands and tells events, one JSON object on a line
//! each; the scripts beside this file say which.

use crate::needs::{Needs, root};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// How long the next event is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running client. Dropped, it is asked to end, then made to.
pub struct Client {
    name: String,
    child: Child,
    commands: Option<ChildStdin>,
    told: Receiver<Value>,
    /// Told, and not yet asked for.
    unread: VecDeque<Value>,
}

impl Client {
    /// Strophe.js in a Chromium of its own, on a page of another origin than the server.
    pub fn browser(needs: &Needs, name: &str) -> Client {
        Client::start(name, Command::new(&needs.node).arg(script("browser.mjs")).arg(&needs.chromium))
    }

    /// Strophe.js in a Chromium of its own, on this page.
    pub fn browser_on(needs: &Needs, name: &str, page: &str) -> Client {
        Client::start(name, Command::new(&needs.node).arg(script("browser.mjs")).arg(&needs.chromium).arg(page))
    }

    /// Converse.js in a Chromium of its own, on a page of another origin than the server.
    pub fn converse(needs: &Needs, name: &str) -> Client {
        Client::start(name, Command::new(&needs.node).arg(script("converse.mjs")).arg(&needs.chromium))
    }

    /// The web chat example in a Chromium of its own, against the server's `http` listener.
    pub fn web_chat(needs: &Needs, name: &str, http: SocketAddr) -> Client {
        let mut command = Command::new(&needs.node);
        command.arg(script("webchat.mjs")).arg(&needs.chromium).args([bosh_url(http), ws_url(http)]);
        Client::start(name, &mut command)
    }

    /// slixmpp.
    pub fn desktop(needs: &Needs, name: &str) -> Client {
        Client::start(name, Command::new(&needs.python).arg(script("desktop.py")))
    }

    /// A script of another test, by its path from the project's folder, with what it is to be told at its start.
    #[allow(dead_code)] // not of the end-to-end tests
    pub fn script(name: &str, path: &str, needs: &Needs, arguments: &[String]) -> Client {
        Client::start(name, Command::new(&needs.node).arg(root().join(path)).args(arguments))
    }

    fn start(name: &str, command: &mut Command) -> Client {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the client starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| json!({"event": "fault", "text": line}));
                let _ = tell.send(event); // the test may have ended
            }
        });
        let commands = child.stdin.take();
        let mut client = Client { name: name.to_owned(), child, commands, told, unread: VecDeque::new() };
        client.expect("ready", |_| true);
        client
    }

    /// Has the client do something.
    pub fn tell(&mut self, command: Value) {
        let input = self.commands.as_mut().expect("the client runs");
        writeln!(input, "{command}").unwrap_or_else(|e| panic!("{} is gone: {e}", self.name));
    }

    /// The first event of this kind, not yet asked for, that `fits`; waited for if need be. Others
    /// stay for later. A fault ends the test.
    pub fn expect(&mut self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let wanted = |e: &Value| e["event"] == event && fits(e);
        if let Some(at) = self.unread.iter().position(wanted) {
            return self.unread.remove(at).expect("it is there");
        }
        loop {
            let told = self.told.recv_timeout(PATIENCE);
            let told = told.unwrap_or_else(|e| panic!("{}: no {event} ({e}); unread: {:?}", self.name, self.unread));
            assert!(told["event"] != "fault", "{}, while waiting for {event}: {told}", self.name);
            if wanted(&told) {
                return told;
            }
            self.unread.push_back(told);
        }
    }

    /// Logs in over BOSH (`http:`) or WebSocket (`ws:`); the full JID.
    pub fn login_at(&mut self, service: String, jid: &str, password: &str) -> String {
        self.tell(json!({"do": "login", "service": service, "jid": jid, "password": password}));
        self.online()
    }

    /// Logs in over TCP, by `"starttls"` or `"direct"` TLS, trusting `ca`; the full JID.
    pub fn login_tcp(&mut self, at: SocketAddr, tls: &str, ca: &Path, jid: &str, password: &str) -> String {
        let (host, port) = (at.ip(), at.port());
        self.tell(json!({"do": "login", "host": host, "port": port, "tls": tls, "ca": ca, "jid": jid,
            "password": password}));
        self.online()
    }

    /// Waits until the login is done; the full JID.
    pub fn online(&mut self) -> String {
        let online = self.expect("online", |_| true);
        online["jid"].as_str().expect("a client knows its JID").to_owned()
    }

    /// Leaves, properly.
    pub fn logout(&mut self) {
        self.tell(json!({"do": "logout"}));
        self.expect("offline", |_| true);
    }

    /// Waits for presence of this type from this full or bare JID.
    pub fn sees(&mut self, jid: &str, kind: &str) {
        self.expect("presence", |e| e["from"] == jid && e["type"] == kind);
    }

    /// The bodies of the next `count` messages from `jid`, in the order in which they came.
    pub fn bodies(&mut self, jid: &str, count: usize) -> Vec<String> {
        let body = |e: Value| e["body"].as_str().unwrap_or_default().to_owned();
        (0..count).map(|_| body(self.expect("message", |e| e["from"] == jid))).collect()
    }

    /// Panics when presence of this type has come from this full or bare JID.
    pub fn has_not_seen(&mut self, jid: &str, kind: &str) {
        self.unread.extend(self.told.try_iter());
        let seen = self.unread.iter().find(|e| e["event"] == "presence" && e["from"] == jid && e["type"] == kind);
        assert!(seen.is_none(), "{} saw {jid} {kind}", self.name);
    }

    /// Panics when a message has come that nobody asked for.
    pub fn has_read_all(&mut self) {
        self.unread.extend(self.told.try_iter());
        let more: Vec<_> = self.unread.iter().filter(|e| e["event"] == "message").collect();
        assert!(more.is_empty(), "{} got messages too many: {more:?}", self.name);
    }

    /// Has the web chat do something, and waits until it is done.
    pub fn does(&mut self, command: Value) {
        let verb = command["do"].clone();
        self.tell(command);
        self.expect("done", |e| e["do"] == verb);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // The end of its commands is a client's cue to close its browser and go; the end of its
        // events says that it has gone.
        drop(self.commands.take());
        while self.told.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.child.kill(); // it is gone already, unless it hangs
        let _ = self.child.wait();
    }
}

/// The BOSH URL of an `http` listener.
pub fn bosh_url(http: SocketAddr) -> String {
    format!("http://{http}/http-bind")
}

/// The WebSocket URL of an `http` listener.
pub fn ws_url(http: SocketAddr) -> String {
    format!("ws://{http}/ws")
}

fn script(name: &str) -> std::path::PathBuf {
    root().join("tests/e2e").join(name)
}
