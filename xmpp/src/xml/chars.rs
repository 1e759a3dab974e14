//! Characters, names and references of XML 1.0.

use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// `Char` (XML 1.0 section 2.2).
pub(crate) fn char_ok(c: char) -> bool {
    matches!(c as u32, 0x9 | 0xA | 0xD | 0x20..=0xD7FF | 0xE000..=0xFFFD | 0x10000..=0x10FFFF)
}

/// Is every character of `s` a `Char`? Only C0 controls and U+FFFE, U+FFFF can be wrong in a `str`.
pub(crate) fn chars_ok(s: &str) -> bool {
    let bytes = s.as_bytes();
    // No early exit, so that it is done many bytes at a time.
    let bad = bytes.iter().fold(false, |bad, &b| bad | (b < 0x20 && b != b'\t' && b != b'\n' && b != b'\r'));
    if bad {
        return false;
    }
    memchr::memchr_iter(0xEF, bytes).all(|i| !matches!(bytes.get(i + 1..i + 3), Some([0xBF, 0xBE | 0xBF])))
}

/// `NCName`: a name without a colon.
pub(crate) fn ncname_ok(s: &str) -> bool {
    // Plain ASCII first: a name is looked at on every tag and attribute.
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if s.as_bytes().first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') && s.as_bytes().iter().all(plain) {
        return true;
    }
    let mut chars = s.chars();
    chars.next().is_some_and(name_start) && chars.all(|c| name_start(c) || name_more(c))
}

/// Splits `prefix:local` when both are names; an unprefixed name has the prefix "".
pub(crate) fn qname(s: &str) -> Option<(&str, &str)> {
    let (prefix, local) = split_name(s);
    let prefix_ok = local.len() == s.len() || ncname_ok(prefix);
    (prefix_ok && ncname_ok(local)).then_some((prefix, local))
}

/// Splits at the first colon, nothing checked. Names are short: a plain walk beats a searcher.
pub(crate) fn split_name(s: &str) -> (&str, &str) {
    match s.bytes().position(|b| b == b':') {
        Some(i) => (&s[..i], &s[i + 1..]),
        None => ("", s),
    }
}

/// `S` (XML 1.0 section 2.3).
pub(crate) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

/// What the reference between `&` and `;` stands for: the five predefined entities and characters.
pub(crate) fn reference(name: &str) -> Option<char> {
    match name {
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "amp" => return Some('&'),
        "apos" => return Some('\''),
        "quot" => return Some('"'),
        _ => {}
    }
    let digits = name.strip_prefix('#')?;
    let (digits, radix) = match digits.strip_prefix('x') {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    // from_str_radix takes a sign; XML does not.
    if digits.is_empty() || !digits.bytes().all(|b| (b as char).is_digit(radix)) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|&c| char_ok(c))
}

/// Character data with its references resolved and its line ends made `\n` (XML 1.0 section 2.11).
/// `None` when a reference is none.
pub(crate) fn resolve_text(raw: &str) -> Option<Cow<'_, str>> {
    if memchr2(b'&', b'\r', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    resolve(raw, false).map(Cow::Owned)
}

/// CDATA: line ends only.
pub(crate) fn resolve_cdata(raw: &str) -> Cow<'_, str> {
    if memchr(b'\r', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n"))
}

/// An attribute value with its references resolved and its white space made spaces
/// (XML 1.0 section 3.3.3, the type CDATA). `None` when a reference is none.
pub(crate) fn resolve_attr(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.bytes().any(|b| b == b'&' || b < 0x20) {
        return Some(Cow::Borrowed(raw));
    }
    resolve(raw, true).map(Cow::Owned)
}

/// Is every reference in `raw` one? What [`resolve_attr`] would say, nothing built.
pub(crate) fn references_ok(raw: &str) -> bool {
    let bytes = raw.as_bytes();
    memchr::memchr_iter(b'&', bytes)
        .all(|i| memchr(b';', &bytes[i..]).is_some_and(|end| reference(&raw[i + 1..i + end]).is_some()))
}

fn resolve(raw: &str, attribute: bool) -> Option<String> {
    let bytes = raw.as_bytes();
    let mut out = String::with_capacity(raw.len());
    let mut from = 0; // what is before it is in `out`
    let mut i = 0;
    while i < bytes.len() {
        let (c, next) = match bytes[i] {
            b'&' => {
                let end = i + memchr(b';', &bytes[i..])?;
                (reference(&raw[i + 1..end])?, end + 1)
            }
            b'\r' => {
                let next = if bytes.get(i + 1) == Some(&b'\n') { i + 2 } else { i + 1 };
                (if attribute { ' ' } else { '\n' }, next)
            }
            b'\t' | b'\n' if attribute => (' ', i + 1),
            _ => {
                i += 1;
                continue;
            }
        };
        out.push_str(&raw[from..i]);
        out.push(c);
        i = next;
        from = next;
    }
    out.push_str(&raw[from..]);
    Some(out)
}

fn name_start(c: char) -> bool {
    c.is_ascii_alphabetic()
        || c == '_'
        || matches!(c as u32,
            0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0x2FF | 0x370..=0x37D | 0x37F..=0x1FFF
            | 0x200C..=0x200D | 0x2070..=0x218F | 0x2C00..=0x2FEF | 0x3001..=0xD7FF
            | 0xF900..=0xFDCF | 0xFDF0..=0xFFFD | 0x10000..=0xEFFFF)
}

fn name_more(c: char) -> bool {
    c.is_ascii_digit() || c == '-' || c == '.' || matches!(c as u32, 0xB7 | 0x300..=0x36F | 0x203F..=0x2040)
}
