//! An EventSource (npm's, in Node.js) that comes back by itself: over a connection that is cut, and over a server
//! that is killed.

use crate::support::client::Client;
use crate::support::{Herald, PATIENCE, skip};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, copy};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// A line to a server, which can be cut, and lead to another one afterwards.
struct Line {
    address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to(server: SocketAddr) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (to, open) = (Arc::new(Mutex::new(server)), Arc::new(Mutex::new(Vec::new())));
        let line = Line { address, to: to.clone(), open: open.clone() };
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(*to.lock()) else { continue };
                open.lock().extend([near.try_clone().expect("a handle"), far.try_clone().expect("a handle")]);
                let pairs = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
                for (from, to) in pairs {
                    let (mut from, mut to) = (from.expect("a handle"), to.expect("a handle"));
                    thread::spawn(move || {
                        let _ = copy(&mut from, &mut to); // until either ends
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        line
    }

    fn cut(&self) {
        for socket in self.open.lock().drain(..) {
            let _ = socket.shutdown(Shutdown::Both); // it may be closed already
        }
    }
}

/// The program, and what it tells.
struct Node {
    process: Child,
    told: Receiver<Value>,
}

impl Node {
    fn start(url: &str, token: &str) -> Option<Node> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
        if !folder.join("node_modules/eventsource").exists() {
            skip("no tests/e2e/node_modules/eventsource; run cargo xtask install");
            return None;
        }
        let mut node = Command::new("node");
        let node = node.arg(folder.join("events.mjs")).args([url, token]).stdout(Stdio::piped()).spawn();
        let Ok(mut process) = node else {
            skip("no Node.js");
            return None;
        };
        let (tell, told) = mpsc::channel();
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).expect("JSON")); // the test may have ended
            }
        });
        Some(Node { process, told })
    }

    /// The types of the events that come, with whom they are about, until one is `last`.
    fn until(&self, last: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while seen.last().is_none_or(|seen| seen != last) {
            let told = self.told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {last}, but {seen:?}"));
            let data = &told["data"];
            let word = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            match told["event"].as_str() {
                Some("message") => seen.push(format!("{} {}", word("type"), word("uid")).trim_end().to_owned()),
                _ => seen.push("error".into()),
            }
        }
        seen
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

#[test]
fn an_event_source_comes_back_by_itself_and_misses_nothing() {
    let mut herald = Herald::start();
    for uid in ["alice", "bob"] {
        herald.user(uid, "secret");
    }
    let line = Line::to(herald.address("admin"));
    let url = format!("http://{}/api/v1/events?type=user", line.address);
    let Some(node) = Node::start(&url, &herald.token()) else { return };
    assert_eq!(node.until("snapshot"), ["snapshot"]);
    let alice = Client::login(&herald, "alice", "secret", "desk");
    assert_eq!(node.until("user.online alice"), ["user.online alice"]);
    line.cut();
    node.until("error");
    let _bob = Client::login(&herald, "bob", "secret", "desk");
    drop(alice);
    let seen = node.until("user.offline alice");
    assert_eq!(seen, ["user.online bob", "user.offline alice"], "it went on where it was");
    herald.kill();
    node.until("error");
    herald.restart();
    *line.to.lock() = herald.address("admin");
    let mut seen = node.until("snapshot");
    seen.retain(|seen| seen != "error");
    assert_eq!(seen, ["gap", "snapshot"]);
    let said = herald.api("GET", "/api/v1/presence?uid=bob", None);
    assert_eq!(said.json["results"][0]["online"], json!(false), "{}", said.text);
}
