//! A reader of the stream of events: curl, and what it prints.

use crate::support::{Herald, PATIENCE};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

/// So many heartbeats, one after the other, mean that nothing more will come.
const HEARTBEATS_MAX: u32 = 6;

/// One connection.
pub struct Sse {
    curl: Child,
    lines: Receiver<String>,
    /// The id that an EventSource would come back with.
    pub last_id: String,
}

impl Sse {
    /// Reads with these parameters (`?uid=alice`), from after an event if one is named.
    pub fn open(herald: &Herald, parameters: &str, last_id: &str) -> Sse {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-buffer", "--header", &format!("Authorization: Bearer {}", herald.token())]);
        if !last_id.is_empty() {
            curl.args(["--header", &format!("Last-Event-ID: {last_id}")]);
        }
        curl.arg(format!("http://{}/api/v1/events{parameters}", herald.address("admin")));
        let mut curl = curl.stdout(Stdio::piped()).spawn().expect("curl starts");
        let out = BufReader::new(curl.stdout.take().expect("it is piped")).lines();
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in out.map_while(Result::ok) {
                let _ = tell.send(line); // the test may have ended
            }
        });
        Sse { curl, lines, last_id: last_id.to_owned() }
    }

    /// The next line as it came; none at the end of the stream.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("nothing comes"),
        }
    }

    /// The next event; none at the end of the stream. Minds ids as the specification of EventSource says.
    pub fn next(&mut self) -> Option<Value> {
        let (mut id, mut data, mut heartbeats) = (None, String::new(), 0);
        loop {
            let line = self.line()?;
            heartbeats += u32::from(line == ":");
            assert!(heartbeats < HEARTBEATS_MAX, "nothing happens");
            if let Some(given) = line.strip_prefix("id: ") {
                id = Some(given.to_owned());
            } else if let Some(given) = line.strip_prefix("data: ") {
                assert!(data.is_empty(), "an event has one line of data");
                data = given.to_owned();
            } else if line.is_empty() {
                self.last_id = id.take().unwrap_or(std::mem::take(&mut self.last_id));
                if !data.is_empty() {
                    return Some(serde_json::from_str(&data).expect("data is JSON"));
                }
            }
        }
    }

    /// The next event, which must be of this type.
    pub fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().unwrap_or_else(|| panic!("the stream ends before {kind}"));
        assert_eq!(event["type"], kind, "{event}");
        if event.get("id").is_some() {
            assert_eq!(event["id"], self.last_id.as_str(), "{event}");
        }
        event
    }

    /// The types of the next events, with whom they are about, until the one that `last` says.
    pub fn until(&mut self, last: &str) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while seen.last().is_none_or(|seen| seen != last) {
            let event = self.next().unwrap_or_else(|| panic!("the stream ends before {last}, after {seen:?}"));
            seen.push(format!("{} {}", event["type"].as_str().unwrap_or(""), event["uid"].as_str().unwrap_or("")));
        }
        seen
    }
}

impl Drop for Sse {
    fn drop(&mut self) {
        let _ = self.curl.kill(); // it may have ended
        let _ = self.curl.wait();
    }
}
