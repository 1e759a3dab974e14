//! Requests that wait for their answer.

use super::Live;
use crate::net::bosh::response;
use crate::net::http::Response;
use herald_bosh::{Answer, Ticket};
use smallvec::SmallVec;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// The requests of a session that wait: one, almost always.
#[derive(Default)]
pub(super) struct Waiters(SmallVec<[Place; 1]>);

struct Place {
    ticket: Ticket,
    answer: Slot,
}

enum Slot {
    /// Not there yet; whom to wake.
    Awaited(Waker),
    /// Boxed: most of the time there is none, and there are as many of these as sessions.
    There(Box<Answer>),
}

/// Who is to be woken, now that an answer is there; not before the session's lock is free, which they take next.
#[must_use]
#[derive(Default)]
pub(super) struct Woken(SmallVec<[Waker; 2]>);

impl Woken {
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl Waiters {
    pub(super) fn push(&mut self, ticket: Ticket) {
        self.0.push(Place { ticket, answer: Slot::Awaited(Waker::noop().clone()) });
    }

    /// Whose connection has died has told us, or is about to: see [`Live::lost`].
    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer, woken: &mut Woken) {
        if let Some(place) = self.0.iter_mut().find(|p| p.ticket == ticket)
            && let Slot::Awaited(waker) = std::mem::replace(&mut place.answer, Slot::There(Box::new(answer)))
        {
            woken.0.push(waker);
        }
    }

    /// It waits no more. What is left of it is dropped by the caller, without the lock.
    #[must_use]
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<impl Sized + use<>> {
        self.take(ticket)
    }

    fn take(&mut self, ticket: Ticket) -> Option<Slot> {
        let at = self.0.iter().position(|p| p.ticket == ticket)?;
        let place = self.0.swap_remove(at);
        self.0.shrink_to_fit(); // one waits for long, and needs no room elsewhere
        Some(place.answer)
    }

    /// The answer, if it is there; else the waker that stood in for this one until now.
    fn poll(&mut self, ticket: Ticket, waker: &Waker) -> Result<Box<Answer>, Option<Waker>> {
        match self.0.iter_mut().find(|p| p.ticket == ticket).map(|p| &mut p.answer) {
            Some(Slot::Awaited(known)) if known.will_wake(waker) => Err(None),
            Some(Slot::Awaited(known)) => Err(Some(std::mem::replace(known, waker.clone()))),
            Some(Slot::There(_)) | None => match self.take(ticket) {
                Some(Slot::There(answer)) => Ok(answer),
                // A session never drops a request unanswered; should it, the client must not believe it lives.
                _ => Ok(Box::new(Answer::unknown_sid())),
            },
        }
    }
}

/// A request that waits for its answer. Dropped before it came, its connection died.
pub(crate) struct Waiting {
    live: Arc<Live>,
    ticket: Ticket,
    answered: bool,
}

impl Waiting {
    /// Of a request that is among the [`Waiters`].
    pub(super) fn new(live: Arc<Live>, ticket: Ticket) -> Waiting {
        Waiting { live, ticket, answered: false }
    }

    /// What to remember of it, once it was given.
    pub(crate) fn given(&self) -> Given {
        Given(Arc::downgrade(&self.live), self.ticket)
    }

    /// The answer, when there is one. Whoever asked last is woken then.
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let polled = self.live.state.lock().waiting.poll(self.ticket, cx.waker());
        let Ok(answer) = polled else { return Poll::Pending };
        self.answered = true;
        Poll::Ready(response(*answer))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered {
            self.live.lost(self.ticket);
        }
    }
}

/// An answer that was written to a connection; its client may still close that without reading.
pub(crate) struct Given(Weak<Live>, Ticket);

impl Given {
    /// Does it matter whether it is read?
    pub(crate) fn matters(&self) -> bool {
        self.0.upgrade().is_some_and(|live| live.may_put_back(self.1))
    }

    /// The connection ended, and its client has not read the answer.
    pub(crate) fn unread(self) {
        if let Some(live) = self.0.upgrade() {
            live.lost(self.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each connection that holds a request has one, and each session room for one.
    #[test]
    fn who_waits_takes_little_room() {
        assert_eq!(size_of::<Waiting>(), 24);
        assert_eq!(size_of::<Waiters>(), 32);
    }
}
