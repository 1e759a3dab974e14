//! Reading a checked element: slices of the text, names and references resolved when asked.

use super::chars::{resolve_attr, resolve_cdata, resolve_text, split_name};
use super::tag::{Attrs, Tag, declared_prefix, tag_end};
use super::{Scope, XmlError, escape_attr};
use memchr::{memchr, memchr_iter, memmem};
use smallvec::SmallVec;
use std::borrow::Cow;

const CDATA_OPEN: &str = "<![CDATA[";
const CDATA_CLOSE: &str = "]]>";

/// A read view of one element that [`check`](super::check) has passed. It owns no text, only the
/// namespace bindings in force; children are views of the same text.
///
/// On text that was not checked nothing panics, but what is read is unspecified.
#[derive(Clone, Debug)]
pub struct Element<'a> {
    raw: &'a str,
    tag: Tag<'a>,
    inner: &'a str,
    bound: Bound<'a>,
}

/// The bindings in force inside an element: those around the text, and those the text made itself.
#[derive(Clone, Debug)]
struct Bound<'a> {
    outer: Scope,
    own: SmallVec<[(&'a str, Cow<'a, str>); 1]>, // prefix ("" is the default), namespace; each prefix once
}

impl<'a> Element<'a> {
    /// The element that `xml` begins with, standing in `scope`. `xml` was checked; white space
    /// before the element is passed over and what stands behind it is left out.
    pub fn parse(xml: &'a str, scope: &Scope) -> Result<Element<'a>, XmlError> {
        Element::at(xml.trim_ascii_start(), Bound { outer: scope.clone(), own: SmallVec::new() })
    }

    /// The start tag that `tag` begins with, as an element without content: a stream header.
    pub fn parse_start_tag(tag: &'a str, scope: &Scope) -> Result<Element<'a>, XmlError> {
        let xml = tag.trim_ascii_start();
        let tag = Tag::parse(xml)?;
        let bound = Bound { outer: scope.clone(), own: SmallVec::new() }.within(tag.attrs())?;
        Ok(Element { raw: &xml[..tag.len], tag, inner: "", bound })
    }

    /// The local name.
    pub fn name(&self) -> &str {
        split_name(self.tag.name).1
    }

    /// The namespace; "" for none.
    pub fn ns(&self) -> &str {
        self.bound.lookup(split_name(self.tag.name).0).unwrap_or_default()
    }

    /// Has it this local name and namespace?
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name() == name && self.ns() == ns
    }

    /// The value of an attribute without a namespace.
    pub fn attr(&self, name: &str) -> Option<Cow<'a, str>> {
        let (_, value) = self.tag.attrs().map_while(Result::ok).find(|(n, _)| *n == name)?;
        resolve_attr(value)
    }

    /// The value of an attribute in a namespace: `attr_ns(ns::XML, "lang")`.
    pub fn attr_ns(&self, ns: &str, name: &str) -> Option<Cow<'a, str>> {
        let (_, value) = self.tag.attrs().map_while(Result::ok).find(|(n, _)| {
            let (prefix, local) = split_name(n);
            !prefix.is_empty() && local == name && self.bound.lookup(prefix) == Some(ns)
        })?;
        resolve_attr(value)
    }

    /// All attributes as (namespace, local name, value), namespace declarations left out.
    pub fn attrs(&self) -> impl Iterator<Item = (&str, &'a str, Cow<'a, str>)> {
        self.tag.attrs().map_while(Result::ok).filter(|(n, _)| declared_prefix(n).is_none()).filter_map(
            |(name, value)| {
                let (prefix, local) = split_name(name);
                let ns = if prefix.is_empty() { "" } else { self.bound.lookup(prefix)? };
                Some((ns, local, resolve_attr(value)?))
            },
        )
    }

    /// The child elements, in order.
    pub fn children(&self) -> Children<'a> {
        Children { rest: self.inner, bound: self.bound.clone() }
    }

    /// The first child of that name and namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<Element<'a>> {
        self.children().find(|c| c.is(name, ns))
    }

    /// The child elements and the text between them, in order. A CDATA section is text of its own.
    pub fn nodes(&self) -> Nodes<'a> {
        Nodes(self.children())
    }

    /// The text directly in it, that of its children left out; references resolved, CDATA included.
    pub fn text(&self) -> Cow<'a, str> {
        let mut rest = self.inner;
        let mut all = Cow::Borrowed("");
        while let Some(part) = next_part(&mut rest) {
            match part {
                Part::Text(text) if all.is_empty() => all = text,
                Part::Text(text) => all.to_mut().push_str(&text),
                Part::Markup(xml) => match extent(xml) {
                    Some(end) => rest = &xml[end..],
                    None => break,
                },
            }
        }
        all
    }

    /// The bytes as they came, from `<` to `>`.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The content as it came, between the tags; "" for an empty element.
    pub fn inner(&self) -> &'a str {
        self.inner
    }

    /// The start tag as it came.
    pub fn start_tag(&self) -> &'a str {
        &self.raw[..self.tag.len]
    }

    /// The bindings inside it.
    pub fn scope(&self) -> Scope {
        self.bound.scope()
    }

    /// [`raw`](Self::raw) with the declarations it needs from outside put on its start tag, so that
    /// it means the same wherever it is put.
    pub fn self_contained(&self) -> Cow<'a, str> {
        let declared: SmallVec<[&str; 4]> =
            self.tag.attrs().map_while(Result::ok).filter_map(|(n, _)| declared_prefix(n)).collect();
        let mut decls = String::new();
        if !declared.contains(&"") {
            push_decl(&mut decls, "", self.bound.lookup("").unwrap_or_default());
        }
        let mut add = |prefix: &str, ns: &str| {
            if !prefix.is_empty() && !declared.contains(&prefix) && mentions(self.raw, prefix) {
                push_decl(&mut decls, prefix, ns);
            }
        };
        self.bound.own.iter().for_each(|(p, ns)| add(p, ns));
        let hidden = |p: &str| self.bound.own.iter().any(|(own, _)| *own == p);
        self.bound.outer.bindings().filter(|(p, _)| !hidden(p)).for_each(|(p, ns)| add(p, ns));
        if decls.is_empty() {
            return Cow::Borrowed(self.raw);
        }
        let at = 1 + self.tag.name.len();
        Cow::Owned([&self.raw[..at], &decls, &self.raw[at..]].concat())
    }

    /// `xml` begins with `<`; the bindings are those around it.
    fn at(xml: &'a str, bound: Bound<'a>) -> Result<Element<'a>, XmlError> {
        let tag = Tag::parse(xml)?;
        let bound = bound.within(tag.attrs())?;
        if tag.empty {
            return Ok(Element { raw: &xml[..tag.len], tag, inner: "", bound });
        }
        let (inner_end, end) = element_end(xml, tag.len).ok_or(XmlError::NotWellFormed("an element without an end"))?;
        Ok(Element { raw: &xml[..end], tag, inner: &xml[tag.len..inner_end], bound })
    }
}

/// The child elements of an element. See [`Element::children`].
#[derive(Clone, Debug)]
pub struct Children<'a> {
    rest: &'a str,
    bound: Bound<'a>,
}

impl<'a> Children<'a> {
    /// Over a run of sibling elements (and text) standing in `scope`.
    pub fn of(siblings: &'a str, scope: Scope) -> Children<'a> {
        Children { rest: siblings, bound: Bound { outer: scope, own: SmallVec::new() } }
    }

    /// The element that `xml`, which is what is left, begins with.
    fn element(&mut self, xml: &'a str) -> Option<Element<'a>> {
        let element = Element::at(xml, self.bound.clone()).ok();
        self.rest = element.as_ref().map_or("", |e| &xml[e.raw.len()..]);
        element
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            match next_part(&mut self.rest)? {
                Part::Text(_) => {}
                Part::Markup(xml) => return self.element(xml),
            }
        }
    }
}

/// What an element contains. See [`Element::nodes`].
#[derive(Clone, Debug)]
pub struct Nodes<'a>(Children<'a>);

/// A piece of content.
#[derive(Clone, Debug)]
pub enum Node<'a> {
    /// A child.
    Element(Element<'a>),
    /// Text, references resolved.
    Text(Cow<'a, str>),
}

impl<'a> Iterator for Nodes<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        match next_part(&mut self.0.rest)? {
            Part::Text(text) => Some(Node::Text(text)),
            Part::Markup(xml) => self.0.element(xml).map(Node::Element),
        }
    }
}

impl<'a> Bound<'a> {
    fn lookup(&self, prefix: &str) -> Option<&str> {
        match self.own.iter().find(|(p, _)| *p == prefix) {
            Some((_, ns)) => Some(ns),
            None => self.outer.lookup(prefix),
        }
    }

    fn within(mut self, attrs: Attrs<'a>) -> Result<Bound<'a>, XmlError> {
        for attr in attrs {
            let (name, value) = attr?;
            let Some(prefix) = declared_prefix(name).filter(|p| *p != "xml") else { continue };
            let ns = resolve_attr(value).ok_or(XmlError::NotWellFormed("a bad reference"))?;
            match self.own.iter_mut().find(|(p, _)| *p == prefix) {
                Some(bound) => bound.1 = ns,
                None => self.own.push((prefix, ns)),
            }
        }
        Ok(self)
    }

    fn scope(&self) -> Scope {
        if self.own.is_empty() {
            return self.outer.clone();
        }
        self.outer.with(self.own.iter().map(|(p, ns)| (*p, ns.as_ref())))
    }
}

/// A piece of content as it is met.
enum Part<'a> {
    Text(Cow<'a, str>),
    Markup(&'a str), // all that is left, beginning with a start tag
}

/// Takes the next piece off `rest`; of markup nothing is taken. `None` at the end.
fn next_part<'a>(rest: &mut &'a str) -> Option<Part<'a>> {
    if rest.is_empty() {
        return None;
    }
    if let Some(cdata) = rest.strip_prefix(CDATA_OPEN) {
        let end = memmem::find(cdata.as_bytes(), CDATA_CLOSE.as_bytes())?;
        *rest = &cdata[end + CDATA_CLOSE.len()..];
        return Some(Part::Text(resolve_cdata(&cdata[..end])));
    }
    if rest.starts_with('<') {
        return Some(Part::Markup(rest));
    }
    let (text, behind) = rest.split_at(memchr(b'<', rest.as_bytes()).unwrap_or(rest.len()));
    *rest = behind;
    resolve_text(text).map(Part::Text)
}

/// Bytes of the element that `xml` begins with.
fn extent(xml: &str) -> Option<usize> {
    let tag = Tag::parse(xml).ok()?;
    if tag.empty { Some(tag.len) } else { element_end(xml, tag.len).map(|(_, end)| end) }
}

/// Where the content of an element ends and where its end tag ends; `from` is behind its start tag.
fn element_end(xml: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = xml.as_bytes();
    let mut depth = 1u32;
    let mut i = from;
    loop {
        i += memchr(b'<', bytes.get(i..)?)?;
        match bytes.get(i + 1)? {
            b'/' => {
                let end = i + memchr(b'>', &bytes[i..])? + 1;
                depth -= 1;
                if depth == 0 {
                    return Some((i, end));
                }
                i = end;
            }
            b'!' => i += memmem::find(&bytes[i..], CDATA_CLOSE.as_bytes())? + CDATA_CLOSE.len(),
            _ => {
                let end = tag_end(bytes, i + 1)?;
                depth += u32::from(bytes[end - 1] != b'/');
                i = end + 1;
            }
        }
    }
}

/// Could this text use the prefix? (`p:` in text or in a value is taken for a use: harmless.)
pub(crate) fn mentions(xml: &str, prefix: &str) -> bool {
    memchr_iter(b':', xml.as_bytes()).any(|i| xml.as_bytes()[..i].ends_with(prefix.as_bytes()))
}

/// Appends ` xmlns:prefix='ns'`, or ` xmlns='ns'` for the prefix "".
pub(crate) fn push_decl(out: &mut String, prefix: &str, ns: &str) {
    out.push_str(" xmlns");
    if !prefix.is_empty() {
        out.push(':');
        out.push_str(prefix);
    }
    out.push_str("='");
    out.push_str(&escape_attr(ns));
    out.push('\'');
}
