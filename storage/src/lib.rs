//! What must last: accounts, rosters, messages kept for users, and what users keep for themselves.
//!
//! | room | what is in it |
//! |---|---|
//! | [`traits`] | what a store can do, in narrow traits, and what it promises |
//! | [`error`] | what can go wrong |
//! | [`sqlite`] | the traits on SQLite |
//! | [`memory`] | the traits on a map, for tests |
//!
//! Callers hold an `Arc<dyn Store>` and know no engine. Every call returns at once; its answer goes
//! to a [`Then`], or is waited for with [`wait`] (blocking) or [`ask()`] (a future).
//!
//! **An acknowledgement means kept:** a write is answered when it is durable, never before. One
//! thread writes and groups commits - many acknowledgements, one wait for the disk - and others
//! read beside it. What waits for them is bounded; beyond that a call is refused at once with
//! [`StoreError::Busy`], and it is the caller who slows down or tells the sender.
//!
//! Several processes may have the same store open.
//!
//! ```
//! use herald_storage::{Store, sqlite::{Settings, Sqlite}, wait};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let dir = home.path();
//! let store = Sqlite::open(dir, Settings::default())?;
//! assert_eq!(wait(|then| store.account_count(then))?, 0);
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! Every engine must pass `tests/conformance`, which knows only the traits.

mod ask;
mod clock;
pub mod error;
pub mod memory;
pub mod sqlite;
pub mod traits;

pub use ask::{Answer, ask, wait};
pub use error::StoreError;
pub use memory::Memory;
pub use sqlite::Sqlite;
pub use traits::*;
