//! iq: to the own account, to the server, to resources (RFC 6120 section 8.2.3, RFC 6121 section 8.5).

use super::User;
use crate::clock::Now;
use crate::delivery::{Choice, choose};
use crate::hooks::{At, Reply, Turn};
use crate::link::Parcel;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Jid, StanzaError, ns};

impl User {
    /// Does the server answer it here and now, for a client of this user?
    pub(super) fn is_for_account_or_server(&self, to: Option<&Jid>) -> bool {
        to.is_none_or(|to| to.is_bare() && (self.is_own(to) || self.is_server(to)))
    }

    fn is_server(&self, to: &Jid) -> bool {
        to.local().is_none() && to.domain() == self.settings().domain
    }

    /// A client of this user asks its account, or the server.
    pub(super) fn iq_sent(&mut self, now: Now, iq: &Parcel) {
        if iq.stanza.is_request() {
            let at = if iq.to().is_some_and(|to| self.is_server(to)) { At::Server } else { At::Account };
            self.serve(now, at, iq);
        } // a result answers one of our pushes: nobody waits for it
    }

    /// An iq for this user came.
    pub(super) fn iq_arrived(&mut self, now: Now, iq: Parcel) {
        match choose(iq.stanza.kind, self.address_of(iq.to()), &self.candidates()) {
            Choice::Resources(places) => {
                for place in places {
                    self.deliver_to(place, &iq);
                }
            }
            Choice::Server => self.serve(now, At::Account, &iq),
            Choice::Bounce | Choice::Offline => {
                self.bounce(now, &iq, StanzaError::new(Condition::ServiceUnavailable));
            }
            Choice::Ignore => {}
        }
    }

    /// Finds who answers a get or a set: the roster, or a feature.
    fn serve(&mut self, now: Now, at: At, iq: &Parcel) {
        let stanza = iq.stanza.clone(); // the payload is read while the user is changed
        let Some(payload) = stanza.children().next() else {
            return self.bounce(now, iq, StanzaError::new(Condition::BadRequest));
        };
        if at == At::Account && payload.is("query", ns::ROSTER) {
            if iq.from().is_some_and(|from| self.is_own(from)) {
                return self.roster_iq(now, iq, &payload);
            }
            return self.bounce(now, iq, StanzaError::new(Condition::Forbidden)); // section 2.3.3
        }
        let shared = self.shared.clone();
        let reply = match shared.modules.iq(at, payload.name(), payload.ns()) {
            Some(handle) => handle(&mut Turn { user: self, now }, iq),
            None => Reply::Error(StanzaError::new(Condition::ServiceUnavailable)),
        };
        self.reply(now, iq, reply);
    }
}
