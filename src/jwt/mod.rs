//! JWTs (RFC 7519) as a way in: whoever runs another login signs who the user is, and the user shows that.
//!
//! | file | what is in it |
//! |---|---|
//! | `keys.rs` | the keys: a JWKS file (RFC 7517) or one secret; signatures (RFC 7515) |
//! | `claims.rs` | what a token says, and whether that is for us and still true |
//!
//! Written on ring, which is here for TLS: the usual crate would bring a second library for RSA, and takes a
//! time that is no number for one that was not given. A key has one algorithm, by its type, and what a token's
//! header says has to agree with it; it never chooses one.

mod claims;
mod keys;
#[cfg(test)]
mod tests;

use crate::accounts;
use crate::config;
use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use claims::Claims;
use herald_xmpp::BareJid;
use keys::Keys;
use parking_lot::RwLock;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// Checks tokens as `[jwt]` says.
pub struct Jwt {
    config: config::Jwt,
    domain: String,
    keys: RwLock<Arc<Keys>>,
}

/// Why a token lets nobody in: for the log, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(&'static str);

/// What a token says of itself (RFC 7515 section 4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

impl Jwt {
    /// Reads the keys; `None` when none are configured. The error names the file.
    pub fn load(config: &config::Jwt, domain: &str) -> Result<Option<Jwt>> {
        let Some(keys) = read(config)? else { return Ok(None) };
        Ok(Some(Jwt { config: config.clone(), domain: domain.into(), keys: RwLock::new(Arc::new(keys)) }))
    }

    /// Reads the keys again, for the logins to come. After an error, which names the file, all is as it was.
    pub fn reload(&self) -> Result<()> {
        if let Some(keys) = read(&self.config)? {
            *self.keys.write() = Arc::new(keys);
        }
        Ok(())
    }

    /// May a user without an account come in?
    pub fn creates_users(&self) -> bool {
        self.config.create_users
    }

    /// Whose token this is, at that time in seconds since 1970.
    pub fn user(&self, token: &str, now: f64) -> Result<BareJid, Refused> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused("it has not three parts"))?;
        let (header, claims) = signed.split_once('.').ok_or(Refused("it has not three parts"))?;
        let header: Header = parse(header).ok_or(Refused("its header cannot be read"))?;
        if header.crit.is_some() {
            return Err(Refused("it wants extensions that are not known here"));
        }
        let signature = BASE64.decode(signature).map_err(|_| Refused("its signature is not base64url"))?;
        let keys = self.keys.read().clone();
        if !keys.verify(&header.alg, header.kid.as_deref(), signed.as_bytes(), &signature) {
            return Err(Refused("no key of ours has signed it"));
        }
        let claims: Map<String, Value> = parse(claims).ok_or(Refused("its claims cannot be read"))?;
        let uid = Claims { config: &self.config, claims: &claims }.uid(now)?;
        accounts::user(uid, &self.domain).map_err(|_| Refused("its user is none of ours"))
    }
}

/// What a client is told whose token is refused (RFC 7628 section 3.2.2).
pub fn refusal(config: &config::Jwt) -> String {
    let mut words = json!({ "status": "invalid_token" });
    for (name, value) in [("scope", &config.scope), ("openid-configuration", &config.openid_configuration)] {
        if !value.is_empty() {
            words[name] = value.as_str().into();
        }
    }
    words.to_string()
}

/// Can the configured keys be used?
pub fn check(config: &config::Jwt) -> Result<()> {
    read(config).map(drop)
}

fn read(config: &config::Jwt) -> Result<Option<Keys>> {
    match (&config.jwks_file, &config.secret_file) {
        (Some(file), _) => read_file("jwks_file", file, Keys::of_jwks).map(Some),
        (None, Some(file)) => read_file("secret_file", file, Keys::of_secret).map(Some),
        (None, None) => Ok(None),
    }
}

fn read_file(key: &str, file: &Path, read: fn(&[u8]) -> Result<Keys, String>) -> Result<Keys> {
    let name = format!("jwt.{key} = \"{}\"", file.display());
    let bytes = std::fs::read(file).with_context(|| format!("{name}: it cannot be read"))?;
    read(&bytes).map_err(|why| anyhow!("{name}: {why}"))
}

fn parse<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}
