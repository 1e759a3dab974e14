//! STOMP over WebSocket: frame by frame, and with @stomp/stompjs under Node.js.

mod support;

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use support::websocket::{CLOSE, TEXT, WebSocket, frame, handshake};
use support::{Herald, PATIENCE};

const BINARY: u8 = 0x82;

fn server(toml: &str) -> Herald {
    let herald = Herald::start_with(toml);
    for uid in ["alice", "bob"] {
        herald.user(uid, "secret");
    }
    herald
}

/// A connection that says what it is told to.
struct Stomp {
    ws: WebSocket,
    /// What came and was not waited for yet, as text.
    frames: VecDeque<Frame>,
    /// Signs of life that came.
    beats: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    command: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Frame {
    fn parse(text: &str) -> Frame {
        let (head, body) = text.split_once("\n\n").unwrap_or_else(|| panic!("no frame: {text:?}"));
        let mut lines = head.split('\n');
        let command = lines.next().unwrap_or_default().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            (name.to_owned(), value.to_owned())
        };
        let body = body.strip_suffix('\0').unwrap_or_else(|| panic!("no end: {text:?}"));
        Frame { command, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }
}

impl Stomp {
    /// An open WebSocket.
    fn open(herald: &Herald, path: &str, protocols: &str) -> Stomp {
        let mut ws = WebSocket::connect(herald, "http");
        ws.send_raw(handshake(path, "").replace("Protocol: xmpp", &format!("Protocol: {protocols}")).as_bytes());
        let head = ws.expect_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let first = protocols.split(',').next().unwrap_or_default();
        assert!(head.contains(&format!("Sec-WebSocket-Protocol: {first}\r\n")), "{head}");
        Stomp { ws, frames: VecDeque::new(), beats: 0 }
    }

    /// Connected with 1.2.
    fn enter(herald: &Herald, uid: &str) -> Stomp {
        let mut stomp = Stomp::open(herald, "/stomp", "v12.stomp");
        stomp.say(&format!("CONNECT\naccept-version:1.2\nhost:localhost\nlogin:{uid}\npasscode:secret\n\n\0"));
        stomp.expect("CONNECTED");
        stomp
    }

    fn say(&mut self, text: &str) {
        self.ws.send_raw(&frame(TEXT, text.as_bytes()));
    }

    /// The next frame; `None` when the WebSocket is closed.
    fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            let came = self.ws.next()?;
            if came.first == CLOSE {
                self.ws.send_raw(&frame(CLOSE, &came.payload[..2]));
                return None;
            }
            assert_eq!(came.first, TEXT, "{came:?}");
            match came.text() {
                "\n" => self.beats += 1,
                text => self.frames.push_back(Frame::parse(text)),
            }
        }
    }

    #[track_caller]
    fn expect(&mut self, command: &str) -> Frame {
        let frame = self.next().unwrap_or_else(|| panic!("waited for {command}, got the end"));
        assert_eq!(frame.command, command, "{frame:?}");
        frame
    }

    /// `id:body` of so many messages.
    #[track_caller]
    fn messages(&mut self, count: usize) -> String {
        let one = |frame: Frame| format!("{}:{}", frame.header("message-id"), frame.body);
        (0..count).map(|_| one(self.expect("MESSAGE"))).collect::<Vec<_>>().join(" ")
    }

    /// The next is an error with this word, and then the end.
    #[track_caller]
    fn expect_end(&mut self, word: &str) -> Frame {
        let error = self.expect("ERROR");
        assert_eq!(error.header("message"), word, "{error:?}");
        assert_eq!(self.next(), None);
        error
    }

    /// Everything that was said so far is done, and nothing but the receipt came.
    #[track_caller]
    fn settle(&mut self, frame: &str) {
        self.say(frame);
        let receipt = self.expect("RECEIPT");
        assert_eq!(receipt.header("receipt-id"), "r");
    }
}

/// A backend sends it: the number it got.
fn push(herald: &Herald, to: &str, body: &str) -> u64 {
    let said = herald.api("POST", "/api/v1/sendto", Some(json!({ "to": to, "body": body, "type": "chat" })));
    assert_eq!(said.status, 200, "{}", said.text);
    said.json["results"][0]["id"].as_u64().unwrap_or_else(|| panic!("no number: {}", said.text))
}

const SUBSCRIBE: &str = "SUBSCRIBE\nid:s\ndestination:/user/queue/push\nreceipt:r\n";

#[test]
fn connecting() {
    let herald = server("");
    for (path, protocols, accepts, version) in [
        ("/stomp", "v12.stomp", "accept-version:1.0,1.1,1.2\n", "1.2"),
        ("/stomp", "v11.stomp", "accept-version:1.1,1.0\n", "1.1"),
        ("/ws", "v12.stomp,v11.stomp,v10.stomp", "accept-version:1.2,9.9\n", "1.2"),
        ("/ws", "v10.stomp", "", "1.0"),
    ] {
        let mut stomp = Stomp::open(&herald, path, protocols);
        stomp
            .say(&format!("CONNECT\n{accepts}host:localhost\nlogin:alice\npasscode:secret\nresource:r{version}\n\n\0"));
        let connected = stomp.expect("CONNECTED");
        assert_eq!((connected.header("version"), connected.header("user-name")), (version, "alice"));
        assert_eq!((connected.header("session"), connected.header("last-id")), (&*format!("r{version}"), "0"));
        assert!(!connected.header("epoch").is_empty());
        stomp.say("DISCONNECT\nreceipt:a:b\n\n\0");
        assert_eq!(stomp.expect("RECEIPT").header("receipt-id").replace("\\c", ":"), "a:b");
        assert_eq!(stomp.next(), None);
    }
    // A token of the operator's opens too.
    let token = herald.api("POST", "/api/v1/token", Some(json!({ "uid": "bob" })));
    let token = token.json["token"].as_str().unwrap_or_else(|| panic!("{}", token.text));
    let mut stomp = Stomp::open(&herald, "/stomp", "v12.stomp");
    stomp.say(&format!("STOMP\naccept-version:1.2\nlogin:bob\npasscode:{token}\n\n\0"));
    stomp.expect("CONNECTED");
}

#[test]
fn connecting_in_vain() {
    let herald = server("[auth]\nlogin_secs = 1\n");
    for (frame, word) in [
        ("CONNECT\naccept-version:1.2\nlogin:alice\npasscode:wrong\n\n\0", "unauthorized"),
        ("CONNECT\naccept-version:1.2\nlogin:nobody\npasscode:secret\n\n\0", "unauthorized"),
        ("CONNECT\naccept-version:1.2\n\n\0", "unauthorized"),
        ("CONNECT\naccept-version:3.0\nlogin:alice\npasscode:secret\n\n\0", "version"),
        ("CONNECT\naccept-version:1.2\nhost:example.com\nlogin:alice\npasscode:secret\n\n\0", "no_such_host"),
        ("CONNECT\naccept-version:1.2\nheart-beat:x\nlogin:alice\npasscode:secret\n\n\0", "invalid"),
        ("SEND\ndestination:/user/bob\n\nhi\0", "not_connected"),
        ("\n", "timeout"),
    ] {
        let mut stomp = Stomp::open(&herald, "/stomp", "v12.stomp");
        stomp.say(frame);
        stomp.expect_end(word);
    }
    let answer = herald.http("GET", "/", &[], ""); // the server is well
    assert!(answer.status < 500);
}

#[test]
fn what_is_no_frame_ends_one_connection() {
    let herald = server("[limits]\nstanza_bytes_max = 10000\n");
    let mut other = Stomp::enter(&herald, "bob");
    for (text, word) in [
        ("HELLO\n\n\0".to_owned(), "invalid"),
        ("SEND\nno colon\n\nx\0".to_owned(), "invalid"),
        ("SEND\ndestination:\\t\n\nx\0".to_owned(), "invalid"),
        (format!("SEND\nx:{}\n\n\0", "x".repeat(20_000)), "invalid"),
        (format!("SEND\ndestination:/user/bob\n\n{}\0", "x".repeat(10_001)), "invalid"),
        ("SEND\ndestination:/user/bob\ncontent-length:99999999999\n\n".to_owned(), "invalid"),
        ("SEND\ndestination:/user/bob\n\n\u{1}\0".to_owned(), "invalid"),
        ("SEND\ndestination:/queue/x\n\nx\0".to_owned(), "no_such_destination"),
        ("SEND\n\nx\0".to_owned(), "invalid"),
        ("SEND\ndestination:/app/msg\n\n{\0".to_owned(), "invalid"),
        ("SUBSCRIBE\nid:s\ndestination:/topic/x\n\n\0".to_owned(), "no_such_destination"),
        ("SUBSCRIBE\ndestination:/user/queue/push\n\n\0".to_owned(), "invalid"),
        ("SUBSCRIBE\nid:s\nack:never\ndestination:/user/queue/push\n\n\0".to_owned(), "invalid"),
        ("ACK\nid:none\n\n\0".to_owned(), "invalid"),
        ("BEGIN\ntransaction:t\n\n\0".to_owned(), "invalid"),
        ("SEND\ndestination:/user/bob\ntransaction:t\n\nx\0".to_owned(), "invalid"),
        ("CONNECT\naccept-version:1.2\n\n\0".to_owned(), "invalid"),
    ] {
        let mut stomp = Stomp::enter(&herald, "alice");
        stomp.say(&text);
        stomp.expect_end(word);
    }
    let mut stomp = Stomp::enter(&herald, "alice");
    stomp.ws.send_raw(&frame(BINARY, b"SEND\na:\xff\n\n\0"));
    stomp.expect_end("invalid");
    other.settle("SEND\ndestination:/user/alice\nreceipt:r\n\nwell\0");
}

#[test]
fn what_was_kept_comes_and_is_acknowledged() {
    let herald = server("");
    for body in ["one", "two", "three", "four"] {
        push(&herald, "alice", body);
    }
    // Nothing is acknowledged: all comes again.
    for _ in 0..2 {
        let mut stomp = Stomp::enter(&herald, "alice");
        stomp.settle(&format!("{SUBSCRIBE}ack:client\n\n\0"));
        let first = stomp.expect("MESSAGE");
        assert_eq!((first.header("subscription"), first.header("destination")), ("s", "/user/queue/push"));
        assert_eq!((first.header("type"), first.header("content-type")), ("chat", "text/plain"));
        assert_eq!((first.header("ack"), &*first.body), ("0/1", "one"));
        assert_eq!(stomp.messages(3), "2:two 3:three 4:four");
    }
    // One after the other: what is between is not skipped.
    let mut stomp = Stomp::enter(&herald, "alice");
    stomp.settle(&format!("{SUBSCRIBE}ack:client-individual\n\n\0"));
    stomp.messages(4);
    stomp.say("ACK\nid:0/3\n\n\0NACK\nid:0/2\n\n\0ACK\nid:0/live-7\n\n\0");
    stomp.settle("ACK\nid:0/1\nreceipt:r\n\n\0");
    stomp.say("DISCONNECT\n\n\0");
    assert_eq!(stomp.next(), None);
    // Two by two; an acknowledgement counts for all before it.
    let mut stomp = Stomp::enter(&herald, "alice");
    stomp.settle(&format!("{SUBSCRIBE}ack:client\nprefetch-count:2\n\n\0"));
    assert_eq!(stomp.messages(2), "2:two 3:three");
    stomp.settle("ACK\nid:0/3\nreceipt:r\n\n\0");
    assert_eq!(stomp.messages(1), "4:four");
    stomp.say("DISCONNECT\n\n\0");
    assert_eq!(stomp.next(), None);
    // What is sent is received.
    let mut stomp = Stomp::enter(&herald, "alice");
    stomp.settle(&format!("{SUBSCRIBE}\n\0"));
    assert_eq!(stomp.messages(1), "4:four");
    push(&herald, "alice", "five");
    assert_eq!(stomp.messages(1), "5:five");
    stomp.say("DISCONNECT\n\n\0");
    assert_eq!(stomp.next(), None);
    let mut stomp = Stomp::enter(&herald, "alice");
    stomp.settle(&format!("{SUBSCRIBE}\n\0"));
    push(&herald, "alice", "six");
    assert_eq!(stomp.messages(1), "6:six", "nothing before it");
    // Anything is there again, on demand; and with a number of another log, all of it.
    stomp.say("SUBSCRIBE\nid:again\ndestination:/user/queue/push\nlast-id:3\n\n\0");
    assert_eq!(stomp.messages(3), "4:four 5:five 6:six");
    stomp.say("SUBSCRIBE\nid:lost\ndestination:/user/queue/push\nlast-id:99\n\n\0");
    let gap = stomp.expect("MESSAGE");
    assert_eq!((gap.header("type"), gap.header("message-id")), ("gap", "gap-99"));
    assert_eq!(stomp.messages(6), "1:one 2:two 3:three 4:four 5:five 6:six");
}

#[test]
fn older_versions_acknowledge_in_their_way() {
    let herald = server("");
    for (protocol, version, escaped) in [("v11.stomp", "1.1", "1.1\\cy"), ("v10.stomp", "1.0", "1.0:y")] {
        let mut stomp = Stomp::open(&herald, "/stomp", protocol);
        stomp.say(&format!("CONNECT\naccept-version:{version}\nlogin:alice\npasscode:secret\n\n\0"));
        stomp.expect("CONNECTED");
        stomp.settle("SUBSCRIBE\nid:s\ndestination:/user/queue/push\nack:client\nreceipt:r\n\n\0");
        let mut bob = Stomp::enter(&herald, "bob");
        bob.settle(&format!("SEND\ndestination:/user/alice\nref:{version}\\cy\nreceipt:r\n\nhi\0"));
        let message = stomp.expect("MESSAGE");
        assert!(message.headers.iter().all(|(name, _)| name != "ack"), "{message:?}");
        assert_eq!((message.header("id"), message.header("uid")), (escaped, "bob"));
        let id = message.header("message-id");
        stomp.settle(&format!("ACK\nsubscription:s\nmessage-id:{id}\nreceipt:r\n\n\0"));
        stomp.say("DISCONNECT\n\n\0");
        assert_eq!(stomp.next(), None);
    }
}

#[test]
fn sending() {
    let herald = server("");
    let mut alice = Stomp::enter(&herald, "alice");
    alice.say("SEND\ndestination:/user/bob\nreceipt:r\nref:n1\n\nkept\0");
    let receipt = alice.expect("RECEIPT");
    assert_eq!((receipt.header("state"), receipt.header("stored-id")), ("stored", "1"));
    alice.say("SEND\ndestination:/user/bob\nreceipt:r\nref:n1\n\nkept\0");
    let receipt = alice.expect("RECEIPT");
    assert_eq!((receipt.header("stored-id"), receipt.header("repeated")), ("1", "true"));
    let mut bob = Stomp::enter(&herald, "bob");
    bob.settle(&format!("{SUBSCRIBE}\n\0"));
    assert_eq!(bob.messages(1), "1:kept");
    let json = "{\"n\":[1,\"a b\"]}";
    alice.say(&format!("SEND\ndestination:/user/bob\ncontent-type:application/json\n\n{json}\0"));
    let message = bob.expect("MESSAGE");
    assert_eq!((message.header("content-type"), &*message.body), ("application/json", json));
    assert_eq!((message.header("uid"), message.header("type")), ("alice", "chat"));
    alice.say("SEND\ndestination:/user/bob\nstate:composing\ntype:headline\n\n\0");
    let typing = bob.expect("MESSAGE");
    assert_eq!((typing.header("state"), &*typing.body), ("composing", ""));
    assert!(typing.header("message-id").starts_with("live-"), "{typing:?}");
    // Who listens to errors goes on after one.
    alice.settle("SUBSCRIBE\nid:e\ndestination:/user/queue/errors\nreceipt:r\n\n\0");
    alice.say("SEND\ndestination:/user/nobody\nreceipt:no\n\nhi\0");
    let error = alice.expect("MESSAGE");
    assert_eq!((error.header("subscription"), error.header("message")), ("e", "no_such_user"));
    assert_eq!(error.header("receipt-id"), "no");
    alice.settle("SEND\ndestination:/user/bob\nreceipt:r\n\nstill here\0");
    alice.settle("UNSUBSCRIBE\nid:e\nreceipt:r\n\n\0");
    alice.say("SEND\ndestination:/user/nobody\n\nhi\0");
    alice.expect_end("no_such_user");
}

#[test]
fn online_while_subscribed() {
    let herald = server("");
    let is_online = || {
        let said = herald.api("GET", "/api/v1/presence?uid=alice", None);
        said.json["results"][0]["online"].as_bool().unwrap_or_else(|| panic!("{}", said.text))
    };
    let mut alice = Stomp::enter(&herald, "alice");
    assert!(!is_online(), "who only sends is not there for others");
    alice.settle(&format!("{SUBSCRIBE}\n\0"));
    assert!(is_online());
    alice.settle("UNSUBSCRIBE\nid:s\nreceipt:r\n\n\0");
    assert!(!is_online());
}

#[test]
fn signs_of_life() {
    let herald = server("[stomp]\nheart_beat_secs = 1\n");
    let connect = "CONNECT\naccept-version:1.2\nlogin:alice\npasscode:secret\nheart-beat:1000,1000\n\n\0";
    let mut silent = Stomp::open(&herald, "/stomp", "v12.stomp");
    silent.say(connect);
    assert_eq!(silent.expect("CONNECTED").header("heart-beat"), "1000,1000");
    let error = silent.expect_end("timeout");
    assert!(error.body.contains("heart-beat"), "{error:?}");
    assert!(silent.beats > 0, "and the server gave its own");
    // Who gives them stays, as long as it likes.
    let mut alive = Stomp::open(&herald, "/stomp", "v12.stomp");
    alive.say(&connect.replace("heart-beat:1000", "heart-beat:2000"));
    alive.expect("CONNECTED");
    while alive.beats < 6 {
        let beats = alive.ws.next().expect("it stays open");
        assert_eq!(beats.text(), "\n");
        alive.beats += 1;
        alive.say("\n");
    }
    alive.settle("SEND\ndestination:/user/bob\nreceipt:r\n\nwell\0");
}

#[test]
fn the_server_says_why_it_ends() {
    let mut herald = server("");
    let mut alice = Stomp::enter(&herald, "alice");
    let said = herald.api("POST", "/api/v1/kick", Some(json!({ "uid": "alice" })));
    assert!(said.status < 300, "{}", said.text);
    alice.expect_end("kicked");
    let mut bob = Stomp::enter(&herald, "bob");
    herald.signal(libc::SIGTERM);
    bob.expect_end("shutdown");
    assert!(herald.wait().success());
}

/// A program under Node.js.
struct Node {
    child: Child,
    lines: Receiver<Value>,
}

impl Node {
    fn start(program: &str, args: &[&str]) -> Option<Node> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stomp");
        if !folder.join("node_modules/@stomp/stompjs").exists() {
            support::skip("no tests/stomp/node_modules; run cargo xtask install");
            return None;
        }
        let child = Command::new("node").arg(folder.join(program)).args(args).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("node starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).expect("a line of JSON")); // nobody may listen
            }
        });
        Some(Node { child, lines })
    }

    /// The next line that has this key.
    #[track_caller]
    fn until(&self, key: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("waited for {key}"));
            if line.get(key).is_some() {
                return line;
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// The server dies twice with SIGKILL in the middle; nothing is lost, nothing comes twice, all in order.
fn through_kills(ack: &str) {
    const EACH: usize = 150;
    let mut herald = server("");
    let home = tempfile::tempdir().expect("a folder");
    let url_file = home.path().join("url");
    let tell_url = |herald: &Herald| {
        // In one piece: it may be read at any time.
        let next = home.path().join("next");
        std::fs::write(&next, format!("ws://{}/stomp", herald.address("http"))).expect("written");
        std::fs::rename(&next, &url_file).expect("moved");
    };
    tell_url(&herald);
    let all = (3 * EACH).to_string();
    let args = [url_file.to_str().expect("UTF-8"), "alice", "secret", &all, ack];
    let Some(node) = Node::start("client.mjs", &args) else { return };
    let connected = node.until("connected");
    assert_eq!((&connected["version"], &connected["name"]), (&json!("1.2"), &json!("alice")));
    node.until("subscribed");
    let mut bodies = Vec::new();
    for round in 0..3 {
        for n in 0..EACH {
            let body = format!("{round}-{n}");
            push(&herald, "alice", &body);
            bodies.push(body);
        }
        if round < 2 {
            herald.kill(); // some of them are on their way
            herald.restart();
            tell_url(&herald);
        }
    }
    let done = node.until("done");
    assert_eq!(done["done"], json!(bodies));
    assert_eq!(done["inOrder"], true);
    assert!(done["connects"].as_u64() >= Some(2), "{}", done["connects"]);
}

#[test]
fn stompjs_loses_nothing_auto() {
    through_kills("auto");
}

#[test]
fn stompjs_loses_nothing_acknowledging() {
    through_kills("client-individual");
}

#[test]
fn stompjs_sends() {
    let herald = server("");
    let url = format!("ws://{}/ws", herald.address("http"));
    let Some(node) = Node::start("send.mjs", &[&url, "alice", "secret", "bob"]) else { return };
    let states: Vec<Value> = (0..5).map(|_| node.until("n")).collect();
    assert!(states.iter().all(|one| one["state"] == "stored"), "{states:?}");
    let ids: Vec<&str> = states.iter().filter_map(|one| one["id"].as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "3", "4"], "the second with that ref is the first");
    assert_eq!(states[3]["repeated"], "true");
    node.until("done");
    let mut bob = Stomp::enter(&herald, "bob");
    bob.settle(&format!("{SUBSCRIBE}\n\0"));
    assert_eq!(bob.expect("MESSAGE").body, "plain: a\nb\\cd");
    let json: Value = serde_json::from_str(&bob.expect("MESSAGE").body).expect("JSON");
    assert_eq!(json["text"], "ü \u{1F600}");
    assert_eq!(bob.expect("MESSAGE").body, "by app");
    assert_eq!(bob.expect("MESSAGE").body.len(), 100_000);
}
