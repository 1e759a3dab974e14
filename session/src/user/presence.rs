//! RFC 6121 section 4: initial, changed, directed and unavailable presence, and probes.

use super::bound::{Bound, Shown};
use super::{Todo, User};
use crate::clock::Now;
use crate::delivery::{Address, Choice, choose};
use crate::hooks::Turn;
use crate::link::Parcel;
use crate::log;
use crate::subscription::{State, Verb};
use bytes::Bytes;
use compact_str::CompactString;
use herald_storage::Subscription;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Jid, Kind, PresenceType, Stanza, StanzaError, ns};
use std::sync::Arc;

/// The last unavailable presence with words in it (RFC 6121 section 4.3.2).
#[derive(Default)]
struct LastSeen(Option<Arc<Stanza>>);

impl User {
    /// A client of this user sent presence.
    pub(super) fn presence_sent(&mut self, now: Now, place: usize, kind: PresenceType, parcel: Parcel) {
        use PresenceType::{Available, Error, Probe, Unavailable};
        match (kind, parcel.to()) {
            (Available, None) => self.available(now, place, &parcel),
            (Unavailable, None) => self.unavailable(now, place, &parcel),
            (Available | Unavailable, Some(_)) => self.directed(now, place, kind, parcel),
            (Probe, _) | (Error, None) => {} // probes are the server's to send (section 4.3)
            (Error, Some(_)) => self.route(now, parcel),
            (_, None) => self.bounce(now, &parcel, StanzaError::new(Condition::BadRequest)),
            (_, Some(_)) => {
                if let Some(verb) = Verb::of(kind) {
                    self.subscribe_sent(now, verb, &parcel);
                }
            }
        }
    }

    /// Sections 4.2.2 and 4.4.2.
    fn available(&mut self, now: Now, place: usize, parcel: &Parcel) {
        let Some(priority) = priority_of(&parcel.stanza) else {
            return self.bounce(now, parcel, StanzaError::new(Condition::BadRequest).with_text("no such priority"));
        };
        let stanza = &parcel.stanza;
        let shown = Shown {
            lang: stanza.lang.as_deref().map(Box::from),
            decls: stanza.decls.clone(),
            payload: Box::from(&*stanza.payload),
        };
        let says_something = shown.lang.is_some() || shown.decls.is_some() || !shown.payload.is_empty();
        let bound = &mut self.resources[place];
        let binding = bound.binding;
        let was = bound.priority.replace(priority);
        bound.shown = says_something.then(|| Box::new(shown));
        self.came_online(now);
        self.watch_presence(place);

        self.broadcast(stanza);
        self.deliver_where(stanza, |r| r.priority.is_some());
        if was.is_none() {
            self.first_look(now, place);
        }
        self.presence_hooks(now, binding, stanza);
        if priority >= 0 && was.is_none_or(|was| was < 0) {
            self.close_behind(now, binding); // here is one that takes what the other does not
            self.give_out();
        }
    }

    /// What a resource that has just become available is shown: its own other resources, its contacts
    /// (by probes, section 4.3.1), and who waits for an answer (section 3.1.3).
    fn first_look(&mut self, now: Now, place: usize) {
        let own = self.resources[place].jid.clone();
        let others: Vec<Arc<Stanza>> = (0..self.resources.len())
            .filter(|other| *other != place && self.resources[*other].priority.is_some())
            .map(|other| Arc::new(self.presence_of(&self.resources[other])))
            .collect();
        for presence in others {
            self.deliver_to(place, &Parcel { stanza: presence, to: Some(own.clone().into()) });
        }
        let probe = Arc::new(Stanza::new(Kind::Presence(PresenceType::Probe)).from(own));
        for to in self.contacts_where(State::sees) {
            self.route(now, Parcel { stanza: probe.clone(), to: Some(to) });
        }
        let requests: Vec<Bytes> = self.contacts.iter().flat_map(|c| c.requests()).cloned().collect();
        for request in requests {
            if let log::Entry::Message(stanza) = log::read(&request, None) {
                self.deliver_to(place, &Parcel::new(stanza));
            }
        }
    }

    /// Section 4.5.2: a resource says that it is going, and stays bound.
    fn unavailable(&mut self, now: Now, place: usize, parcel: &Parcel) {
        if self.resources[place].priority.is_none() && self.resources[place].directed.is_none() {
            return;
        }
        let mut stanza = Stanza::clone(&parcel.stanza);
        stanza.payload = Bytes::copy_from_slice(&stanza.payload);
        if self.resources[place].priority.is_some() {
            self.deliver_to(place, &Parcel { stanza: Arc::new(stanza.clone()), to: None }); // as well as the others
        }
        let mut bound = self.resources.remove(place);
        self.became_unavailable(now, &mut bound, stanza);
        let binding = bound.binding;
        self.resources.insert(place, bound);
        self.stop_giving_out(binding);
    }

    /// Tells everybody who saw the resource that it is gone. The resource is not in the list meanwhile.
    pub(super) fn became_unavailable(&mut self, now: Now, bound: &mut Bound, stanza: Stanza) {
        let directed = bound.directed.take();
        let was_available = bound.priority.take().is_some();
        bound.shown = None;
        let stanza = Arc::new(stanza);
        if was_available {
            self.broadcast(&stanza);
            self.deliver_where(&stanza, |r| r.priority.is_some());
            match stanza.payload.is_empty() {
                true => self.clear::<LastSeen>(),
                false => self.slot::<LastSeen>().0 = Some(stanza.clone()),
            }
        }
        for to in directed.map(|d| *d).unwrap_or_default() {
            if !(was_available && self.is_seen_by(&to)) {
                self.route(now, Parcel { stanza: stanza.clone(), to: Some(to) });
            }
        }
        if was_available {
            self.presence_hooks(now, bound.binding, &stanza);
            self.watch_absence(&bound.jid, &stanza);
            self.went_offline(now);
        }
    }

    /// Section 4.6.
    fn directed(&mut self, now: Now, place: usize, kind: PresenceType, parcel: Parcel) {
        let Some(to) = parcel.to().cloned() else { return };
        if to.domain() != self.settings().domain || to.local().is_none() {
            return; // nobody there who could be told
        }
        let sees_anyway = self.resources[place].priority.is_some() && self.is_seen_by(&to);
        let max = self.settings().directed_max as usize;
        let directed = &mut self.resources[place].directed;
        if kind == PresenceType::Unavailable {
            if let Some(list) = directed {
                list.retain(|j| *j != to);
                directed.take_if(|list| list.is_empty());
            }
        } else if !sees_anyway {
            let list = directed.get_or_insert_default();
            if !list.contains(&to) {
                if list.len() >= max {
                    return self.bounce(now, &parcel, StanzaError::new(Condition::ResourceConstraint));
                }
                list.push(to);
            }
        }
        let mut parcel = parcel;
        if self.pass(now, &mut parcel, |m| &m.sent) {
            self.route(now, parcel);
        }
    }

    /// Presence for this user came.
    pub(super) fn presence_arrived(&mut self, now: Now, kind: PresenceType, parcel: Parcel) {
        if let Some(verb) = Verb::of(kind) {
            return self.subscribe_arrived(now, verb, &parcel);
        }
        if kind == PresenceType::Probe {
            return self.probed(now, &parcel);
        }
        let address = self.address_of(parcel.to());
        if let Choice::Resources(places) = choose(parcel.stanza.kind, address, &self.candidates()) {
            for place in places {
                self.deliver_to(place, &parcel);
            }
        }
    }

    /// Section 4.3.2.
    fn probed(&mut self, now: Now, probe: &Parcel) {
        let Some(from) = probe.from().cloned() else { return };
        if !self.is_seen_by(&from) {
            let no = Stanza::new(Kind::Presence(PresenceType::Unsubscribed)).from(self.jid.clone());
            let to = from.to_bare();
            return self.route(now, Parcel::new(no.to(to)));
        }
        let wanted = probe.to().and_then(Jid::resource);
        let answers: Vec<Stanza> = self
            .resources
            .iter()
            .filter(|r| r.priority.is_some() && wanted.is_none_or(|w| w == r.jid.resource()))
            .map(|r| self.presence_of(r))
            .collect();
        if answers.is_empty()
            && let Some(LastSeen(Some(last))) = self.peek()
        {
            let last = Stanza::clone(last).to(from);
            return self.route(now, Parcel::new(last));
        }
        for answer in answers {
            self.route(now, Parcel::new(answer.to(from.clone())));
        }
    }

    /// Sends the presence of every available resource to a contact who may see it from now on.
    pub(super) fn show_to(&mut self, now: Now, contact: &Jid) {
        let all: Vec<_> = self.resources.iter().filter(|r| r.priority.is_some()).map(|r| self.presence_of(r)).collect();
        for presence in all {
            self.route(now, Parcel::new(presence.to(contact.clone())));
        }
    }

    /// Tells a contact who may not see it any more that every available resource is gone.
    pub(super) fn hide_from(&mut self, now: Now, contact: &Jid) {
        let available = self.resources.iter().filter(|r| r.priority.is_some());
        let all: Vec<_> = available.map(|r| r.jid.clone()).collect();
        for from in all {
            let gone = Stanza::new(Kind::Presence(PresenceType::Unavailable)).from(from).to(contact.clone());
            self.route(now, Parcel::new(gone));
        }
    }

    /// The presence an available resource has sent, as others get it.
    pub(super) fn presence_of(&self, bound: &Bound) -> Stanza {
        let mut stanza = Stanza::new(Kind::Presence(PresenceType::Available)).from(bound.jid.clone());
        if let Some(shown) = &bound.shown {
            stanza.lang = shown.lang.as_deref().map(CompactString::from);
            stanza.decls = shown.decls.clone();
            stanza.payload = Bytes::copy_from_slice(&shown.payload);
        }
        stanza
    }

    /// To all contacts who see this user: one stanza for all.
    fn broadcast(&mut self, stanza: &Arc<Stanza>) {
        for to in self.seen_by() {
            self.busy.todo.push_back(Todo::Route(Parcel { stanza: stanza.clone(), to: Some(to) }));
        }
    }

    pub(super) fn seen_by(&self) -> Vec<Jid> {
        self.contacts_where(State::seen)
    }

    fn contacts_where(&self, wants: fn(State) -> bool) -> Vec<Jid> {
        self.contacts().filter(|c| wants(c.state())).map(|c| c.to_jid().into()).collect()
    }

    fn is_seen_by(&self, contact: &Jid) -> bool {
        matches!(self.subscription_with(contact), Subscription::From | Subscription::Both)
    }

    fn presence_hooks(&mut self, now: Now, binding: crate::link::Binding, stanza: &Stanza) {
        let shared = self.shared.clone();
        for hook in &shared.modules.presence {
            hook(&mut Turn { user: self, now }, binding, stanza);
        }
    }

    pub(super) fn address_of(&self, to: Option<&Jid>) -> Address {
        match to.and_then(Jid::resource) {
            Some(resource) => Address::Full(self.place_of_resource(resource)),
            None => Address::Bare,
        }
    }
}

/// Section 4.7.2.3: -128 to 127, 0 when it says nothing; `None` when it is not a number like that.
fn priority_of(stanza: &Stanza) -> Option<i8> {
    match stanza.child("priority", ns::CLIENT) {
        Some(priority) => priority.text().trim().parse().ok(),
        None => Some(0),
    }
}
