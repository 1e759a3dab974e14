//! The session: one client's requests in order, what goes down to it, and the clock of both.

mod accept;
mod answer;
mod end;
mod replay;
mod window;

use crate::keys::Keys;
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
    sid: Sid,
    now: Instant,
    terms: Terms,
    window: Window,
    replay: Replay<T>,
    queue: VecDeque<T>,
    queue_bytes: usize,
    /// Since when no request has waited for its answer.
    idle_since: Option<Instant>,
    /// Until when an answer is waited for before hold's surplus is answered empty.
    settle_until: Option<Instant>,
    /// `report` and `time` to be put on the next answer, which is due at once.
    report: Option<(Rid, Duration)>,
    phase: Phase,
    outputs: VecDeque<Output<T>>,
    /// Something happened since the answers due were last made.
    stirred: bool,
    resets: Resets,
}

/// What creation settled, for as long as the session lives.
struct Terms {
    content: Option<Arc<str>>,
    keys: Option<Box<Keys>>,
    wait_secs: u32,
    inactivity_secs: u32,
    /// A pause in force: its length takes the place of `inactivity_secs` until the next request.
    pause_secs: Option<u32>,
    /// 0 in a session that polls.
    hold: u8,
    requests: u8,
    legacy: bool,
    /// Both sides acknowledge.
    acks: bool,
}

enum Phase {
    /// The creation is not answered yet; what only its answer needs.
    Opening(Box<Opening>),
    Live,
    /// Ended, but the client has yet to hear why.
    Closing(Box<Answer>),
    Gone,
}

struct Opening {
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
        let opening = Opening { from: domain.into(), version: body.ver().map(|v| v.min(crate::Version::OURS)) };
        let phase = Phase::Opening(Box::new(opening));
        let mut session = Session::with(now, terms, settings, sid, body.rid, phase);
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
    pub fn prebound(now: Instant, settings: Arc<Settings>, sid: Sid, created: Rid, ttl_secs: u32) -> (Session<T>, Rid) {
        let mut session =
            Session::with(now, Terms::agreed(&settings, 1, u32::MAX), settings, sid, created, Phase::Live);
        session.idle_since = Some(now);
        session.terms.pause_secs = Some(ttl_secs); // as after a pause: back to normal with the first request
        (session, created.plus(1))
    }

    fn with(now: Instant, terms: Terms, settings: Arc<Settings>, sid: Sid, created: Rid, phase: Phase) -> Session<T> {
        Session {
            sid,
            now,
            window: Window::new(created),
            replay: Replay::new(terms.replayable()),
            terms,
            settings,
            queue: VecDeque::new(),
            queue_bytes: 0,
            idle_since: None,
            settle_until: None,
            report: None,
            phase,
            outputs: VecDeque::new(),
            stirred: true,
            resets: Resets::Tell,
        }
    }

    /// One thing happened. May come between two [`Session::poll`]s: what goes out stays in order.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = now;
        self.stirred = true;
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
        let bytes = self.queue_bytes + item.bytes_len();
        if !self.is_open() || bytes > self.settings.queue_bytes_max {
            return Err(item);
        }
        self.now = now;
        self.stirred = true;
        self.queue_bytes = bytes;
        self.queue.push_back(item);
        Ok(())
    }

    /// The next output; `None` when there is nothing to do until the next input or the deadline.
    pub fn poll(&mut self) -> Option<Output<T>> {
        if self.outputs.is_empty() && std::mem::take(&mut self.stirred) {
            self.settle();
        }
        let output = self.outputs.pop_front();
        if output.is_none() {
            self.outputs = VecDeque::new(); // an idle session owns no buffer
            if self.queue.is_empty() {
                self.queue = VecDeque::new();
            }
        }
        output
    }

    /// When [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let idle = self.idle_since.map(|t| t + self.inactivity());
        match &self.phase {
            Phase::Gone => None,
            Phase::Closing(_) => idle,
            Phase::Opening(_) | Phase::Live => {
                let settle = self.settle_until.filter(|_| self.window.surplus(self.terms.hold));
                [idle, settle, self.window.deadline()].into_iter().flatten().min()
            }
        }
    }

    /// The session's id.
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// Bytes queued for the client and not yet written.
    pub fn queued_bytes(&self) -> usize {
        self.queue_bytes
    }

    /// How many items the client may not have: queued, or in answers that may be asked for again.
    pub fn unacked(&self) -> usize {
        self.queue.len() + self.replay.items()
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
        matches!(self.phase, Phase::Opening(_) | Phase::Live)
    }

    /// Makes the answers that are due, and the end when nobody came for too long.
    fn settle(&mut self) {
        if self.is_open() {
            self.answer_due();
            self.answer_overdue_early();
        }
        if self.idle_since.is_some_and(|t| self.now >= t + self.inactivity()) {
            self.finish();
        }
    }

    fn inactivity(&self) -> Duration {
        Duration::from_secs(self.terms.pause_secs.unwrap_or(self.terms.inactivity_secs).into())
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
            self.idle_since.get_or_insert(self.now);
        }
    }

    fn send(&mut self, ticket: Option<Ticket>, status: u16, body: impl Into<Bytes>) {
        let Some(ticket) = ticket else { return };
        let answer = Answer { status, body: body.into(), content: self.terms.content.clone() };
        self.outputs.push_back(Output::Answer { ticket, answer });
    }
}

impl Terms {
    /// Of a creation request.
    fn of_creation(settings: &Settings, body: &Body) -> Terms {
        let agreed = Terms::agreed(settings, body.hold().unwrap_or(1), body.wait().unwrap_or(u32::MAX));
        Terms {
            content: body.content().filter(|c| *c != crate::CONTENT_TYPE).map(Arc::from),
            keys: body.newkey().map(|k| agreed.keys_from(k)),
            legacy: body.ver().is_none(),
            acks: body.ack == Some(1),
            ..agreed
        }
    }

    /// XEP-0124 section 7.2. Never more than the client asked for; a client that names no bound gets ours.
    fn agreed(settings: &Settings, hold: u32, wait_secs: u32) -> Terms {
        /// The most simultaneous requests allowed, however many a client wants held.
        const REQUESTS_MAX: u8 = 10;
        let asked = u8::try_from(hold).unwrap_or(u8::MAX);
        let hold = asked.min(settings.hold_max).min(REQUESTS_MAX - 1);
        let mut terms = Terms {
            content: None,
            keys: None,
            wait_secs: wait_secs.min(settings.wait_max_secs),
            inactivity_secs: settings.inactivity_secs,
            pause_secs: None,
            hold,
            requests: asked.saturating_add(1).clamp(2, REQUESTS_MAX),
            legacy: false,
            acks: false,
        };
        if terms.polls() {
            terms.inactivity_secs *= 2;
        }
        terms
    }

    /// A key sequence. A repeat may come of every request that is held or whose answer is kept, and one more.
    fn keys_from(&self, newkey: &str) -> Box<Keys> {
        Box::new(Keys::new(newkey, 2 * self.replayable()))
    }

    /// Of how many requests the answers are kept.
    fn replayable(&self) -> usize {
        usize::from(self.requests + 1).max(window::RUNS_AHEAD as usize)
    }

    /// Whether nothing is ever held (section 12).
    fn polls(&self) -> bool {
        self.hold == 0 || self.wait_secs == 0
    }
}
