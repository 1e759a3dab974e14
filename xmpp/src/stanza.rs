//! Message, presence and iq (RFC 6120 section 8): typed outside, the payload left as the bytes it came in.
//!
//! A payload is XML that is well-formed where the default namespace is `jabber:client` and no
//! prefix but `xml` is bound by the surroundings; what the stream header or the stanza's own start
//! tag bound is carried in [`Stanza::decls`]. So a stanza can be written into any stream by splicing.

use crate::jid::Jid;
use bytes::Bytes;
use compact_str::CompactString;

/// What kind of stanza, with its `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Message(MessageType),
    Presence(PresenceType),
    Iq(IqType),
}

/// RFC 6121 section 5.2.2. An unknown type is `Normal`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
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
#[allow(missing_docs)]
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
#[allow(missing_docs)]
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
    // parse(&str, scope) -> Result<Stanza, StanzaParseError>; write(&self, to: Option<&Jid>, xmlns: bool, out: &mut Vec<u8>);
    // children() -> elements; child(name, ns); error(&StanzaError) -> Option<Stanza> (the reply); result(payload); builders: to(), from(), id(), with(xml)
}

/// A stanza error (RFC 6120 section 8.3.3): type, condition, words for a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// One of the defined conditions.
    pub condition: Condition,
    /// Text for a human, in English.
    pub text: Option<CompactString>,
}

/// The defined conditions, each with its usual error type. (RFC 6120 section 8.3.3: all 22.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Condition {
    BadRequest,
    ServiceUnavailable,
}
