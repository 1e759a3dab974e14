//! The session: one client's requests in order, what goes down to it, and the clock of both.

mod accept;
mod answer;
mod end;
mod replay;
mod window;

use crate::keys::Keys;
use crate::time::Time;
use crate::{Answer, Body, Condition, Payload, Rid, Settings, Sid, Ticket};
use bytes::Bytes;
use compact_str::CompactString;
use replay::{Replay, Resets};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use window::Window;

/// What travels down to the client.
pub trait Item {
    /// Appends itself as one whole element that declares its own namespace (`xmlns='jabber:client'`
    /// on a stanza). An element that is written `<stream:..>` has that prefix declared around it.
    fn write(&self, out: &mut Vec<u8>);

    /// About how many bytes that is: what it counts for in the queue. Always the same for one item.
    fn bytes_len(&self) -> usize;

    /// Is it wanted back once it is written: as [`Output::Acked`], or undelivered? What belongs to the
    /// stream itself is not.
    fn matters(&self) -> bool {
        true
    }
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    /// A request with this session's sid came, whole, and waits for its answer.
    Post {
        /// The driver's name for the request.
        ticket: Ticket,
        /// What it says.
        body: Body,
    },
    /// A request with this session's sid came that could not be read: it ends the session.
    Broken {
        /// The driver's name for the request.
        ticket: Ticket,
        /// [`crate::Refused::condition`].
        condition: Condition,
    },
    /// The connection of a request died before its client had read the answer, or before there was one. The client
    /// may come back with the same rid. If it goes on instead, in a session without acknowledgements, what was in
    /// the answer goes out with the next one. (Not for a client whose connections always end like that.)
    Lost(Ticket),
    /// The stream above ends.
    Close(Close),
    /// The [`Session::deadline`] has come.
    Tick,
}

/// How the server ends a session.
#[derive(Clone, Debug)]
pub enum Close {
    /// With a stream error: the whole `<stream:error>` element (XEP-0206 section 6).
    StreamError(Bytes),
    /// With a condition of BOSH's own, `system-shutdown` say.
    Condition(Condition),
    /// The stream was closed in order.
    Stream,
}

/// What a session asks its driver to do. Everything that goes up comes in rid order.
#[derive(Debug)]
pub enum Output<T> {
    /// The client opens its stream: the first output of every session.
    Open {
        /// The domain it asked for.
        to: Option<CompactString>,
        /// Who it says it is.
        from: Option<CompactString>,
        /// `xml:lang`.
        lang: Option<CompactString>,
        /// `xmpp:version`; "1.0" when it gave none.
        version: CompactString,
    },
    /// The client restarts its stream: the old one is closed, new features are due (XEP-0206 section 5).
    Restart {
        /// The domain, if it says it again.
        to: Option<CompactString>,
        /// Who it says it is.
        from: Option<CompactString>,
        /// `xml:lang`.
        lang: Option<CompactString>,
    },
    /// Elements for the stream above.
    Payload(Payload),
    /// The client closed its stream.
    PeerClosed,
    /// Answer that request.
    Answer {
        /// Which.
        ticket: Ticket,
        /// With what.
        answer: Answer,
    },
    /// The client has it.
    Acked(T),
    /// The session is at its end: nothing more goes up and nothing more is taken down.
    Ended {
        /// In order, what the client may not have: written but not covered by a later request, then
        /// what was still queued.
        undelivered: Vec<T>,
    },
    /// Forget the sid. Comes with `Ended`, or later when the client has yet to be told why: until
    /// then its requests are still to be handed in, and the deadline kept.
    Gone,
}

/// A BOSH session. See the crate's page for how it is driven.
pub struct Session<T> {
    settings: Arc<Settings>,
    terms: Terms,
    window: Window,
    replay: Replay<T>,
    /// Since when no request has waited for its answer.
    idle_since: Option<Time>,
    phase: Phase,
    work: Option<Box<Work<T>>>,
    resets: Resets,
    /// How many requests came that are too old to be answered again, since the latest new one.
    stale: u16,
}

/// What a session owns while there is something to do or to send, and not at rest.
struct Work<T> {
    now: Time,
    /// Something happened since the answers due were last made.
    stirred: bool,
    queue: VecDeque<T>,
    queue_bytes: usize,
    /// Until when an answer is waited for before hold's surplus is answered empty.
    settle_until: Option<Time>,
    /// `report` and `time` to be put on the next answer, which is due at once.
    report: Option<(Rid, Duration)>,
    outputs: VecDeque<Output<T>>,
}

/// What creation settled, for as long as the session lives.
struct Terms {
    wait_secs: u32,
    /// 0 in a session that polls.
    hold: u8,
    requests: u8,
    legacy: bool,
    /// Both sides acknowledge.
    acks: bool,
    rare: Option<Box<Rare>>,
}

/// Terms that most sessions have nothing of.
#[derive(Default)]
struct Rare {
    content: Option<Arc<str>>,
    keys: Option<Keys>,
    /// A pause in force: its length takes the place of [`Session::inactivity_secs`] until the next request.
    pause_secs: Option<u32>,
    /// Up to here the client has said it has everything; 0 at first.
    acked: u64,
}

enum Phase {
    Live,
    Edge(Box<Edge>), // one word for both, for almost all are live
}

/// What comes before a session lives, and behind.
enum Edge {
    /// The creation is not answered yet; what only its answer needs.
    Opening(Opening),
    /// Ended, but the client has yet to hear why.
    Closing(Answer),
    Gone,
}

struct Opening {
    sid: Sid,
    from: CompactString,
    version: Option<crate::Version>,
}

impl<T: Item> Session<T> {
    /// A session for a creation request that the driver found acceptable (its `to` is a domain of ours).
    ///
    /// `sid` comes from a cryptographic random source; `domain` is what the answer's `from` says;
    /// `body` has no sid. The first output is [`Output::Open`]. The first answer waits for the
    /// features, at most [`Settings::features_ms`].
    pub fn new(
        now: Instant,
        settings: Arc<Settings>,
        sid: Sid,
        domain: &str,
        body: Body,
        ticket: Ticket,
    ) -> Session<T> {
        let terms = Terms::of_creation(&settings, &body);
        let opening = Opening { sid, from: domain.into(), version: body.ver().map(|v| v.min(crate::Version::OURS)) };
        let phase = Phase::at(Edge::Opening(opening));
        let mut session = Session::with(now, terms, settings, body.rid, phase);
        session.open(body, ticket);
        session
    }

    /// A session that begins without a creation request over HTTP: somebody else logged the client in
    /// and gives it the sid and the rid, as `{jid, sid, rid}` for Strophe's `attach`. It behaves like one
    /// whose creation (`ver` 1.11, `hold` 1, the longest `wait`, no keys, no acknowledgements) came
    /// with the rid `created` and was answered: there is no [`Output::Open`], and no answer repeats
    /// what a creation's says.
    ///
    /// `created` is the caller's, since a machine rolls no dice: random, below 2^32 so that no client
    /// ever counts past [`Rid::MAX`]. The rid given back, `created` + 1, is that of the first request;
    /// until that comes the session lives `ttl_secs` seconds, from then on as every other. Items handed
    /// down before are kept for it, within [`Settings::queue_bytes_max`].
    pub fn prebound(now: Instant, settings: Arc<Settings>, created: Rid, ttl_secs: u32) -> (Session<T>, Rid) {
        let terms = Terms::agreed(&settings, 1, u32::MAX);
        let mut session = Session::with(now, terms, settings, created, Phase::Live);
        session.idle_since = Some(session.now());
        session.terms.paused(Some(ttl_secs)); // as after a pause: back to normal with the first request
        (session, created.plus(1))
    }

    fn with(now: Instant, terms: Terms, settings: Arc<Settings>, created: Rid, phase: Phase) -> Session<T> {
        let mut session = Session {
            window: Window::new(created),
            replay: Replay::default(),
            terms,
            settings,
            idle_since: None,
            phase,
            work: None,
            resets: Resets::Tell,
            stale: 0,
        };
        session.stir(now);
        session
    }

    /// One thing happened. May come between two [`Session::poll`]s: what goes out stays in order.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.stir(now);
        match input {
            Input::Post { ticket, body } => self.post(ticket, body),
            Input::Broken { ticket, condition } => self.broken(ticket, condition),
            Input::Lost(ticket) => self.lost(ticket),
            Input::Close(close) => self.close(close),
            Input::Tick => {}
        }
    }

    /// Queues `item` for the client; it goes out with the next [`Session::poll`] that can send it.
    /// Handed back when the queue would hold more than [`Settings::queue_bytes_max`], or after the end.
    pub fn down(&mut self, now: Instant, item: T) -> Result<(), T> {
        let bytes = self.queued_bytes() + item.bytes_len();
        if !self.is_open() || bytes > self.settings.queue_bytes_max {
            return Err(item);
        }
        let work = self.stir(now);
        work.queue_bytes = bytes;
        work.queue.push_back(item);
        Ok(())
    }

    /// The next output; `None` when there is nothing to do until the next input or the deadline.
    pub fn poll(&mut self) -> Option<Output<T>> {
        if self.work.as_mut().is_some_and(|work| work.outputs.is_empty() && std::mem::take(&mut work.stirred)) {
            self.settle();
        }
        let work = self.work.as_mut()?;
        let output = work.outputs.pop_front();
        if output.is_none() {
            work.outputs = VecDeque::new();
            self.work.take_if(|work| work.is_done());
        }
        output
    }

    /// When [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let idle = self.idle_since.map(|t| t + self.inactivity());
        let next = match self.phase.edge() {
            Some(Edge::Gone) => None,
            Some(Edge::Closing(_)) => idle,
            Some(Edge::Opening(_)) | None => {
                let settle = self.settle_until().filter(|_| self.window.surplus(self.terms.hold));
                [idle, settle, self.window.deadline()].into_iter().flatten().min()
            }
        };
        next.map(Instant::from)
    }

    /// Bytes queued for the client and not yet written.
    pub fn queued_bytes(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.queue_bytes)
    }

    /// How many items the client may not have: queued, or in answers that may be asked for again.
    pub fn unacked(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.queue.len()) + self.replay.items()
    }

    /// Bytes kept of answers that may be asked for again, and of requests that wait for their elders.
    pub fn kept_bytes(&self) -> usize {
        self.replay.bytes() + self.window.early_bytes()
    }

    /// Whether it matters that the client reads the answer on that ticket: [`Input::Lost`] puts back what is in it.
    pub fn may_put_back(&self, ticket: Ticket) -> bool {
        self.replay.may_put_back(ticket)
    }

    /// Whether items are still taken: not yet [`Output::Ended`].
    pub fn is_open(&self) -> bool {
        matches!(self.phase.edge(), None | Some(Edge::Opening(_)))
    }

    /// Makes the answers that are due, and the end when nobody came for too long.
    fn settle(&mut self) {
        if self.is_open() {
            self.answer_due();
            self.answer_overdue_early();
        }
        if self.idle_since.is_some_and(|t| self.now() >= t + self.inactivity()) {
            self.finish();
        }
    }

    fn inactivity(&self) -> Duration {
        let pause_secs = self.terms.rare.as_ref().and_then(|rare| rare.pause_secs);
        Duration::from_secs(pause_secs.unwrap_or(self.inactivity_secs()).into())
    }

    /// What the client is told.
    fn inactivity_secs(&self) -> u32 {
        self.settings.inactivity_secs * if self.terms.polls() { 2 } else { 1 }
    }

    fn settle_until(&self) -> Option<Time> {
        self.work.as_ref().and_then(|work| work.settle_until)
    }

    fn lost(&mut self, ticket: Ticket) {
        if self.window.lose(ticket) {
            self.note_idle();
        } else if self.replay.unread(ticket) {
            self.resets = Resets::Habit;
        }
    }

    /// Starts the clock of inactivity when no request waits any more.
    fn note_idle(&mut self) {
        if !self.window.anyone_waits() {
            let now = self.now();
            self.idle_since.get_or_insert(now);
        }
    }

    fn send(&mut self, ticket: Option<Ticket>, status: u16, body: impl Into<Bytes>) {
        let Some(ticket) = ticket else { return };
        let answer = Answer { status, body: body.into(), content: self.terms.content() };
        self.answer(ticket, answer);
    }

    fn say(&mut self, output: Output<T>) {
        self.work().outputs.push_back(output);
    }

    /// Something happens, now.
    fn stir(&mut self, now: Instant) -> &mut Work<T> {
        let work = self.work();
        (work.now, work.stirred) = (now.into(), true);
        work
    }

    /// When what is being done happens.
    fn now(&self) -> Time {
        self.work.as_ref().map_or(Time::NEVER, |work| work.now)
    }

    fn work(&mut self) -> &mut Work<T> {
        self.work.get_or_insert_with(|| Box::new(Work::new()))
    }
}

impl<T> Work<T> {
    fn new() -> Work<T> {
        Work {
            now: Time::NEVER,
            stirred: false,
            queue: VecDeque::new(),
            queue_bytes: 0,
            settle_until: None,
            report: None,
            outputs: VecDeque::new(),
        }
    }

    /// Whether nothing is left of it.
    fn is_done(&self) -> bool {
        self.queue.is_empty() && self.outputs.is_empty() && self.settle_until.is_none() && self.report.is_none()
    }
}

impl Phase {
    fn at(edge: Edge) -> Phase {
        Phase::Edge(Box::new(edge))
    }

    fn edge(&self) -> Option<&Edge> {
        if let Phase::Edge(edge) = self { Some(edge) } else { None }
    }
}

impl Terms {
    /// Of a creation request.
    fn of_creation(settings: &Settings, body: &Body) -> Terms {
        let agreed = Terms::agreed(settings, body.hold().unwrap_or(1), body.wait().unwrap_or(u32::MAX));
        let mut terms = Terms { legacy: body.ver().is_none(), acks: body.ack == Some(1), ..agreed };
        if let Some(content) = body.content().filter(|c| *c != crate::CONTENT_TYPE) {
            terms.rare.get_or_insert_default().content = Some(Arc::from(content));
        }
        if let Some(newkey) = body.newkey() {
            terms.begin_keys(newkey);
        }
        terms
    }

    /// XEP-0124 section 7.2. Never more than the client asked for; a client that names no bound gets ours.
    fn agreed(settings: &Settings, hold: u32, wait_secs: u32) -> Terms {
        /// The most simultaneous requests allowed, however many a client wants held.
        const REQUESTS_MAX: u8 = 10;
        let asked = u8::try_from(hold).unwrap_or(u8::MAX);
        Terms {
            wait_secs: wait_secs.min(settings.wait_max_secs),
            hold: asked.min(settings.hold_max).min(REQUESTS_MAX - 1),
            requests: asked.saturating_add(1).clamp(2, REQUESTS_MAX),
            legacy: false,
            acks: false,
            rare: None,
        }
    }

    /// A key sequence begins. A repeat may come of every request that is held or whose answer is kept, and one more.
    fn begin_keys(&mut self, newkey: &str) {
        let keys = Keys::new(newkey, 2 * usize::from(self.replayable()));
        self.rare.get_or_insert_default().keys = Some(keys);
    }

    fn keys(&self) -> Option<&Keys> {
        self.rare.as_ref()?.keys.as_ref()
    }

    fn keys_mut(&mut self) -> Option<&mut Keys> {
        self.rare.as_mut()?.keys.as_mut()
    }

    /// The `Content-Type` of every answer, if it is not ours.
    fn content(&self) -> Option<Arc<str>> {
        self.rare.as_ref()?.content.clone()
    }

    /// A pause of so many seconds, or none any more.
    fn paused(&mut self, secs: Option<u32>) {
        if secs.is_some() || self.rare.is_some() {
            self.rare.get_or_insert_default().pause_secs = secs;
        }
    }

    fn acked(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.acked)
    }

    fn note_acked(&mut self, rid: u64) {
        let rare = self.rare.get_or_insert_default();
        rare.acked = rare.acked.max(rid);
    }

    /// Of how many requests the answers are kept.
    fn replayable(&self) -> u8 {
        (self.requests + 1).max(window::RUNS_AHEAD as u8)
    }

    /// Whether nothing is ever held (section 12).
    fn polls(&self) -> bool {
        self.hold == 0 || self.wait_secs == 0
    }
}
