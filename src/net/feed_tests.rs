//! Random interleavings of appends, live deliveries, pages, expiry and retention: nothing is lost, nothing doubled,
//! all in order.

use super::*;
use bytes::Bytes;
use herald_storage::Kept;
use herald_xmpp::{Kind, MessageType};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

fn stanza(text: &str) -> Stanza {
    Stanza::new(Kind::Message(MessageType::Chat)).payload(Bytes::from(format!("<body>{text}</body>")))
}

fn delivery(id: Option<u64>, text: &str) -> Delivery {
    Delivery { receipt: id.map(Receipt), ..Delivery::new(stanza(text)) }
}

/// What was passed on, as a test compares it: a number, a headline, or a gap.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Message(u64),
    Headline(String),
    Gap(u64, u64),
}

fn seen(item: Item) -> Seen {
    match item {
        Item::Gap { after, before } => Seen::Gap(after, before),
        Item::Message { id, stanza, .. } => {
            let body = stanza.child("body", herald_xmpp::ns::CLIENT).map(|b| b.text().into_owned());
            match id {
                Some(id) => {
                    assert_eq!(body, Some(id.to_string()), "the number and the message belong together");
                    Seen::Message(id)
                }
                None => Seen::Headline(body.unwrap_or_default()),
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// A message is kept, and on its way to the link.
    Append,
    /// A number is given out and never used.
    SetAside,
    /// The first on its way arrives.
    Arrive,
    /// It arrives, and there is no room.
    Overflow,
    Headline,
    /// The follower has room for so many.
    Room(u32),
    /// The store reads what was asked for.
    Read,
    /// What was read arrives.
    Answer,
    Fail,
    /// One of those in the log expires.
    Expire(usize),
    /// Retention removes so many of the oldest, but for every third, which is still pending.
    Retain(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Append),
        1 => Just(Act::SetAside),
        6 => Just(Act::Arrive),
        1 => Just(Act::Overflow),
        1 => Just(Act::Headline),
        4 => (1u32..6).prop_map(Act::Room),
        4 => Just(Act::Read),
        4 => Just(Act::Answer),
        1 => Just(Act::Fail),
        1 => (0usize..8).prop_map(Act::Expire),
        1 => (0usize..8).prop_map(Act::Retain),
    ]
}

/// A store, a link and a follower.
struct World {
    feed: Feed,
    log: BTreeMap<u64, ()>,
    last: u64,
    removed_to: u64,
    /// Expired or never used: these may be missing without a word.
    missing: BTreeSet<u64>,
    on_its_way: VecDeque<u64>,
    asked: Option<Slice>,
    read: Option<Page>,
    headlines: usize,
    seen: Vec<Seen>,
}

impl World {
    /// So many messages are there, and the client has all up to `since`.
    fn new(before: u64, removed: u64, since: Option<u64>) -> World {
        let log = (removed + 1..=before).map(|id| (id, ())).collect();
        World {
            feed: Feed::new(since, before),
            log,
            last: before,
            removed_to: removed,
            missing: BTreeSet::new(),
            on_its_way: VecDeque::new(),
            asked: None,
            read: None,
            headlines: 0,
            seen: Vec::new(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Append => {
                self.last += 1;
                self.log.insert(self.last, ());
                self.on_its_way.push_back(self.last);
            }
            Act::SetAside => {
                self.last += 1;
                self.missing.insert(self.last);
            }
            Act::Arrive => {
                if let Some(id) = self.on_its_way.pop_front() {
                    let item = self.feed.live(delivery(Some(id), &id.to_string()));
                    self.seen.extend(item.map(seen));
                }
            }
            Act::Overflow => {
                if let Some(id) = self.on_its_way.pop_front() {
                    self.feed.missed(id);
                }
            }
            Act::Headline => {
                self.headlines += 1;
                let item = self.feed.live(delivery(None, &format!("h{}", self.headlines)));
                self.seen.push(seen(item.expect("a headline is never held up")));
            }
            Act::Room(limit) => {
                if let Some(slice) = self.feed.wants(limit, 1_000) {
                    assert!(self.asked.is_none() && self.read.is_none(), "one page at a time");
                    self.asked = Some(slice);
                }
            }
            Act::Read => {
                if let Some(slice) = self.asked.take() {
                    self.read = Some(self.page(slice));
                }
            }
            Act::Answer => {
                if let Some(page) = self.read.take() {
                    let items = self.feed.page_for(None, page);
                    self.seen.extend(items.into_iter().map(seen));
                }
            }
            Act::Fail => {
                if self.asked.take().is_some() || self.read.take().is_some() {
                    self.feed.failed();
                }
            }
            Act::Expire(nth) => {
                if let Some(id) = self.log.keys().nth(nth).copied() {
                    self.log.remove(&id);
                    self.missing.insert(id);
                }
            }
            Act::Retain(count) => {
                let oldest: Vec<u64> = self.log.keys().take(count).copied().collect();
                for id in oldest.into_iter().filter(|id| id % 3 > 0) {
                    self.log.remove(&id);
                    self.removed_to = self.removed_to.max(id);
                }
            }
        }
    }

    fn page(&self, slice: Slice) -> Page {
        let kept = |(id, ()): (&u64, &())| Kept { id: *id, at_ms: 7, stanza: stanza(&id.to_string()).to_bytes(true) };
        let all = self.log.range(slice.since + 1..);
        let items: Vec<Kept> = all.clone().take(slice.limit as usize).map(kept).collect();
        Page { more: items.len() < all.count(), items, last: self.last, removed_to: self.removed_to }
    }

    /// One more is kept, and all that is on its way arrives.
    fn settle(&mut self) {
        self.act(Act::Append);
        while !self.on_its_way.is_empty() {
            self.act(Act::Arrive);
        }
        for act in [Act::Read, Act::Answer].repeat(2) {
            self.act(act);
        }
        for _ in 0..=self.last {
            [Act::Room(3), Act::Read, Act::Answer].into_iter().for_each(|act| self.act(act));
        }
        assert_eq!(self.feed.wants(3, 3), None, "it comes to an end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_nothing_doubled_all_in_order(
        before in 0u64..12,
        removed in 0u64..12,
        since in prop::option::of(0u64..12),
        acts in prop::collection::vec(act(), 0..120),
    ) {
        let (removed, since) = (removed.min(before), since.map(|since| since.min(before)));
        let mut world = World::new(before, removed, since);
        for act in acts {
            world.act(act);
        }
        world.settle();
        let begin = since.unwrap_or(before);
        let (mut at, mut headlines) = (begin, 0);
        let (mut told, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for seen in &world.seen {
            match seen {
                Seen::Message(id) => {
                    prop_assert!(*id > at, "{id} after {at}: {:?}", world.seen);
                    at = *id;
                    told.insert(*id);
                }
                Seen::Gap(after, next) => {
                    prop_assert!(*after >= at && *next > after + 1, "{:?}", world.seen);
                    prop_assert!(*after < world.removed_to, "no gap without retention: {:?}", world.seen);
                    at = next - 1;
                    gone.extend(after + 1..*next);
                }
                Seen::Headline(text) => {
                    headlines += 1;
                    prop_assert_eq!(text, &format!("h{headlines}"));
                }
            }
        }
        prop_assert_eq!(headlines, world.headlines);
        for id in begin + 1..=world.last {
            let there = told.contains(&id) || gone.contains(&id) || world.missing.contains(&id);
            prop_assert!(there, "{id} is lost: {:?}", world.seen);
            prop_assert!(!(gone.contains(&id) && world.log.contains_key(&id)), "{id} is there: {:?}", world.seen);
        }
        prop_assert_eq!(world.feed.cursor(), world.last);
    }
}

#[test]
fn in_quiet_times_everything_is_passed_on_as_it_comes() {
    let mut feed = Feed::new(None, 7);
    for id in 8..20 {
        let item = feed.live(delivery(Some(id), &id.to_string())).map(seen);
        assert_eq!(item, Some(Seen::Message(id)));
        assert_eq!(feed.wants(10, 1_000), None, "the store is not asked");
    }
    assert!(feed.live(delivery(Some(19), "19")).is_none(), "that was passed on");
}

#[test]
fn a_number_from_another_log_begins_anew() {
    let mut feed = Feed::new(Some(40), 7);
    let slice = feed.wants(10, 1_000).expect("there is something to read");
    assert_eq!((slice.since, slice.limit, slice.bytes_max), (0, 10, 1_000));
}

#[test]
fn without_room_nothing_is_asked_and_nothing_is_lost() {
    let mut feed = Feed::new(Some(0), 1);
    assert_eq!((feed.wants(0, 1_000), feed.wants(10, 0)), (None, None));
    assert!(feed.wants(10, 1_000).is_some());
    assert_eq!(feed.wants(10, 1_000), None, "one page at a time");
    feed.failed();
    assert!(feed.wants(10, 1_000).is_some(), "again");
}

#[test]
fn a_follower_is_small() {
    assert!(size_of::<Feed>() <= 24);
}
