//! The resources of a user: bound, replaced, gone.

use super::watch::words_of;
use super::{Bind, Todo, User};
use crate::clock::Now;
use crate::delivery::Candidate;
use crate::events::Event;
use crate::hooks::{Resource as View, Turn};
use crate::link::{Binding, Close, Delivery, Link, Parcel};
use crate::push::{PresenceInfo, ResourceInfo, SessionInfo};
use compact_str::CompactString;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{FullJid, Jid, Kind, PresenceType, Resource, Stanza, StanzaError};
use smallvec::SmallVec;
use std::sync::Arc;

/// One bound resource.
pub(super) struct Bound {
    pub binding: Binding,
    pub link: Arc<dyn Link>,
    pub jid: FullJid,
    /// What it said in its presence; `None` while it is not available, or when it said nothing.
    pub shown: Option<Box<Shown>>,
    /// To whom it sent directed presence (RFC 6121 section 4.6), so that they hear when it is gone.
    #[allow(clippy::box_collection)] // 8 bytes while unused, not 24
    pub directed: Option<Box<Vec<Jid>>>,
    pub since_ms: i64,
    /// `None` while it is not available.
    pub priority: Option<i8>,
    /// Has it asked for the roster (RFC 6121 section 2.2)?
    pub interested: bool,
    /// Does it follow the log ([`Transport::follows`](crate::Transport::follows))?
    pub follows: bool,
}

impl Bound {
    /// Is it available, with a priority that is not negative?
    pub fn takes_messages(&self) -> bool {
        self.priority.is_some_and(|p| p >= 0)
    }

    /// Is it handed what is in the log? Whoever follows it is, from its bind on, seen or not, so that nothing falls
    /// between that and its reading; unless it says that it wants no messages.
    pub fn takes_log(&self) -> bool {
        self.follows && self.priority.is_none_or(|p| p >= 0)
    }
}

/// What an available resource said of itself.
pub(super) struct Shown {
    pub lang: Option<Box<str>>,
    pub decls: Option<Box<str>>,
    pub payload: Box<[u8]>,
}

/// What is left to do when an actor ends with resources bound.
pub(crate) struct Farewell {
    /// To be closed.
    pub links: Vec<Arc<dyn Link>>,
    /// To be sent.
    pub parcels: Vec<Parcel>,
    /// To be told, in order.
    pub events: Vec<Event>,
    /// Was a resource available?
    pub was_online: bool,
}

impl User {
    pub(super) fn bind(&mut self, now: Now, bind: Bind) {
        let jid = bind.jid;
        if let Some(place) = self.place_of_resource(jid.resource()) {
            self.detach(now, place, Close::Conflict); // the newest wins
        }
        if self.resources.len() >= self.settings().resources_max as usize {
            return drop(bind.answer.send(Err(StanzaError::new(Condition::ResourceConstraint))));
        }
        let link = bind.link.info();
        if !self.resources.is_empty() {
            self.resources.reserve_exact(1);
        }
        self.resources.push(Bound {
            binding: bind.binding,
            link: bind.link,
            jid: jid.clone(),
            shown: None,
            directed: None,
            since_ms: now.unix_ms,
            priority: None,
            interested: false,
            follows: link.transport.follows(),
        });
        if bind.answer.send(Ok(())).is_err() {
            // The connection ended while it waited: there is no seat that would ever unbind.
            self.resources.pop();
            return;
        }
        if link.transport.follows()
            && let Some(keeping) = &mut self.keeping
        {
            keeping.reserved.clear(); // it reads beyond those places
            self.end_keeping();
        }
        self.watch(|_| Event::SessionUp { jid, link });
        let shared = self.shared.clone();
        for hook in &shared.modules.bound {
            hook(&mut Turn { user: self, now }, bind.binding);
        }
    }

    /// A connection ended by itself, or has done what it was told.
    pub(super) fn unbind(&mut self, now: Now, binding: Binding, undelivered: Vec<Delivery>) {
        if let Some(place) = self.place_of(binding) {
            self.remove(now, place);
        }
        self.left(now, binding, undelivered);
    }

    /// Ends the connections of one resource or of all; how many.
    pub(super) fn close(&mut self, now: Now, resource: Option<Resource>, why: Close) -> u32 {
        let mut closed = 0;
        while let Some(place) = match &resource {
            Some(resource) => self.place_of_resource(resource.as_str()),
            None => self.resources.len().checked_sub(1),
        } {
            self.detach(now, place, why.clone());
            closed += 1;
        }
        closed
    }

    /// Takes a resource away and tells its connection to end; what it had not delivered is waited for.
    pub(super) fn detach(&mut self, now: Now, place: usize, why: Close) {
        let bound = &self.resources[place];
        let (binding, link) = (bound.binding, bound.link.clone());
        self.busy.todo.push_back(Todo::Close(link, why));
        self.wait_for(now, binding);
        self.remove(now, place);
    }

    /// The resource is gone: those who saw it hear so, once.
    fn remove(&mut self, now: Now, place: usize) {
        let mut bound = self.resources.remove(place);
        self.forget_behind(bound.binding);
        self.resources.shrink_to_fit(); // one needs no buffer
        let unavailable = Stanza::new(Kind::Presence(PresenceType::Unavailable)).from(bound.jid.clone());
        self.became_unavailable(now, &mut bound, unavailable);
        self.watch(|_| Event::SessionDown { jid: bound.jid.clone(), link: bound.link.info() });
        if bound.follows {
            self.mark_read();
        }
        let shared = self.shared.clone();
        for hook in &shared.modules.unbound {
            hook(&mut Turn { user: self, now }, bound.binding);
        }
    }

    /// The actor ends without having been told what to do about its resources: their links, and what
    /// those who saw them, and who watches, are told.
    pub(crate) fn farewell(&mut self) -> Farewell {
        let gone = std::mem::take(&mut self.resources);
        let was_online = self.online_since().is_some();
        let events = self.last_events(&gone);
        let mut parcels = Vec::new();
        let mut links = Vec::new();
        for bound in gone {
            let unavailable = Stanza::new(Kind::Presence(PresenceType::Unavailable)).from(bound.jid.clone());
            let unavailable = Arc::new(unavailable);
            let seen_by = if bound.priority.is_some() { self.seen_by() } else { Vec::new() };
            let directed = bound.directed.map(|d| *d).unwrap_or_default();
            let to_all = seen_by.into_iter().chain(directed);
            parcels.extend(to_all.map(|to| Parcel { stanza: unavailable.clone(), to: Some(to) }));
            links.push(bound.link);
        }
        Farewell { links, parcels, events, was_online }
    }

    pub(super) fn place_of(&self, binding: Binding) -> Option<usize> {
        self.resources.iter().position(|r| r.binding == binding)
    }

    pub(super) fn place_of_resource(&self, resource: &str) -> Option<usize> {
        self.resources.iter().position(|r| r.jid.resource() == resource)
    }

    pub(super) fn candidates(&self) -> SmallVec<[Candidate; 4]> {
        self.resources.iter().map(|r| Candidate { priority: r.priority }).collect()
    }

    /// Asks to hand a parcel to the resource at this place; the stanza is shared.
    pub(super) fn deliver_to(&mut self, place: usize, parcel: &Parcel) {
        let delivery = Delivery { to: parcel.to.clone(), ..Delivery::new(parcel.stanza.clone()) };
        self.busy.todo.push_back(Todo::Deliver(self.resources[place].binding, delivery));
    }

    /// Hands a stanza to all resources that `wants` names, each with its own full JID in `to`.
    pub(super) fn deliver_where(&mut self, stanza: &Arc<Stanza>, wants: impl Fn(&Bound) -> bool) {
        for bound in self.resources.iter().filter(|r| wants(r)) {
            let to = Some(bound.jid.clone().into());
            let delivery = Delivery { to, ..Delivery::new(stanza.clone()) };
            self.busy.todo.push_back(Todo::Deliver(bound.binding, delivery));
        }
    }

    pub(crate) fn full_jid_of(&self, binding: Binding) -> Option<FullJid> {
        self.place_of(binding).map(|place| self.resources[place].jid.clone())
    }

    pub(crate) fn resource_views(&self) -> impl Iterator<Item = View> + '_ {
        self.resources.iter().map(|r| View {
            binding: r.binding,
            jid: r.jid.clone(),
            priority: r.priority,
            interested: r.interested,
            link: r.link.info(),
        })
    }

    pub(super) fn presence_info(&self) -> PresenceInfo {
        let mut resources: Vec<_> = self.resources.iter().map(|r| self.resource_info(r)).collect();
        resources.sort_by_key(|r| std::cmp::Reverse(r.priority));
        PresenceInfo { uid: CompactString::from(self.jid.as_str()), resources, since_ms: self.online_since() }
    }

    fn resource_info(&self, bound: &Bound) -> ResourceInfo {
        let (show, status) = words_of(&self.presence_of(bound));
        ResourceInfo {
            resource: bound.jid.to_resource(),
            priority: bound.priority,
            show,
            status,
            link: bound.link.info(),
        }
    }

    pub(super) fn session_infos(&self) -> Vec<SessionInfo> {
        let info = |r: &Bound| SessionInfo {
            jid: r.jid.clone(),
            link: r.link.info(),
            priority: r.priority,
            since_ms: r.since_ms,
        };
        self.resources.iter().map(info).collect()
    }
}
