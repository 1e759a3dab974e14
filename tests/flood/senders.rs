//! Backends that send and send, over connections that stay open.

use crate::support::{Herald, PATIENCE};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What the texts are filled up with.
const PAD: &str = "the quick brown fox jumps over the lazy dog, and the lazy dog does not mind it in the least";

/// Senders at work.
pub struct Flood {
    senders: Vec<JoinHandle<Vec<Said>>>,
    busy: Arc<AtomicUsize>,
    began: Instant,
}

/// What became of all of it.
pub struct Sent {
    said: Vec<Said>,
    pub took: Duration,
}

/// What the API said about one message to one user.
struct Said {
    uid: String,
    text: String,
    state: String,
}

/// How many came to what end.
#[derive(Debug, Default)]
pub struct States {
    pub delivered: usize,
    pub stored: usize,
    pub full: usize,
    pub dropped: usize,
}

/// Which message of which sender this text is.
pub fn sent_by(text: &str) -> (usize, usize) {
    let (sender, rest) = text.split_once('-').unwrap_or_else(|| panic!("{text:?}"));
    let n = rest.split(' ').next().unwrap_or_default();
    (sender.parse().expect("a sender"), n.parse().unwrap_or_else(|e| panic!("{text:?}: {e}")))
}

impl Flood {
    /// `messages` in all, each to all of `uids`; `kind` says the type of each sender's nth.
    #[allow(clippy::disallowed_methods)] // it measures
    pub fn begin(
        herald: &Herald,
        uids: &[&str],
        senders: usize,
        messages: usize,
        kind: impl Fn(usize) -> &'static str + Copy + Send + 'static,
    ) -> Flood {
        let busy = Arc::new(AtomicUsize::new(senders));
        let (address, token) = (herald.address("admin"), herald.token());
        let uids: Vec<String> = uids.iter().map(|uid| uid.to_string()).collect();
        let one = |sender: usize| {
            let (busy, uids, token) = (busy.clone(), uids.clone(), token.clone());
            let share = messages / senders + usize::from(sender < messages % senders);
            thread::spawn(move || {
                let said = send(address, &token, sender, share, &uids, kind);
                busy.fetch_sub(1, Ordering::AcqRel);
                said
            })
        };
        Flood { senders: (0..senders).map(one).collect(), busy: busy.clone(), began: Instant::now() }
    }

    pub fn is_over(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0 || self.senders.iter().any(|s| s.is_finished() && self.is_broken())
    }

    /// A sender that panicked counts itself out no more.
    fn is_broken(&self) -> bool {
        self.senders.iter().filter(|s| !s.is_finished()).count() == 0
    }

    /// Waits for them.
    pub fn end(self) -> Sent {
        let said = self.senders.into_iter().flat_map(|s| s.join().expect("a sender")).collect();
        Sent { said, took: self.began.elapsed() }
    }
}

impl Sent {
    pub fn states(&self, uid: &str) -> States {
        let mut states = States::default();
        for said in self.said.iter().filter(|s| s.uid == uid) {
            *match said.state.as_str() {
                "delivered" => &mut states.delivered,
                "stored" => &mut states.stored,
                "full" => &mut states.full,
                "dropped" => &mut states.dropped,
                other => panic!("{uid}: {other}"),
            } += 1;
        }
        states
    }

    /// The texts that the server took charge of, each sender's in their order.
    pub fn accepted(&self, uid: &str) -> Vec<String> {
        let accepted = |s: &&Said| s.uid == uid && matches!(s.state.as_str(), "delivered" | "stored");
        self.said.iter().filter(accepted).map(|s| s.text.clone()).collect()
    }
}

fn send(
    address: SocketAddr,
    token: &str,
    sender: usize,
    messages: usize,
    uids: &[String],
    kind: impl Fn(usize) -> &'static str,
) -> Vec<Said> {
    let mut out = TcpStream::connect(address).expect("the API accepts");
    out.set_nodelay(true).expect("no delay");
    out.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answers = BufReader::new(out.try_clone().expect("a second handle"));
    let mut all = Vec::with_capacity(messages * uids.len());
    for n in 0..messages {
        let text = format!("{sender}-{n} {PAD}");
        let body = json!({ "to": uids, "body": text, "type": kind(n) }).to_string();
        let request = format!(
            "POST /api/v1/sendto HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        out.write_all(request.as_bytes()).expect("the API reads");
        let answer = answer(&mut answers);
        for result in answer["results"].as_array().unwrap_or_else(|| panic!("{answer}")) {
            let word = |name: &str| result[name].as_str().expect("a word").to_owned();
            all.push(Said { uid: word("uid"), text: text.clone(), state: word("state") });
        }
    }
    all
}

/// One answer with its Content-Length.
fn answer(from: &mut impl BufRead) -> Value {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        assert!(from.read_line(&mut line).expect("an answer in time") > 0, "the API hung up");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).expect("a whole body");
    serde_json::from_slice(&body).expect("JSON")
}
