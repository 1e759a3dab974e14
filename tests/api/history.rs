//! The history of a user, in both directions.

use crate::support::Herald;
use crate::{bodies, refused, sendto};
use serde_json::{Value, json};

#[test]
fn it_pages_both_ways_and_says_when_it_is_complete() {
    let herald = Herald::start();
    herald.user("bob", "secret");
    for n in 1..=7 {
        sendto(&herald, json!({"to": "bob", "body": format!("{n}"), "from": "shop@localhost"}));
    }
    sendto(&herald, json!({"to": "bob", "json": {"n": 8}, "type": "normal"}));
    let page = |query: &str| herald.api("GET", &format!("/api/v1/history?uid=bob&{query}"), None).json;
    let walk = |first: &str, more: &dyn Fn(u64) -> String| -> Vec<u64> {
        let (mut ids, mut query) = (Vec::new(), first.to_owned());
        loop {
            let page = page(&query);
            assert_eq!((&page["last"], &page["removed_to"], &page["complete"]), (&json!(8), &json!(0), &json!(true)));
            ids.extend(page["items"].as_array().expect("items").iter().filter_map(|i| i["id"].as_u64()));
            match page["next"].as_u64() {
                Some(next) => query = more(next),
                None => return ids,
            }
        }
    };
    assert_eq!(walk("limit=3", &|n| format!("limit=3&since={n}")), (1..=8).collect::<Vec<_>>());
    let back = walk("limit=3&reverse=true", &|n| format!("limit=3&reverse=true&before={n}"));
    assert_eq!(back, (1..=8).rev().collect::<Vec<_>>());
    assert_eq!(bodies(&herald, "uid=bob&since=2&before=5"), ["3", "4"]);
    assert_eq!(bodies(&herald, "uid=bob&since=2&before=5&reverse=true"), ["4", "3"]);
    assert_eq!(page("since=8")["items"], json!([]));

    let items = page("since=6")["items"].clone();
    let (text, payload) = (&items[0], &items[1]);
    assert_eq!((&text["from"], &text["type"], &text["json"]), (&json!("shop@localhost"), &json!("chat"), &Value::Null));
    assert!(text["stanza"].as_str().is_some_and(|s| s.starts_with("<message")), "{text}");
    assert!(text["at"].as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{text}");
    assert_eq!(
        (&payload["type"], &payload["body"], &payload["json"]),
        (&json!("normal"), &Value::Null, &json!({"n": 8}))
    );
    assert!(page("")["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()));

    for bad in ["uid=", "uid=bob&since=-1", "uid=bob&before=x", "uid=bob&reverse=1", "uid=bob&limit=1001", ""] {
        refused(&herald.api("GET", &format!("/api/v1/history?{bad}"), None), 422, "invalid");
    }
    refused(&herald.api("GET", "/api/v1/history?uid=nobody", None), 404, "no_such_user");
    refused(&herald.api("GET", "/api/v1/history?uid=bob&sincce=1", None), 422, "unknown_field");
}
