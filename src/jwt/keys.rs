//! Keys that check signatures.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// Keys in one file. A token that names none is tried with all of its algorithm.
const KEYS_MAX: usize = 64;
/// The shortest secret, in bytes (RFC 7518 section 3.2: as long as the hash).
const SECRET_BYTES_MIN: usize = 32;
/// Bytes of an RSA modulus: 2048 to 8192 bits (RFC 7518 section 3.3 asks for the former).
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The keys of one file.
pub(super) struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    kind: Kind,
}

/// A key, and so an algorithm.
enum Kind {
    Hs256(hmac::Key),
    Rs256(RsaPublicKeyComponents<Vec<u8>>),
    EdDsa(Vec<u8>),
}

/// One key of a JWKS (RFC 7517 section 4, RFC 7518 section 6, RFC 8037 section 2). What else is in it, a
/// private part too, is not looked at.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl Keys {
    /// One secret, for HS256: the file without its last line end.
    pub fn of_secret(file: &[u8]) -> Result<Keys, String> {
        let secret = file.strip_suffix(b"\n").unwrap_or(file);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        Ok(Keys(vec![Key { id: None, kind: hs256(secret)? }]))
    }

    /// A JWKS. Keys of kinds that are not known here, or for other uses, are passed over (RFC 7517 section 5);
    /// at least one has to be left. A known one that is malformed is an error.
    pub fn of_jwks(file: &[u8]) -> Result<Keys, String> {
        let jwks: Jwks = serde_json::from_slice(file).map_err(|e| format!("it is no JWKS: {e}"))?;
        if jwks.keys.len() > KEYS_MAX {
            return Err(format!("it has {} keys; {KEYS_MAX} are the most", jwks.keys.len()));
        }
        let (mut keys, mut others) = (Vec::new(), BTreeSet::new());
        for (i, value) in jwks.keys.into_iter().enumerate() {
            let key = match serde_json::from_value::<Jwk>(value) {
                Ok(jwk) => key(jwk),
                Err(e) => Err(e.to_string()),
            };
            match key.map_err(|why| format!("key {}: {why}", i + 1))? {
                Ok(key) => keys.push(key),
                Err(other) => drop(others.insert(other)),
            }
        }
        match keys.is_empty() {
            false => Ok(Keys(keys)),
            true if others.is_empty() => Err("it has no keys".into()),
            true => {
                let others = others.into_iter().collect::<Vec<_>>().join(", ");
                Err(format!("it has no key for HS256, RS256 or EdDSA (Ed25519), only: {others}"))
            }
        }
    }

    /// Has one of these keys made the signature? Of those with the name, if the token names one.
    pub fn verify(&self, alg: &str, id: Option<&str>, message: &[u8], signature: &[u8]) -> bool {
        let named = |key: &&Key| id.is_none() || key.id.is_none() || key.id.as_deref() == id;
        // RFC 9864 calls EdDSA with our curve Ed25519.
        let alg = if alg == "Ed25519" { "EdDSA" } else { alg };
        let mut keys = self.0.iter().filter(named).filter(|key| key.kind.alg() == alg);
        keys.any(|key| key.kind.verify(message, signature))
    }
}

impl Kind {
    fn alg(&self) -> &'static str {
        match self {
            Kind::Hs256(_) => "HS256",
            Kind::Rs256(_) => "RS256",
            Kind::EdDsa(_) => "EdDSA",
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Kind::Hs256(key) => hmac::verify(key, message, signature).is_ok(),
            Kind::Rs256(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
            Kind::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
        }
    }
}

/// A key that can be used; or what it is instead; or why it is malformed.
fn key(jwk: Jwk) -> Result<Result<Key, String>, String> {
    let other = |what: &str| Ok(Err(what.to_owned()));
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return other("a key for encryption");
    }
    if jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return other("a key that does not verify");
    }
    let field = |name: &str, value: &Option<String>| {
        let text = value.as_deref().ok_or(format!("`{name}` is missing"))?;
        BASE64.decode(text).map_err(|_| format!("`{name}` is not base64url"))
    };
    let (alg, read): (_, &dyn Fn() -> Result<Kind, String>) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("oct", _) => ("HS256", &|| hs256(&field("k", &jwk.k)?)),
        ("RSA", _) => ("RS256", &|| rs256(field("n", &jwk.n)?, field("e", &jwk.e)?)),
        ("OKP", Some("Ed25519")) => ("EdDSA", &|| ed25519(field("x", &jwk.x)?)),
        (kty, None) => return other(kty),
        (kty, Some(crv)) => return other(&format!("{kty} {crv}")),
    };
    if jwk.alg.as_deref().is_some_and(|said| said != alg && !(alg == "EdDSA" && said == "Ed25519")) {
        return other(jwk.alg.as_deref().unwrap_or_default());
    }
    Ok(Ok(Key { kind: read()?, id: jwk.kid }))
}

fn hs256(secret: &[u8]) -> Result<Kind, String> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!(
            "a secret of {} bytes is too short for HS256; it has at least {SECRET_BYTES_MIN}",
            secret.len()
        ));
    }
    Ok(Kind::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret)))
}

fn rs256(n: Vec<u8>, e: Vec<u8>) -> Result<Kind, String> {
    let (n, e) = (without_zeros(n), without_zeros(e));
    if !RSA_BYTES.contains(&n.len()) || (n.len() == *RSA_BYTES.start() && n[0] < 0x80) {
        return Err("an RSA key has 2048 to 8192 bits".into());
    }
    // 3 to 2^33: what ring takes too.
    if !(1..=5).contains(&e.len()) || e == [1] || e.last().is_none_or(|last| last % 2 == 0) {
        return Err("`e` is no exponent".into());
    }
    Ok(Kind::Rs256(RsaPublicKeyComponents { n, e }))
}

fn ed25519(x: Vec<u8>) -> Result<Kind, String> {
    if x.len() != 32 {
        return Err(format!("`x` has {} bytes; a key of Ed25519 has 32", x.len()));
    }
    Ok(Kind::EdDsa(x))
}

fn without_zeros(number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    number[zeros..].to_vec()
}
