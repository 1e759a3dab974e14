//! The bound of a mailbox: how much room is left, and who waits for it, first come first served.
//!
//! One word counts what is in the mailbox (messages and weight). A sender takes room before it pushes; the runner
//! gives it back as it takes a message out. Whoever finds none may wait; room that comes free is then granted to the
//! first in line, and no newcomer gets past the line, not even with a try.

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Set while someone waits. Below it: 31 bits of message count, then 32 bits of weight.
const LINE: u64 = 1 << 63;
const ONE: u64 = 1 << 32;
const WEIGHT: u64 = ONE - 1;

/// Room in one mailbox, and beside it (under the same lock, allocated only when used) what else is rarely needed: `X`.
pub struct Room<X> {
    load: AtomicU64,
    aside: Mutex<Option<Box<Aside<X>>>>,
}

/// What most actors never have.
#[derive(Default)]
pub struct Aside<X> {
    line: VecDeque<Arc<Waiter>>,
    /// Whatever else shares the lock.
    pub rest: X,
}

struct Waiter {
    weight: u32,
    state: Mutex<Wait>,
}

enum Wait {
    InLine(Option<Waker>),
    Granted,
    /// Taken by its future, or given up.
    Done,
    Closed,
}

impl<X: Default> Room<X> {
    /// An empty mailbox's.
    pub fn new() -> Self {
        Room { load: AtomicU64::new(0), aside: Mutex::new(None) }
    }

    /// Messages and weight in the mailbox, room granted but not yet used included.
    pub fn load(&self) -> (u32, u32) {
        let load = self.load.load(Ordering::Relaxed);
        (((load & !LINE) >> 32) as u32, (load & WEIGHT) as u32)
    }

    /// Takes room for one message if there is enough and nobody waits.
    #[inline]
    pub fn try_enter(&self, weight: u32, max: u32) -> bool {
        let mut load = self.load.load(Ordering::Relaxed);
        loop {
            if load & LINE != 0 || (load & WEIGHT) + u64::from(weight) > u64::from(max) {
                return false;
            }
            let new = load + ONE + u64::from(weight);
            match self.load.compare_exchange_weak(load, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => load = now,
            }
        }
    }

    /// Gives the room of one message back, and grants it on if somebody waits.
    #[inline]
    pub fn leave(&self, weight: u32, max: u32) {
        let before = self.load.fetch_sub(ONE + u64::from(weight), Ordering::Relaxed);
        if before & LINE != 0 {
            self.grant(max);
        }
    }

    /// Waits for room. Dropping the future leaves nothing behind, also after the room was granted.
    pub fn enter(&self, weight: u32, max: u32, closed: impl FnOnce() -> bool) -> Enter<'_, X> {
        let waiter = Arc::new(Waiter { weight, state: Mutex::new(Wait::InLine(None)) });
        {
            let mut aside = self.aside();
            if closed() {
                *waiter.state.lock() = Wait::Closed;
            } else {
                let line = &mut aside.get_or_insert_default().line;
                line.push_back(waiter.clone());
                // From here on every `leave` comes by the lock; room that came free before is seen by `grant` below.
                self.load.fetch_or(LINE, Ordering::Relaxed);
            }
        }
        self.grant(max);
        Enter { room: self, waiter, max }
    }

    /// Tells everybody in line that the mailbox is closed. Call after it is, so that no newcomer joins.
    pub fn close(&self) {
        let line = match self.aside().as_mut() {
            Some(aside) => std::mem::take(&mut aside.line),
            None => return,
        };
        for waiter in line {
            waiter.settle(Wait::Closed);
        }
    }

    /// The lock over what most actors never have.
    pub fn aside(&self) -> MutexGuard<'_, Option<Box<Aside<X>>>> {
        self.aside.lock()
    }

    fn grant(&self, max: u32) {
        let mut lucky = Vec::new();
        if let Some(aside) = self.aside().as_mut() {
            while let Some(first) = aside.line.front() {
                if !self.take_in_line(first.weight, max) {
                    break;
                }
                lucky.extend(aside.line.pop_front());
            }
            if aside.line.is_empty() {
                aside.line = VecDeque::new();
                self.load.fetch_and(!LINE, Ordering::Relaxed);
            }
        }
        for waiter in lucky {
            if !waiter.settle(Wait::Granted) {
                // Its future went away between the line and here; the room goes on.
                self.leave(waiter.weight, max);
            }
        }
    }

    /// As `try_enter`, for the one at the head of the line. Called under the lock.
    fn take_in_line(&self, weight: u32, max: u32) -> bool {
        let mut load = self.load.load(Ordering::Relaxed);
        loop {
            if (load & WEIGHT) + u64::from(weight) > u64::from(max) {
                return false;
            }
            let new = load + ONE + u64::from(weight);
            match self.load.compare_exchange_weak(load, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => load = now,
            }
        }
    }
}

impl Waiter {
    /// Ends the wait. `false`: it was given up before.
    fn settle(&self, outcome: Wait) -> bool {
        let mut state = self.state.lock();
        let Wait::InLine(waker) = &mut *state else { return false };
        let waker = waker.take();
        *state = outcome;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

/// A wait for room: `true` when room for one message is taken, `false` when the mailbox closed.
pub struct Enter<'a, X: Default> {
    room: &'a Room<X>,
    waiter: Arc<Waiter>,
    max: u32,
}

impl<X: Default> Future for Enter<'_, X> {
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.waiter.state.lock();
        match &mut *state {
            Wait::InLine(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Wait::Granted => {
                *state = Wait::Done;
                Poll::Ready(true)
            }
            Wait::Closed | Wait::Done => Poll::Ready(false),
        }
    }
}

impl<X: Default> Drop for Enter<'_, X> {
    fn drop(&mut self) {
        let was = std::mem::replace(&mut *self.waiter.state.lock(), Wait::Done);
        match was {
            Wait::Granted => self.room.leave(self.waiter.weight, self.max),
            Wait::InLine(_) => {
                if let Some(aside) = self.room.aside().as_mut() {
                    aside.line.retain(|other| !Arc::ptr_eq(other, &self.waiter));
                }
                // It may have been the one the others waited behind.
                self.room.grant(self.max);
            }
            Wait::Done | Wait::Closed => {}
        }
    }
}
