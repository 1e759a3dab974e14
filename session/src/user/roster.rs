//! RFC 6121 section 2: the roster, with versions.

use super::contacts::{Contact, Contacts};
use super::{Answer, Query, User};
use crate::clock::Now;
use crate::hooks::Reply;
use crate::link::{Binding, Parcel};
use bytes::Bytes;
use compact_str::{CompactString, format_compact};
use herald_storage::{RosterItem, StoreError, Subscription};
use herald_xmpp::stanza::Condition;
use herald_xmpp::xml::{Element, push_attr, push_text};
use herald_xmpp::{BareJid, IqType, Jid, Kind, Stanza, StanzaError, ns};
use std::collections::HashSet;
use std::sync::Arc;

impl User {
    pub(super) fn contact(&self, jid: &Jid) -> Option<Contact<'_>> {
        self.contacts.as_ref()?.get(jid.bare_str())
    }

    pub(super) fn contacts(&self) -> impl Iterator<Item = Contact<'_>> {
        self.contacts.iter().flat_map(|c| c.iter())
    }

    /// What is known of it, what clients call it excepted; a new one, which is not in the roster, when that is nothing.
    pub(super) fn item_of(&self, jid: &BareJid) -> RosterItem {
        let known = self.contacts.as_ref().and_then(|c| c.item(jid.as_str()));
        known.unwrap_or_else(|| RosterItem { in_roster: false, ..RosterItem::new(jid.clone()) })
    }

    pub(super) fn roster_is_full(&self) -> bool {
        self.contacts.as_ref().is_some_and(|c| c.len() >= self.settings().roster_max as usize)
    }

    pub(crate) fn subscription_with(&self, contact: &Jid) -> Subscription {
        if self.is_own(contact) {
            return Subscription::Both; // RFC 6121 section 4.2.2: everybody sees themself
        }
        self.contact(contact).map_or(Subscription::None, Contact::subscription)
    }

    /// Writes an item to the store, then to memory, then goes on. The roster's version is the new one
    /// by then.
    pub(super) fn put_contact(
        &mut self,
        item: RosterItem,
        then: impl FnOnce(&mut User, Now, Result<RosterItem, StoreError>) + Send + 'static,
    ) {
        self.ask_store(Query::PutItem(Box::new(item.clone())), move |user, now, answer| {
            let written = answer.map(|answer| {
                user.contacts_at(answer).put(&item);
                item
            });
            then(user, now, written);
        });
    }

    /// The same for an item that has what the store has of words: they are read there, when there are any.
    pub(super) fn put_subscription(
        &mut self,
        item: RosterItem,
        then: impl FnOnce(&mut User, Now, Result<RosterItem, StoreError>) + Send + 'static,
    ) {
        if !self.contact(&item.jid).is_some_and(Contact::has_words) {
            return self.put_contact(item, then);
        }
        self.read_roster(move |user, now, roster| match roster {
            Ok(items) => {
                let stored = items.into_iter().find(|stored| stored.jid == item.jid);
                let (name, groups) = stored.map(|stored| (stored.name, stored.groups)).unwrap_or_default();
                user.put_contact(RosterItem { name, groups, ..item }, then);
            }
            Err(why) => then(user, now, Err(why)),
        });
    }

    /// Reads all there is of contacts.
    fn read_roster(&mut self, then: impl FnOnce(&mut User, Now, Result<Vec<RosterItem>, StoreError>) + Send + 'static) {
        self.ask_store(Query::Roster, move |user, now, answer| match answer {
            Ok(Answer::Roster(roster)) => then(user, now, Ok(roster.items)),
            Ok(_) => then(user, now, Err(StoreError::Failed("another answer than to the question".into()))),
            Err(why) => then(user, now, Err(why)),
        });
    }

    /// Removes an item from the store, then from memory, then goes on.
    pub(super) fn remove_contact(
        &mut self,
        jid: BareJid,
        then: impl FnOnce(&mut User, Now, Result<(), StoreError>) + Send + 'static,
    ) {
        self.ask_store(Query::RemoveItem(jid.clone()), move |user, now, answer| {
            let removed = answer.map(|answer| {
                user.contacts_at(answer).remove(jid.as_str());
            });
            then(user, now, removed);
        });
    }

    fn contacts_at(&mut self, answer: Answer) -> &mut Contacts {
        let contacts = self.contacts.get_or_insert_with(|| Box::new(Contacts::none()));
        if let Answer::Version(version) = answer {
            contacts.version = version;
        }
        contacts
    }

    /// Tells all interested resources what an item is now, or that it is gone (section 2.1.6). What they
    /// answer goes nowhere.
    pub(super) fn push_contact(&mut self, jid: &BareJid, item: Option<&RosterItem>) {
        let version = self.contacts.as_ref().map_or(0, |c| c.version);
        let push = push(version, jid, item);
        self.deliver_where(&push, |r| r.interested);
    }

    /// An iq for the roster from one of the user's own resources.
    pub(super) fn roster_iq(&mut self, now: Now, iq: &Parcel, query: &Element<'_>) {
        let outcome = match iq.stanza.kind {
            Kind::Iq(IqType::Get) => self.roster_get(iq, query),
            _ => self.roster_set(iq, query),
        };
        if let Err(error) = outcome {
            self.reply(now, iq, Reply::Error(error));
        }
    }

    /// Section 2.1.3 and 2.6.
    fn roster_get(&mut self, iq: &Parcel, query: &Element<'_>) -> Result<(), StanzaError> {
        let asker = iq.from().and_then(Jid::resource).and_then(|r| self.place_of_resource(r));
        let Some(place) = asker else {
            return Err(StanzaError::new(Condition::UnexpectedRequest));
        };
        self.resources[place].interested = true;
        let binding = self.resources[place].binding;
        let known: Option<u64> = query.attr("ver").and_then(|v| v.parse().ok());
        let versioned = query.attr("ver").is_some();
        let current = self.contacts.as_ref().map_or(0, |c| c.version);
        let iq = iq.clone();
        match known {
            Some(known) if known == current => self.roster_same(&iq),
            Some(known) if known < current => {
                self.ask_store(Query::RosterSince(known), move |user, now, answer| match answer {
                    Ok(Answer::Changes(Some(changes))) => {
                        user.roster_same(&iq);
                        for change in changes {
                            user.push_one(binding, &push(change.version, &change.jid, change.item.as_ref()));
                        }
                    }
                    Ok(_) => user.roster_whole(&iq, versioned),
                    Err(why) => user.reply(now, &iq, Reply::Error(store_failed(&why))),
                });
            }
            _ => self.roster_whole(&iq, versioned),
        }
        Ok(())
    }

    /// "You know it all already" (section 2.6.3).
    fn roster_same(&mut self, iq: &Parcel) {
        self.answer_roster(iq, Bytes::new());
    }

    fn roster_whole(&mut self, iq: &Parcel, versioned: bool) {
        let iq = iq.clone();
        if self.contacts().all(|c| !c.has_words()) {
            let items: Vec<_> = self.contacts().map(|c| self.item_of(&c.to_jid())).collect();
            return self.answer_whole(&iq, versioned, &items);
        }
        self.read_roster(move |user, now, roster| match roster {
            Ok(items) => user.answer_whole(&iq, versioned, &items),
            Err(why) => user.reply(now, &iq, Reply::Error(store_failed(&why))),
        });
    }

    fn answer_whole(&mut self, iq: &Parcel, versioned: bool, items: &[RosterItem]) {
        let mut out = Vec::from(&b"<query xmlns='jabber:iq:roster'"[..]);
        if versioned {
            let version = self.contacts.as_ref().map_or(0, |c| c.version);
            out.extend_from_slice(format_compact!(" ver='{version}'").as_bytes());
        }
        out.push(b'>');
        for item in items.iter().filter(|i| i.in_roster) {
            write_item(&mut out, &item.jid, Some(item));
        }
        out.extend_from_slice(b"</query>");
        self.answer_roster(iq, out.into());
    }

    fn answer_roster(&mut self, iq: &Parcel, payload: Bytes) {
        let place = iq.from().and_then(Jid::resource).and_then(|r| self.place_of_resource(r));
        if let Some(place) = place {
            let mut stanza = iq.stanza.result(payload);
            stanza.from = iq.to().cloned();
            self.deliver_to(place, &Parcel::new(stanza));
        }
    }

    fn push_one(&mut self, binding: Binding, push: &Arc<Stanza>) {
        self.deliver_where(push, |r| r.binding == binding);
    }

    /// Sections 2.3, 2.4 and 2.5.
    fn roster_set(&mut self, iq: &Parcel, query: &Element<'_>) -> Result<(), StanzaError> {
        let bad = || StanzaError::new(Condition::BadRequest);
        let mut items = query.children().filter(|c| c.is("item", ns::ROSTER));
        let (Some(item), None) = (items.next(), items.next()) else { return Err(bad()) };
        let jid: Jid =
            item.attr("jid").ok_or_else(bad)?.parse().map_err(|_| StanzaError::new(Condition::JidMalformed))?;
        if self.is_own(&jid) {
            return Err(StanzaError::new(Condition::NotAllowed));
        }
        if item.attr("subscription").is_some_and(|s| s == "remove") {
            return self.roster_remove(iq, &jid);
        }
        let groups = self.groups_of(&item)?;
        let name = item.attr("name").filter(|n| !n.is_empty()).map(CompactString::from);
        self.check_length(name.as_deref().unwrap_or_default())?;
        if self.contact(&jid).is_none() && self.roster_is_full() {
            return Err(StanzaError::new(Condition::ResourceConstraint));
        }
        let mut contact = self.item_of(&jid.to_bare());
        (contact.name, contact.groups, contact.in_roster) = (name, groups, true);
        let iq = iq.clone();
        self.put_contact(contact, move |user, now, written| match written {
            Ok(contact) => {
                user.push_contact(&contact.jid, Some(&contact));
                user.reply(now, &iq, Reply::Result(Bytes::new()));
            }
            Err(why) => user.reply(now, &iq, Reply::Error(store_failed(&why))),
        });
        Ok(())
    }

    /// The errors of section 2.3.3 about groups.
    fn groups_of(&self, item: &Element<'_>) -> Result<Vec<CompactString>, StanzaError> {
        let mut seen = HashSet::new();
        let mut groups = Vec::new();
        for group in item.children().filter(|c| c.is("group", ns::ROSTER)) {
            let group = CompactString::from(group.text());
            if group.is_empty() {
                return Err(StanzaError::new(Condition::NotAcceptable).with_text("a group without a name"));
            }
            self.check_length(&group)?;
            if !seen.insert(group.clone()) {
                return Err(StanzaError::new(Condition::BadRequest).with_text("the same group twice"));
            }
            groups.push(group);
        }
        if groups.len() > self.settings().roster_groups_max as usize {
            return Err(StanzaError::new(Condition::NotAcceptable).with_text("too many groups"));
        }
        groups.shrink_to_fit();
        Ok(groups)
    }

    fn check_length(&self, name: &str) -> Result<(), StanzaError> {
        if name.len() > self.settings().roster_name_bytes_max as usize {
            return Err(StanzaError::new(Condition::NotAcceptable).with_text("a name is too long"));
        }
        Ok(())
    }

    /// Section 2.5: the contact hears that both subscriptions end.
    fn roster_remove(&mut self, iq: &Parcel, jid: &Jid) -> Result<(), StanzaError> {
        if !self.contact(jid).is_some_and(Contact::in_roster) {
            return Err(StanzaError::new(Condition::ItemNotFound));
        }
        let contact = self.item_of(&jid.to_bare());
        let iq = iq.clone();
        self.remove_contact(contact.jid.clone(), move |user, now, removed| match removed {
            Ok(()) => {
                user.end_both(now, &contact);
                user.push_contact(&contact.jid, None);
                user.reply(now, &iq, Reply::Result(Bytes::new()));
            }
            Err(why) => user.reply(now, &iq, Reply::Error(store_failed(&why))),
        });
        Ok(())
    }
}

/// What a client is told when the store did not do it.
pub(super) fn store_failed(why: &StoreError) -> StanzaError {
    match why {
        StoreError::Busy => StanzaError::new(Condition::ResourceConstraint),
        StoreError::Invalid(what) => StanzaError::new(Condition::NotAcceptable).with_text(*what),
        _ => StanzaError::new(Condition::InternalServerError),
    }
}

/// A roster push (section 2.1.6), for any number of resources.
fn push(version: u64, jid: &BareJid, item: Option<&RosterItem>) -> Arc<Stanza> {
    let mut out = Vec::from(format_compact!("<query xmlns='jabber:iq:roster' ver='{version}'>").as_bytes());
    write_item(&mut out, jid, item);
    out.extend_from_slice(b"</query>");
    Arc::new(Stanza::new(Kind::Iq(IqType::Set)).id(format_compact!("push{version}")).payload(out))
}

fn write_item(out: &mut Vec<u8>, jid: &BareJid, item: Option<&RosterItem>) {
    out.extend_from_slice(b"<item");
    push_pair(out, "jid", jid.as_str());
    let Some(item) = item else {
        out.extend_from_slice(b" subscription='remove'/>");
        return;
    };
    if let Some(name) = &item.name {
        push_pair(out, "name", name);
    }
    push_pair(out, "subscription", item.subscription.as_str());
    if item.ask {
        push_pair(out, "ask", "subscribe");
    }
    if item.approved {
        push_pair(out, "approved", "true");
    }
    if item.groups.is_empty() {
        out.extend_from_slice(b"/>");
        return;
    }
    out.push(b'>');
    for group in &item.groups {
        out.extend_from_slice(b"<group>");
        push_text(out, group);
        out.extend_from_slice(b"</group>");
    }
    out.extend_from_slice(b"</item>");
}

fn push_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    push_attr(out, value);
    out.push(b'\'');
}
