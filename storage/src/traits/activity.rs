//! When users were last there.

use super::Then;
use herald_xmpp::jid::BareJid;

/// When users were last online.
pub trait Activity {
    /// For each of them, when they were last online, in milliseconds since 1970 UTC. `None`: never, as far
    /// as is known, or no such account.
    fn last_seen(&self, users: Vec<BareJid>, then: Then<Vec<Option<i64>>>);
    /// They were online until then.
    fn put_last_seen(&self, user: &BareJid, at_ms: i64, then: Then<()>);
}
