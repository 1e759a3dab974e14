//! The message that a request describes.

use super::refusal::Refusal;
use crate::payload;
use herald_xmpp::xml::{self, Scope};
use herald_xmpp::{Kind, MessageType, Stanza};
use serde::Deserialize;
use serde_json::value::RawValue;

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
pub(super) fn of_parts(body: Option<&str>, json: Option<&RawValue>, kind: Type) -> Result<Stanza, Refusal> {
    if let Some(c) = body.and_then(payload::forbidden) {
        return Err(Refusal::invalid("body", format!("XML cannot hold U+{:04X}", u32::from(c))));
    }
    let body = body.map(payload::body).unwrap_or_default();
    let json = json.map(payload::json).unwrap_or_default();
    let mut stanza = Stanza::new(Kind::Message(match kind {
        Type::Chat => MessageType::Chat,
        Type::Normal => MessageType::Normal,
        Type::Headline => MessageType::Headline,
    }));
    stanza.payload = (body + &json).into();
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
