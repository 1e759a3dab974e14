//! What the user's actor has for one client of STOMP: its [`Link`].
//!
//! Nothing of it is lost when there is no room: messages that have a number are in the log, and only the newest number
//! is remembered; what has none is given back.

use herald_session::{Close, Delivery, Link, LinkInfo, Receipt};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// Messages of the log that wait here, bytes.
const NUMBERED_BYTES_MAX: usize = 65_536;
/// What a delivery takes beside its text, bytes.
const BESIDE_BYTES: usize = size_of::<Delivery>();

/// See the module page.
pub(super) struct Mailbox {
    info: LinkInfo,
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    bytes: usize,
    missed: Option<Receipt>,
    close: Option<Box<Close>>,
    shut: bool,
    waker: Option<Waker>,
}

/// What is in it.
#[derive(Debug)]
pub(super) struct Mail {
    pub deliveries: VecDeque<Delivery>,
    /// Behind all that are here, this one was handed over, and perhaps others before it.
    pub missed: Option<Receipt>,
    /// Comes behind all the rest.
    pub close: Option<Box<Close>>,
}

impl Mailbox {
    pub(super) fn new(info: LinkInfo, bytes_max: usize) -> Mailbox {
        Mailbox { info, bytes_max, state: Mutex::default() }
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Mail> {
        let mut state = self.state.lock();
        if state.queue.is_empty() && state.missed.is_none() && state.close.is_none() {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        state.bytes = 0;
        let deliveries = std::mem::take(&mut state.queue);
        Poll::Ready(Mail { deliveries, missed: state.missed.take(), close: state.close.take() })
    }

    /// Has the session been told to end?
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().close.is_some()
    }

    /// Takes nothing any more.
    pub(super) fn shut(&self) {
        let mut state = self.state.lock();
        *state = State { shut: true, ..State::default() };
    }
}

impl Link for Mailbox {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let waker = {
            let mut state = self.state.lock();
            let bytes = delivery.stanza.bytes_len() + BESIDE_BYTES;
            match delivery.receipt {
                _ if state.shut => return Err(delivery),
                // Those behind it are read from the log in any case.
                Some(receipt) if state.missed.is_some() || state.bytes + bytes > NUMBERED_BYTES_MAX => {
                    state.missed = state.missed.max(Some(receipt));
                }
                None if !state.queue.is_empty() && state.bytes + bytes > self.bytes_max => return Err(delivery),
                _ => {
                    state.bytes += bytes;
                    state.queue.push_back(delivery);
                }
            }
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    fn close(&self, why: Close) {
        let waker = {
            let mut state = self.state.lock();
            state.close.get_or_insert_with(|| Box::new(why));
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn info(&self) -> LinkInfo {
        self.info
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
