//! Redis Streams.

use crate::scene::{self, Killed, ROUNDS, USERS, block_on, body, name};
use crate::support::Home;
use crate::support::servers::Redis;
use ::redis::{Client, RedisResult, cmd, pipe};
use std::sync::mpsc::Sender;

const CONNECTED: &str = "herald_ingest_connected{source=\"redis\"}";

fn section(redis: &Redis, more: &str) -> String {
    format!("[ingest.redis]\nurl = '{}'\n{more}", redis.url())
}

#[test]
fn nothing_is_lost_or_doubled_when_either_is_killed() {
    let Some(redis) = Redis::start() else { return };
    let mut herald = scene::herald(&section(&redis, "delete = true\n"));
    let redis = Killed::new(redis);
    let kill = |redis: &mut Redis| {
        redis.kill();
        redis.restart();
    };
    scene::with_kills(&mut herald, &redis, kill, |redis, tell| block_on(publish(redis, tell)));
    let left = || -> (u64, u64) {
        ask(&redis.there(), |client| {
            let mut c = client.get_connection()?;
            Ok((cmd("XLEN").arg("herald").query(&mut c)?, cmd("EXISTS").arg("herald.dead").query(&mut c)?))
        })
    };
    scene::assert_all_came(&herald, || left() == (0, 0));
}

/// Each round in one transaction, under ids of our own: what was added already is refused a second time.
async fn publish(redis: &Killed<Redis>, tell: Sender<usize>) {
    let mut round = 0;
    while round <= ROUNDS {
        let client = Client::open(redis.there().url()).expect("an address");
        let Ok(mut connection) = client.get_multiplexed_async_connection().await else { continue };
        while round <= ROUNDS {
            let mut add = pipe();
            add.atomic();
            for user in 0..USERS {
                add.cmd("XADD").arg("herald").arg(format!("{}-{user}", round + 1));
                add.arg("uid").arg(name(user)).arg("body").arg(body(round, user)).ignore();
            }
            match add.query_async::<()>(&mut connection).await {
                Ok(()) => {}
                Err(e) if e.to_string().contains("equal or smaller") => {} // it was there before the cut
                Err(_) => break,
            }
            let _ = tell.send(round);
            round += 1;
        }
    }
}

#[test]
fn what_cannot_be_carried_out_goes_to_the_other_stream_with_the_reason() {
    let Some(redis) = Redis::start() else { return };
    let herald = scene::herald(&section(&redis, ""));
    scene::until(&herald, CONNECTED, |n| n == 1);
    ask(&redis, |client| {
        let mut add = pipe();
        for fields in [
            &["uid", "nobody", "body", "hello"][..],
            &["sendto", "no json"],
            &["uid", "user0", "text", "what is this"],
            &["sendto", r#"{"to": ["user0", "user1"], "body": "one"}"#],
            &["uid", "user0", "json", r#"{"n": 2}"#],
            &["uid", "user0", "body", "the end"],
            &["uid", "user1", "body", "the end"],
        ] {
            add.cmd("XADD").arg("herald").arg("*").arg(fields).ignore();
        }
        add.query::<()>(&mut client.get_connection()?)
    });
    scene::until(&herald, "herald_ingest_messages_total{source=\"redis\",what=\"done\"}", |n| n == 4);
    scene::until(&herald, "herald_ingest_in_flight{source=\"redis\"}", |n| n == 0);
    assert_eq!(scene::kept(&herald, "user0", "the end"), ["one", "the end"]);
    assert_eq!(scene::kept(&herald, "user1", "the end"), ["one", "the end"]);
    let dead: Vec<(String, Vec<(String, String)>)> =
        ask(&redis, |client| cmd("XRANGE").arg("herald.dead").arg("-").arg("+").query(&mut client.get_connection()?));
    let mut told: Vec<String> = dead
        .iter()
        .map(|(_, fields)| {
            let fields = fields.iter().filter(|(name, _)| name != "herald_id");
            fields.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        })
        .collect();
    told.sort();
    expect_test::expect![[r#"
        sendto=no json herald_reason=it is no JSON: expected ident at line 1 column 2
        uid=nobody body=hello herald_reason=no_such_user for "nobody"
        uid=user0 text=what is this herald_reason=it must have the fields uid and body, or uid and json, or sendto"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn no_more_is_taken_than_there_is_room_for_and_nothing_overtakes() {
    let Some(redis) = Redis::start() else { return };
    let more = "in_flight_max = 8\ntries_max = 1000\n[offline]\nmessages_max = 3\n";
    let home = Home::new(&section(&redis, more));
    home.user("user0", "secret");
    let herald = home.start();
    ask(&redis, |client| {
        let mut add = pipe();
        for n in 0..40 {
            add.cmd("XADD").arg("herald").arg("*").arg("uid").arg("user0").arg("body").arg(n).ignore();
        }
        add.query::<()>(&mut client.get_connection()?)
    });
    scene::until(&herald, "herald_ingest_messages_total{source=\"redis\",what=\"retried\"}", |n| n > 0);
    scene::until(&herald, "herald_ingest_in_flight{source=\"redis\"}", |n| n == 8);
    let (pending, ..): (u64, String, String, Vec<(String, String)>) =
        ask(&redis, |client| cmd("XPENDING").arg("herald").arg("herald").query(&mut client.get_connection()?));
    assert_eq!(pending, 8);
    let wanted: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(scene::kept(&herald, "user0", "39"), wanted);
}

#[test]
fn who_never_has_room_is_given_up_and_holds_nobody_up_again() {
    let Some(redis) = Redis::start() else { return };
    let home = Home::new(&section(&redis, "in_flight_max = 2\ntries_max = 3\n[offline]\nmessages_max = 1\n"));
    (0..2).for_each(|user| home.user(&name(user), "secret"));
    let herald = home.start();
    ask(&redis, |client| {
        let mut add = pipe();
        for n in 0..20 {
            add.cmd("XADD").arg("herald").arg("*").arg("uid").arg("user0").arg("body").arg(n).ignore();
        }
        add.cmd("XADD").arg("herald").arg("*").arg("uid").arg("user1").arg("body").arg("the end").ignore();
        add.query::<()>(&mut client.get_connection()?)
    });
    scene::until(&herald, "herald_ingest_messages_total{source=\"redis\",what=\"done\"}", |n| n == 2);
    // The first one that found no room was tried three times, the others once.
    assert_eq!(scene::metric(&herald, "herald_ingest_messages_total{source=\"redis\",what=\"retried\"}"), 2);
    assert_eq!(scene::metric(&herald, "herald_ingest_messages_total{source=\"redis\",what=\"dead\"}"), 19);
    assert_eq!(scene::kept(&herald, "user1", "the end"), ["the end"]);
    assert_eq!(scene::kept(&herald, "user0", "0"), ["0"]);
}

#[test]
fn a_wrong_password_is_told_without_it_and_a_right_one_is_taken_when_it_is_there() {
    let Some(redis) = Redis::start_with_password("credible") else { return };
    let home = Home::new("");
    let file = home.path().join("password");
    std::fs::write(&file, "unbelievable\n").expect("a file");
    let config = std::fs::read_to_string(home.config_file()).expect("it is there");
    let more =
        format!("[ingest.redis]\nurl = 'redis://127.0.0.1:{}/'\npassword_file = '{}'\n", redis.port(), file.display());
    std::fs::write(home.config_file(), config + &more).expect("a file");
    let herald = home.start();
    scene::until_logged(&herald, "ingest.redis: stream \"herald\" at");
    assert!(!herald.log().contains("unbelievable"), "the password is in the log");
    std::fs::write(&file, "credible\n").expect("a file");
    scene::until(&herald, CONNECTED, |n| n == 1);
}

fn ask<T>(redis: &Redis, what: impl FnOnce(&Client) -> RedisResult<T>) -> T {
    what(&Client::open(redis.url()).expect("an address")).expect("Redis answers")
}
