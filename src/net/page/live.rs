//! A session and what it stands on: the seat of its user, and the carrier that brings frames to its client.
//!
//! Three parties work on it: the task of its WebSocket or of a request, the user's actor (through [`Link`]) and the
//! wheel of deadlines. Each takes the lock, tells the machine what happened and does what follows from it
//! ([`Live::turn`]); nobody waits while holding it. What needs waiting (a login, the store, a full mailbox) is done by
//! one task at a time, in order ([`Live::work`]), which is there only while there is such work.

use super::door;
use super::poll::Polls;
use super::session::{Code, End, Session, Taken, Up};
use crate::net::World;
use crate::net::deadlines::Slot;
use crate::net::http::Via;
use crate::net::lobby::Guest;
use crate::net::shape::Pace;
use herald_session::{Close, Delivery, Link, LinkInfo, Seat, Transport};
use herald_storage::{Slice, ask};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// After the store has failed, the log is asked for again.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module page.
pub(crate) struct Live {
    pub(super) world: Arc<World>,
    pub(super) via: Via,
    myself: Weak<Live>,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub session: Session,
    seat: Option<Arc<Seat>>,
    guest: Option<Guest>,
    pub carrier: Carrier,
    /// What the client has sent lately.
    pub pace: Pace,
    /// A task does what has to be waited for.
    pub working: bool,
    begun: Instant,
    /// When the wheel will look at this session next.
    armed: Option<Slot>,
}

/// What brings frames to the client.
pub(super) enum Carrier {
    Socket(Socket),
    Polls(Box<Polls>),
}

/// A WebSocket, which has a task.
pub(super) struct Socket {
    waker: Option<Waker>,
    /// When something came last, and when the client was asked whether it is there.
    heard: Instant,
    asked: Option<Instant>,
    look: Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Nothing,
    Ping,
    Gone,
}

/// What the task of a WebSocket finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mail {
    /// There are frames to be written.
    Frames,
    /// The client is to be asked whether it is there.
    Ping,
    /// It was asked, and has not answered.
    Gone,
}

impl Live {
    /// One that has just begun, over a WebSocket or, with `polls`, over requests.
    pub(super) fn new(world: &Arc<World>, via: Via, polls: Option<Polls>) -> Arc<Live> {
        let now = Instant::now();
        let socket = || Carrier::Socket(Socket { waker: None, heard: now, asked: None, look: Look::Nothing });
        let live = Arc::new_cyclic(|myself| Live {
            world: world.clone(),
            via,
            myself: myself.clone(),
            state: Mutex::new(State {
                session: Session::new(world.page.settings.clone()),
                seat: None,
                guest: None,
                carrier: polls.map_or_else(socket, |polls| Carrier::Polls(Box::new(polls))),
                pace: Pace::default(),
                working: false,
                begun: now,
                armed: None,
            }),
        });
        let link: Weak<dyn Link> = live.myself.clone();
        let guest = world.lobby.enter(link);
        let mut state = live.state.lock();
        state.guest = Some(guest);
        live.turn(&mut state, now);
        drop(state);
        live
    }

    /// Something happens to it.
    pub(super) fn tell<R>(&self, what: impl FnOnce(&mut State, Instant) -> R) -> R {
        let now = Instant::now();
        let mut state = self.state.lock();
        let result = what(&mut state, now);
        self.turn(&mut state, now);
        result
    }

    /// Does what follows from what has happened.
    fn turn(&self, state: &mut State, now: Instant) {
        while let Some(slice) = state.session.wants() {
            self.start(|live| live.read(slice));
        }
        if !state.working && !state.do_now() {
            state.working = true;
            self.start(Live::work);
        }
        if state.session.end().is_some() {
            state.seat = None;
            state.guest = None;
        } else if state.session.is_in() {
            state.guest = None;
        }
        let State { session, carrier, working, .. } = &mut *state;
        match carrier {
            Carrier::Socket(socket) => {
                let ready = session.has_down() || session.end().is_some() || socket.look != Look::Nothing;
                if let Some(waker) = (ready || !*working).then(|| socket.waker.take()).flatten() {
                    waker.wake();
                }
            }
            Carrier::Polls(polls) => polls.settle(session, *working, now),
        }
        self.arm(state);
    }

    fn start<F: Future<Output = ()> + Send + 'static>(&self, what: impl FnOnce(Arc<Live>) -> F) {
        if let Some(live) = self.myself.upgrade() {
            self.world.runtime.spawn(what(live));
        }
    }

    /// Does all that has to be waited for, in order.
    async fn work(self: Arc<Live>) {
        loop {
            let (up, seat) = {
                let mut state = self.state.lock();
                let Some(up) = state.session.next_up() else {
                    state.working = false;
                    self.turn(&mut state, Instant::now());
                    return;
                };
                (up, state.seat.clone())
            };
            match (up, seat) {
                (Up::Enter(entering), _) => {
                    let entered = door::enter(&self, *entering).await;
                    self.tell(|state, _| match entered {
                        // It may have been closed meanwhile: then the seat is given up with this.
                        Ok((entered, seat)) => {
                            if state.session.end().is_none() {
                                state.seat = Some(Arc::new(seat));
                            }
                            state.session.entered(Ok(entered));
                        }
                        Err(end) => state.session.entered(Err(end)),
                    });
                }
                (Up::Leave(end), _) => self.tell(|state, _| state.session.close(end)),
                // Nobody is there any more who could want it.
                (_, None) => {}
                (Up::Stanza(stanza), Some(seat)) => {
                    let stanza = stanza.from(seat.jid().clone());
                    if let Ok(Some(stanza)) = seat.try_send(stanza) {
                        let _ = seat.send(stanza).await; // when the user is gone, we are told so otherwise
                    }
                }
                (Up::Send(sending), Some(seat)) => {
                    let results = self.world.sessions.send_as(&seat, sending.to, sending.push).await;
                    self.tell(|state, _| state.session.sent(sending.reference.as_deref(), &results));
                }
                (Up::History(reference, slice), Some(seat)) => {
                    let user = seat.jid().to_bare();
                    let page = ask(|then| self.world.sessions.store().history(&user, slice, then)).await;
                    let page = page.inspect_err(|e| tracing::warn!("history: {e}")).ok();
                    self.tell(|state, _| state.session.history(reference.as_deref(), page));
                }
                (Up::ReadTo(id), Some(seat)) => seat.read_to(id),
            }
        }
    }

    /// Reads a page of the log.
    async fn read(self: Arc<Live>, slice: Slice) {
        let Some(user) = self.state.lock().seat.as_ref().map(|seat| seat.jid().to_bare()) else { return };
        match ask(|then| self.world.sessions.store().history(&user, slice, then)).await {
            Ok(page) => self.tell(|state, _| state.session.page(page)),
            Err(e) => {
                tracing::warn!("the log of {user}: {e}");
                tokio::time::sleep(AGAIN).await;
                self.tell(|state, _| state.session.page_failed());
            }
        }
    }

    /// When it is to be looked at next.
    fn deadline(&self, state: &State) -> Option<Instant> {
        let secs = |secs: u32| Duration::from_secs(secs.into());
        let config = &self.world.config;
        let login = state.begun + secs(config.auth.login_secs);
        let carrier = match &state.carrier {
            Carrier::Polls(polls) => polls.deadline(secs(config.herald.inactivity_secs)),
            Carrier::Socket(_) if config.ping.after_secs == 0 || !state.session.is_in() => None,
            Carrier::Socket(socket) => Some(match socket.asked {
                Some(asked) => asked + secs(config.ping.timeout_secs),
                None => socket.heard + secs(config.ping.after_secs),
            }),
        };
        let is_guest = !state.session.is_in() && state.session.end().is_none();
        carrier.into_iter().chain(is_guest.then_some(login)).min()
    }

    /// The time has come to look.
    pub(super) fn tick(&self, now: Instant) {
        let mut state = self.state.lock();
        state.armed = None;
        if self.deadline(&state).is_some_and(|deadline| deadline <= now) {
            let secs = |secs: u32| Duration::from_secs(secs.into());
            let is_in = state.session.is_in();
            if !is_in && now >= state.begun + secs(self.world.config.auth.login_secs) {
                state.session.close(End::new(Code::Timeout, "the login took too long"));
            }
            let inactivity = secs(self.world.config.herald.inactivity_secs);
            let State { session, carrier, .. } = &mut *state;
            match carrier {
                Carrier::Socket(socket) if is_in => socket.tick(now, secs(self.world.config.ping.timeout_secs)),
                Carrier::Socket(_) => {}
                Carrier::Polls(polls) => {
                    if polls.is_over(now, inactivity) {
                        session.close(End::new(Code::Timeout, "no request came for too long"));
                        self.world.page.forget(polls.sid());
                        state.seat = None;
                        return;
                    }
                }
            }
        }
        self.turn(&mut state, now);
    }

    /// Its connection is gone, or nobody asks for it any more.
    pub(super) fn leave(&self, code: Code) {
        self.tell(|state, _| {
            state.session.leave(End::new(code, ""));
            if let Some(slot) = state.armed.take() {
                self.world.page.deadlines.take_back(slot, self);
            }
        });
    }

    /// Stands in the wheel for the next deadline, unless it does so for an earlier time.
    fn arm(&self, state: &mut State) {
        let Some(next) = self.deadline(state) else { return };
        let wheel = &self.world.page.deadlines;
        if state.armed.is_none_or(|armed| armed > wheel.slot(next))
            && let Some(live) = self.myself.upgrade()
        {
            state.armed = Some(wheel.put(next, &live));
        }
    }

    /// What there is for the task of a WebSocket; it is woken when there is something.
    pub(super) fn poll_mail(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut state = self.state.lock();
        let mail = ready!(state.poll_mail(cx));
        if let (Mail::Ping, Carrier::Socket(socket)) = (mail, &mut state.carrier) {
            socket.look = Look::Nothing;
        }
        Poll::Ready(mail)
    }

    /// Ready when [`Live::poll_mail`] is. It stays there.
    pub(super) fn poll_there(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.state.lock().poll_mail(cx).map(drop)
    }

    /// Frames to be written, about so many bytes; `None` behind the last one of all.
    pub(super) fn take_frames(&self, bytes: usize) -> (Vec<Taken>, Option<Code>) {
        self.tell(|state, _| {
            let (mut frames, mut left) = (Vec::new(), bytes);
            while left > 0
                && let Some(frame) = state.session.take()
            {
                left = left.saturating_sub(frame.text.len());
                frames.push(frame);
            }
            let end = if state.session.has_down() { None } else { state.session.end() };
            (frames, end.map(|end| end.code))
        })
    }

    /// Something came over the WebSocket; is more of it to be read?
    pub(super) fn heard(&self) {
        let mut state = self.state.lock();
        if let Carrier::Socket(socket) = &mut state.carrier {
            socket.heard = Instant::now();
            socket.asked = None;
        }
    }

    /// Is so much under way for this client that no more is to be read from it?
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state.lock();
        (state.working && state.session.has_up()) || state.session.is_full()
    }
}

impl State {
    /// What there is for a WebSocket. It stays there.
    fn poll_mail(&mut self, cx: &mut Context<'_>) -> Poll<Mail> {
        let State { session, carrier: Carrier::Socket(socket), .. } = self else { return Poll::Pending };
        match socket.look {
            Look::Gone => return Poll::Ready(Mail::Gone),
            Look::Ping => return Poll::Ready(Mail::Ping),
            Look::Nothing => {}
        }
        if session.has_down() || session.end().is_some() {
            return Poll::Ready(Mail::Frames);
        }
        match &mut socket.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Does what need not be waited for; is nothing left?
    fn do_now(&mut self) -> bool {
        let Some(seat) = &self.seat else { return !self.session.has_up() };
        while let Some(up) = self.session.next_up() {
            match up {
                Up::ReadTo(id) => seat.read_to(id),
                Up::Stanza(stanza) => {
                    // When the user is gone, we are told so otherwise.
                    if let Ok(Some(stanza)) = seat.try_send(stanza.from(seat.jid().clone())) {
                        self.session.put_back(Up::Stanza(Arc::unwrap_or_clone(stanza).into()));
                        return false;
                    }
                }
                up => {
                    self.session.put_back(up);
                    return false;
                }
            }
        }
        true
    }
}

impl Socket {
    fn tick(&mut self, now: Instant, timeout: Duration) {
        if self.asked.is_some_and(|asked| now >= asked + timeout) {
            self.look = Look::Gone;
        } else if self.asked.is_none() {
            self.asked = Some(now);
            self.look = Look::Ping;
        }
    }
}

impl Link for Live {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        self.tell(|state, _| state.session.deliver(delivery, now_ms))
    }

    fn close(&self, why: Close) {
        let end = match why {
            Close::Conflict => End::new(Code::Conflict, "the resource was bound again"),
            Close::Kicked(words) => End::new(Code::Kicked, words.as_str()),
            Close::Shutdown => End::new(Code::Shutdown, "the server goes down"),
            Close::ResourceFull => End::new(Code::Slow, "what was sent was not taken"),
            Close::Internal => End::new(Code::Internal, "something broke here"),
        };
        self.tell(|state, _| state.session.close(end));
    }

    fn info(&self) -> LinkInfo {
        LinkInfo { transport: Transport::Herald, secure: self.via.secure, peer: self.via.peer }
    }

    /// It gives nothing back: what has a number is in the log.
    fn waiting(&self) -> u32 {
        0
    }

    /// It finds out by itself that its client is gone.
    fn taken(&self) -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each page that is open, and as many are open as there are visitors.
    #[test]
    fn a_session_at_rest_is_small() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Live>() + counts <= 448, "{}", size_of::<Live>());
    }
}
