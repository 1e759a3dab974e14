use super::*;
use ring::hmac;
use serde_json::json;

/// The private key of RFC 7515 appendix A.2.
const RSA: &str = include_str!("../../tests/login/rfc7515-rsa.json");
/// The secret of its appendix A.1.
const OCT: &str = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
/// The public key of RFC 8037 appendix A.2.
const OKP: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const NOW: f64 = 1_000_000.0;

fn rsa() -> Value {
    serde_json::from_str(RSA).expect("JSON")
}

fn jwks(keys: Value) -> Result<Keys, String> {
    Keys::of_jwks(json!({ "keys": keys }).to_string().as_bytes())
}

/// The error of keys that cannot be used; "" for others.
fn wrong(keys: Value) -> String {
    jwks(keys).err().unwrap_or_default()
}

#[test]
fn the_signatures_of_the_rfcs() {
    let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let keys = jwks(json!([
        { "kty": "oct", "k": OCT },
        rsa(),
        { "kty": "OKP", "crv": "Ed25519", "x": OKP },
    ]))
    .expect("keys");
    let vectors = [
        (
            "HS256",
            format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{joe}"),
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            "RS256",
            format!("eyJhbGciOiJSUzI1NiJ9.{joe}"),
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "EdDSA",
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (alg, message, signature) in &vectors {
        let signature = BASE64.decode(signature).expect("base64url");
        for (other, ..) in &vectors {
            assert_eq!(keys.verify(other, None, message.as_bytes(), &signature), other == alg, "{alg} as {other}");
        }
        assert!(!keys.verify(alg, None, format!("{message}x").as_bytes(), &signature));
        assert_eq!(keys.verify("Ed25519", None, message.as_bytes(), &signature), *alg == "EdDSA", "RFC 9864");
        for none in ["none", "None", "", "HS384", "RS512"] {
            assert!(!keys.verify(none, None, message.as_bytes(), &signature), "{none:?}");
            assert!(!keys.verify(none, None, message.as_bytes(), b""), "{none:?}");
        }
    }
}

#[test]
fn keys_that_cannot_be_used_are_refused_and_others_passed_over() {
    let with = |name: &str, value: Value| {
        let mut key = rsa();
        key[name] = value;
        key
    };
    let short = BASE64.encode([1; 31]);
    let table = [
        (json!([]), "it has no keys"),
        (json!([{ "k": OCT }]), "key 1: missing field `kty`"),
        (json!([7]), "key 1: invalid type: integer `7`, expected struct Jwk"),
        (json!([{ "kty": "oct" }]), "key 1: `k` is missing"),
        (json!([{ "kty": "oct", "k": "a+b/" }]), "key 1: `k` is not base64url"),
        (
            json!([{ "kty": "oct", "k": short }]),
            "key 1: a secret of 31 bytes is too short for HS256; it has at least 32",
        ),
        (json!([rsa(), with("n", json!(short))]), "key 2: an RSA key has 2048 to 8192 bits"),
        (json!([with("e", json!("AA"))]), "key 1: `e` is no exponent"),
        (json!([with("e", json!("AQ"))]), "key 1: `e` is no exponent"),
        (json!([with("e", json!("BA"))]), "key 1: `e` is no exponent"),
        (json!([{ "kty": "OKP", "crv": "Ed25519", "x": short }]), "key 1: `x` has 31 bytes; a key of Ed25519 has 32"),
        (
            json!([{ "kty": "EC", "crv": "P-256" }, { "kty": "OKP", "crv": "Ed448" }]),
            "it has no key for HS256, RS256 or EdDSA (Ed25519), only: EC P-256, OKP Ed448",
        ),
        (
            json!([with("use", json!("enc"))]),
            "it has no key for HS256, RS256 or EdDSA (Ed25519), only: a key for encryption",
        ),
        (json!([with("alg", json!("PS256"))]), "it has no key for HS256, RS256 or EdDSA (Ed25519), only: PS256"),
        (
            json!([with("key_ops", json!(["encrypt"]))]),
            "it has no key for HS256, RS256 or EdDSA (Ed25519), only: a key that does not verify",
        ),
        (json!(vec![rsa(); 65]), "it has 65 keys; 64 are the most"),
        (json!([{ "kty": "EC", "crv": "P-256" }, with("alg", json!("RS256"))]), ""),
        (
            json!([{ "kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "use": "sig", "key_ops": ["verify"], "x": OKP }]),
            "",
        ),
    ];
    for (keys, expected) in table {
        assert_eq!(wrong(keys.clone()), expected, "{keys}");
    }
    for file in ["", "{}", "[]", "{\"keys\":{}}", "-----BEGIN PUBLIC KEY-----"] {
        let why = Keys::of_jwks(file.as_bytes()).err().expect("no JWKS");
        assert!(why.starts_with("it is no JWKS: "), "{why}");
    }
    assert!(Keys::of_secret(&[b'x'; 31]).is_err() && Keys::of_secret(&[&[b'x'; 31][..], b"\r\n"].concat()).is_err());
}

const SECRET: &[u8; 32] = b"a secret of thirty-two bytes....";

/// A checker of tokens for HS256, and its configuration.
fn jwt(configure: impl FnOnce(&mut config::Jwt)) -> Jwt {
    let mut config = config::Jwt::default();
    configure(&mut config);
    let keys = Keys::of_secret(&[&SECRET[..], b"\n"].concat()).expect("a secret");
    Jwt { config, domain: "localhost".into(), keys: RwLock::new(Arc::new(keys)) }
}

fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    format!("{message}.{}", BASE64.encode(hmac::sign(&key, message.as_bytes())))
}

fn said(jwt: &Jwt, claims: Value) -> String {
    let token = signed(&json!({ "alg": "HS256", "typ": "JWT" }), &claims);
    jwt.user(&token, NOW).map_or_else(|why| why.to_string(), |user| user.to_string())
}

#[test]
fn what_a_token_must_say() {
    let any = jwt(|_| {});
    let ours = jwt(|c| (c.issuer, c.audience) = ("https://id.example".into(), "herald".into()));
    let mail = jwt(|c| c.uid_claim = "mail".into());
    let strict = jwt(|c| c.leeway_secs = 0);
    let alice = "alice@localhost";
    let table = [
        (&any, json!({ "sub": "alice", "exp": 1_000_001 }), alice),
        (&any, json!({ "sub": "Alice@LocalHost", "exp": 1_000_001.5 }), alice),
        (&any, json!({ "sub": "alice" }), "it does not say when it ends"),
        (&any, json!({ "sub": "alice", "exp": null }), "a time of it is no number"),
        (&any, json!({ "sub": "alice", "exp": "1000001" }), "a time of it is no number"),
        (&any, json!({ "sub": "alice", "exp": 999_971 }), alice),
        (&any, json!({ "sub": "alice", "exp": 999_970 }), "it has ended"),
        (&strict, json!({ "sub": "alice", "exp": 1_000_000 }), "it has ended"),
        (&any, json!({ "sub": "alice", "exp": 1_000_001, "nbf": 1_000_030 }), alice),
        (&any, json!({ "sub": "alice", "exp": 1_000_001, "nbf": 1_000_031 }), "it does not hold yet"),
        (&strict, json!({ "sub": "alice", "exp": 1_000_001, "nbf": 1_000_000 }), alice),
        (&strict, json!({ "sub": "alice", "exp": 1_000_001, "nbf": 1_000_001 }), "it does not hold yet"),
        (&any, json!({ "sub": "alice", "exp": 1_000_001, "nbf": "0" }), "a time of it is no number"),
        (&any, json!({ "exp": 1_000_001 }), "it names no user"),
        (&any, json!({ "sub": "", "exp": 1_000_001 }), "it names no user"),
        (&any, json!({ "sub": 7, "exp": 1_000_001 }), "it names no user"),
        (&any, json!({ "sub": "a b", "exp": 1_000_001 }), "its user is none of ours"),
        (&any, json!({ "sub": "alice@example.com", "exp": 1_000_001 }), "its user is none of ours"),
        (&any, json!({ "sub": "alice", "exp": 1_000_001, "iss": "anybody" }), alice),
        (&any, json!({ "sub": "alice", "exp": 1_000_001, "aud": "somebody" }), "it is for somebody else"),
        (&any, json!({ "sub": "alice", "exp": 1_000_001, "aud": "" }), "it is for somebody else"),
        (&mail, json!({ "sub": "bob", "mail": "alice@localhost", "exp": 1_000_001 }), alice),
        (&mail, json!({ "sub": "bob", "exp": 1_000_001 }), "it names no user"),
    ];
    for (jwt, claims, expected) in table {
        assert_eq!(said(jwt, claims.clone()), expected, "{claims}");
    }
    let audiences = [
        (json!("herald"), alice),
        (json!(["other", "herald"]), alice),
        (json!("other"), "it is for somebody else"),
        (json!([]), "it is for somebody else"),
        (json!(["other", 7]), "it is for somebody else"),
        (json!({ "herald": 1 }), "it is for somebody else"),
    ];
    for (aud, expected) in audiences {
        let claims = json!({ "sub": "alice", "exp": 1_000_001, "iss": "https://id.example", "aud": aud });
        assert_eq!(said(&ours, claims.clone()), expected, "{claims}");
    }
    for iss in [json!(null), json!("https://id.example/"), json!(["https://id.example"])] {
        let claims = json!({ "sub": "alice", "exp": 1_000_001, "iss": iss, "aud": "herald" });
        assert_eq!(said(&ours, claims.clone()), "another issuer has made it", "{claims}");
    }
    assert_eq!(said(&ours, json!({ "sub": "alice", "exp": 1_000_001, "aud": "herald" })), "another issuer has made it");
    let nobodys = json!({ "sub": "alice", "exp": 1_000_001, "iss": "https://id.example" });
    assert_eq!(said(&ours, nobodys), "it is for somebody else");
}

#[test]
fn what_a_token_must_look_like() {
    let jwt = jwt(|_| {});
    let claims = json!({ "sub": "alice", "exp": 1_000_001 });
    let good = signed(&json!({ "alg": "HS256", "kid": "any, for the key has no name" }), &claims);
    assert!(jwt.user(&good, NOW).is_ok());
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let none = format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), BASE64.encode(claims.to_string()));
    let tokens = [
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c.d".into(),
        none,
        message.to_owned(),
        format!("{message}."),
        format!("{message}.{signature}="),
        format!("{message}.{}A", &signature[1..]),
        format!("{good}."),
        format!(".{good}"),
        signed(&json!({ "alg": "none" }), &claims),
        signed(&json!({ "alg": "hs256" }), &claims),
        signed(&json!({ "alg": "RS256" }), &claims),
        signed(&json!({ "alg": ["HS256"] }), &claims),
        signed(&json!({}), &claims),
        signed(&json!("HS256"), &claims),
        signed(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), &claims),
        signed(&json!({ "alg": "HS256", "crit": [] }), &claims),
        signed(&json!({ "alg": "HS256" }), &json!([claims])),
        signed(&json!({ "alg": "HS256" }), &json!("alice")),
    ];
    for token in tokens {
        assert!(jwt.user(&token, NOW).is_err(), "{token}");
    }
}

#[test]
fn a_named_key_is_the_only_one_that_is_tried() {
    let other = BASE64.encode([7; 32]);
    let keys = jwks(json!([
        { "kty": "oct", "kid": "old", "k": other },
        { "kty": "oct", "kid": "new", "k": BASE64.encode(SECRET) },
    ]))
    .expect("keys");
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), b"m");
    for (id, right) in [(None, true), (Some("new"), true), (Some("old"), false), (Some("newer"), false)] {
        assert_eq!(keys.verify("HS256", id, b"m", signature.as_ref()), right, "{id:?}");
    }
}

#[test]
fn a_refusal_says_where_tokens_are_to_be_had() {
    let mut config = config::Jwt::default();
    assert_eq!(refusal(&config), herald_xmpp::sasl::bearer::REFUSED);
    config.scope = "xmpp \"chat\"".into();
    config.openid_configuration = "https://id.example/.well-known/openid-configuration".into();
    let said: Value = serde_json::from_str(&refusal(&config)).expect("JSON");
    assert_eq!(
        said,
        json!({
            "status": "invalid_token",
            "scope": "xmpp \"chat\"",
            "openid-configuration": "https://id.example/.well-known/openid-configuration",
        })
    );
}
