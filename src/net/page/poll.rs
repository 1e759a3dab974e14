//! herald.v1 over requests: `POST /herald`, each held until there is something to say.
//!
//! What the client sends is numbered (`seq`): what comes twice is carried out once, what comes early waits for its
//! turn. What the server sends is numbered (`n`): an answer is kept until the client names it in `ack`, and given again
//! when it does not. One request is held at a time: a newer one has the older answered with nothing.

use super::live::{Carrier, Live};
use super::session::{Code, End, Session};
use crate::net::World;
use crate::net::http::{Reply, Response, Via};
use crate::net::shape::Begin;
use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// Frames of one answer, bytes, about.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Frames of one request.
const FRAMES_MAX: usize = 512;
/// Requests that came before their turn; one more ends the session.
const EARLY_MAX: usize = 4;
/// Requests of one session that are not answered; one more is refused.
const WAITING_MAX: usize = 8;
/// A session that has ended keeps its last word for this long.
const LAST_WORD: Duration = Duration::from_secs(10);

/// The carrier of a session without a connection of its own.
pub(super) struct Polls {
    sid: u128,
    /// The last request that was carried out.
    seq: u64,
    early: Vec<(u64, Frames)>,
    /// The number of the last answer that said something.
    n: u64,
    /// That answer, until the client has it.
    unread: Option<Unread>,
    waiting: SmallVec<[Waiter; 1]>,
    tickets: u32,
    /// When the last request was answered.
    idle: Instant,
    over: bool,
}

/// What came in one request.
type Frames = Box<[Box<str>]>;

struct Unread {
    /// The frames, with commas between.
    frames: Box<str>,
    /// The newest message among them.
    upto: Option<u64>,
}

/// A request that is not answered, or whose answer is not fetched.
struct Waiter {
    ticket: u32,
    /// It may be answered with nothing from then on.
    until: Instant,
    waker: Option<Waker>,
    answer: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    sid: Option<String>,
    ack: Option<u64>,
    wait: Option<u32>,
    seq: Option<u64>,
    #[serde(borrow, default)]
    frames: Vec<&'a RawValue>,
}

/// One POST to `/herald`.
pub(crate) async fn post(world: &Arc<World>, via: Via, body: Vec<u8>) -> Reply {
    let envelope = match serde_json::from_slice::<Envelope>(&body) {
        Ok(envelope) if envelope.frames.len() <= FRAMES_MAX => envelope,
        Ok(_) => return refuse(400, Code::TooLarge, &format!("more than {FRAMES_MAX} frames")),
        Err(e) => return refuse(400, Code::Invalid, &format!("this is no request of herald.v1: {e}")),
    };
    if envelope.frames.iter().any(|frame| frame.get().len() > world.page.settings.frame_bytes_max) {
        return refuse(200, Code::TooLarge, "a frame is too large");
    }
    let Some(sid) = &envelope.sid else { return create(world, via, envelope) };
    let live = u128::from_str_radix(sid, 16).ok().and_then(|sid| world.page.find(sid));
    let unknown = || refuse(200, Code::UnknownSession, "there is no such session");
    // Whoever reads a sid off the wire must not get at a session that began over TLS.
    let Some(live) = live.filter(|live| via.secure || !live.via.secure) else { return unknown() };
    let frames = envelope.frames.len() as u32;
    let slowed = {
        let mut state = live.state.lock();
        world.shaper.paced(&mut state.pace, body.len(), frames, Instant::now())
    };
    if let Some(until) = slowed {
        Box::pin(sleep_until(until.into())).await;
    }
    match live.request(envelope) {
        Some(ticket) => Reply::Page(Waiting { live, ticket }),
        None => Reply::Now(Box::new(Response::too_many())),
    }
}

fn create(world: &Arc<World>, via: Via, envelope: Envelope<'_>) -> Reply {
    let hello = envelope.frames.first().is_some_and(|frame| frame.get().contains("hello"));
    if !hello {
        return refuse(200, Code::Invalid, "a session begins with hello");
    }
    if world.draining() {
        return refuse(200, Code::Shutdown, "the server goes down");
    }
    if world.shaper.admit(Begin::Session, via.peer, Instant::now()).is_err() {
        return Reply::Now(Box::new(Response::too_many()));
    }
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return refuse(200, Code::Internal, "no name for a session");
    }
    let polls = Polls {
        sid: u128::from_be_bytes(random),
        seq: envelope.seq.map_or(0, |seq| seq.saturating_sub(1)),
        early: Vec::new(),
        n: 0,
        unread: None,
        waiting: SmallVec::new(),
        tickets: 0,
        idle: Instant::now(),
        over: false,
    };
    let sid = polls.sid;
    let live = Live::new(world, via, Some(polls));
    world.page.insert(sid, live.clone());
    match live.request(envelope) {
        Some(ticket) => Reply::Page(Waiting { live, ticket }),
        None => refuse(200, Code::Internal, "the session was lost"),
    }
}

/// An answer without a session.
fn refuse(status: u16, code: Code, detail: &str) -> Reply {
    let body = format!("{{\"n\":0,\"frames\":[{}]}}", End::new(code, detail).json());
    Reply::Now(Box::new(Response::new(status, "application/json", body)))
}

impl Live {
    /// A request came; what its answer is fetched with. `None`: too many wait.
    fn request(&self, envelope: Envelope<'_>) -> Option<u32> {
        let wait = envelope.wait.unwrap_or(0).min(self.world.config.herald.wait_max_secs);
        self.tell(|state, now| {
            let Carrier::Polls(polls) = &mut state.carrier else { return None };
            if polls.waiting.len() >= WAITING_MAX {
                return None;
            }
            if state.session.is_full() && polls.unread.is_some() && !envelope.frames.is_empty() {
                state.session.close(End::new(Code::Slow, "what was sent was not taken"));
            }
            polls.dismiss();
            // Before what else it says: it may be its last word.
            polls.acked(envelope.ack.unwrap_or(0), &mut state.session);
            let seq = envelope.seq.unwrap_or(polls.seq.saturating_add(1));
            let frames = envelope.frames.iter().map(|frame| frame.get().into());
            if seq == polls.seq.saturating_add(1) {
                envelope.frames.iter().for_each(|frame| state.session.frame(frame.get()));
                polls.seq = seq;
                while let Some(at) = polls.early.iter().position(|(s, _)| *s == polls.seq + 1) {
                    let (_, frames) = polls.early.swap_remove(at);
                    frames.iter().for_each(|frame| state.session.frame(frame));
                    polls.seq += 1;
                }
            } else if seq > polls.seq && !polls.early.iter().any(|(s, _)| *s == seq) {
                if polls.early.len() >= EARLY_MAX {
                    state.session.close(End::new(Code::Invalid, "the requests before this one are missing"));
                } else {
                    polls.early.push((seq, frames.collect()));
                }
            }
            polls.tickets = polls.tickets.wrapping_add(1);
            let until = now + Duration::from_secs(wait.into());
            polls.waiting.push(Waiter { ticket: polls.tickets, until, waker: None, answer: None });
            polls.give_again(envelope.ack.unwrap_or(0));
            Some(polls.tickets)
        })
    }
}

impl Polls {
    pub fn sid(&self) -> u128 {
        self.sid
    }

    /// The client has all answers up to this one.
    fn acked(&mut self, n: u64, session: &mut Session) {
        if n >= self.n
            && let Some(unread) = self.unread.take()
            && let Some(id) = unread.upto
        {
            session.read_to(id);
        }
    }

    /// The client lacks the last answer: the newest request has it again.
    fn give_again(&mut self, ack: u64) {
        if ack < self.n && self.unread.is_some() {
            self.answer();
        }
    }

    /// A request that waits is answered with nothing.
    fn dismiss(&mut self) {
        let empty = self.envelope("");
        for waiter in self.waiting.iter_mut().filter(|waiter| waiter.answer.is_none()) {
            waiter.give(empty.clone());
        }
    }

    /// Answers the newest request with what the client has not read.
    fn answer(&mut self) {
        let answer = self.envelope(self.unread.as_ref().map_or("", |unread| &unread.frames));
        if let Some(waiter) = self.waiting.iter_mut().rev().find(|waiter| waiter.answer.is_none()) {
            waiter.give(answer);
        }
    }

    fn envelope(&self, frames: &str) -> Box<str> {
        format!("{{\"sid\":\"{:032x}\",\"n\":{},\"frames\":[{frames}]}}", self.sid, self.n).into()
    }

    /// Answers the request that waits, when there is something or its time is up. While what the client asked last is
    /// still being done, it waits for that.
    pub fn settle(&mut self, session: &mut Session, working: bool, now: Instant) {
        let Some(waiter) = self.waiting.iter().rev().find(|waiter| waiter.answer.is_none()) else { return };
        let ended = session.end().is_some();
        if working && !ended && !session.is_full() {
            return;
        }
        if !session.has_down() {
            if ended || now >= waiter.until {
                self.dismiss();
            }
            return;
        }
        if self.unread.is_some() {
            return; // given already, and to be acknowledged first
        }
        let (mut frames, mut upto) = (String::new(), None);
        while frames.len() < ANSWER_BYTES_MAX
            && let Some(frame) = session.take()
        {
            if !frames.is_empty() {
                frames.push(',');
            }
            frames.push_str(&frame.text);
            upto = frame.id.or(upto);
        }
        if frames.is_empty() {
            return;
        }
        self.n += 1;
        self.unread = Some(Unread { frames: frames.into(), upto });
        self.over |= ended && !session.has_down();
        self.answer();
    }

    /// When it is to be looked at.
    pub fn deadline(&self, inactivity: Duration) -> Option<Instant> {
        match self.waiting.last() {
            Some(waiter) => Some(waiter.until),
            None => Some(self.idle + if self.over { LAST_WORD.min(inactivity) } else { inactivity }),
        }
    }

    /// Has the client been away for too long?
    pub fn is_over(&self, now: Instant, inactivity: Duration) -> bool {
        self.waiting.is_empty() && self.deadline(inactivity).is_some_and(|deadline| deadline <= now)
    }
}

impl Waiter {
    fn give(&mut self, answer: Box<str>) {
        self.answer = Some(answer);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A request that waits for its answer. Dropped before it came, its connection died.
pub(crate) struct Waiting {
    live: Arc<Live>,
    ticket: u32,
}

impl Waiting {
    /// The answer, when there is one.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let mut state = self.live.state.lock();
        let Carrier::Polls(polls) = &mut state.carrier else { return Poll::Pending };
        let Some(waiter) = polls.waiting.iter_mut().find(|waiter| waiter.ticket == self.ticket) else {
            return Poll::Ready(Response::new(200, "application/json", "{\"n\":0,\"frames\":[]}"));
        };
        let Some(answer) = waiter.answer.take() else {
            match &mut waiter.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        };
        Poll::Ready(Response::new(200, "application/json", String::from(answer)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.live.tell(|state, now| {
            if let Carrier::Polls(polls) = &mut state.carrier {
                polls.waiting.retain(|waiter| waiter.ticket != self.ticket);
                polls.idle = now;
            }
        });
    }
}
