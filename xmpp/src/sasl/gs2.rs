//! What SCRAM and OAUTHBEARER begin with: the gs2 header (RFC 5801 section 4), and the names in it.

use super::{Condition, Failure, MESSAGE_BYTES_MAX};

pub(super) const NO_HEADER: Failure = malformed("The gs2 header is missing or bad.");

pub(super) const fn malformed(text: &'static str) -> Failure {
    Failure::new(Condition::MalformedRequest, text)
}

/// A message as text, bounded.
pub(super) fn text(message: &[u8]) -> Result<&str, Failure> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(malformed("The message is too long."));
    }
    let text = std::str::from_utf8(message).map_err(|_| malformed("The message is not UTF-8."))?;
    if text.contains('\0') { Err(malformed("The message holds a NUL.")) } else { Ok(text) }
}

/// `flag "," ["a=" authzid] "," rest`: the flag as it is, the decoded authzid (empty for none), the rest.
pub(super) fn header(text: &str) -> Result<(&str, String, &str), Failure> {
    let (flag, rest) = text.split_once(',').ok_or(NO_HEADER)?;
    let (authzid, rest) = rest.split_once(',').ok_or(NO_HEADER)?;
    let authzid = match authzid.strip_prefix("a=") {
        Some(name) => saslname(name)?,
        None if authzid.is_empty() => String::new(),
        None => return Err(NO_HEADER),
    };
    Ok((flag, authzid, rest))
}

/// For a mechanism that binds nothing to a channel.
pub(super) fn check_unbound(flag: &str) -> Result<(), Failure> {
    match flag {
        "n" | "y" => Ok(()),
        _ if flag.starts_with("p=") => Err(malformed("A channel binding needs a -PLUS mechanism.")),
        _ => Err(NO_HEADER),
    }
}

/// A name in which `=2C` is a comma and `=3D` an equals sign; not empty.
pub(super) fn saslname(name: &str) -> Result<String, Failure> {
    let mut parts = name.split('=');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (decoded, rest) = match part.get(..2) {
            Some("2C") => (',', &part[2..]),
            Some("3D") => ('=', &part[2..]),
            _ => return Err(malformed("A name is not encoded well.")),
        };
        out.push(decoded);
        out.push_str(rest);
    }
    if out.is_empty() { Err(malformed("A name is empty.")) } else { Ok(out) }
}
