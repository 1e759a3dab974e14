//! What a follower has of its user's log: a cursor, what is to be read, and what may be passed on as it comes.
//!
//! A follower is a link (comet, STOMP, herald.v1) whose client knows the number of the last message it has. The
//! store is the truth and live delivery a hint: the message behind the cursor is passed on as it comes; a later one
//! says that there is something between, which is read from the log, that one included. So a follower with no room
//! may forget what it is handed ([`Feed::missed`]) and reads it when there is room. Numbers may have gaps (set
//! aside, expired, collapsed): what is not in the log is passed over. What *retention* removed before this client
//! had it is told as an [`Item::Gap`].
//!
//! Nothing is lost between binding and reading when the resource is bound first, the newest number asked then, and
//! all that was handed over meanwhile told to [`Feed::live`] or [`Feed::missed`] in its order. The machine holds no
//! message, reads no clock and touches no store: three words for each follower.

use herald_session::log::{self, Entry};
use herald_session::{Delivery, Receipt};
use herald_storage::{Kept, Page, Slice};
use herald_xmpp::{Resource, Stanza};
use std::sync::Arc;

/// See the module page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Feed {
    /// All up to this number was passed on, or is not there.
    cursor: u64,
    /// There is, or was, something with this number. Above the cursor: it is to be read.
    wanted: u64,
    /// A page is being read; what was wanted when it was asked for. 0: none is.
    asked: u64,
}

/// What is for the client.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// `at_ms` is when it came, in milliseconds since 1970 UTC; `None`: just now. Only those with an `id` are in
    /// the log.
    Message { id: Option<u64>, at_ms: Option<i64>, stanza: Arc<Stanza> },
    /// Of the numbers greater than `after` and smaller than `before`, some were removed by retention.
    Gap { after: u64, before: u64 },
}

impl Item {
    /// A message as it stands in the log; `None`, when it cannot be read or is not for this resource.
    pub(crate) fn of_log(kept: &Kept, resource: Option<&Resource>) -> Option<Item> {
        match log::read(&kept.stanza, resource.map(Resource::as_str)) {
            Entry::Message(stanza) => {
                Some(Item::Message { id: Some(kept.id), at_ms: Some(kept.at_ms), stanza: Arc::new(stanza) })
            }
            Entry::NotForIt | Entry::Broken => None,
        }
    }
}

impl Feed {
    /// For a client that has all up to `since`, where `last` is the newest number given out. `None`, it wants only
    /// what comes from now on. A `since` beyond `last` is of another log: it begins at the beginning of this one.
    pub(crate) fn new(since: Option<u64>, last: u64) -> Feed {
        let cursor = match since {
            None => last,
            Some(since) if since > last => 0,
            Some(since) => since,
        };
        Feed { cursor, wanted: last, asked: 0 }
    }

    /// The user's actor has handed this over: what is to be passed on now. `None`: it was passed on already, or
    /// comes from the log.
    pub(crate) fn live(&mut self, delivery: Delivery) -> Option<Item> {
        let id = delivery.receipt.map(|Receipt(id)| id);
        if let Some(id) = id {
            if id <= self.cursor {
                return None;
            }
            if self.wanted > self.cursor || self.asked > 0 || id != self.cursor + 1 {
                self.missed(id);
                return None;
            }
            (self.cursor, self.wanted) = (id, id);
        }
        Some(Item::Message { id, at_ms: None, stanza: delivery.stanza })
    }

    /// One with this number was handed over, for which there is no room: it comes from the log.
    pub(crate) fn missed(&mut self, id: u64) {
        self.wanted = self.wanted.max(id);
    }

    /// What is to be read from the log now, if anything: then [`Feed::page_for`] or [`Feed::failed`] is next. About
    /// `bytes_max` bytes of at most `limit` messages; nothing, when either is 0.
    pub(crate) fn wants(&mut self, limit: u32, bytes_max: usize) -> Option<Slice> {
        if self.wanted <= self.cursor || self.asked > 0 || limit == 0 || bytes_max == 0 {
            return None;
        }
        self.asked = self.wanted;
        Some(Slice { since: self.cursor, before: None, limit, bytes_max, newest_first: false })
    }

    /// What was read, for one resource, which some messages are not for. There may be more: see [`Feed::wants`].
    pub(crate) fn page_for(&mut self, resource: Option<&Resource>, page: Page) -> Vec<Item> {
        let asked = std::mem::take(&mut self.asked);
        let mut items = Vec::with_capacity(page.items.len() + 1);
        let last_of_page = page.items.last().map(|kept| kept.id);
        let known = self.cursor;
        for kept in page.items.into_iter().filter(|kept| kept.id > known) {
            self.skip(kept.id.min(page.removed_to.saturating_add(1)), kept.id, &mut items);
            self.cursor = kept.id;
            // What is not for it has no place in what it has; nor has what cannot be read, and there is nobody to tell.
            items.extend(Item::of_log(&kept, resource));
        }
        // A page that says that there is more and goes no further would be read for ever.
        if !page.more || last_of_page.is_none() {
            let end = page.last.max(asked);
            self.skip(page.removed_to.saturating_add(1), page.removed_to.saturating_add(1), &mut items);
            self.cursor = self.cursor.max(end);
        }
        self.wanted = self.wanted.max(self.cursor);
        items
    }

    /// The log could not be read: it is asked for again.
    pub(crate) fn failed(&mut self) {
        self.asked = 0;
    }

    /// All up to this number was passed on, or is not there.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Tells of what retention removed between the cursor and `removed_before`; the next one there is `before`.
    fn skip(&mut self, removed_before: u64, before: u64, items: &mut Vec<Item>) {
        if removed_before > self.cursor + 1 {
            items.push(Item::Gap { after: self.cursor, before });
            self.cursor = before - 1;
        }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
