//! What a store can do, in four narrow traits.
//!
//! Every call returns at once and answers through a [`Then`]. A user is always a bare JID of ours.
//!
//! - **Reads see every write that was acknowledged before the read was asked for.** A write that is
//!   still on its way may or may not be seen.
//! - **Writes are acknowledged when they are durable.** The writes of one caller take effect in the
//!   order in which they were asked for.
//! - **A write for a user without an account** is refused with [`StoreError::NoAccount`], so that
//!   nothing can outlive its account; a read finds nothing, and a removal has nothing to do.
//! - **An error other than [`Busy`](StoreError::Busy), [`NoAccount`](StoreError::NoAccount) and
//!   [`Invalid`](StoreError::Invalid)** does not say whether the write is there: the power may have
//!   gone between the disk and its answer. A write answered with one of those three is not there.

use crate::StoreError;
use bytes::Bytes;
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::Credentials;

/// What to do with the answer. Called exactly once: from a store thread, or at once on the caller's
/// own when the call is refused unheard ([`StoreError::Busy`], [`StoreError::Closed`]).
///
/// It must be cheap (send to a mailbox, wake a future) and must not wait for the store: all other
/// answers stand behind it. A panic in it is caught and logged.
pub type Then<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

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

/// Rosters with versions (RFC 6121 section 2).
pub trait Rosters {
    /// The whole roster, hidden items too, in the order of the contacts' JIDs, with its version.
    fn roster(&self, user: &BareJid, then: Then<Roster>);
    /// Writes the item, whole. Answers the roster's new version.
    fn put_item(&self, user: &BareJid, item: RosterItem, then: Then<u64>);
    /// Removes the item. Answers the roster's new version, or the old one when there was no such item.
    fn remove_item(&self, user: &BareJid, contact: &BareJid, then: Then<u64>);
    /// What a client that knows `version` must be told, oldest first, each contact once, hidden
    /// items left out. `None`: this version was never given out or is too old, send it all.
    fn roster_since(&self, user: &BareJid, version: u64, then: Then<Option<Vec<RosterChange>>>);
}

/// So many removals of contacts a roster remembers for [`Rosters::roster_since`]; who knows only a
/// version from before them gets the whole roster.
pub const ROSTER_REMOVALS_MAX: u32 = 256;

/// A roster as it is at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Grows with every change.
    pub version: u64,
    /// In the order of their JIDs.
    pub items: Vec<RosterItem>,
}

/// One contact (RFC 6121 section 2.1.2 and the states of its appendix A).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterItem {
    /// Who.
    pub jid: BareJid,
    /// What the user calls them.
    pub name: Option<CompactString>,
    /// Where the user puts them. XML text: a name with U+001F is refused as [`StoreError::Invalid`].
    pub groups: Vec<CompactString>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// A subscription request of ours is unanswered ("pending out").
    pub ask: bool,
    /// Their request is granted before it comes (RFC 6121 section 3.4).
    pub approved: bool,
    /// Their request is unanswered ("pending in"): the stanza as it came.
    pub pending_in: Option<Bytes>,
    /// `false`: hidden, not a roster item for any client; only `pending_in` is kept here.
    pub in_roster: bool,
}

impl RosterItem {
    /// A contact in the roster with nothing else said.
    pub fn new(jid: BareJid) -> RosterItem {
        RosterItem {
            jid,
            name: None,
            groups: Vec::new(),
            subscription: Subscription::None,
            ask: false,
            approved: false,
            pending_in: None,
            in_roster: true,
        }
    }
}

/// RFC 6121 section 2.1.2.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subscription {
    /// Neither sees the other.
    #[default]
    None,
    /// The user sees the contact.
    To,
    /// The contact sees the user.
    From,
    /// Each sees the other.
    Both,
}

impl Subscription {
    /// The value of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }
}

/// One step from an older version of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterChange {
    /// The version this step made: for the `ver` of its push.
    pub version: u64,
    /// Who.
    pub jid: BareJid,
    /// What it is now; `None` when it is gone from the roster.
    pub item: Option<RosterItem>,
}

/// Messages kept for users. Each has a number from that user's own counter, in the order in which they
/// were kept, never given twice, not even when all messages are delivered. The numbers have no gaps but
/// those that were asked for with [`Messages::reserve`].
pub trait Messages {
    /// Keeps a message and gives it its id.
    fn append(&self, user: &BareJid, message: NewMessage, then: Then<Appended>);
    /// Sets the next `count` numbers aside, for messages that may yet come and belong before all that is
    /// appended from now on. Answers the first of them. It takes effect among the appends of its caller in
    /// the order in which it was asked for.
    fn reserve(&self, user: &BareJid, count: u32, then: Then<u64>);
    /// Keeps a message under a number that was set aside. [`StoreError::Invalid`] when that number was not
    /// given out yet, or has a message.
    fn append_at(&self, user: &BareJid, id: u64, message: NewMessage, then: Then<()>);
    /// The undelivered and unexpired messages with an id greater than `after`, in the order of their
    /// ids: a page. It ends with its `limit`th message, or with the one whose stanza brings it to
    /// `bytes_max` bytes; more is not read.
    fn pending(&self, user: &BareJid, after: u64, limit: u32, bytes_max: usize, then: Then<Vec<Kept>>);
    /// These are delivered: they are not pending any more. Ids that are not there are passed over.
    fn delivered(&self, user: &BareJid, ids: Vec<u64>, then: Then<()>);
    /// How many are pending. How many there may be is the caller's rule.
    fn pending_count(&self, user: &BareJid, then: Then<u64>);
}

/// A message to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// When it came, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// From when on nobody wants it, in milliseconds since 1970 UTC. `None`: never.
    pub expires_ms: Option<i64>,
    /// The stanza as it is to be sent. Never looked into.
    pub stanza: Bytes,
}

/// A message is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its number with that user. The first is 1, or greater where the name once belonged to another.
    pub id: u64,
}

/// A message that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number with that user.
    pub id: u64,
    /// When it came, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The stanza as it was given.
    pub stanza: Bytes,
}

/// What users keep for themselves: private XML (XEP-0049), vCards (XEP-0054).
pub trait Private {
    /// What is kept under `space` and `key`.
    fn private(&self, user: &BareJid, space: &str, key: &str, then: Then<Option<Bytes>>);
    /// Keeps `value` there; `None` removes what is there.
    fn put_private(&self, user: &BareJid, space: &str, key: &str, value: Option<Bytes>, then: Then<()>);
}

/// Everything that must last, behind one object.
pub trait Store: Accounts + Rosters + Messages + Private + Send + Sync + 'static {
    /// A name this store was given when it was made. When it differs from the one a client knows,
    /// the store was replaced or set back, and ids from before mean nothing.
    fn epoch(&self) -> &str;
    /// Takes nothing new, and waits until everything accepted is durable and answered. Blocks: not
    /// from an async task. Later calls are answered with [`StoreError::Closed`].
    fn close(&self) -> Result<(), StoreError>;
    /// How busy it is.
    fn stats(&self) -> Stats;
}

/// How busy a store is. Counts are since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writes that were committed.
    pub writes: u64,
    /// Commits: each covers one or more writes.
    pub commits: u64,
    /// The time all commits took together, in microseconds.
    pub commit_us: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Calls answered with an error, [`StoreError::Busy`] not counted.
    pub failed: u64,
    /// Calls refused with [`StoreError::Busy`].
    pub busy: u64,
    /// Writes waiting now.
    pub writes_waiting: u64,
    /// Reads waiting now.
    pub reads_waiting: u64,
}
