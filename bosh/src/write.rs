//! Writing `<body/>` elements.

use crate::Condition;
use bytes::Bytes;
use herald_xmpp::{ns, xml};
use std::fmt::Write;

/// `<body/>`: nothing to say.
pub(crate) const EMPTY: &str = "<body xmlns='http://jabber.org/protocol/httpbind'/>";

/// The same with something to say: what is before that, and what is behind.
const OPEN: &[u8] = b"<body xmlns='http://jabber.org/protocol/httpbind'>";
const CLOSE: &[u8] = b"</body>";

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

    /// Whether it is the same for every response.
    pub fn is_plain(&self) -> bool {
        self.attrs.is_empty() && !self.stream
    }

    /// The whole element around what was written.
    pub fn body(&self, inside: Inside) -> Bytes {
        if self.is_plain() {
            return inside.plain();
        }
        let inside = inside.bytes();
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
            out.extend_from_slice(CLOSE);
        }
        out.into()
    }
}

/// What goes into a response. It is written where it stays when the start tag turns out to be the plain one.
#[derive(Default)]
pub(crate) struct Inside(Vec<u8>);

impl Inside {
    /// Where to append; `about` so many bytes.
    pub fn room(&mut self, about: usize) -> &mut Vec<u8> {
        if self.0.is_empty() {
            self.0.reserve(OPEN.len() + about + CLOSE.len());
            self.0.extend_from_slice(OPEN);
        }
        &mut self.0
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.get(OPEN.len()..).unwrap_or_default()
    }

    fn plain(mut self) -> Bytes {
        if self.bytes().is_empty() {
            return Bytes::from_static(EMPTY.as_bytes());
        }
        self.0.extend_from_slice(CLOSE);
        self.0.into()
    }
}

/// A response as it is kept: byte for byte, but of one with the plain start tag only what is inside.
#[derive(Default)]
pub(crate) struct Text(Box<[u8]>); // behind a byte that says which: a field of its own would take a word

const WHOLE: u8 = 1;
const INSIDE: u8 = 0;

impl Text {
    /// Of the response `body`, whose start tag is that of `head`.
    pub fn of(head: &Head, body: &Bytes) -> Text {
        let (kind, bytes) = match body.get(OPEN.len()..body.len() - CLOSE.len()) {
            _ if !head.is_plain() => (WHOLE, &body[..]),
            Some(inside) => (INSIDE, inside),
            None => return Text::default(),
        };
        Text([&[kind], bytes].concat().into())
    }

    pub fn body(&self) -> Bytes {
        match self.0.split_first() {
            None => Bytes::from_static(EMPTY.as_bytes()),
            Some((&INSIDE, inside)) => [OPEN, inside, CLOSE].concat().into(),
            Some((_, whole)) => Bytes::copy_from_slice(whole),
        }
    }

    /// Whether it is `<body/>` and nothing else.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the response, in bytes.
    pub fn len(&self) -> usize {
        match self.0.split_first() {
            None => EMPTY.len(),
            Some((&INSIDE, inside)) => OPEN.len() + inside.len() + CLOSE.len(),
            Some((_, whole)) => whole.len(),
        }
    }
}
