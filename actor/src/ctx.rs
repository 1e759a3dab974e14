//! What an actor may ask of the runtime while it handles something.

use crate::actor::{Actor, ActorId, Exit, MonitorId, Signal};
use crate::addr::Addr;
use crate::cell::{Cell, Erased, Extra, Notice, Waiting};
use crate::system::System;
use crate::timer::{Purpose, TimerId, later};
use crate::wait::{Reply, Slot, WaitError};
use crate::watch::Watcher;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The runtime's side of a handler: lent to it for one call.
pub struct Ctx<A: Actor> {
    pub(crate) addr: Addr<A>,
    pub(crate) extra: Option<Box<Extra<A>>>,
    pub(crate) leaving: Option<Exit>,
    /// No mail is taken and unhandled behind the one in hand.
    pub(crate) pending_is_empty: bool,
}

impl<A: Actor> Ctx<A> {
    pub(crate) fn new(addr: Addr<A>) -> Self {
        Ctx { addr, extra: None, leaving: None, pending_is_empty: true }
    }

    /// This actor's address. A clone kept in its own state keeps it alive for ever.
    pub fn addr(&self) -> &Addr<A> {
        &self.addr
    }

    /// This actor's number.
    pub fn id(&self) -> ActorId {
        self.addr.id()
    }

    /// The system it lives in.
    pub fn system(&self) -> &System {
        self.addr.cell.system()
    }

    /// Now, by the system's clock.
    pub fn now(&self) -> Instant {
        self.system().now()
    }

    /// Ends after this handler; mail is dropped.
    pub fn stop(&mut self) {
        self.stop_because(Exit::Stopped);
    }

    /// Ends after this handler for a reason of its own.
    pub fn stop_because(&mut self, why: Exit) {
        self.leaving.get_or_insert(why);
    }

    /// Ends after this handler if no mail waits at this moment; from then on senders get their message back and ask
    /// the registry again, so none is lost. `false`: there is mail, and the actor goes on.
    pub fn stop_when_idle(&mut self) -> bool {
        let busy = !self.pending_is_empty || self.extra.as_ref().is_some_and(|extra| !extra.waits.is_empty());
        if busy || self.leaving.is_some() || !self.addr.cell.mailbox.close_if_empty() {
            return false;
        }
        self.leaving = Some(Exit::Idle);
        true
    }

    /// Asks for a [`Signal::Down`] when the other ends; at once, with [`Exit::Gone`], when it has.
    pub fn monitor<B: Actor>(&mut self, other: &Addr<B>) -> MonitorId {
        let monitor = MonitorId(self.system().next_monitor());
        if other.cell.watch(Watcher::Monitor(monitor, self.weak())).is_err() {
            let signal = Signal::Down { monitor, who: other.id(), why: Exit::Gone };
            self.addr.cell.tell(Notice::Signal(Box::new(signal)));
        }
        monitor
    }

    /// Takes a monitor back. Its signal may be in the mailbox already.
    pub fn demonitor<B: Actor>(&mut self, other: &Addr<B>, monitor: MonitorId) {
        other.cell.unwatch(|watcher| matches!(watcher, Watcher::Monitor(id, _) if *id == monitor));
    }

    /// Links the two: when one ends, the other gets a [`Signal::Exit`]. Linking twice is linking once.
    pub fn link<B: Actor>(&mut self, other: &Addr<B>) {
        let (me, them) = (self.id(), other.id());
        if me == them {
            return;
        }
        self.unlink(other);
        let weak: Weak<Cell<B>> = Arc::downgrade(&other.cell);
        // Ours first: were it theirs first, they could end in between and find no link to drop here. Ours cannot
        // fail, as we are running.
        drop(self.addr.cell.watch(Watcher::Link(them, weak)));
        if other.cell.watch(Watcher::Link(me, self.weak())).is_err() {
            Arc::clone(&self.addr.cell).exit(them, Exit::Gone);
        }
    }

    /// Undoes a link from both sides. A signal may be in the mailbox already.
    pub fn unlink<B: Actor>(&mut self, other: &Addr<B>) {
        let (me, them) = (self.id(), other.id());
        other.cell.unwatch(|watcher| matches!(watcher, Watcher::Link(id, _) if *id == me));
        self.addr.cell.unwatch(|watcher| matches!(watcher, Watcher::Link(id, _) if *id == them));
    }

    /// Sets a timer: a [`Signal::Timer`] with this token, at `at` or up to [`TICK_MS`](crate::TICK_MS) after. It
    /// does not keep the actor alive, and a restart cancels it.
    pub fn wake_at(&mut self, at: Instant, token: u64) -> TimerId {
        let id = self.system().set_timer(at, &self.addr.cell, Purpose::Token(token));
        self.extra().timers.push(id);
        id
    }

    /// [`wake_at`](Ctx::wake_at), counted from now.
    pub fn after(&mut self, after: Duration, token: u64) -> TimerId {
        self.wake_at(later(self.now(), after), token)
    }

    /// Cancels a timer; its signal does not come any more, not even when it had gone off and was in the mailbox.
    /// `false`: it had come before, or is not this actor's.
    pub fn cancel(&mut self, id: TimerId) -> bool {
        self.system().wheel().cancel(id);
        self.forget_timer(id)
    }

    /// Waits for one answer with the mailbox paused: until the reply is sent or dropped, or `within` has passed, no
    /// message and no signal is handled (an end at once still is); then `then` runs, before the next message.
    ///
    /// Several may be made in one handler; the mailbox stays paused until all are answered, and each continuation
    /// runs as its answer comes. A panic drops the open ones.
    pub fn wait<T: Send + 'static>(
        &mut self,
        within: Duration,
        then: impl FnOnce(&mut A, Result<T, WaitError>, &mut Ctx<A>) + Send + 'static,
    ) -> Reply<T> {
        let slot = Arc::new(Slot::new(self.addr.clone(), then));
        let extra = self.extra();
        extra.waits_made += 1;
        let number = extra.waits_made;
        let timer = self.system().set_timer(later(self.now(), within), &self.addr.cell, Purpose::Deadline(number));
        self.extra().waits.push(Waiting { number, timer, slot: slot.clone() });
        Reply::to_actor(slot)
    }

    pub(crate) fn forget_timer(&mut self, id: TimerId) -> bool {
        let Some(extra) = &mut self.extra else { return false };
        let at = extra.timers.iter().position(|timer| *timer == id);
        at.map(|at| extra.timers.swap_remove(at)).is_some()
    }

    fn extra(&mut self) -> &mut Extra<A> {
        self.extra.get_or_insert_default()
    }

    fn weak(&self) -> Weak<Cell<A>> {
        Arc::downgrade(&self.addr.cell)
    }
}
