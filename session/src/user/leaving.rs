//! Connections that were told to end, and what they give back.
//!
//! Between [`Ask::Close`](super::Ask::Close) and [`Input::Unbind`](super::Input::Unbind) nobody knows
//! what such a connection has delivered. New messages are held back for so long, so that those it
//! gives back keep their place before them.

use super::User;
use super::kept::parcel_of;
use super::message::Ticket;
use crate::clock::Now;
use crate::link::{Binding, Copies, Delivery, Parcel, Receipt};
use crate::push::SendtoState;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Kind, Stanza, StanzaError};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who is waited for, and what is held back meanwhile. Not there when nobody is.
pub(super) struct Leaving {
    /// When it is not waited any longer.
    pub until: Instant,
    bindings: SmallVec<[Binding; 2]>,
    returned: Vec<Parcel>,
    held: VecDeque<(Parcel, Option<Ticket>)>,
}

impl User {
    /// From now on this connection is waited for.
    pub(super) fn wait_for(&mut self, now: Now, binding: Binding) {
        let until = now.at + Duration::from_secs(self.settings().leaving_secs.into());
        let leaving = self.busy.leaving.get_or_insert_with(|| {
            Box::new(Leaving { until, bindings: SmallVec::new(), returned: Vec::new(), held: VecDeque::new() })
        });
        leaving.until = until;
        leaving.bindings.push(binding);
    }

    /// Holds a message back.
    pub(super) fn hold(&mut self, now: Now, parcel: Parcel, ticket: Option<Ticket>) {
        let max = self.settings().held_max as usize;
        match &mut self.busy.leaving {
            Some(leaving) if leaving.held.len() < max => leaving.held.push_back((parcel, ticket)),
            _ => match ticket {
                Some(ticket) => ticket.say(SendtoState::Full, 0, None),
                None => self.bounce(now, &parcel, StanzaError::new(Condition::ResourceConstraint)),
            },
        }
    }

    /// What was for a connection that does not take it any more waits behind what that one gives back.
    pub(super) fn give_back_later(&mut self, delivery: Delivery) {
        if let Some(leaving) = &mut self.busy.leaving
            && let Some(parcel) = given_back(delivery)
        {
            leaving.held.push_back((parcel, None));
        }
    }

    /// The answer waits with the message it is about, which was held back last.
    pub(super) fn hold_answer(&mut self, ticket: Ticket, stanza: &Arc<Stanza>) {
        let held = self.busy.leaving.as_mut().and_then(|l| {
            l.held.iter_mut().rev().find(|(parcel, waits)| waits.is_none() && Arc::ptr_eq(&parcel.stanza, stanza))
        });
        match held {
            Some((_, waits)) => *waits = Some(ticket),
            None => ticket.say(SendtoState::Failed, 0, None),
        }
    }

    /// Is this a connection that was told to end, and has not?
    pub(super) fn is_leaving(&self, binding: Binding) -> bool {
        self.busy.leaving.as_ref().is_some_and(|l| l.bindings.contains(&binding))
    }

    /// A connection has ended and gives back what it had not delivered.
    pub(super) fn left(&mut self, now: Now, binding: Binding, undelivered: Vec<Delivery>) {
        let mut returned = Vec::new();
        let mut after = 0;
        for delivery in undelivered {
            after = delivery.receipt.map_or(after, |Receipt(id)| id);
            let parcel = given_back(delivery);
            returned.extend(parcel.and_then(|parcel| self.put_back(now, binding, after, parcel)));
        }
        self.end_reservations(binding, u64::MAX);
        match self.busy.as_mut().and_then(|work| work.leaving.as_mut()) {
            Some(leaving) => {
                leaving.returned.extend(returned);
                leaving.bindings.retain(|b| *b != binding);
                if leaving.bindings.is_empty() {
                    self.release(now);
                }
            }
            None => {
                self.give_out_again();
                for parcel in returned {
                    self.again(now, parcel, None);
                }
            }
        }
    }

    /// Nobody is waited for any more: first what was kept, then what came back, then what was held.
    pub(super) fn release(&mut self, now: Now) {
        let Some(leaving) = self.busy.as_mut().and_then(|work| work.leaving.take()) else { return };
        self.give_out_again();
        for parcel in leaving.returned {
            self.again(now, parcel, None);
        }
        for (parcel, ticket) in leaving.held {
            self.again(now, parcel, ticket);
        }
    }

    /// A stanza whose connection is gone: a message goes to who is there, a request goes back.
    fn again(&mut self, now: Now, parcel: Parcel, ticket: Option<Ticket>) {
        match parcel.stanza.kind {
            Kind::Message(_) => self.place(now, parcel, ticket, true),
            Kind::Iq(_) if parcel.stanza.is_request() => {
                self.bounce(now, &parcel, StanzaError::new(Condition::ServiceUnavailable));
            }
            Kind::Iq(_) | Kind::Presence(_) => {}
        }
    }
}

/// What is to be done again: not what is in the store, nor what other resources got.
pub(super) fn given_back(delivery: Delivery) -> Option<Parcel> {
    let is_in_store = User::is_kept(&delivery);
    let is_last_copy = delivery.copies.as_ref().is_none_or(Copies::give_back);
    (!is_in_store && is_last_copy).then(|| parcel_of(delivery))
}
