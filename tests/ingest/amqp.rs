//! RabbitMQ.

use crate::scene::{self, Killed, ROUNDS, USERS, block_on, body, name};
use crate::support::Home;
use crate::support::servers::Rabbit;
use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, PublisherConfirm};
use std::sync::mpsc::Sender;
use std::thread;

const CONNECTED: &str = "herald_ingest_connected{source=\"amqp\"}";
const SAFE: u8 = 2; // delivery-mode: on disk before it is confirmed

#[test]
fn nothing_is_lost_or_doubled_when_either_is_killed() {
    let Some(rabbit) = Rabbit::start() else { return };
    let mut herald = scene::herald(&format!("[ingest.amqp]\nurl = '{}'\n", rabbit.url("guest", "guest")));
    scene::until(&herald, CONNECTED, |n| n == 1); // it has made exchange and queue
    let rabbit = Killed::new(rabbit);
    let kill = |rabbit: &mut Rabbit| {
        rabbit.kill();
        rabbit.restart();
    };
    scene::with_kills(&mut herald, &rabbit, kill, |rabbit, tell| block_on(publish(rabbit, tell)));
    let left = || rabbit.there().ctl(&["list_queues", "name", "messages"]);
    scene::assert_all_came(&herald, || left().contains("herald\t0\n"));
}

/// Each round confirmed before the next one; after a cut, all of it again, under the same names.
async fn publish(rabbit: &Killed<Rabbit>, tell: Sender<usize>) {
    let mut round = 0;
    while round <= ROUNDS {
        let url = rabbit.there().url("guest", "guest");
        let Ok((_connection, channel)) = connect(&url).await else { continue };
        while round <= ROUNDS && publish_round(&channel, round).await.is_ok() {
            let _ = tell.send(round);
            round += 1;
        }
    }
}

async fn publish_round(channel: &Channel, round: usize) -> lapin::Result<()> {
    let mut confirms = Vec::new();
    for user in 0..USERS {
        let properties =
            BasicProperties::default().with_delivery_mode(SAFE).with_message_id(format!("{round}.{user}").into());
        confirms
            .push(put(channel, "herald.push", &format!("push.{}", name(user)), &body(round, user), properties).await?);
    }
    for confirm in confirms {
        assert!(confirm.await?.is_ack());
    }
    Ok(())
}

/// One broker for all that does not kill it: it takes long to start. Each part has a queue of its own.
#[test]
fn what_comes_from_a_broker_that_lives() {
    let Some(rabbit) = Rabbit::start() else { return };
    thread::scope(|scope| {
        scope.spawn(|| what_cannot_be_carried_out_is_put_aside_with_the_reason(&rabbit));
        scope.spawn(|| no_more_is_taken_than_there_is_room_for_and_nothing_overtakes(&rabbit));
        scope.spawn(|| a_wrong_password_is_told_without_it_and_a_right_one_is_taken_when_it_is_there(&rabbit));
        scope.spawn(|| crate::page::rabbitmqctl_makes_a_user_who_may_do_what_is_needed(&rabbit));
    });
}

fn what_cannot_be_carried_out_is_put_aside_with_the_reason(rabbit: &Rabbit) {
    let url = rabbit.url("guest", "guest");
    let herald = scene::herald(&format!(
        "[ingest.amqp]\nurl = '{url}'\nqueue = 'one'\nexchange = 'one.push'\ndead_letter_exchange = 'one.dead'\n"
    ));
    scene::until(&herald, CONNECTED, |n| n == 1);
    block_on(async {
        let (_connection, channel) = connect(&url).await.expect("it is there");
        let plain = BasicProperties::default;
        let header = |name: &str, value: AMQPValue| {
            let mut table = FieldTable::default();
            table.insert(name.into(), value);
            plain().with_headers(table)
        };
        let uids = |uids: &[&str]| {
            FieldArray::from(uids.iter().map(|u| AMQPValue::LongString((*u).into())).collect::<Vec<_>>())
        };
        let key = "one"; // of the default exchange: the queue's name
        for (exchange, key, said, properties) in [
            (
                "one.push",
                "push.nobody",
                "hello",
                plain().with_user_id("guest".into()).with_expiration("3600000".into()).with_app_id("shop".into()),
            ),
            ("", key, "no json", plain()),
            ("", key, r#"{"to": "user0"}"#, plain()),
            ("", key, r#"{"to": "user0", "bodi": "x"}"#, plain()),
            ("", key, "x", header("x-uid", AMQPValue::LongInt(7))),
            // And what can be.
            ("", key, r#"{"to": ["user0", "user1"], "body": "one"}"#, plain()),
            ("", key, "two", header("x-uid", AMQPValue::LongString("user0".into()))),
            (
                "",
                key,
                r#"{"n": 3}"#,
                header("x-uids", uids(&["user0", "user1"]).into()).with_content_type("application/json".into()),
            ),
            ("one.push", "push.user0", "the end", plain()),
            ("one.push", "push.user1", "the end", plain()),
        ] {
            let confirm = put(&channel, exchange, key, said, properties).await.expect("it is sent");
            assert!(confirm.await.expect("it is there").is_ack());
        }
        let mut dead = consume(&channel, "one.dead").await;
        let mut reasons = Vec::new();
        for _ in 0..5 {
            let delivery = dead.next().await.expect("one more").expect("it is there");
            let headers = delivery.properties.headers().clone().expect("there are headers");
            let AMQPValue::LongString(reason) = &headers.inner()["x-herald-reason"] else { panic!("{headers:?}") };
            reasons.push(format!("{}: {reason}", String::from_utf8_lossy(&delivery.data)));
            if delivery.data == b"hello" {
                // A broker takes nobody else's name from us, and the dead have time.
                let AMQPValue::LongString(sent_by) = &headers.inner()["x-herald-user-id"] else {
                    panic!("{headers:?}")
                };
                let properties = &delivery.properties;
                let app = properties.app_id().as_ref().map(|app| app.as_str());
                assert_eq!((sent_by.as_bytes(), app), (&b"guest"[..], Some("shop")));
                assert!(properties.user_id().is_none() && properties.expiration().is_none(), "{properties:?}");
            }
        }
        reasons.sort();
        expect_test::expect![[r#"
            hello: no_such_user for "nobody"
            no json: it is no JSON: expected ident at line 1 column 2
            x: the header x-uid holds what is no text
            {"to": "user0", "bodi": "x"}: unknown field `bodi`, expected one of `to`, `body`, `stanza`, `json`, `type`, `from`, `id`, `store`, `ttl_secs`, `collapse_key`, `exclude_resource`, `only_if`, `key` at line 1 column 22; did you mean `body`?
            {"to": "user0"}: `body`: it is missing, and so are `json` and `stanza`"#]]
        .assert_eq(&reasons.join("\n"));
    });
    scene::until(&herald, "herald_ingest_messages_total{source=\"amqp\",what=\"done\"}", |n| n == 5);
    assert_eq!(scene::kept(&herald, "user0", "the end"), ["one", "two", "the end"]);
    assert_eq!(scene::kept(&herald, "user1", "the end"), ["one", "the end"]);
    assert_eq!(scene::metric(&herald, "herald_ingest_messages_total{source=\"amqp\",what=\"dead\"}"), 5);
}

fn no_more_is_taken_than_there_is_room_for_and_nothing_overtakes(rabbit: &Rabbit) {
    let url = rabbit.url("guest", "guest");
    // user0 has room for three: the fourth is tried again until somebody takes them.
    let home = Home::new(&format!(
        "[offline]\nmessages_max = 3\n[ingest.amqp]\nurl = '{url}'\nin_flight_max = 8\ntries_max = 1000\n\
         queue = 'two'\nexchange = 'two.push'\n"
    ));
    home.user("user0", "secret");
    home.user("user1", "secret");
    let herald = home.start();
    scene::until(&herald, CONNECTED, |n| n == 1);
    block_on(async {
        let (_connection, channel) = connect(&url).await.expect("it is there");
        for n in 0..40 {
            // The one that is tried again is for somebody else too, who has room.
            let mut properties = BasicProperties::default();
            if n == 3 {
                let both = ["user0", "user1"].map(|u| AMQPValue::LongString(u.into())).to_vec();
                let mut table = FieldTable::default();
                table.insert("x-uids".into(), FieldArray::from(both).into());
                properties = properties.with_headers(table);
            }
            let confirm = put(&channel, "two.push", "push.user0", &format!("{n}"), properties).await;
            assert!(confirm.expect("it is sent").await.expect("it is there").is_ack());
        }
    });
    scene::until(&herald, "herald_ingest_messages_total{source=\"amqp\",what=\"retried\"}", |n| n > 0);
    scene::until(&herald, "herald_ingest_in_flight{source=\"amqp\"}", |n| n == 8);
    assert_eq!(scene::metric(&herald, "herald_ingest_messages_total{source=\"amqp\",what=\"done\"}"), 3);
    let waiting = rabbit.ctl(&["list_queues", "name", "messages_ready", "messages_unacknowledged"]);
    assert!(waiting.contains("two\t29\t8\n"), "{waiting}");
    let wanted: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!(scene::kept(&herald, "user0", "39"), wanted);
    let said = herald.api("GET", "/api/v1/history?uid=user1", None);
    assert_eq!(said.json["items"].as_array().map(Vec::len), Some(1), "once: {}", said.text);
}

fn a_wrong_password_is_told_without_it_and_a_right_one_is_taken_when_it_is_there(rabbit: &Rabbit) {
    let home = Home::new("");
    let file = home.path().join("password");
    std::fs::write(&file, "unbelievable\n").expect("a file");
    let config = std::fs::read_to_string(home.config_file()).expect("it is there");
    let url = rabbit.url("guest", "").replace(":@", "@");
    let more = format!("[ingest.amqp]\nurl = '{url}'\npassword_file = '{}'\nqueue = 'three'\n", file.display());
    std::fs::write(home.config_file(), config + &more).expect("a file");
    let herald = home.start();
    scene::until_logged(&herald, "ACCESS_REFUSED");
    assert!(!herald.log().contains("unbelievable"), "the password is in the log");
    std::fs::write(&file, "guest\n").expect("a file");
    scene::until(&herald, CONNECTED, |n| n == 1);
}

async fn connect(url: &str) -> lapin::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

async fn put(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &str,
    properties: BasicProperties,
) -> lapin::Result<PublisherConfirm> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    channel.basic_publish(exchange.into(), key.into(), options, body.as_bytes(), properties).await
}

async fn consume(channel: &Channel, queue: &str) -> Consumer {
    let consumed =
        channel.basic_consume(queue.into(), "test".into(), BasicConsumeOptions::default(), FieldTable::default());
    consumed.await.expect("the queue is there")
}
