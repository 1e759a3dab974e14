//! A client of somebody else's (slixmpp) with XEP-0198 on a line that is cut a hundred times under load, in the
//! middle of whatever goes over it: each message comes once and in order, both ways.

#[path = "../support/mod.rs"]
mod support;

mod proxy;

use proxy::Proxy;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use support::peer::{Peer, Via};
use support::{Herald, PATIENCE, skip};

const CUTS: u32 = 100;
/// Messages each way in one round; the next begins when all have come.
const ROUND: u32 = 20;

/// slixmpp, in a process of its own.
struct Slixmpp {
    child: Child,
    events: Receiver<Value>,
}

impl Slixmpp {
    fn start(python: &Path, line: &Proxy) -> Slixmpp {
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resume/client.py"))
            .args([line.address.ip().to_string(), line.address.port().to_string()])
            .args(["alice@localhost/desk", "secret"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let (tell, events) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).expect("an event is JSON")); // the test may be over
            }
        });
        Slixmpp { child, events }
    }

    fn send(&mut self, to: &str, count: u32) {
        let line = json!({ "do": "send", "to": to, "count": count });
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{line}").expect("it reads");
    }

    fn event(&self) -> Value {
        let event = self.events.recv_timeout(PATIENCE).expect("something happens");
        assert_ne!(event["event"], "fault", "{event}");
        event
    }
}

impl Drop for Slixmpp {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

#[test]
fn slixmpp_loses_and_doubles_nothing_on_a_line_that_is_cut_a_hundred_times() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/echo-bot-python/.venv/bin/python");
    if !python.exists() {
        return skip("no slixmpp in examples/echo-bot-python/.venv; run cargo xtask install");
    }
    let herald = Herald::start();
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    let line = Proxy::start(herald.address("xmpp"), 198, 1_500, 10_000, CUTS);
    let mut bob = Peer::bind(&herald, Via::Tcp, "bob", "pc");
    bob.send("<presence/>");
    bob.fence();
    let mut alice = Slixmpp::start(&python, &line);
    let (mut started, mut resumed, mut down, mut up) = (0, 0, 0, 0);
    while started == 0 {
        started += u32::from(alice.event()["event"] == "started");
    }
    while line.cuts() < CUTS || down % ROUND != 0 {
        alice.send("bob@localhost/pc", ROUND);
        for n in 0..ROUND {
            bob.message("alice@localhost/desk", &(down + n).to_string());
        }
        let end = down + ROUND;
        while down < end {
            let event = alice.event();
            match event["event"].as_str() {
                Some("got") => {
                    assert_eq!(event["body"], down.to_string(), "after {} cuts", line.cuts());
                    down += 1;
                }
                Some("resumed") => resumed += 1,
                Some("started") => started += 1,
                _ => panic!("{event} after {} cuts", line.cuts()),
            }
        }
        while up < end {
            let text = bob.expect("</message>");
            let body = text.split("<body>").nth(1).and_then(|rest| rest.split("</body>").next());
            assert_eq!(body, Some(up.to_string().as_str()), "after {} cuts: {text}", line.cuts());
            assert!(!text.contains("<presence"), "nobody sees a cut: {text}");
            up += 1;
        }
    }
    let left = bob.fence();
    assert!(!left.contains("<body>") && !left.contains("<presence"), "{left}");
    assert!(line.cuts() >= CUTS && started == 1, "{} cuts, {started} sessions, {resumed} resumed", line.cuts());
    println!("{} cuts, {resumed} times resumed, {down} messages each way", line.cuts());
}
