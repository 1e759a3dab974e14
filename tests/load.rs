//! The load generator against a real server: it holds sessions, counts messages, and says what went wrong.

mod support;

use serde_json::Value;
use std::process::{Command, Output};
use support::{Herald, built};

const USERS: u32 = 24;
const TRANSPORTS: [(&str, &str); 7] = [
    ("tcp", "xmpp"),
    ("starttls", "xmpp"),
    ("tls", "xmpps"),
    ("ws", "http"),
    ("wss", "https"),
    ("bosh", "http"),
    ("boshs", "https"),
];

fn herald() -> Herald {
    let herald = Herald::start();
    let lines: String = (0..USERS).map(|n| format!("u{n},secret-{n}\n")).collect();
    let out = herald.run(&["user", "import", "-"], &lines);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    herald
}

/// Runs the tool against a listener; what it says, and its results.
fn load(herald: &Herald, what: &str, transport: &str, listener: &str, more: &[&str]) -> (Output, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("results.json");
    let out = Command::new(built::program("herald-load"))
        .args([what, "--transport", transport, "--domain", "localhost", "--insecure"])
        .args(["--to", &herald.address(listener).to_string(), "--password", "secret-{n}"])
        .args(["--pid", &herald.pid().to_string()])
        .arg("--json")
        .arg(&json)
        .args(more)
        .output()
        .expect("it starts");
    let results = std::fs::read_to_string(&json).unwrap_or_default();
    (out, serde_json::from_str(&results).unwrap_or_default())
}

#[track_caller]
fn went_well(transport: &str, out: &Output) {
    let said = [&out.stdout[..], &out.stderr].concat();
    assert!(out.status.success(), "{transport}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn sessions_are_held_over_every_transport() {
    let herald = herald();
    for (transport, listener) in TRANSPORTS {
        let more = ["--sessions", &USERS.to_string(), "--seconds", "0", "--workers", "2"];
        let (out, results) = load(&herald, "hold", transport, listener, &more);
        went_well(transport, &out);
        assert_eq!((&results["ready"], &results["workers"]), (&USERS.into(), &2.into()), "{transport}");
        assert!(results["server_bytes_after"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{transport}");
    }
}

#[test]
fn pairs_write_to_each_other_and_every_message_is_counted() {
    let herald = herald();
    for (transport, listener) in [("tcp", "xmpp"), ("ws", "http"), ("bosh", "http"), ("boshs", "https")] {
        let more = ["--pairs", "12", "--outstanding", "3", "--seconds", "1", "--warm-up", "0", "--sasl", "plain"];
        let (out, results) = load(&herald, "chat", transport, listener, &more);
        went_well(transport, &out);
        let count = &results["count"];
        assert!(count["sent"].as_u64().is_some_and(|sent| sent > 36), "{transport}: {count}");
        assert_eq!(count["sent"], count["received"], "{transport}");
        assert!(results["latency"]["p99"].as_f64().is_some_and(|p99| p99 > 0.0), "{transport}: {results}");
    }
}

#[test]
fn what_went_wrong_is_said_with_what_to_do() {
    let herald = herald();
    let (out, results) = load(&herald, "hold", "bosh", "http", &["--users", "nobody{n}", "--sessions", "2"]);
    assert_eq!((out.status.code(), &results["failed"]), (Some(1), &2.into()));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("not-authorized") && said.contains("--password"), "{said}");
}

#[test]
fn each_message_is_told_to_programs() {
    use std::io::{BufRead, BufReader};
    let herald = herald();
    let mut child = Command::new(built::program("herald-load"))
        .args(["hold", "--transport", "ws", "--domain", "localhost", "--password", "secret-{n}", "--events"])
        .args(["--sessions", "4", "--first", "3", "--to", &herald.address("http").to_string()])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut events = lines.map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON"));
    events.find(|event| event["status"]["ready"] == 4).expect("all are there");
    let said = herald.api("POST", "/api/v1/sendto", Some(serde_json::json!({ "to": "u5", "body": "a < b" })));
    assert_eq!(said.status, 200, "{said:?}");
    let told = events.find(|event| !event["message"].is_null()).expect("it came");
    assert_eq!((&told["message"]["user"], &told["message"]["body"]), (&5.into(), &"a < b".into()));
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}
