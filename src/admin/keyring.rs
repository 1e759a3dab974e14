//! Who asks: the operator, by the token, or the holder of a named key.
//!
//! A key is kept as the SHA-256 of its secret only. The secret has 256 random bits, so nothing slower than
//! that is needed, and finding a key by its hash tells an attacker who measures the time nothing about it.

use super::scope::{Scope, Scopes};
use super::token::Token;
use actix_web::http::header::{self, HeaderMap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Every way in. Read at each request, so it is in memory; whoever changes the keys in the store says so here.
pub struct Keyring {
    token: Token,
    keys: RwLock<HashMap<[u8; 32], Caller>>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The key's name; `None`: the operator.
    pub name: Option<Arc<str>>,
    /// What they may do.
    pub scopes: Scopes,
}

impl Keyring {
    /// The operator's token, and no key yet.
    pub fn new(token: Token) -> Keyring {
        Keyring { token, keys: RwLock::default() }
    }

    /// These are the keys now: the SHA-256 of each secret, its name and its scopes.
    pub fn replace(&self, keys: impl IntoIterator<Item = ([u8; 32], Arc<str>, Scopes)>) {
        let keys = keys.into_iter().map(|(hash, name, scopes)| (hash, Caller { name: Some(name), scopes }));
        *self.keys.write() = keys.collect();
    }

    /// Who sends these headers: `Authorization: Bearer`, `X-API-Key`, and where `basic` says so
    /// `Authorization: Basic`, with the key for a password and any name.
    pub fn caller(&self, headers: &HeaderMap, basic: bool) -> Option<Caller> {
        let authorization = headers.get(header::AUTHORIZATION).map(|h| h.as_bytes());
        if let Some(secret) = authorization.and_then(|h| after_scheme(h, b"Bearer ")) {
            return self.holder(secret);
        }
        if basic && let Some(both) = authorization.and_then(|h| after_scheme(h, b"Basic ")) {
            let both = BASE64.decode(both).ok()?;
            let colon = both.iter().position(|b| *b == b':')?; // RFC 7617 section 2: no name has one
            return self.holder(&both[colon + 1..]);
        }
        self.holder(headers.get("x-api-key")?.as_bytes().trim_ascii())
    }

    /// Who has this secret. Takes the same time however much of it is right.
    pub fn holder(&self, secret: &[u8]) -> Option<Caller> {
        if self.token.is(secret) {
            return Some(Caller { name: None, scopes: Scopes::of([Scope::Admin]) });
        }
        let hash = crate::keys::hash(secret);
        let keys = self.keys.read();
        let (kept, caller) = keys.get_key_value(&hash)?;
        bool::from(kept.ct_eq(&hash)).then(|| caller.clone())
    }
}

/// What stands behind a scheme, which is written in any case (RFC 9110 section 11.1).
pub fn after_scheme<'h>(header: &'h [u8], scheme: &[u8]) -> Option<&'h [u8]> {
    let (given, rest) = header.split_at_checked(scheme.len())?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim_ascii())
}
