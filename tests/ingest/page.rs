//! docs/ingest.md: what stands there is what the tests do.

use crate::scene;
use crate::support::servers::{Rabbit, Redis};
use std::path::Path;
use std::process::Command;

/// The first block of this language.
pub fn snippet(language: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ingest.md")).expect("the page");
    let block = page.split_once(&format!("```{language}\n")).and_then(|(_, rest)| rest.split_once("```"));
    block.unwrap_or_else(|| panic!("no block of {language}")).0.to_owned()
}

/// The line that begins so, without that.
fn line(begins: &str) -> String {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ingest.md")).expect("the page");
    let line = page.lines().find_map(|line| line.strip_prefix(begins));
    line.unwrap_or_else(|| panic!("no line {begins:?}")).to_owned()
}

/// The words of a line, as a shell takes them.
fn words(line: &str) -> Vec<String> {
    let out = Command::new("sh").args(["-c", &format!("for w in {line}; do echo \"$w\"; done")]).output();
    String::from_utf8(out.expect("a shell").stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// What the page's lines make is enough.
pub fn rabbitmqctl_makes_a_user_who_may_do_what_is_needed(rabbit: &Rabbit) {
    for command in ["add_user ", "set_permissions "] {
        let all = command.to_owned() + &line(&format!("rabbitmqctl {command}"));
        rabbit.ctl(&words(&all).iter().map(String::as_str).collect::<Vec<_>>());
    }
    let herald = scene::herald(&format!("[ingest.amqp]\nurl = '{}'\n", rabbit.url("herald", "secret")));
    scene::until(&herald, "herald_ingest_connected{source=\"amqp\"}", |n| n == 1);
}

#[test]
fn redis_cli_adds_what_is_delivered() {
    let Some(redis) = Redis::start() else { return };
    let herald = scene::herald(&format!("[ingest.redis]\nurl = '{}'\n", redis.url()));
    let add = words(&line("redis-cli ").replace("alice", "user0"));
    let client = ::redis::Client::open(redis.url()).expect("an address");
    let mut command = ::redis::cmd(&add[0]);
    add[1..].iter().for_each(|word| drop(command.arg(word.as_str()).clone()));
    command.query::<String>(&mut client.get_connection().expect("it listens")).expect("it is added");
    assert_eq!(scene::kept(&herald, "user0", "Your order has left the house").len(), 1);
}
