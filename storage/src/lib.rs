//! What must last: accounts, rosters, messages kept for users, and what users keep for themselves.
//!
//! | room | what is in it |
//! |---|---|
//! | [`traits`] | what a store can do, in four narrow traits, and what it promises |
//! | [`error`] | what can go wrong |
//! | [`ask`] | waiting for an answer: blocking, or as a future |
//! | [`sqlite`] | the traits on SQLite |
//! | [`memory`] | the traits on a map, for tests |
//!
//! Callers hold an `Arc<dyn Store>` and know no engine. An acknowledgement means kept: a write is
//! answered when it is durable, never before.

pub mod ask;
mod clock;
pub mod error;
pub mod memory;
pub mod sqlite;
pub mod traits;

pub use ask::{Answer, ask, wait};
pub use error::StoreError;
pub use memory::Memory;
pub use sqlite::Sqlite;
pub use traits::{
    Accounts, Appended, Kept, Messages, NewMessage, Private, Put, ROSTER_REMOVALS_MAX, Roster, RosterChange,
    RosterItem, Rosters, Stats, Store, Subscription, Then,
};
