//! The message that a request describes.

use super::refusal::Refusal;
use herald_xmpp::xml::{self, Scope};
use herald_xmpp::{Kind, MessageType, Stanza};
use serde::Deserialize;

/// RFC 6121 section 5.2.2, without what cannot be sent to a user.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Type {
    #[default]
    Chat,
    Normal,
    Headline,
}

/// With a text, a JSON payload (XEP-0335), or both.
pub(super) fn of_parts(body: Option<&str>, json: Option<&str>, kind: Type) -> Result<Stanza, Refusal> {
    let mut payload = String::new();
    for (field, tag, end, text) in
        [("body", "<body>", "</body>", body), ("json", "<json xmlns='urn:xmpp:json:0'>", "</json>", json)]
    {
        let Some(text) = text else { continue };
        if let Some(c) = text.chars().find(|c| !allowed(*c)) {
            return Err(Refusal::invalid(field, format!("XML cannot hold U+{:04X}", u32::from(c))));
        }
        payload.push_str(tag);
        payload.push_str(&xml::escape_text(text));
        payload.push_str(end);
    }
    let mut stanza = Stanza::new(Kind::Message(match kind {
        Type::Chat => MessageType::Chat,
        Type::Normal => MessageType::Normal,
        Type::Headline => MessageType::Headline,
    }));
    stanza.payload = payload.into();
    Ok(stanza)
}

/// A whole `<message/>`, checked as strictly as a client's.
pub(super) fn of_xml(raw: &str, limits: &xml::Limits) -> Result<Stanza, Refusal> {
    let raw = raw.trim();
    xml::check(raw, &Scope::CLIENT, limits)
        .map_err(|e| Refusal::stanza(format!("the stanza is not what XMPP allows: {e}")))?;
    let stanza = Stanza::parse(raw, &Scope::CLIENT).map_err(|_| Refusal::stanza("it is no stanza"))?;
    match stanza.kind {
        Kind::Message(MessageType::Groupchat | MessageType::Error) => {
            Err(Refusal::stanza("a message of type groupchat or error cannot be sent to a user"))
        }
        Kind::Message(_) => Ok(stanza),
        _ => Err(Refusal::stanza("only a message can be sent")),
    }
}

/// XML 1.0 section 2.2.
pub(super) fn allowed(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}
