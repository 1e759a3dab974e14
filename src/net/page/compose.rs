//! From a client's frames to stanzas.

use super::frames::{Contact, FirstPresence, MessageKind, Presence, Recipients, Send};
use super::frames::{RECIPIENTS_MAX, REF_BYTES_MAX};
use crate::payload;
use herald_session::{Keep, Push, Terms, Uid};
use herald_xmpp::xml::escape_text;
use herald_xmpp::{IqType, Jid, Kind, MessageType, PresenceType, Stanza, ns};

/// XEP-0085.
pub(super) const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0359: `origin-id` and `stanza-id`.
pub(super) const STANZA_IDS: &str = "urn:xmpp:sid:0";

/// Why a frame cannot be carried out, in the words of an `error`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub code: &'static str,
    pub detail: String,
}

fn invalid(detail: impl Into<String>) -> Refused {
    Refused { code: "invalid", detail: detail.into() }
}

/// A message, and whom it is for.
#[derive(Debug)]
pub(super) struct Sending {
    pub reference: Option<String>,
    pub to: Vec<Uid>,
    pub push: Push,
}

impl Sending {
    /// It is from this user: what is kept is kept once under its `ref`.
    pub fn of(mut self, sender: &str) -> Sending {
        if let (Some(reference), true) = (&self.reference, self.push.terms.keep == Keep::Always) {
            self.push.terms.once = Some(format!("ref:{sender}:{reference}").into());
        }
        self
    }
}

/// A message, of at most `bytes_max` bytes.
///
/// One with a body or JSON, and a `ref`, is kept before it is handed out: so the same `ref` is never delivered twice.
pub(super) fn message(send: Send<'_>, bytes_max: usize) -> Result<Sending, Refused> {
    let to: Vec<Uid> = match send.to {
        Recipients::One(to) => vec![to.into()],
        Recipients::Many(to) => to.into_iter().map(Into::into).collect(),
    };
    if to.is_empty() || to.len() > RECIPIENTS_MAX {
        return Err(invalid(format!("`to` must name 1 to {RECIPIENTS_MAX} users")));
    }
    check_reference(send.reference.as_deref())?;
    let content = send.body.is_some() || send.json.is_some();
    if !content && send.state.is_none() {
        return Err(invalid("one of `body`, `json` and `state` is needed"));
    }
    let mut stanza = Stanza::new(Kind::Message(match send.kind {
        MessageKind::Chat => MessageType::Chat,
        MessageKind::Normal => MessageType::Normal,
        MessageKind::Headline => MessageType::Headline,
    }));
    let mut xml = String::new();
    if let Some(body) = &send.body {
        if let Some(c) = payload::forbidden(body) {
            return Err(invalid(format!("`body` has U+{:04X}, which XML cannot hold", u32::from(c))));
        }
        xml += &payload::body(body);
    }
    if let Some(json) = send.json {
        xml += &payload::json(json);
    }
    if let Some(state) = send.state {
        xml += &format!("<{} xmlns='{CHAT_STATES}'/>", state.as_str());
    }
    let kept = content && send.kind != MessageKind::Headline;
    let terms = Terms::keep(match (kept, &send.reference) {
        (false, _) => Keep::Never,
        (true, Some(_)) => Keep::Always,
        (true, None) => Keep::IfOffline,
    });
    if let Some(reference) = &send.reference {
        xml += &format!("<origin-id xmlns='{STANZA_IDS}' id='{}'/>", herald_xmpp::xml::escape_attr(reference));
        stanza.id = Some(reference.into());
    }
    stanza.payload = xml.into();
    if stanza.bytes_len() > bytes_max {
        return Err(Refused { code: "too_large", detail: format!("the message has more than {bytes_max} bytes") });
    }
    Ok(Sending { reference: send.reference, to, push: Push { stanza, terms } })
}

/// It must fit into an attribute, and back out of it unchanged.
pub(super) fn check_reference(reference: Option<&str>) -> Result<(), Refused> {
    let fits = |r: &str| !r.is_empty() && r.len() <= REF_BYTES_MAX && !r.contains(char::is_control);
    match reference {
        Some(reference) if !fits(reference) || payload::forbidden(reference).is_some() => {
            Err(invalid(format!("`ref` must have 1 to {REF_BYTES_MAX} bytes and no control characters")))
        }
        _ => Ok(()),
    }
}

/// The presence to begin with; `None` for whoever wants to be seen by nobody.
pub(super) fn first_presence(first: FirstPresence) -> Result<Option<Stanza>, Refused> {
    match first {
        FirstPresence::Seen(false) => Ok(None),
        FirstPresence::Seen(true) => presence(Presence::default()).map(Some),
        FirstPresence::Is(is) if is.online == Some(false) => Ok(None),
        FirstPresence::Is(is) => presence(is).map(Some),
    }
}

/// A presence for all who may see it.
pub(super) fn presence(presence: Presence) -> Result<Stanza, Refused> {
    let online = presence.online != Some(false);
    let kind = if online { PresenceType::Available } else { PresenceType::Unavailable };
    let mut xml = String::new();
    if let Some(show) = presence.show.filter(|_| online) {
        xml += &format!("<show>{}</show>", show.as_str());
    }
    if let Some(status) = &presence.status {
        if status.len() > 1_023 || payload::forbidden(status).is_some() {
            return Err(invalid("`status` must have 1,023 bytes at most, and no control characters"));
        }
        xml += &format!("<status>{}</status>", escape_text(status));
    }
    if let Some(priority) = presence.priority.filter(|_| online) {
        xml += &format!("<priority>{priority}</priority>");
    }
    Ok(Stanza::new(Kind::Presence(kind)).payload(xml))
}

/// A change of who sees whom (RFC 6121 section 3). A uid is a localpart of `domain`, or a bare JID.
pub(super) fn subscription(kind: PresenceType, contact: Contact, domain: &str) -> Result<Stanza, Refused> {
    let to = if contact.to.contains('@') { contact.to } else { format!("{}@{domain}", contact.to) };
    let to: Jid = to.parse().map_err(|e| invalid(format!("`to` is no user: {e}")))?;
    if to.local().is_none() {
        return Err(invalid("`to` is no user"));
    }
    Ok(Stanza::new(Kind::Presence(kind)).to(to.to_bare()))
}

/// What makes the server send us our contacts' presence and changes of the roster (RFC 6121 section 2.1.3).
pub(super) fn roster() -> Stanza {
    Stanza::new(Kind::Iq(IqType::Get)).id(ROSTER_ID).payload(format!("<query xmlns='{}'/>", ns::ROSTER))
}

/// The id of [`roster`].
pub(super) const ROSTER_ID: &str = "roster";

#[cfg(test)]
mod tests {
    use super::super::frames::Asked;
    use super::*;

    fn composed(frame: &str) -> Result<Sending, Refused> {
        match Asked::read(frame).expect(frame) {
            Asked::Send(send) => message(*send, 10_000).map(|sending| sending.of("ada")),
            _ => panic!("{frame}"),
        }
    }

    #[test]
    fn what_a_message_becomes() {
        let sent = composed(r#"{"t":"send","ref":"c'1","to":"bob","body":"a<b","json":{"n":1},"state":"active"}"#);
        let sent = sent.expect("a message");
        assert_eq!(
            sent.push.stanza.payload_str(),
            "<body>a&lt;b</body><json xmlns='urn:xmpp:json:0'>{\"n\":1}</json>\
             <active xmlns='http://jabber.org/protocol/chatstates'/>\
             <origin-id xmlns='urn:xmpp:sid:0' id='c&apos;1'/>"
        );
        assert_eq!((sent.push.terms.keep, sent.push.terms.once.as_deref()), (Keep::Always, Some("ref:ada:c'1")));
        assert_eq!(sent.push.stanza.id.as_deref(), Some("c'1"));
    }

    #[test]
    fn what_is_kept_and_what_is_not() {
        for (frame, keep) in [
            (r#"{"t":"send","to":"b","state":"composing","ref":"r"}"#, Keep::Never),
            (r#"{"t":"send","to":"b","body":"x","kind":"headline","ref":"r"}"#, Keep::Never),
            (r#"{"t":"send","to":"b","json":{}}"#, Keep::IfOffline),
            (r#"{"t":"send","to":"b","body":"","ref":"r"}"#, Keep::Always),
        ] {
            assert_eq!(composed(frame).expect(frame).push.terms.keep, keep, "{frame}");
        }
    }

    #[test]
    fn what_cannot_be_sent() {
        let many = format!(r#"{{"t":"send","body":"x","to":[{}"b"]}}"#, r#""b","#.repeat(RECIPIENTS_MAX));
        let large = format!(r#"{{"t":"send","body":"{}","to":"b"}}"#, "<".repeat(2_600));
        for (frame, code) in [
            (r#"{"t":"send","to":"b"}"#, "invalid"),
            (r#"{"t":"send","to":[],"body":"x"}"#, "invalid"),
            (r#"{"t":"send","to":"b","body":"\u0000"}"#, "invalid"),
            (r#"{"t":"send","to":"b","body":"x","ref":""}"#, "invalid"),
            (r#"{"t":"send","to":"b","body":"x","ref":"\n"}"#, "invalid"),
            (&many, "invalid"),
            (&large, "too_large"),
        ] {
            assert_eq!(composed(frame).expect_err(frame).code, code, "{frame}");
        }
    }
}
