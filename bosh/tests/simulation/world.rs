//! A client, or two, a bad network and the server, in virtual time.

use crate::client::{Act, Client};
use crate::keys::Keys;
use crate::oracle::{Oracle, Tally};
use crate::random::Random;
use crate::scenario::{Kind, Scenario};
use crate::server::Server;
use herald_bosh::Input;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// By then every run is over: the client gave up, or has everything.
const LIMIT_MS: u64 = 3_600_000;

/// What will happen.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A request arrives. `attempt`: the connection on which its client waits; none on that of a copy.
    Arrive {
        client: usize,
        attempt: Option<u64>,
        rid: u64,
        body: String,
    },
    /// A response arrives.
    Response {
        client: usize,
        attempt: u64,
        ticket: u64,
        body: String,
    },
    /// The server sees that the connection on which it answered ended unread.
    Unread {
        ticket: u64,
    },
    /// The client sees that its connection broke.
    Fails {
        client: usize,
        attempt: u64,
    },
    /// The server sees that one broke.
    Lost {
        ticket: u64,
    },
    /// A connection breaks while its request is held.
    Cut {
        ticket: u64,
    },
    Idle(usize),
    Say,
    Push,
    Reload,
    SecondTab,
    Vanish,
    Terminate,
    Close,
    Pause,
    Jump,
    Stranger,
}

pub struct World {
    pub scenario: Scenario,
    pub random: Random,
    pub oracle: Oracle,
    pub tally: Tally,
    pub server: Server,
    pub clients: Vec<Client>,
    pub ms: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    serial: u64,
    said: u32,
    to_say: Vec<u32>,
    /// Which page said what.
    pub said_by: HashMap<u32, usize>,
    aborted: HashSet<(usize, u64)>,
    trace: bool,
}

impl World {
    pub fn new(seed: u64, trace: bool) -> World {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(&mut random);
        let created = 1 + random.below(1 << 32);
        let (keys, newkey) = Keys::new();
        let newkey = if scenario.kind == Kind::Keys { newkey } else { String::new() };
        let server = Server::new(&scenario, created, &newkey);
        let mut client = Client::new(scenario.style.clone(), server.sid.to_string(), created + 1, 0);
        client.keys = (scenario.kind == Kind::Keys).then_some(keys);
        let mut world = World {
            oracle: Oracle::new(created),
            tally: Tally::default(),
            server,
            clients: vec![client],
            ms: 0,
            events: BinaryHeap::new(),
            serial: 1,
            said: 0,
            to_say: Vec::new(),
            said_by: HashMap::new(),
            aborted: HashSet::new(),
            trace,
            scenario,
            random,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let s = &self.scenario;
        let misfortunes = [
            (s.reload_at, Event::Reload),
            (s.second_tab_at, Event::SecondTab),
            (s.vanish_at, Event::Vanish),
            (s.terminate_at, Event::Terminate),
            (s.close_at, Event::Close),
            (s.pause_at, Event::Pause),
            (s.jump_at, Event::Jump),
            (s.stranger.map(|_| 500), Event::Stranger),
        ];
        for (at, event) in misfortunes {
            if let Some(at) = at {
                self.at(at, event);
            }
        }
        self.create();
        for event in [Event::Say, Event::Push, Event::Idle(0)] {
            self.at(0, event);
        }
    }

    pub fn run(mut self) -> Tally {
        if self.trace {
            eprintln!("{:?} {:?}", self.scenario.kind, self.scenario.style);
        }
        while let Some(Reverse((ms, _, event))) = self.events.pop() {
            while let Some(due) = self.server.tick_at.filter(|due| *due <= ms) {
                self.tick(due);
            }
            self.ms = self.ms.max(ms);
            if self.trace {
                eprintln!("{:>8} {event:?}", self.ms);
            }
            self.event(event);
            if self.is_over() || self.ms > LIMIT_MS {
                break;
            }
        }
        self.check_the_run();
        self.leave_alone();
        self.tally
    }

    fn is_over(&self) -> bool {
        let pushed = self.oracle.taken >= self.scenario.payloads || self.server.gone;
        let quiet = self.said >= self.scenario.payloads && pushed && self.to_say.is_empty();
        let ended =
            self.clients.iter().all(|c| c.over.is_some()) && self.scenario.reload_at.is_none_or(|t| t < self.ms);
        let last = self.oracle.taken;
        let seen = last == 0
            || self.oracle.told_the_dead.contains(&last)
            || self.clients.iter().any(|c| c.seen.contains(&last));
        let settled = match self.scenario.ends_well() {
            true => {
                let page = &self.clients[self.clients.len() - 1];
                seen && page.is_done() && page.answered.iter().all(|n| self.oracle.up.contains(n))
            }
            false => self.ms > 60_000,
        };
        ended && (self.server.gone || self.ms > 60_000) || quiet && settled
    }

    /// What must be true when all has come that will come.
    fn check_the_run(&mut self) {
        let alone = self.scenario.second_tab_at.is_none();
        let contiguous = alone && self.scenario.stranger != Some(false);
        for page in 0..self.clients.len() {
            let before: HashSet<u32> = self.clients[..page].iter().flat_map(|c| &c.seen).copied().collect();
            self.oracle.page(&self.clients[page].seen, contiguous.then_some(&before));
        }
        let client = &self.clients[self.clients.len() - 1];
        let gave_up = client.over.as_deref() == Some("it gave up");
        let excused = gave_up || self.server.excused || !self.scenario.ends_well();
        if excused {
            self.tally.count(if gave_up { "gave up" } else { "came to an end" });
            return;
        }
        assert_eq!(client.over, None, "it was let go");
        assert!(
            self.ms < LIMIT_MS,
            "it hangs: up {:?}, down {:?} of {}",
            self.oracle.up,
            client.seen,
            self.oracle.taken
        );
        for n in &client.answered {
            assert!(self.oracle.up.contains(n), "{n} was answered for and did not come up");
        }
        self.tally.count("ended well");
    }

    /// The client is gone: the session ends by itself, and tells what was not delivered.
    fn leave_alone(&mut self) {
        for client in &mut self.clients {
            client.over.get_or_insert_with(|| "gone".into());
        }
        let latest = self.ms + self.server.longest_ms(&self.scenario);
        while let Some(due) = self.server.tick_at {
            assert!(due <= latest, "a session that does not end");
            self.tick(due);
        }
        assert!(self.server.gone && self.oracle.undelivered.is_some(), "no end");
        assert!(self.server.waiting.is_empty(), "requests without an answer");
        if self.oracle.skipped > 0 {
            self.tally.count("skipped a rid");
        }
        if !self.oracle.put_back.is_empty() {
            self.tally.count(if self.clients.len() > 1 { "put back for a new page" } else { "put back" });
        }
        self.tally.count("ends");
    }

    pub fn at(&mut self, after: u64, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((self.ms + after, self.serial, event)));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Arrive { client, attempt, rid, body } => self.arrive(client, attempt, rid, body),
            Event::Response { client, attempt, ticket, .. } if self.aborted.contains(&(client, attempt)) => {
                self.nobody_reads(ticket);
            }
            Event::Unread { ticket } => self.unread(ticket),
            Event::Response { client, attempt, body, .. } => {
                let mut acts = Vec::new();
                self.clients[client].response(self.ms, attempt, &body, &mut acts);
                self.act(client, acts);
            }
            Event::Fails { client, attempt } => {
                let mut acts = Vec::new();
                self.clients[client].failed(self.ms, attempt, &mut acts);
                self.act(client, acts);
            }
            Event::Lost { ticket } => self.lost(ticket),
            Event::Cut { ticket } => self.cut(ticket),
            Event::Idle(client) => self.idle(client),
            Event::Say => self.say(),
            Event::Push => self.push(),
            Event::Reload => self.reload(),
            Event::SecondTab => self.second_tab(),
            Event::Vanish => self.clients.iter_mut().for_each(|c| c.over = Some("vanished".into())),
            Event::Terminate => {
                let mut acts = Vec::new();
                self.clients[0].terminate(self.ms, &mut acts);
                self.act(0, acts);
            }
            Event::Close => self.close(),
            Event::Pause => self.pause(),
            Event::Jump => self.ms += 1_000 + self.random.below(120_000),
            Event::Stranger => self.stranger(),
        }
    }

    // The clients.

    fn idle(&mut self, client: usize) {
        let mut acts = Vec::new();
        let newest = client + 1 == self.clients.len() || self.scenario.second_tab_at.is_some();
        let page = &mut self.clients[client];
        if page.over.is_some() {
            return;
        }
        if newest {
            self.said_by.extend(self.to_say.iter().map(|n| (*n, client)));
            page.data.append(&mut self.to_say);
        }
        page.idle(self.ms, &mut acts);
        self.act(client, acts);
        self.at(self.scenario.idle_ms, Event::Idle(client));
    }

    fn say(&mut self) {
        if self.said < self.scenario.payloads {
            self.said += 1;
            self.to_say.push(self.said);
            let pause = self.random.below(900);
            self.at(pause, Event::Say);
        }
    }

    /// The page is loaded anew: it goes on with the next rid, or says the last one again.
    fn reload(&mut self) {
        let Some(old) = self.clients.pop() else { return };
        let mut old = old;
        if old.over.is_some() {
            self.clients.push(old);
            return;
        }
        self.tally.count("reload");
        self.oracle.abandoned.extend(old.uncertain());
        let seen: HashSet<u32> = old.seen.iter().copied().collect();
        self.oracle.told_the_dead.extend(self.server.written.iter().filter(|n| !seen.contains(n)));
        let mut acts = Vec::new();
        old.close(&mut acts);
        // It may have stored the rid of a request that it built and that never left.
        let (sid, rid) = (old.sid.clone(), old.rid + u64::from(self.random.percent(20)));
        let client = self.clients.len();
        self.clients.push(old);
        self.act(client, acts);
        let again = self.random.percent(30) && rid > self.server.created + 1;
        let mut style = self.scenario.style.clone();
        style.asks_first = again;
        if style.error_is_answer {
            (style.window, style.primary_ms, style.secondary_ms) = (5, 66_000, 6_000);
        }
        let page = Client::new(style, sid, if again { rid - 1 } else { rid }, 1_000_000);
        self.clients.push(page);
        let after = 100 + self.random.below(3_000);
        self.at(after, Event::Idle(client + 1));
    }

    /// A second page with the same sid and the same first rid.
    fn second_tab(&mut self) {
        if self.clients[0].over.is_none() {
            self.tally.count("second tab");
            self.oracle.disturb();
            let rid = self.server.created + 1;
            let page = Client::new(self.scenario.style.clone(), self.clients[0].sid.clone(), rid, 1_000_000);
            self.clients.push(page);
            self.at(0, Event::Idle(1));
        }
    }

    fn pause(&mut self) {
        let at = self.clients.len() - 1;
        if self.clients[at].keys.is_none() {
            let secs = 1 + self.random.below(30);
            let sleep = self.random.below(secs * 900);
            let mut acts = Vec::new();
            self.clients[at].pause(self.ms, secs, sleep, &mut acts);
            self.tally.count("pause");
            self.act(at, acts);
        }
    }

    // The network.

    fn act(&mut self, client: usize, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Send { attempt, rid, after_ms, body } => self.send(client, attempt, rid, after_ms, body),
                Act::Abort { attempt } => self.abort(client, attempt),
            }
        }
    }

    fn delay(&mut self) -> u64 {
        self.random.below(self.scenario.delay_ms)
    }

    fn send(&mut self, client: usize, attempt: u64, rid: u64, after_ms: u64, body: String) {
        let delay = after_ms + self.delay();
        if self.random.percent(self.scenario.loss / 2) {
            self.tally.count("request lost");
            return self.fails(client, attempt, delay);
        }
        if self.random.percent(self.scenario.doubles) {
            // A proxy sends it again, because its first connection broke.
            self.at(delay, Event::Arrive { client, attempt: None, rid, body: body.clone() });
        }
        self.at(delay, Event::Arrive { client, attempt: Some(attempt), rid, body: body.clone() });
        if self.random.percent(self.scenario.doubles) {
            let late = delay + self.random.below(10 * self.scenario.delay_ms);
            self.at(late, Event::Arrive { client, attempt: None, rid, body });
        }
    }

    /// The client's connection is broken; it may not notice.
    pub fn fails(&mut self, client: usize, attempt: u64, delay: u64) {
        if !self.random.percent(self.scenario.silent) {
            let after = delay + self.delay();
            self.at(after, Event::Fails { client, attempt });
        }
    }

    fn abort(&mut self, client: usize, attempt: u64) {
        self.aborted.insert((client, attempt));
        if let Some(ticket) = self.server.ticket_of(client, attempt) {
            self.server_may_learn(ticket);
        }
    }

    fn server_may_learn(&mut self, ticket: u64) {
        if self.random.percent(self.scenario.server_learns) {
            let after = self.delay();
            self.at(after, Event::Lost { ticket });
        }
    }

    fn cut(&mut self, ticket: u64) {
        if let Some(waiting) = self.server.waiting.get(&ticket)
            && let (client, Some(attempt)) = (waiting.client, waiting.attempt)
        {
            self.tally.count("connection cut");
            self.fails(client, attempt, 0);
            self.server_may_learn(ticket);
            if let Some(waiting) = self.server.waiting.get_mut(&ticket) {
                waiting.attempt = None; // an answer on it reaches nobody
            }
        }
    }

    fn arrive(&mut self, client: usize, attempt: Option<u64>, rid: u64, body: String) {
        let copy_in_the_way = attempt.is_none() && self.oracle.is_unanswered(rid);
        if copy_in_the_way && self.scenario.style.error_is_answer {
            // Its connection is older than the one that waits: whoever serves both finds it closed. If it did
            // not, Strophe.js would take the `type='error'` on its own for an answer.
            return;
        }
        let aborted = attempt.is_some_and(|a| self.aborted.contains(&(client, a)));
        if aborted && self.random.percent(50) {
            return;
        }
        let ticket = self.post(client, attempt, rid, &body);
        if aborted || attempt.is_none() {
            self.server_may_learn(ticket);
        } else if self.random.percent(self.scenario.loss / 3) {
            let after = self.random.below(4_000);
            self.at(after, Event::Cut { ticket });
        }
    }

    /// An answer leaves the server.
    pub fn respond(&mut self, client: usize, attempt: u64, ticket: u64, body: String) {
        let delay = self.delay();
        if self.random.percent(self.scenario.loss) {
            self.tally.count("response lost");
            self.fails(client, attempt, delay);
            self.nobody_reads(ticket);
        } else {
            self.at(delay, Event::Response { client, attempt, ticket, body });
        }
    }

    /// An answer comes to an end that is closed, or to none. The server believes that it answered, unless the
    /// connection is reset: some network does not do that, and some proxy does not pass it on.
    pub fn nobody_reads(&mut self, ticket: u64) {
        if self.random.percent(self.scenario.server_learns / 2) {
            let after = self.delay();
            self.at(after, Event::Unread { ticket });
        }
    }

    // The server.

    fn tick(&mut self, due: u64) {
        self.ms = self.ms.max(due);
        self.server.tick_at = None;
        if self.server.deadline_ms().is_some_and(|d| d <= self.ms) {
            self.handle(Input::Tick);
            let next = self.server.deadline_ms();
            assert!(next.is_none_or(|d| d > self.ms), "a deadline in the past");
        }
        self.arm();
    }

    fn push(&mut self) {
        if self.server.session.is_open() && self.oracle.taken < self.scenario.payloads {
            self.push_down();
            self.drain();
            let pause = self.random.below(900);
            self.at(pause, Event::Push);
        }
    }
}
