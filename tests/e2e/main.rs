//! Real clients on a real server: Strophe.js in Chromium over BOSH and WebSocket, slixmpp over
//! STARTTLS and direct TLS, a backend with curl; and the examples. Nothing sleeps: every step waits
//! for what a client tells, within a limit.

mod bots;
mod clients;
mod hidden;
mod lossy;
mod needs;
mod network;
mod prebind;
mod proxies;
mod proxy;
mod reload;
mod scenes;
mod server;
#[path = "../support/mod.rs"]
mod support;

use clients::Client;
use needs::Needs;
use scenes::{Way, arrive};
use serde_json::json;
use std::path::PathBuf;
use std::thread;

#[test]
fn clients_of_every_kind_see_each_other_talk_and_are_reached_by_sendto() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, server) = server::herald(&["alice", "bob", "carol", "dave", "erin"]);
    let pairs = [(Way::Bosh, "alice", Way::StartTls, "bob"), (Way::WebSocket, "carol", Way::DirectTls, "dave")];
    thread::scope(|scope| {
        for (browser_way, browser_uid, desktop_way, desktop_uid) in pairs {
            let (needs, server) = (&needs, &server);
            scope.spawn(move || {
                let mut browser = arrive(needs, server, browser_way, browser_uid, "web");
                let mut desktop = arrive(needs, server, desktop_way, desktop_uid, "desk");
                scenes::subscribe_to_each_other(&mut browser, &mut desktop);
                scenes::talk(&mut browser, &mut desktop);
                scenes::come_and_go(needs, server, browser, desktop);
            });
        }
    });
    scenes::sendto(&needs, &server, "erin");
}

#[test]
fn the_web_chat_example_works() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, server) = server::herald(&["alice", "bob"]);
    let mut alice = Client::web_chat(&needs, "alice", server.http);
    let mut bob = Client::web_chat(&needs, "bob", server.http);
    let login =
        |user, transport| json!({"do": "login", "user": user, "password": server::PASSWORD, "transport": transport});
    alice.does(login("alice", "bosh"));
    bob.does(login("bob", "ws"));
    alice.does(json!({"do": "add", "user": "bob"}));
    bob.does(json!({"do": "accept", "jid": "alice@localhost"}));
    alice.does(json!({"do": "see", "jid": "bob@localhost", "state": "online"}));
    bob.does(json!({"do": "see", "jid": "alice@localhost", "state": "online"}));
    bob.does(json!({"do": "say", "jid": "alice@localhost", "body": "Did the new build go out?"}));
    alice.does(json!({"do": "read", "jid": "bob@localhost", "body": "Did the new build go out?"}));
    alice.does(json!({"do": "say", "jid": "bob@localhost", "body": "It did, ten minutes ago."}));
    bob.does(json!({"do": "read", "jid": "alice@localhost", "body": "It did, ten minutes ago."}));
    server.sendto("alice", "Maintenance tonight at 22:00.");
    alice.does(json!({"do": "notice", "body": "Maintenance tonight at 22:00."}));
    alice.does(json!({"do": "screenshot", "path": screenshot("web-chat.png"), "width": 1100, "height": 720}));
    bob.does(json!({"do": "screenshot", "path": screenshot("web-chat-phone.png"), "width": 390, "height": 780}));
    bob.does(json!({"do": "logout"}));
    alice.does(json!({"do": "see", "jid": "bob@localhost", "state": "offline"}));
}

#[test]
fn the_rust_echo_bot_answers() {
    let Some(needs) = Needs::all() else { return };
    echoes(&needs, bots::rust());
}

#[test]
fn the_python_echo_bot_answers() {
    let Some(needs) = Needs::all() else { return };
    echoes(&needs, bots::python(&needs));
}

fn echoes(needs: &Needs, bot: std::process::Command) {
    let (_herald, server) = server::herald(&["echo", "alice"]);
    let _bot = bots::Bot::start(bot, &server);
    let mut alice = arrive(needs, &server, Way::StartTls, "alice", "desk");
    // The bot lets anyone see it, and asks for the same in return.
    alice.client.tell(json!({"do": "subscribe", "to": "echo@localhost"}));
    alice.client.sees("echo@localhost", "subscribed");
    alice.client.tell(json!({"do": "send", "to": "echo@localhost", "prefix": "Är du där? <&> ", "count": 3}));
    let from =
        alice.client.expect("presence", |e| e["from"].as_str().is_some_and(|j| j.starts_with("echo@localhost/")));
    let from = from["from"].as_str().expect("it was one");
    let said: Vec<String> = (0..3).map(|n| format!("Är du där? <&> {n}")).collect();
    assert_eq!(alice.client.bodies(from, 3), said);
}

fn screenshot(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}
