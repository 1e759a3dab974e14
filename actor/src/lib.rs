//! Erlang-style actors as cells: a mailbox, a state, and a place on a run queue only while there is mail.

mod mailbox;
mod owned;
mod queue;
mod room;
mod sync;

#[cfg(not(loom))]
mod actor;
#[cfg(not(loom))]
mod addr;
#[cfg(not(loom))]
mod cell;
#[cfg(not(loom))]
mod clock;
#[cfg(not(loom))]
mod ctx;
#[cfg(not(loom))]
mod observe;
#[cfg(not(loom))]
mod registry;
#[cfg(not(loom))]
mod supervise;
#[cfg(not(loom))]
mod system;
#[cfg(not(loom))]
mod timer;
#[cfg(not(loom))]
mod wait;
#[cfg(not(loom))]
mod watch;

#[cfg(not(loom))]
pub use {
    actor::{Actor, ActorId, Exit, MonitorId, Signal},
    addr::{Addr, Closed, TrySendError, WeakAddr},
    clock::{Clock, ManualClock},
    ctx::Ctx,
    observe::{Seen, State},
    registry::{Key, Registry},
    supervise::Policy,
    system::System,
    timer::{TICK_MS, TimerId},
    wait::{Reply, WaitError},
};
