//! One login over TCP, up to the server's verdict.

use crate::support::Herald;
use crate::support::client::Client;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// A stream at which somebody tries to log in.
pub struct Door {
    pub client: Client,
}

/// How a try ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    In,
    /// The condition.
    Out(String),
}

impl Verdict {
    pub fn not_authorized() -> Verdict {
        Verdict::Out("not-authorized".into())
    }
}

impl Door {
    pub fn of(herald: &Herald) -> Door {
        let mut client = Client::connect(herald);
        client.open();
        Door { client }
    }

    /// PLAIN: the secret as the password.
    pub fn plain(&mut self, uid: &str, secret: &str) -> Verdict {
        self.auth("PLAIN", &format!("\0{uid}\0{secret}"));
        self.verdict()
    }

    /// OAUTHBEARER; hears the reason of a refusal and answers as RFC 7628 wants.
    pub fn bearer(&mut self, authzid: &str, token: &str) -> Verdict {
        let header = if authzid.is_empty() { "n,,".into() } else { format!("n,a={authzid},") };
        self.auth("OAUTHBEARER", &format!("{header}\x01host=localhost\x01auth=Bearer {token}\x01\x01"));
        let said = self.client.expect_one_of(&["<success", "</failure>", "</challenge>"]);
        if said.ends_with("</challenge>") {
            assert_eq!(inner(&said), r#"{"status":"invalid_token"}"#);
            self.response("\x01");
            return self.verdict();
        }
        read(&said)
    }

    /// SCRAM-SHA-256, and the server's signature checked.
    pub fn scram(&mut self, uid: &str, secret: &str) -> Verdict {
        let proof = self.scram_begin(uid, secret);
        self.scram_end(proof)
    }

    /// SCRAM up to the proof, which is not sent yet.
    pub fn scram_begin(&mut self, uid: &str, secret: &str) -> Proof {
        self.scram_with::<Hmac<Sha256>>("SCRAM-SHA-256", |data| Sha256::digest(data).to_vec(), uid, secret)
    }

    pub fn scram_sha1(&mut self, uid: &str, secret: &str) -> Verdict {
        let proof = self.scram_with::<Hmac<Sha1>>("SCRAM-SHA-1", |data| Sha1::digest(data).to_vec(), uid, secret);
        self.scram_end(proof)
    }

    fn scram_with<M: Mac + KeyInit>(
        &mut self,
        mechanism: &str,
        digest: fn(&[u8]) -> Vec<u8>,
        uid: &str,
        secret: &str,
    ) -> Proof {
        let bare = format!("n={uid},r=clientnonce");
        self.auth(mechanism, &format!("n,,{bare}"));
        let server = inner(&self.client.expect("</challenge>"));
        let field = |name: &str| server.split(',').find_map(|a| a.strip_prefix(name)).expect(name).to_owned();
        let (nonce, salt) = (field("r="), BASE64.decode(field("s=")).expect("a salt"));
        let rounds = field("i=").parse().expect("rounds");
        let salted = pbkdf2::<M>(secret.as_bytes(), &salt, rounds);
        let client_key = mac::<M>(&salted, b"Client Key");
        let last = format!("c=biws,r={nonce}");
        let auth = format!("{bare},{server},{last}");
        let signature = mac::<M>(&digest(&client_key), auth.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        let expected = mac::<M>(&mac::<M>(&salted, b"Server Key"), auth.as_bytes());
        Proof {
            message: format!("{last},p={}", BASE64.encode(proof)),
            expected: format!("v={}", BASE64.encode(expected)),
        }
    }

    pub fn scram_end(&mut self, proof: Proof) -> Verdict {
        self.response(&proof.message);
        let said = self.client.expect_one_of(&["</success>", "</failure>"]);
        if said.ends_with("</success>") {
            assert_eq!(inner(&said), proof.expected, "the server's signature");
        }
        read(&said)
    }

    fn auth(&mut self, mechanism: &str, message: &str) {
        let message = BASE64.encode(message);
        self.client.send(&format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{message}</auth>"));
    }

    fn response(&mut self, message: &str) {
        self.client.send(&format!("<response xmlns='{SASL}'>{}</response>", BASE64.encode(message)));
    }

    fn verdict(&mut self) -> Verdict {
        read(&self.client.expect_one_of(&["<success", "</failure>"]))
    }

    /// Binds and says who it is then.
    pub fn jid(mut self) -> String {
        self.client.open();
        self.client.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        let said = self.client.expect("</iq>");
        let jid = said.split("<jid>").nth(1).and_then(|rest| rest.split('/').next());
        jid.unwrap_or_else(|| panic!("no JID in {said}")).to_owned()
    }
}

/// What a client sends at the end of a SCRAM, and what it expects to hear.
pub struct Proof {
    message: String,
    expected: String,
}

fn read(said: &str) -> Verdict {
    match said.split("<failure").nth(1) {
        None => Verdict::In,
        Some(failure) => {
            let condition = failure.split('<').nth(1).and_then(|tag| tag.split('/').next());
            Verdict::Out(condition.expect("a condition").to_owned())
        }
    }
}

/// The text of the last element, out of its base64.
fn inner(said: &str) -> String {
    let (before, _) = said.rsplit_once("</").expect("an element");
    let text = before.rsplit_once('>').expect("its text").1;
    String::from_utf8(BASE64.decode(text).expect("base64")).expect("text")
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    <M as KeyInit>::new_from_slice(key).expect("any key").chain_update(data).finalize().into_bytes().to_vec()
}

/// One block, which is as long as the hash (RFC 8018 section 5.2).
fn pbkdf2<M: Mac + KeyInit>(secret: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut block = mac::<M>(secret, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = block.clone();
    for _ in 1..rounds {
        block = mac::<M>(secret, &block);
        sum.iter_mut().zip(&block).for_each(|(a, b)| *a ^= b);
    }
    sum
}
