//! What is not one user's own, on maps: groups, keys, answers, events on their way out; and last seen.

use super::Memory;
use crate::StoreError;
use crate::clock::now_ms;
use crate::traits::{Activity, ApiKey, Groups, KeptResult, Keys, Outbox, Results, Then};
use bytes::Bytes;
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

#[derive(Default)]
pub(super) struct Server {
    pub(super) groups: BTreeMap<CompactString, BTreeSet<BareJid>>,
    keys: BTreeMap<CompactString, ApiKey>,
    results: BTreeMap<String, KeptResult>,
    sinks: BTreeMap<String, Sink>,
}

#[derive(Default)]
struct Sink {
    last: u64,
    items: BTreeMap<u64, Bytes>,
}

impl Groups for Memory {
    fn join(&self, group: &str, users: Vec<BareJid>, then: Then<u64>) {
        self.write(then, |w| {
            if users.iter().any(|user| !w.accounts.contains_key(user)) {
                return Err(StoreError::NoAccount);
            }
            let group = w.server.groups.entry(group.into()).or_default();
            Ok(users.into_iter().map(|user| u64::from(group.insert(user))).sum())
        });
    }

    fn leave(&self, group: &str, users: Vec<BareJid>, then: Then<u64>) {
        self.write(then, |w| {
            let Some(group) = w.server.groups.get_mut(group) else { return Ok(0) };
            Ok(users.iter().map(|user| u64::from(group.remove(user))).sum())
        });
    }

    fn members(&self, group: &str, after: Option<BareJid>, limit: u32, then: Then<Option<Vec<BareJid>>>) {
        self.read(then, |w| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let page = |group: &BTreeSet<BareJid>| {
                group.range((from, Bound::Unbounded)).take(limit as usize).cloned().collect()
            };
            Ok(w.server.groups.get(group).map(page))
        });
    }

    fn groups(&self, after: Option<CompactString>, limit: u32, then: Then<Vec<(CompactString, u64)>>) {
        self.read(then, |w| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            let page = w.server.groups.range((from, Bound::Unbounded)).take(limit as usize);
            Ok(page.map(|(name, members)| (name.clone(), members.len() as u64)).collect())
        });
    }

    fn delete_group(&self, group: &str, then: Then<bool>) {
        self.write(then, |w| Ok(w.server.groups.remove(group).is_some()));
    }
}

impl Keys for Memory {
    fn put_key(&self, key: ApiKey, then: Then<bool>) {
        self.write(then, |w| {
            if key.scopes.iter().any(|scope| scope.contains('\u{1f}')) {
                return Err(StoreError::Invalid("a scope holds U+001F"));
            }
            Ok(w.server.keys.insert(key.name.clone(), key).is_none())
        });
    }

    fn keys(&self, then: Then<Vec<ApiKey>>) {
        self.read(then, |w| Ok(w.server.keys.values().cloned().collect()));
    }

    fn delete_key(&self, name: &str, then: Then<bool>) {
        self.write(then, |w| Ok(w.server.keys.remove(name).is_some()));
    }
}

impl Results for Memory {
    fn result(&self, key: &str, then: Then<Option<KeptResult>>) {
        let now = now_ms();
        self.read(then, |w| Ok(w.server.results.get(key).filter(|r| r.expires_ms > now).cloned()));
    }

    fn put_result(&self, key: &str, result: KeptResult, then: Then<()>) {
        self.write(then, |w| {
            w.server.results.insert(key.to_owned(), result);
            Ok(())
        });
    }
}

impl Activity for Memory {
    fn last_seen(&self, users: Vec<BareJid>, then: Then<Vec<Option<i64>>>) {
        self.read(then, |w| Ok(users.iter().map(|user| w.accounts.get(user)?.last_seen).collect()));
    }

    fn put_last_seen(&self, user: &BareJid, at_ms: i64, then: Then<()>) {
        self.write(then, |w| {
            w.of(user)?.last_seen = Some(at_ms);
            Ok(())
        });
    }
}

impl Outbox for Memory {
    fn put_out(&self, sink: &str, items: Vec<Bytes>, then: Then<u64>) {
        self.write(then, |w| {
            let sink = w.server.sinks.entry(sink.to_owned()).or_default();
            for item in items {
                sink.last += 1;
                sink.items.insert(sink.last, item);
            }
            Ok(sink.last)
        });
    }

    fn out(&self, sink: &str, after: u64, limit: u32, then: Then<Vec<(u64, Bytes)>>) {
        self.read(then, |w| {
            let Some(sink) = w.server.sinks.get(sink) else { return Ok(Vec::new()) };
            let later = sink.items.range((Bound::Excluded(after), Bound::Unbounded));
            Ok(later.take(limit as usize).map(|(seq, item)| (*seq, item.clone())).collect())
        });
    }

    fn done_out(&self, sink: &str, upto: u64, then: Then<()>) {
        self.write(then, |w| {
            if let Some(sink) = w.server.sinks.get_mut(sink) {
                sink.items.retain(|seq, _| *seq > upto);
            }
            Ok(())
        });
    }
}
