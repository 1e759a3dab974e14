//! A client, a bad network and the machine, in virtual time.
//!
//! The client is one like Strophe.js: two requests open at most, an empty one only when none is, the
//! same rid again when a connection fails or an answer is late. The network loses, delays and
//! doubles requests and loses answers; connections die with and without the server being told.
//! However it goes: every payload arrives exactly once and in order, both ways; nothing is
//! acknowledged that the client does not have; and what is not acknowledged comes back at the end.
//! A failure names its seed: `CHAOS_SEED=n cargo test -p herald-bosh --test chaos`; `CHAOS_SEEDS=n` tries more.

use herald_bosh::*;
use herald_xmpp::xml::Limits;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SEEDS: u64 = 2_000;
/// Payloads each way.
const PAYLOADS: u32 = 40;
const WAIT_MS: u64 = 10_000;
/// Longer than any run: the client has vanished.
const END_MS: u64 = 3_600_000;

#[test]
fn every_payload_exactly_once_and_in_order() {
    for_seeds(|seed| World::new(seed).run());
}

#[test]
fn what_a_client_that_vanished_does_not_have_comes_back() {
    for_seeds(|seed| {
        let mut world = World::new(seed);
        world.vanish_at = Some(world.random.below(20_000));
        world.run();
    });
}

fn for_seeds(run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().and_then(|s| s.parse().ok());
    if let Some(seed) = number("CHAOS_SEED") {
        return run(seed);
    }
    for seed in 0..number("CHAOS_SEEDS").unwrap_or(SEEDS) {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("the seed is {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }
    fn percent(&mut self, p: u64) -> bool {
        self.below(100) < p
    }
}

#[derive(Debug, PartialEq)]
struct Down(u32);

impl Item for Down {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("<d n='{}' xmlns='jabber:client'/>", self.0).as_bytes());
    }
    fn bytes_len(&self) -> usize {
        40
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive { attempt: u64, body: String },
    Answered { attempt: u64, body: String },
    ClientSeesFailure(u64),
    ServerSeesLoss(u64),
    Late(u64),
    ClientSays,
    ServerSays,
}

struct Open {
    attempt: u64,
    body: String,
}

struct World {
    seed: u64,
    random: Random,
    start: Instant,
    ms: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    serial: u64,
    vanish_at: Option<u64>,
    loss: u64,
    delay: u64,
    // the server
    session: Session<Down>,
    sid: Sid,
    came_up: Vec<u32>,
    sent_down: u32,
    acked: Vec<u32>,
    undelivered: Option<Vec<u32>>,
    gone: bool,
    // the client
    acks: bool,
    polls: bool,
    next_rid: u64,
    next_in_order: u64,
    open: BTreeMap<u64, Open>,
    of_attempt: HashMap<u64, u64>, // current attempts only
    answers: BTreeMap<u64, String>,
    said: u32,
    to_say: Vec<u32>,
    came_down: Vec<u32>,
    last_sent_ms: u64,
}

impl World {
    #[allow(clippy::disallowed_methods)] // any instant will do for a start; from there on time is counted by hand
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let (acks, polls) = (random.percent(30), random.percent(15));
        let settings = Settings { repeats_max: 200, response_bytes_soft: 120, ..Settings::default() };
        let rid = 1 + random.below(1 << 32);
        let creation = format!(
            "<body rid='{rid}' to='example.com' ver='1.6' hold='1' wait='{}' {} xmlns='http://jabber.org/protocol/httpbind'/>",
            if polls { 0 } else { WAIT_MS / 1_000 },
            if acks { "ack='1'" } else { "" },
        );
        let body = Body::parse(creation.as_bytes(), &Limits::DEFAULT).expect("a creation");
        let (start, sid) = (Instant::now(), Sid::new([9; 16]));
        let session = Session::new(start, Arc::new(settings), sid, "example.com", body, Ticket(0));
        let mut world = World {
            seed,
            loss: random.below(30),
            delay: 1 + random.below(300),
            random,
            start,
            ms: 0,
            events: BinaryHeap::new(),
            serial: 1,
            vanish_at: None,
            session,
            sid,
            came_up: Vec::new(),
            sent_down: 0,
            acked: Vec::new(),
            undelivered: None,
            gone: false,
            acks,
            polls,
            next_rid: rid + 1,
            next_in_order: rid + 1,
            open: BTreeMap::new(),
            of_attempt: HashMap::new(),
            answers: BTreeMap::new(),
            said: 0,
            to_say: Vec::new(),
            came_down: Vec::new(),
            last_sent_ms: 0,
        };
        world.push_down(); // stands for the features; it is received with the creation's answer
        world.drain();
        world.came_down.push(1);
        world.at(0, Event::ClientSays);
        world.at(0, Event::ServerSays);
        world
    }

    fn run(mut self) {
        self.pump();
        while let Some(Reverse((ms, _, event))) = self.events.pop() {
            while let Some(due) = self.deadline_ms().filter(|due| *due <= ms) {
                self.tick(due);
            }
            self.ms = self.ms.max(ms);
            if !self.vanished() || matches!(event, Event::ServerSays | Event::ServerSeesLoss(_) | Event::Arrive { .. })
            {
                self.event(event);
            }
            if self.done() || self.gone {
                break;
            }
        }
        if self.vanish_at.is_none() {
            assert!(!self.gone, "the session ended");
            assert!(self.done(), "up {:?} down {:?} of {}", self.came_up, self.came_down, self.sent_down);
        }
        while let Some(due) = self.deadline_ms().filter(|_| !self.gone) {
            assert!(due < END_MS, "a session that does not end");
            self.tick(due);
        }
        let sent: Vec<u32> = (1..=self.sent_down).collect();
        let mut all = self.acked.clone();
        all.extend(self.undelivered.as_ref().expect("an end"));
        all.sort_unstable(); // what is asked for again is acknowledged later than what followed it
        assert_eq!(all, sent, "acknowledged, then undelivered: everything once");
        for n in &sent[self.came_down.len()..] {
            assert!(!self.acked.contains(n), "{n} is acknowledged and lost");
        }
    }

    fn vanished(&self) -> bool {
        self.vanish_at.is_some_and(|at| self.ms >= at)
    }

    fn done(&self) -> bool {
        self.vanish_at.is_none()
            && self.came_up.len() == PAYLOADS as usize
            && self.sent_down == PAYLOADS
            && self.came_down.len() == PAYLOADS as usize
    }

    fn at(&mut self, after: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((self.ms + after, self.serial, event)));
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    fn deadline_ms(&self) -> Option<u64> {
        self.session.deadline().map(|d| u64::try_from((d - self.start).as_millis()).expect("not so long"))
    }

    fn tick(&mut self, due: u64) {
        self.ms = self.ms.max(due);
        self.handle(Input::Tick);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Arrive { attempt, body } => {
                if self.gone {
                    return;
                }
                let body = Body::parse(body.as_bytes(), &Limits::DEFAULT).expect("a body");
                self.handle(Input::Post { ticket: Ticket(attempt), body });
            }
            Event::ServerSeesLoss(attempt) => self.handle(Input::Lost(Ticket(attempt))),
            Event::Answered { attempt, body } => self.answered(attempt, body),
            Event::ClientSeesFailure(attempt) | Event::Late(attempt) => self.again(attempt),
            Event::ClientSays => {
                if self.said < PAYLOADS {
                    self.said += 1;
                    self.to_say.push(self.said);
                    self.pump();
                    let pause = self.random.below(600);
                    self.at(pause, Event::ClientSays);
                } else {
                    self.pump(); // a client that polls comes again and again
                    self.at(500, Event::ClientSays);
                }
            }
            Event::ServerSays => {
                if self.sent_down < PAYLOADS && !self.gone {
                    self.push_down();
                    self.drain();
                    let pause = self.random.below(600);
                    self.at(pause, Event::ServerSays);
                }
            }
        }
    }

    // The server.

    fn push_down(&mut self) {
        let now = self.now();
        if self.session.is_open() {
            self.sent_down += 1;
            self.session.down(now, Down(self.sent_down)).expect("room");
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        self.session.handle(now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Payload(payload) => {
                    for (xml, _) in payload.elements() {
                        let n = numbers(xml, "<u n='").pop().expect("a number");
                        assert_eq!(n as usize, self.came_up.len() + 1, "up, in order, once");
                        self.came_up.push(n);
                    }
                }
                Output::Answer { ticket, answer } => self.answer(ticket.0, &answer),
                Output::Acked(Down(n)) => {
                    assert!(self.came_down.contains(&n), "{n} is acknowledged before it is there");
                    self.acked.push(n);
                }
                Output::Ended { undelivered } => {
                    self.undelivered = Some(undelivered.into_iter().map(|d| d.0).collect());
                }
                Output::Gone => self.gone = true,
                Output::Open { .. } | Output::Restart { .. } | Output::PeerClosed => {}
            }
        }
    }

    fn answer(&mut self, attempt: u64, answer: &Answer) {
        let body = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
        if self.random.percent(self.loss) {
            if self.random.percent(70) {
                let after = self.random.below(self.delay);
                self.at(after, Event::ClientSeesFailure(attempt));
            }
        } else {
            let after = self.random.below(self.delay);
            self.at(after, Event::Answered { attempt, body });
        }
    }

    // The client.

    fn pump(&mut self) {
        while !self.to_say.is_empty() && self.open.len() < if self.polls { 1 } else { 2 } {
            let count = 1 + usize::try_from(self.random.below(3)).expect("small");
            let said: Vec<u32> = self.to_say.drain(..count.min(self.to_say.len())).collect();
            self.request(&said);
        }
        let may_poll = !self.polls || self.ms >= self.last_sent_ms + 2_000;
        if self.open.is_empty() && may_poll {
            self.request(&[]);
        }
    }

    fn request(&mut self, said: &[u32]) {
        let rid = self.next_rid;
        self.next_rid += 1;
        let mut body = format!("<body rid='{rid}' sid='{}'", self.sid);
        let answered = self.next_in_order - 1;
        if self.acks && answered + 1 != rid {
            let _ = write!(body, " ack='{answered}'");
        }
        body.push_str(" xmlns='http://jabber.org/protocol/httpbind'>");
        for n in said {
            let _ = write!(body, "<u n='{n}'/>");
        }
        body.push_str("</body>");
        self.open.insert(rid, Open { attempt: 0, body });
        self.attempt(rid);
    }

    fn attempt(&mut self, rid: u64) {
        self.serial += 1;
        self.last_sent_ms = self.ms;
        let attempt = self.serial;
        let open = self.open.get_mut(&rid).expect("an open request");
        let before = std::mem::replace(&mut open.attempt, attempt);
        let body = open.body.clone();
        if self.of_attempt.remove(&before).is_some() && self.random.percent(60) {
            let after = self.random.below(self.delay);
            self.at(after, Event::ServerSeesLoss(before));
        }
        self.of_attempt.insert(attempt, rid);
        self.at(WAIT_MS * 11 / 10 + 2 * self.delay, Event::Late(attempt));
        if self.random.percent(self.loss) {
            if self.random.percent(70) {
                let after = self.random.below(self.delay);
                self.at(after, Event::ClientSeesFailure(attempt));
            }
        } else {
            let after = self.random.below(self.delay);
            self.at(after, Event::Arrive { attempt, body: body.clone() });
        }
        if self.random.percent(self.loss / 2) {
            self.serial += 1;
            let (double, after) = (self.serial, self.random.below(10 * self.delay));
            self.at(after, Event::Arrive { attempt: double, body });
        }
    }

    /// The same request again, if that attempt is the one it waits for.
    fn again(&mut self, attempt: u64) {
        if let Some(&rid) = self.of_attempt.get(&attempt) {
            self.attempt(rid);
        }
    }

    fn answered(&mut self, attempt: u64, body: String) {
        let Some(&rid) = self.of_attempt.get(&attempt) else { return };
        assert!(!body.contains("terminate"), "seed {}: {body}", self.seed);
        if body.contains("type='error'") {
            return self.attempt(rid);
        }
        self.of_attempt.remove(&attempt);
        self.answers.insert(rid, body);
        if rid != self.next_in_order && self.random.percent(80) {
            let elder = self.next_in_order; // as Strophe does: the younger was answered first
            if !self.answers.contains_key(&elder) {
                self.attempt(elder);
            }
        }
        while let Some(body) = self.answers.remove(&self.next_in_order) {
            self.open.remove(&self.next_in_order);
            self.next_in_order += 1;
            for n in numbers(&body, "<d n='") {
                assert_eq!(n as usize, self.came_down.len() + 1, "down, in order, once");
                self.came_down.push(n);
            }
        }
        self.pump();
    }
}

fn numbers(xml: &str, before: &str) -> Vec<u32> {
    let parts = xml.split(before).skip(1);
    parts.map(|p| p.split('\'').next().and_then(|n| n.parse().ok()).expect("a number")).collect()
}
