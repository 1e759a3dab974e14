//! Logging in (SASL, RFC 4422 as RFC 6120 section 6 carries it), the server's side, without I/O.
//!
//! | room | what is in it |
//! |---|---|
//! | [`keys`] | what is kept of a password: never the password |
//! | [`scram`] | SCRAM-SHA-256, SCRAM-SHA-1 and their -PLUS (RFC 5802, RFC 7677, RFC 9266) |
//! | [`plain`] | PLAIN (RFC 4616) |
//! | [`bearer`] | OAUTHBEARER (RFC 7628) |
//!
//! Base64 and the XML around it are the stream's; here are the bytes within. Nonces come in as values.
//! What a stranger sends is answered with a [`Failure`] and bounded by [`MESSAGE_BYTES_MAX`].

pub mod bearer;
mod gs2;
mod identity;
pub mod keys;
pub mod plain;
pub mod scram;

pub use identity::Identity;
pub use keys::{Credentials, Hash, PASSWORD_BYTES_MAX, SaslError, ScramKeys, TokenId, TokenKeys};

use std::fmt;
use zeroize::Zeroizing;

/// The longest message of a mechanism taken from a client, in bytes after base64. A longer one is
/// [`Condition::MalformedRequest`]. Two names of 1023 bytes written as `=2C`s and a password fit, and a JWT.
pub const MESSAGE_BYTES_MAX: usize = 8192;

/// The mechanisms there are, the strongest first. OAUTHBEARER comes behind PLAIN: a client that takes the
/// first one it knows, and has a password, must not take it for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the documentation
pub enum Mechanism {
    ScramSha256Plus,
    ScramSha1Plus,
    ScramSha256,
    ScramSha1,
    Plain,
    OauthBearer,
}

impl Mechanism {
    /// All of them, the strongest first: the order in which they are offered.
    pub const ALL: [Mechanism; 6] = [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::Plain,
        Mechanism::OauthBearer,
    ];

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Mechanism::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::Plain => "PLAIN",
            Mechanism::OauthBearer => "OAUTHBEARER",
        }
    }

    /// The mechanism of that name. Names are upper case (RFC 4422 section 3.1).
    pub fn of_name(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|m| m.name() == name)
    }

    /// Does it bind the login to the TLS channel?
    pub fn plus(self) -> bool {
        matches!(self, Mechanism::ScramSha256Plus | Mechanism::ScramSha1Plus)
    }

    /// Does it send what lets in as it is? Then it is for encrypted streams.
    pub fn in_the_clear(self) -> bool {
        matches!(self, Mechanism::Plain | Mechanism::OauthBearer)
    }

    /// Its hash, when it is a SCRAM.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Mechanism::ScramSha256Plus | Mechanism::ScramSha256 => Some(Hash::Sha256),
            Mechanism::ScramSha1Plus | Mechanism::ScramSha1 => Some(Hash::Sha1),
            Mechanism::Plain | Mechanism::OauthBearer => None,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A password on its way through: wiped when it is dropped, and not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password over.
    pub fn new(text: String) -> Password {
        Password(Zeroizing::new(text))
    }

    /// The password itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why a login fails (RFC 6120 section 6.5), with words for a human.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {text}", condition.name())]
pub struct Failure {
    /// What the client's program reads.
    pub condition: Condition,
    /// What the client's author reads. It never says whether a user exists.
    pub text: &'static str,
}

impl Failure {
    pub(crate) const fn new(condition: Condition, text: &'static str) -> Failure {
        Failure { condition, text }
    }

    /// Wrong user or wrong password: one and the same.
    pub const NOT_AUTHORIZED: Failure =
        Failure::new(Condition::NotAuthorized, "The user name or the password is wrong.");
}

/// The conditions of RFC 6120 section 6.5, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // see the RFC, sections 6.5.1 to 6.5.11
pub enum Condition {
    Aborted,
    AccountDisabled,
    CredentialsExpired,
    EncryptionRequired,
    IncorrectEncoding,
    InvalidAuthzid,
    InvalidMechanism,
    MalformedRequest,
    MechanismTooWeak,
    NotAuthorized,
    TemporaryAuthFailure,
}

impl Condition {
    /// The name of its element.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Aborted => "aborted",
            Condition::AccountDisabled => "account-disabled",
            Condition::CredentialsExpired => "credentials-expired",
            Condition::EncryptionRequired => "encryption-required",
            Condition::IncorrectEncoding => "incorrect-encoding",
            Condition::InvalidAuthzid => "invalid-authzid",
            Condition::InvalidMechanism => "invalid-mechanism",
            Condition::MalformedRequest => "malformed-request",
            Condition::MechanismTooWeak => "mechanism-too-weak",
            Condition::NotAuthorized => "not-authorized",
            Condition::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}
