//! `POST /api/v1/token`, and what its tokens open.

use crate::door::{Door, Verdict};
use crate::support::client::Client;
use crate::support::{Answer, Herald};
use serde_json::{Value, json};
use std::sync::Barrier;

fn ask(herald: &Herald, body: Value) -> Answer {
    herald.api("POST", "/api/v1/token", Some(body))
}

fn token(herald: &Herald, uid: &str) -> String {
    let answer = ask(herald, json!({ "uid": uid }));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json["token"].as_str().expect("a token").to_owned()
}

/// A login of a user with a secret.
type Way = fn(&mut Door, &str, &str) -> Verdict;

/// Every way to use a secret; the last one of no use to a password.
const WAYS: [(&str, Way); 4] = [
    ("SCRAM-SHA-256", |door, uid, secret| door.scram(uid, secret)),
    ("SCRAM-SHA-1", |door, uid, secret| door.scram_sha1(uid, secret)),
    ("PLAIN", |door, uid, secret| door.plain(uid, secret)),
    ("OAUTHBEARER", |door, uid, secret| door.bearer(&format!("{uid}@localhost"), secret)),
];

#[test]
fn a_token_opens_once_whatever_the_mechanism() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    for (name, way) in WAYS {
        let token = token(&herald, "alice");
        let mut door = Door::of(&herald);
        assert_eq!(way(&mut door, "alice", &token), Verdict::In, "{name}");
        assert_eq!(door.jid(), "alice@localhost");
        for (again, way) in WAYS {
            assert_eq!(way(&mut Door::of(&herald), "alice", &token), Verdict::not_authorized(), "{name}, {again}");
        }
    }
    for (name, way) in &WAYS[..3] {
        assert_eq!(way(&mut Door::of(&herald), "alice", "secret"), Verdict::In, "{name}: the password still does");
    }
    assert_eq!(Door::of(&herald).bearer("", "secret"), Verdict::not_authorized(), "a password is no token");
}

#[test]
fn a_bearer_need_not_say_who_it_is_but_must_not_lie() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    let token = token(&herald, "alice");
    assert_eq!(Door::of(&herald).bearer("bob@localhost", &token), Verdict::not_authorized());
    assert_eq!(Door::of(&herald).plain("bob", &token), Verdict::not_authorized());
    assert_eq!(Door::of(&herald).scram("bob", &token), Verdict::not_authorized());
    let elsewhere = Door::of(&herald).bearer("alice@example.com", &token);
    assert_eq!(elsewhere, Verdict::Out("invalid-authzid".into()));
    let mut door = Door::of(&herald);
    assert_eq!(door.bearer("", &token), Verdict::In, "none of these used it up");
    assert_eq!(door.jid(), "alice@localhost");
}

#[test]
fn of_many_who_come_at_once_with_one_token_one_gets_in() {
    const AT_ONCE: usize = 20;
    let herald = Herald::start();
    herald.user("alice", "secret");
    for (name, way) in WAYS {
        let token = token(&herald, "alice");
        let doors: Vec<Door> = (0..AT_ONCE).map(|_| Door::of(&herald)).collect();
        let barrier = Barrier::new(AT_ONCE);
        let try_one = |mut door: Door| {
            // SCRAM at the moment of the proofs: all of them fit.
            let proof = (name == "SCRAM-SHA-256").then(|| door.scram_begin("alice", &token));
            barrier.wait();
            match proof {
                Some(proof) => door.scram_end(proof),
                None => way(&mut door, "alice", &token),
            }
        };
        let inside = std::thread::scope(|scope| {
            let tries: Vec<_> = doors.into_iter().map(|door| scope.spawn(|| try_one(door))).collect();
            let verdicts = tries.into_iter().map(|t| t.join().expect("a verdict"));
            verdicts.filter(|v| *v == Verdict::In).count()
        });
        assert_eq!(inside, 1, "{name}");
    }
}

#[test]
fn a_token_ends_with_its_time() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let answer = ask(&herald, json!({ "uid": "alice", "ttl": 1 }));
    assert_eq!(answer.headers["cache-control"], "no-store");
    let short = answer.json["token"].as_str().expect("a token").to_owned();
    let mut door = Door::of(&herald);
    let proof = door.scram_begin("alice", &short);
    // The server counts those that have not ended, so its own word says when this one has.
    assert!((0..100_000).any(|_| outstanding(&herald) == 0), "it ends");
    assert_eq!(door.scram_end(proof), Verdict::not_authorized(), "it ended during the login");
    for (name, way) in WAYS {
        assert_eq!(way(&mut Door::of(&herald), "alice", &short), Verdict::not_authorized(), "{name}");
    }
    let expires: jiff::Timestamp = answer.json["expires"].as_str().expect("a time").parse().expect("RFC 3339");
    assert!(expires <= jiff::Timestamp::now(), "{expires}");
}

#[test]
fn a_new_password_voids_tokens_and_so_does_the_end_of_the_account() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let old = [token(&herald, "alice"), token(&herald, "alice"), token(&herald, "alice")];
    let mut door = Door::of(&herald);
    let proof = door.scram_begin("alice", &old[2]);
    let changed = herald.api("PUT", "/api/v1/users/alice", Some(json!({ "password": "other" })));
    assert_eq!(changed.status, 200);
    assert_eq!(door.scram_end(proof), Verdict::not_authorized(), "it was changed during the login");
    assert_eq!(Door::of(&herald).scram("alice", &old[0]), Verdict::not_authorized());
    assert_eq!(Door::of(&herald).plain("alice", &old[0]), Verdict::not_authorized());
    assert_eq!(Door::of(&herald).bearer("", &old[1]), Verdict::not_authorized());

    // The command does it in the database, beside the server.
    let old = token(&herald, "alice");
    assert!(herald.run(&["user", "passwd", "alice"], "third").status.success());
    assert_eq!(Door::of(&herald).plain("alice", &old), Verdict::not_authorized());

    let old = [token(&herald, "alice"), token(&herald, "alice")];
    assert_eq!(herald.api("DELETE", "/api/v1/users/alice", None).status, 204);
    assert_eq!(Door::of(&herald).bearer("", &old[0]), Verdict::not_authorized());
    herald.user("alice", "third");
    assert_eq!(Door::of(&herald).bearer("", &old[1]), Verdict::not_authorized(), "another alice");
}

#[test]
fn an_account_may_live_without_a_password() {
    let herald = Herald::start();
    let nobody = ask(&herald, json!({ "uid": "carol" }));
    assert_eq!((nobody.status, &nobody.json["code"]), (404, &json!("no_such_user")), "{nobody:?}");
    let made = ask(&herald, json!({ "uid": "carol", "create": true }));
    assert_eq!((made.status, &made.json["jid"]), (200, &json!("carol@localhost")), "{made:?}");
    assert_eq!(herald.api("GET", "/api/v1/users/carol", None).status, 200);
    for secret in ["", "secret", "\u{1}"] {
        assert_ne!(Door::of(&herald).scram("carol", secret), Verdict::In);
    }
    assert_eq!(Door::of(&herald).plain("carol", "secret"), Verdict::not_authorized());
    assert_eq!(Door::of(&herald).scram("carol", made.json["token"].as_str().expect("a token")), Verdict::In);
    let again = ask(&herald, json!({ "uid": "carol", "create": true }));
    assert_eq!(Door::of(&herald).scram("carol", again.json["token"].as_str().expect("a token")), Verdict::In);
    let given = herald.api("PUT", "/api/v1/users/carol", Some(json!({ "password": "secret" })));
    assert_eq!(given.status, 200);
    Client::login(&herald, "carol", "secret", "r");
}

#[test]
fn tokens_are_bounded_for_each_user_and_all_together() {
    let herald = Herald::start_with("[auth]\ntokens_max = 10\n");
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    let mut tokens: Vec<String> = (0..9).map(|_| token(&herald, "alice")).collect();
    assert_eq!(Door::of(&herald).scram("alice", &tokens[0]), Verdict::not_authorized(), "the oldest is out");
    assert_eq!(outstanding(&herald), 8);
    tokens.extend([token(&herald, "bob"), token(&herald, "bob")]);
    let full = ask(&herald, json!({ "uid": "bob" }));
    assert_eq!((full.status, &full.json["code"]), (429, &json!("too_many_tokens")), "{full:?}");
    assert_eq!(full.headers["retry-after"], "1");
    assert_eq!(Door::of(&herald).scram("alice", &tokens[1]), Verdict::In);
    assert_eq!(Door::of(&herald).scram("alice", &tokens[8]), Verdict::In);
    token(&herald, "bob");
}

#[test]
fn a_restart_forgets_tokens() {
    let mut herald = Herald::start();
    herald.user("alice", "secret");
    let token = token(&herald, "alice");
    herald.terminate();
    herald.restart();
    assert_eq!(Door::of(&herald).scram("alice", &token), Verdict::not_authorized());
}

#[test]
fn what_is_asked_is_read_strictly() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let table = [
        (json!({ "uid": "alice", "ttl": 0 }), "invalid"),
        (json!({ "uid": "alice", "ttl": 86_401 }), "invalid"),
        (json!({ "uid": "alice", "ttl": "60" }), "invalid"),
        (json!({ "uid": "alice@example.com" }), "invalid"),
        (json!({ "uid": "a b" }), "invalid"),
        (json!({ "ttl": 60 }), "invalid"),
        (json!({ "uid": "alice", "tll": 60 }), "unknown_field"),
    ];
    for (body, code) in table {
        let answer = ask(&herald, body.clone());
        assert_eq!((answer.status, &answer.json["code"]), (422, &json!(code)), "{body}: {answer:?}");
    }
    assert_eq!(outstanding(&herald), 0);
    assert_eq!(ask(&herald, json!({ "uid": "alice@localhost", "ttl": 86_400 })).status, 200);
}

#[test]
fn a_token_goes_over_plain_and_oauthbearer_only_where_nobody_listens() {
    let herald = Herald::start_with("[auth]\nplain_without_tls = \"never\"\n");
    herald.user("alice", "secret");
    let token = token(&herald, "alice");
    let refused = Verdict::Out("encryption-required".into());
    assert_eq!(Door::of(&herald).plain("alice", &token), refused);
    assert_eq!(Door::of(&herald).bearer("", &token), refused);
    assert_eq!(Door::of(&herald).scram("alice", &token), Verdict::In);
}

fn outstanding(herald: &Herald) -> u32 {
    let page = herald.http("GET", "/metrics", &[], "").text;
    let line = page.lines().find_map(|l| l.strip_prefix("herald_login_tokens ")).expect("the gauge");
    line.parse().expect("a number")
}
