//! What waits to be written to one stream connection: the [`Link`] of TCP and WebSocket.
//!
//! The user's actor puts deliveries in and never waits; the connection's task takes them all at
//! once and writes them in one go. An empty outbox owns no buffer. It outlives its connection where the
//! stream is to be resumed on another one (see `resume.rs`), and knows how long the client has been silent
//! (see `silence.rs`).

use super::resume::Claim;
use super::silence::{Coarse, Look};
use herald_session::{Close, Delivery, Link, LinkInfo};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use thin_vec::ThinVec;

/// What a delivery takes beside its text, in bytes.
pub(crate) const BESIDE_BYTES: usize = size_of::<Delivery>();

/// See the module page.
pub(crate) struct Outbox {
    info: Mutex<LinkInfo>,
    /// When something came from the client last.
    heard: AtomicU32,
    /// When it was asked last whether it is there.
    asked: AtomicU32,
    state: Mutex<State>,
}

struct State {
    queue: ThinVec<Delivery>,
    /// What is in the queue, and how much more finds no room. Four gigabytes are as good as no bound.
    bytes: u32,
    bytes_max: u32,
    rare: Option<Box<Rare>>,
    /// Put in and not delivered yet.
    waiting: u32,
    /// Delivered, by a count that begins again at its end.
    taken: u32,
    look: Look,
    /// Nothing is taken any more: the connection is gone, and will not be resumed.
    shut: bool,
    /// There is no connection, but there may be one again.
    away: bool,
    /// Something found no room.
    refused: bool,
    waker: Option<Waker>,
}

/// What most connections never see.
#[derive(Default)]
struct Rare {
    close: Option<Close>,
    claim: Option<Claim>,
}

/// What the connection's task finds in its outbox.
pub(crate) enum Mail {
    /// To be written. True: there was no room before, which is to be said to the
    /// [`Seat`](herald_session::Seat).
    Deliveries(ThinVec<Delivery>, bool),
    /// The user has ended the connection. Comes behind all deliveries that are taken.
    Close(Close),
    /// Another connection resumes the stream.
    Claim(Claim),
    /// There is a reason to look at the client.
    Look(Look),
}

impl Outbox {
    /// For one connection; above `bytes_max` bytes waiting, deliveries are refused.
    pub(crate) fn new(info: LinkInfo, bytes_max: usize, now: Coarse) -> Outbox {
        Outbox {
            info: Mutex::new(info),
            heard: AtomicU32::new(now.0),
            asked: AtomicU32::new(0),
            state: Mutex::new(State {
                queue: ThinVec::new(),
                bytes: 0,
                bytes_max: clamped(bytes_max),
                rare: None,
                waiting: 0,
                taken: 0,
                look: Look::default(),
                shut: false,
                away: false,
                refused: false,
                waker: None,
            }),
        }
    }

    /// The connection came under TLS after it began in the clear.
    pub(crate) fn secured(&self) {
        self.info.lock().secure = true;
    }

    /// What is there, the urgent first, or pending until there is something. Of deliveries about so many bytes,
    /// one at least when that is not 0.
    pub(crate) fn poll_mail(&self, cx: &mut Context<'_>, room: usize) -> Poll<Mail> {
        let mut state = self.state.lock();
        if let Some(claim) = state.take_claim() {
            return Poll::Ready(Mail::Claim(claim));
        }
        if !state.look.is_empty() {
            return Poll::Ready(Mail::Look(std::mem::take(&mut state.look)));
        }
        if room > 0 && !state.queue.is_empty() {
            let deliveries = state.take(room);
            let refused = state.refused && state.bytes <= state.bytes_max / 2;
            state.refused &= !refused;
            return Poll::Ready(Mail::Deliveries(deliveries, refused));
        }
        if let Some(close) = state.close() {
            return Poll::Ready(Mail::Close(close.clone()));
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Ready when [`Outbox::poll_mail`] is. It stays there.
    pub(crate) fn poll_there(&self, cx: &mut Context<'_>, room: usize) -> Poll<()> {
        let mut state = self.state.lock();
        let deliveries = room > 0 && !state.queue.is_empty();
        if deliveries || state.is_claimed() || !state.look.is_empty() || state.close().is_some() {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// What cannot wait until a client that takes nothing has taken what it was sent: ready when there is
    /// a claim, a close, or the client counts as gone. It stays there.
    pub(crate) fn poll_urgent(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.is_claimed() || state.close().is_some() || state.look.contains(Look::GONE) {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Is it a close, and neither a claim nor a silent client, that cannot wait?
    pub(crate) fn is_closing(&self) -> bool {
        let state = self.state.lock();
        state.close().is_some() && !state.is_claimed() && !state.look.contains(Look::GONE)
    }

    /// So many of those that were put in are delivered.
    pub(crate) fn delivered(&self, deliveries: usize) {
        let mut state = self.state.lock();
        let deliveries = u32::try_from(deliveries).unwrap_or(u32::MAX);
        state.waiting = state.waiting.saturating_sub(deliveries);
        state.taken = state.taken.wrapping_add(deliveries);
    }

    /// One that the server answers itself is to be delivered as if it had been put in.
    pub(crate) fn one_more(&self) {
        let mut state = self.state.lock();
        state.waiting = state.waiting.saturating_add(1);
    }

    /// Takes nothing any more, and gives back what was never taken.
    pub(crate) fn shut(&self) -> ThinVec<Delivery> {
        let mut state = self.state.lock();
        state.shut = true;
        state.waker = None;
        drop(state.take_claim());
        std::mem::take(&mut state.queue)
    }

    /// Another connection takes the stream over: its task hears of it. False when it is too late.
    pub(crate) fn claim(&self, claim: Claim) -> bool {
        let waker = {
            let mut state = self.state.lock();
            if state.shut || state.close().is_some() {
                return false;
            }
            state.rare.get_or_insert_default().claim = Some(claim);
            state.waker.take()
        };
        wake(waker);
        true
    }

    /// The connection is gone: for so many bytes more, deliveries wait for the next one.
    pub(crate) fn leave(&self, bytes_max: usize) {
        let mut state = self.state.lock();
        state.away = true;
        state.bytes_max = clamped(bytes_max);
        state.look = Look::default();
    }

    /// Here is a connection again.
    pub(crate) fn arrive(&self, info: LinkInfo, bytes_max: usize, now: Coarse) {
        *self.info.lock() = info;
        self.heard(now);
        let mut state = self.state.lock();
        state.away = false;
        state.bytes_max = clamped(bytes_max);
        state.look = Look::default();
    }

    /// Something came from the client.
    pub(crate) fn heard(&self, now: Coarse) {
        self.heard.store(now.0, Ordering::Relaxed);
    }

    /// The connection's task is to look at its client.
    pub(crate) fn look(&self, look: Look) {
        let waker = {
            let mut state = self.state.lock();
            if state.away || state.shut {
                return;
            }
            state.look.insert(look);
            state.waker.take()
        };
        wake(waker);
    }

    /// Has the client been silent for too long? Says when to look again; never, when it is over.
    pub(crate) fn mind(&self, now: Coarse, after: u32, timeout: u32) -> Option<Coarse> {
        {
            let state = self.state.lock();
            if state.shut {
                return None;
            }
            if state.away {
                return Some(Coarse(now.0 + after));
            }
        }
        let (heard, asked) = (self.heard.load(Ordering::Relaxed), self.asked.load(Ordering::Relaxed));
        if heard < asked {
            if now.0 < asked + timeout {
                return Some(Coarse(asked + timeout));
            }
            self.look(Look::GONE);
        } else if now.0 < heard + after {
            return Some(Coarse(heard + after));
        } else {
            self.asked.store(now.0, Ordering::Relaxed);
            self.look(Look::SILENT);
        }
        Some(Coarse(now.0 + timeout))
    }
}

impl State {
    /// Of deliveries about so many bytes, one at least.
    fn take(&mut self, room: usize) -> ThinVec<Delivery> {
        if (self.bytes as usize).saturating_add(self.queue.len() * BESIDE_BYTES) <= room {
            self.bytes = 0;
            return std::mem::take(&mut self.queue);
        }
        let (mut left, mut count) = (room, 0);
        for delivery in &self.queue {
            if left == 0 {
                break;
            }
            let bytes = delivery.stanza.bytes_len();
            self.bytes = self.bytes.saturating_sub(clamped(bytes));
            left = left.saturating_sub(bytes + BESIDE_BYTES);
            count += 1;
        }
        let rest = self.queue.split_off(count);
        std::mem::replace(&mut self.queue, rest)
    }

    fn close(&self) -> Option<&Close> {
        self.rare.as_ref()?.close.as_ref()
    }

    fn is_claimed(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.claim.is_some())
    }

    fn take_claim(&mut self) -> Option<Claim> {
        self.rare.as_mut()?.claim.take()
    }

    fn wait(&mut self, cx: &mut Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Outside the lock: whoever is woken may run at once.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Link for Outbox {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let waker = {
            let mut state = self.state.lock();
            let bytes = clamped(delivery.stanza.bytes_len());
            // One stanza is always taken, however large: its size is bounded where it came in.
            let full = !state.queue.is_empty() && state.bytes.saturating_add(bytes) > state.bytes_max;
            if state.shut || state.close().is_some() || full {
                state.refused |= full;
                return Err(delivery);
            }
            state.bytes = state.bytes.saturating_add(bytes);
            state.waiting = state.waiting.saturating_add(1);
            state.queue.push(delivery);
            state.waker.take()
        };
        wake(waker);
        Ok(())
    }

    fn close(&self, why: Close) {
        let waker = {
            let mut state = self.state.lock();
            state.rare.get_or_insert_default().close.get_or_insert(why);
            state.waker.take()
        };
        wake(waker);
    }

    fn info(&self) -> LinkInfo {
        *self.info.lock()
    }

    fn waiting(&self) -> u32 {
        self.state.lock().waiting
    }

    /// A stream without a connection ends when its time is up.
    fn taken(&self) -> Option<u32> {
        let state = self.state.lock();
        (!state.away).then_some(state.taken)
    }
}
