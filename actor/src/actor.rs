//! What an actor is, and how one ends.

use crate::Ctx;
use crate::registry::Key;
use crate::timer::TimerId;
use std::fmt;
use std::sync::Arc;

/// A state that handles one message at a time.
///
/// Handlers are plain functions: they run on a worker of the [`System`](crate::System) and must not block. What an
/// actor has to wait for, it waits for with [`Ctx::wait`].
pub trait Actor: Send + Sized + 'static {
    /// What it is sent.
    type Msg: Send + 'static;

    /// What a [`Registry`](crate::Registry) finds it by; [`Infallible`](std::convert::Infallible) for one that is in none.
    type Key: Key;

    /// What all of a registry have in common, and whoever has an address of one; `()` for one that is in none.
    type Common: Send + Sync + 'static;

    /// The mailbox's bound, in the units of [`weight`](Actor::weight). A sender that finds no room waits
    /// ([`Addr::send`](crate::Addr::send)) or is told ([`Addr::try_send`](crate::Addr::try_send)). At least 1.
    const MAILBOX_MAX: u32;

    /// What a message takes up: 1 each (the bound counts messages), or its bytes. A message heavier than the whole
    /// mailbox counts as the whole mailbox, so it gets in when that is empty; one of no weight counts as 1, so that
    /// there is a bound to those too.
    fn weight(_msg: &Self::Msg) -> u32 {
        1
    }

    /// A name for who looks inside, asked once after each start. One of a registry is named by its key instead.
    fn name(&self) -> Option<String> {
        None
    }

    /// Before the first message, and again with a fresh state after each restart.
    fn started(&mut self, _ctx: &mut Ctx<Self>) {}

    /// One message.
    fn handle(&mut self, msg: Self::Msg, ctx: &mut Ctx<Self>);

    /// One signal: a timer, the end of a monitored actor, the end of a linked one. Left as it is, an actor ends with
    /// those it is linked to, unless they ended well.
    fn signal(&mut self, signal: Signal, ctx: &mut Ctx<Self>) {
        if let Signal::Exit { who, why } = signal
            && !why.is_well()
        {
            ctx.stop_because(Exit::Linked { who, why: why.to_string().into() });
        }
    }

    /// The last call, whatever the end, except after a panic: then the state is not to be trusted. Its mailbox is
    /// closed by now.
    fn stopping(&mut self, _why: &Exit) {}
}

/// Names one actor for as long as the system lives; kept through restarts, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId(pub(crate) u64);

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.0 & 0xffff_ffff, self.0 >> 32)
    }
}

/// Names one monitor: what [`Ctx::monitor`] gives and [`Signal::Down`] repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MonitorId(pub(crate) u64);

/// What the runtime tells an actor, in order with its mail.
#[derive(Clone, Debug)]
pub enum Signal {
    /// A timer went off.
    Timer {
        /// Which one.
        id: TimerId,
        /// What was given when it was set.
        token: u64,
    },
    /// A monitored actor ended. Comes once per monitor, after all messages that actor had sent here.
    Down {
        /// The monitor.
        monitor: MonitorId,
        /// Who ended.
        who: ActorId,
        /// How.
        why: Exit,
    },
    /// A linked actor ended.
    Exit {
        /// Who ended.
        who: ActorId,
        /// How.
        why: Exit,
    },
}

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to stop, or stopped itself.
    Stopped,
    /// It stopped because it was idle ([`Ctx::stop_when_idle`]).
    Idle,
    /// It was stopped at once; mail was left.
    Killed,
    /// No address was left, so nothing could reach it any more.
    Unreachable,
    /// The system shut down.
    Shutdown,
    /// A handler panicked, with this text, and nobody supervises it.
    Panicked(Arc<str>),
    /// It panicked more often than its policy allows; the last panic's text.
    GaveUp {
        /// Restarts since it was spawned.
        restarts: u32,
        /// The text of the panic that was one too many.
        last: Arc<str>,
    },
    /// One it was linked to ended badly.
    Linked {
        /// That one.
        who: ActorId,
        /// How that one ended.
        why: Arc<str>,
    },
    /// A reason of its own ([`Ctx::stop_because`]). Not a good end.
    Failed(Arc<str>),
    /// It had ended before the monitor or link was made.
    Gone,
}

impl Exit {
    /// True for an end that pulls no linked actor along.
    pub fn is_well(&self) -> bool {
        matches!(self, Exit::Stopped | Exit::Idle | Exit::Unreachable | Exit::Shutdown)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Stopped => f.write_str("stopped"),
            Exit::Idle => f.write_str("idle"),
            Exit::Killed => f.write_str("killed"),
            Exit::Unreachable => f.write_str("unreachable"),
            Exit::Shutdown => f.write_str("shutdown"),
            Exit::Panicked(text) => write!(f, "panicked: {text}"),
            Exit::GaveUp { restarts, last } => write!(f, "gave up after {restarts} restarts: {last}"),
            Exit::Linked { who, why } => write!(f, "linked to {who}, which ended: {why}"),
            Exit::Failed(text) => write!(f, "failed: {text}"),
            Exit::Gone => f.write_str("gone before"),
        }
    }
}
