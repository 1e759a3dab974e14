//! The machine, driven as the server does it: requests find the session while it is in the table, each waits under a
//! ticket, one whose connection died is waited for no more, deadlines stand in a wheel that is late at times.

use crate::oracle::Seen;
use crate::scenario::{Kind, Scenario};
use crate::world::{Event, World};
use herald_bosh::*;
use herald_xmpp::xml::Limits;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An item: its number, and how long it is.
pub struct Down(u32, usize);

impl Item for Down {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("<d n='{}' xmlns='jabber:client'>{}</d>", self.0, "x".repeat(self.1)).as_bytes());
    }
    fn bytes_len(&self) -> usize {
        40 + self.1
    }
}

/// A request that waits.
pub struct Waiting {
    pub client: usize,
    /// The connection on which its client waits, if it does.
    pub attempt: Option<u64>,
    rid: u64,
    since: u64,
}

pub struct Server {
    pub session: Session<Down>,
    pub sid: Sid,
    pub created: u64,
    pub gone: bool,
    /// It ended for a reason that is no fault of its own.
    pub excused: bool,
    pub waiting: HashMap<u64, Waiting>,
    /// When the wheel looks at the session next.
    pub tick_at: Option<u64>,
    /// What was written into an answer.
    pub written: Vec<u32>,
    start: Instant,
    tickets: u64,
    idle_since: u64,
    closed: bool,
}

impl Server {
    #[allow(clippy::disallowed_methods)] // any instant will do for a start; from there on time is counted by hand
    pub fn new(scenario: &Scenario, created: u64, newkey: &str) -> Server {
        let (start, sid) = (Instant::now(), Sid::new([9; 16]));
        let settings = Arc::new(scenario.settings.clone());
        let session = if scenario.kind == Kind::Attached {
            let rid = Rid::new(created).expect("a rid");
            Session::prebound(start, settings, rid, 60).0
        } else {
            let attrs = format!("rid='{created}' {}{newkey}", scenario.creation);
            let xml = format!("<body {attrs} xmlns='http://jabber.org/protocol/httpbind'/>");
            let body = Body::parse(xml.as_bytes(), &Limits::DEFAULT).expect("a creation");
            Session::new(start, settings, sid, "example.com", body, Ticket(0))
        };
        Server {
            session,
            sid,
            created,
            gone: false,
            excused: false,
            waiting: HashMap::new(),
            tick_at: None,
            written: Vec::new(),
            start,
            tickets: 0,
            idle_since: 0,
            closed: false,
        }
    }

    pub fn ticket_of(&self, client: usize, attempt: u64) -> Option<u64> {
        let of = |w: &Waiting| w.client == client && w.attempt == Some(attempt);
        self.waiting.iter().find(|(_, w)| of(w)).map(|(ticket, _)| *ticket)
    }

    pub fn deadline_ms(&self) -> Option<u64> {
        self.session.deadline().map(|d| u64::try_from((d - self.start).as_millis()).expect("not so long"))
    }

    /// The longest that a session lives when nobody comes.
    pub fn longest_ms(&self, scenario: &Scenario) -> u64 {
        let settings = &scenario.settings;
        let longest = (2 * settings.inactivity_secs).max(settings.maxpause_secs).max(60);
        u64::from(scenario.wait_secs + 10 + longest) * 1_000 + 3 * scenario.lateness_ms
    }

    fn instant(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }
}

impl World {
    /// The creation is answered; its answer arrives.
    pub fn create(&mut self) {
        if self.scenario.kind != Kind::Attached {
            self.server.waiting.insert(0, Waiting { client: 0, attempt: None, rid: self.server.created, since: 0 });
            self.drain(); // it waits for the features
            self.push_down();
            self.oracle.creation();
            self.drain();
            self.clients[0].seen.push(1);
        }
        self.arm();
    }

    pub fn post(&mut self, client: usize, attempt: Option<u64>, rid: u64, body: &str) -> u64 {
        self.server.tickets += 1;
        let ticket = self.server.tickets;
        let parsed = Body::parse(body.as_bytes(), &Limits::DEFAULT).expect("a body");
        // A request may have found the session and come to it only after its end.
        if self.server.gone && self.random.percent(50) {
            if let Some(attempt) = attempt {
                let body = String::from_utf8(Answer::unknown_sid().body.to_vec()).expect("UTF-8");
                self.respond(client, attempt, ticket, body);
            }
            return ticket;
        }
        if self.server.session.is_open() {
            let (acks, replayable) = (self.scenario.style.acks, self.scenario.replayable());
            let requests = self.scenario.requests();
            self.oracle.request(&Seen { rid, body, acks, requests, replayable });
        }
        self.server.waiting.insert(ticket, Waiting { client, attempt, rid, since: self.ms });
        self.handle(Input::Post { ticket: Ticket(ticket), body: parsed });
        ticket
    }

    pub fn lost(&mut self, ticket: u64) {
        if self.server.waiting.remove(&ticket).is_some() {
            self.handle(Input::Lost(Ticket(ticket)));
        }
    }

    /// The server sees that nobody has read what it answered. Whether it makes use of that when it gives up waiting
    /// for a request is not to be seen from outside, nor in a session that strangers use: it is not told then.
    pub fn unread(&mut self, ticket: u64) {
        let told = self.scenario.requests() == 2 && !self.scenario.style.acks && !self.oracle.gap();
        if told && self.scenario.stranger.is_none() && !self.server.gone && self.oracle.unread(ticket) {
            self.tally.count("reset unread");
            self.handle(Input::Lost(Ticket(ticket)));
        }
    }

    /// The stream above ends, in one of three ways.
    pub fn close(&mut self) {
        let error = bytes::Bytes::from_static(b"<stream:error><conflict/></stream:error>");
        let how = [Close::Stream, Close::Condition(Condition::SystemShutdown), Close::StreamError(error)];
        let close = self.random.pick(&how);
        self.server.closed = true;
        self.tally.count("closed by the server");
        self.handle(Input::Close(close));
    }

    /// Somebody who knows the sid: where keys are in use, and what he sends cannot be read, nothing comes of it.
    pub fn stranger(&mut self) {
        self.tally.count("stranger");
        self.server.tickets += 1;
        let ticket = self.server.tickets;
        let rid = self.server.created + self.random.below(30);
        self.server.waiting.insert(ticket, Waiting { client: 0, attempt: None, rid, since: self.ms });
        if self.random.percent(30) {
            let after = self.random.below(5_000);
            self.at(after, Event::Lost { ticket });
        }
        let ticket = Ticket(ticket);
        if self.scenario.stranger == Some(true) || self.random.percent(20) {
            self.handle(Input::Broken { ticket, condition: Condition::BadRequest });
        } else {
            let attrs = ["", "", "ack='1'", "pause='7'", "pause='99'", "type='terminate'", "key='a' newkey='b'"];
            let attrs = self.random.pick(&attrs);
            let payload = self.random.pick(&["", "<message/>", "<iq/>"]);
            let xml = format!("<body rid='{rid}' {attrs} xmlns='http://jabber.org/protocol/httpbind'>{payload}</body>");
            let body = Body::parse(xml.as_bytes(), &Limits::DEFAULT).expect("a body");
            self.oracle.disturb();
            self.handle(Input::Post { ticket, body });
        }
        let after = if self.random.percent(50) { self.random.below(20) } else { 500 + self.random.below(8_000) };
        if self.ms < 60_000 {
            self.at(after, Event::Stranger);
        }
    }

    pub fn push_down(&mut self) {
        let at = self.server.instant(self.ms);
        let size = if self.random.percent(10) { 200 } else { 0 };
        if self.server.session.down(at, Down(self.oracle.taken + 1, size)).is_ok() {
            self.oracle.taken += 1;
        } else {
            self.tally.count("handed back");
        }
    }

    pub fn handle(&mut self, input: Input) {
        // Two tasks may read the clock in one order and take the lock in the other.
        let early = !matches!(input, Input::Tick) && self.random.percent(10);
        let skew = if early { self.random.below(3) } else { 0 };
        let now = self.server.instant(self.ms.saturating_sub(skew));
        self.server.session.handle(now, input);
        self.drain();
        self.arm();
    }

    pub fn drain(&mut self) {
        while let Some(output) = self.server.session.poll() {
            assert!(!self.server.gone || matches!(output, Output::Answer { .. }), "something after the end of all");
            match output {
                Output::Payload(payload) => {
                    for (xml, _) in payload.elements() {
                        for n in crate::client::numbers(xml, " n='") {
                            let (by, tabs) = (&self.said_by, self.scenario.second_tab_at.is_some());
                            self.oracle.came_up(n, |m| !tabs || by.get(&m) == by.get(&n));
                        }
                    }
                    if self.random.percent(30) && self.oracle.taken < self.scenario.payloads {
                        self.push_down(); // what is said at once goes into the same answer
                    }
                }
                Output::Answer { ticket, answer } => self.answered(ticket.0, &answer),
                Output::Acked(Down(n, _)) => {
                    let pages = &self.clients;
                    self.oracle.acked(n, |n| pages.iter().any(|c| c.seen.contains(&n)));
                }
                Output::Ended { undelivered } => {
                    self.oracle.ended(undelivered.into_iter().map(|d| d.0).collect());
                    self.ended();
                }
                Output::Gone => {
                    assert!(self.oracle.undelivered.is_some(), "gone without an end");
                    self.server.gone = true;
                }
                Output::Open { .. } | Output::Restart { .. } | Output::PeerClosed => {}
            }
        }
        self.check_bounds();
    }

    fn answered(&mut self, ticket: u64, answer: &Answer) {
        let waiting = self.server.waiting.remove(&ticket).expect("a request that waits");
        let longest = u64::from(self.scenario.wait_secs.max(10)) * 1_000 + 10_000 + 3 * self.scenario.lateness_ms;
        if self.scenario.jump_at.is_none() {
            assert!(self.ms <= waiting.since + longest, "answered after {} ms", self.ms - waiting.since);
        }
        let body = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
        self.oracle.answer(waiting.rid, ticket, &body);
        if body.starts_with("<body type='error'") {
            self.tally.count("told to repeat");
        }
        let items = crate::client::numbers(&body, "<d n='");
        let nobody = waiting.attempt.is_none() || self.clients[waiting.client].over.is_some();
        if nobody && (self.clients.len() > 1 || self.clients[waiting.client].over.is_some()) {
            self.oracle.told_the_dead.extend(&items);
        }
        self.server.written.extend(items);
        match waiting.attempt {
            Some(attempt) => self.respond(waiting.client, attempt, ticket, body),
            None if ticket == 0 => {} // the creation's: its client has it
            None => self.nobody_reads(ticket),
        }
    }

    fn ended(&mut self) {
        let asked = self.server.closed || self.scenario.terminate_at.is_some_and(|t| t <= self.ms);
        let disturbed = self.scenario.stranger == Some(false) || self.scenario.second_tab_at.is_some();
        // A page that is loaded anew leaves a rid out that the old one did not get rid of, and goes on with two more
        // at once. If it has less to say it gets through: Strophe.js by the second request that nobody answers.
        let left_out = self.clients.len() > 1 && self.oracle.gap() && self.clients[1].errors_taken <= 2;
        if left_out && !disturbed {
            self.server.excused = true;
            self.tally.count("left a rid out");
        } else if !asked && !disturbed {
            let shortest = match self.scenario.pause_at {
                Some(_) => 1_000, // it asked for a second at least
                None => 1_000 * u64::from(self.scenario.settings.inactivity_secs.min(60)),
            };
            assert!(self.ms + 5 >= self.server.idle_since + shortest, "it ended while somebody waited");
            self.server.excused = true;
            self.tally.count("ended by silence");
        }
    }

    fn check_bounds(&mut self) {
        let settings = &self.scenario.settings;
        // Of the answers that are open at a time what is in them may come back.
        let back = if self.oracle.put_back.is_empty() { 0 } else { 2 * settings.response_bytes_soft.min(8_000) + 500 };
        assert!(self.server.session.queued_bytes() <= settings.queue_bytes_max + back, "the queue has no bound");
        let answers = usize::try_from(2 * self.scenario.replayable() + 6).expect("few");
        let kept_max = settings.replay_bytes_max.max(answers * 2 * (settings.response_bytes_soft.min(8_000) + 600));
        assert!(self.server.session.kept_bytes() <= kept_max + settings.body_bytes_max, "what is kept has no bound");
        if !self.server.waiting.is_empty() {
            self.server.idle_since = self.ms;
        }
    }

    /// Stands in the wheel, unless it does so for an earlier time.
    pub fn arm(&mut self) {
        let Some(due) = self.server.deadline_ms() else { return };
        let late = self.random.below(self.scenario.lateness_ms);
        if self.server.tick_at.is_none_or(|at| at > due + self.scenario.lateness_ms) {
            self.server.tick_at = Some(due.max(self.ms) + late);
        }
    }
}
