//! A connection that is full: it is behind, not gone.
//!
//! So long the user hands it nothing. What would go to it goes elsewhere:
//!
//! | what | where |
//! |---|---|
//! | messages that the modules keep | into the store, and from there to the connection, page by page, once it has room |
//! | other messages (a headline, a chat state) | nowhere; one that must not be let go quietly goes back to its sender |
//! | an iq that asks something | back to its sender, with `resource-constraint` |
//! | presence, answers, roster pushes, errors | here, up to [`LATE_BYTES_MAX`]: of a resource's presence the latest |
//!
//! One that follows the log is never behind: it reads what it did not take.
//!
//! Only a connection without a substitute may be behind: when another resource of the user takes messages,
//! it is closed, and that one gets what is kept. So there is one at most.

use super::kept::parcel_of;
use super::leaving::given_back;
use super::message::Ticket;
use super::{Query, Todo, User};
use crate::clock::Now;
use crate::link::{Binding, Close, Delivery};
use crate::user::Answer;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{IqType, Kind, MessageType, PresenceType, Stanza, StanzaError};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is held for a connection that is behind, in bytes, beside what is in the store. With more it is closed.
pub(super) const LATE_BYTES_MAX: usize = 65_536;

/// What a stanza held takes beside its text, in bytes.
const STANZA_BYTES_BESIDE: usize = 256;

/// The connection that is behind; not there when none is.
pub(super) struct Behind {
    binding: Binding,
    /// When it is looked at whether its client takes anything.
    pub until: Instant,
    /// What [`Link::taken`](crate::Link::taken) was then.
    taken: Option<u32>,
    /// The time of the mail in hand.
    pub now: Now,
    late: VecDeque<Delivery>,
    late_bytes: usize,
}

impl User {
    /// A link did not take what it was handed.
    pub(super) fn refused(&mut self, now: Now, binding: Binding, delivery: Delivery) {
        match self.place_of(binding) {
            Some(place) if self.resources[place].follows => self.not_followed(now, place, delivery),
            Some(place) if self.may_be_behind(place) => {
                self.fall_behind(now, place);
                self.overflow(binding, delivery);
            }
            Some(place) => {
                self.detach(now, place, Close::ResourceFull);
                self.give_back_later(delivery);
            }
            None => self.give_back_later(delivery),
        }
    }

    /// Is some connection of this user behind?
    pub fn has_link_behind(&self) -> bool {
        self.busy.behind.is_some()
    }

    pub(super) fn is_behind(&self, binding: Binding) -> bool {
        self.busy.behind.as_ref().is_some_and(|b| b.binding == binding)
    }

    /// It takes messages, and no other resource does.
    fn may_be_behind(&self, place: usize) -> bool {
        let takes = |place: usize| self.resources[place].takes_messages();
        let is_alone = (0..self.resources.len()).all(|other| other == place || !takes(other));
        self.settings().behind_secs > 0 && self.busy.behind.is_none() && takes(place) && is_alone
    }

    fn fall_behind(&mut self, now: Now, place: usize) {
        let bound = &self.resources[place];
        let (binding, waiting, taken) = (bound.binding, bound.link.waiting(), bound.link.taken());
        let until = now.at + self.behind_time();
        self.busy.behind = Some(Box::new(Behind { binding, until, taken, now, late: VecDeque::new(), late_bytes: 0 }));
        tracing::debug!(user = %self.jid, waiting, "a connection is behind");
        // Nothing that has to be kept was handed to it since it was behind before, unless all from then was.
        let has_place = self.reserved_at(binding).is_some_and(|first| !self.is_given_behind(first));
        // Who follows the log may read beyond that place: then what comes back comes as new.
        let is_followed = self.resources.iter().any(|r| r.follows);
        if waiting > 0 && !has_place && !is_followed {
            // Should the connection give back what it has, that belongs before what is kept from now on.
            self.ask_store(Query::Reserve(waiting), move |user, _, answer| match answer {
                Ok(Answer::Reserved(first)) => user.reserve(binding, first, waiting),
                other => tracing::warn!(user = %user.jid, ?other, "what a slow connection gives back will come late"),
            });
        }
    }

    /// What would go to the connection that is behind.
    pub(super) fn overflow(&mut self, binding: Binding, delivery: Delivery) {
        let Some(now) = self.busy.behind.as_ref().map(|b| b.now) else { return };
        match delivery.stanza.kind {
            Kind::Message(MessageType::Error) => self.hold_late(now, delivery),
            Kind::Message(_) => self.overflow_message(now, binding, delivery),
            Kind::Iq(IqType::Get | IqType::Set) if delivery.stanza.from.is_some() => {
                self.bounce(now, &parcel_of(delivery), StanzaError::new(Condition::ResourceConstraint));
            }
            Kind::Iq(_) | Kind::Presence(_) => self.hold_late(now, delivery),
        }
    }

    /// One that follows the log has no room. What is in the log it reads from there when it has.
    fn not_followed(&mut self, now: Now, place: usize, delivery: Delivery) {
        let binding = self.resources[place].binding;
        match delivery.stanza.kind {
            Kind::Message(MessageType::Error) if delivery.receipt.is_none() => {}
            Kind::Message(_) => self.overflow_message(now, binding, delivery),
            Kind::Iq(IqType::Get | IqType::Set) if delivery.stanza.from.is_some() => {
                self.bounce(now, &parcel_of(delivery), StanzaError::new(Condition::ResourceConstraint));
            }
            Kind::Iq(_) | Kind::Presence(_) => self.detach(now, place, Close::ResourceFull),
        }
    }

    fn overflow_message(&mut self, now: Now, binding: Binding, delivery: Delivery) {
        if delivery.receipt.is_some() {
            self.hand_back(binding, &delivery);
        } else if self.busy.leaving.is_some() {
            self.give_back_later(delivery); // behind what another gives back
        } else {
            let stanza = delivery.stanza.clone();
            if let Some(parcel) = given_back(delivery) {
                let ticket = self.ticket_of(&stanza);
                self.offline(now, parcel, ticket);
            }
        }
    }

    /// Who waits to hear what became of this message: nobody was told yet.
    fn ticket_of(&mut self, stanza: &Arc<Stanza>) -> Option<Ticket> {
        let is_about = |todo: &Todo| matches!(todo, Todo::Say(_, _, about, _) if Arc::ptr_eq(about, stanza));
        let place = self.busy.todo.iter().position(is_about)?;
        match self.busy.todo.remove(place) {
            Some(Todo::Say(ticket, ..)) => Some(ticket),
            _ => None,
        }
    }

    /// Holds what cannot be kept and must not be dropped.
    fn hold_late(&mut self, now: Now, delivery: Delivery) {
        use PresenceType::{Available, Unavailable};
        let Some(behind) = &mut self.busy.behind else { return };
        if matches!(delivery.stanza.kind, Kind::Presence(Available | Unavailable)) {
            let is_older = |held: &Delivery| {
                matches!(held.stanza.kind, Kind::Presence(Available | Unavailable))
                    && held.stanza.from == delivery.stanza.from
            };
            if let Some(place) = behind.late.iter().position(is_older)
                && let Some(older) = behind.late.remove(place)
            {
                behind.late_bytes -= held_bytes(&older);
            }
        }
        behind.late_bytes += held_bytes(&delivery);
        behind.late.push_back(delivery);
        if behind.late_bytes > LATE_BYTES_MAX {
            let binding = behind.binding;
            self.close_link(now, binding);
        }
    }

    /// A connection that was full has room: first what was held for it, then what is kept.
    pub(super) fn room(&mut self, binding: Binding) {
        if !self.is_behind(binding) {
            return;
        }
        let late = self.busy.behind.take().map(|b| b.late).unwrap_or_default();
        self.busy.todo.extend(late.into_iter().map(|delivery| Todo::Deliver(binding, delivery)));
        if self.kept == 0 {
            self.end_reservations(binding, u64::MAX); // nothing was kept that could have to stand behind
        }
        self.go_on();
        self.give_out();
    }

    /// The time is over: is its client there?
    pub(super) fn look_behind(&mut self, now: Now) {
        let Some(binding) = self.busy.behind.as_ref().filter(|b| b.until <= now.at).map(|b| b.binding) else { return };
        let taken = self.place_of(binding).and_then(|place| self.resources[place].link.taken());
        let until = now.at + self.behind_time();
        match &mut self.busy.behind {
            Some(behind) if taken.is_none() || behind.taken != taken => {
                (behind.until, behind.taken) = (until, taken);
            }
            _ => {
                tracing::info!(user = %self.jid, "a connection that was full took nothing; it is closed");
                self.close_link(now, binding);
            }
        }
    }

    /// Another resource takes messages now: the one that is behind goes, and comes back when it can.
    pub(super) fn close_behind(&mut self, now: Now, newcomer: Binding) {
        if let Some(binding) = self.busy.behind.as_ref().map(|b| b.binding)
            && binding != newcomer
        {
            self.close_link(now, binding);
        }
    }

    /// The resource is gone.
    pub(super) fn forget_behind(&mut self, binding: Binding) {
        if self.is_behind(binding) {
            self.busy.behind = None;
        }
    }

    fn close_link(&mut self, now: Now, binding: Binding) {
        if let Some(place) = self.place_of(binding) {
            self.detach(now, place, Close::ResourceFull);
        }
    }

    fn behind_time(&self) -> Duration {
        Duration::from_secs(self.settings().behind_secs.into())
    }
}

fn held_bytes(delivery: &Delivery) -> usize {
    delivery.stanza.bytes_len() + STANZA_BYTES_BESIDE
}
