//! The operator's API, over its real port.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpStream;
use support::client::Client;
use support::{Answer, Herald, PATIENCE, read_all};

/// A refusal with this status and code, in the shape that all have.
fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json["status"], status);
    assert!(!answer.json["detail"].as_str().expect("words").is_empty());
    assert!(!answer.json["title"].as_str().expect("words").is_empty());
}

fn sendto(herald: &Herald, body: Value) -> Answer {
    herald.api("POST", "/api/v1/sendto", Some(body))
}

/// The states of a sendto's results.
fn states(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = |v: &Value| v.as_str().expect("a string").to_owned();
    answer.json["results"].as_array().expect("results").iter().map(|r| (text(&r["uid"]), text(&r["state"]))).collect()
}

fn pair(uid: &str, state: &str) -> (String, String) {
    (uid.into(), state.into())
}

#[test]
fn only_the_token_opens_it_and_only_as_a_header() {
    let herald = Herald::start();
    let token = herald.token();
    let good = format!("Bearer {token}");
    let wrong = format!("Bearer {}", token.replace(|c: char| c.is_ascii_digit(), "x"));
    for headers in [&[][..], &[("authorization", wrong.as_str())], &[("authorization", token.as_str())]] {
        for path in ["/api/v1/users", "/api/v1/nothing", "/", &format!("/api/v1/users?token={token}")] {
            let answer = herald.http("GET", path, headers, "");
            refused(&answer, 401, "unauthorized");
            assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
        }
    }
    assert_eq!(herald.http("GET", "/api/v1/users", &[("authorization", &good)], "").status, 200);
    for open in ["/healthz", "/metrics", "/api/v1/openapi.json"] {
        assert_eq!(herald.http("GET", open, &[], "").status, 200, "{open}");
    }
}

#[test]
fn what_is_not_there_is_told_apart() {
    let herald = Herald::start();
    refused(&herald.api("GET", "/api/v1/nothing", None), 404, "not_found");
    refused(&herald.api("GET", "/api/v1/users/nobody", None), 404, "no_such_user");
    let answer = herald.api("DELETE", "/api/v1/users", None);
    refused(&answer, 405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "GET, POST, HEAD");
    assert_eq!(herald.http("HEAD", "/healthz", &[], "").status, 200);
}

#[test]
fn every_documented_path_answers() {
    let herald = Herald::start();
    let document = herald.http("GET", "/api/v1/openapi.json", &[], "").json;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("a path item").keys().filter(|k| *k != "parameters") {
            let body = matches!(method.as_str(), "post" | "put").then(|| json!({}));
            let mut path = path.replace("{uid}", "u").replace("{version}", "0").replace("{name}", "n");
            if path == "/api/v1/events" {
                path += "?type=none"; // this stream has no end; a request it cannot take has
            }
            let answer = herald.api(&method.to_uppercase(), &path, body);
            assert!(answer.json["code"] != "not_found" && answer.status != 405, "{method} {path}: {answer:?}");
            let said = &item[method]["responses"][answer.status.to_string()];
            assert!(said.is_object(), "{method} {path} answers {}, which is not documented", answer.status);
        }
    }
}

#[test]
fn bodies_are_read_strictly() {
    let herald = Herald::start_with("[admin]\nbody_bytes_max = 5000");
    let auth = format!("Bearer {}", herald.token());
    let post = |kind: &str, body: &str| {
        herald.http("POST", "/api/v1/sendto", &[("authorization", &auth), ("content-type", kind)], body)
    };
    let json = "application/json";
    refused(&post("text/plain", "{}"), 415, "not_json");
    refused(&post(json, "{"), 400, "malformed");
    refused(&post(json, ""), 400, "malformed");
    refused(&post(json, "[1]"), 422, "invalid");
    let unknown = post(json, r#"{"to":"a","boddy":"x"}"#);
    refused(&unknown, 422, "unknown_field");
    assert_eq!(unknown.json["field"], "boddy");
    let missing = post(json, r#"{"body":"x"}"#);
    refused(&missing, 422, "invalid");
    assert_eq!(missing.json["field"], "to");
    refused(&post(json, r#"{"to":7,"body":"x"}"#), 422, "invalid");
    refused(&post(json, r#"{"to":"a","body":"x","type":"groupchat"}"#), 422, "invalid");
    let large = |n| format!(r#"{{"to":"a","body":"{}"}}"#, "x".repeat(n));
    assert_eq!(post("application/json; charset=utf-8", &large(4_900)).status, 404);
    refused(&post(json, &large(5_000)), 413, "too_large");
    refused(&herald.api("GET", "/api/v1/users?limti=3", None), 422, "unknown_field");
    refused(&herald.api("GET", "/api/v1/users?limit=0", None), 422, "invalid");
    refused(&herald.api("GET", "/api/v1/users?limit=1&limit=2", None), 422, "invalid");
}

#[test]
fn accounts_are_made_shown_changed_and_removed() {
    let herald = Herald::start();
    let new = |uid: &str| herald.api("POST", "/api/v1/users", Some(json!({"uid": uid, "password": "secret"})));
    let made = new("Alice");
    assert_eq!((made.status, made.headers["location"].as_str()), (201, "/api/v1/users/alice"), "{made:?}");
    assert_eq!(made.json, json!({"uid": "alice", "jid": "alice@localhost"}));
    refused(&new("alice"), 409, "user_exists");
    refused(&new("a b"), 422, "invalid");
    refused(&herald.api("POST", "/api/v1/users", Some(json!({"uid": "x", "password": ""}))), 422, "invalid");
    for uid in ["bob", "carol", "j\u{f6}rg", "o'neil-100%"] {
        let made = new(uid);
        if made.status == 201 {
            assert_eq!(herald.api("GET", &made.headers["location"], None).json["uid"], uid);
        } else {
            refused(&made, 422, "invalid"); // an apostrophe is not for localparts (RFC 7622 section 3.3.1)
            assert!(uid.contains('\''));
        }
    }
    let first = herald.api("GET", "/api/v1/users?limit=2", None).json;
    assert_eq!(first["users"], json!([made.json, {"uid": "bob", "jid": "bob@localhost"}]));
    assert_eq!((&first["next"], &first["total"]), (&json!("bob"), &json!(4)));
    let rest = herald.api("GET", "/api/v1/users?after=bob", None).json;
    assert_eq!((rest["users"].as_array().map(Vec::len), &rest["next"]), (Some(2), &Value::Null));

    let change = |uid: &str| herald.api("PUT", &format!("/api/v1/users/{uid}"), Some(json!({"password": "other"})));
    assert_eq!(change("alice").status, 200);
    refused(&change("nobody"), 404, "no_such_user");
    assert_eq!(herald.api("DELETE", "/api/v1/users/alice", None).status, 204);
    refused(&herald.api("DELETE", "/api/v1/users/alice", None), 404, "no_such_user");
}

#[test]
fn sendto_says_for_each_what_became_of_it() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    let mut desk = Client::login(&herald, "alice", "secret", "desk");
    let mut phone = Client::login(&herald, "alice", "secret", "phone");

    let answer = sendto(&herald, json!({"to": "alice", "body": "a < b"}));
    assert_eq!(
        answer.json["results"],
        json!([{"uid": "alice", "state": "delivered", "sessions": 2, "stored": false, "id": null, "repeated": false}])
    );
    for client in [&mut desk, &mut phone] {
        let got = client.expect("</message>");
        assert!(got.contains("<body>a &lt; b</body>") && got.contains("localhost"), "{got}");
    }

    let many = json!({"to": ["bob", "alice", "nobody"], "body": "all", "id": "n1", "from": "shop@localhost"});
    let answer = sendto(&herald, many);
    assert_eq!(states(&answer), [pair("bob", "stored"), pair("alice", "delivered"), pair("nobody", "no_such_user")]);
    let stored = &answer.json["results"][0];
    assert_eq!((&stored["stored"], &stored["sessions"], &stored["id"]), (&json!(true), &json!(0), &json!(1)));
    let got = desk.expect("</message>");
    assert!(got.contains("n1") && got.contains("shop@localhost"), "{got}");

    let never = sendto(&herald, json!({"to": "bob", "body": "now or never", "store": "never"}));
    assert_eq!(states(&never), [pair("bob", "dropped")]);
    let later = sendto(&herald, json!({"to": "bob", "body": "later", "ttl_secs": 3600}));
    assert_eq!((states(&later), &later.json["results"][0]["id"]), (vec![pair("bob", "stored")], &json!(2)));
    assert_eq!(herald.api("GET", "/api/v1/users/bob", None).json["messages_waiting"], 2);
    let mut bob = Client::login(&herald, "bob", "secret", "desk");
    let got = bob.expect("<body>later</body>");
    assert!(got.contains("<body>all</body>") && !got.contains("never"), "{got}");
}

#[test]
fn sendto_takes_a_stanza_as_strictly_as_from_a_client() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let mut alice = Client::login(&herald, "alice", "secret", "desk");
    let stanza = "<message type='headline' to='evil@localhost' id='h1'><x xmlns='urn:example:x' k='1'/></message>";
    assert_eq!(states(&sendto(&herald, json!({"to": "alice", "stanza": stanza}))), [pair("alice", "delivered")]);
    let got = alice.expect("</message>");
    assert!(got.contains("urn:example:x") && got.contains("h1") && !got.contains("evil"), "{got}");

    for bad in [
        "<presence/>",
        "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<message type='groupchat'/>",
        "<message",
        "<message/><message/>",
        "<message><!-- c --></message>",
        "<!DOCTYPE m [<!ENTITY e 'x'>]><message>&e;</message>",
        "<x:message/>",
        "<message xmlns='jabber:server'/>",
    ] {
        refused(&sendto(&herald, json!({"to": "alice", "stanza": bad})), 422, "invalid_stanza");
    }
    for bad in [
        json!({"to": "alice"}),
        json!({"to": "alice", "body": "x", "stanza": "<message/>"}),
        json!({"to": "alice", "stanza": "<message/>", "type": "chat"}),
        json!({"to": [], "body": "x"}),
        json!({"to": ["alice", "alice"], "body": "x"}),
        json!({"to": (0..1001).map(|n| format!("u{n}")).collect::<Vec<_>>(), "body": "x"}),
        json!({"to": "alice", "body": "\u{7}"}),
        json!({"to": "alice", "body": "x", "from": "@"}),
        json!({"to": "alice", "body": "x", "id": ""}),
        json!({"to": "alice", "body": "x", "ttl_secs": 0}),
        json!({"to": "alice", "body": "x", "store": "never", "ttl_secs": 9}),
    ] {
        refused(&sendto(&herald, bad), 422, "invalid");
    }
}

#[test]
fn presence_and_sessions_say_who_is_there() {
    let herald = Herald::start();
    for uid in ["alice", "bob", "carol"] {
        herald.user(uid, "secret");
    }
    let mut desk = Client::login(&herald, "alice", "secret", "desk");
    desk.send("<presence><show>away</show><status>tea &amp; cake</status><priority>7</priority></presence>");
    desk.send("<iq type='get' id='again'><ping xmlns='urn:xmpp:ping'/></iq>");
    desk.expect("again");
    let _bob = Client::login(&herald, "bob", "secret", "phone");
    let answer = herald.api("GET", "/api/v1/presence?uid=bob&uid=alice&uid=carol&uid=nobody", None);
    let results = answer.json["results"].as_array().expect("results");
    let online: Vec<(&str, bool)> =
        results.iter().map(|r| (r["uid"].as_str().expect("a uid"), r["online"] == true)).collect();
    assert_eq!(online, [("bob", true), ("alice", true), ("carol", false), ("nobody", false)]);
    let alice = &results[1]["resources"][0];
    assert_eq!((&alice["resource"], &alice["priority"]), (&json!("desk"), &json!(7)));
    assert_eq!((&alice["show"], &alice["status"]), (&json!("away"), &json!("tea & cake")));
    assert_eq!(
        (&alice["transport"], &alice["secure"], &alice["peer"]),
        (&json!("tcp"), &json!(false), &json!("127.0.0.1"))
    );
    refused(&herald.api("GET", "/api/v1/presence", None), 422, "invalid");
    refused(&herald.api("GET", "/api/v1/presence?uid=a@b@c", None), 422, "invalid");
    let query = |n: usize| format!("/api/v1/presence?{}", (0..n).map(|i| format!("uid=u{i}&")).collect::<String>());
    assert_eq!(herald.api("GET", query(1000).trim_end_matches('&'), None).status, 200);
    refused(&herald.api("GET", query(1001).trim_end_matches('&'), None), 422, "invalid");

    let jids = |path: &str| -> Vec<String> {
        let page = herald.api("GET", path, None).json;
        let sessions = page["sessions"].as_array().expect("sessions");
        sessions.iter().map(|s| s["jid"].as_str().expect("a JID").to_owned()).collect()
    };
    assert_eq!(jids("/api/v1/sessions"), ["alice@localhost/desk", "bob@localhost/phone"]);
    assert_eq!(jids("/api/v1/sessions?limit=1"), ["alice@localhost/desk"]);
    assert_eq!(jids("/api/v1/sessions?after=alice@localhost/desk"), ["bob@localhost/phone"]);
    assert_eq!(jids("/api/v1/sessions?uid=bob"), ["bob@localhost/phone"]);
    assert!(jids("/api/v1/sessions?uid=carol").is_empty());
    let _other = Client::login(&herald, "bob", "secret", "desk");
    assert_eq!(jids("/api/v1/sessions?uid=bob&limit=1"), ["bob@localhost/desk"]);
    assert_eq!(jids("/api/v1/sessions?uid=bob&after=bob@localhost/desk"), ["bob@localhost/phone"]);
    let since = herald.api("GET", "/api/v1/sessions", None).json["sessions"][0]["since"].clone();
    assert!(since.as_str().is_some_and(|s| s.starts_with("20") && s.ends_with('Z')), "{since}");
}

#[test]
fn kick_ends_one_session_or_all_and_the_client_is_told_why() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let mut desk = Client::login(&herald, "alice", "secret", "desk");
    let mut phone = Client::login(&herald, "alice", "secret", "phone");
    let kick = |body: Value| herald.api("POST", "/api/v1/kick", Some(body));
    assert_eq!(kick(json!({"uid": "alice", "resource": "phone", "reason": "lost"})).json, json!({"kicked": 1}));
    let last = phone.expect_end();
    assert!(last.contains("policy-violation") && last.contains("lost"), "{last}");
    assert_eq!(kick(json!({"uid": "alice"})).json, json!({"kicked": 1}));
    desk.expect_end();
    assert_eq!(kick(json!({"uid": "alice"})).json, json!({"kicked": 0}));
    refused(&kick(json!({"uid": "alice", "resource": ""})), 422, "invalid");
}

#[test]
fn the_observer_sees_the_actor_of_a_user() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let _desk = Client::login(&herald, "alice", "secret", "desk");
    let seen = herald.api("GET", "/api/v1/actors", None).json;
    let actors = seen["actors"].as_array().expect("actors");
    let alice = actors.iter().find(|a| a["name"] == "alice@localhost").unwrap_or_else(|| panic!("{seen}"));
    assert!(alice["handled"].as_u64().is_some_and(|n| n > 0), "{seen}");
    assert_eq!(herald.api("GET", "/api/v1/actors?limit=0", None).status, 422);
}

/// Prometheus' text, as (name with labels) -> value; every line must be one.
fn numbers(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|e| panic!("{line}: {e}")))
        })
        .collect()
}

#[test]
fn metrics_count_what_happens() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let read = || numbers(&herald.http("GET", "/metrics", &[], "").text);
    let before = read();
    assert_eq!(before[r#"herald_sessions{transport="tcp"}"#], 0.0);
    let _desk = Client::login(&herald, "alice", "secret", "desk");
    sendto(&herald, json!({"to": "alice", "body": "x"}));
    let after = read();
    assert_eq!(after["herald_ready"], 1.0);
    assert_eq!(after[r#"herald_sessions{transport="tcp"}"#], 1.0);
    assert_eq!(after["herald_actors"], 1.0);
    assert_eq!(after[r#"herald_logins_total{result="ok"}"#], 1.0);
    assert!(after[r#"herald_stanzas_total{what="delivered"}"#] > before[r#"herald_stanzas_total{what="delivered"}"#]);
    assert!(after["process_resident_memory_bytes"] > 1e6);
}

#[test]
fn one_request_too_many_is_told_to_come_again() {
    let herald = Herald::start_with("[admin]\nrequests_max = 1");
    let mut slow = TcpStream::connect(herald.address("admin")).expect("it accepts");
    slow.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let body = r#"{"to":["nobody"],"body":"x"}"#;
    let head = format!(
        "POST /api/v1/sendto HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        herald.token(),
        body.len()
    );
    slow.write_all(head.as_bytes()).expect("it reads");
    // The server has it in work as soon as the metrics say so: they are never refused.
    let in_work = || numbers(&herald.http("GET", "/metrics", &[], "").text)["herald_api_requests_in_work"];
    assert!((0..10_000).any(|_| in_work() >= 2.0), "the request is not in work");
    let answer = herald.api("GET", "/api/v1/users", None);
    refused(&answer, 429, "busy");
    assert_eq!(answer.headers["retry-after"], "1");
    slow.write_all(body.as_bytes()).expect("it reads on");
    assert!(read_all(&mut slow).starts_with("HTTP/1.1 200"));
}
