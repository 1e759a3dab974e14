//! Reading a stanza: its start tag is typed, its content stays as it came.

use super::{Condition, IqType, Kind, MessageType, PresenceType, Stanza, StanzaError};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Scope, Tag, declared_prefix, mentions, push_decl, resolve_attr, split_name};
use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use std::borrow::Cow;

/// Why an element was not taken as a stanza, and what to do about it. With neither, say nothing:
/// it was an error or a result, which are never answered.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Refusal {
    /// The stanza error to send back to who sent it. It has no addresses.
    pub reply: Option<Box<Stanza>>,
    /// The stream error to end the stream with.
    pub stream: Option<StreamFault>,
}

/// Faults that end the stream (RFC 6120 section 4.9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// `unsupported-stanza-type`: neither message, presence nor iq.
    UnsupportedStanzaType,
    /// `invalid-namespace`: a stanza's name in a namespace that is not `jabber:client`.
    InvalidNamespace,
    /// `invalid-from`: the sender's address is none.
    InvalidFrom,
    /// `not-well-formed`: the text had not been checked.
    NotWellFormed,
}

/// See [`Stanza::parse`].
pub(super) fn stanza(xml: &str, scope: &Scope) -> Result<Stanza, Refusal> {
    let xml = xml.trim_ascii();
    let tag = Tag::parse(xml).map_err(|_| StreamFault::NotWellFormed)?;
    let attrs = Attributes::read(&tag).ok_or(StreamFault::NotWellFormed)?;
    let (prefix, name) = split_name(tag.name);
    let kind_of = match name {
        "message" => message,
        "presence" => presence,
        "iq" => iq,
        _ => return Err(StreamFault::UnsupportedStanzaType.into()),
    };
    if !is_client(attrs.lookup(prefix, scope)) {
        return Err(StreamFault::InvalidNamespace.into());
    }
    let (kind, known) = kind_of(attrs.kind.as_deref());
    let mut stanza = Stanza { id: attrs.id.clone(), lang: attrs.lang.clone(), ..Stanza::new(kind) };
    let refuse = |condition, text: &'static str| Refusal {
        reply: stanza.error(StanzaError::new(condition).with_text(text)).map(Box::new),
        stream: None,
    };
    if !known {
        return Err(refuse(Condition::BadRequest, "This type is not defined for this stanza."));
    }
    if matches!(kind, Kind::Iq(_)) && stanza.id.is_none() {
        return Err(refuse(Condition::BadRequest, "An iq needs an id."));
    }
    let to = match attrs.to.as_deref().map(str::parse::<Jid>).transpose() {
        Ok(to) => to,
        Err(_) => return Err(refuse(Condition::JidMalformed, "The address in 'to' is no JID.")),
    };
    stanza.to = to;
    stanza.from = attrs.from.as_deref().map(str::parse).transpose().map_err(|_| StreamFault::InvalidFrom)?;
    let content = content(xml, &tag);
    stanza.payload = payload(content, xml, scope, &attrs);
    stanza.decls = decls(content, scope, &attrs);
    Ok(stanza)
}

/// The attributes of a stanza's start tag, sorted.
#[derive(Default)]
struct Attributes<'a> {
    to: Option<Cow<'a, str>>,
    from: Option<Cow<'a, str>>,
    kind: Option<Cow<'a, str>>,
    id: Option<CompactString>,
    lang: Option<CompactString>,
    declared: SmallVec<[(&'a str, Cow<'a, str>); 2]>, // prefix ("" is the default), namespace
    foreign: SmallVec<[(&'a str, Cow<'a, str>); 1]>,  // name as written, value
}

impl<'a> Attributes<'a> {
    fn read(tag: &Tag<'a>) -> Option<Attributes<'a>> {
        let mut attrs = Attributes::default();
        for attr in tag.attrs() {
            let (name, value) = attr.ok()?;
            let value = resolve_attr(value)?;
            match name {
                "to" => attrs.to = Some(value),
                "from" => attrs.from = Some(value),
                "type" => attrs.kind = Some(value),
                "id" => attrs.id = Some(value.into()),
                "xml:lang" => attrs.lang = Some(value.into()),
                _ => match declared_prefix(name) {
                    Some(prefix) => attrs.declared.push((prefix, value)),
                    None => attrs.foreign.push((name, value)),
                },
            }
        }
        Some(attrs)
    }

    fn lookup<'s>(&'s self, prefix: &str, scope: &'s Scope) -> &'s str {
        match self.declared.iter().find(|(p, _)| *p == prefix) {
            Some((_, ns)) => ns,
            None => scope.lookup(prefix).unwrap_or_default(),
        }
    }
}

/// XEP-0206 section 2: stanzas in a `<body/>` that forgot their namespace are clients' stanzas.
fn is_client(ns: &str) -> bool {
    ns == ns::CLIENT || ns == ns::HTTPBIND
}

/// Between the tags. The element is the whole of `xml`.
fn content<'a>(xml: &'a str, tag: &Tag<'a>) -> &'a str {
    if tag.empty {
        return "";
    }
    let end = memchr::memrchr(b'<', xml.as_bytes()).unwrap_or(tag.len);
    xml.get(tag.len..end).unwrap_or_default()
}

/// The content, fit to stand where the default namespace is `jabber:client`. Nearly always that is
/// what it came in; else every child says its namespace itself.
fn payload(content: &str, xml: &str, scope: &Scope, attrs: &Attributes<'_>) -> Bytes {
    if content.is_empty() || is_client(attrs.lookup("", scope)) {
        return Bytes::copy_from_slice(content.as_bytes());
    }
    let Ok(whole) = Element::parse(xml, scope) else { return Bytes::new() };
    let mut out = String::with_capacity(content.len() + 64);
    whole.children().for_each(|child| out.push_str(&child.self_contained()));
    out.into()
}

/// The declarations and attributes the start tag must carry on: its own, and of the surroundings
/// those that the content or an attribute may use.
fn decls(content: &str, scope: &Scope, attrs: &Attributes<'_>) -> Option<Box<str>> {
    let mut out = String::new();
    for (prefix, ns) in attrs.declared.iter().filter(|(p, _)| !matches!(*p, "" | "xml")) {
        push_decl(&mut out, prefix, ns);
    }
    for (prefix, ns) in scope.bindings().filter(|(p, _)| !p.is_empty()) {
        let hidden = attrs.declared.iter().any(|(p, _)| *p == prefix);
        let used = || mentions(content, prefix) || attrs.foreign.iter().any(|(name, _)| split_name(name).0 == prefix);
        if !hidden && used() {
            push_decl(&mut out, prefix, ns);
        }
    }
    for (name, value) in &attrs.foreign {
        out.push(' ');
        out.push_str(name);
        out.push_str("='");
        out.push_str(&crate::xml::escape_attr(value));
        out.push('\'');
    }
    (!out.is_empty()).then(|| out.into_boxed_str())
}

// The kind of a `type`, and whether the type is one. For one that is not, a kind that may be answered.

fn message(kind: Option<&str>) -> (Kind, bool) {
    let kind = match kind {
        Some("chat") => MessageType::Chat,
        Some("groupchat") => MessageType::Groupchat,
        Some("headline") => MessageType::Headline,
        Some("error") => MessageType::Error,
        _ => MessageType::Normal,
    };
    (Kind::Message(kind), true)
}

fn presence(kind: Option<&str>) -> (Kind, bool) {
    let known = match kind {
        None => Some(PresenceType::Available),
        Some("unavailable") => Some(PresenceType::Unavailable),
        Some("subscribe") => Some(PresenceType::Subscribe),
        Some("subscribed") => Some(PresenceType::Subscribed),
        Some("unsubscribe") => Some(PresenceType::Unsubscribe),
        Some("unsubscribed") => Some(PresenceType::Unsubscribed),
        Some("probe") => Some(PresenceType::Probe),
        Some("error") => Some(PresenceType::Error),
        Some(_) => None,
    };
    (Kind::Presence(known.unwrap_or(PresenceType::Available)), known.is_some())
}

fn iq(kind: Option<&str>) -> (Kind, bool) {
    let known = match kind {
        Some("get") => Some(IqType::Get),
        Some("set") => Some(IqType::Set),
        Some("result") => Some(IqType::Result),
        Some("error") => Some(IqType::Error),
        _ => None,
    };
    (Kind::Iq(known.unwrap_or(IqType::Get)), known.is_some())
}

impl From<StreamFault> for Refusal {
    fn from(fault: StreamFault) -> Refusal {
        Refusal { reply: None, stream: Some(fault) }
    }
}
