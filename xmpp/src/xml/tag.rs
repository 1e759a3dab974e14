//! One start tag and its attributes, as slices of the text they stand in.

use super::XmlError;
use super::chars::is_space;
use memchr::{memchr, memchr3};

/// A start tag or an empty-element tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag<'a> {
    /// The name as written, prefix included.
    pub name: &'a str,
    /// What stands between the name and the closing `>` or `/>`.
    pub attrs: &'a str,
    /// `<a/>`?
    pub empty: bool,
    /// Bytes of the whole tag.
    pub len: usize,
}

impl<'a> Tag<'a> {
    /// Reads the tag that `xml` begins with. Names are not checked here.
    pub fn parse(xml: &'a str) -> Result<Tag<'a>, XmlError> {
        let bytes = xml.as_bytes();
        if bytes.first() != Some(&b'<') {
            return Err(XmlError::NotWellFormed("a start tag was expected"));
        }
        let end = tag_end(bytes, 1).ok_or(XmlError::NotWellFormed("a tag without an end"))?;
        let empty = bytes[end - 1] == b'/' && end > 1;
        let body = &xml[1..if empty { end - 1 } else { end }];
        let name_len = body.bytes().position(is_space).unwrap_or(body.len());
        let (name, attrs) = body.split_at(name_len);
        Ok(Tag { name, attrs, empty, len: end + 1 })
    }

    /// The attributes as written, namespace declarations among them.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs { rest: self.attrs }
    }
}

/// Where the `>` of a tag is; `from` is behind its `<`. One that stands in quotes is no end.
pub(crate) fn tag_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut i = from;
    loop {
        i += memchr3(b'>', b'"', b'\'', bytes.get(i..)?)?;
        match bytes[i] {
            b'>' => return Some(i),
            quote => i += 2 + memchr(quote, &bytes[i + 1..])?,
        }
    }
}

/// The attributes of a tag: `(name, value)`, references not resolved, names not checked.
/// Stops after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Attrs<'a> {
    rest: &'a str,
}

impl<'a> Attrs<'a> {
    /// Over what stands behind the name of a tag.
    pub fn new(rest: &'a str) -> Attrs<'a> {
        Attrs { rest }
    }

    fn one(&mut self) -> Result<Option<(&'a str, &'a str)>, XmlError> {
        let bytes = self.rest.as_bytes();
        let Some(start) = bytes.iter().position(|&b| !is_space(b)) else {
            return Ok(None);
        };
        if start == 0 {
            return Err(XmlError::NotWellFormed("a space is missing before an attribute"));
        }
        let equals = start
            + bytes[start..]
                .iter()
                .position(|&b| b == b'=')
                .ok_or(XmlError::NotWellFormed("an attribute without a value"))?;
        let name = self.rest[start..equals].trim_ascii_end();
        let quote_at = equals
            + 1
            + bytes[equals + 1..]
                .iter()
                .position(|&b| !is_space(b))
                .ok_or(XmlError::NotWellFormed("an attribute without a value"))?;
        let quote = bytes[quote_at];
        if quote != b'"' && quote != b'\'' {
            return Err(XmlError::NotWellFormed("an attribute value without quotes"));
        }
        let end = quote_at
            + 1
            + memchr(quote, &bytes[quote_at + 1..])
                .ok_or(XmlError::NotWellFormed("an attribute value without an end"))?;
        let value = &self.rest[quote_at + 1..end];
        self.rest = &self.rest[end + 1..];
        Ok(Some((name, value)))
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<(&'a str, &'a str), XmlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let one = self.one().transpose();
        if let Some(Err(_)) = one {
            self.rest = "";
        }
        one
    }
}

/// Is this attribute a namespace declaration, and of which prefix ("" for the default)?
pub(crate) fn declared_prefix(attr: &str) -> Option<&str> {
    let rest = attr.strip_prefix("xmlns")?;
    if rest.is_empty() { Some("") } else { rest.strip_prefix(':') }
}
