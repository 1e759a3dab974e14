//! Preparing the three parts of an address (RFC 7622 sections 3.2 to 3.4).
//!
//! Plain ASCII, which is nearly all of it, is decided here without the PRECIS tables.

use super::{JidError, PART_BYTES_MAX};
use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCaseMapped};
use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

const LOCAL: &str = "localpart";
const DOMAIN: &str = "domainpart";
const RESOURCE: &str = "resourcepart";

/// The longest label of a domain name, in bytes (RFC 1035 section 2.3.4). A longer one is refused.
const LABEL_BYTES_MAX: usize = 63;

/// UsernameCaseMapped without the characters of RFC 7622 section 3.3.1.
pub(super) fn local(s: &str) -> Result<Cow<'_, str>, JidError> {
    sized(s, LOCAL)?;
    let out = if s.is_ascii() {
        if !s.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(JidError::Forbidden(LOCAL));
        }
        lower(s)
    } else {
        UsernameCaseMapped::enforce(s).map_err(|_| JidError::Forbidden(LOCAL))?
    };
    // Also after the mapping: a full-width commercial at becomes an ordinary one.
    if out.bytes().any(|b| matches!(b, b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@')) {
        return Err(JidError::Forbidden(LOCAL));
    }
    sized(&out, LOCAL)?;
    Ok(out)
}

/// OpaqueString. A leading space is refused too: row 18 of RFC 7622 section 3.5.
pub(super) fn resource(s: &str) -> Result<Cow<'_, str>, JidError> {
    sized(s, RESOURCE)?;
    let out = if s.is_ascii() {
        if !s.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(JidError::Forbidden(RESOURCE));
        }
        Cow::Borrowed(s)
    } else {
        OpaqueString::enforce(s).map_err(|_| JidError::Forbidden(RESOURCE))?
    };
    if out.starts_with(' ') {
        return Err(JidError::Forbidden(RESOURCE));
    }
    sized(&out, RESOURCE)?;
    Ok(out)
}

/// A host name, an IPv4 address or an IPv6 address in brackets; lower case, no trailing dot.
pub(super) fn domain(s: &str) -> Result<Cow<'_, str>, JidError> {
    sized(s, DOMAIN)?;
    if let Some(inner) = s.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(JidError::Forbidden(DOMAIN))?;
        let address: Ipv6Addr = inner.parse().map_err(|_| JidError::Forbidden(DOMAIN))?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    let s = s.strip_suffix('.').unwrap_or(s);
    sized(s, DOMAIN)?;
    let out = if s.is_ascii() && !has_a_label(s) { lower(s) } else { Cow::Owned(international(s)?) };
    if !out.split('.').all(label_ok) {
        return Err(JidError::Forbidden(DOMAIN));
    }
    // A name whose last label is all digits can only be an IPv4 address (WHATWG URL, RFC 3696 section 2).
    let last = out.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) && out.parse::<Ipv4Addr>().is_err() {
        return Err(JidError::Forbidden(DOMAIN));
    }
    sized(&out, DOMAIN)?;
    Ok(out)
}

fn sized(s: &str, part: &'static str) -> Result<(), JidError> {
    match s.len() {
        0 => Err(JidError::Empty(part)),
        1..=PART_BYTES_MAX => Ok(()),
        _ => Err(JidError::TooLong(part)),
    }
}

fn lower(s: &str) -> Cow<'_, str> {
    if s.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(s.to_ascii_lowercase())
    } else {
        Cow::Borrowed(s)
    }
}

fn has_a_label(_s: &str) -> bool {
    false
}

/// Labels outside ASCII, mapped as RFC 5895 says: width, case, NFC, and the ideographic full stops.
fn international(s: &str) -> Result<String, JidError> {
    let mut out = String::with_capacity(s.len());
    for label in s.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']) {
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(&UsernameCaseMapped::enforce(label).map_err(|_| JidError::Forbidden(DOMAIN))?);
    }
    Ok(out)
}

/// Letters, digits and hyphens, no hyphen at either end. What is not ASCII has passed PRECIS already.
fn label_ok(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| !b.is_ascii() || b.is_ascii_alphanumeric() || b == b'-')
}
