//! The framing of RFC 7395: every WebSocket text message is one element that stands by itself.
//!
//! The frames of RFC 6455 are the server's; here is the XML within.

use super::{Condition, Open, StreamError};
use crate::ns;
use crate::xml::{Element, Limits, Scope, check, check_declaration, push_attr};
use compact_str::CompactString;

/// What one message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<'a> {
    /// `<open/>`.
    Open(Open),
    /// Anything else, checked. It stands in [`Scope::NONE`]: a stanza names its namespace itself.
    Element(&'a str, &'a Scope),
    /// `<close/>`, perhaps with a URI to go to instead.
    Close {
        /// `see-other-uri` (RFC 7395 section 3.6.1).
        see_other_uri: Option<CompactString>,
    },
}

static NO_SCOPE: Scope = Scope::NONE;

/// Reads one message. The errors are those that end the stream.
pub fn read<'a>(text: &'a str, limits: &Limits) -> Result<Message<'a>, StreamError> {
    if !text.starts_with('<') {
        // RFC 7395 section 3.3.3; this also refuses white space sent to keep the connection alive.
        return Err(StreamError::new(Condition::BadFormat).with_text("A message begins with '<'."));
    }
    let xml = without_declaration(text)?;
    check(xml, &Scope::NONE, limits)?;
    let element = Element::parse(xml, &Scope::NONE)?;
    match element.name() {
        "open" | "close" if element.ns() == ns::FRAMING => {}
        // Nothing else is called so.
        "open" | "close" => return Err(Condition::InvalidNamespace.into()),
        _ => return Ok(Message::Element(xml, &NO_SCOPE)),
    }
    if element.name() == "open" {
        return Ok(Message::Open(Open::read(&element, ns::CLIENT)));
    }
    Ok(Message::Close { see_other_uri: element.attr("see-other-uri").map(CompactString::from) })
}

/// An XML declaration is not recommended, but it is no error (RFC 7395 section 3.3.3).
fn without_declaration(text: &str) -> Result<&str, StreamError> {
    if !text.starts_with("<?xml") {
        return Ok(text);
    }
    let end = text.find("?>").map_or(text.len(), |at| at + 2);
    check_declaration(&text[..end])?;
    Ok(&text[end..])
}

/// Writes `<open/>`.
pub fn write_open(open: &Open, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<open xmlns='");
    out.extend_from_slice(ns::FRAMING.as_bytes());
    out.push(b'\'');
    open.write_attrs(out);
    out.extend_from_slice(b"/>");
}

/// Writes `<close/>`; with `see_other_uri` the client is to go there.
pub fn write_close(see_other_uri: Option<&str>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<close xmlns='");
    out.extend_from_slice(ns::FRAMING.as_bytes());
    if let Some(uri) = see_other_uri {
        out.extend_from_slice(b"' see-other-uri='");
        push_attr(out, uri);
    }
    out.extend_from_slice(b"'/>");
}
