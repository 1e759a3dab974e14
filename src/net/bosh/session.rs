//! One BOSH session: the BOSH machine, the stream machine on top of it, the seat of the user's actor.
//!
//! Three parties work on it: tasks of requests, the user's actor (through [`Link`]) and the wheel of
//! deadlines. Each takes the lock, tells a machine what happened and moves what the machines then say
//! ([`Live::turn`]); nobody waits while holding it. What needs waiting (a stanza for the actor, a look
//! into the store) is put into the backlog, and one task at a time takes it from there, in order
//! ([`Live::drain`]): so the order of the rids is the order in which the actor gets the stanzas.

mod cargo;
mod prebind;
mod standing;
mod waiting;

pub use prebind::Prebound;
pub(crate) use waiting::{Given, Waiting};

use super::pace::{DELAYED_MAX, Delay};
use crate::net::World;
use crate::net::deadlines::Slot;
use crate::net::http::Via;
use crate::net::login::{self, Answered, Question};
use crate::net::shape::Pace;
use cargo::{Backlog, Down, Up};
use herald_bosh::{self as bosh, Input, Output, Payload, Sid, Ticket};
use herald_session::{Close, Delivery, Link, LinkInfo, Seat, Transport};
use herald_xmpp::Stanza;
use herald_xmpp::ns;
use herald_xmpp::stream::{Condition, Open, StreamError, c2s};
use herald_xmpp::xml::Scope;
use parking_lot::{Mutex, MutexGuard};
use standing::Standing;
use std::sync::{Arc, Weak};
use std::time::Instant;
use waiting::{Waiters, Woken};

/// See the module page.
pub(crate) struct Live {
    world: Arc<World>,
    sid: Sid,
    via: Via,
    state: Mutex<State>,
}

struct State {
    machine: bosh::Session<Down>,
    stream: c2s::Stream,
    standing: Standing,
    waiting: Waiters,
    backlog: Backlog,
    /// How much the client has sent lately.
    pace: Pace,
    /// When the wheel will look at this session next.
    armed: Option<Slot>,
    /// Requests that wait because it was too much.
    delayed: u8,
    /// A task is taking from the backlog.
    draining: bool,
    /// The user's actor had something for which there was no room.
    refused: bool,
    gone: bool,
}

/// What is done about a request.
pub(super) enum Posted {
    /// It was handled.
    Waits(Waiting),
    /// It is to be handled later, for its client sends too fast.
    Later(Delay, bosh::Body),
    /// [`DELAYED_MAX`] are to be handled later.
    TooMany,
}

/// What is left to do once something was done to a session.
#[must_use]
#[derive(Default)]
struct After {
    woken: Woken,
    /// Out of the table.
    forgotten: Option<Arc<Live>>,
}

impl Live {
    /// A session from its creation request. Its first turn is [`Live::begin`].
    pub(crate) fn create(
        world: &Arc<World>,
        via: Via,
        sid: Sid,
        body: bosh::Body,
        ticket: Ticket,
    ) -> Option<Arc<Live>> {
        let now = Instant::now();
        let stream = world.stream(now, info(via))?;
        let machine = bosh::Session::new(now, world.bosh.settings.clone(), sid, &world.config.domain, body, ticket);
        let live = Live::assemble(world, via, sid, machine, stream);
        let link: Weak<Live> = Arc::downgrade(&live);
        live.state.lock().standing = Standing::Guest(world.lobby.enter(link));
        Some(live)
    }

    fn assemble(
        world: &Arc<World>,
        via: Via,
        sid: Sid,
        machine: bosh::Session<Down>,
        stream: c2s::Stream,
    ) -> Arc<Live> {
        let state = State {
            machine,
            stream,
            standing: Standing::Nobody,
            waiting: Waiters::default(),
            backlog: Backlog::default(),
            pace: Pace::default(),
            armed: None,
            delayed: 0,
            draining: false,
            refused: false,
            gone: false,
        };
        Arc::new(Live { world: world.clone(), sid, via, state: Mutex::new(state) })
    }

    /// What its client calls it.
    pub(super) fn sid(&self) -> &Sid {
        &self.sid
    }

    /// Was it created over TLS? Then nothing that comes in the clear belongs to it.
    pub(crate) fn secure(&self) -> bool {
        self.via.secure
    }

    /// The client has sent this request, so many bytes. What there is to wait for is [drained](Live::drained) next.
    pub(super) fn post(self: &Arc<Live>, bytes: usize, ticket: Ticket, body: bosh::Body) -> Posted {
        let stanzas = body.payload.elements().count() as u32;
        let now = Instant::now();
        let mut state = self.state.lock();
        let Some(until) = self.world.shaper.paced(&mut state.pace, bytes, stanzas, now) else {
            return Posted::Waits(self.accept(state, now, ticket, body));
        };
        if state.delayed == DELAYED_MAX {
            return Posted::TooMany;
        }
        state.delayed += 1;
        Posted::Later(Delay { live: self.clone(), until }, body)
    }

    pub(super) fn no_longer_delayed(&self) {
        self.state.lock().delayed -= 1;
    }

    /// A request is handled; see [`Live::post`].
    pub(super) fn take(self: &Arc<Live>, ticket: Ticket, body: bosh::Body) -> Waiting {
        self.accept(self.state.lock(), Instant::now(), ticket, body)
    }

    fn accept(
        self: &Arc<Live>,
        mut state: MutexGuard<'_, State>,
        now: Instant,
        ticket: Ticket,
        body: bosh::Body,
    ) -> Waiting {
        state.waiting.push(ticket);
        state.machine.handle(now, Input::Post { ticket, body });
        let after = self.turn(&mut state, now);
        drop(state);
        after.woken.wake();
        Waiting::new(self.clone(), ticket)
    }

    /// Announces a request, before it is handled.
    pub(super) fn expect(self: &Arc<Live>, ticket: Ticket) -> Waiting {
        self.state.lock().waiting.push(ticket);
        Waiting::new(self.clone(), ticket)
    }

    /// The first turn; the caller drains next.
    pub(super) fn begin(&self) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let after = self.turn(&mut state, now);
        drop(state);
        after.woken.wake();
    }

    /// A request that could not be read ends it; nobody waits for what is left to do then.
    pub(crate) fn broken(&self, ticket: Ticket, condition: bosh::Condition) {
        self.tell(|state, now| state.machine.handle(now, Input::Broken { ticket, condition }));
    }

    /// The connection of a request died before its client had the answer.
    pub(crate) fn lost(&self, ticket: Ticket) {
        drop(self.tell(|state, now| {
            state.machine.handle(now, Input::Lost(ticket));
            state.waiting.leave(ticket)
        }));
    }

    /// Does it matter whether the client reads the answer to that request?
    pub(crate) fn may_put_back(&self, ticket: Ticket) -> bool {
        self.state.lock().machine.may_put_back(ticket)
    }

    /// The time has come to look.
    pub(crate) fn tick(&self, now: Instant) {
        self.tell(|state, _| {
            state.armed = None;
            if state.machine.deadline().is_some_and(|d| d <= now) {
                state.machine.handle(now, Input::Tick);
            }
            if state.stream.deadline().is_some_and(|d| d <= now) {
                state.stream.handle(now, c2s::Input::Tick);
            }
        });
    }

    /// Does something to the machines, and what they then say. For callers that must not wait: if there is
    /// something to wait for, a task of its own does.
    fn tell<R>(&self, what: impl FnOnce(&mut State, Instant) -> R) -> R {
        let now = Instant::now();
        let mut state = self.state.lock();
        let result = what(&mut state, now);
        let after = self.turn(&mut state, now);
        self.finish(state, after);
        result
    }

    fn finish(&self, state: MutexGuard<'_, State>, after: After) {
        let waits = !state.draining && !state.backlog.nothing_up();
        drop(state);
        after.woken.wake();
        if waits && let Some(live) = after.forgotten.or_else(|| self.myself()) {
            self.world.runtime.spawn(live.drain());
        }
    }

    /// Waits for everything that has to be waited for, unless another task does it already.
    pub(super) async fn drained(self: Arc<Live>) {
        let waits = {
            let state = self.state.lock();
            !state.draining && !state.backlog.nothing_up()
        };
        if waits {
            Box::pin(self.drain()).await; // boxed: a request seldom needs the room for it
        }
    }

    async fn drain(self: Arc<Live>) {
        if std::mem::replace(&mut self.state.lock().draining, true) {
            return;
        }
        loop {
            let up = {
                let mut state = self.state.lock();
                let Some(up) = state.backlog.next_up() else {
                    state.draining = false;
                    state.standing.unshare();
                    return;
                };
                up
            };
            match up {
                Up::Stanza(stanza) => {
                    let full = self.state.lock().try_send(stanza);
                    if let Some((stanza, seat)) = full {
                        // When the user is gone, the link is being closed.
                        let _ = seat.send(stanza).await;
                    }
                }
                Up::Ask(question) => {
                    let link: Arc<dyn Link> = self.clone();
                    let answered = self.world.logins.answer(question, link).await;
                    self.answered(answered);
                }
                Up::Unbind(undelivered) => self.state.lock().standing.unbind(undelivered),
            }
        }
    }

    /// As long as it is in the table.
    fn myself(&self) -> Option<Arc<Live>> {
        self.world.bosh.table.find(self.sid)
    }

    fn answered(&self, answered: Answered) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let Answered { input, seat } = answered;
        if let Some(seat) = seat {
            if state.gone || !state.machine.is_open() {
                return; // bound too late: dropping the seat unbinds it
            }
            state.standing = Standing::Seated(seat);
        }
        state.stream.handle(now, input);
        let after = self.turn(&mut state, now);
        drop(state);
        after.woken.wake();
    }

    /// Moves what the machines say until both are silent, then sees to the deadline.
    fn turn(&self, state: &mut State, now: Instant) -> After {
        let mut after = After::default();
        loop {
            state.stream_says(now);
            if let Some(payload) = (!state.stream.waiting()).then(|| state.backlog.next_held()).flatten() {
                state.feed(now, payload);
                continue;
            }
            let Some(output) = state.machine.poll() else { break };
            match output {
                Output::Open { to, from, lang, version } => {
                    let version = herald_bosh::Version::parse(&version).map(|v| (v.0, v.1));
                    let open = Open { to, from, lang, version, id: None, xmlns: ns::CLIENT.into() };
                    state.stream.handle(now, c2s::Input::Open(open));
                }
                Output::Restart { to, from, lang } => {
                    let version = Some((1, 0));
                    let open = Open { to, from, lang, version, id: None, xmlns: ns::CLIENT.into() };
                    state.stream.handle(now, c2s::Input::Open(open));
                }
                Output::Payload(payload) if state.stream.waiting() => state.backlog.hold(payload),
                Output::Payload(payload) => state.feed(now, payload),
                Output::PeerClosed => state.stream.handle(now, c2s::Input::Close),
                Output::Answer { ticket, answer } => state.waiting.answer(ticket, answer, &mut after.woken),
                Output::Acked(Down::Delivery(Delivery { receipt: Some(receipt), .. })) => {
                    if let Some(seat) = state.standing.seat() {
                        seat.acked(receipt);
                    }
                }
                Output::Acked(_) => {}
                Output::Ended { undelivered } => {
                    let undelivered = undelivered.into_iter().filter_map(|down| match down {
                        Down::Delivery(d) => Some(d),
                        Down::Xml(_) => None,
                    });
                    state.unbind(undelivered.collect());
                }
                Output::Gone => after.forgotten = self.forget(state),
            }
        }
        let has_room = || state.machine.queued_bytes() <= self.world.bosh.settings.queue_bytes_max / 2;
        if let (true, Some(seat)) = (state.refused && has_room(), state.standing.seat()) {
            state.refused = false;
            seat.room();
        }
        self.arm(state);
        after
    }

    /// Nobody finds it any more. Until then a guest takes room, also when all that is left is its last word.
    fn forget(&self, state: &mut State) -> Option<Arc<Live>> {
        state.gone = true;
        state.standing.no_guest();
        if let Some(slot) = state.armed.take() {
            self.world.bosh.deadlines.take_back(slot, self);
        }
        self.world.bosh.table.remove(self.sid)
    }

    /// Stands in the wheel for the next deadline, unless it does so for an earlier time.
    fn arm(&self, state: &mut State) {
        if state.gone {
            return;
        }
        let deadlines = [state.machine.deadline(), state.stream.deadline()];
        let Some(next) = deadlines.into_iter().flatten().min() else { return };
        if state.armed.is_none_or(|armed| armed > self.world.bosh.deadlines.slot(next))
            && let Some(live) = self.myself()
        {
            state.armed = Some(self.world.bosh.deadlines.put(next, &live));
        }
    }
}

impl State {
    /// Carries what the stream machine says to where it belongs.
    fn stream_says(&mut self, now: Instant) {
        while let Some(output) = self.stream.poll() {
            if login::count(&output) {
                self.backlog.push_up(Up::Ask(Question::Failed));
            }
            match output {
                // The stream header of XMPP is BOSH's creation answer.
                c2s::Output::Open(_) | c2s::Output::Restart => {}
                c2s::Output::Element(xml) => self.down(now, Down::Xml(xml.into())),
                c2s::Output::Reply(stanza) => {
                    let mut xml = Vec::with_capacity(stanza.bytes_len());
                    stanza.write(None, true, &mut xml);
                    self.down(now, Down::Xml(xml.into()));
                }
                c2s::Output::Error(error) => {
                    let mut xml = Vec::new();
                    error.write(true, &mut xml);
                    let close = bosh::Close::StreamError(xml.into());
                    self.machine.handle(now, Input::Close(close));
                }
                c2s::Output::Close => self.machine.handle(now, Input::Close(bosh::Close::Stream)),
                c2s::Output::Stanza(stanza) => self.send(stanza),
                c2s::Output::Lookup(user, mechanism) => {
                    self.backlog.push_up(Up::Ask(Question::lookup(user, mechanism)));
                }
                c2s::Output::CheckPlain(user, password) => {
                    self.backlog.push_up(Up::Ask(Question::CheckPlain(user, password)));
                }
                c2s::Output::TakeToken(user, token) => {
                    self.backlog.push_up(Up::Ask(Question::TakeToken(user, token)));
                }
                c2s::Output::CheckBearer(user, token) => {
                    self.backlog.push_up(Up::Ask(Question::CheckBearer(user, token)));
                }
                c2s::Output::Bind(user, resource) => {
                    self.backlog.push_up(Up::Ask(Question::Bind(user, resource)));
                }
                // STARTTLS is never offered here (XEP-0206 section 4).
                c2s::Output::StartTls | c2s::Output::Ended => {}
                // Nor is stream management.
                c2s::Output::Enable(_) | c2s::Output::Resume(..) | c2s::Output::Acked(_) => {}
            }
        }
    }

    fn feed(&mut self, now: Instant, payload: Payload) {
        for (xml, scope) in payload.elements() {
            self.element(now, xml, scope);
        }
    }

    fn element(&mut self, now: Instant, xml: &str, scope: &Scope) {
        self.stream.handle(now, c2s::Input::Element(xml, scope));
        self.stream_says(now);
    }

    /// Up it goes, behind what has to be waited for.
    fn send(&mut self, stanza: Stanza) {
        if self.draining || !self.backlog.nothing_up() {
            return self.backlog.push_up(Up::Stanza(stanza.into()));
        }
        // When the user is gone, the link is being closed.
        if let Some(Ok(Some(stanza))) = self.standing.seat().map(|seat| seat.try_send(stanza)) {
            self.backlog.push_up(Up::Stanza(stanza));
        }
    }

    /// Gives it back, with who takes it later, when there is no room for it now.
    fn try_send(&mut self, stanza: Arc<Stanza>) -> Option<(Arc<Stanza>, Arc<Seat>)> {
        let stanza = self.standing.seat()?.try_send(stanza).ok()??;
        Some((stanza, self.standing.shared()?))
    }

    /// The end: back goes what was not delivered, behind what has to be waited for.
    fn unbind(&mut self, undelivered: Vec<Delivery>) {
        if self.draining || !self.backlog.nothing_up() {
            return self.backlog.push_up(Up::Unbind(undelivered));
        }
        self.standing.unbind(undelivered);
    }

    /// Down it goes; a client that fetches nothing for so long is let go.
    fn down(&mut self, now: Instant, item: Down) {
        if self.machine.down(now, item).is_err() && self.machine.is_open() {
            self.stream.handle(now, c2s::Input::Fail(fetches_nothing()));
        }
    }
}

impl Link for Live {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let result = self.tell(|state, now| {
            let result = state.machine.down(now, Down::Delivery(delivery));
            state.refused |= result.is_err() && state.machine.is_open();
            result
        });
        match result {
            Err(Down::Delivery(delivery)) => Err(delivery),
            _ => Ok(()),
        }
    }

    fn close(&self, why: Close) {
        let now = Instant::now();
        let mut state = self.state.lock();
        match &why {
            // XEP-0124 section 17.2 has a word of its own for this one.
            Close::Shutdown => {
                let close = bosh::Close::Condition(bosh::Condition::SystemShutdown);
                state.machine.handle(now, Input::Close(close));
            }
            why => state.stream.handle(now, c2s::Input::Fail(login::stream_error(why))),
        }
        let mut after = self.turn(&mut state, now);
        // A guest whose place others want does not stay until somebody comes for its last word.
        if why != Close::Shutdown && state.standing.is_guest() {
            after.forgotten = self.forget(&mut state);
        }
        self.finish(state, after);
    }

    fn info(&self) -> LinkInfo {
        info(self.via)
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.state.lock().machine.unacked()).unwrap_or(u32::MAX)
    }

    /// A session whose client asks for nothing ends of itself (XEP-0124 section 10).
    fn taken(&self) -> Option<u32> {
        None
    }
}

fn info(via: Via) -> LinkInfo {
    LinkInfo { transport: Transport::Bosh, secure: via.secure, peer: via.peer }
}

fn fetches_nothing() -> StreamError {
    StreamError::new(Condition::PolicyViolation).with_text("The client does not fetch what it is sent.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each session at rest: it must not slip into the allocator's next size, 64 bytes above.
    #[test]
    fn a_session_takes_no_more_than_the_size_it_is_given() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Live>() + counts <= 384, "{}", size_of::<Live>());
    }
}
