//! `/api/v1/presence`: since when, and when last.

use crate::support::Herald;
use crate::support::client::Client;
use serde_json::json;

#[test]
fn a_thousand_users_are_asked_for_in_one_call() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let _alice = Client::login(&herald, "alice", "secret", "desk");
    let mut uids: Vec<String> = (0..999).map(|n| format!("user{n}")).collect();
    uids.push("alice".into());
    let said = herald.api("POST", "/api/v1/presence", Some(json!({ "uid": uids })));
    assert_eq!(said.status, 200, "{}", said.text);
    let results = said.json["results"].as_array().expect("results");
    assert_eq!(results.len(), 1_000);
    assert_eq!(
        results[0],
        json!({ "uid": "user0", "online": false, "since": null, "last_seen": null, "resources": [] })
    );
    assert_eq!((&results[999]["online"], &results[999]["last_seen"]), (&json!(true), &json!(null)));
    assert!(results[999]["since"].as_str().is_some_and(|since| since.parse::<jiff::Timestamp>().is_ok()));
    uids.push("bob".into());
    let said = herald.api("POST", "/api/v1/presence", Some(json!({ "uid": uids })));
    assert_eq!((said.status, &said.json["field"]), (422, &json!("uid")), "{}", said.text);
    let one = herald.api("POST", "/api/v1/presence", Some(json!({ "uid": ["alice"] })));
    assert_eq!(one.json["results"][0]["resources"][0]["resource"], "desk", "{}", one.text);
}
