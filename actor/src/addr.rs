//! Addresses: how to reach an actor.

use crate::actor::{Actor, ActorId, Exit};
use crate::cell::{Cell, Erased, Mail};
use crate::observe::Seen;
use crate::wait::{Reply, WaitError};
use crate::watch::Watcher;
use std::fmt;
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// Reaches one actor, and keeps it alive. Eight bytes; a clone is one atomic addition.
///
/// An actor to which no address is left, and which has no mail, ends ([`Exit::Unreachable`]).
pub struct Addr<A: Actor> {
    pub(crate) cell: Arc<Cell<A>>,
}

/// Reaches an actor as long as somebody else keeps it alive.
pub struct WeakAddr<A: Actor>(Weak<Cell<A>>);

/// Why a message could not be put in at once; the message is back.
#[derive(thiserror::Error)]
pub enum TrySendError<M> {
    /// No room. Somebody else may be in line for it.
    #[error("the mailbox is full")]
    Full(M),
    /// The actor ended, is ending or was asked to.
    #[error("the mailbox is closed")]
    Closed(M),
}

/// The actor ended, is ending or was asked to; the message is back.
#[derive(thiserror::Error)]
#[error("the mailbox is closed")]
pub struct Closed<M>(pub M);

impl<A: Actor> Addr<A> {
    /// Puts a message in, if there is room and nobody waits for it. Never waits, never blocks.
    #[inline]
    pub fn try_send(&self, msg: A::Msg) -> Result<(), TrySendError<A::Msg>> {
        let cell = &*self.cell;
        if cell.is_closing() {
            return Err(TrySendError::Closed(msg));
        }
        let weight = A::weight(&msg).clamp(1, Self::MAX);
        if !cell.room.try_enter(weight, Self::MAX) {
            return Err(TrySendError::Full(msg));
        }
        self.push(weight, msg).map_err(|Closed(msg)| TrySendError::Closed(msg))
    }

    /// Puts a message in, waiting for room first come first served. A future dropped before it is ready has sent
    /// nothing and holds no place.
    pub async fn send(&self, msg: A::Msg) -> Result<(), Closed<A::Msg>> {
        let msg = match self.try_send(msg) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(msg)) => return Err(Closed(msg)),
            Err(TrySendError::Full(msg)) => msg,
        };
        let weight = A::weight(&msg).clamp(1, Self::MAX);
        if !self.cell.room.enter(weight, Self::MAX, || self.cell.is_closing()).await {
            return Err(Closed(msg));
        }
        if self.cell.is_closing() {
            self.cell.room.leave(weight, Self::MAX);
            return Err(Closed(msg));
        }
        self.push(weight, msg)
    }

    /// Sends a question and waits for its answer, for async callers; an actor uses [`Ctx::wait`](crate::Ctx::wait).
    /// There is no deadline here: wrap it in the caller's.
    pub async fn ask<T: Send + 'static>(&self, question: impl FnOnce(Reply<T>) -> A::Msg) -> Result<T, WaitError> {
        let (reply, answer) = Reply::channel();
        self.send(question(reply)).await.map_err(|_| WaitError::Closed)?;
        answer.await.map_err(|_| WaitError::Dropped)
    }

    /// Asks it to end after the mail that is in. From here on its mailbox takes no more; every message whose sender
    /// was told `Ok` is handled.
    pub fn stop(&self) {
        self.cell.ask_stop(false);
    }

    /// Asks it to end after the message in hand, if any; other mail is dropped.
    pub fn kill(&self) {
        self.cell.ask_kill();
    }

    /// Waits for its end, and says how it was; [`Exit::Gone`] when it was over before.
    pub async fn ended(&self) -> Exit {
        let (tx, rx) = oneshot::channel();
        match self.cell.watch(Watcher::Task(tx)) {
            Ok(()) => rx.await.unwrap_or(Exit::Gone),
            Err(_) => Exit::Gone,
        }
    }

    /// What it has in common with all of its registry.
    pub fn common(&self) -> &A::Common {
        &self.cell.kin.common
    }

    /// True when it takes no more mail.
    pub fn is_closed(&self) -> bool {
        self.cell.is_closing()
    }

    /// Its number, for logs and signals.
    pub fn id(&self) -> ActorId {
        self.cell.id()
    }

    /// What an observer sees of it now.
    pub fn look(&self) -> Seen {
        self.cell.look()
    }

    /// An address that does not keep it alive.
    pub fn downgrade(&self) -> WeakAddr<A> {
        WeakAddr(Arc::downgrade(&self.cell))
    }

    /// A bound of 0 would let nothing in, ever.
    const MAX: u32 = if A::MAILBOX_MAX == 0 { 1 } else { A::MAILBOX_MAX };

    /// Room is taken; only the mailbox can refuse.
    #[inline]
    fn push(&self, weight: u32, msg: A::Msg) -> Result<(), Closed<A::Msg>> {
        match self.cell.mailbox.push(Mail::Message { weight, msg }) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.cell.system().enqueue(self.cell.clone());
                Ok(())
            }
            Err(mail) => {
                self.cell.room.leave(weight, Self::MAX);
                match mail {
                    Mail::Message { msg, .. } => Err(Closed(msg)),
                    Mail::Notice(_) => Ok(()),
                }
            }
        }
    }
}

impl<A: Actor> WeakAddr<A> {
    /// The address, if the actor is still there.
    pub fn upgrade(&self) -> Option<Addr<A>> {
        self.0.upgrade().map(|cell| Addr { cell })
    }
}

impl<A: Actor> Clone for Addr<A> {
    fn clone(&self) -> Self {
        Addr { cell: self.cell.clone() }
    }
}

impl<A: Actor> Clone for WeakAddr<A> {
    fn clone(&self) -> Self {
        WeakAddr(self.0.clone())
    }
}

impl<A: Actor> PartialEq for Addr<A> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }
}

impl<A: Actor> Eq for Addr<A> {}

impl<A: Actor> fmt::Debug for Addr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Addr({} {})", std::any::type_name::<A>(), self.id())
    }
}

impl<A: Actor> fmt::Debug for WeakAddr<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakAddr({})", std::any::type_name::<A>())
    }
}

// The message is not shown: it may be a stranger's words, and need not be Debug.
impl<M> fmt::Debug for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full",
            TrySendError::Closed(_) => "Closed",
        })
    }
}

impl<M> fmt::Debug for Closed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed")
    }
}
