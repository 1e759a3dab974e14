//! What a store can do, in narrow traits, each in a file of its own.
//!
//! Every call returns at once and answers through a [`Then`]. A user is always a bare JID of ours.
//!
//! - **Reads see every write that was acknowledged before the read was asked for.** A write that is
//!   still on its way may or may not be seen.
//! - **Writes are acknowledged when they are durable.** The writes of one caller take effect in the
//!   order in which they were asked for.
//! - **A write for a user without an account** is refused with [`StoreError::NoAccount`], so that
//!   nothing can outlive its account; a read finds nothing, and a removal has nothing to do.
//! - **An error other than [`Busy`](StoreError::Busy), [`NoAccount`](StoreError::NoAccount) and
//!   [`Invalid`](StoreError::Invalid)** does not say whether the write is there: the power may have
//!   gone between the disk and its answer. A write answered with one of those three is not there.

mod accounts;
mod activity;
mod groups;
mod history;
mod keys;
mod messages;
mod outbox;
mod private;
mod results;
mod rosters;

use crate::StoreError;
use herald_xmpp::jid::BareJid;

pub use accounts::{Accounts, Put};
pub use activity::Activity;
pub use groups::Groups;
pub use history::{History, Page, Retention, Slice};
pub use keys::{ApiKey, Keys};
pub use messages::{Appended, Extra, Kept, Messages, NewMessage, ONCE_MS};
pub use outbox::Outbox;
pub use private::Private;
pub use results::{KeptResult, Results};
pub use rosters::{ROSTER_REMOVALS_MAX, Roster, RosterChange, RosterItem, Rosters, Subscription};

/// What to do with the answer. Called exactly once: from a store thread, or at once on the caller's
/// own when the call is refused unheard ([`StoreError::Busy`], [`StoreError::Closed`]).
///
/// It must be cheap (send to a mailbox, wake a future) and must not wait for the store: all other
/// answers stand behind it. A panic in it is caught and logged.
pub type Then<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Is told of each pending message that has expired, when it is gone: whose it was, and its number. Like a
/// [`Then`] it must be cheap.
pub type Expired = Box<dyn Fn(&BareJid, u64) + Send + Sync>;

/// Everything that must last, behind one object.
pub trait Store:
    Accounts + Activity + Groups + History + Keys + Messages + Outbox + Private + Results + Rosters + Send + Sync + 'static
{
    /// A name this store was given when it was made. When it differs from the one a client knows,
    /// the store was replaced or set back, and ids from before mean nothing.
    fn epoch(&self) -> &str;
    /// What a user begins with, all at one moment; `None` without an account. One question instead of three, for
    /// it is asked at every login.
    fn beginning(&self, user: &BareJid, then: Then<Option<Beginning>>);
    /// Takes nothing new, and waits until everything accepted is durable and answered. Blocks: not
    /// from an async task. Later calls are answered with [`StoreError::Closed`].
    fn close(&self) -> Result<(), StoreError>;
    /// Who is told of messages that expire undelivered, within a second or so. Set once. What expired while
    /// the store was closed is told when it is open again, if somebody wants to know by then.
    fn on_expired(&self, tell: Expired);
    /// How busy it is.
    fn stats(&self) -> Stats;
}

/// What [`Store::beginning`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// As [`Rosters::roster`] says it.
    pub roster: Roster,
    /// As [`Messages::pending_count`] says it.
    pub pending: u64,
}

/// How busy a store is. Counts are since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writes that were committed.
    pub writes: u64,
    /// Commits: each covers one or more writes.
    pub commits: u64,
    /// The time all commits took together, in microseconds.
    pub commit_us: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Calls answered with an error, [`StoreError::Busy`] not counted.
    pub failed: u64,
    /// Calls refused with [`StoreError::Busy`].
    pub busy: u64,
    /// Writes waiting now.
    pub writes_waiting: u64,
    /// Reads waiting now.
    pub reads_waiting: u64,
}
