//! JWTs in place of passwords.

use crate::door::{Door, Verdict};
use crate::support::{Herald, Home, PATIENCE};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

const ISSUER: &str = "https://id.example";

/// Somebody who signs tokens.
enum Signer {
    Hs256([u8; 32]),
    Rs256(Box<RsaKeyPair>),
    EdDsa(Ed25519KeyPair),
}

impl Signer {
    fn hs256(byte: u8) -> Signer {
        Signer::Hs256([byte; 32])
    }

    /// With the key of RFC 7515 appendix A.2, for ring makes none.
    fn rs256() -> Signer {
        let jwk = rsa();
        let part = |name: &str| BASE64.decode(jwk[name].as_str().expect(name)).expect(name);
        let parts = KeyPairComponents {
            public_key: PublicKeyComponents { n: part("n"), e: part("e") },
            d: part("d"),
            p: part("p"),
            q: part("q"),
            dP: part("dp"),
            dQ: part("dq"),
            qInv: part("qi"),
        };
        Signer::Rs256(Box::new(RsaKeyPair::from_components(&parts).expect("a key")))
    }

    fn ed25519() -> Signer {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("randomness");
        Signer::EdDsa(Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("a key"))
    }

    /// What the server is given of it.
    fn jwk(&self, kid: &str) -> Value {
        match self {
            Signer::Hs256(secret) => json!({ "kty": "oct", "kid": kid, "k": BASE64.encode(secret) }),
            Signer::Rs256(_) => json!({ "kty": "RSA", "kid": kid, "alg": "RS256", "n": rsa()["n"], "e": rsa()["e"] }),
            Signer::EdDsa(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": BASE64.encode(key.public_key()) })
            }
        }
    }

    fn alg(&self) -> &'static str {
        match self {
            Signer::Hs256(_) => "HS256",
            Signer::Rs256(_) => "RS256",
            Signer::EdDsa(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Signer::Hs256(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec(),
            Signer::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).expect("a signature");
                signature
            }
            Signer::EdDsa(key) => key.sign(message).as_ref().to_vec(),
        }
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.alg(), "typ": "JWT" }), claims)
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        format!("{message}.{}", BASE64.encode(self.sign(message.as_bytes())))
    }
}

fn rsa() -> Value {
    serde_json::from_str(include_str!("rfc7515-rsa.json")).expect("JSON")
}

/// What a good token says, `changes` made to it; null takes a claim away.
fn claims(uid: &str, changes: Value) -> Value {
    let mut claims = json!({ "sub": uid, "iss": ISSUER, "aud": ["herald"], "exp": in_secs(300) });
    for (name, value) in changes.as_object().expect("changes") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    claims
}

fn in_secs(secs: i64) -> i64 {
    jiff::Timestamp::now().as_second() + secs
}

/// A home whose server takes what these have signed.
fn home(more: &str, signers: &[(&str, &Signer)]) -> Home {
    let home =
        Home::new(&format!("[jwt]\njwks_file = \"keys.json\"\nissuer = \"{ISSUER}\"\naudience = \"herald\"\n{more}"));
    write_keys(&home, signers);
    home
}

fn write_keys(home: &Home, signers: &[(&str, &Signer)]) {
    let keys: Vec<Value> = signers.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
    std::fs::write(home.path().join("keys.json"), json!({ "keys": keys }).to_string()).expect("a file");
}

/// Both ways in; they have to agree.
fn try_both(herald: &Herald, uid: &str, token: &str) -> Verdict {
    let plain = Door::of(herald).plain(uid, token);
    let bearer = Door::of(herald).bearer(&format!("{uid}@localhost"), token);
    assert_eq!(plain, bearer, "{token}");
    bearer
}

#[test]
fn each_algorithm_lets_in_again_and_again() {
    let signers = [("h", &Signer::hs256(1)), ("r", &Signer::rs256()), ("e", &Signer::ed25519())];
    let herald = home("", &signers).start();
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    for (kid, signer) in signers {
        let token = signer.token(&claims("alice", json!({})));
        assert_eq!(try_both(&herald, "alice", &token), Verdict::In, "{kid}");
        assert_eq!(try_both(&herald, "alice", &token), Verdict::In, "{kid}: it is not used up");
        let mut door = Door::of(&herald);
        assert_eq!(door.bearer("", &token), Verdict::In);
        assert_eq!(door.jid(), "alice@localhost");
        assert_eq!(try_both(&herald, "bob", &token), Verdict::not_authorized(), "{kid}: alice is not bob");
        let named = json!({ "alg": signer.alg(), "kid": kid });
        assert_eq!(try_both(&herald, "alice", &signer.token_with(&named, &claims("alice", json!({})))), Verdict::In);
    }
    assert_eq!(Door::of(&herald).plain("alice", "secret"), Verdict::In, "the password is as good as before");
    assert_eq!(Door::of(&herald).scram("alice", "secret"), Verdict::In);
}

#[test]
fn what_a_token_says_must_be_right() {
    let signer = Signer::ed25519();
    let herald = home("leeway_secs = 0\n", &[("e", &signer)]).start();
    herald.user("alice", "secret");
    let table = [
        (json!({}), true),
        (json!({ "iss": "https://other.example" }), false),
        (json!({ "iss": null }), false),
        (json!({ "aud": "other" }), false),
        (json!({ "aud": null }), false),
        (json!({ "aud": "herald" }), true),
        (json!({ "exp": in_secs(-1) }), false),
        (json!({ "exp": null }), false),
        (json!({ "exp": in_secs(300).to_string() }), false),
        (json!({ "nbf": in_secs(300) }), false),
        (json!({ "nbf": in_secs(-1) }), true),
        (json!({ "sub": "nobody" }), false),
        (json!({ "sub": null }), false),
        (json!({ "sub": "alice@localhost" }), true),
        (json!({ "sub": "alice@example.com" }), false),
    ];
    for (changes, right) in table {
        let token = signer.token(&claims("alice", changes.clone()));
        let expected = if right { Verdict::In } else { Verdict::not_authorized() };
        assert_eq!(try_both(&herald, "alice", &token), expected, "{changes}");
    }
}

#[test]
fn a_key_has_one_algorithm_whatever_a_token_says() {
    let (signer, stranger) = (Signer::rs256(), Signer::ed25519());
    let herald = home("", &[("r", &signer)]).start();
    herald.user("alice", "secret");
    let good = claims("alice", json!({}));
    // Whoever knows the public key could sign with it, were it taken for a secret.
    let n = BASE64.decode(rsa()["n"].as_str().expect("n")).expect("base64url");
    let jwk = signer.jwk("r").to_string();
    for public in [&n[..], jwk.as_bytes(), rsa()["n"].as_str().expect("n").as_bytes()] {
        for alg in ["HS256", "RS256"] {
            let message =
                format!("{}.{}", BASE64.encode(json!({ "alg": alg }).to_string()), BASE64.encode(good.to_string()));
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public), message.as_bytes());
            let token = format!("{message}.{}", BASE64.encode(signature));
            assert_eq!(try_both(&herald, "alice", &token), Verdict::not_authorized(), "{alg}");
        }
    }
    let none = format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), BASE64.encode(good.to_string()));
    let tokens = [
        none,
        signer.token_with(&json!({ "alg": "none" }), &good),
        signer.token_with(&json!({ "alg": "HS256" }), &good),
        signer.token_with(&json!({ "alg": "EdDSA" }), &good),
        signer.token_with(&json!({ "alg": "RS256", "kid": "other" }), &good),
        signer.token_with(&json!({ "alg": "RS256", "crit": ["x"] }), &good),
        stranger.token(&good),
        stranger.token_with(&json!({ "alg": "RS256" }), &good),
    ];
    for token in tokens {
        assert_eq!(try_both(&herald, "alice", &token), Verdict::not_authorized(), "{token}");
    }
    assert_eq!(try_both(&herald, "alice", &signer.token(&good)), Verdict::In);
}

#[test]
fn behind_a_proxy_that_ends_tls_a_token_may_come() {
    let herald = Herald::start_with("[auth]\nplain_without_tls = \"never\"\n");
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
    let url = format!("http://{}/http-bind", herald.address("http"));
    let creation = "<body rid='7' to='localhost' wait='1' hold='1' ver='1.11' xmpp:version='1.0' \
                    xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'/>";
    for (scheme, offered) in [("https", true), ("http", false)] {
        let mut answer = agent.post(&url).header("x-forwarded-proto", scheme).send(creation).expect("an answer");
        let features = answer.body_mut().read_to_string().expect("text");
        assert!(features.contains("<mechanism>SCRAM-SHA-256</mechanism>"), "{features}");
        for mechanism in ["PLAIN", "OAUTHBEARER"] {
            assert_eq!(features.contains(&format!("<mechanism>{mechanism}<")), offered, "{scheme}: {features}");
        }
    }
}

#[test]
fn one_secret_is_enough() {
    let home = Home::new("[jwt]\nsecret_file = \"secret\"\nuid_claim = \"user\"\n");
    std::fs::write(home.path().join("secret"), [&[1; 32][..], b"\n"].concat()).expect("a file");
    let herald = home.start();
    herald.user("alice", "secret");
    let token = |secret| Signer::hs256(secret).token(&json!({ "user": "alice", "exp": in_secs(300) }));
    assert_eq!(try_both(&herald, "alice", &token(1)), Verdict::In);
    assert_eq!(try_both(&herald, "alice", &token(2)), Verdict::not_authorized());
}

#[test]
fn keys_change_while_the_server_runs() {
    let (old, new) = (Signer::ed25519(), Signer::ed25519());
    let herald = home("", &[("old", &old)]).start();
    herald.user("alice", "secret");
    let (of_old, of_new) = (old.token(&claims("alice", json!({}))), new.token(&claims("alice", json!({}))));
    let reload = |wanted: &str| {
        let before = herald.log().matches(wanted).count();
        herald.signal(libc::SIGHUP);
        assert!((0..1_000_000).any(|_| herald.log().matches(wanted).count() > before), "{wanted}");
    };
    assert_eq!(try_both(&herald, "alice", &of_new), Verdict::not_authorized());
    write_keys(&herald, &[("old", &old), ("new", &new)]);
    reload("the keys for JWTs were read again");
    assert_eq!(try_both(&herald, "alice", &of_old), Verdict::In);
    assert_eq!(try_both(&herald, "alice", &of_new), Verdict::In);
    write_keys(&herald, &[("new", &new)]);
    reload("the keys for JWTs were read again");
    assert_eq!(try_both(&herald, "alice", &of_old), Verdict::not_authorized());
    std::fs::write(herald.path().join("keys.json"), "{").expect("a file");
    reload("the keys for JWTs stay as they were: jwt.jwks_file = \"keys.json\": it is no JWKS: ");
    std::fs::remove_file(herald.path().join("keys.json")).expect("it was there");
    reload("the keys for JWTs stay as they were: jwt.jwks_file = \"keys.json\": it cannot be read");
    assert_eq!(try_both(&herald, "alice", &of_new), Verdict::In);
}

#[test]
fn bad_keys_keep_a_server_from_starting() {
    let signer = Signer::ed25519();
    let table = [
        (None, "jwt.jwks_file = \"keys.json\": it cannot be read"),
        (Some("{\"keys\":[]}"), "jwt.jwks_file = \"keys.json\": it has no keys"),
        (Some("{\"keys\":[{\"kty\":\"RSA\"}]}"), "jwt.jwks_file = \"keys.json\": key 1: `n` is missing"),
    ];
    let home = home("", &[("e", &signer)]);
    assert!(home.run(&["check-config"], "").status.success());
    for (text, words) in table {
        let file = home.path().join("keys.json");
        match text {
            Some(text) => std::fs::write(&file, text).expect("a file"),
            None => std::fs::remove_file(&file).expect("it was there"),
        }
        for command in ["serve", "check-config"] {
            let out = home.run(&[command], "");
            let said = String::from_utf8_lossy(&out.stderr);
            assert!(!out.status.success() && said.contains(words), "{command}: {said}");
        }
    }
}

#[test]
fn who_has_no_account_gets_one_where_that_is_wanted() {
    let signer = Signer::ed25519();
    let token = signer.token(&claims("carol", json!({})));
    let closed = home("", &[("e", &signer)]).start();
    assert_eq!(try_both(&closed, "carol", &token), Verdict::not_authorized());
    assert_eq!(closed.api("GET", "/api/v1/users/carol", None).status, 404);

    let herald = home("create_users = true\n", &[("e", &signer)]).start();
    assert_eq!(Door::of(&herald).plain("dave", &token), Verdict::not_authorized());
    assert_eq!(
        Door::of(&herald).plain("carol", &signer.token(&claims("carol", json!({ "aud": "x" })))),
        Verdict::not_authorized()
    );
    for uid in ["carol", "dave"] {
        assert_eq!(herald.api("GET", &format!("/api/v1/users/{uid}"), None).status, 404, "{uid}: nothing was made");
    }
    let mut door = Door::of(&herald);
    assert_eq!(door.bearer("", &token), Verdict::In);
    assert_eq!(door.jid(), "carol@localhost");
    assert_eq!(herald.api("GET", "/api/v1/users/carol", None).status, 200);
    assert_eq!(try_both(&herald, "carol", &token), Verdict::In);
    assert_eq!(Door::of(&herald).scram("carol", "secret"), Verdict::not_authorized(), "it has no password");
}
