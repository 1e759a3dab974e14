//! What SQLite says, in the store's words.

use crate::StoreError;
use rusqlite::ErrorCode;

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> StoreError {
        let Some(code) = e.sqlite_error_code() else {
            return StoreError::Failed(e.to_string());
        };
        match code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Locked,
            ErrorCode::DiskFull => StoreError::Full,
            ErrorCode::ReadOnly => StoreError::ReadOnly,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Corrupt(e.to_string()),
            _ => StoreError::Failed(e.to_string()),
        }
    }
}

/// A row that this program cannot have written.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is not what it was written as"))
}
