//! The files that come with the server, and the demo's calls with their guards.

mod support;

use serde_json::{Value, json};
use support::Herald;
use support::page::{Page, WAYS};
use support::websocket::WebSocket;

/// One request on a connection of its own: the whole answer.
fn ask(herald: &Herald, first: &str, fields: &str, body: &str) -> String {
    let mut connection = WebSocket::connect(herald, "http");
    let length = body.len();
    let request = format!("{first} HTTP/1.1\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    connection.send_raw(request.as_bytes());
    connection.rest_of_http()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

/// What the demo's own page sends along.
fn own(herald: &Herald) -> String {
    let host = format!("localhost:{}", herald.address("http").port());
    format!("Host: {host}\r\nOrigin: http://{host}\r\n")
}

#[test]
fn files_have_their_type_and_are_asked_for_again() {
    let herald = Herald::start();
    for (path, content_type, has) in [
        ("/herald.js", "text/javascript", "connect"),
        ("/", "text/html", "/demo.js"),
        ("/demo.js", "text/javascript", "/demo/start"),
        ("/demo.css", "text/css", "{"),
        ("/line.js", "text/javascript", "export"),
        ("/icon.svg", "image/svg+xml", "<svg"),
        ("/favicon.ico", "image/svg+xml", "<svg"),
    ] {
        let answer = ask(&herald, &format!("GET {path}"), "Host: localhost\r\n", "");
        assert_eq!(status(&answer), "200", "{path}: {answer}");
        assert!(answer.contains(&format!("\r\nContent-Type: {content_type}")), "{path}: {answer}");
        assert!(answer.contains("\r\nCache-Control: no-cache\r\n") && !answer.contains("no-store"), "{path}");
        assert!(answer.contains(has), "{path}: {answer}");
        let etag = answer.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("an ETag");
        let again = ask(&herald, &format!("GET {path}"), &format!("If-None-Match: \"x\", {etag}\r\n"), "");
        assert_eq!((status(&again), again.split_once("\r\n\r\n").map(|(_, body)| body)), ("304", Some("")), "{again}");
        let other = ask(&herald, &format!("GET {path}"), "If-None-Match: \"x\"\r\n", "");
        assert_eq!(status(&other), "200");
        let head = ask(&herald, &format!("HEAD {path}"), "", "");
        assert!(status(&head) == "200" && head.ends_with("\r\n\r\n"), "{head}");
    }
    assert_eq!(status(&ask(&herald, "GET /herald.j", "", "")), "404");
    assert_eq!(status(&ask(&herald, "POST /herald.js", "", "")), "405");
}

#[test]
fn two_people_who_know_each_other() {
    let herald = Herald::start();
    let started = ask(&herald, "POST /demo/start", &own(&herald), "");
    assert_eq!(status(&started), "200", "{started}");
    let started = body(&started);
    let [ada, ben] = [0, 1].map(|at| started["people"][at].clone());
    assert_eq!((&ada["name"], &ben["name"]), (&json!("Ada"), &json!("Ben")));
    let mut pages: Vec<Page> = [&ada, &ben]
        .into_iter()
        .zip(WAYS)
        .map(|(who, way)| Page::enter(&herald, way, json!({ "uid": who["uid"], "token": who["token"] })).0)
        .collect();
    let seen = pages[0].expect("presence");
    assert_eq!((&seen["uid"], &seen["online"]), (&ben["uid"], &json!(true)), "each sees the other's dot");
    for (page, who) in pages.iter_mut().zip([&ada, &ben]) {
        let call = json!({ "uid": who["uid"], "body": "Your parcel is <here>" }).to_string();
        let sent = body(&ask(&herald, "POST /demo/sendto", &own(&herald), &call));
        assert_eq!((&sent["results"][0]["uid"], &sent["results"][0]["sessions"]), (&who["uid"], &json!(1)), "{sent}");
        assert_eq!(page.expect("message")["body"], "Your parcel is <here>");
    }
    let again = body(&ask(&herald, "POST /demo/start", &own(&herald), ""));
    assert_ne!(again["people"][0]["uid"], ada["uid"], "another visitor has others");
}

#[test]
fn nobody_but_the_page_on_this_machine_is_answered() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let host = format!("localhost:{}", herald.address("http").port());
    let own = own(&herald);
    for fields in [
        String::new(),
        format!("Host: {host}\r\n"),
        format!("Origin: http://{host}\r\n"),
        "Host: demo.example\r\nOrigin: http://demo.example\r\n".into(),
        format!("Host: {host}\r\nOrigin: http://evil.example\r\n"),
        format!("Host: {host}\r\nOrigin: null\r\n"),
        format!("Host: {host}\r\nOrigin: http://localhost:1\r\n"),
        format!("Host: {host}\r\nHost: {host}\r\nOrigin: http://{host}\r\n"),
        format!("{own}X-Forwarded-For: 127.0.0.1\r\n"),
        format!("{own}X-Forwarded-Host: localhost\r\n"),
        format!("{own}Forwarded: for=127.0.0.1\r\n"),
        format!("{own}Via: 1.1 proxy\r\n"),
    ] {
        for call in ["POST /demo/start", "POST /demo/sendto"] {
            let answer = ask(&herald, call, &fields, "");
            assert_eq!(status(&answer), "403", "{fields}: {answer}");
            assert!(body(&answer)["error"].is_string());
        }
    }
    assert_eq!(herald.api("GET", "/api/v1/users", None).json["users"].as_array().map(Vec::len), Some(1));
    for (call, wanted) in [
        (json!({ "uid": "alice", "body": "x" }), "400"),
        (json!({ "uid": "nobody", "body": "x" }), "400"),
        (json!({ "uid": "@", "body": "x" }), "400"),
        (json!({ "uid": "alice" }), "400"),
        (json!([]), "400"),
    ] {
        assert_eq!(status(&ask(&herald, "POST /demo/sendto", &own, &call.to_string())), wanted, "{call}");
    }
    assert_eq!(status(&ask(&herald, "GET /demo/start", &own, "")), "405");
    assert_eq!(status(&ask(&herald, "POST /demo/other", &own, "")), "404");
}

#[test]
fn what_is_switched_off_is_not_there() {
    let herald = Herald::start_with("[http]\ndemo = \"off\"\n");
    assert_eq!(status(&ask(&herald, "POST /demo/start", &own(&herald), "")), "403");
    assert_eq!(status(&ask(&herald, "GET /", "", "")), "404");
    assert_eq!(status(&ask(&herald, "GET /herald.js", "", "")), "200");
}
