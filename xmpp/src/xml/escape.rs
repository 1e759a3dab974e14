//! Writing text and attribute values.
//!
//! Characters that XML 1.0 cannot hold at all (most C0 controls, U+FFFE, U+FFFF) are dropped.

use super::chars::char_ok;
use std::borrow::Cow;

/// The first byte of U+FFFE and U+FFFF, and of others that are fine.
const MAY_BEGIN_U_FFFE: u8 = 0xEF;

/// `s` as character data: `<`, `>`, `&` and `\r` become references; what XML cannot hold is dropped.
pub fn escape_text(s: &str) -> Cow<'_, str> {
    escape(s, text_reference)
}

/// `s` as an attribute value in either kind of quotes: `<`, `>`, `&`, `'`, `"`, `\t`, `\n` and `\r`
/// become references; what XML cannot hold is dropped.
pub fn escape_attr(s: &str) -> Cow<'_, str> {
    escape(s, attr_reference)
}

/// Appends [`escape_text`] of `s`.
pub fn push_text(out: &mut Vec<u8>, s: &str) {
    push(out, s, text_reference);
}

/// Appends [`escape_attr`] of `s`.
pub fn push_attr(out: &mut Vec<u8>, s: &str) {
    push(out, s, attr_reference);
}

/// What to write for a byte that cannot stand for itself.
fn text_reference(b: u8) -> Option<&'static [u8]> {
    match b {
        b'<' => Some(b"&lt;"),
        b'>' => Some(b"&gt;"),
        b'&' => Some(b"&amp;"),
        b'\r' => Some(b"&#13;"),
        b'\t' | b'\n' => None,
        0..0x20 => Some(b""),
        _ => None,
    }
}

fn attr_reference(b: u8) -> Option<&'static [u8]> {
    match b {
        b'\'' => Some(b"&apos;"),
        b'"' => Some(b"&quot;"),
        b'\t' => Some(b"&#9;"),
        b'\n' => Some(b"&#10;"),
        _ => text_reference(b),
    }
}

fn escape(s: &str, reference: impl Fn(u8) -> Option<&'static [u8]>) -> Cow<'_, str> {
    if s.bytes().all(|b| b != MAY_BEGIN_U_FFFE && reference(b).is_none()) {
        return Cow::Borrowed(s);
    }
    let mut out = Vec::with_capacity(s.len() + 16);
    push(&mut out, s, reference);
    // Only whole characters were left out or replaced by ASCII.
    Cow::Owned(String::from_utf8(out).unwrap_or_default())
}

fn push(out: &mut Vec<u8>, s: &str, reference: impl Fn(u8) -> Option<&'static [u8]>) {
    let bytes = s.as_bytes();
    let mut from = 0; // what is before it is written
    for (i, &b) in bytes.iter().enumerate() {
        if b == MAY_BEGIN_U_FFFE {
            if !s[i..].chars().next().is_none_or(char_ok) {
                out.extend_from_slice(&bytes[from..i]);
                from = i + 3;
            }
        } else if let Some(instead) = reference(b) {
            out.extend_from_slice(&bytes[from..i]);
            out.extend_from_slice(instead);
            from = i + 1;
        }
    }
    out.extend_from_slice(&bytes[from..]);
}
