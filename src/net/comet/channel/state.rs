//! What a channel knows, and who is there. No lock, no clock, no store.

use super::super::log::Log;
use super::super::sub::{Over, PIECE_BYTES_MAX, PIECE_MESSAGES_MAX, Sub};
use super::{Found, Item, Wakers};
use crate::net::comet::said;
use crate::net::deadlines::Slot;
use herald_session::Seat;
use herald_storage::Page;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Under the lock of [`Channel`](super::Channel).
pub(super) struct State {
    pub log: Log,
    /// The resource of its user. A channel that was only pushed to has none.
    pub seat: Option<Seat>,
    pub subs: Subs,
    /// When the wheel will look at it next.
    pub armed: Option<Slot>,
    /// Since when nobody has subscribed, in seconds since the start.
    pub idle_since: u32,
    /// Up to this number everything was acknowledged.
    pub acked: u64,
    /// The newest number that something kept may have.
    pub unread: u64,
    pub others: Others,
    /// Those that were there before have shown themselves.
    pub knows_others: bool,
    /// It is not in the table any more.
    pub gone: bool,
}

/// One subscriber.
pub(super) struct Entry {
    pub sub: Arc<Sub>,
    /// The number it wants next.
    pub want: u64,
    /// It does not know that.
    tell: bool,
}

/// Everybody who subscribes: one, almost always.
pub(super) enum Subs {
    None,
    One(Entry),
    #[allow(clippy::box_collection)] // what is rare is not to take room from what is not
    Many(Box<Vec<Entry>>),
}

/// The other resources of the user.
#[derive(Default)]
pub(super) struct Others {
    #[allow(clippy::box_collection)] // 8 bytes while there are none, not 24
    there: Option<Box<Vec<Box<str>>>>,
}

/// What is in memory for a subscriber.
pub(super) enum Looked {
    Found(Found),
    /// What is behind `since` has to be read from the store; above `floor` it is in memory.
    Old {
        since: u64,
        floor: u64,
    },
}

impl State {
    pub(super) fn new(now: u32) -> State {
        State {
            log: Log::new(0),
            seat: None,
            subs: Subs::None,
            armed: None,
            idle_since: now,
            acked: 0,
            unread: 0,
            others: Others::default(),
            knows_others: false,
            gone: false,
        }
    }

    pub(super) fn has_unread(&self) -> bool {
        self.acked < self.unread
    }

    /// A subscriber comes; the number it will get, and whether there is something for it at once.
    pub(super) fn begin(&mut self, sub: &Arc<Sub>, seq: i64, oldest: Option<u64>) -> (u64, bool) {
        let next = self.log.next();
        let asked = u64::try_from(seq).unwrap_or(1); // below 0: all there is
        let (want, tell) = match asked {
            0 => (oldest.unwrap_or(next), true),
            asked if asked > next => (next, true),
            asked => (asked, false),
        };
        if seq > 0 && !tell {
            self.read_to(want - 1);
        }
        self.subs.push(Entry { sub: sub.clone(), want, tell });
        (want, tell || want <= self.log.last())
    }

    /// False when it was not there.
    pub(super) fn leave(&mut self, sub: &Arc<Sub>) -> bool {
        let place = self.subs.iter().position(|entry| Arc::ptr_eq(&entry.sub, sub));
        place.is_some_and(|place| self.subs.remove(place))
    }

    pub(super) fn want_of(&self, sub: &Arc<Sub>) -> Option<u64> {
        self.subs.iter().find(|entry| Arc::ptr_eq(&entry.sub, sub)).map(|entry| entry.want)
    }

    /// Collects what is in memory.
    pub(super) fn look(&mut self, sub: &Arc<Sub>, place: usize, items: &mut Vec<Item>) -> Looked {
        let State { subs, log, .. } = self;
        let Some(entry) = subs.iter_mut().find(|entry| Arc::ptr_eq(&entry.sub, sub)) else {
            return Looked::Found(Found::All);
        };
        if std::mem::take(&mut entry.tell) {
            items.push(Item::word("next_seq", place, entry.want as i64));
            if !sub.form.streams() {
                return Looked::Found(Found::All); // it comes again and says so
            }
        }
        if entry.want <= log.floor() {
            if items.len() >= PIECE_MESSAGES_MAX {
                return Looked::Found(Found::More);
            }
            return Looked::Old { since: entry.want.saturating_sub(1), floor: log.floor() };
        }
        let mut bytes = 0;
        for line in log.lines(entry.want) {
            if items.len() >= PIECE_MESSAGES_MAX || bytes >= PIECE_BYTES_MAX {
                return Looked::Found(Found::More);
            }
            bytes += line.content.len();
            entry.want = line.seq + 1;
            let content = Some(line.content.clone());
            items.push(Item { kind: line.kind.as_str(), place, seq: line.seq as i64, content });
        }
        entry.want = entry.want.max(log.last() + 1);
        Looked::Found(Found::All)
    }

    /// Collects what the store had. `None`: it is to be looked once more.
    pub(super) fn read(
        &mut self,
        sub: &Arc<Sub>,
        place: usize,
        (since, floor): (u64, u64),
        page: &Page,
        items: &mut Vec<Item>,
    ) -> Option<Found> {
        let State { subs, log, .. } = self;
        let Some(entry) = subs.iter_mut().find(|entry| Arc::ptr_eq(&entry.sub, sub)) else {
            return Some(Found::All);
        };
        // What is above is in memory, together with what was never kept.
        let in_store = log.floor();
        let mut nothing = true;
        for kept in page.items.iter().take_while(|kept| kept.id <= in_store) {
            if kept.id < entry.want {
                continue;
            }
            entry.want = kept.id + 1;
            if let Some((kind, content)) = said::of_kept(&kept.stanza) {
                nothing = false;
                items.push(Item { kind: kind.as_str(), place, seq: kept.id as i64, content: Some(content) });
            }
        }
        let more = page.more && page.items.last().is_some_and(|kept| kept.id < in_store);
        if more {
            return (!nothing).then_some(Found::More);
        }
        let read_to = page.last.max(floor).min(in_store);
        entry.want = entry.want.max(read_to + 1);
        if nothing && read_to >= floor {
            log.nothing_between(since, floor);
            let want = entry.want;
            if items.is_empty() {
                self.read_to(want - 1); // nobody could acknowledge what shows nothing
            }
        }
        None
    }

    /// Everybody looks for what is new; who is too far behind ends.
    pub(super) fn news(&mut self, keep: usize, bytes_max: usize) -> Wakers {
        let floor = self.log.floor();
        let wanted = self.subs.iter().map(|entry| entry.want).filter(|want| *want > floor).min();
        self.log.trim(keep, wanted.unwrap_or(u64::MAX), bytes_max);
        let let_go = floor + 1..=self.log.floor();
        let look = |entry: &Entry| {
            // Of those it wants, some are gone.
            if let_go.contains(&entry.want) { entry.sub.end(Over::Cut) } else { entry.sub.look() }
        };
        self.subs.iter().filter_map(look).collect()
    }

    /// A client has everything up to this number.
    pub(super) fn read_to(&mut self, seq: u64) {
        let to = seq.min(self.unread);
        if to > self.acked {
            self.acked = to;
            if let Some(seat) = &self.seat {
                seat.read_to(to);
            }
        }
    }
}

impl Subs {
    fn push(&mut self, entry: Entry) {
        *self = match std::mem::replace(self, Subs::None) {
            Subs::None => Subs::One(entry),
            Subs::One(first) => Subs::Many(Box::new(vec![first, entry])),
            Subs::Many(mut all) => {
                all.push(entry);
                Subs::Many(all)
            }
        };
    }

    /// Always true.
    fn remove(&mut self, place: usize) -> bool {
        match self {
            Subs::Many(all) if all.len() > 1 => drop(all.swap_remove(place)),
            _ => *self = Subs::None,
        }
        true
    }
}

impl Deref for Subs {
    type Target = [Entry];
    fn deref(&self) -> &[Entry] {
        match self {
            Subs::None => &[],
            Subs::One(entry) => std::slice::from_ref(entry),
            Subs::Many(all) => all,
        }
    }
}

impl DerefMut for Subs {
    fn deref_mut(&mut self) -> &mut [Entry] {
        match self {
            Subs::None => &mut [],
            Subs::One(entry) => std::slice::from_mut(entry),
            Subs::Many(all) => all,
        }
    }
}

impl Others {
    pub(super) fn none(&self) -> bool {
        self.there.is_none()
    }

    pub(super) fn came(&mut self, resource: &str) {
        let there = self.there.get_or_insert_default();
        if !there.iter().any(|r| **r == *resource) {
            there.push(resource.into());
        }
    }

    pub(super) fn went(&mut self, resource: &str) {
        if let Some(there) = &mut self.there {
            there.retain(|r| **r != *resource);
        }
        self.there.take_if(|there| there.is_empty());
    }
}
