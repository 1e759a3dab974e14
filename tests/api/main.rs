//! The operator's API beyond the basics of `tests/admin.rs`: sending for real use, groups, history, keys, the calls
//! of ejabberd, and everything at once under schemathesis.

#[path = "../support/mod.rs"]
mod support;

mod batch;
mod ejabberd;
mod ejabberd_real;
mod groups;
mod history;
mod keys;
mod schemathesis;
mod sendto;

use serde_json::{Value, json};
use support::{Answer, Herald};

/// A refusal with this status and code.
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
}

/// Asks `sendto`, with the operator's token.
fn sendto(herald: &Herald, body: Value) -> Answer {
    herald.api("POST", "/api/v1/sendto", Some(body))
}

/// Sends under a name.
fn sendto_once(herald: &Herald, key: &str, body: Value) -> Answer {
    let auth = format!("Bearer {}", herald.token());
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json"), ("idempotency-key", key)];
    herald.http("POST", "/api/v1/sendto", &headers, &body.to_string())
}

/// The bodies of a page of history, in its order.
fn bodies(herald: &Herald, query: &str) -> Vec<String> {
    let page = herald.api("GET", &format!("/api/v1/history?{query}"), None);
    assert_eq!(page.status, 200, "{page:?}");
    let items = page.json["items"].as_array().expect("items").iter();
    items.map(|item| item["body"].as_str().unwrap_or_default().to_owned()).collect()
}
