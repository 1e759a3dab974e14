//! What waits to be written to one stream connection: the [`Link`] of TCP and WebSocket.
//!
//! The user's actor puts deliveries in and never waits; the connection's task takes them all at
//! once and writes them in one go. An empty outbox owns no buffer.

use herald_session::{Close, Delivery, Link, LinkInfo};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// See the module page.
pub(crate) struct Outbox {
    info: Mutex<LinkInfo>,
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    bytes: usize,
    close: Option<Close>,
    /// Put in and not written yet.
    waiting: u32,
    /// Written, by a count that begins again at its end.
    written: u32,
    /// Nothing is taken any more: the connection is gone.
    shut: bool,
    /// Something found no room.
    refused: bool,
    waker: Option<Waker>,
}

/// What the connection's task finds in its outbox.
pub(crate) struct Mail {
    pub(crate) deliveries: VecDeque<Delivery>,
    pub(crate) close: Option<Close>,
    /// There was none before: to be said to the [`Seat`](herald_session::Seat).
    pub(crate) room: bool,
}

impl Outbox {
    /// For one connection; above `bytes_max` bytes waiting, deliveries are refused.
    pub(crate) fn new(info: LinkInfo, bytes_max: usize) -> Outbox {
        Outbox { info: Mutex::new(info), bytes_max, state: Mutex::default() }
    }

    /// The connection came under TLS after it began in the clear.
    pub(crate) fn secured(&self) {
        self.info.lock().secure = true;
    }

    /// Everything that waits, or pending until there is something.
    pub(crate) fn poll_mail(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut state = self.state.lock();
        if state.queue.is_empty() && state.close.is_none() {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        state.bytes = 0;
        let room = std::mem::take(&mut state.refused);
        Poll::Ready(Mail { deliveries: std::mem::take(&mut state.queue), close: state.close.take(), room })
    }

    /// So many of those that were put in are written.
    pub(crate) fn wrote(&self, deliveries: usize) {
        let mut state = self.state.lock();
        let deliveries = u32::try_from(deliveries).unwrap_or(u32::MAX);
        state.waiting = state.waiting.saturating_sub(deliveries);
        state.written = state.written.wrapping_add(deliveries);
    }

    /// Takes nothing any more, and gives back what was never taken.
    pub(crate) fn shut(&self) -> VecDeque<Delivery> {
        let mut state = self.state.lock();
        state.shut = true;
        state.waker = None;
        std::mem::take(&mut state.queue)
    }

    fn wake(state: &mut State) -> Option<Waker> {
        state.waker.take()
    }
}

impl Link for Outbox {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let waker = {
            let mut state = self.state.lock();
            let bytes = delivery.stanza.bytes_len();
            // One stanza is always taken, however large: its size is bounded where it came in.
            let full = !state.queue.is_empty() && state.bytes + bytes > self.bytes_max;
            if state.shut || state.close.is_some() || full {
                state.refused |= full;
                return Err(delivery);
            }
            state.bytes += bytes;
            state.waiting = state.waiting.saturating_add(1);
            state.queue.push_back(delivery);
            Outbox::wake(&mut state)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn close(&self, why: Close) {
        let waker = {
            let mut state = self.state.lock();
            state.close.get_or_insert(why);
            Outbox::wake(&mut state)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn info(&self) -> LinkInfo {
        *self.info.lock()
    }

    fn waiting(&self) -> u32 {
        self.state.lock().waiting
    }

    fn taken(&self) -> Option<u32> {
        Some(self.state.lock().written)
    }
}
