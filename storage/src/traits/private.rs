//! What users keep for themselves.

use super::Then;
use bytes::Bytes;
use herald_xmpp::jid::BareJid;

/// What users keep for themselves: private XML (XEP-0049), vCards (XEP-0054).
pub trait Private {
    /// What is kept under `space` and `key`.
    fn private(&self, user: &BareJid, space: &str, key: &str, then: Then<Option<Bytes>>);
    /// Keeps `value` there; `None` removes what is there.
    fn put_private(&self, user: &BareJid, space: &str, key: &str, value: Option<Bytes>, then: Then<()>);
}
