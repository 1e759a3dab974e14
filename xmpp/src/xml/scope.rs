//! The namespace bindings in force around an element.

use super::tag::{Attrs, Tag, declared_prefix};
use super::{XmlError, resolve_attr};
use crate::ns;
use compact_str::CompactString;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// The bindings in force around an element: the default namespace and the prefixes.
/// The usual ones cost nothing to hold or to clone.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Scope(Bindings);

#[derive(Clone, Debug, PartialEq, Eq, Default)]
enum Bindings {
    #[default]
    None,
    Payload,
    Client,
    Httpbind,
    Other(Arc<[(CompactString, CompactString)]>), // prefix ("" is the default), namespace
}

impl Scope {
    /// Nothing is bound: around a document's root.
    pub const NONE: Scope = Scope(Bindings::None);
    /// The default is `jabber:client` and nothing else is bound: around the payload of a
    /// [`Stanza`](crate::stanza::Stanza) without declarations of its own.
    pub const PAYLOAD: Scope = Scope(Bindings::Payload);
    /// The default is `jabber:client`, `stream` is the streams namespace: inside the usual stream header.
    pub const CLIENT: Scope = Scope(Bindings::Client);
    /// The default is BOSH's: inside a `<body/>`.
    pub const HTTPBIND: Scope = Scope(Bindings::Httpbind);

    /// The bindings inside an element whose start tag begins `tag`, itself within `self`.
    /// The tag is one that was checked.
    pub fn of_start_tag(&self, tag: &str) -> Result<Scope, XmlError> {
        self.with_attrs(Tag::parse(tag)?.attrs)
    }

    /// The namespace of a prefix; "" asks for the default one, which is `Some("")` when there is none.
    pub fn lookup(&self, prefix: &str) -> Option<&str> {
        if prefix == "xml" {
            return Some(ns::XML);
        }
        let none = if prefix.is_empty() { Some("") } else { None };
        match &self.0 {
            Bindings::None => none,
            Bindings::Client => match prefix {
                "" => Some(ns::CLIENT),
                "stream" => Some(ns::STREAM),
                _ => None,
            },
            Bindings::Payload => prefix.is_empty().then_some(ns::CLIENT),
            Bindings::Httpbind => prefix.is_empty().then_some(ns::HTTPBIND),
            Bindings::Other(all) => all.iter().find(|(p, _)| p == prefix).map(|(_, ns)| ns.as_str()).or(none),
        }
    }

    /// The default namespace; "" when there is none.
    pub fn default_ns(&self) -> &str {
        self.lookup("").unwrap_or_default()
    }

    /// Every prefix bound here and its namespace, the default (as "") among them; `xml` is not listed.
    pub fn bindings(&self) -> impl Iterator<Item = (&str, &str)> {
        let known: &[(&str, &str)] = match &self.0 {
            Bindings::Client => &[("", ns::CLIENT), ("stream", ns::STREAM)],
            Bindings::Payload => &[("", ns::CLIENT)],
            Bindings::Httpbind => &[("", ns::HTTPBIND)],
            Bindings::None | Bindings::Other(_) => &[],
        };
        let other: &[(CompactString, CompactString)] = match &self.0 {
            Bindings::Other(all) => all,
            _ => &[],
        };
        known.iter().copied().chain(other.iter().map(|(p, n)| (p.as_str(), n.as_str())))
    }

    /// The bindings when these attributes stand on a start tag within `self`.
    pub(crate) fn with_attrs(&self, attrs: &str) -> Result<Scope, XmlError> {
        let mut declared: SmallVec<[(&str, Cow<'_, str>); 4]> = SmallVec::new();
        for attr in Attrs::new(attrs) {
            let (name, value) = attr?;
            let Some(prefix) = declared_prefix(name) else { continue };
            declared.push((prefix, resolve_attr(value).ok_or(XmlError::NotWellFormed("a bad reference"))?));
        }
        Ok(self.with(declared.iter().map(|(p, ns)| (*p, ns.as_ref()))))
    }

    /// These bindings, with those of `declared` over them.
    pub(crate) fn with<'x>(&self, declared: impl Iterator<Item = (&'x str, &'x str)>) -> Scope {
        let mut all: Option<Vec<(CompactString, CompactString)>> = None;
        for (prefix, ns) in declared {
            if prefix == "xml" || all.is_none() && self.lookup(prefix) == Some(ns) {
                continue;
            }
            let all = all.get_or_insert_with(|| self.bindings().map(|(p, n)| (p.into(), n.into())).collect());
            match all.iter_mut().find(|(p, _)| p == prefix) {
                Some(bound) => bound.1 = ns.into(),
                None => all.push((prefix.into(), ns.into())),
            }
        }
        all.map_or_else(|| self.clone(), Scope::of_bindings)
    }

    fn of_bindings(all: Vec<(CompactString, CompactString)>) -> Scope {
        let same = |known: Scope| {
            (known.bindings().count() == all.len() && all.iter().all(|(p, n)| known.lookup(p) == Some(n)))
                .then_some(known)
        };
        same(Scope::CLIENT)
            .or_else(|| same(Scope::PAYLOAD))
            .or_else(|| same(Scope::HTTPBIND))
            .unwrap_or_else(|| Scope(Bindings::Other(all.into())))
    }
}
