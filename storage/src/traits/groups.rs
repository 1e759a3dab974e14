//! Groups of users: teams, rooms, whoever is sent the same.

use super::Then;
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;

/// Named groups. A user may be in many; with the account they leave all of them.
pub trait Groups {
    /// Makes them members; the group is made when there is none of that name. Answers how many are new in
    /// it. All or none: [`StoreError::NoAccount`](crate::StoreError::NoAccount) when one of them has no account.
    fn join(&self, group: &str, users: Vec<BareJid>, then: Then<u64>);
    /// They are members no more; the group stays, even empty. Answers how many were.
    fn leave(&self, group: &str, users: Vec<BareJid>, then: Then<u64>);
    /// The members whose JID comes after `after`, in the order of their bytes, at most `limit`. `None`: there
    /// is no such group.
    fn members(&self, group: &str, after: Option<BareJid>, limit: u32, then: Then<Option<Vec<BareJid>>>);
    /// The groups whose name comes after `after`, in the order of their bytes, at most `limit`, and how many
    /// members each has.
    fn groups(&self, after: Option<CompactString>, limit: u32, then: Then<Vec<(CompactString, u64)>>);
    /// Removes the group. Answers whether there was one.
    fn delete_group(&self, group: &str, then: Then<bool>);
}
