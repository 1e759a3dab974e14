//! What `/sign` gives and a subscriber shows. A token is derived from the server's secret, the uid and a span of time,
//! so none is kept, and it outlives a restart of the server.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// iComet's tokens have so many bytes, written in hexadecimal.
const TOKEN_BYTES: usize = 16;

/// The token of `uid` that is given out now. It holds for `ttl_secs` at least, and at most twice as long.
pub(super) fn token(secret: &[u8; 32], uid: &str, now_secs: u64, ttl_secs: u64) -> String {
    of_span(secret, uid, now_secs / ttl_secs)
}

/// Is it one that holds?
pub(super) fn holds(secret: &[u8; 32], uid: &str, token: &str, now_secs: u64, ttl_secs: u64) -> bool {
    let span = now_secs / ttl_secs;
    let is = |span| of_span(secret, uid, span).as_bytes().ct_eq(token.as_bytes());
    bool::from(is(span) | is(span.wrapping_sub(1)))
}

fn of_span(secret: &[u8; 32], uid: &str, span: u64) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        unreachable!("HMAC takes keys of any length") // RFC 2104 section 3
    };
    for part in [b"herald comet token\0".as_slice(), &span.to_be_bytes(), uid.as_bytes()] {
        mac.update(part);
    }
    mac.finalize().into_bytes()[..TOKEN_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_for_its_uid_and_its_time() {
        let secret = [7; 32];
        let given = token(&secret, "alice", 1_000_050, 100);
        assert_eq!(given.len(), 32);
        assert!(given.bytes().all(|b| b.is_ascii_hexdigit()));
        for (uid, at, good) in [
            ("alice", 1_000_050, true),
            ("alice", 1_000_199, true),
            ("alice", 1_000_200, false),
            ("bob", 1_000_050, false),
        ] {
            assert_eq!(holds(&secret, uid, &given, at, 100), good, "{uid} at {at}");
        }
        assert_ne!(given, token(&[8; 32], "alice", 1_000_050, 100));
        assert!(!holds(&secret, "alice", "", 1_000_050, 100));
    }
}
