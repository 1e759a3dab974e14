//! RFC 6121 section 3: what the tables of [`crate::subscription`] say is done here.

use super::User;
use super::contacts::Contact;
use super::roster::store_failed;
use crate::clock::Now;
use crate::link::Parcel;
use crate::subscription::{State, Verb, inbound, outbound};
use bytes::Bytes;
use herald_storage::{RosterItem, StoreError};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, Jid, Kind, PresenceType, Stanza, StanzaError};
use std::sync::Arc;

/// A request longer than this is kept without what is in it: a stranger must not fill our store.
const REQUEST_BYTES_MAX: usize = 4_096;

impl User {
    /// A client of this user manages a subscription.
    pub(super) fn subscribe_sent(&mut self, now: Now, verb: Verb, parcel: &Parcel) {
        let Some(contact) = parcel.to().map(Jid::to_bare) else { return };
        if contact == self.jid {
            return; // everybody sees themself
        }
        if contact.domain() != self.settings().domain {
            return self.bounce(now, parcel, StanzaError::new(Condition::RemoteServerNotFound));
        }
        if contact.local().is_none() {
            return self.bounce(now, parcel, StanzaError::new(Condition::ServiceUnavailable));
        }
        let known = self.contact(&contact);
        if known.is_none() && self.roster_is_full() {
            return self.bounce(now, parcel, StanzaError::new(Condition::ResourceConstraint));
        }
        let before = known.map_or(State::None, Contact::state);
        let next = outbound(before, verb, known.is_some_and(Contact::approved));
        let mut item = self.item_of(&contact);
        if let Some(approved) = next.approved {
            item.approved = approved;
        }
        item.in_roster |= next.push;
        set_state(&mut item, next.state);

        // From the account, not from the resource (section 3.1.2).
        let mut stanza = Stanza::clone(&parcel.stanza);
        stanza.from = Some(self.jid.clone().into());
        stanza.to = Some(item.jid.clone().into());
        let mut parcel_out = Parcel::new(stanza);
        if !self.pass(now, &mut parcel_out, |m| &m.sent) {
            return;
        }
        let asked = parcel.clone();
        let shown = next.state.seen() && !before.seen();
        let hidden = before.seen() && !next.state.seen();
        self.write_contact(
            now,
            before,
            next.state,
            next.approved.is_some(),
            next.push,
            item,
            move |user, now, written| {
                let jid = match written {
                    Ok(jid) => jid,
                    Err(why) => return user.bounce(now, &asked, store_failed(&why)),
                };
                if next.route {
                    user.route(now, parcel_out);
                }
                if shown {
                    user.show_to(now, &jid);
                }
                if hidden {
                    user.hide_from(now, &jid);
                }
            },
        );
    }

    /// A contact, or a stranger, manages a subscription.
    pub(super) fn subscribe_arrived(&mut self, now: Now, verb: Verb, parcel: &Parcel) {
        let Some(contact) = parcel.from().map(Jid::to_bare) else { return };
        if contact == self.jid {
            return;
        }
        let known = self.contact(&contact);
        if known.is_none() && (verb != Verb::Subscribe || self.roster_is_full()) {
            return;
        }
        let before = known.map_or(State::None, Contact::state);
        let next = inbound(before, verb, known.is_some_and(Contact::approved));
        let mut item = self.item_of(&contact);
        let mut stanza = Stanza::clone(&parcel.stanza);
        stanza.from = Some(contact.into());
        stanza.to = Some(self.jid.clone().into());
        if next.state.pending_in() && item.pending_in.is_none() {
            item.pending_in = Some(request(&stanza));
        }
        set_state(&mut item, next.state);
        let stanza = Arc::new(stanza);
        let hidden = before.seen() && !next.state.seen();
        let newly_seen = next.state.seen() && !before.seen();
        if next.deliver && verb != Verb::Subscribe {
            // Before the push (section 3.1.6). Should the store fail now, the client is ahead of the roster
            // until it asks for it again.
            self.deliver_where(&stanza, |r| r.interested);
        }
        self.write_contact(now, before, next.state, false, next.push, item, move |user, now, written| {
            let jid = match written {
                Ok(jid) => jid,
                Err(why) => return tracing::error!(user = %user.jid, %why, "a subscription was not stored"),
            };
            if next.deliver && verb == Verb::Subscribe {
                user.deliver_where(&stanza, |r| r.priority.is_some());
            }
            if next.answer {
                let yes = Stanza::new(Kind::Presence(PresenceType::Subscribed));
                user.route(now, Parcel::new(yes.from(user.jid.clone()).to(jid.clone())));
            }
            if newly_seen {
                user.show_to(now, &jid);
            }
            if hidden {
                user.hide_from(now, &jid);
            }
        });
    }

    /// Writes what changed of a contact and pushes it, or goes on at once when nothing did.
    #[allow(clippy::too_many_arguments)] // one step of two callers
    fn write_contact(
        &mut self,
        now: Now,
        before: State,
        after: State,
        approval_changed: bool,
        push: bool,
        item: RosterItem,
        then: impl FnOnce(&mut User, Now, Result<BareJid, StoreError>) + Send + 'static,
    ) {
        let jid = item.jid.clone();
        let nothing_left = !item.in_roster && after == State::None;
        if before == after && !approval_changed {
            then(self, now, Ok(jid));
        } else if nothing_left {
            self.remove_contact(jid.clone(), move |user, now, removed| then(user, now, removed.map(|()| jid)));
        } else {
            self.put_subscription(item, move |user, now, written| {
                let done = written.map(|item| {
                    if push {
                        user.push_contact(&item.jid, Some(&item));
                    }
                    item.jid
                });
                then(user, now, done);
            });
        }
    }

    /// A contact was removed from the roster: they hear it, whatever stood between (section 2.5.2).
    pub(super) fn end_both(&mut self, now: Now, contact: &RosterItem) {
        let state = State::new(contact.subscription, contact.ask, contact.pending_in.is_some());
        let say = |user: &mut User, kind| {
            let stanza = Stanza::new(Kind::Presence(kind)).from(user.jid.clone()).to(contact.jid.clone());
            user.route(now, Parcel::new(stanza));
        };
        if state.sees() || state.pending_out() {
            say(self, PresenceType::Unsubscribe);
        }
        if state.seen() || state.pending_in() {
            say(self, PresenceType::Unsubscribed);
        }
        if state.seen() {
            self.hide_from(now, &contact.jid);
        }
    }
}

fn set_state(item: &mut RosterItem, state: State) {
    item.subscription = state.subscription();
    item.ask = state.pending_out();
    if !state.pending_in() {
        item.pending_in = None;
    }
}

/// A request as it is kept until it is answered.
fn request(stanza: &Stanza) -> Bytes {
    if stanza.bytes_len() <= REQUEST_BYTES_MAX {
        return stanza.to_bytes(true);
    }
    let bare = Stanza { payload: Bytes::new(), decls: None, ..stanza.clone() };
    bare.to_bytes(true)
}
