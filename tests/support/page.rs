//! A client of herald.v1 that does nothing by itself, over WebSocket or over requests.

use super::websocket::{CLOSE, PING, WebSocket, frame};
use super::{Herald, PATIENCE};
use serde_json::{Value, json};
use std::collections::VecDeque;

/// What carries the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Socket,
    Polls,
}

pub const WAYS: [Way; 2] = [Way::Socket, Way::Polls];

/// One page.
pub struct Page {
    carrier: Carrier,
    /// Came, and was not yet waited for.
    frames: VecDeque<Value>,
}

enum Carrier {
    Socket(Box<WebSocket>),
    Polls(Polls),
}

/// A session over requests; each field is what the next request says.
pub struct Polls {
    agent: ureq::Agent,
    url: String,
    pub sid: Value,
    pub seq: u64,
    pub ack: u64,
}

impl Page {
    /// A connection that has said nothing.
    pub fn open(herald: &Herald, way: Way) -> Page {
        let carrier = match way {
            Way::Socket => {
                let mut ws = WebSocket::connect(herald, "http");
                ws.send_raw(handshake("").as_bytes());
                let head = ws.expect_head();
                assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Protocol: herald.v1\r\n"), "{head}");
                Carrier::Socket(Box::new(ws))
            }
            Way::Polls => Carrier::Polls(Polls::new(herald)),
        };
        Page { carrier, frames: VecDeque::new() }
    }

    /// One that has said hello and is ready: with what it was told then.
    pub fn enter(herald: &Herald, way: Way, hello: Value) -> (Page, Value) {
        let mut page = Page::open(herald, way);
        page.say(with(hello, json!({ "t": "hello" })));
        let ready = page.next();
        assert_eq!(ready["t"], "ready", "{ready}");
        (page, ready)
    }

    /// A user with this password, who is there and has the roster.
    pub fn login(herald: &Herald, way: Way, uid: &str, password: &str) -> Page {
        let (mut page, _) = Page::enter(herald, way, json!({ "uid": uid, "token": password, "resource": "page" }));
        page.expect("roster");
        page
    }

    /// Sends a frame.
    pub fn say(&mut self, frame: Value) {
        self.say_text(&frame.to_string());
    }

    /// Sends what is to be a frame.
    pub fn say_text(&mut self, text: &str) {
        match &mut self.carrier {
            Carrier::Socket(ws) => ws.say(text),
            Carrier::Polls(polls) => {
                polls.seq += 1;
                let answer = polls.post(text, 0);
                self.frames.extend(polls.take(answer));
            }
        }
    }

    /// The next frame.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        while self.frames.is_empty() {
            match &mut self.carrier {
                Carrier::Socket(ws) => {
                    let frame = ws.next().expect("a frame, not the end");
                    if frame.first == PING {
                        continue; // for whoever is waited for too long, the test's patience ends
                    }
                    assert_ne!(frame.first, CLOSE, "a frame, not {}", frame.code());
                    self.frames.push_back(serde_json::from_str(frame.text()).expect("JSON"));
                }
                Carrier::Polls(polls) => {
                    polls.seq += 1;
                    let answer = polls.post("", 20);
                    self.frames.extend(polls.take(answer));
                }
            }
        }
        self.frames.pop_front().expect("it is not empty")
    }

    /// The next frame of that kind; others before it are let go.
    #[track_caller]
    pub fn expect(&mut self, t: &str) -> Value {
        loop {
            let frame = self.next();
            if frame["t"] == t {
                return frame;
            }
            assert_ne!(frame["t"], "close", "waited for {t}: {frame}");
            assert_ne!(frame["t"], "error", "waited for {t}: {frame}");
        }
    }

    /// All that comes before the answer to a ping.
    pub fn until_quiet(&mut self) -> Vec<Value> {
        self.say(json!({ "t": "ping" }));
        let mut frames = Vec::new();
        loop {
            match self.next() {
                pong if pong["t"] == "pong" => return frames,
                frame => frames.push(frame),
            }
        }
    }

    /// The status of the close frame that is next, over WebSocket.
    pub fn close_code(&mut self) -> u16 {
        match &mut self.carrier {
            Carrier::Socket(ws) => ws.next().expect("a close frame").code(),
            Carrier::Polls(_) => panic!("there is no such thing over requests"),
        }
    }

    /// The carrier, when it is requests.
    pub fn polls(&mut self) -> &mut Polls {
        match &mut self.carrier {
            Carrier::Polls(polls) => polls,
            Carrier::Socket(_) => panic!("this is a WebSocket"),
        }
    }

    /// The carrier, when it is a WebSocket.
    pub fn socket(&mut self) -> &mut WebSocket {
        match &mut self.carrier {
            Carrier::Socket(ws) => ws,
            Carrier::Polls(_) => panic!("these are requests"),
        }
    }

    /// Sends bytes in one frame of that kind.
    pub fn say_raw(&mut self, first: u8, payload: &[u8]) {
        self.socket().send_raw(&frame(first, payload));
    }
}

impl Polls {
    pub fn new(herald: &Herald) -> Polls {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let url = format!("http://{}/herald", herald.address("http"));
        Polls { agent: config.build().into(), url, sid: Value::Null, seq: 0, ack: 0 }
    }

    /// One request with these frames; the answer as it came.
    pub fn post(&self, frames: &str, wait: u32) -> Value {
        let Polls { sid, ack, seq, .. } = self;
        let body = format!(r#"{{"sid":{sid},"ack":{ack},"wait":{wait},"seq":{seq},"frames":[{frames}]}}"#);
        let (status, text) = self.post_raw(body);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// One request with this body.
    pub fn post_raw(&self, body: String) -> (u16, String) {
        let request = self.agent.post(&self.url).header("content-type", "text/plain");
        let mut answer = request.send(body).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    }

    /// The frames of an answer that were not there before.
    pub fn take(&mut self, answer: Value) -> Vec<Value> {
        if self.sid.is_null() {
            self.sid = answer["sid"].clone();
        }
        let n = answer["n"].as_u64().expect("a number");
        if n > 0 && n <= self.ack {
            return Vec::new();
        }
        self.ack = n.max(self.ack);
        answer["frames"].as_array().expect("frames").clone()
    }
}

/// A handshake for herald.v1, with further header fields.
pub fn handshake(fields: &str) -> String {
    let fields = format!("Sec-WebSocket-Protocol: herald.v1\r\n{fields}");
    super::websocket::handshake("/herald", &fields)
}

/// One object with the fields of both.
pub fn with(mut a: Value, b: Value) -> Value {
    let fields = a.as_object_mut().expect("an object");
    fields.extend(b.as_object().expect("an object").clone());
    a
}
