//! Once a resource is bound: stanzas.

use super::{Condition, Output, State, Stream, StreamError};
use crate::jid::{FullJid, Jid};
use crate::ns;
use crate::stanza::{Condition as StanzaCondition, IqType, Kind, Refusal, Stanza, StanzaError};
use crate::xml::Scope;
use compact_str::CompactString;

/// All that is kept of a bound stream.
pub(super) struct Bound {
    pub jid: FullJid,
    pub lang: Option<CompactString>, // of the client's header
}

/// What is answered here and goes no further.
enum Here {
    Bind,
    Session,
}

impl Stream {
    pub(super) fn on_bound_element(&mut self, xml: &str, scope: &Scope) {
        let State::Bound(bound) = &self.state else { return };
        let mut stanza = match Stanza::parse(xml, scope) {
            Ok(stanza) => stanza,
            Err(refusal) => return self.on_refusal(refusal),
        };
        if stanza.from.as_ref().is_some_and(|from| !own(from, &bound.jid)) {
            return self.fail(StreamError::new(Condition::InvalidFrom).with_text("This is not your address."));
        }
        stanza.from = Some(bound.jid.as_jid().clone());
        if stanza.lang.is_none() {
            stanza.lang.clone_from(&bound.lang);
        }
        match here(&stanza, &bound.jid) {
            Some(Here::Session) => self.push_stanza_element(&Stanza { from: None, to: None, ..stanza.result("") }),
            Some(Here::Bind) => {
                // RFC 6120 section 7.6.2: one resource on one stream.
                let error = StanzaError::new(StanzaCondition::NotAllowed);
                self.push_error(&stanza, error.with_text("A resource is bound already."));
            }
            None => self.push(Output::Stanza(stanza)),
        }
    }

    pub(super) fn on_refusal(&mut self, refusal: Refusal) {
        if let Some(reply) = &refusal.reply {
            self.push_stanza_element(reply);
        }
        if let Some(fault) = refusal.stream {
            self.fail(fault);
        }
    }
}

/// The full JID, or the bare one (RFC 6120 section 8.1.2.1).
fn own(from: &Jid, jid: &FullJid) -> bool {
    from == jid.as_jid() || from.as_str() == jid.bare_str()
}

/// Binding, and the session of RFC 3921, which does nothing any more: both are between the stream and
/// its server.
fn here(stanza: &Stanza, jid: &FullJid) -> Option<Here> {
    if !matches!(stanza.kind, Kind::Iq(IqType::Set)) {
        return None;
    }
    let to_server = |to: &Jid| to.as_str() == jid.domain() || to.as_str() == jid.bare_str();
    if !stanza.to.as_ref().is_none_or(to_server) {
        return None;
    }
    let child = stanza.children().next()?;
    if child.is("session", ns::SESSION) {
        Some(Here::Session)
    } else {
        child.is("bind", ns::BIND).then_some(Here::Bind)
    }
}
