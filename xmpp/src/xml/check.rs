//! The strict layer over quick-xml: what XMPP forbids is refused, within limits, in linear time.

use super::chars::{chars_ok, is_space, qname, reference, references_ok, resolve_attr};
use super::tag::{Attrs, declared_prefix};
use super::{Limits, Scope, XmlError};
use crate::ns;
use memchr::{memchr, memchr_iter};
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use smallvec::SmallVec;
use std::borrow::Cow;

use XmlError::NotWellFormed;

const BAD_REFERENCE: XmlError = NotWellFormed("a reference to nothing");

/// Checks one whole element standing in `scope`: `Ok` means that [`Element`](super::Element) reads it
/// as any conforming parser would. White space around it is allowed.
pub fn check(xml: &str, scope: &Scope, limits: &Limits) -> Result<(), XmlError> {
    run(xml, scope, limits, false)
}

/// Checks a lone start tag standing in `scope`: a stream header.
pub fn check_start_tag(tag: &str, scope: &Scope, limits: &Limits) -> Result<(), XmlError> {
    run(tag, scope, limits, true)
}

/// Checks an XML declaration: version 1.0, encoding UTF-8 or none named, nothing else
/// (RFC 6120 sections 11.5 and 11.6).
pub fn check_declaration(decl: &str) -> Result<(), XmlError> {
    let attrs =
        decl.strip_prefix("<?xml").and_then(|d| d.strip_suffix("?>")).ok_or(NotWellFormed("a bad XML declaration"))?;
    let mut rank = 0; // version, encoding, standalone: in this order, each at most once
    for attr in Attrs::new(attrs) {
        let (name, value) = attr?;
        let (ok, its_rank) = match name {
            "version" => (value == "1.0", 1),
            "encoding" if value.eq_ignore_ascii_case("utf-8") => (true, 2),
            "encoding" => return Err(XmlError::UnsupportedEncoding),
            "standalone" => (matches!(value, "yes" | "no"), 3),
            _ => (false, 4),
        };
        if !ok || its_rank <= rank || rank == 0 && its_rank != 1 {
            return Err(NotWellFormed("a bad XML declaration"));
        }
        rank = its_rank;
    }
    if rank == 0 { Err(NotWellFormed("a bad XML declaration")) } else { Ok(()) }
}

fn run(xml: &str, scope: &Scope, limits: &Limits, open: bool) -> Result<(), XmlError> {
    if xml.len() > limits.bytes_max {
        return Err(XmlError::TooLarge);
    }
    if !chars_ok(xml) {
        return Err(NotWellFormed("a character that XML cannot hold"));
    }
    if !xml.trim_ascii_start().starts_with('<') {
        return Err(NotWellFormed("text outside the element"));
    }
    let mut reader = Reader::from_str(xml);
    let mut walk = Walk { scope, limits, bound: SmallVec::new(), depth: 0, elements: 0, ended: false };
    loop {
        // Slices of `xml` itself, which the events would not let go of.
        let at = reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|_| NotWellFormed("the markup"))?;
        let empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                let attrs_at = at + 1 + tag.name().0.len();
                let attrs_end = attrs_at + tag.attributes_raw().len();
                let (Some(name), Some(attrs)) = (xml.get(at + 1..attrs_at), xml.get(attrs_at..attrs_end)) else {
                    return Err(NotWellFormed("a tag"));
                };
                debug_assert_eq!((name, attrs), (tag.name().0, tag.attributes_raw()));
                walk.start(name, attrs, empty)?;
            }
            Event::End(_) => walk.end(),
            Event::Text(text) => walk.text(&text)?,
            Event::CData(_) | Event::GeneralRef(_) if walk.depth == 0 => {
                return Err(NotWellFormed("text outside the element"));
            }
            Event::CData(_) => {}
            Event::GeneralRef(name) => {
                reference(&name).ok_or(BAD_REFERENCE)?;
            }
            Event::Comment(_) => return Err(XmlError::Restricted("a comment")),
            Event::DocType(_) => return Err(XmlError::Restricted("a DTD")),
            Event::PI(_) => return Err(XmlError::Restricted("a processing instruction")),
            Event::Decl(_) => return Err(XmlError::Restricted("an XML declaration")),
            Event::Eof => break,
        }
    }
    if open && walk.bound.len() > HEADER_BINDINGS_MAX {
        return Err(XmlError::TooMany("namespace declarations"));
    }
    let whole = if open { walk.elements == 1 && walk.depth == 1 } else { walk.ended };
    if whole { Ok(()) } else { Err(NotWellFormed("an element without an end")) }
}

/// Most prefixes bound inside one another in one top-level element: looking one up walks over them.
/// One more is [`XmlError::TooMany`].
const BINDINGS_MAX: usize = 64;
/// Most prefixes bound by a lone start tag: every stanza of the stream is searched for each of them.
/// One more is [`XmlError::TooMany`].
const HEADER_BINDINGS_MAX: usize = 16;

/// Where the walk over the events is.
struct Walk<'a, 's> {
    scope: &'s Scope,
    limits: &'s Limits,
    bound: SmallVec<[Binding<'a>; 4]>, // innermost last; the default namespace need not be known
    depth: u32,
    elements: u32,
    ended: bool, // the outermost element
}

struct Binding<'a> {
    depth: u32, // inside how many elements
    prefix: &'a str,
    ns: Cow<'a, str>,
}

impl<'a> Walk<'a, '_> {
    fn start(&mut self, name: &'a str, attrs: &'a str, empty: bool) -> Result<(), XmlError> {
        if self.ended {
            return Err(NotWellFormed("a second element"));
        }
        if self.depth >= self.limits.depth_max {
            return Err(XmlError::TooDeep);
        }
        if self.elements >= self.limits.elements_max {
            return Err(XmlError::TooMany("elements"));
        }
        self.elements += 1;
        self.depth += 1;
        let (prefix, _) = qname(name).ok_or(NotWellFormed("a name"))?;
        if !attrs.is_empty() {
            self.attributes(attrs)?;
        }
        if !prefix.is_empty() {
            self.lookup(prefix)?;
        }
        if empty {
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        while self.bound.last().is_some_and(|b| b.depth == self.depth) {
            self.bound.pop();
        }
        self.depth -= 1;
        self.ended = self.depth == 0;
    }

    fn text(&self, text: &str) -> Result<(), XmlError> {
        if self.depth == 0 && !text.bytes().all(is_space) {
            return Err(NotWellFormed("text outside the element"));
        }
        // Brackets are rare in text; a substring searcher costs more to set up than to walk over them.
        if memchr_iter(b']', text.as_bytes()).any(|i| text.as_bytes()[i..].starts_with(b"]]>")) {
            return Err(NotWellFormed("]]> in text"));
        }
        Ok(())
    }

    fn attributes(&mut self, attrs: &'a str) -> Result<(), XmlError> {
        let mut plain: SmallVec<[&str; 8]> = SmallVec::new();
        let mut prefixed: SmallVec<[(&str, &str); 4]> = SmallVec::new();
        for attr in Attrs::new(attrs) {
            let (name, value) = attr?;
            if plain.len() >= self.limits.attrs_max as usize {
                return Err(XmlError::TooMany("attributes"));
            }
            if plain.contains(&name) {
                return Err(NotWellFormed("an attribute twice"));
            }
            plain.push(name);
            let (prefix, local) = qname(name).ok_or(NotWellFormed("an attribute name"))?;
            attribute_value(value)?;
            if let Some(declared) = declared_prefix(name) {
                self.declare(declared, resolve_attr(value).ok_or(BAD_REFERENCE)?)?;
            } else if !prefix.is_empty() {
                prefixed.push((prefix, local));
            }
        }
        // Only now, for a declaration may stand behind its use.
        for i in 0..prefixed.len() {
            let (prefix, local) = prefixed[i];
            let ns = self.lookup(prefix)?;
            for (other, other_local) in &prefixed[..i] {
                if *other_local == local && self.lookup(other)? == ns {
                    return Err(NotWellFormed("an attribute twice"));
                }
            }
        }
        Ok(())
    }

    /// Namespaces in XML 1.0 sections 3 and 5.
    fn declare(&mut self, prefix: &'a str, ns: Cow<'a, str>) -> Result<(), XmlError> {
        let allowed = match prefix {
            "xml" => ns == ns::XML,
            "xmlns" => false,
            "" => ns != ns::XML && ns != ns::XMLNS,
            _ => !ns.is_empty() && ns != ns::XML && ns != ns::XMLNS,
        };
        if !allowed {
            return Err(NotWellFormed("a namespace declaration"));
        }
        if prefix.is_empty() || prefix == "xml" {
            return Ok(());
        }
        if self.bound.len() >= BINDINGS_MAX {
            return Err(XmlError::TooMany("namespace declarations"));
        }
        self.bound.push(Binding { depth: self.depth, prefix, ns });
        Ok(())
    }

    fn lookup(&self, prefix: &str) -> Result<&str, XmlError> {
        match self.bound.iter().rev().find(|b| b.prefix == prefix) {
            Some(b) => Ok(&b.ns),
            None => self.scope.lookup(prefix).ok_or(XmlError::UnboundPrefix),
        }
    }
}

fn attribute_value(raw: &str) -> Result<(), XmlError> {
    // One walk for the usual value, in which nothing stands for something else.
    if !raw.bytes().any(|b| b == b'&' || b == b'<') {
        return Ok(());
    }
    if memchr(b'<', raw.as_bytes()).is_some() {
        return Err(NotWellFormed("< in an attribute value"));
    }
    if references_ok(raw) { Ok(()) } else { Err(BAD_REFERENCE) }
}
