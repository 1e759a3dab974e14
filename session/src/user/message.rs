//! Messages: who gets one (RFC 6121 section 8.5), and what happens when nobody does.

use super::storing::{Why, is_keepable};
use super::{Outcome, Pushed, Todo, User};
use crate::clock::Now;
use crate::delivery::{Address, Choice, choose, non_negative};
use crate::hooks::{Offline, Turn};
use crate::link::{Copies, Delivery, Parcel};
use crate::push::{Keep, OnlyIf, SendtoState, Terms};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Kind, Stanza, StanzaError};
use smallvec::SmallVec;
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
        if self.busy.leaving.is_some() {
            return self.hold(now, parcel, ticket);
        }
        let ticket = match ticket {
            Some(ticket) if !self.is_as_wanted(ticket.terms.only_if) => {
                return ticket.say(SendtoState::Skipped, 0, None);
            }
            ticket => ticket,
        };
        let mut address = self.address_of(parcel.to());
        if returned && address == Address::Full(None) {
            address = Address::Bare;
        }
        match self.choose_for(&parcel, ticket.as_ref(), address) {
            Choice::Resources(places) => {
                if self.is_kept_first(&parcel, address, ticket.as_ref())
                    && let Offline::Keep { expires_ms } = self.verdict(now, &parcel, ticket.as_ref())
                {
                    let why = if returned { Why::Returned } else { Why::First };
                    return self.keep(now, parcel, expires_ms, ticket, why);
                }
                self.hand_over(parcel, &places, ticket);
            }
            Choice::Offline => self.no_taker(now, parcel, ticket, returned),
            Choice::Bounce | Choice::Server => {
                self.bounce(now, &parcel, StanzaError::new(Condition::ServiceUnavailable));
            }
            Choice::Ignore => {}
        }
    }

    /// Who gets it? A push is for all who take messages, or for the one it names, but for the one that it does not.
    pub(super) fn choose_for(&self, parcel: &Parcel, ticket: Option<&Ticket>, address: Address) -> Choice {
        let candidates = self.candidates();
        let Some(ticket) = ticket else { return choose(parcel.stanza.kind, address, &candidates) };
        let mut places = match address {
            Address::Full(Some(place)) => SmallVec::from_slice(&[place]),
            _ => non_negative(&candidates),
        };
        if let Some(excluded) = &ticket.terms.exclude {
            places.retain(|place| self.resources[*place].jid.resource() != excluded.as_str());
        }
        if places.is_empty() { Choice::Offline } else { Choice::Resources(places) }
    }

    /// Without a number.
    fn hand_over(&mut self, parcel: Parcel, places: &[usize], ticket: Option<Ticket>) {
        // One resource without anybody who waits for the outcome needs no count.
        let copies = (places.len() > 1 || ticket.is_some()).then(|| Copies::of(places.len()));
        for &place in places {
            let delivery =
                Delivery { to: parcel.to.clone(), copies: copies.clone(), ..Delivery::new(parcel.stanza.clone()) };
            self.ask_deliver(self.resources[place].binding, delivery);
        }
        if let (Some(ticket), Some(copies)) = (ticket, copies) {
            self.busy.todo.push_back(Todo::Say(ticket, copies, parcel.stanza, None));
        }
    }

    /// The links have been asked. Did one take it? If none did, it is held back and so is the answer; unless
    /// it is kept.
    pub(super) fn say_delivered(&mut self, ticket: Ticket, copies: &Copies, stanza: &Arc<Stanza>, id: Option<u64>) {
        match (copies.out(), id) {
            (0, None) => self.hold_answer(ticket, stanza),
            (0, id) => ticket.say(SendtoState::Stored, 0, id),
            (taken, id) => ticket.say(SendtoState::Delivered, taken, id),
        }
    }

    /// No resource takes it now.
    pub(super) fn offline(&mut self, now: Now, parcel: Parcel, ticket: Option<Ticket>) {
        self.no_taker(now, parcel, ticket, false);
    }

    fn no_taker(&mut self, now: Now, parcel: Parcel, ticket: Option<Ticket>, returned: bool) {
        match (self.verdict(now, &parcel, ticket.as_ref()), ticket) {
            (Offline::Keep { expires_ms }, ticket) => {
                let why = if returned { Why::Returned } else { Why::NoTaker };
                self.keep(now, parcel, expires_ms, ticket, why);
            }
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

    /// Is it kept?
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

    /// Does the user have the presence that a push asks for?
    fn is_as_wanted(&self, only_if: OnlyIf) -> bool {
        match only_if {
            OnlyIf::Any => true,
            OnlyIf::Online => self.online_since().is_some(),
            OnlyIf::Offline => self.online_since().is_none(),
        }
    }

    /// Is a message for somebody who is there kept before they get it, if it is kept at all? When the push says so,
    /// when someone follows the log, and when it would overtake what is on its way through the store.
    fn is_kept_first(&self, parcel: &Parcel, address: Address, ticket: Option<&Ticket>) -> bool {
        let wants = |terms: &Terms| terms.keep == Keep::Always || terms.once.is_some();
        let keepable = matches!(parcel.stanza.kind, Kind::Message(kind) if is_keepable(kind));
        let is_wanted = ticket.is_some_and(|t| wants(&t.terms));
        is_wanted || keepable && (self.has_follower() || self.is_storing() || self.waits_behind_kept(address))
    }

    /// Messages must not overtake what is being given out from the store: those to the account, and those to
    /// the resource that it is given to.
    fn waits_behind_kept(&self, address: Address) -> bool {
        let same_way = match address {
            Address::Full(Some(place)) => self.is_given_to(self.resources[place].binding),
            _ => true,
        };
        same_way && self.is_giving_out()
    }
}
