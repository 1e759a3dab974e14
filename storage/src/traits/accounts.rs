//! Who may log in.

use super::Then;
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::Credentials;

/// Who may log in. Keys only: no password is ever stored.
pub trait Accounts {
    /// The keys of `user`; `None` when there is no such account.
    fn account(&self, user: &BareJid, then: Then<Option<Credentials>>);
    /// Writes the keys of `user`, as `how` says. Answers whether it did.
    fn put_account(&self, user: &BareJid, keys: Credentials, how: Put, then: Then<bool>);
    /// Creates all of them, or none; one that is there already gets the new keys. Answers how many
    /// are new.
    ///
    /// It is one operation: other writes wait for it. Some 1,000 at a time is a good measure.
    fn import(&self, accounts: Vec<(BareJid, Credentials)>, then: Then<u64>);
    /// Removes the account and everything that is theirs, at once. Answers whether there was one.
    ///
    /// Nothing of it comes back when the name is given to someone new, and that account's message
    /// ids and roster versions are all greater than the ones the old account had: a device that
    /// remembers the old ones cannot take the new ones for them.
    fn delete_account(&self, user: &BareJid, then: Then<bool>);
    /// The accounts whose JID comes after `after`, in the order of their bytes, at most `limit`.
    fn accounts(&self, after: Option<BareJid>, limit: u32, then: Then<Vec<BareJid>>);
    /// How many accounts there are.
    fn account_count(&self, then: Then<u64>);
}

/// When [`Accounts::put_account`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Only when there is no such account.
    Create,
    /// Only when there is one.
    Replace,
    /// Always.
    Upsert,
}
