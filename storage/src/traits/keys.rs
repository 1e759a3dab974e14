//! Keys that backends show to the operator's API.

use super::Then;
use compact_str::CompactString;

/// Named keys of backends.
pub trait Keys {
    /// Writes the key, in the place of one of the same name. Answers whether it is new.
    fn put_key(&self, key: ApiKey, then: Then<bool>);
    /// All of them, in the order of the bytes of their names.
    fn keys(&self, then: Then<Vec<ApiKey>>);
    /// Removes the key. Answers whether there was one.
    fn delete_key(&self, name: &str, then: Then<bool>);
}

/// A key as it is kept: its secret is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// What the operator calls it.
    pub name: CompactString,
    /// SHA-256 of the secret. That has 256 random bits, so its plain hash tells nothing.
    pub hash: [u8; 32],
    /// What may be done with it. A scope with U+001F is refused as
    /// [`StoreError::Invalid`](crate::StoreError::Invalid).
    pub scopes: Vec<CompactString>,
    /// When it was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
}
