//! The usual request, read in one go.
//!
//! Almost every request is a start tag with a few plain attributes, and inside it nothing or one stanza. To check
//! that whole and then to walk over it again, as is done with every other, would be most of what a request
//! costs. So what is plainly of this form is taken apart here, and only the stanza is checked; of what is not, nothing
//! is said. What is read here reads the same there.

use herald_xmpp::ns;
use herald_xmpp::xml::{self, Limits, Scope};
use smallvec::SmallVec;

/// More attributes than this are not usual. Strophe.js sends at most seven.
const ATTRS_MAX: usize = 8;

/// A `<body/>` in its own namespace, which is the default one.
pub(crate) struct Usual<'a> {
    /// Names without a prefix, and values in which nothing stands for something else.
    pub attrs: SmallVec<[(&'a str, &'a str); ATTRS_MAX]>,
    /// One element, checked; or nothing.
    pub inside: &'a str,
    /// Its name, which has no prefix.
    pub name: &'a str,
}

impl<'a> Usual<'a> {
    /// `None`: it has another form, or is not well-formed, or over a limit.
    pub fn read(text: &'a str, limits: &Limits) -> Option<Usual<'a>> {
        let mut attrs = SmallVec::new();
        let mut rest = text.strip_prefix("<body")?;
        let inside = loop {
            let tag = rest.trim_start_matches(' ');
            if tag == "/>" {
                break "";
            }
            if let Some(behind) = tag.strip_prefix('>') {
                break behind.strip_suffix("</body>")?;
            }
            let (name, value, behind) = attribute(tag)?;
            let apart = tag.len() < rest.len();
            let known = attrs.iter().any(|(other, _)| *other == name);
            if !apart || known || attrs.len() >= ATTRS_MAX.min(limits.attrs_max as usize) {
                return None;
            }
            attrs.push((name, value));
            rest = behind;
        };
        if !attrs.contains(&("xmlns", ns::HTTPBIND)) {
            return None;
        }
        let name = if inside.is_empty() { "" } else { element(inside, limits)? };
        Some(Usual { attrs, inside, name })
    }
}

/// The attribute that `tag` begins with: its name, its value, what is behind it.
fn attribute(tag: &str) -> Option<(&str, &str, &str)> {
    let (name, value) = tag.split_at(tag.bytes().position(|b| !b.is_ascii_lowercase())?);
    if name.is_empty() || name.starts_with("xml") && name != "xmlns" {
        return None;
    }
    let (quote, value) = match value.as_bytes() {
        [b'=', quote @ (b'\'' | b'"'), ..] => (*quote, &value[2..]),
        _ => return None,
    };
    let plain = |b: u8| matches!(b, b' '..=b'~') && !matches!(b, b'&' | b'<' | b'>');
    let end = value.bytes().position(|b| b == quote || !plain(b))?;
    let (value, behind) = value.split_at(end);
    (behind.as_bytes()[0] == quote).then(|| (name, value, &behind[1..]))
}

/// The name of the element that is all of `inside`, checked.
fn element<'a>(inside: &'a str, limits: &Limits) -> Option<&'a str> {
    let within = Limits {
        depth_max: limits.depth_max.checked_sub(1)?,
        elements_max: limits.elements_max.checked_sub(1)?,
        ..*limits
    };
    let tag = inside.strip_prefix('<').filter(|_| inside.ends_with('>'))?;
    let name = &tag[..tag.bytes().position(|b| !b.is_ascii_alphanumeric())?];
    let ends = matches!(tag.as_bytes()[name.len()], b' ' | b'>' | b'/');
    (ends && !name.is_empty()).then_some(())?;
    xml::check(inside, &Scope::HTTPBIND, &within).ok()?;
    Some(name)
}
