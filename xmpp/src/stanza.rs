//! Message, presence and iq (RFC 6120 section 8): typed outside, the payload left as the bytes it came in.
//!
//! A payload is XML that is well-formed where the default namespace is `jabber:client` and no
//! prefix but `xml` is bound by the surroundings; what the stream header or the stanza's own start
//! tag bound is carried in [`Stanza::decls`]. So a stanza can be written into any stream by splicing.

mod error;
mod read;

pub use error::{Condition, ErrorType, StanzaError};
pub use read::{Refusal, StreamFault};

use crate::jid::Jid;
use crate::ns;
use crate::xml::{Children, Element, Scope, push_attr};
use bytes::Bytes;
use compact_str::CompactString;

/// What kind of stanza, with its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the RFC
pub enum Kind {
    Message(MessageType),
    Presence(PresenceType),
    Iq(IqType),
}

/// RFC 6121 section 5.2.2. An unknown type is `Normal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names of the RFC
pub enum MessageType {
    #[default]
    Normal,
    Chat,
    Groupchat,
    Headline,
    Error,
}

/// RFC 6121 section 4.7.1. An unknown type is refused with `bad-request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the RFC
pub enum PresenceType {
    Available,
    Unavailable,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Probe,
    Error,
}

/// RFC 6120 section 8.2.3. An unknown or missing type is refused with `bad-request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the RFC
pub enum IqType {
    Get,
    Set,
    Result,
    Error,
}

/// One stanza. Cloning shares the payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Stanza {
    /// Which of the three, and its type.
    pub kind: Kind,
    /// Who sent it; stamped by the server, never believed.
    pub from: Option<Jid>,
    /// Whom it is for.
    pub to: Option<Jid>,
    /// The sender's id for it.
    pub id: Option<CompactString>,
    /// `xml:lang`.
    pub lang: Option<CompactString>,
    /// Namespace declarations and foreign attributes for the start tag, as text that begins with a space
    /// (` xmlns:x='y' x:a='b'`); `None` almost always.
    pub decls: Option<Box<str>>,
    /// The children, as they came. Empty for an empty element. Always UTF-8.
    pub payload: Bytes,
}

impl Stanza {
    /// A bare one of that kind, no attributes, no payload.
    pub fn new(kind: Kind) -> Stanza {
        Stanza { kind, from: None, to: None, id: None, lang: None, decls: None, payload: Bytes::new() }
    }

    /// Reads one stanza standing in `scope`. The text has passed [`check`](crate::xml::check).
    ///
    /// An element that is no stanza, or one that breaks the rules of RFC 6120 section 8.1, is a
    /// [`Refusal`] that says what to send back. `from` is read but not to be believed.
    ///
    /// What stands in BOSH's namespace is taken for `jabber:client` (XEP-0206 section 2).
    pub fn parse(xml: &str, scope: &Scope) -> Result<Stanza, Refusal> {
        read::stanza(xml, scope)
    }

    /// Writes it: with `to` in place of its own when given, with `xmlns='jabber:client'` when the
    /// surroundings do not say so.
    pub fn write(&self, to: Option<&Jid>, xmlns: bool, out: &mut Vec<u8>) {
        out.reserve(self.bytes_len() + to.map_or(0, |to| to.as_str().len())); // once, not piece by piece
        let name = self.kind.name();
        out.push(b'<');
        out.extend_from_slice(name.as_bytes());
        if xmlns {
            out.extend_from_slice(b" xmlns='jabber:client'");
        }
        if let Some(decls) = &self.decls {
            out.extend_from_slice(decls.as_bytes());
        }
        let mut attr = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                out.push(b' ');
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"='");
                push_attr(out, value);
                out.push(b'\'');
            }
        };
        attr("from", self.from.as_ref().map(Jid::as_str));
        attr("to", to.or(self.to.as_ref()).map(Jid::as_str));
        attr("id", self.id.as_deref());
        attr("type", self.kind.type_attr());
        attr("xml:lang", self.lang.as_deref());
        if self.payload.is_empty() {
            out.extend_from_slice(b"/>");
            return;
        }
        out.push(b'>');
        out.extend_from_slice(&self.payload);
        out.extend_from_slice(b"</");
        out.extend_from_slice(name.as_bytes());
        out.push(b'>');
    }

    /// What [`write`](Self::write) writes, as bytes of its own.
    pub fn to_bytes(&self, xmlns: bool) -> Bytes {
        let mut out = Vec::with_capacity(self.bytes_len());
        self.write(None, xmlns, &mut out);
        out.into()
    }

    /// The child elements, in order.
    pub fn children(&self) -> Children<'_> {
        Children::of(self.payload_str(), self.inner_scope())
    }

    /// The first child of that name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<Element<'_>> {
        self.children().find(|c| c.is(name, ns))
    }

    /// The payload as text.
    pub fn payload_str(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap_or_default()
    }

    /// Is it of type `error`?
    pub fn is_error(&self) -> bool {
        matches!(
            self.kind,
            Kind::Message(MessageType::Error) | Kind::Presence(PresenceType::Error) | Kind::Iq(IqType::Error)
        )
    }

    /// Is it an iq of type get or set, which must be answered (RFC 6120 section 8.2.3)?
    pub fn is_request(&self) -> bool {
        matches!(self.kind, Kind::Iq(IqType::Get | IqType::Set))
    }

    /// The error it carries, when it is of type `error` and names a condition.
    pub fn stanza_error(&self) -> Option<StanzaError> {
        self.is_error().then(|| self.child("error", ns::CLIENT))?.and_then(|e| StanzaError::read(&e))
    }

    /// The iq result that answers this iq: addresses turned round, same id.
    pub fn result(&self, payload: impl Into<Bytes>) -> Stanza {
        self.answer(Kind::Iq(IqType::Result)).payload(payload)
    }

    /// The error that answers this stanza; `None` when it is an error or an iq result itself, for
    /// those are never answered (RFC 6120 sections 8.2.3 and 8.3.1).
    pub fn error(&self, e: StanzaError) -> Option<Stanza> {
        let kind = match self.kind {
            _ if self.is_error() => return None,
            Kind::Iq(IqType::Result) => return None,
            Kind::Message(_) => Kind::Message(MessageType::Error),
            Kind::Presence(_) => Kind::Presence(PresenceType::Error),
            Kind::Iq(_) => Kind::Iq(IqType::Error),
        };
        let mut payload = Vec::new();
        e.write(&mut payload);
        Some(self.answer(kind).payload(payload))
    }

    /// The same, to somebody.
    pub fn to(mut self, to: impl Into<Jid>) -> Stanza {
        self.to = Some(to.into());
        self
    }

    /// The same, from somebody.
    pub fn from(mut self, from: impl Into<Jid>) -> Stanza {
        self.from = Some(from.into());
        self
    }

    /// The same with that id.
    pub fn id(mut self, id: impl Into<CompactString>) -> Stanza {
        self.id = Some(id.into());
        self
    }

    /// The same with these children: UTF-8, standing in `jabber:client`, every prefix declared within.
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Stanza {
        self.payload = payload.into();
        self
    }

    /// About how many bytes [`write`](Self::write) makes, for bounds and for reserving; never
    /// less but for escaped characters.
    pub fn bytes_len(&self) -> usize {
        let jid = |j: &Option<Jid>| j.as_ref().map_or(0, |j| j.as_str().len() + 8);
        let text = |t: &Option<CompactString>| t.as_ref().map_or(0, |t| t.len() + 12);
        // Both tags, xmlns and the type: 23 + 22 + 20.
        65 + jid(&self.from)
            + jid(&self.to)
            + text(&self.id)
            + text(&self.lang)
            + self.decls.as_ref().map_or(0, |d| d.len())
            + self.payload.len()
    }

    fn answer(&self, kind: Kind) -> Stanza {
        Stanza { from: self.to.clone(), to: self.from.clone(), id: self.id.clone(), ..Stanza::new(kind) }
    }

    fn inner_scope(&self) -> Scope {
        match &self.decls {
            None => Scope::PAYLOAD,
            Some(decls) => Scope::PAYLOAD.with_attrs(decls).unwrap_or(Scope::PAYLOAD),
        }
    }
}

impl Kind {
    /// The element's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Message(_) => "message",
            Kind::Presence(_) => "presence",
            Kind::Iq(_) => "iq",
        }
    }

    /// The `type` attribute; `None` for the kinds that have none (an available presence) or whose
    /// type is the default (a normal message).
    pub fn type_attr(self) -> Option<&'static str> {
        Some(match self {
            Kind::Message(MessageType::Normal) | Kind::Presence(PresenceType::Available) => return None,
            Kind::Message(MessageType::Chat) => "chat",
            Kind::Message(MessageType::Groupchat) => "groupchat",
            Kind::Message(MessageType::Headline) => "headline",
            Kind::Presence(PresenceType::Unavailable) => "unavailable",
            Kind::Presence(PresenceType::Subscribe) => "subscribe",
            Kind::Presence(PresenceType::Subscribed) => "subscribed",
            Kind::Presence(PresenceType::Unsubscribe) => "unsubscribe",
            Kind::Presence(PresenceType::Unsubscribed) => "unsubscribed",
            Kind::Presence(PresenceType::Probe) => "probe",
            Kind::Iq(IqType::Get) => "get",
            Kind::Iq(IqType::Set) => "set",
            Kind::Iq(IqType::Result) => "result",
            Kind::Message(MessageType::Error) | Kind::Presence(PresenceType::Error) | Kind::Iq(IqType::Error) => {
                "error"
            }
        })
    }
}
