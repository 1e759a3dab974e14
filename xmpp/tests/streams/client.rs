//! A SCRAM client, written from RFC 5802 alone: it shares no code with the server's side.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use herald_xmpp::sasl::{Hash, ScramKeys};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

pub fn encode(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

pub fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

fn mac(hash: Hash, key: &[u8], data: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => Hmac::<Sha1>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec(),
        Hash::Sha256 => {
            Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(data).finalize().into_bytes().to_vec()
        }
    }
}

fn digest(hash: Hash, data: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => Sha1::digest(data).to_vec(),
        Hash::Sha256 => Sha256::digest(data).to_vec(),
    }
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// Hi of RFC 5802 section 2.2, for one block.
fn hi(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut round = mac(hash, password, &[salt, &[0, 0, 0, 1]].concat());
    let mut out = round.clone();
    for _ in 1..iterations {
        round = mac(hash, password, &round);
        out = xor(&out, &round);
    }
    out
}

/// What a server keeps, computed here.
pub fn keys(hash: Hash, password: &str, salt: &[u8], iterations: u32) -> ScramKeys {
    let salted = hi(hash, password.as_bytes(), salt, iterations);
    ScramKeys {
        salt: salt.into(),
        iterations,
        stored_key: digest(hash, &mac(hash, &salted, b"Client Key")).into(),
        server_key: mac(hash, &salted, b"Server Key").into(),
    }
}

/// A client that has said its first message.
pub struct Client {
    hash: Hash,
    password: String,
    header: String,
    bare: String,
    nonce: String,
    channel: Vec<u8>,
    expected: String,
    /// Said behind the nonce in the last message, and signed.
    pub more_nonce: &'static str,
}

impl Client {
    /// `header` is the gs2 header, `channel` the data bound.
    pub fn new(hash: Hash, user: &str, password: &str, nonce: &str, header: &str, channel: &[u8]) -> Client {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Client {
            hash,
            password: password.into(),
            header: header.into(),
            bare: format!("n={user},r={nonce}"),
            nonce: nonce.into(),
            channel: channel.into(),
            expected: String::new(),
            more_nonce: "",
        }
    }

    pub fn first(&self) -> String {
        format!("{}{}", self.header, self.bare)
    }

    /// Answers the server's first message.
    pub fn last(&mut self, server_first: &str) -> String {
        let field = |name: &str| {
            server_first
                .split(',')
                .find_map(|f| f.strip_prefix(name))
                .unwrap_or_else(|| panic!("{name} in {server_first}"))
        };
        let nonce = field("r=");
        assert!(nonce.starts_with(&self.nonce) && nonce.len() >= self.nonce.len() + 18, "a nonce of the server's own");
        let salted =
            hi(self.hash, self.password.as_bytes(), &decode(field("s=")), field("i=").parse().expect("iterations"));
        let client_key = mac(self.hash, &salted, b"Client Key");
        let channel = encode([self.header.as_bytes(), &self.channel].concat());
        let without_proof = format!("c={channel},r={nonce}{}", self.more_nonce);
        let message = format!("{},{server_first},{without_proof}", self.bare);
        let signature = mac(self.hash, &digest(self.hash, &client_key), message.as_bytes());
        let server_key = mac(self.hash, &salted, b"Server Key");
        self.expected = format!("v={}", encode(mac(self.hash, &server_key, message.as_bytes())));
        format!("{without_proof},p={}", encode(xor(&client_key, &signature)))
    }

    /// Does the server know the keys too?
    pub fn trusts(&self, server_last: &str) -> bool {
        self.expected == server_last
    }
}
