//! A client, to the letter of Strophe.js' `bosh.ts` where the parameters say so, and of XEP-0124 else. It does no
//! I/O: it is told what happened and says what to send and which connection to drop.

use crate::keys::Keys;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What one client does otherwise than another.
#[derive(Clone, Debug)]
pub struct Style {
    /// How many requests it has open: Strophe.js 2, a client that polls 1, another `requests`.
    pub open_max: usize,
    /// Rids of its open requests differ by less than that.
    pub window: u64,
    /// How many it wants open although it has nothing to say.
    pub hold: usize,
    /// The least time between two requests with nothing to say.
    pub poll_ms: u64,
    /// It sends a request anew that was not answered for so long, ...
    pub primary_ms: u64,
    /// ... or, once a younger one was answered, for so long.
    pub secondary_ms: u64,
    /// Strophe.js knows no `type='error'`: it takes it for an answer. Others repeat that request and its elders.
    pub error_is_answer: bool,
    /// It gives up when it has sent a request so often.
    pub sends_max: u64,
    /// It uses acknowledgements.
    pub acks: bool,
    /// Its first request has nothing in it: it says a rid again.
    pub asks_first: bool,
}

/// What it wants done.
pub enum Act {
    Send { attempt: u64, rid: u64, after_ms: u64, body: String },
    Abort { attempt: u64 },
}

/// What is in a request.
#[derive(Clone, Debug, Default)]
struct Content {
    said: Vec<u32>,
    attrs: String,
}

struct Request {
    rid: u64,
    body: String,
    said: Vec<u32>,
    attempt: Option<u64>,
    sends: u64,
    sent_at: u64,
    dead_at: Option<u64>,
}

pub struct Client {
    pub style: Style,
    pub sid: String,
    pub keys: Option<Keys>,
    /// The rid of the next request it builds: what a page that is loaded anew goes on with.
    pub rid: u64,
    /// What it has yet to send.
    pub data: Vec<u32>,
    /// What it has seen, in the order in which it processed it.
    pub seen: Vec<u32>,
    /// What it sent and was answered for.
    pub answered: Vec<u32>,
    /// Why it is over for it.
    pub over: Option<String>,
    /// How often it took `type='error'` for an answer.
    pub errors_taken: u32,
    /// It sleeps until then, having asked for a pause.
    pub paused_until: Option<u64>,
    requests: Vec<Request>,
    answers: BTreeMap<u64, Vec<u32>>,
    next_in_order: u64,
    polled_at: Option<u64>,
    attempts: u64,
}

impl Client {
    /// `rid` is that of its first request. `attempts` sets its connections apart from those of others.
    pub fn new(style: Style, sid: String, rid: u64, attempts: u64) -> Client {
        Client {
            style,
            sid,
            keys: None,
            rid,
            data: Vec::new(),
            seen: Vec::new(),
            answered: Vec::new(),
            over: None,
            errors_taken: 0,
            paused_until: None,
            requests: Vec::new(),
            answers: BTreeMap::new(),
            next_in_order: rid,
            polled_at: None,
            attempts,
        }
    }

    /// Its timer. Strophe.js: `_onIdle`.
    pub fn idle(&mut self, now: u64, acts: &mut Vec<Act>) {
        if self.over.is_some() || self.paused_until.is_some_and(|t| now < t) {
            return;
        }
        self.paused_until = None;
        let may_poll = self.polled_at.is_none_or(|t| now >= t + self.style.poll_ms);
        if self.style.asks_first && self.requests.is_empty() {
            self.request(now, Content::default(), acts);
        }
        while !self.style.asks_first
            && !self.data.is_empty()
            && self.requests.len() < self.style.open_max
            && self.may_go_on()
        {
            let said = std::mem::take(&mut self.data);
            self.request(now, Content { said, attrs: String::new() }, acts);
        }
        let quiet = self.data.is_empty() && !self.style.asks_first;
        if quiet && self.requests.len() < self.style.hold && may_poll && self.may_go_on() {
            self.request(now, Content::default(), acts);
        }
        if let Some(oldest) = self.requests.first() {
            let overdue = oldest.attempt.is_some() && now > oldest.sent_at + self.style.primary_ms;
            let dead = oldest.dead_at.is_some_and(|t| now > t + self.style.primary_ms);
            if overdue || dead {
                self.process_all(now, acts);
            }
        }
    }

    /// Asks for a pause and for all answers at once.
    pub fn pause(&mut self, now: u64, secs: u64, sleep_ms: u64, acts: &mut Vec<Act>) {
        if self.over.is_none() && self.may_go_on() {
            self.request(now, Content { said: Vec::new(), attrs: format!(" pause='{secs}'") }, acts);
            self.paused_until = Some(now + sleep_ms);
        }
    }

    /// Ends the session, with its last words.
    pub fn terminate(&mut self, now: u64, acts: &mut Vec<Act>) {
        if self.over.is_none() {
            let said = std::mem::take(&mut self.data);
            self.request(now, Content { said, attrs: " type='terminate'".into() }, acts);
        }
    }

    /// The page is closed.
    pub fn close(&mut self, acts: &mut Vec<Act>) {
        acts.extend(self.requests.iter().filter_map(|r| r.attempt).map(|attempt| Act::Abort { attempt }));
        self.over.get_or_insert_with(|| "closed".into());
    }

    /// What it sent without knowing whether it arrived.
    pub fn uncertain(&self) -> Vec<u32> {
        let sent = self.requests.iter().flat_map(|r| &r.said);
        sent.chain(&self.data).copied().collect()
    }

    /// Nothing left to send or to be sure of.
    pub fn is_done(&self) -> bool {
        self.data.is_empty() && self.requests.iter().all(|r| r.said.is_empty())
    }

    /// A connection broke.
    pub fn failed(&mut self, now: u64, attempt: u64, acts: &mut Vec<Act>) {
        let Some(request) = self.requests.iter_mut().find(|r| r.attempt == Some(attempt)) else { return };
        request.attempt = None;
        self.process_all(now, acts);
    }

    /// A response came, whole.
    pub fn response(&mut self, now: u64, attempt: u64, body: &str, acts: &mut Vec<Act>) {
        let Some(at) = self.requests.iter().position(|r| r.attempt == Some(attempt)) else { return };
        let is_error = body.starts_with("<body type='error'");
        if body.starts_with("<body type='terminate'") {
            self.over = Some(body.to_owned());
            return self.close(acts); // stanzas in it count as undelivered: nothing it sends can say that it has them
        }
        if is_error && !self.style.error_is_answer {
            for request in &mut self.requests[..=at] {
                acts.extend(request.attempt.take().filter(|a| *a != attempt).map(|attempt| Act::Abort { attempt }));
            }
            return self.process_all(now, acts);
        }
        self.errors_taken += u32::from(is_error);
        let request = self.requests.remove(at);
        self.style.asks_first = false;
        self.answered.extend(request.said);
        self.answers.insert(request.rid, numbers(body, "<d n='"));
        while let Some(items) = self.answers.remove(&self.next_in_order) {
            self.next_in_order += 1;
            self.seen.extend(items); // section 14.2: in the order of the requests
        }
        if at > 0
            && let Some(oldest) = self.requests.first_mut()
        {
            oldest.dead_at.get_or_insert(now);
        }
        self.process_all(now, acts);
    }

    fn may_go_on(&self) -> bool {
        self.requests.first().is_none_or(|oldest| self.rid - oldest.rid < self.style.window)
    }

    fn request(&mut self, now: u64, content: Content, acts: &mut Vec<Act>) {
        let rid = self.rid;
        self.rid += 1;
        let mut body = format!("<body rid='{rid}' sid='{}'{}", self.sid, content.attrs);
        let acked = self.next_in_order - 1;
        if self.style.acks && acked + 1 != rid {
            let _ = write!(body, " ack='{acked}'");
        }
        if let Some(keys) = &mut self.keys {
            body.push_str(&keys.next());
        }
        body.push_str(" xmlns='http://jabber.org/protocol/httpbind'>");
        for n in &content.said {
            let name = if n % 3 == 0 { "iq" } else { "message" };
            let _ = write!(body, "<{name} n='{n}'/>");
        }
        body.push_str("</body>");
        let said = content.said;
        self.requests.push(Request { rid, body, said, attempt: None, sends: 0, sent_at: now, dead_at: None });
        self.process_all(now, acts);
    }

    /// Strophe.js: `_throttledRequestHandler`.
    fn process_all(&mut self, now: u64, acts: &mut Vec<Act>) {
        let oldest = self.requests.first().map_or(0, |r| r.rid);
        for at in 0..self.requests.len() {
            if self.over.is_none() && self.requests[at].rid - oldest < self.style.window {
                self.process(now, at, acts);
            }
        }
    }

    /// Strophe.js: `_processRequest`.
    fn process(&mut self, now: u64, at: usize, acts: &mut Vec<Act>) {
        let request = &mut self.requests[at];
        if request.sends > self.style.sends_max {
            self.over = Some("it gave up".into());
            return self.close(acts);
        }
        let primary = now > request.sent_at + self.style.primary_ms;
        let secondary = request.dead_at.is_some_and(|t| now > t + self.style.secondary_ms);
        if let Some(attempt) = request.attempt.take_if(|_| primary || secondary) {
            acts.push(Act::Abort { attempt });
        }
        if request.attempt.is_some() {
            return;
        }
        let sends = request.sends;
        let after_ms = if sends > 1 { self.style.primary_ms.min(sends.pow(3) * 1_000) } else { 0 };
        self.attempts += 1;
        request.attempt = Some(self.attempts);
        request.sent_at = now + after_ms;
        request.dead_at = None;
        request.sends += 1;
        if request.said.is_empty() {
            self.polled_at = Some(request.sent_at);
        }
        let (rid, body) = (request.rid, request.body.clone());
        acts.push(Act::Send { attempt: self.attempts, rid, after_ms, body });
    }
}

/// The numbers that follow `before` in `xml`.
pub fn numbers(xml: &str, before: &str) -> Vec<u32> {
    let after = xml.split(before).skip(1);
    after.map(|s| s[..s.find('\'').expect("a quote")].parse().expect("a number")).collect()
}
