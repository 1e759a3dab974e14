//! `POST /api/v1/sendto` with all its fields, and requests that are carried out once.

use crate::support::Herald;
use crate::support::client::Client;
use crate::{bodies, refused, sendto, sendto_once};
use serde_json::{Value, json};

fn first(answer: &crate::support::Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json["results"][0].clone()
}

#[test]
fn each_field_does_what_it_says() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    let mut desk = Client::login(&herald, "alice", "secret", "desk");
    let mut phone = Client::login(&herald, "alice", "secret", "phone");

    let always = first(&sendto(&herald, json!({"to": "alice", "body": "always", "store": "always"})));
    assert_eq!((&always["state"], &always["id"], &always["stored"]), (&json!("delivered"), &json!(1), &json!(true)));
    desk.expect("<body>always</body>");
    phone.expect("<body>always</body>");

    let without =
        first(&sendto(&herald, json!({"to": "alice", "body": "not on the desk", "exclude_resource": "desk"})));
    assert_eq!((&without["state"], &without["sessions"]), (&json!("delivered"), &json!(1)));
    phone.expect("<body>not on the desk</body>");

    let online = |uid: &str, when: &str| first(&sendto(&herald, json!({"to": uid, "body": when, "only_if": when})));
    assert_eq!(online("alice", "offline")["state"], "skipped");
    assert_eq!(online("bob", "online")["state"], "skipped");
    assert_eq!(online("bob", "offline")["state"], "stored");

    let full = first(&sendto(&herald, json!({"to": "alice@localhost/phone", "json": {"n": [1, "<&>"]}})));
    assert_eq!((&full["state"], &full["sessions"]), (&json!("delivered"), &json!(1)));
    assert!(phone.expect("</json>").contains(r#"<json xmlns='urn:xmpp:json:0'>{"n":[1,"&lt;&amp;&gt;"]}</json>"#));
    desk.send("<iq type='get' id='last'><ping xmlns='urn:xmpp:ping'/></iq>");
    let got = desk.expect("'last'");
    assert!(!got.contains("desk</body>") && !got.contains("json"), "{got}");

    for (n, body) in ["first", "second", "third"].into_iter().enumerate() {
        let kept = first(&sendto(&herald, json!({"to": "bob", "body": body, "collapse_key": "weather"})));
        assert_eq!((&kept["state"], &kept["id"]), (&json!("stored"), &json!(n + 2)));
    }
    assert_eq!(bodies(&herald, "uid=bob"), ["offline", "third"]);
}

#[test]
fn the_status_says_what_went_wrong_with_a_single_user() {
    let herald = Herald::start_with("[offline]\nmessages_max = 1");
    herald.user("bob", "secret");
    let nobody = sendto(&herald, json!({"to": "nobody", "body": "x"}));
    refused(&nobody, 404, "no_such_user");
    assert_eq!(nobody.json["results"][0]["state"], "no_such_user");
    assert_eq!(first(&sendto(&herald, json!({"to": ["nobody"], "body": "x"})))["state"], "no_such_user");
    assert_eq!(first(&sendto(&herald, json!({"to": "bob", "body": "x"})))["state"], "stored");
    let full = sendto(&herald, json!({"to": "bob", "body": "x"}));
    refused(&full, 429, "full");
    assert_eq!(full.headers["retry-after"], "1");
    refused(&sendto(&herald, json!({"to": {"group": "none"}, "body": "x"})), 404, "no_such_group");
}

#[test]
fn all_who_are_online_and_all_who_have_an_account() {
    let herald = Herald::start();
    for uid in ["alice", "bob", "carol"] {
        herald.user(uid, "secret");
    }
    let mut alice = Client::login(&herald, "alice", "secret", "desk");
    let online = sendto(&herald, json!({"to": {"all": "online"}, "body": "hello"})).json;
    assert_eq!((&online["total"], &online["counts"]), (&json!(1), &json!({"delivered": 1})), "{online}");
    alice.expect("<body>hello</body>");
    let all = sendto(&herald, json!({"to": {"all": "accounts"}, "body": "to all"})).json;
    assert_eq!((&all["total"], &all["complete"]), (&json!(3), &json!(true)), "{all}");
    assert_eq!(all["counts"], json!({"delivered": 1, "stored": 2}));
    alice.expect("<body>to all</body>");
    assert_eq!(bodies(&herald, "uid=carol"), ["to all"]);
}

#[test]
fn a_request_is_carried_out_once_also_after_a_restart() {
    let mut herald = Herald::start();
    herald.user("bob", "secret");
    herald.user("carol", "secret");
    let request = json!({"to": "bob", "body": "one"});
    let once = sendto_once(&herald, "k-1", request.clone());
    assert_eq!(first(&once)["id"], 1);
    assert!(!once.headers.contains_key("idempotency-replayed"));
    let again = sendto_once(&herald, "\"k-1\"", request.clone()); // as a structured field has it
    assert_eq!((&again.json, again.headers["idempotency-replayed"].as_str()), (&once.json, "true"));
    refused(&sendto_once(&herald, "k-1", json!({"to": "bob", "body": "two"})), 422, "idempotency_mismatch");
    let in_body = json!({"to": "carol", "body": "three", "key": "k-2"});
    assert_eq!(sendto(&herald, in_body.clone()).json, sendto(&herald, in_body.clone()).json);
    refused(&sendto_once(&herald, "k-3", in_body), 422, "invalid");
    for bad in ["", &"k".repeat(256)] {
        refused(&sendto_once(&herald, bad, request.clone()), 422, "invalid");
    }
    // What failed is no last word: made again, it is tried again.
    let late = || sendto_once(&herald, "k-4", json!({"to": {"group": "late"}, "body": "x"}));
    refused(&late(), 404, "no_such_group");
    herald.api("PUT", "/api/v1/groups/late", Some(json!({"members": ["carol"]})));
    assert_eq!(first(&late())["state"], "stored");

    herald.kill();
    herald.restart();
    let again = sendto_once(&herald, "k-1", request);
    assert_eq!((&again.json, again.headers["idempotency-replayed"].as_str()), (&once.json, "true"));
    assert_eq!(
        (bodies(&herald, "uid=bob"), bodies(&herald, "uid=carol")),
        (vec!["one".to_owned()], vec!["three".to_owned(), "x".to_owned()])
    );
}

#[test]
fn a_request_has_a_name_of_its_own_in_the_answer() {
    let herald = Herald::start();
    let ask = |id: &str| herald.http("GET", "/healthz", &[("x-request-id", id)], "").headers["x-request-id"].clone();
    assert_eq!(ask("job-17/a"), "job-17/a");
    for bad in ["a b", &"x".repeat(129)] {
        assert!(![bad, ""].contains(&ask(bad).as_str()));
    }
    let ours = || herald.http("GET", "/healthz", &[], "").headers["x-request-id"].clone();
    assert_ne!(ours(), ours());
}
