//! A subscription: where it stands in the log, and what the client has acknowledged.

use crate::net::feed::{Feed, Item};
use herald_session::{Delivery, Receipt};
use herald_storage::{Page, Slice};
use herald_xmpp::Resource;
use std::collections::VecDeque;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The user's messages.
    Push,
    /// Who of the contacts is there.
    Presence,
    /// What went wrong with what the client has sent.
    Errors,
}

impl Source {
    pub(super) const ALL: [Source; 3] = [Source::Push, Source::Presence, Source::Errors];

    pub(super) fn destination(self) -> &'static str {
        match self {
            Source::Push => "/user/queue/push",
            Source::Presence => "/user/queue/presence",
            Source::Errors => "/user/queue/errors",
        }
    }

    pub(super) fn at(destination: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|source| source.destination() == destination)
    }
}

/// When a message counts as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ack {
    /// When it is sent.
    Auto,
    /// When it or a later one is acknowledged.
    Client,
    /// When it is acknowledged.
    Individual,
}

impl Ack {
    pub(super) fn of(header: Option<&str>) -> Option<Ack> {
        match header {
            None | Some("auto") => Some(Ack::Auto),
            Some("client") => Some(Ack::Client),
            Some("client-individual") => Some(Ack::Individual),
            Some(_) => None,
        }
    }
}

/// See the module page.
pub(super) struct Subscription {
    /// As the client calls it.
    pub id: String,
    /// As we call it: what `ack` headers begin with.
    pub number: u32,
    pub source: Source,
    pub ack: Ack,
    /// Messages that may be sent and not acknowledged.
    window: usize,
    /// There is none until it is known where it begins, and none for what has no log.
    feed: Option<Feed>,
    /// Sent and not acknowledged, in the order of their numbers.
    unacked: VecDeque<u64>,
    /// The first that the client would not take: that and all behind it stay pending.
    refused: Option<u64>,
}

impl Subscription {
    pub(super) fn new(id: String, number: u32, source: Source, ack: Ack, window: usize) -> Subscription {
        Subscription { id, number, source, ack, window, feed: None, unacked: VecDeque::new(), refused: None }
    }

    /// It begins behind `since`; `last` is the newest number given out.
    pub(super) fn begin(&mut self, since: u64, last: u64) {
        self.feed = Some(Feed::new(Some(since), last));
    }

    fn room(&self) -> usize {
        match self.ack {
            Ack::Auto => usize::MAX,
            _ => self.window.saturating_sub(self.unacked.len()),
        }
    }

    /// The user's actor has handed this over: what is to be sent of it.
    pub(super) fn live(&mut self, delivery: &Delivery) -> Option<Item> {
        let room = self.room();
        let feed = self.feed.as_mut()?;
        if let (Some(Receipt(id)), 0) = (delivery.receipt, room) {
            feed.missed(id);
            return None;
        }
        let item = feed.live(delivery.clone());
        self.note(item.iter());
        item
    }

    /// One with this number was handed over that nobody looked at.
    pub(super) fn missed(&mut self, id: u64) {
        if let Some(feed) = &mut self.feed {
            feed.missed(id);
        }
    }

    /// What is to be read from the log now.
    pub(super) fn wants(&mut self, messages_max: u32, bytes_max: usize) -> Option<Slice> {
        let limit = u32::try_from(self.room()).unwrap_or(u32::MAX).min(messages_max);
        self.feed.as_mut()?.wants(limit, bytes_max)
    }

    /// What was read, of which some may not be for this resource.
    pub(super) fn page(&mut self, resource: Option<&Resource>, page: Page) -> Vec<Item> {
        let items = self.feed.as_mut().map(|feed| feed.page_for(resource, page)).unwrap_or_default();
        self.note(items.iter());
        items
    }

    pub(super) fn page_failed(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.failed();
        }
    }

    /// These are sent.
    fn note<'a>(&mut self, items: impl Iterator<Item = &'a Item>) {
        if self.ack != Ack::Auto {
            self.unacked.extend(items.filter_map(|item| match item {
                Item::Message { id, .. } => *id,
                Item::Gap { .. } => None,
            }));
        }
    }

    /// The client has acknowledged the message of this number, or would not take it.
    pub(super) fn acked(&mut self, id: u64, taken: bool) {
        let through = self.unacked.partition_point(|sent| *sent <= id);
        match self.ack {
            Ack::Auto => return,
            Ack::Client => drop(self.unacked.drain(..through)),
            Ack::Individual => self.unacked.retain(|sent| *sent != id),
        }
        if !taken {
            self.refused = Some(self.refused.map_or(id, |first| first.min(id)));
        }
    }

    /// All up to this number is the client's; `None`, when it is not about the log.
    pub(super) fn read_to(&self) -> Option<u64> {
        let cursor = self.feed.as_ref().filter(|_| self.source == Source::Push)?.cursor();
        let first = self.unacked.front().copied().into_iter().chain(self.refused).min();
        Some(first.map_or(cursor, |first| first - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_storage::Kept;

    fn page(ids: &[u64], last: u64) -> Page {
        let kept = |id: &u64| Kept { id: *id, at_ms: 0, stanza: "<message xmlns='jabber:client'/>".into() };
        Page { items: ids.iter().map(kept).collect(), last, removed_to: 0, more: false }
    }

    fn with(ack: Ack, window: usize) -> Subscription {
        let mut subscription = Subscription::new("s".into(), 0, Source::Push, ack, window);
        subscription.begin(2, 6);
        subscription
    }

    #[test]
    fn what_is_sent_is_received_or_acknowledged() {
        for (ack, acks, read_to) in [
            (Ack::Auto, vec![], 7),
            (Ack::Client, vec![], 2),
            (Ack::Client, vec![(4, true)], 5), // there is none between 4 and 6
            (Ack::Client, vec![(6, true)], 7),
            (Ack::Individual, vec![(4, true), (6, true)], 2),
            (Ack::Individual, vec![(4, true), (3, true)], 5),
            (Ack::Individual, vec![(3, true), (4, false), (6, true), (99, true)], 3),
            (Ack::Client, vec![(3, true), (4, false), (6, true)], 3),
        ] {
            let mut subscription = with(ack, 9);
            assert!(subscription.wants(100, 100).is_some());
            assert_eq!(subscription.page(None, page(&[3, 4, 6], 7)).len(), 3);
            for (id, taken) in &acks {
                subscription.acked(*id, *taken);
            }
            assert_eq!(subscription.read_to(), Some(read_to), "{ack:?} {acks:?}");
        }
    }

    #[test]
    fn a_full_window_reads_no_more() {
        let mut subscription = with(Ack::Client, 2);
        assert_eq!(subscription.wants(100, 100).map(|slice| slice.limit), Some(2));
        let more = Page { more: true, ..page(&[3, 4], 6) };
        assert_eq!(subscription.page(None, more).len(), 2);
        assert_eq!(subscription.wants(100, 100), None);
        subscription.acked(3, true);
        assert_eq!(subscription.wants(100, 100).map(|slice| (slice.since, slice.limit)), Some((4, 1)));
    }
}
