//! What stands in a message: text, and JSON in an element of its own (XEP-0335).

use herald_xmpp::Stanza;
use herald_xmpp::xml::escape_text;
use serde_json::value::RawValue;

/// The namespace of JSON containers (XEP-0335 section 3).
pub const JSON: &str = "urn:xmpp:json:0";

/// The first character of a text that XML cannot hold (XML 1.0 section 2.2). Such a text should be refused rather
/// than changed.
pub fn forbidden(text: &str) -> Option<char> {
    let not_xml = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    text.chars().find(|c| not_xml(*c))
}

/// `<body>` with a text in which nothing is [`forbidden`].
pub fn body(text: &str) -> String {
    format!("<body>{}</body>", escape_text(text))
}

/// `<json xmlns='urn:xmpp:json:0'>` with this value, as it was written.
pub fn json(value: &RawValue) -> String {
    // Only within a string of JSON can these two stand, and XML cannot hold them.
    let text = value.get();
    match text.contains(['\u{fffe}', '\u{ffff}']) {
        false => format!("<json xmlns='{JSON}'>{}</json>", escape_text(text)),
        true => {
            let text = text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
            format!("<json xmlns='{JSON}'>{}</json>", escape_text(&text))
        }
    }
}

/// The JSON that a message carries; `None` also when what stands there is none.
pub fn json_of(stanza: &Stanza) -> Option<Box<RawValue>> {
    let text = stanza.child("json", JSON)?.text().into_owned();
    RawValue::from_string(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_xmpp::{Kind, MessageType};

    #[test]
    fn json_comes_out_as_it_went_in() {
        for text in [
            r#"{"a":[1,2.50,12345678901234567890],"b":"<>&'\"]]>\u0000"}"#,
            "null",
            "\"\u{fffe} \u{ffff}\"",
            "[ 1,\n\t2 ]",
            "\"\u{1F600}\"",
        ] {
            let value: Box<RawValue> = serde_json::from_str(text).expect(text);
            let stanza = Stanza::new(Kind::Message(MessageType::Chat)).payload(json(&value));
            let bytes = stanza.to_bytes(true);
            let written = std::str::from_utf8(&bytes).expect("UTF-8");
            let limits = herald_xmpp::xml::Limits::default();
            herald_xmpp::xml::check(written, &herald_xmpp::xml::Scope::NONE, &limits).expect(written);
            let read = json_of(&stanza).expect(text);
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            assert_eq!(value(read.get()), value(text));
        }
    }

    #[test]
    fn what_is_no_json_is_none() {
        let message = |text: &str| {
            Stanza::new(Kind::Message(MessageType::Chat)).payload(format!("<json xmlns='{JSON}'>{text}</json>"))
        };
        assert!(json_of(&message("{")).is_none());
        assert!(json_of(&message("")).is_none());
        assert!(json_of(&Stanza::new(Kind::Message(MessageType::Chat))).is_none());
    }
}
