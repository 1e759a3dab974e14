//! Answers that are given again to a request that is made again (`Idempotency-Key`).

use super::Then;
use bytes::Bytes;

/// Kept answers to requests.
pub trait Results {
    /// What was answered to the request with this key, unless that has expired.
    fn result(&self, key: &str, then: Then<Option<KeptResult>>);
    /// Keeps an answer, in the place of an older one with the same key.
    fn put_result(&self, key: &str, result: KeptResult, then: Then<()>);
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptResult {
    /// SHA-256 of the request: another one with the same key is a mistake of whoever makes it.
    pub request_hash: [u8; 32],
    /// What was answered. Never looked into.
    pub answer: Bytes,
    /// From when on it is as if it had never been, in milliseconds since 1970 UTC.
    pub expires_ms: i64,
}
