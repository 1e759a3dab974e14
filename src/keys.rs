//! Named keys of backends: made here for the operator's API and for the command line.

use crate::admin::{Scope, Scopes};
use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use herald_storage::ApiKey;
use sha2::{Digest, Sha256};

/// Keys there may be. They are all in memory.
pub const KEYS_MAX: usize = 1_000;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Every secret begins so: whoever finds one in a log or a repository knows what it is.
const PREFIX: &str = "hk_";
/// Random bytes in a secret.
const SECRET_BYTES: usize = 32;

/// A new key, and its secret, which is nowhere else.
pub fn make(name: &str, scopes: Scopes) -> Result<(ApiKey, String)> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_name) {
        bail!("a key's name has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`, not {name:?}");
    }
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|e| anyhow!("no randomness for a key: {e}"))?;
    let secret = format!("{PREFIX}{}", BASE64.encode(random));
    let key = ApiKey {
        name: name.into(),
        hash: hash(secret.as_bytes()),
        scopes: scopes.words().into_iter().map(Into::into).collect(),
        created_ms: jiff::Timestamp::now().as_millisecond(),
    };
    Ok((key, secret))
}

/// The scopes of these words; an error names the word that is none.
pub fn scopes<S: AsRef<str>>(words: &[S]) -> Result<Scopes> {
    let known = Scope::ALL.map(Scope::as_str).join(", ");
    let scopes: Result<Vec<Scope>> = words
        .iter()
        .map(|word| Scope::parse(word.as_ref()).with_context(|| format!("{:?} is none of {known}", word.as_ref())))
        .collect();
    let scopes = Scopes::of(scopes?);
    if scopes.is_empty() {
        bail!("a key needs one scope at least: {known}");
    }
    Ok(scopes)
}

/// As the store keeps a secret. It has 256 random bits, so nothing slower is needed.
pub fn hash(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')
}
