//! One BOSH session: the BOSH machine, the stream machine on top of it, the seat of the user's actor.
//!
//! Three parties work on it: tasks of requests, the user's actor (through [`Link`]) and the wheel of
//! deadlines. Each takes the lock, tells a machine what happened and moves what the machines then say
//! ([`Live::turn`]); nobody waits while holding it. What needs waiting (a stanza for the actor, a look
//! into the store) is put into `up`, and one task at a time takes it from there, in order
//! ([`Live::drain`]): so the order of the rids is the order in which the actor gets the stanzas.

mod cargo;
mod prebind;

pub use prebind::Prebound;

use super::Waiting;
use super::pace::{DELAYED_MAX, Delay, TooMany};
use crate::net::World;
use crate::net::deadlines::Slot;
use crate::net::http::Via;
use crate::net::lobby::Guest;
use crate::net::login::{self, Answered, Question};
use crate::net::shape::Pace;
use cargo::{Down, Line, Up};
use herald_bosh::{self as bosh, Answer, Input, Output, Payload, Sid, Ticket};
use herald_session::{Close, Delivery, Link, LinkInfo, Seat, Transport};
use herald_xmpp::ns;
use herald_xmpp::stream::{Condition, Open, StreamError, c2s};
use herald_xmpp::xml::Scope;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::oneshot;

/// See the module page.
pub(crate) struct Live {
    world: Arc<World>,
    via: Via,
    myself: Weak<Live>,
    state: Mutex<State>,
}

struct State {
    machine: bosh::Session<Down>,
    stream: c2s::Stream,
    seat: Option<Arc<Seat>>,
    guest: Option<Guest>,
    waiting: SmallVec<[(Ticket, oneshot::Sender<Box<Answer>>); 1]>,
    /// Payload that came while the stream machine waits for an answer.
    held: Line<Payload>,
    /// What has to be waited for, in order.
    up: Line<Up>,
    /// A task is taking from `up`.
    draining: bool,
    /// The user's actor had something for which there was no room.
    refused: bool,
    /// How much the client has sent lately.
    pace: Pace,
    /// Requests that wait because it was too much.
    delayed: u8,
    /// When the wheel will look at this session next.
    armed: Option<Slot>,
    gone: bool,
}

impl Live {
    /// A session from its creation request. Its first turn is [`Live::handle`] with a tick.
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
        let live = Live::assemble(world, via, machine, stream);
        let link: Weak<dyn Link> = live.myself.clone();
        live.state.lock().guest = Some(world.lobby.enter(link));
        Some(live)
    }

    fn assemble(world: &Arc<World>, via: Via, machine: bosh::Session<Down>, stream: c2s::Stream) -> Arc<Live> {
        Arc::new_cyclic(|myself| Live {
            world: world.clone(),
            via,
            myself: myself.clone(),
            state: Mutex::new(State {
                machine,
                stream,
                seat: None,
                guest: None,
                waiting: SmallVec::new(),
                held: Line::default(),
                up: Line::default(),
                draining: false,
                refused: false,
                pace: Pace::default(),
                delayed: 0,
                armed: None,
                gone: false,
            }),
        })
    }

    /// Was it created over TLS? Then nothing that comes in the clear belongs to it.
    pub(crate) fn secure(&self) -> bool {
        self.via.secure
    }

    /// The client has sent this request, so many bytes; is it to be handled later?
    pub(super) fn sent(self: &Arc<Live>, bytes: usize, body: &bosh::Body) -> Result<Option<Delay>, TooMany> {
        let stanzas = body.payload.elements().count() as u32;
        let mut state = self.state.lock();
        let until = self.world.shaper.paced(&mut state.pace, bytes, stanzas, Instant::now());
        let Some(until) = until else { return Ok(None) };
        if state.delayed == DELAYED_MAX {
            return Err(TooMany);
        }
        state.delayed += 1;
        Ok(Some(Delay { live: self.clone(), until }))
    }

    pub(super) fn no_longer_delayed(&self) {
        self.state.lock().delayed -= 1;
    }

    /// Announces a request, before it is handled.
    pub(crate) fn expect(self: &Arc<Live>, ticket: Ticket) -> Waiting {
        let (tell, answer) = oneshot::channel();
        self.state.lock().waiting.push((ticket, tell));
        Waiting { live: self.clone(), ticket, answer, answered: false }
    }

    /// Something happened; the caller drains next.
    pub(crate) fn handle(&self, input: Input) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.machine.handle(now, input);
        self.turn(&mut state, now);
    }

    /// A request that could not be read ends it; nobody waits for what is left to do then.
    pub(crate) fn broken(&self, ticket: Ticket, condition: bosh::Condition) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.machine.handle(now, Input::Broken { ticket, condition });
        self.turn(&mut state, now);
        self.drain_elsewhere(&mut state);
    }

    /// The connection of a request died before its client had the answer.
    pub(crate) fn lost(&self, ticket: Ticket) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.waiting.retain(|(t, _)| *t != ticket);
        state.machine.handle(now, Input::Lost(ticket));
        self.turn(&mut state, now);
        self.drain_elsewhere(&mut state);
    }

    /// Does it matter whether the client reads the answer to that request?
    pub(crate) fn may_put_back(&self, ticket: Ticket) -> bool {
        self.state.lock().machine.may_put_back(ticket)
    }

    /// The time has come to look.
    pub(crate) fn tick(&self, now: Instant) {
        let mut state = self.state.lock();
        state.armed = None;
        if state.machine.deadline().is_some_and(|d| d <= now) {
            state.machine.handle(now, Input::Tick);
        }
        if state.stream.deadline().is_some_and(|d| d <= now) {
            state.stream.handle(now, c2s::Input::Tick);
        }
        self.turn(&mut state, now);
        self.drain_elsewhere(&mut state);
    }

    /// Takes everything that has to be waited for, unless another task does it already.
    pub(crate) async fn drain(self: Arc<Live>) {
        {
            let mut state = self.state.lock();
            if state.draining || state.up.is_empty() {
                return;
            }
            state.draining = true;
        }
        loop {
            let (up, seat) = {
                let mut state = self.state.lock();
                let Some(up) = state.up.pop_front() else {
                    state.draining = false;
                    return;
                };
                (up, state.seat.clone())
            };
            match up {
                Up::Stanza(stanza) => {
                    if let Some(seat) = seat {
                        // When the user is gone, the link is being closed.
                        if let Ok(Some(stanza)) = seat.try_send(stanza) {
                            let _ = seat.send(stanza).await;
                        }
                    }
                }
                Up::Ask(question) => {
                    let link: Arc<dyn Link> = self.clone();
                    let answered = self.world.logins.answer(question, link).await;
                    self.answered(answered);
                }
                Up::Unbind(undelivered) => {
                    drop(seat);
                    let seat = self.state.lock().seat.take();
                    if let Some(seat) = seat.and_then(Arc::into_inner) {
                        seat.unbind(undelivered);
                    }
                }
            }
        }
    }

    fn answered(&self, answered: Answered) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let Answered { input, seat } = answered;
        if let Some(seat) = seat {
            if state.gone || !state.machine.is_open() {
                return; // bound too late: dropping the seat unbinds it
            }
            state.seat = Some(Arc::new(seat));
            state.guest = None;
        }
        state.stream.handle(now, input);
        self.turn(&mut state, now);
    }

    /// For callers that must not wait: if there is something to wait for, a task of its own does.
    fn drain_elsewhere(&self, state: &mut State) {
        if !state.draining
            && !state.up.is_empty()
            && let Some(live) = self.myself.upgrade()
        {
            self.world.runtime.spawn(live.drain());
        }
    }

    /// Moves what the machines say until both are silent, then sees to the deadline.
    fn turn(&self, state: &mut State, now: Instant) {
        loop {
            state.stream_says(now);
            if let Some(payload) = (!state.stream.waiting()).then(|| state.held.pop_front()).flatten() {
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
                Output::Payload(payload) if state.stream.waiting() => state.held.push_back(payload),
                Output::Payload(payload) => state.feed(now, payload),
                Output::PeerClosed => state.stream.handle(now, c2s::Input::Close),
                Output::Answer { ticket, answer } => {
                    if let Some(at) = state.waiting.iter().position(|(t, _)| *t == ticket) {
                        // A receiver that is gone has told us, or is about to: see `lost`.
                        let _ = state.waiting.swap_remove(at).1.send(Box::new(answer));
                    }
                }
                Output::Acked(Down::Delivery(Delivery { receipt: Some(receipt), .. })) => {
                    if let Some(seat) = &state.seat {
                        seat.acked(receipt);
                    }
                }
                Output::Acked(_) => {}
                Output::Ended { undelivered } => {
                    let undelivered = undelivered.into_iter().filter_map(|down| match down {
                        Down::Delivery(d) => Some(d),
                        Down::Xml(_) => None,
                    });
                    state.up.push_back(Up::Unbind(undelivered.collect()));
                }
                Output::Gone => self.forget(state),
            }
        }
        let has_room = || state.machine.queued_bytes() <= self.world.bosh.settings.queue_bytes_max / 2;
        if let (true, Some(seat)) = (state.refused && has_room(), &state.seat) {
            state.refused = false;
            seat.room();
        }
        self.arm(state);
    }

    /// Nobody finds it any more. Until then a guest takes room, also when all that is left is its last word.
    fn forget(&self, state: &mut State) {
        state.gone = true;
        state.guest = None;
        self.world.bosh.table.remove(&state.machine.sid());
        if let Some(slot) = state.armed.take() {
            self.world.bosh.deadlines.take_back(slot, &self.myself);
        }
    }

    /// Stands in the wheel for the next deadline, unless it does so for an earlier time.
    fn arm(&self, state: &mut State) {
        if state.gone {
            return;
        }
        let deadlines = [state.machine.deadline(), state.stream.deadline()];
        let Some(next) = deadlines.into_iter().flatten().min() else { return };
        if state.armed.is_none_or(|armed| armed > self.world.bosh.deadlines.slot(next))
            && let Some(live) = self.myself.upgrade()
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
                self.up.push_back(Up::Ask(Question::Failed));
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
                c2s::Output::Stanza(stanza) => self.up.push_back(Up::Stanza(stanza)),
                c2s::Output::Lookup(user, mechanism) => {
                    self.up.push_back(Up::Ask(Question::lookup(user, mechanism)));
                }
                c2s::Output::CheckPlain(user, password) => {
                    self.up.push_back(Up::Ask(Question::CheckPlain(user, password)));
                }
                c2s::Output::TakeToken(user, token) => {
                    self.up.push_back(Up::Ask(Question::TakeToken(user, token)));
                }
                c2s::Output::CheckBearer(user, token) => {
                    self.up.push_back(Up::Ask(Question::CheckBearer(user, token)));
                }
                c2s::Output::Bind(user, resource) => {
                    self.up.push_back(Up::Ask(Question::Bind(user, resource)));
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

    /// Down it goes; a client that fetches nothing for so long is let go.
    fn down(&mut self, now: Instant, item: Down) {
        if self.machine.down(now, item).is_err() && self.machine.is_open() {
            self.stream.handle(now, c2s::Input::Fail(fetches_nothing()));
        }
    }
}

impl Link for Live {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let result = state.machine.down(now, Down::Delivery(delivery));
        state.refused |= result.is_err() && state.machine.is_open();
        self.turn(&mut state, now);
        self.drain_elsewhere(&mut state);
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
        self.turn(&mut state, now);
        // A guest whose place others want does not stay until somebody comes for its last word.
        if why != Close::Shutdown && state.guest.is_some() {
            self.forget(&mut state);
        }
        self.drain_elsewhere(&mut state);
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

    /// There is one for each session at rest: it must not slip into the allocator's next size, 128 bytes above.
    #[test]
    fn a_session_takes_no_more_than_the_size_it_is_given() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Live>() + counts <= 640, "{}", size_of::<Live>());
    }
}
