//! What a token says (RFC 7519 section 4.1): for whom it is, until when, and who it is about.

use super::Refused;
use crate::config;
use serde_json::{Map, Value};

/// The claims of a token whose signature is right, and what is expected of them.
pub(super) struct Claims<'a> {
    pub config: &'a config::Jwt,
    pub claims: &'a Map<String, Value>,
}

impl<'a> Claims<'a> {
    /// The user, when the token is for us and holds now.
    pub fn uid(&self, now: f64) -> Result<&'a str, Refused> {
        let leeway = f64::from(self.config.leeway_secs);
        let ends = self.time("exp")?.ok_or(Refused("it does not say when it ends"))?;
        if now >= ends + leeway {
            return Err(Refused("it has ended"));
        }
        if self.time("nbf")?.is_some_and(|begins| now + leeway < begins) {
            return Err(Refused("it does not hold yet"));
        }
        if !self.config.issuer.is_empty() && self.text("iss") != Some(&self.config.issuer) {
            return Err(Refused("another issuer has made it"));
        }
        if !self.is_for_us() {
            return Err(Refused("it is for somebody else"));
        }
        self.text(&self.config.uid_claim).filter(|uid| !uid.is_empty()).ok_or(Refused("it names no user"))
    }

    /// Whoever is not among those that a token names must not take it (section 4.1.3): so one that names
    /// somebody is for nobody here, as long as we have no name.
    fn is_for_us(&self) -> bool {
        let ours = |value: &Value| !self.config.audience.is_empty() && *value == *self.config.audience;
        match self.claims.get("aud") {
            None => self.config.audience.is_empty(),
            Some(Value::Array(names)) => names.iter().any(ours),
            Some(name) => ours(name),
        }
    }

    /// Seconds since 1970. What is there must be a number: a text is not taken for nothing.
    fn time(&self, name: &str) -> Result<Option<f64>, Refused> {
        match self.claims.get(name) {
            None => Ok(None),
            Some(time) => time.as_f64().map(Some).ok_or(Refused("a time of it is no number")),
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.claims.get(name)?.as_str()
    }
}
