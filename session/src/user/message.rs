//! Messages: who gets one (RFC 6121 section 8.5), and what happens when nobody does.

use super::storing::is_keepable;
use super::{Outcome, Pushed, Todo, User};
use crate::clock::Now;
use crate::delivery::{Address, Choice, choose, non_negative};
use crate::hooks::{Offline, Turn};
use crate::link::{Copies, Delivery, Parcel};
use crate::push::{Keep, SendtoState, Terms};
use herald_xmpp::stanza::Condition;
use herald_xmpp::xml::Scope;
use herald_xmpp::{Jid, Kind, Stanza, StanzaError};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Who waits to hear what became of a push.
pub(super) struct Ticket {
    pub terms: Arc<Terms>,
    pub answer: oneshot::Sender<Outcome>,
}

impl Ticket {
    pub(super) fn say(self, state: SendtoState, sessions: u32, id: Option<u64>) {
        self.tell(Outcome { state, sessions, id, repeated: false });
    }

    pub(super) fn tell(self, outcome: Outcome) {
        let _ = self.answer.send(outcome); // the backend may have gone
    }
}

impl User {
    /// A backend's message: it passes the same hooks as a user's.
    pub(super) fn push(&mut self, now: Now, pushed: Pushed) {
        let Pushed { mut parcel, terms, answer } = pushed;
        let ticket = Ticket { terms, answer };
        if !self.pass(now, &mut parcel, |m| &m.arrived) {
            return ticket.say(SendtoState::Dropped, 0, None);
        }
        self.place(now, parcel, Some(ticket), false);
    }

    /// Gives a message to the resources that are to have it, keeps it, or sends it back.
    ///
    /// `returned`: a connection gave it back. Then the resource it was for is gone, and any other will do.
    pub(super) fn place(&mut self, now: Now, parcel: Parcel, ticket: Option<Ticket>, returned: bool) {
        if self.leaving.is_some() {
            return self.hold(now, parcel, ticket);
        }
        let candidates = self.candidates();
        let mut address = self.address_of(parcel.to());
        if returned && address == Address::Full(None) {
            address = Address::Bare;
        }
        let choice = match &ticket {
            Some(_) => match non_negative(&candidates) {
                places if places.is_empty() => Choice::Offline,
                places => Choice::Resources(places),
            },
            None => choose(parcel.stanza.kind, address, &candidates),
        };
        match choice {
            Choice::Resources(places) => {
                // Behind what is kept already, or it would overtake. What is not to be kept may.
                if self.waits_behind_kept(&parcel, address)
                    && let Offline::Keep { expires_ms } = self.verdict(now, &parcel, ticket.as_ref())
                {
                    return self.keep(now, parcel, expires_ms, ticket, returned);
                }
                // One resource without anybody who waits for the outcome needs no count.
                let copies = (places.len() > 1 || ticket.is_some()).then(|| Copies::of(places.len()));
                for &place in &places {
                    let delivery = Delivery {
                        to: parcel.to.clone(),
                        copies: copies.clone(),
                        ..Delivery::new(parcel.stanza.clone())
                    };
                    self.ask_deliver(self.resources[place].binding, delivery);
                }
                if let (Some(ticket), Some(copies)) = (ticket, copies) {
                    self.todo.push_back(Todo::Say(ticket, copies, parcel.stanza));
                }
            }
            Choice::Offline => self.no_taker(now, parcel, ticket, returned),
            Choice::Bounce | Choice::Server => {
                self.bounce(now, &parcel, StanzaError::new(Condition::ServiceUnavailable));
            }
            Choice::Ignore => {}
        }
    }

    /// The links have been asked. Did one take it? If none did, it is held back and so is the answer.
    pub(super) fn say_delivered(&mut self, ticket: Ticket, copies: &Copies, stanza: &Arc<Stanza>) {
        match copies.out() {
            0 => self.hold_answer(ticket, stanza),
            taken => ticket.say(SendtoState::Delivered, taken, None),
        }
    }

    /// No resource takes it now.
    pub(super) fn offline(&mut self, now: Now, parcel: Parcel, ticket: Option<Ticket>) {
        self.no_taker(now, parcel, ticket, false);
    }

    fn no_taker(&mut self, now: Now, parcel: Parcel, ticket: Option<Ticket>, returned: bool) {
        match (self.verdict(now, &parcel, ticket.as_ref()), ticket) {
            (Offline::Keep { expires_ms }, ticket) => self.keep(now, parcel, expires_ms, ticket, returned),
            (_, Some(ticket)) => ticket.say(SendtoState::Dropped, 0, None),
            (Offline::Drop, None) => {}
            (Offline::Bounce(error), None) => self.bounce(now, &parcel, error),
            (Offline::Pass, None) => {
                let is_there = self.has_link_behind();
                let condition = if is_there { Condition::ResourceConstraint } else { Condition::ServiceUnavailable };
                self.bounce(now, &parcel, StanzaError::new(condition));
            }
        }
    }

    /// Is it kept, when nobody takes it?
    pub(super) fn verdict(&mut self, now: Now, parcel: &Parcel, ticket: Option<&Ticket>) -> Offline {
        let Some(terms) = ticket.map(|t| &*t.terms) else { return self.ask_offline(now, parcel) };
        match terms.keep {
            Keep::Never => Offline::Drop,
            Keep::IfOffline | Keep::Always => Offline::Keep { expires_ms: terms.expires_ms },
            Keep::Usual => match self.ask_offline(now, parcel) {
                Offline::Keep { expires_ms } => {
                    let soonest = [expires_ms, terms.expires_ms].into_iter().flatten().min();
                    Offline::Keep { expires_ms: soonest }
                }
                other => other,
            },
        }
    }

    fn ask_offline(&mut self, now: Now, parcel: &Parcel) -> Offline {
        let shared = self.shared.clone();
        let mut turn = Turn { user: self, now };
        shared
            .modules
            .offline
            .iter()
            .map(|hook| hook(&mut turn, parcel))
            .find(|verdict| *verdict != Offline::Pass)
            .unwrap_or(Offline::Pass)
    }

    /// Messages must not overtake what is being given out from the store: those to the account, and those to
    /// the resource that it is given to.
    fn waits_behind_kept(&self, parcel: &Parcel, address: Address) -> bool {
        let same_way = match address {
            Address::Full(Some(place)) => self.is_given_to(self.resources[place].binding),
            _ => true,
        };
        let keepable = matches!(parcel.stanza.kind, Kind::Message(kind) if is_keepable(kind));
        same_way && keepable && self.is_giving_out()
    }
}

/// A stanza as it was written by [`Stanza::to_bytes`] with its namespace; `None` when it is none.
pub(super) fn read_kept(bytes: &[u8]) -> Option<Stanza> {
    Stanza::parse(std::str::from_utf8(bytes).ok()?, &Scope::NONE).ok()
}

/// The stanza of a parcel with the address it was for, as it is kept.
pub(super) fn write_kept(parcel: &Parcel) -> bytes::Bytes {
    let to: Option<&Jid> = parcel.to.as_ref();
    let mut out = Vec::with_capacity(parcel.stanza.bytes_len() + 64);
    parcel.stanza.write(to, true, &mut out);
    out.into()
}
