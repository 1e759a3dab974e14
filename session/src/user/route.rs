//! Where a stanza goes, and how it comes back.

use super::{Todo, User};
use crate::clock::Now;
use crate::hooks::Reply;
use crate::link::Parcel;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Kind, PresenceType, Stanza, StanzaError};

impl User {
    /// Sends a stanza to whoever it is for.
    pub(crate) fn route(&mut self, now: Now, parcel: Parcel) {
        let Some(to) = parcel.to() else { return };
        if self.is_own(to) {
            self.arrived(now, parcel);
        } else if to.domain() != self.settings().domain {
            self.turn_back_from_nowhere(now, &parcel, Condition::RemoteServerNotFound);
        } else if to.local().is_none() {
            self.turn_back_from_nowhere(now, &parcel, Condition::ServiceUnavailable);
        } else {
            self.busy.todo.push_back(Todo::Route(parcel));
        }
    }

    /// What goes to another domain, or is a message for the server. Plain presence just ends there.
    fn turn_back_from_nowhere(&mut self, now: Now, parcel: &Parcel, condition: Condition) {
        use PresenceType::{Available, Probe, Unavailable};
        if !matches!(parcel.stanza.kind, Kind::Presence(Available | Unavailable | Probe)) {
            self.bounce(now, parcel, StanzaError::new(condition));
        }
    }

    /// Sends a stanza back to its sender as an error, when it may be answered with one.
    pub(super) fn bounce(&mut self, now: Now, parcel: &Parcel, error: StanzaError) {
        if let Some(mut stanza) = parcel.stanza.error(error) {
            stanza.from = parcel.to().cloned();
            self.send_back(now, stanza);
        }
    }

    /// Answers an iq.
    pub(crate) fn reply(&mut self, now: Now, iq: &Parcel, reply: Reply) {
        match reply {
            Reply::Result(payload) => {
                let mut stanza = iq.stanza.result(payload);
                stanza.from = iq.to().cloned();
                self.send_back(now, stanza);
            }
            Reply::Error(error) => self.bounce(now, iq, error),
            Reply::Later => {}
        }
    }

    /// What the server says for itself passes no hook on its way to the user's own client.
    fn send_back(&mut self, now: Now, stanza: Stanza) {
        let Some(to) = &stanza.to else { return };
        if !self.is_own(to) {
            self.route(now, Parcel::new(stanza));
        } else if let Some(place) = to.resource().and_then(|r| self.place_of_resource(r)) {
            self.deliver_to(place, &Parcel::new(stanza));
        }
    }

    /// Sends back what was for a user who is not there, presence excepted.
    pub(super) fn turn_back(&mut self, now: Now, parcel: &Parcel, condition: Condition) {
        if !matches!(parcel.stanza.kind, Kind::Presence(_)) {
            self.bounce(now, parcel, StanzaError::new(condition));
        }
    }
}
