//! One numbered log for each user.

use super::Then;
use bytes::Bytes;
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;

/// So long a second message with the same [`Extra::once`] is known for one that is there already.
pub const ONCE_MS: i64 = 24 * 60 * 60 * 1000;

/// Messages kept for users. Each has a number from that user's own counter, in the order in which they
/// were kept, never given twice, not even when all messages are gone. The numbers have no gaps but those
/// that were asked for with [`Messages::reserve`].
///
/// A message is *pending* until it is delivered or expires. A delivered one stays in the history (see
/// [`History`](super::History)) as long as the store was told to keep one, or else is gone at once.
pub trait Messages {
    /// Keeps a message and gives it its id. One that has expired already gets an id and is not kept.
    fn append(&self, user: &BareJid, message: NewMessage, then: Then<Appended>);
    /// Sets the next `count` numbers aside, for messages that may yet come and belong before all that is
    /// appended from now on. Answers the first of them. It takes effect among the appends of its caller in
    /// the order in which it was asked for.
    fn reserve(&self, user: &BareJid, count: u32, then: Then<u64>);
    /// Keeps a message under a number that was set aside. [`StoreError::Invalid`](crate::StoreError::Invalid)
    /// when that number was not given out yet, or has a message. It is pending even when later ones are not
    /// any more. Of what is rare only [`Extra::shared`] counts here.
    fn append_at(&self, user: &BareJid, id: u64, message: NewMessage, then: Then<()>);
    /// The undelivered and unexpired messages with an id greater than `after`, in the order of their
    /// ids: a page. It ends with its `limit`th message, or with the one whose stanza brings it to
    /// `bytes_max` bytes; more is not read.
    fn pending(&self, user: &BareJid, after: u64, limit: u32, bytes_max: usize, then: Then<Vec<Kept>>);
    /// These are delivered: they are not pending any more. Ids that are not there are passed over.
    fn delivered(&self, user: &BareJid, ids: Vec<u64>, then: Then<()>);
    /// All up to `id` are delivered, itself too. Answers how many are pending still.
    fn delivered_to(&self, user: &BareJid, id: u64, then: Then<u64>);
    /// How many are pending. How many there may be is the caller's rule.
    fn pending_count(&self, user: &BareJid, then: Then<u64>);
}

/// A message to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// When it came, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// From when on nobody wants it, in milliseconds since 1970 UTC. `None`: never. It matters only while
    /// the message is pending.
    pub expires_ms: Option<i64>,
    /// The stanza as it is to be sent. Never looked into.
    pub stanza: Bytes,
    /// What is rare about it; `None` costs nothing.
    pub extra: Option<Box<Extra>>,
}

/// What is rare about a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// All messages with this number, of whatever users, have one stanza, and it is kept once: a group's
    /// message. The first one's stanza is the one that is kept. It goes with the last of them.
    pub shared: Option<u128>,
    /// A pending message of this user with the same key goes when this one comes: only the newest matters.
    pub collapse: Option<CompactString>,
    /// A second message of this user with the same key within [`ONCE_MS`] is not kept; its answer is the
    /// first one's id.
    pub once: Option<CompactString>,
    /// In the history only, never pending. Where no history is kept it gets a number and is gone: removed.
    pub log_only: bool,
}

/// A message is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its number with that user. The first is 1, or greater where the name once belonged to another.
    pub id: u64,
    /// It was there already: the same [`Extra::once`] came within [`ONCE_MS`]. Nothing was written.
    pub repeated: bool,
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
