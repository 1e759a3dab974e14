//! SCRAM, the server's side (RFC 5802, with SHA-256 by RFC 7677).
//!
//! ```text
//! client-first   n,,n=user,r=CN                  First::parse -> who wants to log in; fetch the keys
//! server-first   r=CNSN,s=salt,i=4096            Exchange::new
//! client-final   c=biws,r=CNSN,p=proof           Exchange::finish
//! server-final   v=signature
//! ```

use super::gs2::{NO_HEADER, header, malformed, saslname, text};
use super::{Condition, Failure, Hash, Identity, ScramKeys, TokenId, TokenKeys};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The channel binding of a -PLUS login: keying material exported from TLS (RFC 9266).
pub type Exporter = [u8; 32];

/// The channel binding type we know.
pub const TLS_EXPORTER: &str = "tls-exporter";

/// What the server offered on this connection, which the client's gs2 flag must agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A -PLUS mechanism was chosen.
    Chosen,
    /// One was offered, but not chosen: a client that says it saw none was lied to.
    Offered,
    /// None was offered.
    Absent,
}

/// The client's first message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    identity: Identity,
    message: Box<str>,
    header_len: usize, // the gs2 header, its last comma included
    nonce: Box<str>,
}

/// A login under way: the keys and what was said so far.
#[derive(Clone)]
pub struct Exchange {
    hash: Hash,
    keys: Vec<Keys>,
    said: String,       // client-first-bare "," server-first, the begin of the AuthMessage
    nonce: Box<str>,    // the client's and ours
    channel: Box<[u8]>, // what `c=` must hold: the gs2 header, then the channel's data
}

/// One secret that lets in.
#[derive(Clone)]
struct Keys {
    stored_key: Box<[u8]>,
    server_key: Box<[u8]>,
    token: Option<TokenId>, // none: it is the account's own
}

/// The end of a login that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// The server's last message, signed with the keys that the client proved to know.
    pub message: String,
    /// They are those of this token, which must be taken before anybody is let in.
    pub token: Option<TokenId>,
}

impl First {
    /// Reads `gs2-header client-first-message-bare`.
    pub fn parse(message: &[u8], offer: Offer) -> Result<First, Failure> {
        let text = text(message)?;
        let (flag, authzid, bare) = header(text)?;
        check_flag(flag, offer)?;
        let mut attributes = bare.split(',');
        let first = attributes.next().unwrap_or_default();
        if first.starts_with("m=") {
            return Err(malformed("Mandatory extensions are not known here."));
        }
        let authcid = saslname(first.strip_prefix("n=").ok_or(malformed("The user name is missing."))?)?;
        let nonce = attributes
            .next()
            .and_then(|a| a.strip_prefix("r="))
            .filter(|nonce| nonce_ok(nonce))
            .ok_or(malformed("The nonce is missing or bad."))?;
        extensions_ok(attributes)?;
        Ok(First {
            identity: Identity { authcid: authcid.into(), authzid: authzid.into() },
            header_len: text.len() - bare.len(),
            nonce: nonce.into(),
            message: text.into(),
        })
    }

    /// Who wants to log in.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl Exchange {
    /// Begins; also gives the server's first message. `nonce` is ours, fresh and printable without
    /// commas; `exporter` is there exactly when a -PLUS mechanism was chosen.
    pub fn new(
        first: First,
        hash: Hash,
        keys: &ScramKeys,
        nonce: &str,
        exporter: Option<&Exporter>,
    ) -> (Exchange, String) {
        let (header, bare) = first.message.split_at(first.header_len);
        let nonce: Box<str> = [&first.nonce, nonce].concat().into();
        let reply = format!("r={nonce},s={},i={}", BASE64.encode(&keys.salt), keys.iterations);
        let exchange = Exchange {
            hash,
            keys: vec![Keys::new(keys, None)],
            said: [bare, ",", &reply].concat(),
            nonce,
            channel: [header.as_bytes(), exporter.map_or(&[][..], |e| &e[..])].concat().into(),
        };
        (exchange, reply)
    }

    /// Lets these in beside the account's own. They must have its salt and rounds, which the client was told.
    pub fn or(mut self, tokens: impl IntoIterator<Item = TokenKeys>) -> Exchange {
        self.keys.extend(tokens.into_iter().map(|t| Keys::new(&t.keys, Some(t.id))));
        self
    }

    /// Checks the client's last message and gives the server's last. After an error the exchange is over.
    pub fn finish(self, message: &[u8]) -> Result<Last, Failure> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(malformed("The proof is missing."))?;
        let mut attributes = without_proof.split(',');
        let channel = attributes
            .next()
            .and_then(|a| a.strip_prefix("c="))
            .and_then(|c| BASE64.decode(c).ok())
            .ok_or(malformed("The channel binding is missing or not base64."))?;
        let nonce = attributes.next().and_then(|a| a.strip_prefix("r=")).ok_or(malformed("The nonce is missing."))?;
        extensions_ok(attributes)?;
        let proof = BASE64
            .decode(proof)
            .ok()
            .filter(|proof| proof.len() == self.hash.len())
            .ok_or(malformed("The proof is not base64 or has the wrong length."))?;
        if *nonce != *self.nonce {
            return Err(Failure::new(Condition::NotAuthorized, "The nonce is not the one of this login."));
        }
        if !bool::from(channel.ct_eq(&self.channel)) {
            return Err(Failure::new(Condition::NotAuthorized, "The channel binding does not match."));
        }
        self.prove(&[self.said.as_str(), ",", without_proof].concat(), &proof)
    }

    /// Every one of the keys is tried, also behind the one that fits.
    fn prove(&self, auth_message: &str, proof: &[u8]) -> Result<Last, Failure> {
        let fitting =
            |found: Option<_>, keys| if keys_fit(self.hash, keys, auth_message, proof) { Some(keys) } else { found };
        let keys = self.keys.iter().fold(None, fitting).ok_or(Failure::NOT_AUTHORIZED)?;
        let signature = self.hash.hmac(&keys.server_key, auth_message.as_bytes());
        Ok(Last { message: format!("v={}", BASE64.encode(signature)), token: keys.token })
    }
}

impl Keys {
    fn new(keys: &ScramKeys, token: Option<TokenId>) -> Keys {
        Keys { stored_key: keys.stored_key.clone(), server_key: keys.server_key.clone(), token }
    }
}

/// ClientKey is ClientProof XOR ClientSignature, and its hash must be StoredKey.
fn keys_fit(hash: Hash, keys: &Keys, auth_message: &str, proof: &[u8]) -> bool {
    let signature = hash.hmac(&keys.stored_key, auth_message.as_bytes());
    let client_key: Zeroizing<Vec<u8>> = Zeroizing::new(proof.iter().zip(&signature).map(|(p, s)| p ^ s).collect());
    hash.digest(&client_key).ct_eq(&keys.stored_key).into()
}

/// RFC 5802 section 6.
fn check_flag(flag: &str, offer: Offer) -> Result<(), Failure> {
    match (flag, offer) {
        ("n", Offer::Offered | Offer::Absent) | ("y", Offer::Absent) => Ok(()),
        ("y", Offer::Offered) => Err(Failure::new(
            Condition::NotAuthorized,
            "Channel binding was offered, but the client saw no offer: somebody is in between.",
        )),
        ("n" | "y", Offer::Chosen) => Err(malformed("A -PLUS mechanism needs a channel binding.")),
        _ => match flag.strip_prefix("p=") {
            Some(TLS_EXPORTER) if offer == Offer::Chosen => Ok(()),
            Some(name) if offer == Offer::Chosen && cb_name_ok(name) => {
                Err(malformed("The channel binding type is not known here."))
            }
            Some(name) if cb_name_ok(name) => Err(malformed("A channel binding needs a -PLUS mechanism.")),
            _ => Err(NO_HEADER),
        },
    }
}

fn cb_name_ok(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// Printable ASCII without commas.
fn nonce_ok(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

/// `letter=value`, ignored when it is unknown and optional.
fn extensions_ok<'a>(mut attributes: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let ok = |a: &str| {
        let mut chars = a.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() && c != 'm')
            && chars.next() == Some('=')
            && chars.next().is_some()
    };
    if attributes.all(ok) { Ok(()) } else { Err(malformed("An extension is not known or not formed well.")) }
}
