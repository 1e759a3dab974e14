//! OAUTHBEARER (RFC 7628): a token in place of a name and a password. Only where nobody listens.
//!
//! ```text
//! client   n,a=user@host,^Ahost=..^Aport=..^Aauth=Bearer TOKEN^A^A     parse
//! server   {"status":"invalid_token"}                                 when it is refused: REFUSED, or the stream's own
//! client   ^A                                                         and only then the failure
//! ```

use super::gs2::{check_unbound, header, malformed, text};
use super::{Failure, Password};

/// What a client is told whose token is refused, when there is no more to say (RFC 7628 section 3.2.2).
pub const REFUSED: &str = r#"{"status":"invalid_token"}"#;

/// What separates the pairs.
const KVSEP: char = '\u{1}';

/// The client's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// As whom the client wants to act, a bare JID; empty for "whose token it is".
    pub authzid: Box<str>,
    /// The token; empty when the client has none and asks what one would be (RFC 7628 section 4.3).
    pub token: Password,
}

impl Bearer {
    /// Reads `gs2-header kvsep *(key "=" value kvsep) kvsep`. Pairs other than `auth` are checked for
    /// their form and ignored: the stream says which host is meant.
    pub fn parse(message: &[u8]) -> Result<Bearer, Failure> {
        let text = text(message)?;
        let (flag, authzid, rest) = header(text)?;
        check_unbound(flag)?;
        let pairs = rest.strip_prefix(KVSEP).and_then(|r| r.strip_suffix(KVSEP)).ok_or(NO_END)?;
        let mut token = None;
        // Each pair brings its separator, so the last one leaves nothing behind it.
        for pair in pairs.split_terminator(KVSEP) {
            let (key, value) =
                pair.split_once('=').filter(|(key, value)| key_ok(key) && value_ok(value)).ok_or(PAIR)?;
            if key == "auth" && token.replace(bearer(value).ok_or(SCHEME)?).is_some() {
                return Err(malformed("There are two tokens."));
            }
        }
        if !pairs.is_empty() && !pairs.ends_with(KVSEP) {
            return Err(NO_END);
        }
        let token = token.ok_or(malformed("The token is missing."))?;
        Ok(Bearer { authzid: authzid.into(), token: Password::new(token.to_owned()) })
    }
}

const NO_END: Failure = malformed("The message does not begin or end with the separator.");
const PAIR: Failure = malformed("A pair is not formed well.");
const SCHEME: Failure = malformed("The token must come as `Bearer`, in visible ASCII.");

fn key_ok(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphabetic())
}

fn value_ok(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1); the scheme's case does not matter (RFC 9110 section 11.1).
fn bearer(value: &str) -> Option<&str> {
    if value.is_empty() {
        return Some("");
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty() && token.bytes().all(ok)).then_some(token)
}
