//! Named keys: made and removed by the command line and over HTTP, and what each of them opens.

use crate::refused;
use crate::support::{Herald, Home};
use serde_json::{Value, json};

fn out(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_command_line_makes_lists_and_removes_them_and_the_server_knows_at_once() {
    let herald = Herald::start();
    let key = out(&herald.run(&["key", "add", "shop", "--scope", "push", "--scope", "presence:read"], ""));
    assert!(key.starts_with("hk_") && key.len() == 46, "{key}");
    let get = |path: &str| herald.http("GET", path, &[("x-api-key", &key)], "");
    assert_eq!(get("/api/v1/presence?uid=a").status, 200);
    let bearer = format!("bearer {key}");
    assert_eq!(herald.http("GET", "/api/v1/presence?uid=a", &[("authorization", &bearer)], "").status, 200);
    refused(&get("/api/v1/users"), 403, "forbidden");
    refused(&get("/api/v1/keys"), 403, "forbidden");
    refused(&get("/api/v1/nothing"), 404, "not_found");
    assert_eq!(out(&herald.run(&["key", "list"], "")), "shop push,presence:read");
    assert!(!herald.run(&["key", "add", "shop", "--scope", "push"], "").status.success(), "it is there");
    assert!(!herald.run(&["key", "add", "x y", "--scope", "push"], "").status.success(), "no name");
    assert!(!herald.run(&["key", "add", "z", "--scope", "everything"], "").status.success(), "no scope");
    out(&herald.run(&["key", "remove", "shop"], ""));
    refused(&get("/api/v1/presence?uid=a"), 401, "unauthorized");
    assert!(!herald.run(&["key", "remove", "shop"], "").status.success(), "it is gone");
}

#[test]
fn without_a_server_too_and_the_secret_is_nowhere() {
    let home = Home::new("");
    let key = out(&home.run(&["key", "add", "jobs", "--scope", "users"], ""));
    assert_eq!(out(&home.run(&["key", "list"], "")), "jobs users");
    let herald = home.start();
    assert_eq!(herald.http("GET", "/api/v1/users", &[("x-api-key", &key)], "").status, 200);
    for file in std::fs::read_dir(herald.data_dir()).expect("the data folder") {
        let bytes = std::fs::read(file.expect("a file").path()).unwrap_or_default();
        assert!(!bytes.windows(key.len()).any(|w| w == key.as_bytes()), "the secret is kept");
    }
}

#[test]
fn each_scope_opens_its_part_and_no_other() {
    let herald = Herald::start();
    let make =
        |name: &str, scopes: Value| herald.api("POST", "/api/v1/keys", Some(json!({"name": name, "scopes": scopes})));
    let scopes = ["push", "presence:read", "history:read", "users", "events:read", "admin"];
    let keys: Vec<String> = scopes
        .iter()
        .enumerate()
        .map(|(n, scope)| {
            let made = make(&format!("k{n}"), json!([scope]));
            assert_eq!((made.status, made.headers["cache-control"].as_str()), (201, "no-store"), "{made:?}");
            made.json["key"].as_str().expect("a key").to_owned()
        })
        .collect();
    for (method, path, opened_by) in [
        ("POST", "/api/v1/sendto", "push"),
        ("POST", "/api/v1/batch", "push"),
        ("GET", "/api/v1/groups", "push"),
        ("PUT", "/api/v1/groups/g", "users"),
        ("GET", "/api/v1/history", "history:read"),
        ("GET", "/api/v1/presence", "presence:read"),
        ("GET", "/api/v1/users", "users"),
        ("POST", "/api/v1/token", "users"),
        ("GET", "/api/v1/status", "admin"),
        ("POST", "/api/v1/keys", "admin"),
        ("POST", "/api/send_message", "push"),
        ("POST", "/api/get_presence/v2", "presence:read"),
        ("POST", "/api/register", "users"),
        ("POST", "/api/get_offline_count", "history:read"),
        // The same ones, written in another way.
        ("POST", "/api/v1/key%73", "admin"),
        ("GET", "/api/v1/%68istory", "history:read"),
        ("POST", "/api/%72egister", "users"),
        ("POST", "/api/get_presence/v%32", "presence:read"),
        ("GET", "/push", "push"),
        ("GET", "/info", "presence:read"),
        ("GET", "/sig%6e", "users"),
        ("GET", "/clear", "users"),
    ] {
        for (scope, key) in scopes.iter().zip(&keys) {
            let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
            let status = herald.http(method, path, &headers, "{}").status;
            assert_eq!(status != 403, [opened_by, "admin"].contains(scope), "{method} {path} with {scope}: {status}");
        }
    }
    refused(&make("k0", json!(["push"])), 409, "key_exists");
    refused(&make("none", json!([])), 422, "invalid");
    refused(&make("none", json!(["pusch"])), 422, "invalid");
    let listed = herald.api("GET", "/api/v1/keys", None).json;
    assert_eq!(listed["keys"].as_array().map(Vec::len), Some(6), "{listed}");
    assert!(keys.iter().all(|key| !listed.to_string().contains(key.as_str())));
    assert_eq!(herald.api("DELETE", "/api/v1/keys/k0", None).status, 204);
    refused(&herald.api("DELETE", "/api/v1/keys/k0", None), 404, "no_such_key");
    refused(&herald.http("GET", "/api/v1/groups", &[("x-api-key", &keys[0])], ""), 401, "unauthorized");
}
