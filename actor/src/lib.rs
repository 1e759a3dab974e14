//! Erlang-style actors as cells: a mailbox, a state, and a place on a run queue only while there is mail.

// The modelled parts; in a model run they are all there is, and open to `tests/loom.rs`.
#[cfg(loom)]
pub mod mailbox;
#[cfg(loom)]
pub mod owned;
#[cfg(loom)]
pub mod queue;
#[cfg(loom)]
pub mod room;
mod sync;

/// `mod` and `pub use` for everything outside a model run, without a `cfg` on each line.
macro_rules! outside_models {
    ($($item:item)*) => { $(#[cfg(not(loom))] $item)* };
}

outside_models! {
    mod actor;
    mod addr;
    mod cell;
    mod clock;
    mod ctx;
    mod mailbox;
    mod observe;
    mod owned;
    mod queue;
    mod registry;
    mod room;
    mod supervise;
    mod system;
    mod timer;
    mod wait;
    mod watch;

    pub use actor::{Actor, ActorId, Exit, MonitorId, Signal};
    pub use addr::{Addr, Closed, TrySendError, WeakAddr};
    pub use clock::{Clock, ManualClock};
    pub use ctx::Ctx;
    pub use observe::{Seen, State};
    pub use registry::{Key, Registry};
    pub use supervise::Policy;
    pub use system::System;
    pub use timer::{TICK_MS, TimerId};
    pub use wait::{Reply, WaitError};
}
