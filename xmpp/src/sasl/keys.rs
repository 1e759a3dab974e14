//! What is kept of a password: the keys of SCRAM (RFC 5802 section 3), from which nobody can log in.

use super::Password;
use crate::jid::BareJid;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The longest password, in bytes. A longer one is [`SaslError::PasswordTooLong`], and as a login wrong.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// The hash a SCRAM works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: keys of 20 bytes.
    Sha1,
    /// SHA-256: keys of 32 bytes.
    Sha256,
}

/// The keys of one hash.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Random, one for each password; sent to whoever tries to log in.
    pub salt: Box<[u8]>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// H(ClientKey): checks that a client knows the password.
    pub stored_key: Box<[u8]>,
    /// Shows a client that the server knows its keys.
    pub server_key: Box<[u8]>,
}

/// What the store keeps of a user's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// For SCRAM-SHA-1.
    pub sha1: ScramKeys,
    /// For SCRAM-SHA-256.
    pub sha256: ScramKeys,
}

/// A login token by the name it is kept under: its SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 32]);

/// A login token that may be used in place of the account's password: what SCRAM needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeys {
    /// Which one it is.
    pub id: TokenId,
    /// Of the hash that was asked for, with the account's salt and rounds.
    pub keys: ScramKeys,
}

/// Why no keys can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// Nothing is left of it after SASLprep.
    #[error("the password is empty")]
    PasswordEmpty,
    /// Over [`PASSWORD_BYTES_MAX`].
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    PasswordTooLong,
    /// SASLprep (RFC 4013) forbids a character of it: a control character, one that is not in
    /// Unicode 3.2, or left-to-right text mixed with right-to-left text.
    #[error("the password holds a character that is not allowed there (RFC 4013)")]
    PasswordForbidden,
    /// No rounds at all.
    #[error("at least one round is needed")]
    NoIterations,
}

impl Credentials {
    /// The keys of a password: SASLprep, then one PBKDF2 for each hash. Slow on purpose
    /// (some milliseconds for each 4096 rounds): not for a thread that others wait for.
    pub fn derive(password: &str, salt: [u8; 16], iterations: u32) -> Result<Credentials, SaslError> {
        if iterations == 0 {
            return Err(SaslError::NoIterations);
        }
        let password = prepare(password)?;
        let keys = |hash| ScramKeys::derive(hash, password.as_str(), &salt, iterations);
        Ok(Credentials { sha1: keys(Hash::Sha1), sha256: keys(Hash::Sha256) })
    }

    /// The keys of another secret with the salts and rounds of these, so that a client that was told them
    /// may know either. As slow as [`Credentials::derive`], for each hash.
    pub fn derive_beside(&self, secret: &str) -> Result<Credentials, SaslError> {
        let secret = prepare(secret)?;
        let keys = |hash, like: &ScramKeys| ScramKeys::derive(hash, secret.as_str(), &like.salt, like.iterations);
        Ok(Credentials { sha1: keys(Hash::Sha1, &self.sha1), sha256: keys(Hash::Sha256, &self.sha256) })
    }

    /// Do both have the same salts and rounds? Salts are random: then they belong to one account, and its
    /// password was not changed in between.
    pub fn is_beside(&self, other: &Credentials) -> bool {
        let told = |k: &ScramKeys, l: &ScramKeys| k.salt == l.salt && k.iterations == l.iterations;
        told(&self.sha1, &other.sha1) && told(&self.sha256, &other.sha256)
    }

    /// Keys that no password fits, for an account that has none: `random` is fresh and forgotten. A client
    /// sees no difference to an account whose password it does not know.
    pub fn locked(random: &[u8; 32], iterations: u32) -> Credentials {
        Credentials::of_bytes(|label| Hash::Sha256.hmac(random, label.as_bytes()), iterations)
    }

    /// Is this the password? One PBKDF2 of the cheaper hash, SHA-1, and a comparison in constant time.
    pub fn verify(&self, password: &str) -> bool {
        // A password that cannot be is tried all the same, so that time does not tell what was wrong.
        let (password, possible) = match prepare(password) {
            Ok(password) => (password, true),
            Err(_) => (Password::new(String::new()), false),
        };
        let tried = ScramKeys::derive(Hash::Sha1, password.as_str(), &self.sha1.salt, self.sha1.iterations);
        bool::from(tried.stored_key.ct_eq(&self.sha1.stored_key)) && possible
    }

    /// Keys for a user there is not: always the same ones for one name and secret, so that a login
    /// runs as far as with a wrong password and asking twice does not tell either.
    /// No password fits them. `iterations` is what new accounts get.
    pub fn decoy(user: &BareJid, server_secret: &[u8; 32], iterations: u32) -> Credentials {
        let bytes = |label: &str| Hash::Sha256.hmac(server_secret, [label, "\0", user.as_str()].concat().as_bytes());
        Credentials::of_bytes(bytes, iterations)
    }

    fn of_bytes(bytes: impl Fn(&str) -> Vec<u8>, iterations: u32) -> Credentials {
        let salt = bytes("salt");
        let keys = |hash: Hash, stored: &str, server: &str| ScramKeys {
            salt: salt[..16].into(),
            iterations,
            stored_key: bytes(stored)[..hash.len()].into(),
            server_key: bytes(server)[..hash.len()].into(),
        };
        Credentials {
            sha1: keys(Hash::Sha1, "stored-1", "server-1"),
            sha256: keys(Hash::Sha256, "stored-256", "server-256"),
        }
    }

    /// The keys of that hash.
    pub fn keys(&self, hash: Hash) -> &ScramKeys {
        match hash {
            Hash::Sha1 => &self.sha1,
            Hash::Sha256 => &self.sha256,
        }
    }
}

impl ScramKeys {
    /// `password` is prepared already. RFC 5802 section 3: SaltedPassword is Hi, which is PBKDF2.
    fn derive(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
        let mut salted = Zeroizing::new([0u8; 32]);
        let salted = &mut salted[..hash.len()];
        // PBKDF2 errs only for an HMAC that takes no key of this length: HMAC takes any.
        let _ = match hash {
            Hash::Sha1 => pbkdf2::pbkdf2::<Hmac<Sha1>>(password.as_bytes(), salt, iterations, salted),
            Hash::Sha256 => pbkdf2::pbkdf2::<Hmac<Sha256>>(password.as_bytes(), salt, iterations, salted),
        };
        let client_key = Zeroizing::new(hash.hmac(salted, b"Client Key"));
        ScramKeys {
            salt: salt.into(),
            iterations,
            stored_key: hash.digest(&client_key).into(),
            server_key: hash.hmac(salted, b"Server Key").into(),
        }
    }
}

impl TokenId {
    /// The name of a token.
    pub fn of(token: &str) -> TokenId {
        TokenId(Sha256::digest(token).into())
    }
}

impl fmt::Debug for ScramKeys {
    /// Keys do not belong in a log: the rounds alone are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Hash {
    /// Bytes of a digest.
    #[allow(clippy::len_without_is_empty)] // a digest's length, not a collection's
    pub fn len(self) -> usize {
        match self {
            Hash::Sha1 => 20,
            Hash::Sha256 => 32,
        }
    }

    pub(super) fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => Sha1::digest(data).to_vec(),
            Hash::Sha256 => Sha256::digest(data).to_vec(),
        }
    }

    pub(crate) fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha1 => hmac::<Hmac<Sha1>>(key, data),
            Hash::Sha256 => hmac::<Hmac<Sha256>>(key, data),
        }
    }
}

fn hmac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length (RFC 2104 section 3), so this never is the empty answer.
    <M as KeyInit>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// SASLprep (RFC 4013), with our bounds.
fn prepare(password: &str) -> Result<Password, SaslError> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(SaslError::PasswordTooLong);
    }
    let prepared = match stringprep::saslprep(password).map_err(|_| SaslError::PasswordForbidden)? {
        Cow::Borrowed(same) => Password::new(same.to_owned()),
        Cow::Owned(other) => Password::new(other),
    };
    if prepared.as_str().is_empty() { Err(SaslError::PasswordEmpty) } else { Ok(prepared) }
}
