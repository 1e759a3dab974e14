//! A client's side of SASL: PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677), without channel binding.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Rounds that a server may ask for; more would only burn our own time.
const ROUNDS_MAX: u32 = 10_000_000;

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// The password as it is: cheapest for both sides.
    Plain,
    /// SCRAM-SHA-1.
    #[value(name = "scram-sha-1")]
    ScramSha1,
    /// SCRAM-SHA-256.
    #[value(name = "scram-sha-256")]
    ScramSha256,
}

impl Mechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

/// Why a challenge cannot be answered, or a success not believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is not what RFC 5802 says.
    #[error("the server's challenge cannot be read")]
    Malformed,
    /// The server does not know the password either.
    #[error("the server's proof is wrong")]
    WrongServer,
}

/// PLAIN's only message.
pub fn plain(user: &str, password: &str) -> String {
    BASE64_STANDARD.encode(format!("\0{user}\0{password}"))
}

/// One SCRAM login.
pub struct Scram {
    sha256: bool,
    nonce: String,
    bare: String,
    proof_of_server: Vec<u8>,
}

impl Scram {
    /// Begins with a nonce that nobody can guess.
    pub fn new(mechanism: Mechanism, user: &str, nonce: &str) -> Scram {
        let name = user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name},r={nonce}");
        let sha256 = mechanism == Mechanism::ScramSha256;
        Scram { sha256, nonce: nonce.to_owned(), bare, proof_of_server: Vec::new() }
    }

    /// The first message.
    pub fn first(&self) -> String {
        BASE64_STANDARD.encode(format!("n,,{}", self.bare))
    }

    /// The answer to the server's challenge.
    pub fn answer(&mut self, challenge: &str, password: &str) -> Result<String, Fault> {
        let challenge = decoded(challenge)?;
        let (mut nonce, mut salt, mut rounds) = (None, None, None);
        for part in challenge.split(',') {
            match part.split_once('=').ok_or(Fault::Malformed)? {
                ("r", value) => nonce = Some(value),
                ("s", value) => salt = BASE64_STANDARD.decode(value).ok(),
                ("i", value) => rounds = value.parse().ok().filter(|n: &NonZeroU32| n.get() <= ROUNDS_MAX),
                _ => {}
            }
        }
        let nonce = nonce.filter(|nonce| nonce.starts_with(&self.nonce)).ok_or(Fault::Malformed)?;
        let (salt, rounds) = (salt.ok_or(Fault::Malformed)?, rounds.ok_or(Fault::Malformed)?);
        let without_proof = format!("c=biws,r={nonce}");
        let signed = format!("{},{challenge},{without_proof}", self.bare);

        let (derive, mac, hash) = self.algorithms();
        let mut salted = vec![0; hash.output_len()];
        pbkdf2::derive(derive, rounds, &salt, password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(mac, key), text).as_ref().to_vec();
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(hash, &client_key);
        let signature = sign(stored_key.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, sign)| key ^ sign).collect();
        self.proof_of_server = sign(&sign(&salted, b"Server Key"), signed.as_bytes());
        Ok(BASE64_STANDARD.encode(format!("{without_proof},p={}", BASE64_STANDARD.encode(proof))))
    }

    /// Looks at what the server says with its success.
    pub fn finish(&self, last: &str) -> Result<(), Fault> {
        let last = decoded(last)?;
        let proof = last.split(',').find_map(|part| part.strip_prefix("v="));
        let proof = proof.and_then(|proof| BASE64_STANDARD.decode(proof).ok()).ok_or(Fault::Malformed)?;
        if proof == self.proof_of_server { Ok(()) } else { Err(Fault::WrongServer) }
    }

    fn algorithms(&self) -> (pbkdf2::Algorithm, hmac::Algorithm, &'static digest::Algorithm) {
        match self.sha256 {
            true => (pbkdf2::PBKDF2_HMAC_SHA256, hmac::HMAC_SHA256, &digest::SHA256),
            false => (pbkdf2::PBKDF2_HMAC_SHA1, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA1_FOR_LEGACY_USE_ONLY),
        }
    }
}

fn decoded(text: &str) -> Result<String, Fault> {
    let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| Fault::Malformed)?;
    String::from_utf8(bytes).map_err(|_| Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        BASE64_STANDARD.encode(text)
    }

    // The examples of RFC 5802 section 5 and RFC 7677 section 3.
    #[track_caller]
    fn check(mechanism: Mechanism, nonce: &str, challenge: &str, answer: &str, last: &str) {
        let mut scram = Scram::new(mechanism, "user", nonce);
        assert_eq!(scram.first(), said(&format!("n,,n=user,r={nonce}")));
        assert_eq!(scram.answer(&said(challenge), "pencil"), Ok(said(answer)));
        assert_eq!(scram.finish(&said(last)), Ok(()));
        assert_eq!(scram.finish(&said("v=AAAA")), Err(Fault::WrongServer));
        assert_eq!(scram.finish("="), Err(Fault::Malformed));
    }

    #[test]
    fn the_examples_of_the_rfcs() {
        check(
            Mechanism::ScramSha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        );
        check(
            Mechanism::ScramSha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        );
    }

    #[test]
    fn a_challenge_that_is_not_ours_is_not_answered() {
        let mut scram = Scram::new(Mechanism::ScramSha256, "a,b=c", "mine");
        assert_eq!(scram.first(), said("n,,n=a=2Cb=3Dc,r=mine"));
        for challenge in ["r=yours,s=AAAA,i=1", "r=mine1,s=AAAA,i=0", "r=mine1,i=1", "", "x"] {
            assert_eq!(scram.answer(&said(challenge), "p"), Err(Fault::Malformed), "{challenge}");
        }
    }
}
