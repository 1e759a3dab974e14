//! SCRAM and PLAIN by themselves.

use crate::client::{self, Client, encode};
use herald_xmpp::BareJid;
use herald_xmpp::sasl::scram::{Exchange, First, Last, Offer};
use herald_xmpp::sasl::{
    Condition, Credentials, Failure, Hash, Identity, MESSAGE_BYTES_MAX, Mechanism, SaslError, ScramKeys, TokenId,
    TokenKeys, plain,
};

const SALT: [u8; 16] = *b"0123456789abcdef";
const CHANNEL: [u8; 32] = [7; 32];

fn condition<T>(result: Result<T, Failure>) -> &'static str {
    result.map_or_else(|f| f.condition.name(), |_| "ok")
}

/// The examples of RFC 5802 section 5 and RFC 7677 section 3: hash, client's nonce, server's nonce, salt, proof, signature.
#[test]
fn the_vectors_of_the_rfcs() {
    let vectors = [
        (
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "3rfcNHYJY1ZVvWVs7j",
            "QSXCR+Q6sek8bf92",
            "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (
            Hash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ];
    for (hash, client_nonce, server_nonce, salt, proof, signature) in vectors {
        let keys = client::keys(hash, "pencil", &client::decode(salt), 4096);
        let first = First::parse(format!("n,,n=user,r={client_nonce}").as_bytes(), Offer::Absent).unwrap();
        assert_eq!(*first.identity(), Identity { authcid: "user".into(), authzid: "".into() });
        let (exchange, reply) = Exchange::new(first, hash, &keys, server_nonce, None);
        assert_eq!(reply, format!("r={client_nonce}{server_nonce},s={salt},i=4096"));
        let last = format!("c=biws,r={client_nonce}{server_nonce},p={proof}");
        let end = Last { message: format!("v={signature}"), token: None };
        assert_eq!(exchange.finish(last.as_bytes()), Ok(end));
    }
}

#[test]
fn derived_keys_are_those_of_an_independent_client() {
    let made = Credentials::derive("pencil", SALT, 64).unwrap();
    assert_eq!(made.sha1, client::keys(Hash::Sha1, "pencil", &SALT, 64));
    assert_eq!(made.sha256, client::keys(Hash::Sha256, "pencil", &SALT, 64));
    assert!(!format!("{made:?}").contains("stored_key: ["), "keys stay out of logs");
}

#[test]
fn passwords_are_prepared_and_bounded() {
    // RFC 4013 section 3, and our bounds.
    let same = [("I\u{AD}X", "IX"), ("user", "user"), ("\u{AA}", "a"), ("\u{2168}", "IX"), ("a\u{A0}b", "a b")];
    for (given, stored) in same {
        assert!(Credentials::derive(stored, SALT, 1).unwrap().verify(given), "{given:?} is {stored:?}");
        assert_eq!(Credentials::derive(given, SALT, 1), Credentials::derive(stored, SALT, 1));
    }
    let long = "x".repeat(1025);
    let refused = [
        ("", SaslError::PasswordEmpty),
        ("\u{AD}", SaslError::PasswordEmpty),
        ("\u{7}", SaslError::PasswordForbidden),
        ("\u{627}1", SaslError::PasswordForbidden),
        (long.as_str(), SaslError::PasswordTooLong),
    ];
    let kept = Credentials::derive("x", SALT, 1).unwrap();
    for (given, error) in refused {
        assert_eq!(Credentials::derive(given, SALT, 1), Err(error), "{given:?}");
        assert!(!kept.verify(given), "{given:?}");
    }
    // Keys that somebody made of no password at all let nobody in.
    let empty = |hash| client::keys(hash, "", &SALT, 1);
    let nobodys = Credentials { sha1: empty(Hash::Sha1), sha256: empty(Hash::Sha256) };
    assert!(!nobodys.verify("") && !nobodys.verify("\u{7}"));
    assert_eq!(Credentials::derive("x", SALT, 0), Err(SaslError::NoIterations));
    assert!(kept.verify("x") && !kept.verify("X") && !kept.verify("xx"));
}

#[test]
fn a_decoy_looks_like_an_account_and_never_changes() {
    let user = |name: &str| -> BareJid { format!("{name}@localhost").parse().unwrap() };
    let decoy = Credentials::decoy(&user("nobody"), &[1; 32], 64);
    let real = Credentials::derive("pencil", SALT, 64).unwrap();
    let shape = |k: &ScramKeys| (k.salt.len(), k.iterations, k.stored_key.len(), k.server_key.len());
    assert_eq!((shape(&decoy.sha1), shape(&decoy.sha256)), (shape(&real.sha1), shape(&real.sha256)));
    assert_eq!(decoy.sha1.salt, decoy.sha256.salt, "as with real ones");
    assert_eq!(decoy, Credentials::decoy(&user("nobody"), &[1; 32], 64));
    assert_ne!(decoy.sha256.salt, Credentials::decoy(&user("nobody2"), &[1; 32], 64).sha256.salt);
    assert_ne!(decoy.sha256.salt, Credentials::decoy(&user("nobody"), &[2; 32], 64).sha256.salt);
    assert!(!decoy.verify("pencil"));
}

/// One login of the independent client; what the server says at the end.
fn login(
    password: &str,
    header: &str,
    channel: &[u8],
    offer: Offer,
    exporter: Option<&[u8; 32]>,
) -> Result<(), Failure> {
    for hash in [Hash::Sha1, Hash::Sha256] {
        let account = Credentials::derive("pencil", SALT, 16).unwrap();
        let mut client = Client::new(hash, "juliet", password, "cnonce", header, channel);
        let first = First::parse(client.first().as_bytes(), offer)?;
        let (exchange, reply) = Exchange::new(first, hash, account.keys(hash), "a nonce of the server", exporter);
        let last = exchange.finish(client.last(&reply).as_bytes())?;
        assert!(client.trusts(&last.message));
    }
    Ok(())
}

/// The client's header and its channel, what the server offered and its channel, the outcome.
type ChannelCase = (&'static str, &'static [u8], Offer, Option<&'static [u8; 32]>, &'static str);

#[test]
fn channel_bindings() {
    let p = "p=tls-exporter,,";
    let table: &[ChannelCase] = &[
        ("n,,", b"", Offer::Absent, None, "ok"),
        ("y,,", b"", Offer::Absent, None, "ok"),
        ("n,,", b"", Offer::Offered, None, "ok"),
        // A man in the middle took -PLUS out of our list.
        ("y,,", b"", Offer::Offered, None, "not-authorized"),
        (p, &CHANNEL, Offer::Chosen, Some(&CHANNEL), "ok"),
        ("p=tls-exporter,a=juliet@localhost,", &CHANNEL, Offer::Chosen, Some(&CHANNEL), "ok"),
        // The client is at the end of another TLS connection.
        (p, &[8; 32], Offer::Chosen, Some(&CHANNEL), "not-authorized"),
        (p, b"", Offer::Chosen, Some(&CHANNEL), "not-authorized"),
        ("n,,", b"", Offer::Chosen, Some(&CHANNEL), "malformed-request"),
        ("y,,", b"", Offer::Chosen, Some(&CHANNEL), "malformed-request"),
        (p, &CHANNEL, Offer::Absent, None, "malformed-request"),
        (p, &CHANNEL, Offer::Offered, None, "malformed-request"),
        ("p=tls-unique,,", &CHANNEL, Offer::Chosen, Some(&CHANNEL), "malformed-request"),
    ];
    for (header, channel, offer, exporter, expected) in table {
        let found = condition(login("pencil", header, channel, *offer, *exporter));
        assert_eq!(found, *expected, "{header} {offer:?}");
    }
    assert_eq!(condition(login("pencils", "n,,", b"", Offer::Absent, None)), "not-authorized");
    assert_eq!(condition(login("pencils", p, &CHANNEL, Offer::Chosen, Some(&CHANNEL))), "not-authorized");
}

#[test]
fn a_proof_may_be_made_with_the_password_or_with_a_token() {
    let account = Credentials::derive("pencil", SALT, 16).unwrap();
    for hash in [Hash::Sha1, Hash::Sha256] {
        let tokens = ["first", "second"].map(|text| {
            let keys = account.derive_beside(text).unwrap();
            assert!(keys.is_beside(&account) && !keys.is_beside(&Credentials::derive(text, [9; 16], 16).unwrap()));
            assert!(!keys.is_beside(&Credentials::derive(text, SALT, 17).unwrap()));
            TokenKeys { id: TokenId::of(text), keys: keys.keys(hash).clone() }
        });
        let table = [
            ("pencil", Ok(None)),
            ("first", Ok(Some(TokenId::of("first")))),
            ("second", Ok(Some(TokenId::of("second")))),
            ("third", Err(Failure::NOT_AUTHORIZED)),
            ("", Err(Failure::NOT_AUTHORIZED)),
        ];
        for (secret, expected) in table {
            let mut client = Client::new(hash, "juliet", secret, "cnonce", "n,,", b"");
            let first = First::parse(client.first().as_bytes(), Offer::Absent).unwrap();
            let (exchange, reply) = Exchange::new(first, hash, account.keys(hash), "a nonce of the server", None);
            let end = exchange.or(tokens.clone()).finish(client.last(&reply).as_bytes());
            // The signature is made with the keys that the client has, or it would think us a stranger.
            assert!(end.as_ref().map_or(true, |last| client.trusts(&last.message)), "{secret}");
            assert_eq!(end.map(|last| last.token), expected, "{secret}");
        }
    }
}

#[test]
fn an_account_without_a_password_looks_like_one_with() {
    let locked = Credentials::locked(&[4; 32], 16);
    let real = Credentials::derive("pencil", SALT, 16).unwrap();
    let shape = |k: &ScramKeys| (k.salt.len(), k.iterations, k.stored_key.len(), k.server_key.len());
    assert_eq!((shape(&locked.sha1), shape(&locked.sha256)), (shape(&real.sha1), shape(&real.sha256)));
    assert!(!locked.verify("") && !locked.verify("pencil"));
    assert_ne!(locked, Credentials::locked(&[5; 32], 16));
    assert!(locked.derive_beside("token").unwrap().verify("token"), "a token opens it");
}

#[test]
fn a_proof_over_another_nonce_is_none() {
    let keys = client::keys(Hash::Sha256, "pencil", &SALT, 1);
    for (more_nonce, expected) in [("", "ok"), ("x", "not-authorized")] {
        let mut client = Client::new(Hash::Sha256, "juliet", "pencil", "cnonce", "n,,", b"");
        client.more_nonce = more_nonce;
        let first = First::parse(client.first().as_bytes(), Offer::Absent).unwrap();
        let (exchange, reply) = Exchange::new(first, Hash::Sha256, &keys, "a nonce of the server", None);
        assert_eq!(condition(exchange.finish(client.last(&reply).as_bytes())), expected);
    }
}

#[test]
fn first_messages_that_are_none() {
    let long = format!("n,,n=user,r={}", "x".repeat(MESSAGE_BYTES_MAX));
    let table: &[&[u8]] = &[
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,r=x",
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n,,n=,r=x",
        b"n,,n=user,r=a b",
        b"n,,n=user,r=\xc3\xa9",
        b"n,,m=x,n=user,r=x",
        b"n,,n=us=er,r=x",
        b"n,,n=user=2,r=x",
        b"n,,n=user=2c,r=x",
        b"n,,n=user=,r=x",
        b"n,,r=x,n=user",
        b"n,,n=user,r=x,",
        b"n,,n=user,r=x,y",
        b"n,,n=user,r=x,=1",
        b"n,,n=user,r=x,m=1",
        b"n,,n=us\0er,r=x",
        b"n,,n=us\xffer,r=x",
        b"x,,n=user,r=x",
        b",,n=user,r=x",
        b"p=,,n=user,r=x",
        b"n=1,,n=user,r=x",
        b"n,user,n=user,r=x",
        b"n,a=,n=user,r=x",
        b"n,a==1,n=user,r=x",
        b" n,,n=user,r=x",
        long.as_bytes(),
    ];
    for message in table {
        let found = condition(First::parse(message, Offer::Absent));
        assert_eq!(found, "malformed-request", "{}", String::from_utf8_lossy(message));
    }
    for (message, authcid) in [("n,,n=a=2Cb=3Dc,r=x", "a,b=c"), ("n,,n=ü,r=x,x=ignored,y=ü", "ü")] {
        assert_eq!(&*First::parse(message.as_bytes(), Offer::Absent).unwrap().identity().authcid, authcid);
    }
}

#[test]
fn last_messages_that_are_none() {
    let proof = encode([0; 32]);
    let malformed = [
        "".into(),
        "c=biws".into(),
        "c=biws,r=CS".into(),
        format!("c=biws,p={proof}"),
        format!("r=CS,c=biws,p={proof}"),
        format!("c=bi_ws,r=CS,p={proof}"),
        format!("c=biws,r=CS,p={proof},x=1"),
        "c=biws,r=CS,p=".into(),
        "c=biws,r=CS,p=AAAA".into(),
        format!("c=biws,r=CS,m=1,p={proof}"),
        format!("c=biws,r=CS,,p={proof}"),
        format!("c=biws,r=CS,p={}", encode([0; 33])),
        format!("c=biws,r=CS\0,p={proof}"),
        format!("c=biws,r=CS,x={},p={proof}", "x".repeat(MESSAGE_BYTES_MAX)),
    ];
    let wrong = [
        format!("c=biws,r=CX,p={proof}"),
        format!("c=biws,r=C,p={proof}"),
        format!("c=biws,r=CSS,p={proof}"),
        format!("c=eSws,r=CS,p={proof}"),
        format!("c=biws,r=CS,p={proof}"),
        format!("c=biws,r=CS,x=1,p={proof}"),
    ];
    let keys = client::keys(Hash::Sha256, "pencil", &SALT, 1);
    let begin = || {
        let first = First::parse(b"n,,n=user,r=C", Offer::Absent).unwrap();
        Exchange::new(first, Hash::Sha256, &keys, "S", None).0
    };
    for message in &malformed {
        assert_eq!(condition(begin().finish(message.as_bytes())), "malformed-request", "{message}");
    }
    assert_eq!(condition(begin().finish(b"\xff")), "malformed-request");
    for message in &wrong {
        assert_eq!(condition(begin().finish(message.as_bytes())), "not-authorized", "{message}");
    }
}

#[test]
fn plain_messages() {
    let long = [b"\0u\0".as_slice(), &[b'x'; MESSAGE_BYTES_MAX]].concat();
    let malformed: &[&[u8]] =
        &[b"", b"user", b"\0user", b"\0\0pencil", b"\0user\0", b"\0user\0pen\0cil", b"\0user\0\xff", &long];
    for message in malformed {
        assert_eq!(condition(plain::parse(message)), "malformed-request", "{}", String::from_utf8_lossy(message));
    }
    let (identity, password) = plain::parse("user@localhost\0user\0päss".as_bytes()).unwrap();
    assert_eq!((&*identity.authzid, &*identity.authcid, password.as_str()), ("user@localhost", "user", "päss"));
    assert_eq!(format!("{password:?}"), "Password(..)");
}

#[test]
fn who_may_act_as_whom() {
    // authcid, authzid, the account or the condition
    let table = [
        ("juliet", "", "juliet@localhost"),
        ("Juliet", "", "juliet@localhost"),
        ("juliet", "juliet@localhost", "juliet@localhost"),
        ("juliet", "JULIET@LocalHost", "juliet@localhost"),
        ("juliet", "romeo@localhost", "invalid-authzid"),
        ("juliet", "juliet@example.com", "invalid-authzid"),
        ("juliet", "juliet@localhost/balcony", "invalid-authzid"),
        ("juliet", "juliet", "invalid-authzid"),
        ("juliet", "@", "invalid-authzid"),
        ("juliet@localhost", "", "not-authorized"),
        ("ju liet", "", "not-authorized"),
        ("", "", "not-authorized"),
    ];
    for (authcid, authzid, expected) in table {
        let identity = Identity { authcid: authcid.into(), authzid: authzid.into() };
        let found = identity.account("localhost").map_or_else(|f| f.condition.name().to_owned(), |j| j.to_string());
        assert_eq!(found, expected, "{identity:?}");
    }
}

#[test]
fn mechanisms_have_names() {
    for mechanism in Mechanism::ALL {
        assert_eq!(Mechanism::of_name(mechanism.name()), Some(mechanism));
        assert_eq!(mechanism.plus(), mechanism.name().ends_with("-PLUS"));
    }
    assert_eq!(Mechanism::of_name("plain"), None);
    assert_eq!(Condition::TemporaryAuthFailure.name(), "temporary-auth-failure");
}
