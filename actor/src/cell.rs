//! The cell: what one actor is made of, and one turn of it.

use crate::actor::{Actor, ActorId, Exit, Signal};
use crate::addr::Addr;
use crate::ctx::Ctx;
use crate::mailbox::{Chain, Mailbox};
use crate::observe::{Seen, State};
use crate::owned::Owned;
use crate::room::Room;
use crate::supervise::Family;
use crate::system::System;
use crate::timer::{Purpose, TimerId, later};
use crate::wait::Resume;
use crate::watch::{Aside, Watcher};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// Messages one actor handles before the next one in the queue has its turn.
const TURN_MESSAGES_MAX: u32 = 32;

/// Asked to end at once.
const KILLED: u8 = 1;
/// Asked to end after the mail that is in; no new mail is taken.
const STOPPING: u8 = 2;
/// The system shuts down: the reason an ordered stop gives.
const SHUTDOWN: u8 = 4;
/// Over: nobody can watch it any more.
const ENDED: u8 = 8;

const RUNNING: u8 = 1;
const WAITING: u8 = 2;
const BACKING_OFF: u8 = 3;

/// One actor. An [`Addr`] is a counted pointer to it.
pub(crate) struct Cell<A: Actor> {
    pub(crate) mailbox: Mailbox<Mail<A::Msg>>,
    pub(crate) room: Room<Aside>,
    pub(crate) kin: Arc<Kin<A>>,
    /// What its registry finds it by.
    pub(crate) key: Option<A::Key>,
    id: AtomicU64,
    handled: AtomicU32, // from 0 again when it is full
    flags: AtomicU8,
    phase: AtomicU8,
    /// 0 until `started` was called on the present state. Only the runner uses it.
    fresh: AtomicU8,
    body: Owned<Body<A>>,
}

/// What all cells of a family share.
pub(crate) struct Kin<A: Actor> {
    pub(crate) system: System,
    pub(crate) family: Box<dyn Family<A>>,
    pub(crate) common: A::Common,
}

/// What only the runner touches.
struct Body<A: Actor> {
    state: Option<A>,
    /// Mail taken from the mailbox and not yet handled.
    pending: Chain<Mail<A::Msg>>,
    extra: Option<Box<Extra<A>>>,
}

/// What most actors do not have while idle.
pub(crate) struct Extra<A: Actor> {
    pub(crate) timers: Vec<TimerId>,
    pub(crate) waits: Vec<Waiting<A>>,
    pub(crate) waits_made: u64,
    restarts: VecDeque<Instant>,
    backing_off: bool,
}

pub(crate) struct Waiting<A: Actor> {
    pub(crate) number: u64,
    pub(crate) timer: TimerId,
    pub(crate) slot: Arc<dyn Resume<A>>,
}

/// One item of a mailbox.
pub(crate) enum Mail<M> {
    Message { weight: u32, msg: M },
    Notice(Notice),
}

/// What the runtime itself puts into a mailbox, outside its bound.
pub(crate) enum Notice {
    Signal(Box<Signal>),
    Timer { id: TimerId, token: u64 },
    /// End when you come to this.
    Stop,
    /// Look at your flags and waits.
    Nudge,
    Deadline(u64),
    Restart,
}

enum Turn {
    /// Nothing left to do: rest if no mail came meanwhile.
    Dry,
    /// More to do, but others first.
    Again,
    Ended,
}

/// A cell whose state's type is not known: what run queue, timers, watchers and observers hold.
pub(crate) trait Erased: Send + Sync {
    fn run(self: Arc<Self>);
    fn enqueue(self: Arc<Self>);
    fn post(self: Arc<Self>, notice: Notice);
    /// A linked actor ended.
    fn exit(self: Arc<Self>, who: ActorId, why: Exit);
    fn stop(self: Arc<Self>, shutdown: bool);
    fn kill(self: Arc<Self>);
    fn look(&self) -> Seen;
}

impl<A: Actor> Cell<A> {
    /// A cell nobody runs yet: the caller holds the right to run, and enqueues it once it is where it belongs.
    pub(crate) fn new(state: Option<A>, kin: Arc<Kin<A>>, key: Option<A::Key>) -> Arc<Self> {
        let cell = Arc::new(Cell {
            mailbox: Mailbox::new_busy(),
            room: Room::new(),
            kin,
            key,
            id: AtomicU64::new(0),
            handled: AtomicU32::new(0),
            flags: AtomicU8::new(0),
            phase: AtomicU8::new(0),
            fresh: AtomicU8::new(1),
            body: Owned::new(Body { state, pending: Chain::new(), extra: None }),
        });
        let weak = Arc::downgrade(&cell);
        cell.id.store(cell.system().directory().insert(weak), Ordering::Relaxed);
        cell
    }

    pub(crate) fn system(&self) -> &System {
        &self.kin.system
    }

    pub(crate) fn id(&self) -> ActorId {
        ActorId(self.id.load(Ordering::Relaxed))
    }

    /// No new mail is taken.
    #[inline]
    pub(crate) fn is_closing(&self) -> bool {
        self.flags.load(Ordering::Relaxed) != 0 || self.mailbox.is_closed()
    }

    /// Puts in what is not bounded.
    pub(crate) fn tell(self: &Arc<Self>, notice: Notice) {
        // A closed mailbox: whoever ended needs no more telling.
        if let Ok(true) = self.mailbox.push(Mail::Notice(notice)) {
            self.system().enqueue(self.clone());
        }
    }

    pub(crate) fn ask_stop(self: &Arc<Self>, shutdown: bool) {
        let flags = if shutdown { STOPPING | SHUTDOWN } else { STOPPING };
        // One notice only: two would keep going behind each other.
        if self.flags.fetch_or(flags, Ordering::Relaxed) & STOPPING == 0 {
            self.tell(Notice::Stop);
        }
    }

    pub(crate) fn ask_kill(self: &Arc<Self>) {
        self.flags.fetch_or(KILLED | STOPPING, Ordering::Relaxed);
        self.tell(Notice::Nudge);
    }

    /// Adds a watcher, or gives it back when the actor has ended.
    pub(crate) fn watch(&self, watcher: Watcher) -> Result<(), Watcher> {
        let mut aside = self.room.aside();
        if self.flags.load(Ordering::Relaxed) & ENDED != 0 {
            return Err(watcher);
        }
        let watchers = &mut aside.get_or_insert_default().rest.watchers;
        if watchers.len() == watchers.capacity() {
            watchers.retain(Watcher::is_there); // before it grows: so it is never more than twice those who are there
        }
        watchers.push(watcher);
        Ok(())
    }

    pub(crate) fn unwatch(&self, which: impl Fn(&Watcher) -> bool) {
        if let Some(aside) = self.room.aside().as_mut() {
            aside.rest.watchers.retain(|watcher| !which(watcher));
        }
    }

    /// Everything that must happen once at the end. The state's own code runs shielded: whatever it does, the rest
    /// is done.
    fn finish(&self, body: &mut Body<A>, why: Exit) {
        let rest = self.mailbox.close();
        self.room.close();
        let state = body.state.take();
        let pending = std::mem::take(&mut body.pending);
        if let Some(mut state) = state {
            shielded("stopping", || state.stopping(&why));
            shielded("drop", || drop(state));
        }
        let extra = body.extra.take();
        shielded("drop of mail", || drop((pending, rest)));
        if let Some(extra) = extra {
            self.forget(extra);
        }
        let watchers = {
            let mut aside = self.room.aside();
            self.flags.fetch_or(ENDED | STOPPING, Ordering::Relaxed);
            aside.as_mut().map(|aside| std::mem::take(&mut aside.rest.watchers)).unwrap_or_default()
        };
        self.kin.family.ended(self);
        self.system().directory().remove(self.id());
        self.system().note_end();
        for watcher in watchers {
            watcher.tell(self.id(), &why);
        }
    }

    /// Drops timers and waits.
    fn forget(&self, extra: Box<Extra<A>>) {
        for id in extra.timers.iter().chain(extra.waits.iter().map(|wait| &wait.timer)) {
            self.system().wheel().cancel(*id);
        }
        shielded("drop of waits", || drop(extra));
    }
}

impl<A: Actor> Default for Body<A> {
    fn default() -> Self {
        Body { state: None, pending: Chain::new(), extra: None }
    }
}

impl<A: Actor> Default for Extra<A> {
    fn default() -> Self {
        let (timers, waits, restarts) = (Vec::new(), Vec::new(), VecDeque::new());
        Extra { timers, waits, waits_made: 0, restarts, backing_off: false }
    }
}

impl<A: Actor> Extra<A> {
    fn is_held(&self) -> bool {
        !self.waits.is_empty() || self.backing_off
    }

    /// True when an idle actor need not keep it.
    fn is_empty(&self) -> bool {
        self.timers.is_empty() && self.waits.is_empty() && self.restarts.is_empty() && !self.backing_off
    }

    fn take_ready(&mut self) -> Option<Waiting<A>> {
        let at = self.waits.iter().position(|wait| wait.slot.is_ready())?;
        Some(self.waits.remove(at))
    }
}

impl<A: Actor> Drop for Cell<A> {
    fn drop(&mut self) {
        if self.flags.load(Ordering::Relaxed) & ENDED == 0 {
            let mut body = std::mem::take(self.body.get_mut());
            self.finish(&mut body, Exit::Unreachable);
        }
    }
}

impl<A: Actor> Erased for Cell<A> {
    fn run(self: Arc<Self>) {
        let mut ctx = Ctx::new(Addr { cell: self });
        loop {
            let cell = Arc::as_ptr(&ctx.addr.cell);
            ctx.addr.cell.phase.store(RUNNING, Ordering::Relaxed);
            // SAFETY: `ctx` keeps the cell alive and never gives its address away by value. The run queue gave us
            // the right to run, and we have not rested: `rest` below is outside, and after it we leave.
            let turn = unsafe { (*cell).body.with(|body| turn(body, &mut ctx)) };
            match turn {
                Turn::Dry if ctx.addr.cell.mailbox.rest() => return,
                Turn::Dry => continue,
                Turn::Again => {
                    let cell = ctx.addr.cell;
                    return cell.enqueue();
                }
                Turn::Ended => return,
            }
        }
    }

    fn enqueue(self: Arc<Self>) {
        let kin = self.kin.clone();
        kin.system.enqueue(self);
    }

    fn post(self: Arc<Self>, notice: Notice) {
        self.tell(notice);
    }

    fn exit(self: Arc<Self>, who: ActorId, why: Exit) {
        self.unwatch(|watcher| matches!(watcher, Watcher::Link(id, _) if *id == who));
        self.tell(Notice::Signal(Box::new(Signal::Exit { who, why })));
    }

    fn stop(self: Arc<Self>, shutdown: bool) {
        self.ask_stop(shutdown);
    }

    fn kill(self: Arc<Self>) {
        self.ask_kill();
    }

    fn look(&self) -> Seen {
        let (depth, weight) = self.room.load();
        let state = match self.phase.load(Ordering::Relaxed) {
            WAITING => State::Waiting,
            BACKING_OFF => State::BackingOff,
            RUNNING if !self.mailbox.is_idle() => State::Running,
            _ if self.mailbox.is_idle() => State::Idle,
            _ => State::Queued,
        };
        let (named, restarts) = match self.room.aside().as_ref() {
            Some(aside) => (aside.rest.name.clone().map(String::from), aside.rest.restarts),
            None => (None, 0),
        };
        Seen {
            id: self.id(),
            kind: std::any::type_name::<A>(),
            name: named.or_else(|| self.key.as_ref().map(|key| key.to_string())),
            state,
            depth,
            weight,
            weight_max: A::MAILBOX_MAX,
            handled: self.handled.load(Ordering::Relaxed).into(),
            restarts,
        }
    }
}

/// One turn under the shield: a panic ends here.
fn turn<A: Actor>(body: &mut Body<A>, ctx: &mut Ctx<A>) -> Turn {
    ctx.extra = body.extra.take();
    let turn = match catch_unwind(AssertUnwindSafe(|| work(body, ctx))) {
        Ok(turn) => turn,
        Err(panic) => after_panic(body, ctx, &text_of(&*panic)),
    };
    let phase = match &ctx.extra {
        Some(extra) if extra.backing_off => BACKING_OFF,
        Some(extra) if extra.is_held() => WAITING,
        _ => 0,
    };
    ctx.addr.cell.phase.store(phase, Ordering::Relaxed);
    body.extra = ctx.extra.take().filter(|extra| !extra.is_empty());
    turn
}

fn work<A: Actor>(body: &mut Body<A>, ctx: &mut Ctx<A>) -> Turn {
    let mut left = TURN_MESSAGES_MAX;
    loop {
        if let Some(why) = leaving(ctx) {
            body.extra = ctx.extra.take();
            ctx.addr.cell.finish(body, why);
            return Turn::Ended;
        }
        if left == 0 {
            return Turn::Again;
        }
        if ctx.extra.as_ref().is_some_and(|extra| extra.is_held()) {
            if !hold(body, ctx) {
                return Turn::Dry;
            }
            left -= 1;
            continue;
        }
        if ctx.addr.cell.fresh.load(Ordering::Relaxed) == 1 {
            start(body, ctx);
            continue;
        }
        let Some(mail) = body.pending.pop().or_else(|| {
            body.pending = ctx.addr.cell.mailbox.take();
            body.pending.pop()
        }) else {
            return Turn::Dry;
        };
        left -= 1;
        deliver(body, ctx, mail);
    }
}

/// Whether, and why, the actor ends before its next message.
fn leaving<A: Actor>(ctx: &mut Ctx<A>) -> Option<Exit> {
    if ctx.addr.cell.flags.load(Ordering::Relaxed) & KILLED != 0 {
        return Some(Exit::Killed);
    }
    ctx.leaving.take()
}

fn deliver<A: Actor>(body: &mut Body<A>, ctx: &mut Ctx<A>, mail: Mail<A::Msg>) {
    let cell = &ctx.addr.cell;
    // There is a state: `start` made one, or the actor is leaving.
    let Some(state) = &mut body.state else { return };
    match mail {
        Mail::Message { weight, msg } => {
            cell.room.leave(weight, A::MAILBOX_MAX.max(1));
            // Only the runner writes it: no read-modify-write is needed.
            cell.handled.store(cell.handled.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            ctx.pending_is_empty = body.pending.is_empty();
            state.handle(msg, ctx);
        }
        Mail::Notice(Notice::Signal(signal)) => {
            ctx.pending_is_empty = body.pending.is_empty();
            state.signal(*signal, ctx);
        }
        Mail::Notice(Notice::Timer { id, token }) => {
            // A cancelled one may be on its way already; it is not among ours any more.
            if ctx.forget_timer(id) {
                ctx.pending_is_empty = body.pending.is_empty();
                state.signal(Signal::Timer { id, token }, ctx);
            }
        }
        Mail::Notice(Notice::Stop) => {
            // A sender that passed the flag before it was set may have come in behind: what was accepted is handled.
            if !body.pending.is_empty() || !cell.mailbox.close_if_empty() {
                return cell.tell(Notice::Stop);
            }
            let shutdown = cell.flags.load(Ordering::Relaxed) & SHUTDOWN != 0;
            ctx.leaving = Some(if shutdown { Exit::Shutdown } else { Exit::Stopped });
        }
        Mail::Notice(Notice::Nudge | Notice::Deadline(_) | Notice::Restart) => {}
    }
}

/// While the mailbox is paused: looks only for what can end the pause, and keeps the rest in order. `false`: nothing
/// has, and no mail is left to look at.
fn hold<A: Actor>(body: &mut Body<A>, ctx: &mut Ctx<A>) -> bool {
    let Some(extra) = &mut ctx.extra else { return true };
    let mut new = ctx.addr.cell.mailbox.take();
    while body.pending.shift(&mut new, |mail| match mail {
        Mail::Notice(Notice::Nudge) => false,
        Mail::Notice(Notice::Deadline(number)) => {
            if let Some(wait) = extra.waits.iter().find(|wait| wait.number == *number) {
                wait.slot.time_out();
            }
            false
        }
        Mail::Notice(Notice::Restart) => {
            extra.backing_off = false;
            false
        }
        _ => true,
    }) {}
    if !extra.is_held() {
        return true;
    }
    let Some(ready) = extra.take_ready() else { return false };
    ctx.addr.cell.system().wheel().cancel(ready.timer);
    if let Some(state) = &mut body.state {
        ctx.pending_is_empty = body.pending.is_empty();
        ready.slot.resume(state, ctx);
    }
    true
}

fn start<A: Actor>(body: &mut Body<A>, ctx: &mut Ctx<A>) {
    if body.state.is_none() {
        body.state = ctx.addr.cell.kin.family.build(&ctx.addr.cell);
    }
    let Some(state) = &mut body.state else {
        ctx.leaving = Some(Exit::Gone);
        return;
    };
    ctx.addr.cell.fresh.store(0, Ordering::Relaxed);
    if let Some(name) = state.name() {
        ctx.addr.cell.room.aside().get_or_insert_default().rest.name = Some(name.into());
    }
    ctx.pending_is_empty = body.pending.is_empty();
    state.started(ctx);
}

fn after_panic<A: Actor>(body: &mut Body<A>, ctx: &mut Ctx<A>, text: &str) -> Turn {
    let cell = ctx.addr.cell.clone();
    tracing::error!(actor = %cell.id(), kind = std::any::type_name::<A>(), panic = text, "an actor panicked");
    let torn = body.state.take();
    shielded("drop", || drop(torn));
    let mut restarts = VecDeque::new();
    if let Some(mut extra) = ctx.extra.take() {
        restarts = std::mem::take(&mut extra.restarts);
        cell.forget(extra);
    }
    ctx.leaving = None;
    let pause = match cell.mailbox.is_closed() {
        true => None, // there is no way back
        false => cell.kin.family.policy().next(&mut restarts, cell.system().now()),
    };
    let Some(pause) = pause else {
        let done = cell.room.aside().as_ref().map_or(0, |aside| aside.rest.restarts);
        let last = Arc::from(text);
        let why = if done == 0 { Exit::Panicked(last) } else { Exit::GaveUp { restarts: done, last } };
        cell.finish(body, why);
        return Turn::Ended;
    };
    cell.room.aside().get_or_insert_default().rest.restarts += 1;
    cell.fresh.store(1, Ordering::Relaxed);
    let extra = ctx.extra.get_or_insert_default();
    extra.restarts = restarts;
    if !pause.is_zero() {
        extra.backing_off = true;
        cell.system().set_timer(later(cell.system().now(), pause), &cell, Purpose::Restart);
    }
    Turn::Again
}

/// Runs code of the state's that must not stop what comes after it.
fn shielded(what: &str, work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        tracing::error!(panic = text_of(&*panic), "an actor panicked in its {what}");
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no text)").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Actor for Nothing {
        type Msg = ();
        type Key = Box<u8>;
        type Common = ();
        const MAILBOX_MAX: u32 = 1;
        fn handle(&mut self, (): (), _: &mut Ctx<Self>) {}
    }

    /// Beside its state, and with a key of eight bytes.
    #[test]
    fn an_actor_is_small() {
        let counts = 2 * size_of::<usize>();
        let state = size_of::<Option<Nothing>>().next_multiple_of(8);
        assert!(counts + size_of::<Cell<Nothing>>() - state <= 96, "{}", size_of::<Cell<Nothing>>());
    }
}
