//! What can go wrong, in words an operator can act on.

/// Why a store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too much is waiting already; nothing was done. Try again later or tell the sender to wait.
    #[error("the store is busy: its queue is full")]
    Busy,
    /// The store is closed, or its thread is gone.
    #[error("the store is closed")]
    Closed,
    /// The user has no account; nothing was done.
    #[error("there is no such account")]
    NoAccount,
    /// The value cannot be kept; nothing was done.
    #[error("the store cannot keep this: {0}")]
    Invalid(&'static str),
    /// Another process held the database for too long.
    #[error("the database is locked by another process")]
    Locked,
    /// No room on the disk.
    #[error("the disk is full")]
    Full,
    /// The file or its disk may not be written.
    #[error("the database is read-only")]
    ReadOnly,
    /// The file is no database, or a damaged one.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// A later version of the program has made the database.
    #[error("the database has schema version {found}, this program knows versions up to {known}: use a newer program")]
    Newer {
        /// The version found.
        found: u32,
        /// The newest one this program knows.
        known: u32,
    },
    /// The directory or the file cannot be opened or made.
    #[error("cannot open {path}: {why}")]
    Open {
        /// Which one.
        path: String,
        /// What the system said.
        why: String,
    },
    /// Anything else the engine said.
    #[error("the database failed: {0}")]
    Failed(String),
}

/// Of [`append_at`](crate::Messages::append_at).
pub(crate) const NOT_SET_ASIDE: StoreError = StoreError::Invalid("this number is not set aside for a message");
