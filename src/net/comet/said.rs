//! What a stanza says to a subscriber, and the stanza that says what was pushed.

use super::log::Kind;
use super::text::escape;
use bytes::Bytes;
use herald_session::log::{self, Entry};
use herald_xmpp::xml::escape_text;
use herald_xmpp::{Kind as StanzaKind, MessageType, Stanza, ns};
use std::sync::Arc;

/// XEP-0335.
const JSON: &str = "urn:xmpp:json:0";

/// The content of a message, as it stands within a JSON string: its JSON payload (XEP-0335; a string is taken for its
/// text), else its body. `None`: there is nothing in it for subscribers (a receipt, a typing notice, an error).
///
/// A headline is to XMPP what a broadcast is to iComet: for who is there now.
pub(super) fn of(stanza: &Stanza) -> Option<(Kind, Arc<str>)> {
    let kind = match stanza.kind {
        StanzaKind::Message(MessageType::Headline) => Kind::Broadcast,
        StanzaKind::Message(MessageType::Chat | MessageType::Normal | MessageType::Groupchat) => Kind::Data,
        _ => return None,
    };
    if let Some(json) = stanza.child("json", JSON) {
        let text = json.text();
        let string = serde_json::from_str::<String>(&text);
        return Some((kind, escape(string.as_deref().unwrap_or(&text)).into()));
    }
    let body = stanza.child("body", ns::CLIENT)?;
    Some((kind, escape(&body.text()).into()))
}

/// The same of a stanza as the store keeps it.
pub(super) fn of_kept(bytes: &[u8]) -> Option<(Kind, Arc<str>)> {
    match log::read(bytes, Some(super::RESOURCE)) {
        Entry::Message(stanza) => of(&stanza),
        Entry::NotForIt | Entry::Broken => None,
    }
}

/// The message that was pushed. XML cannot hold some characters: where there are any, the exact text goes along as JSON.
pub(super) fn stanza(kind: Kind, content: &str) -> Stanza {
    let forbidden = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    let mut stanza = Stanza::new(StanzaKind::Message(match kind {
        Kind::Data => MessageType::Chat,
        Kind::Broadcast => MessageType::Headline,
    }));
    stanza.payload = Bytes::from(if content.contains(|c| forbidden(c) || c == '\r') {
        let shown = content.replace(forbidden, "\u{fffd}");
        // In JSON they are escaped all the same, but for the two that it has no need to.
        let json = format!("\"{}\"", escape(content)).replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
        format!("<body>{}</body><json xmlns='{JSON}'>{}</json>", escape_text(&shown), escape_text(&json))
    } else {
        format!("<body>{}</body>", escape_text(content))
    });
    stanza
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_xmpp::xml::{self, Scope};

    #[test]
    fn what_is_pushed_comes_out_as_it_was() {
        for text in ["", "hi", "<b>&'\"", "a\r\nb\tc", "\0\x01\u{ffff}", "{\"a\":[1]}", "\"quoted\"", "你好 😀"] {
            let kept = stanza(Kind::Data, text).to_bytes(true);
            let limits = xml::Limits { bytes_max: 10_000, depth_max: 10, attrs_max: 10, elements_max: 10 };
            xml::check(std::str::from_utf8(&kept).unwrap(), &Scope::NONE, &limits).unwrap();
            assert_eq!(of_kept(&kept), Some((Kind::Data, escape(text).into())), "{text:?}");
        }
        let (kind, _) = of(&stanza(Kind::Broadcast, "b")).unwrap();
        assert_eq!(kind, Kind::Broadcast);
    }

    #[test]
    fn what_others_send() {
        let content = |payload: &str| {
            let stanza = Stanza::new(StanzaKind::Message(MessageType::Chat)).payload(payload.to_owned());
            of(&stanza).map(|(_, content)| content.to_string())
        };
        let json = |text: &str| content(&format!("<body>see</body><json xmlns='{JSON}'>{text}</json>"));
        assert_eq!(json("{\"a\": 1}").as_deref(), Some("{\\\"a\\\": 1}"));
        assert_eq!(json("\"text\"").as_deref(), Some("text"));
        assert_eq!(content("<body>x</body>").as_deref(), Some("x"));
        assert_eq!(content("<composing xmlns='http://jabber.org/protocol/chatstates'/>"), None);
    }
}
