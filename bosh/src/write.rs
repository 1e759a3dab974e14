//! Writing `<body/>` elements.

use crate::Condition;
use bytes::Bytes;
use herald_xmpp::{ns, xml};
use std::fmt::Write;

/// `<body/>`: nothing to say.
pub(crate) const EMPTY: &str = "<body xmlns='http://jabber.org/protocol/httpbind'/>";

/// The recoverable binding condition (XEP-0124 section 17.3): the same request came again on another connection.
pub(crate) const SUPERSEDED: &str = "<body type='error' xmlns='http://jabber.org/protocol/httpbind'/>";

/// The end, without a reason: both sides agreed.
pub(crate) const TERMINATE: &str = "<body type='terminate' xmlns='http://jabber.org/protocol/httpbind'/>";

/// A terminal binding condition with what goes inside.
pub(crate) fn terminal(condition: Condition, inside: &str) -> String {
    let name = condition.as_str();
    let close = if inside.is_empty() { "/>".to_owned() } else { format!(">{inside}</body>") };
    format!("<body type='terminate' condition='{name}' xmlns='{}'{close}", ns::HTTPBIND)
}

pub(crate) fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    xml::escape_text(text)
}

/// What a response's start tag says besides its namespace.
#[derive(Default)]
pub(crate) struct Head {
    /// Attributes, each beginning with a space.
    pub attrs: String,
    /// Whether the prefix `stream` is declared (XEP-0206 section 2: it MUST be when something inside has it).
    pub stream: bool,
}

impl Head {
    pub fn attr(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.attrs, " {name}='{value}'");
    }

    /// The whole element around `inside`.
    pub fn body(&self, inside: &[u8]) -> Bytes {
        if inside.is_empty() && self.attrs.is_empty() && !self.stream {
            return Bytes::from_static(EMPTY.as_bytes());
        }
        let mut out = Vec::with_capacity(inside.len() + self.attrs.len() + 160);
        out.extend_from_slice(b"<body");
        out.extend_from_slice(self.attrs.as_bytes());
        for (name, value, wanted) in [("xmlns", ns::HTTPBIND, true), ("xmlns:stream", ns::STREAM, self.stream)] {
            if wanted {
                out.extend_from_slice(format!(" {name}='{value}'").as_bytes());
            }
        }
        if inside.is_empty() {
            out.extend_from_slice(b"/>");
        } else {
            out.push(b'>');
            out.extend_from_slice(inside);
            out.extend_from_slice(b"</body>");
        }
        out.into_boxed_slice().into() // it is kept for a while: without the room that was not needed
    }
}
