//! The log of a user, read by number.

use super::{Kept, Then};
use herald_xmpp::jid::BareJid;

/// How long delivered messages stay. A pending one stays until it is delivered or expires, however old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Delivered messages older than so many days are removed, some time after. 0: there is no history, a
    /// message goes as soon as it is delivered.
    pub days: u32,
    /// Delivered messages so many numbers behind the newest are removed, a few at a time: there may be a
    /// few more. 0: there is no history.
    pub messages_max: u32,
}

impl Retention {
    /// Nothing stays.
    pub const NONE: Retention = Retention { days: 0, messages_max: 0 };

    /// Does a delivered message stay at all?
    pub fn keeps(self) -> bool {
        self.days > 0 && self.messages_max > 0
    }

    /// Removing costs something each time: when this number is given out, so far back it is removed.
    pub(crate) fn remove_to(self, newest: u64) -> Option<u64> {
        let every = u64::from(self.messages_max / 16).clamp(1, 64);
        let to = newest.saturating_sub(self.messages_max.into());
        (self.keeps() && to > 0 && newest.is_multiple_of(every)).then_some(to)
    }
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { days: 30, messages_max: 10_000 }
    }
}

/// Everything that was kept for a user and is still there, delivered or pending.
///
/// Numbers in a history may have gaps: set aside and not used, expired, collapsed. Those mean nothing.
/// What was *removed* while somebody might still want it is told by [`Page::removed_to`].
pub trait History {
    /// One page of it. An expired message that was never delivered is not in it.
    fn history(&self, user: &BareJid, slice: Slice, then: Then<Page>);
}

/// Which part of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Only ids greater than this.
    pub since: u64,
    /// Only ids smaller than this.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
    /// It ends with the message whose stanza brings it to so many bytes.
    pub bytes_max: usize,
    /// From the newest backwards. `items` come in the order of reading.
    pub newest_first: bool,
}

impl Slice {
    /// What comes after the message of this number, oldest first.
    pub fn after(since: u64, limit: u32, bytes_max: usize) -> Slice {
        Slice { since, before: None, limit, bytes_max, newest_first: false }
    }
}

/// A part of a history, and how the whole stands, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In the order of their ids, or against it when [`Slice::newest_first`].
    pub items: Vec<Kept>,
    /// The newest number given out so far; 0: none.
    pub last: u64,
    /// Delivered messages up to this number may have been removed (by age, by count, or because no
    /// history is kept); 0: none. Whoever has all up to some number misses nothing when this is not greater.
    pub removed_to: u64,
    /// More match than are here.
    pub more: bool,
}
