//! Who logs in: names by number, and what each shows.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

/// Where the number of a user stands.
const NUMBER: &str = "{n}";
/// How long a JWT that we sign holds: longer than any run takes to log in.
const JWT_SECS: u64 = 7 * 86_400;

/// A text with `{n}` in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Any text; one without `{n}` is the same for everybody.
    pub fn new(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    /// The text for one user.
    pub fn of(&self, number: u32) -> String {
        self.0.replace(NUMBER, &number.to_string())
    }

    /// Is it another one for each user?
    pub fn differs(&self) -> bool {
        self.0.contains(NUMBER)
    }
}

/// What users show.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// A password each.
    Password(Pattern),
    /// A JWT that says who they are (`sub`), signed with this secret (HS256).
    Jwt(String),
}

/// All who log in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Users {
    /// Their names.
    pub names: Pattern,
    /// What they show.
    pub secret: Secret,
}

impl Users {
    /// One user's name.
    pub fn name(&self, number: u32) -> String {
        self.names.of(number)
    }

    /// What that user shows at this time, in seconds since 1970.
    pub fn secret(&self, number: u32, unix_secs: u64) -> String {
        match &self.secret {
            Secret::Password(pattern) => pattern.of(number),
            Secret::Jwt(secret) => jwt(secret, &self.name(number), unix_secs),
        }
    }
}

fn jwt(secret: &str, name: &str, unix_secs: u64) -> String {
    let claims = serde_json::json!({ "sub": name, "iat": unix_secs, "exp": unix_secs + JWT_SECS }).to_string();
    let head = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{head}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_stands_where_the_pattern_says() {
        let pattern = Pattern::new("u{n}-{n}");
        assert_eq!((pattern.of(17).as_str(), pattern.differs()), ("u17-17", true));
        assert_eq!((Pattern::new("all").of(1).as_str(), Pattern::new("all").differs()), ("all", false));
    }

    #[test]
    fn a_jwt_has_three_parts_and_says_who() {
        let secret = Secret::Jwt("0123456789abcdef0123456789abcdef".into());
        let users = Users { names: Pattern::new("u{n}"), secret };
        let token = users.secret(5, 1_000);
        let [_, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!((claims["sub"].as_str(), claims["exp"].as_u64()), (Some("u5"), Some(1_000 + JWT_SECS)));
        assert_eq!(signature.len(), 43);
    }
}
