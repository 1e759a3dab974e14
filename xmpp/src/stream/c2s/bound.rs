//! Once a resource is bound: stanzas, each counted where the stream is managed.

use super::managed::Managed;
use super::{Condition, Output, State, Stream, StreamError, first_tag, sm};
use crate::jid::{FullJid, Jid};
use crate::ns;
use crate::stanza::{Condition as StanzaCondition, IqType, Kind, Refusal, Stanza, StanzaError};
use crate::xml::Scope;
use compact_str::CompactString;

/// All that is kept of a bound stream.
pub(super) struct Bound {
    pub jid: FullJid,
    pub lang: Option<Box<str>>,   // of the client's header
    pub managed: Option<Managed>, // none: not offered
}

/// What is answered here and goes no further.
enum Here {
    Bind,
    Session,
    Pong,
}

/// The id of the server's own pings (XEP-0199) to a client: what answers one goes no further.
pub const PING_ID: &str = "herald-ping";

impl Stream {
    pub(super) fn on_bound_element(&mut self, xml: &str, scope: &Scope) {
        if sm::Command::may_be(first_tag(xml)) && self.on_command(xml, scope) {
            return;
        }
        let parsed = Stanza::parse(xml, scope);
        let State::Bound(bound) = &mut self.state else { return };
        bound.count();
        let mut stanza = match parsed {
            Ok(stanza) => stanza,
            Err(refusal) => return self.on_refusal(refusal),
        };
        if stanza.from.as_ref().is_some_and(|from| !own(from, &bound.jid)) {
            return self.fail(StreamError::new(Condition::InvalidFrom).with_text("This is not your address."));
        }
        stanza.from = Some(bound.jid.as_jid().clone());
        if stanza.lang.is_none() {
            stanza.lang = bound.lang.as_deref().map(CompactString::from);
        }
        match here(&stanza, &bound.jid) {
            Some(Here::Session) => self.push(Output::Reply(Stanza { from: None, to: None, ..stanza.result("") })),
            Some(Here::Pong) => {}
            Some(Here::Bind) => {
                // RFC 6120 section 7.6.2: one resource on one stream.
                let error = StanzaError::new(StanzaCondition::NotAllowed);
                self.push_error(&stanza, error.with_text("A resource is bound already."));
            }
            None => self.push(Output::Stanza(stanza)),
        }
    }

    pub(super) fn on_refusal(&mut self, refusal: Refusal) {
        if let Some(reply) = refusal.reply {
            self.push(Output::Reply(*reply));
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
    let Kind::Iq(kind) = stanza.kind else { return None };
    let to_server = |to: &Jid| to.as_str() == jid.domain() || to.as_str() == jid.bare_str();
    if !stanza.to.as_ref().is_none_or(to_server) {
        return None;
    }
    match kind {
        IqType::Set => {}
        IqType::Get => return None,
        IqType::Result | IqType::Error => {
            return (stanza.id.as_deref() == Some(PING_ID)).then_some(Here::Pong);
        }
    }
    let child = stanza.children().next()?;
    if child.is("session", ns::SESSION) {
        Some(Here::Session)
    } else {
        child.is("bind", ns::BIND).then_some(Here::Bind)
    }
}
