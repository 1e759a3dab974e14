//! Events to a real RabbitMQ, which is killed in the middle.

use crate::stream::wait_for_metric;
use crate::support::servers::Rabbit;
use crate::support::{Herald, Home, PATIENCE};
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use std::collections::HashMap;

const WAITING: &str = "herald_events_out_waiting{to=\"amqp\"}";
const TAKEN: &str = "herald_events_out_taken_total{to=\"amqp\"}";
const UNREACHABLE: &str = "herald_events_out_unreachable_total{to=\"amqp\"}";

/// A queue that lasts, behind the exchange.
struct Listener {
    runtime: tokio::runtime::Runtime,
    _connection: Connection,
    channel: Channel,
    queue: &'static str,
}

impl Listener {
    fn connect(rabbit: &Rabbit, queue: &'static str) -> Listener {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let (connection, channel) = runtime.block_on(async {
            let url = rabbit.url("guest", "guest");
            let connection = Connection::connect(&url, ConnectionProperties::default()).await.expect("it listens");
            let channel = connection.create_channel().await.expect("a channel");
            (connection, channel)
        });
        Listener { runtime, _connection: connection, channel, queue }
    }

    fn bind(&self, key: &str) {
        self.runtime.block_on(async {
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            let declared = self.channel.queue_declare(self.queue.into(), durable, FieldTable::default());
            declared.await.expect("a queue");
            let (exchange, options) = ("herald.events".into(), QueueBindOptions::default());
            let bound =
                self.channel.queue_bind(self.queue.into(), exchange, key.into(), options, FieldTable::default());
            bound.await.expect("it is bound: the exchange is there");
        });
    }

    /// Takes messages until one is this; each with its routing key and its id.
    fn until(&self, last: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
        self.runtime.block_on(async {
            let (queue, options) = (self.queue.into(), BasicConsumeOptions::default());
            let consumer = self.channel.basic_consume(queue, "test".into(), options, FieldTable::default());
            let mut consumer: Consumer = consumer.await.expect("a consumer");
            let mut seen = Vec::new();
            loop {
                let next = tokio::time::timeout(PATIENCE, consumer.next()).await.expect("a message comes");
                let delivery = next.expect("the consumer goes on").expect("a message");
                delivery.ack(BasicAckOptions::default()).await.expect("it is acknowledged");
                let event: Value = serde_json::from_slice(&delivery.data).expect("JSON");
                let id = delivery.properties.message_id().as_ref().map(|id| id.to_string());
                assert_eq!(id.as_deref(), event["id"].as_str());
                let done = last(&event);
                seen.push((delivery.routing_key.to_string(), event));
                if done {
                    let _ = self.channel.basic_cancel("test".into(), Default::default()).await;
                    return seen;
                }
            }
        })
    }
}

fn store(herald: &Herald, uids: &[&str]) {
    for uid in uids {
        let said = herald.api("POST", "/api/v1/sendto", Some(json!({ "to": uid, "body": "kept" })));
        assert_eq!(said.json["results"][0]["state"], "stored", "{}", said.text);
    }
}

#[test]
fn a_broker_gets_every_event_though_it_and_the_server_are_killed() {
    let Some(mut rabbit) = Rabbit::start() else { return };
    let home = Home::new(&format!(
        "[events.amqp]\nurl = '{}'\nbatch_events = 7\nbackoff_max_secs = 1\ntypes = ['message', 'server']\n",
        rabbit.url("guest", "guest")
    ));
    let mut herald = home.start();
    let users = ["alice", "bob.b", "carol"];
    for uid in users {
        herald.user(uid, "secret");
    }
    // The exchange is made with the first event, `server.started`.
    wait_for_metric(&herald, TAKEN, 1);
    let listener = Listener::connect(&rabbit, "all");
    listener.bind("#");
    store(&herald, &users);
    let seen = listener.until(|event| event["uid"] == "carol");
    let keys: Vec<&str> = seen.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["alice.message.stored", "bob%2Eb.message.stored", "carol.message.stored"]);
    drop(listener);

    rabbit.kill();
    for _ in 0..10 {
        store(&herald, &users);
    }
    wait_for_metric(&herald, WAITING, 30);
    wait_for_metric(&herald, UNREACHABLE, 1);
    herald.kill();
    herald.restart();
    store(&herald, &users);
    rabbit.restart();
    // Again, in the middle of what it is given.
    for n in 0..20 {
        store(&herald, &users);
        if n == 10 {
            rabbit.kill();
        }
    }
    rabbit.restart();
    let listener = Listener::connect(&rabbit, "all");
    let mut seen = listener.until(|event| event["uid"] == "carol" && event["message_id"] == 32);
    wait_for_metric(&herald, WAITING, 0);
    seen.retain(|(_, event)| event["type"] == "message.stored");
    let mut order: HashMap<&str, Vec<u64>> = HashMap::new();
    for (_, event) in &seen {
        let ids = order.entry(event["uid"].as_str().expect("a uid")).or_default();
        let id = event["message_id"].as_u64().expect("a number");
        // The first was seen above; that it was may have died with the broker.
        if id > 1 && !ids.contains(&id) {
            ids.push(id);
        }
    }
    for uid in users {
        assert_eq!(order[uid], (2..=32).collect::<Vec<u64>>(), "{uid}");
    }
}
