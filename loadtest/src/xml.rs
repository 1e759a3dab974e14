//! As much XML as a client needs: where an element ends in bytes that are still coming, and what is in it.
//! Written apart from the server's own reader, so that a fault in that one does not hide itself.

use memchr::memchr;
use std::borrow::Cow;

/// What stands next in the bytes that have come.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing whole yet.
    Partial,
    /// The stream's own opening tag ends here.
    Opened(usize),
    /// An element, from here to here.
    Element(usize, usize),
    /// The stream's closing tag ends here.
    Closed(usize),
}

/// What came is no XML.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the server sent is no XML")]
pub struct Malformed;

/// Looks for what stands next. `opened` says whether the stream's opening tag has been seen.
pub fn next(bytes: &[u8], opened: bool) -> Result<Next, Malformed> {
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let Some(first) = bytes.get(at) else { return Ok(Next::Partial) };
        if *first != b'<' {
            return Err(Malformed);
        }
        let Some(second) = bytes.get(at + 1) else { return Ok(Next::Partial) };
        match second {
            b'?' => match end_of(bytes, at, b"?>") {
                Some(end) => at = end,
                None => return Ok(Next::Partial),
            },
            b'/' => return Ok(tag_end(bytes, at).map_or(Next::Partial, Next::Closed)),
            _ if !opened => return Ok(tag_end(bytes, at).map_or(Next::Partial, Next::Opened)),
            _ => return Ok(element_end(bytes, at).map_or(Next::Partial, |end| Next::Element(at, end))),
        }
    }
}

/// An element that is whole.
#[derive(Clone, Copy, Debug)]
pub struct Element<'x> {
    tag: &'x str,
    inner: &'x str,
}

impl<'x> Element<'x> {
    /// The first element in a text; `None` when there is none that is whole.
    pub fn parse(text: &'x str) -> Option<Element<'x>> {
        let bytes = text.as_bytes();
        let Ok(Next::Element(start, end)) = next(bytes, true) else { return None };
        Element::between(text, start, end)
    }

    fn between(text: &'x str, start: usize, end: usize) -> Option<Element<'x>> {
        let tag_end = tag_end(text.as_bytes(), start)?;
        let tag = text.get(start + 1..tag_end - 1)?;
        if let Some(tag) = tag.strip_suffix('/') {
            return Some(Element { tag, inner: "" });
        }
        let inner = text.get(tag_end..end)?;
        Some(Element { tag, inner: &inner[..inner.rfind("</")?] })
    }

    /// Its name without a prefix.
    pub fn name(&self) -> &'x str {
        let end = self.tag.find(|c: char| c.is_ascii_whitespace()).unwrap_or(self.tag.len());
        let name = &self.tag[..end];
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// The value of an attribute, its name written with its prefix.
    pub fn attribute(&self, name: &str) -> Option<Cow<'x, str>> {
        let mut rest = &self.tag[self.tag.find(|c: char| c.is_ascii_whitespace())?..];
        loop {
            let (before, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let (value, more) = after[1..].split_once(quote)?;
            if before.trim() == name {
                return Some(unescape(value));
            }
            rest = more;
        }
    }

    /// The elements in it.
    pub fn children(&self) -> impl Iterator<Item = Element<'x>> + use<'x> {
        let (text, mut at) = (self.inner, 0);
        std::iter::from_fn(move || {
            at += memchr(b'<', text.get(at..)?.as_bytes())?;
            let end = element_end(text.as_bytes(), at)?;
            let element = Element::between(text, at, end);
            at = end;
            element
        })
    }

    /// The first child of that name.
    pub fn child(&self, name: &str) -> Option<Element<'x>> {
        self.children().find(|child| child.name() == name)
    }

    /// Its text, when it has no elements in it.
    pub fn text(&self) -> Cow<'x, str> {
        unescape(self.inner)
    }
}

/// A text as it may stand in an element or an attribute.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '\'', '"']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\'' => escaped += "&apos;",
            '"' => escaped += "&quot;",
            c => escaped.push(c),
        }
    }
    escaped.into()
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain += before;
        let Some((name, more)) = after.split_once(';') else {
            rest = &rest[before.len()..];
            break;
        };
        match name {
            "amp" => plain.push('&'),
            "lt" => plain.push('<'),
            "gt" => plain.push('>'),
            "apos" => plain.push('\''),
            "quot" => plain.push('"'),
            name => plain.push(numbered(name).unwrap_or('\u{fffd}')),
        }
        rest = more;
    }
    plain += rest;
    plain.into()
}

fn numbered(name: &str) -> Option<char> {
    let digits = name.strip_prefix('#')?;
    let number = match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number.ok().and_then(char::from_u32)
}

/// Behind the end of the element that begins at `start`.
fn element_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0u32);
    loop {
        at += memchr(b'<', bytes.get(at..)?)?;
        let rest = &bytes[at..];
        if rest.starts_with(b"<!") {
            at = if rest.starts_with(b"<!--") { end_of(bytes, at, b"-->")? } else { end_of(bytes, at, b"]]>")? };
            continue;
        }
        let end = tag_end(bytes, at)?;
        if rest.starts_with(b"</") {
            depth = depth.checked_sub(1)?;
        } else if bytes[end - 2] != b'/' {
            depth += 1;
        }
        at = end;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Behind the `>` of the tag that begins at `start`; one in an attribute's value does not count.
fn tag_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

fn end_of(bytes: &[u8], from: usize, mark: &[u8]) -> Option<usize> {
    let found = memchr::memmem::find(bytes.get(from..)?, mark)?;
    Some(from + found + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &str, opened: bool, wanted: Result<Next, Malformed>) {
        assert_eq!(next(bytes.as_bytes(), opened), wanted, "{bytes}");
    }

    #[test]
    fn elements_are_found_when_they_are_whole() {
        check("", true, Ok(Next::Partial));
        check(" \n", true, Ok(Next::Partial));
        check("<?xml version='1.0'?><stream:stream to='a>b'>", false, Ok(Next::Opened(45)));
        check("<stream:stream to='a>", false, Ok(Next::Partial));
        check(" <a/>", true, Ok(Next::Element(1, 5)));
        check("<a><b x='>'/></a><c/>", true, Ok(Next::Element(0, 17)));
        check("<a><![CDATA[</a>]]></a>", true, Ok(Next::Element(0, 23)));
        check("<a><b></b>", true, Ok(Next::Partial));
        check("</stream:stream>", true, Ok(Next::Closed(16)));
        check("hello", true, Err(Malformed));
    }

    #[test]
    fn every_cut_of_an_element_is_partial() {
        let whole = "<message from='a@b/c'><body>x &lt; y</body><delay stamp=\"1\"/></message>";
        for cut in 0..whole.len() {
            check(&whole[..cut], true, Ok(Next::Partial));
        }
        check(whole, true, Ok(Next::Element(0, whole.len())));
    }

    #[test]
    fn an_element_is_read() {
        let text = "<m:message from = 'a&amp;b' xml:lang=\"en\"><body>1 &lt; 2 &#x41;</body><x><body/></x></m:message>";
        let message = Element::parse(text).expect("it is whole");
        assert_eq!(message.name(), "message");
        assert_eq!(message.attribute("from").as_deref(), Some("a&b"));
        assert_eq!(message.attribute("xml:lang").as_deref(), Some("en"));
        assert_eq!(message.attribute("to"), None);
        assert_eq!(message.children().map(|c| c.name()).collect::<Vec<_>>(), ["body", "x"]);
        assert_eq!(message.child("body").expect("a body").text(), "1 < 2 A");
        assert_eq!(escape("<a & 'b'>"), "&lt;a &amp; &apos;b&apos;&gt;");
    }
}
