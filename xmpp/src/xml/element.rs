//! Reading a checked element: slices of the text, names and references resolved when asked.

use super::chars::{resolve_attr, resolve_cdata, resolve_text, split_name};
use super::tag::{Attrs, Tag, declared_prefix, tag_end};
use super::{Scope, XmlError, escape_attr};
use memchr::{memchr, memmem};
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

    /// The text directly in it, that of its children left out; references resolved, CDATA included.
    pub fn text(&self) -> Cow<'a, str> {
        let mut parts = Parts { rest: self.inner };
        let Some(first) = parts.next_text() else { return Cow::Borrowed("") };
        let Some(second) = parts.next_text() else { return first };
        let mut all = first.into_owned();
        all.push_str(&second);
        while let Some(more) = parts.next_text() {
            all.push_str(&more);
        }
        Cow::Owned(all)
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
        let (inner_end, end) =
            element_end(xml, tag.len).ok_or(XmlError::NotWellFormed("an element without an end"))?;
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
}

impl<'a> Iterator for Children<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let at = memchr(b'<', self.rest.as_bytes())?;
            self.rest = &self.rest[at..];
            if let Some(cdata) = self.rest.strip_prefix(CDATA_OPEN) {
                self.rest = &cdata[memmem::find(cdata.as_bytes(), CDATA_CLOSE.as_bytes())? + 3..];
                continue;
            }
            let element = Element::at(self.rest, self.bound.clone()).ok();
            self.rest = &self.rest[element.as_ref().map_or(self.rest.len(), |e| e.raw.len())..];
            return element;
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

/// Walks over content, giving the text between the children.
struct Parts<'a> {
    rest: &'a str,
}

impl<'a> Parts<'a> {
    /// The next piece of text, `None` at the end. Pieces are not empty, except from empty CDATA.
    fn next_text(&mut self) -> Option<Cow<'a, str>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            if let Some(cdata) = self.rest.strip_prefix(CDATA_OPEN) {
                let end = memmem::find(cdata.as_bytes(), CDATA_CLOSE.as_bytes())?;
                self.rest = &cdata[end + 3..];
                return Some(resolve_cdata(&cdata[..end]));
            }
            if self.rest.starts_with('<') {
                let tag = Tag::parse(self.rest).ok()?;
                let end = if tag.empty { tag.len } else { element_end(self.rest, tag.len)?.1 };
                self.rest = &self.rest[end..];
                continue;
            }
            let end = memchr(b'<', self.rest.as_bytes()).unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return resolve_text(text);
        }
    }
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
    memmem::find_iter(xml.as_bytes(), prefix.as_bytes())
        .any(|i| xml.as_bytes().get(i + prefix.len()) == Some(&b':'))
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
