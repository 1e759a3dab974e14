//! Events to a broker: AMQP 0.9.1, to a topic exchange, with publisher confirms.
//!
//! The routing key is the uid, a dot, and the type: `alice.user.online`. Dots in a uid are escaped, so that the
//! first word of a key is the whole uid.

use super::lanes::{Out, Verdict};
use super::sink::Emitter;
use crate::config::EventsAmqp as Config;
use crate::ingest::Login;
use anyhow::{Result, bail};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use ring::digest::{SHA256, digest};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// What stands for the uid when an event is about all; no escaped uid is this.
const ALL: &str = "%";
/// The longest escaped uid in a routing key, which AMQP bounds to 255 bytes with the type.
const UID_BYTES_MAX: usize = 200;
/// The messages last as long as the queues they are in: "persistent" (AMQP 0.9.1, basic.properties).
const PERSISTENT: u8 = 2;

/// A broker.
pub struct Amqp {
    uri: AMQPUri,
    login: Login,
    exchange: String,
    declare: bool,
    timeout: Duration,
    link: Option<Link>,
}

/// A connection to it. It ends when this is dropped.
struct Link {
    _connection: Connection,
    channel: Channel,
}

impl Amqp {
    /// Not connected yet.
    pub fn new(uri: AMQPUri, config: &Config) -> Amqp {
        let (section, variable) = ("events.amqp", "HERALD_EVENTS_AMQP_PASSWORD");
        Amqp {
            uri,
            login: Login { section, file: config.password_file.clone(), variable },
            exchange: config.exchange.clone(),
            declare: config.declare,
            timeout: Duration::from_secs(config.timeout_secs.into()),
            link: None,
        }
    }

    async fn connect(&self) -> Result<Link> {
        let mut uri = self.uri.clone();
        if let Some(password) = self.login.password()? {
            uri.authority.userinfo.password = password;
        }
        let named = ConnectionProperties::default().with_connection_name("herald events".into());
        let connection = Connection::connect_uri(uri, named).await?;
        let channel = connection.create_channel().await?;
        if self.declare {
            let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
            let name = self.exchange.as_str().into();
            channel.exchange_declare(name, ExchangeKind::Topic, durable, FieldTable::default()).await?;
        }
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Link { _connection: connection, channel })
    }

    /// All of them, and the broker's word for each.
    async fn publish(&mut self, batch: &[Arc<Out>]) -> Result<()> {
        let link = match self.link.take() {
            Some(link) if link.channel.status().connected() => link,
            _ => self.connect().await?,
        };
        let mut confirms = Vec::with_capacity(batch.len());
        for event in batch {
            let (exchange, key) = (self.exchange.as_str().into(), routing_key(&event.uid, &event.kind).into());
            let options = BasicPublishOptions::default();
            confirms.push(link.channel.basic_publish(exchange, key, options, &event.json, properties(event)).await?);
        }
        for confirm in confirms {
            if !confirm.await?.is_ack() {
                bail!("the broker refused an event");
            }
        }
        self.link = Some(link); // and only now: one that failed, or was given up while it waited, is closed
        Ok(())
    }
}

impl Emitter for Amqp {
    async fn emit(&mut self, batch: &[Arc<Out>]) -> Verdict {
        let timeout = self.timeout;
        // Nothing in an event can be at fault: a broker does not look into it.
        match tokio::time::timeout(timeout, self.publish(batch)).await {
            Ok(Ok(())) => Verdict::Taken,
            Ok(Err(e)) => Verdict::Unreachable(format!("{e:#}"), None),
            Err(_) => Verdict::Unreachable(format!("the broker did not confirm within {} s", timeout.as_secs()), None),
        }
    }
}

fn properties(event: &Out) -> BasicProperties {
    let seconds = u64::try_from(event.at_ms / 1_000).unwrap_or_default();
    BasicProperties::default()
        .with_message_id(event.id.as_str().into())
        .with_type(event.kind.as_str().into())
        .with_content_type("application/json".into())
        .with_app_id("herald".into())
        .with_timestamp(seconds)
        .with_delivery_mode(PERSISTENT)
}

/// `UID.TYPE`. In the uid what AMQP minds (`.`, `*`, `#`), `%` and blanks are written as in a URL; one that is too
/// long is cut and ends with a hash of the whole.
fn routing_key(uid: &str, kind: &str) -> String {
    let mut key = String::new();
    for c in uid.chars() {
        match c {
            '.' | '*' | '#' | '%' | ' ' => {
                let _ = write!(key, "%{:02X}", u32::from(c));
            }
            c => key.push(c),
        }
    }
    if key.is_empty() {
        key.push_str(ALL);
    }
    if key.len() > UID_BYTES_MAX {
        let hash = digest(&SHA256, uid.as_bytes());
        key.truncate(key.floor_char_boundary(UID_BYTES_MAX - 33));
        key.push('%');
        for byte in &hash.as_ref()[..16] {
            let _ = write!(key, "{byte:02x}");
        }
    }
    key.push('.');
    key.push_str(kind);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_a_key_is_the_uid() {
        for (uid, key) in [
            ("alice", "alice.user.online"),
            ("a.b", "a%2Eb.user.online"),
            ("50%.#*", "50%25%2E%23%2A.user.online"),
            ("jürgen", "jürgen.user.online"),
            ("", "%.user.online"),
        ] {
            assert_eq!(routing_key(uid, "user.online"), key);
        }
        let long = |last| routing_key(&format!("{}{last}", "ü".repeat(500)), "message.delivered");
        assert!(long("a").len() <= 255 && long("a") != long("b"), "{}", long("a"));
    }
}
