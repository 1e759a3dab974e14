//! Erlang-style actors as cells: a mailbox, a state, and a place on a run queue only while there is mail.
//!
//! Nothing else while idle: no task, no thread, no timer, no buffer. An idle actor costs its state and about 130
//! bytes, so a process holds one for every user (`cargo bench -p herald-actor` measures it beside other designs).
//!
//! ```
//! use herald_actor::{Actor, Ctx, Policy, Registry, Reply, System};
//!
//! /// Counts what it is told.
//! struct Counter { name: String, sum: u64 }
//!
//! enum Msg { Add(u64), Sum(Reply<(String, u64)>) }
//!
//! impl Actor for Counter {
//!     type Msg = Msg;
//!     type Key = String;
//!     type Common = ();
//!     const MAILBOX_MAX: u32 = 64; // messages
//!
//!     fn handle(&mut self, msg: Msg, _: &mut Ctx<Self>) {
//!         match msg {
//!             Msg::Add(n) => self.sum += n,
//!             Msg::Sum(reply) => reply.send((self.name.clone(), self.sum)),
//!         }
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
//! let system = System::new(&tokio::runtime::Handle::current(), 2);
//! let counters = Registry::new(&system, Policy::DEFAULT, |name: &String| Counter { name: name.clone(), sum: 0 });
//! let ann = counters.find_or_spawn(&"ann".to_owned());
//! ann.send(Msg::Add(40)).await.unwrap();   // waits for room
//! ann.try_send(Msg::Add(2)).unwrap();      // never waits
//! assert_eq!(ann.ask(Msg::Sum).await, Ok(("ann".to_owned(), 42)));
//! # });
//! ```
//!
//! # From Erlang
//!
//! | there | here |
//! |---|---|
//! | a process | a cell: one message at a time, in order per sender |
//! | a crash is the process's own | a panic ends that actor alone, or restarts it ([`System::supervise`], [`Registry`]); its senders never notice |
//! | a supervisor | a [`Policy`]: restart in place with a fresh state, same address, mail kept, longer pauses each time, then give up |
//! | `link`, `monitor` | [`Ctx::link`], [`Ctx::monitor`]; overriding [`Actor::signal`] traps exits |
//! | `receive` on a reference | [`Ctx::wait`]: the mailbox is paused until one answer, with a deadline |
//! | `erlang:send_after` | [`Ctx::after`]: one wheel for all, and a cancelled timer never fires |
//! | a registered name | a [`Registry`] by key: one actor per key at a time |
//! | hibernation | nothing to do; or [`Ctx::stop_when_idle`], which loses no message |
//! | `observer` | [`System::observe`]: every live actor, its state, depth, rate, restarts |
//! | an unbounded mailbox | none: see below |
//!
//! # Four rules for mailboxes
//!
//! 1. Every mailbox is bounded ([`Actor::MAILBOX_MAX`]), in bytes where strangers fill it ([`Actor::weight`]). Only
//!    the runtime's own signals pass the bound.
//! 2. A connection that sends to a user waits ([`Addr::send`]): the back-pressure reaches the socket.
//! 3. A user that sends to a user never waits ([`Addr::try_send`]; when full, it bounces), or full mailboxes deadlock.
//!    Handlers are plain functions, so they cannot wait for room even by mistake.
//! 4. A user that sends to a connection never waits (when full, the slow connection is detached). A connection need
//!    not be an actor.
//!
//! # A message's walk
//!
//! 1. `try_send` takes room in the mailbox: one compare-and-swap on a word that counts messages and weight (`room`).
//! 2. The message goes into a node, the node onto the mailbox: one compare-and-swap on another word (`mailbox`).
//! 3. If that word said idle, the sender now holds the right to run the actor and puts it on the run queue (`queue`);
//!    if a worker sleeps and none is looking for work, one is woken. Otherwise somebody else holds that right, and
//!    the sender is done.
//! 4. A worker, which is a task on tokio, takes the actor and runs one turn: all mail that is in, oldest first, at most
//!    32 messages; then the others have theirs. Every few turns it lets tokio look at sockets.
//! 5. Before each message its room is given back, to the first sender in line if there is one.
//! 6. When no mail is left the worker swaps the word back to idle, and with that gives up the right to run. If mail
//!    came in between, the swap fails and it goes on.
//!
//! Unsafe code is in `mailbox` (the nodes), `owned` (what only the right to run may touch) and one line of `cell`; the
//! first two, the run queue and the room are model-checked with loom (`tests/loom.rs`).

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
