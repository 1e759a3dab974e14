//! The numbered logs on a map: each message says itself whether it is delivered.

use super::{Account, Memory, World};
use crate::clock::now_ms;
use crate::error::NOT_SET_ASIDE;
use crate::traits::{Appended, Extra, History, Kept, Messages, NewMessage, ONCE_MS, Page, Slice, Then};
use herald_xmpp::jid::BareJid;
use std::ops::Bound;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) struct Logged {
    message: NewMessage,
    delivered: bool,
}

impl Logged {
    fn is_pending(&self, now_ms: i64) -> bool {
        !self.delivered && !self.is_over(now_ms)
    }

    fn is_over(&self, now_ms: i64) -> bool {
        self.message.expires_ms.is_some_and(|at| at <= now_ms)
    }

    fn kept(&self, id: u64) -> Kept {
        Kept { id, at_ms: self.message.at_ms, stanza: self.message.stanza.clone() }
    }
}

impl World {
    /// The one stanza of all that have its number.
    fn with_its_body(&self, mut message: NewMessage) -> NewMessage {
        let shared = |message: &NewMessage| message.extra.as_ref().and_then(|e| e.shared);
        if let Some(number) = shared(&message) {
            let mut all = self.accounts.values().flat_map(|account| account.log.values());
            if let Some(first) = all.find(|logged| shared(&logged.message) == Some(number)) {
                message.stanza = first.message.stanza.clone();
            }
        }
        message
    }
}

impl Account {
    /// In the order of their ids, at most so many, ended by the one that brings it to so many bytes.
    fn page<'a>(
        messages: impl Iterator<Item = (&'a u64, &'a Logged)>,
        limit: u32,
        bytes_max: usize,
    ) -> (Vec<Kept>, bool) {
        let (mut page, mut bytes) = (Vec::new(), 0);
        for (id, logged) in messages {
            if page.len() >= limit as usize || (bytes >= bytes_max && !page.is_empty()) {
                return (page, true);
            }
            bytes += logged.message.stanza.len();
            page.push(logged.kept(*id));
        }
        (page, false)
    }

    pub(super) fn pending(&self, after: u64) -> impl DoubleEndedIterator<Item = (&u64, &Logged)> {
        let now = now_ms();
        let later = self.log.range((Bound::Excluded(after), Bound::Unbounded));
        later.filter(move |(_, logged)| logged.is_pending(now))
    }

    /// These are delivered, and so they are in the history or nowhere. Answers whether there were any.
    fn deliver(&mut self, keeps: bool, is_one: impl Fn(u64) -> bool) -> bool {
        let mut any = false;
        self.log.retain(|id, logged| {
            let one = is_one(*id);
            logged.delivered |= one;
            any |= one;
            keeps || !one
        });
        any
    }

    fn remove_delivered(&mut self, is_one: impl Fn(u64, &Logged) -> bool) {
        let gone = |(id, logged): (&u64, &Logged)| (logged.delivered && is_one(*id, logged)).then_some(*id);
        let gone: Vec<u64> = self.log.iter().filter_map(gone).collect();
        for id in gone {
            self.log.remove(&id);
            self.removed_to = self.removed_to.max(id);
        }
    }
}

impl Memory {
    /// Removes what has expired or is too old for the history, and tells of the expired. Nothing else does
    /// that here; what has expired is not seen in any case.
    pub fn sweep(&self) {
        let now = now_ms();
        let mut over = Vec::new();
        for (user, account) in &mut self.world.lock().accounts {
            account.log.retain(|id, logged| {
                let gone = !logged.delivered && logged.is_over(now);
                if gone {
                    over.push((user.clone(), *id));
                }
                !gone
            });
            let oldest = now.saturating_sub(i64::from(self.history.days) * DAY_MS);
            account.remove_delivered(|_, logged| logged.message.at_ms < oldest);
        }
        if let Some(tell) = self.expired.get() {
            over.iter().for_each(|(user, id)| tell(user, *id));
        }
    }
}

impl Messages for Memory {
    fn append(&self, user: &BareJid, message: NewMessage, then: Then<Appended>) {
        self.write(then, |w| {
            let message = w.with_its_body(message);
            let account = w.of(user)?;
            let now = now_ms();
            let extra = message.extra.as_deref().cloned().unwrap_or_default();
            if let Some((id, until_ms)) = extra.once.as_ref().and_then(|key| account.once.get(key))
                && *until_ms > now
            {
                return Ok(Appended { id: *id, repeated: true });
            }
            account.last_id += 1;
            let id = account.last_id;
            if let Some(key) = extra.once {
                account.once.insert(key, (id, now.saturating_add(ONCE_MS)));
            }
            if let Some(key) = extra.collapse {
                let has_it = |e: &Extra| e.collapse.as_ref() == Some(&key);
                account.log.retain(|_, l| l.delivered || !l.message.extra.as_deref().is_some_and(has_it));
            }
            let logged = Logged { message, delivered: extra.log_only };
            if !logged.is_over(now) && (self.history.keeps() || !extra.log_only) {
                account.log.insert(id, logged);
            } else if extra.log_only && !self.history.keeps() {
                account.removed_to = id; // whoever was not handed it misses it
            }
            if let Some(to) = self.history.remove_to(id) {
                account.remove_delivered(|id, _| id <= to);
            }
            Ok(Appended { id, repeated: false })
        });
    }

    fn reserve(&self, user: &BareJid, count: u32, then: Then<u64>) {
        self.write(then, |w| {
            let account = w.of(user)?;
            let first = account.last_id + 1;
            account.last_id += u64::from(count);
            Ok(first)
        });
    }

    fn append_at(&self, user: &BareJid, id: u64, message: NewMessage, then: Then<()>) {
        self.write(then, |w| {
            let mut message = w.with_its_body(message);
            let account = w.of(user)?;
            if id == 0 || id > account.last_id || account.log.contains_key(&id) {
                return Err(NOT_SET_ASIDE);
            }
            if let Some(extra) = &mut message.extra {
                extra.collapse = None;
            }
            let logged = Logged { message, delivered: false };
            if !logged.is_over(now_ms()) {
                account.log.insert(id, logged);
            }
            Ok(())
        });
    }

    fn pending(&self, user: &BareJid, after: u64, limit: u32, bytes_max: usize, then: Then<Vec<Kept>>) {
        self.read(then, |w| {
            let Some(account) = w.accounts.get(user) else { return Ok(Vec::new()) };
            Ok(Account::page(account.pending(after), limit, bytes_max.max(1)).0)
        });
    }

    fn delivered(&self, user: &BareJid, ids: Vec<u64>, then: Then<()>) {
        self.write(then, |w| {
            let Ok(account) = w.of(user) else { return Ok(()) };
            let newest = ids.iter().copied().filter(|id| account.log.contains_key(id)).max();
            if account.deliver(self.history.keeps(), |id| ids.contains(&id)) && !self.history.keeps() {
                account.removed_to = account.removed_to.max(newest.unwrap_or_default());
            }
            Ok(())
        });
    }

    fn delivered_to(&self, user: &BareJid, id: u64, then: Then<u64>) {
        self.write(then, |w| {
            let Ok(account) = w.of(user) else { return Ok(0) };
            if account.deliver(self.history.keeps(), |one| one <= id) && !self.history.keeps() {
                account.removed_to = account.removed_to.max(id.min(account.last_id));
            }
            Ok(account.pending(0).count() as u64)
        });
    }

    fn pending_count(&self, user: &BareJid, then: Then<u64>) {
        self.read(then, |w| Ok(w.accounts.get(user).map_or(0, |a| a.pending(0).count() as u64)));
    }
}

impl History for Memory {
    fn history(&self, user: &BareJid, slice: Slice, then: Then<Page>) {
        self.read(then, |w| {
            let Some(account) = w.accounts.get(user) else { return Ok(Page::default()) };
            let now = now_ms();
            let is_asked = |(id, logged): &(&u64, &Logged)| {
                let within = **id > slice.since && slice.before.is_none_or(|before| **id < before);
                within && (logged.delivered || !logged.is_over(now))
            };
            let asked = account.log.iter().filter(is_asked);
            let (items, more) = match slice.newest_first {
                true => Account::page(asked.rev(), slice.limit, slice.bytes_max),
                false => Account::page(asked, slice.limit, slice.bytes_max),
            };
            Ok(Page { items, last: account.last_id, removed_to: account.removed_to, more })
        });
    }
}
