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
/// The longest label outside ASCII, in characters: its `xn--` form has at least as many behind the
/// prefix. A longer one is refused.
const LABEL_CHARS_MAX: usize = 59;
/// How often a profile may be applied before nothing changes (RFC 8264 section 7). What is not
/// stable then is refused.
const STABLE_AFTER_MAX: u32 = 4;
/// What the ASCII form of a label outside ASCII begins with (RFC 5890 section 2.3.2.1).
const A_LABEL: &str = "xn--";

/// UsernameCaseMapped without the characters of RFC 7622 section 3.3.1.
pub(super) fn local(s: &str) -> Result<Cow<'_, str>, JidError> {
    sized(s, LOCAL)?;
    if s.bytes().all(|b| b.is_ascii_graphic()) {
        return if s.bytes().any(excluded) { Err(JidError::Forbidden(LOCAL)) } else { Ok(lower(s)) };
    }
    if s.is_ascii() {
        return Err(JidError::Forbidden(LOCAL));
    }
    let out = stable(s, LOCAL, |s| UsernameCaseMapped::enforce(s).ok())?;
    // Also after the mapping: a full-width commercial at becomes an ordinary one.
    if out.bytes().any(excluded) {
        return Err(JidError::Forbidden(LOCAL));
    }
    sized(&out, LOCAL)?;
    Ok(out)
}

fn excluded(b: u8) -> bool {
    matches!(b, b'"' | b'&' | b'\'' | b'/' | b':' | b'<' | b'>' | b'@')
}

/// OpaqueString. Row 18 of RFC 7622 section 3.5 calls a leading space wrong, but no rule says so and
/// other servers take it: the profile is the norm.
pub(super) fn resource(s: &str) -> Result<Cow<'_, str>, JidError> {
    sized(s, RESOURCE)?;
    let out = if s.is_ascii() {
        if !s.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(JidError::Forbidden(RESOURCE));
        }
        Cow::Borrowed(s)
    } else {
        stable(s, RESOURCE, |s| OpaqueString::enforce(s).ok())?
    };
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
    let out = match host(s) {
        Host::Plain => return Ok(lower(s)),
        Host::Wrong => return Err(JidError::Forbidden(DOMAIN)),
        Host::Numeric if s.parse::<Ipv4Addr>().is_ok() => return Ok(Cow::Borrowed(s)),
        Host::Numeric => return Err(JidError::Forbidden(DOMAIN)),
        Host::International => international(s)?,
    };
    sized(&out, DOMAIN)?;
    // What was mapped may turn out to be plain ASCII; it is held to the same rules.
    match host(&out) {
        Host::Plain => Ok(Cow::Owned(out)),
        Host::International if out.split('.').all(u_label_ok) => Ok(Cow::Owned(out)),
        _ => Err(JidError::Forbidden(DOMAIN)),
    }
}

fn sized(s: &str, part: &'static str) -> Result<(), JidError> {
    match s.len() {
        0 => Err(JidError::Empty(part)),
        1..=PART_BYTES_MAX => Ok(()),
        _ => Err(JidError::TooLong(part)),
    }
}

fn lower(s: &str) -> Cow<'_, str> {
    if s.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(s.to_ascii_lowercase()) } else { Cow::Borrowed(s) }
}

/// What a host name looks like.
enum Host {
    Plain,         // letters, digits and hyphens
    Numeric,       // the same, but its last label is all digits: only an IPv4 address is (RFC 3696 section 2)
    International, // something outside ASCII, or written as `xn--`
    Wrong,
}

/// Looks at every byte once; this is on the way of every stanza.
fn host(s: &str) -> Host {
    let bytes = s.as_bytes();
    let (mut start, mut numeric) = (0, true); // of the label
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => numeric = false,
            b'0'..=b'9' => {}
            b'-' => {
                numeric = false;
                if i == start + 3 && bytes[start..].get(..4).is_some_and(|l| l.eq_ignore_ascii_case(A_LABEL.as_bytes()))
                {
                    return Host::International;
                }
            }
            b'.' => {
                if !label_ok(&bytes[start..i]) {
                    return Host::Wrong;
                }
                (start, numeric) = (i + 1, true);
            }
            _ if b.is_ascii() => return Host::Wrong,
            _ => return Host::International,
        }
    }
    match label_ok(&bytes[start..]) {
        true if numeric => Host::Numeric,
        true => Host::Plain,
        false => Host::Wrong,
    }
}

/// Length and ends of a label whose characters are letters, digits and hyphens.
fn label_ok(label: &[u8]) -> bool {
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label[0] != b'-' && label[label.len() - 1] != b'-'
}

/// The same for a label of a name that is not all ASCII; what is outside ASCII has passed PRECIS.
fn u_label_ok(label: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let chars_max = if label.is_ascii() { LABEL_BYTES_MAX } else { LABEL_CHARS_MAX };
    (1..=chars_max).contains(&label.chars().count())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| !b.is_ascii() || plain(b))
}

/// Labels outside ASCII, mapped as RFC 5895 says (width, case, NFC, and the ideographic full stops);
/// those written as `xn--` are turned into what they stand for (RFC 7622 section 3.2).
fn international(s: &str) -> Result<String, JidError> {
    let mut out = String::with_capacity(s.len());
    for (i, label) in s.split(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']).enumerate() {
        if i > 0 {
            out.push('.');
        }
        let mapped = mapped(label)?;
        match mapped.strip_prefix(A_LABEL) {
            None => out.push_str(&mapped),
            Some(encoded) => {
                let decoded = punycode(encoded).ok_or(JidError::Forbidden(DOMAIN))?;
                // A true A-label stands for a label outside ASCII that is mapped already.
                if decoded.is_ascii() || self::mapped(&decoded)? != decoded {
                    return Err(JidError::Forbidden(DOMAIN));
                }
                out.push_str(&decoded);
            }
        }
    }
    Ok(out)
}

/// IDNA's letters and digits are close to the PRECIS IdentifierClass; [`u_label_ok`] sees to ASCII.
fn mapped(label: &str) -> Result<Cow<'_, str>, JidError> {
    stable(label, DOMAIN, |s| UsernameCaseMapped::enforce(s).ok())
}

/// Applies a profile until nothing changes, as RFC 8264 section 7 asks: what is mapped to something
/// the profile refuses (an upper-case Cherokee letter is) is refused, not accepted once.
fn stable<'a>(
    s: &'a str,
    part: &'static str,
    profile: impl for<'x> Fn(&'x str) -> Option<Cow<'x, str>>,
) -> Result<Cow<'a, str>, JidError> {
    let mut now = profile(s).ok_or(JidError::Forbidden(part))?;
    for _ in 0..STABLE_AFTER_MAX {
        let next = profile(&now).ok_or(JidError::Forbidden(part))?;
        if next == now {
            return Ok(now);
        }
        now = Cow::Owned(next.into_owned());
    }
    Err(JidError::Forbidden(part))
}

/// The decoding procedure of RFC 3492 section 6.2, with its parameters of section 5.
fn punycode(encoded: &str) -> Option<String> {
    const BASE: u32 = 36;
    const T_MIN: u32 = 1;
    const T_MAX: u32 = 26;
    const SKEW: u32 = 38;
    const DAMP: u32 = 700;

    if encoded.len() > LABEL_BYTES_MAX {
        return None;
    }
    let (mut out, digits): (Vec<char>, &str) = match encoded.rsplit_once('-') {
        Some((basic, digits)) => (basic.chars().collect(), digits),
        None => (Vec::new(), encoded),
    };
    let (mut n, mut i, mut bias) = (128u32, 0u32, 72u32);
    let mut digits = digits.bytes().peekable();
    while digits.peek().is_some() {
        let (before, mut weight, mut k) = (i, 1u32, BASE);
        loop {
            let digit = match digits.next()? {
                b @ b'a'..=b'z' => u32::from(b - b'a'),
                b @ b'0'..=b'9' => u32::from(b - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
            k += BASE;
        }
        let count = out.len() as u32 + 1;
        let mut delta = if before == 0 { i / DAMP } else { (i - before) / 2 };
        delta += delta / count;
        let mut steps = 0;
        while delta > (BASE - T_MIN) * T_MAX / 2 {
            delta /= BASE - T_MIN;
            steps += BASE;
        }
        bias = steps + (BASE - T_MIN + 1) * delta / (delta + SKEW);
        n = n.checked_add(i / count)?;
        i %= count;
        out.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}
