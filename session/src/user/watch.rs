//! What happens to a user, told to whoever watches, and since when the user is online.

use super::bound::Bound;
use super::{Todo, User};
use crate::clock::Now;
use crate::events::Event;
use compact_str::CompactString;
use herald_xmpp::{FullJid, Stanza, ns};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Since when a user is as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// It is not asked: there is something to do, and nobody is available.
    Whenever,
    /// Nobody is bound, and there is nothing to do.
    Quiet(Instant),
    /// A resource is available, in milliseconds since 1970 UTC.
    Online(i64),
}

impl User {
    /// Tells what happened, when somebody watches.
    pub(super) fn watch(&mut self, event: impl FnOnce(&User) -> Event) {
        if self.shared.watched.load(Ordering::Relaxed) {
            let event = Box::new(event(self));
            self.busy.todo.push_back(Todo::Tell(event));
        }
    }

    /// A resource is available: is it the first?
    pub(super) fn came_online(&mut self, now: Now) {
        if self.online_since().is_none() {
            self.since = Since::Online(now.unix_ms);
            self.watch(|user| Event::Online { user: user.jid.clone() });
        }
    }

    /// A resource is not available any more: was it the last?
    pub(super) fn went_offline(&mut self, now: Now) {
        if self.resources.iter().any(|r| r.priority.is_some()) {
            return;
        }
        self.since = Since::Whenever;
        self.busy.todo.push_back(Todo::Seen(now.unix_ms));
        self.watch(|user| Event::Offline { user: user.jid.clone() });
    }

    /// Since when a resource is available, in milliseconds since 1970 UTC.
    pub(super) fn online_since(&self) -> Option<i64> {
        match self.since {
            Since::Online(at_ms) => Some(at_ms),
            _ => None,
        }
    }

    /// Since when nobody needs this actor.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        match self.since {
            Since::Quiet(at) => Some(at),
            _ => None,
        }
    }

    /// Is there something to do, or somebody bound?
    pub(super) fn note_quiet(&mut self, now: Now, is_busy: bool) {
        self.since = match self.since {
            Since::Quiet(_) if is_busy => Since::Whenever,
            Since::Whenever if !is_busy => Since::Quiet(now.at),
            other => other,
        };
    }

    /// The resource at this place says something in its presence.
    pub(super) fn watch_presence(&mut self, place: usize) {
        self.watch(|user| {
            let bound = &user.resources[place];
            let (show, status) = words_of(&user.presence_of(bound));
            let from = bound.jid.clone();
            Event::Presence { from, available: true, priority: bound.priority, show, status }
        });
    }

    /// This resource is not available any more; it may have said why.
    pub(super) fn watch_absence(&mut self, jid: &FullJid, said: &Stanza) {
        self.watch(|_| {
            let (from, (show, status)) = (jid.clone(), words_of(said));
            Event::Presence { from, available: false, priority: None, show, status }
        });
    }

    /// The actor ends without having been told: what was to be told yet, and that these are gone.
    pub(super) fn last_events(&mut self, gone: &[Bound]) -> Vec<Event> {
        let untold = self.busy.todo.drain(..).filter_map(|todo| match todo {
            Todo::Tell(event) => Some(*event),
            _ => None,
        });
        let mut events: Vec<Event> = untold.collect();
        if !self.shared.watched.load(Ordering::Relaxed) {
            return events;
        }
        let mut available = gone.iter().filter(|b| b.priority.is_some()).count();
        for bound in gone {
            let jid = bound.jid.clone();
            if bound.priority.is_some() {
                let (from, show, status) = (jid.clone(), None, None);
                events.push(Event::Presence { from, available: false, priority: None, show, status });
                available -= 1;
                if available == 0 {
                    events.push(Event::Offline { user: self.jid.clone() });
                }
            }
            events.push(Event::SessionDown { jid, link: bound.link.info() });
        }
        events
    }
}

/// What it shows, and its words for a human (RFC 6121 section 4.7.2).
pub(super) fn words_of(presence: &Stanza) -> (Option<CompactString>, Option<CompactString>) {
    let words = |name: &str| {
        presence.child(name, ns::CLIENT).map(|e| CompactString::from(e.text())).filter(|words| !words.is_empty())
    };
    (words("show"), words("status"))
}
