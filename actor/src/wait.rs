//! Waiting for one answer: Erlang's receive on a reference, and its other end, the [`Reply`].

use crate::actor::Actor;
use crate::addr::Addr;
use crate::cell::Notice;
use crate::ctx::Ctx;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Why a wait or an ask ended without its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// The deadline came first.
    #[error("no answer in time")]
    TimedOut,
    /// The [`Reply`] was dropped unsent: whoever had it ended, panicked or forgot.
    #[error("the answer was dropped")]
    Dropped,
    /// The actor asked is closed and never saw the question.
    #[error("the actor is closed")]
    Closed,
}

/// The right and the duty to answer once, from any thread. Dropped unsent, the asker gets [`WaitError::Dropped`].
pub struct Reply<T: Send + 'static>(Option<To<T>>);

enum To<T> {
    Task(oneshot::Sender<T>),
    Actor(Arc<dyn Fill<T>>),
}

impl<T: Send + 'static> Reply<T> {
    /// A reply and where it arrives, for async callers.
    pub fn channel() -> (Reply<T>, oneshot::Receiver<T>) {
        let (tx, rx) = oneshot::channel();
        (Reply(Some(To::Task(tx))), rx)
    }

    pub(crate) fn to_actor(slot: Arc<dyn Fill<T>>) -> Reply<T> {
        Reply(Some(To::Actor(slot)))
    }

    /// Answers. An asker that no longer waits is not told, and neither are you.
    pub fn send(mut self, answer: T) {
        match self.0.take() {
            Some(To::Task(tx)) => drop(tx.send(answer)),
            Some(To::Actor(slot)) => slot.fill(Ok(answer)),
            None => {}
        }
    }

    /// The same as a callback, for interfaces that take one.
    pub fn into_then(self) -> Box<dyn FnOnce(T) + Send> {
        Box::new(move |answer| self.send(answer))
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(To::Actor(slot)) = self.0.take() {
            slot.fill(Err(WaitError::Dropped));
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// The answering side of a slot.
pub(crate) trait Fill<T>: Send + Sync {
    fn fill(&self, answer: Result<T, WaitError>);
}

/// The waiting actor's side of a slot.
pub(crate) trait Resume<A: Actor>: Send + Sync {
    fn is_ready(&self) -> bool;
    fn time_out(&self);
    /// Runs the continuation. Called once, when ready.
    fn resume(&self, actor: &mut A, ctx: &mut Ctx<A>);
}

/// One wait: the continuation, and the answer once it is there.
pub(crate) struct Slot<A: Actor, T, F> {
    addr: Addr<A>,
    inner: Mutex<Inner<T, F>>,
}

struct Inner<T, F> {
    then: Option<F>,
    answer: Option<Result<T, WaitError>>,
}

impl<A: Actor, T, F> Slot<A, T, F> {
    pub(crate) fn new(addr: Addr<A>, then: F) -> Self {
        Slot { addr, inner: Mutex::new(Inner { then: Some(then), answer: None }) }
    }
}

impl<A, T, F> Fill<T> for Slot<A, T, F>
where
    A: Actor,
    T: Send + 'static,
    F: Send + 'static,
{
    fn fill(&self, answer: Result<T, WaitError>) {
        let late = {
            let mut inner = self.inner.lock();
            if inner.answer.is_none() && inner.then.is_some() {
                inner.answer = Some(answer);
                None
            } else {
                Some(answer)
            }
        };
        if late.is_none() {
            self.addr.cell.tell(Notice::Nudge);
        }
    }
}

impl<A, T, F> Resume<A> for Slot<A, T, F>
where
    A: Actor,
    T: Send + 'static,
    F: FnOnce(&mut A, Result<T, WaitError>, &mut Ctx<A>) + Send + 'static,
{
    fn is_ready(&self) -> bool {
        self.inner.lock().answer.is_some()
    }

    fn time_out(&self) {
        self.inner.lock().answer.get_or_insert(Err(WaitError::TimedOut));
    }

    fn resume(&self, actor: &mut A, ctx: &mut Ctx<A>) {
        let (then, answer) = {
            let mut inner = self.inner.lock();
            (inner.then.take(), inner.answer.take())
        };
        if let (Some(then), Some(answer)) = (then, answer) {
            then(actor, answer, ctx);
        }
    }
}
