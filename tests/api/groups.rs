//! Groups, and messages to them.

use crate::support::Herald;
use crate::support::client::Client;
use crate::{bodies, refused, sendto};
use serde_json::json;

#[test]
fn a_group_is_made_changed_sent_to_and_removed() {
    let herald = Herald::start();
    for uid in ["alice", "bob", "carol"] {
        herald.user(uid, "secret");
    }
    let api = |method: &str, path: &str, body| herald.api(method, &format!("/api/v1/groups{path}"), body);
    let put = api("PUT", "/team", Some(json!({"members": ["alice", "bob"]})));
    assert_eq!(put.json, json!({"name": "team", "joined": 2, "left": 0}), "{put:?}");
    let put = api("PUT", "/team", Some(json!({"members": ["bob", "carol"]})));
    assert_eq!(put.json, json!({"name": "team", "joined": 1, "left": 1}));
    let add = api("POST", "/team/members", Some(json!({"members": ["alice", "bob"]})));
    assert_eq!(add.json, json!({"name": "team", "joined": 1}));
    assert_eq!(
        api("GET", "/team?limit=2", None).json,
        json!({"name": "team", "members": ["alice", "bob"], "next": "bob"})
    );
    assert_eq!(api("GET", "/team?after=bob", None).json["members"], json!(["carol"]));
    assert_eq!(api("DELETE", "/team/members/carol", None).json, json!({"name": "team", "left": 1}));
    assert_eq!(api("DELETE", "/team/members/carol", None).json["left"], 0);
    assert_eq!(api("PUT", "/%C3%A9quipe%202", Some(json!({}))).json["name"], "\u{e9}quipe 2");
    let all = api("GET", "", None).json;
    assert_eq!(all["groups"], json!([{"name": "team", "members": 2}, {"name": "\u{e9}quipe 2", "members": 0}]));

    let mut alice = Client::login(&herald, "alice", "secret", "desk");
    let sent = sendto(&herald, json!({"to": {"group": "team"}, "body": "to the team", "store": "always"})).json;
    assert_eq!((&sent["total"], &sent["counts"]), (&json!(2), &json!({"delivered": 1, "stored": 1})), "{sent}");
    assert_eq!(sent["results"].as_array().map(Vec::len), Some(2));
    alice.expect("<body>to the team</body>");
    assert_eq!(bodies(&herald, "uid=bob"), ["to the team"]);

    let nobody = api("POST", "/team/members", Some(json!({"members": ["carol", "nobody"]})));
    refused(&nobody, 404, "no_such_user");
    assert!(nobody.json["detail"].as_str().is_some_and(|d| d.contains("nobody")), "{nobody:?}");
    refused(&api("GET", "/none", None), 404, "no_such_group");
    refused(&api("DELETE", "/none/members/bob", None), 404, "no_such_group");
    refused(&api("PUT", &format!("/{}", "x".repeat(256)), Some(json!({}))), 422, "invalid");
    assert_eq!(api("DELETE", "/team", None).status, 204);
    refused(&api("DELETE", "/team", None), 404, "no_such_group");
}
