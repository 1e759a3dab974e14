//! The calls of ejabberd: names, arguments, shapes, errors. `ejabberd_real.rs` asks a real ejabberd the same.

use crate::support::client::Client;
use crate::support::{Answer, Herald};
use serde_json::{Value, json};

/// Asks a command of ours.
pub fn ask(herald: &Herald, command: &str, arguments: &Value) -> Answer {
    herald.api("POST", &format!("/api/{command}"), Some(arguments.clone()))
}

/// A type of JSON with the names in it: `{"a":number}`, `[string]`. What is not a shape is `null`.
pub fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(all) => format!("[{}]", all.first().map(shape).unwrap_or_default()),
        Value::Object(members) => {
            let mut members: Vec<String> = members.iter().map(|(n, v)| format!("{n}:{}", shape(v))).collect();
            members.sort();
            format!("{{{}}}", members.join(","))
        }
    }
}

/// Calls whose whole answer is the same on every server: command, arguments, status, body. They are asked in their
/// order of a server without accounts. Recorded from ejabberd 23.01, and compared with it where there is one.
pub fn transcript() -> Vec<(&'static str, Value, u16, Value)> {
    let alice = || json!({"user": "alice", "host": "localhost"});
    let nobody = || json!({"user": "nobody", "host": "localhost"});
    let message = |to: &str, subject: &str| json!({"type": "chat", "from": "bob@localhost", "to": to, "subject": subject, "body": "hi"});
    let error = |code: u32, message: &str| json!({"status": "error", "code": code, "message": message});
    vec![
        ("check_account", alice(), 200, json!(1)),
        (
            "register",
            json!({"user": "alice", "host": "localhost", "password": "secret"}),
            200,
            json!("User alice@localhost successfully registered"),
        ),
        (
            "register",
            json!({"user": "alice", "host": "localhost", "password": "secret"}),
            409,
            error(10090, "User alice@localhost already registered"),
        ),
        (
            "register",
            json!({"user": "bob", "host": "localhost"}),
            400,
            json!("Request have missing argument: password"),
        ),
        (
            "register",
            json!({"user": "bob", "host": "localhost", "password": "x", "more": 1}),
            400,
            json!("Request have unknown arguments: [more]"),
        ),
        (
            "register",
            json!({"user": 7, "host": "localhost", "password": "x"}),
            400,
            json!("Arg 7 is not in format binary"),
        ),
        ("register", json!([]), 400, json!("Request have missing argument: user")),
        ("check_account", alice(), 200, json!(0)),
        ("check_account", json!({"user": "a b", "host": "localhost"}), 200, json!(1)),
        ("check_account", json!({"user": "alice", "host": "elsewhere"}), 200, json!(1)),
        ("change_password", json!({"user": "alice", "host": "localhost", "newpass": "other"}), 200, json!(0)),
        ("change_password", json!({"user": "nobody", "host": "localhost", "newpass": "x"}), 404, json!("unknown_user")),
        ("change_password", json!({"user": "alice", "host": "elsewhere", "newpass": "x"}), 404, json!("unknown_user")),
        (
            "change_password",
            json!({"user": "alice", "host": "localhost", "newpass": ""}),
            400,
            json!("invalid_password"),
        ),
        ("get_offline_count", alice(), 200, json!({"value": 0})),
        ("get_offline_count", json!({"user": "alice", "server": "localhost"}), 200, json!({"value": 0})),
        ("get_presence", alice(), 200, json!({"jid": "alice@localhost", "show": "unavailable", "status": ""})),
        (
            "get_presence",
            json!({"user": "alice", "server": "localhost"}),
            200,
            json!({"jid": "alice@localhost", "show": "unavailable", "status": ""}),
        ),
        ("num_resources", alice(), 200, json!({"resources": 0})),
        ("num_resources", json!({"user": "alice", "host": "elsewhere"}), 200, json!({"resources": 0})),
        ("user_resources", alice(), 200, json!([])),
        ("user_sessions_info", alice(), 200, json!([])),
        ("connected_users", json!({}), 200, json!([])),
        ("connected_users_info", json!({}), 200, json!([])),
        ("status_num", json!({"status": "all"}), 200, json!({"users": 0})),
        ("kick_user", alice(), 200, json!({"num_resources": 0})),
        ("kick_session", json!({"user": "alice", "host": "localhost", "resource": "x", "reason": "y"}), 200, json!(0)),
        ("stats", json!({"name": "registeredusers"}), 200, json!({"stat": 1})),
        ("stats", json!({"name": "onlineusers"}), 200, json!({"stat": 0})),
        ("stats", json!({"name": "onlineusersnode"}), 200, json!({"stat": 0})),
        ("send_message", message("alice@localhost", ""), 200, json!(0)),
        ("send_message", message("alice@localhost", "S"), 200, json!(0)),
        (
            "send_message",
            json!({"type": "chat", "from": "@@", "to": "alice@localhost", "subject": "", "body": "hi"}),
            400,
            json!("Bad value of attribute 'from' in tag <message/> qualified by namespace 'jabber:client'"),
        ),
        (
            "send_stanza",
            json!({"from": "bob@localhost", "to": "alice@localhost", "stanza": "<message type='chat'><body>x</body></message>"}),
            200,
            json!(0),
        ),
        (
            "send_stanza",
            json!({"from": "bob@localhost", "to": "@", "stanza": "<message/>"}),
            400,
            json!("JID malformed"),
        ),
        ("get_offline_count", alice(), 200, json!({"value": 3})),
        ("nothing_here", json!({}), 404, error(40, "Endpoint not found.")),
        ("unregister", nobody(), 200, json!("")),
        ("unregister", json!({"user": "nobody", "host": "elsewhere"}), 400, json!("Unknown virtual host")),
        ("unregister", alice(), 200, json!("")),
        ("check_account", alice(), 200, json!(1)),
    ]
}

/// Calls about a user with the resource `desk`, whose answers differ in times and ports: command, arguments, shape.
pub fn shapes() -> Vec<(&'static str, Value, &'static str)> {
    let alice = || json!({"user": "alice", "host": "localhost"});
    const SESSION: &str = "connection:string,ip:string";
    const REST: &str =
        "node:string,port:number,priority:number,resource:string,status:string,statustext:string,uptime:number";
    let session: &'static str = Box::leak(format!("[{{{SESSION},{REST}}}]").into_boxed_str());
    let connected: &'static str = Box::leak(format!("[{{{SESSION},jid:string,{REST}}}]").into_boxed_str());
    vec![
        ("num_resources", alice(), "{resources:number}"),
        ("user_resources", alice(), "[string]"),
        ("user_sessions_info", alice(), session),
        ("connected_users", json!({}), "[string]"),
        ("connected_users_info", json!({}), connected),
        ("get_presence", alice(), "{jid:string,show:string,status:string}"),
        ("get_last", alice(), "{status:string,timestamp:string}"),
        ("get_offline_count", alice(), "{value:number}"),
        ("status_num", json!({"status": "dnd"}), "{users:number}"),
        ("stats", json!({"name": "uptimeseconds"}), "{stat:number}"),
        ("stats", json!({"name": "processes"}), "{stat:number}"),
        ("kick_user", alice(), "{num_resources:number}"),
    ]
}

/// What a client says to be seen as busy.
pub const BUSY: &str = "<presence><show>dnd</show><status>Busy</status><priority>3</priority></presence>\
                        <iq type='get' id='busy'><ping xmlns='urn:xmpp:ping'/></iq>";

#[test]
fn every_call_answers_as_ejabberd_does() {
    let herald = Herald::start();
    for (command, arguments, status, body) in transcript() {
        let answer = ask(&herald, command, &arguments);
        assert_eq!((answer.status, &answer.json), (status, &body), "{command} {arguments}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
    }
}

#[test]
fn a_user_who_is_there_is_shown_as_ejabberd_shows_one() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let mut desk = Client::login(&herald, "alice", "secret", "desk");
    desk.send(BUSY);
    desk.expect("'busy'");
    let _phone = Client::login(&herald, "alice", "secret", "phone");
    let _silent = Client::bind(&herald, "alice", "secret", "silent");
    let alice = json!({"user": "alice", "host": "localhost"});
    for (command, arguments, wanted) in shapes().into_iter().filter(|(command, ..)| *command != "kick_user") {
        let answer = ask(&herald, command, &arguments);
        assert_eq!((answer.status, shape(&answer.json).as_str()), (200, wanted), "{command} {arguments}: {answer:?}");
    }
    let said = |command: &str, arguments: &Value| ask(&herald, command, arguments).json;
    assert_eq!(said("user_resources", &alice), json!(["desk", "phone", "silent"]));
    assert_eq!(said("get_presence", &alice), json!({"jid": "alice@localhost/desk", "show": "dnd", "status": "Busy"}));
    assert_eq!(said("get_last", &alice)["status"], "ONLINE");
    let sessions = said("user_sessions_info", &alice);
    let desk_info = &sessions[0];
    assert_eq!(
        (&desk_info["connection"], &desk_info["ip"], &desk_info["priority"], &desk_info["status"]),
        (&json!("c2s"), &json!("127.0.0.1"), &json!(3), &json!("dnd"))
    );
    assert_eq!((&sessions[2]["priority"], &sessions[2]["status"]), (&json!(-1), &json!("unavailable")));
    for (status, n) in [("all", 3), ("dnd", 1), ("available", 1), ("unavailable", 1), ("offline", 0)] {
        assert_eq!(said("status_num", &json!({"status": status})), json!({"users": n}), "{status}");
    }
    // Later versions of ejabberd's API answer numbers bare, and words where sessions are kicked.
    assert_eq!(said("num_resources/v1", &alice), json!(3));
    let get = herald.api("GET", "/api/status_num/v2?status=all", None);
    assert_eq!((get.status, &get.json), (200, &json!(3)));
    let full = json!({"type": "headline", "from": "bob@localhost", "to": "alice@localhost/desk", "subject": "S", "body": "a<b"});
    assert_eq!(said("send_message", &full), json!(0));
    let got = desk.expect("</message>");
    assert!(got.contains("headline") && got.contains("<subject>S</subject><body>a&lt;b</body>"), "{got}");
    let presence =
        json!({"from": "carol@localhost/x", "to": "alice@localhost", "stanza": "<presence type='subscribe'/>"});
    assert_eq!(said("send_stanza", &presence), json!(0));
    desk.expect("type='subscribe'");
    let one = json!({"user": "alice", "host": "localhost", "resource": "desk", "reason": "gone home"});
    assert_eq!(said("kick_session", &one), json!(0));
    assert!(desk.expect_end().contains("gone home"));
    assert_eq!(said("kick_user/v2", &alice), json!("Kicked sessions: 2"));
    assert_eq!(said("num_resources", &alice), json!({"resources": 0}));
    assert_ne!(said("get_last", &alice)["status"], "ONLINE");
}

#[test]
fn refusals_and_ways_in_are_ejabberds_too() {
    let herald = Herald::start();
    let token = herald.token();
    let error = |answer: &Answer, status: u16, code: u32| {
        assert_eq!(
            (answer.status, &answer.json["status"], &answer.json["code"]),
            (status, &json!("error"), &json!(code))
        );
        assert!(answer.json["message"].is_string(), "{answer:?}");
    };
    error(&herald.http("POST", "/api/stats", &[], "{}"), 401, 10);
    error(&herald.http("GET", "/api/nothing_here", &[], ""), 401, 10);
    use base64::Engine;
    let basic = |pass: &str| {
        let both = base64::prelude::BASE64_STANDARD.encode(format!("admin@localhost:{pass}"));
        // No type of content is asked for: many callers say none, or a wrong one.
        herald.http("POST", "/api/connected_users", &[("authorization", &format!("Basic {both}"))], "{}")
    };
    assert_eq!((basic(&token).status, &basic(&token).json), (200, &json!([])));
    error(&basic("wrong"), 401, 10);
    let both = base64::prelude::BASE64_STANDARD.encode(format!("admin:{token}"));
    let ours = herald.http("GET", "/api/v1/users", &[("authorization", &format!("Basic {both}"))], "");
    assert_eq!(ours.status, 401, "only there: {ours:?}");
    let post =
        |command: &str, body: &str| herald.http("POST", &format!("/api/{command}"), &[("x-api-key", &token)], body);
    for (body, words) in [
        ("", "Missing POST data"),
        ("{", "Invalid JSON input"),
        (r#"{"name":"a","name":"b"}"#, "Request have duplicate argument: name"),
        (r#"{"name":"nothing"}"#, "unknown_statistic"),
    ] {
        let answer = post("stats", body);
        assert_eq!((answer.status, &answer.json), (400, &json!(words)), "{body}");
    }
    assert_eq!(post("connected_users", "\n").json, json!([]));
    error(&herald.http("GET", "/api/unregister?user=a&host=localhost", &[("x-api-key", &token)], ""), 405, 0);
    let long = format!(r#"{{"user":"{}","host":"localhost","password":"x"}}"#, "a".repeat(1_100));
    error(&post("register", &long), 400, 10001);
    error(&post("register", r#"{"user":"a","host":"elsewhere","password":"x"}"#), 400, 10001);
}
