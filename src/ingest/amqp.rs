//! A queue of an AMQP 0.9.1 broker, RabbitMQ above all.
//!
//! A message whose routing key is `push.<uid>`, or that has a header `x-uid` (or `x-uids`, an array), is a payload for
//! that user (those users); any other one is a `sendto` request in JSON. Its `message_id` is its name. It is
//! acknowledged when it is finished; what cannot be carried out is published to the dead-letter exchange first,
//! confirmed, with the reason in the header `x-herald-reason`.

use super::Kind;
use super::login::Login;
use super::source::{Content, Fate, Item, Link, Source};
use crate::config::IngestAmqp;
use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};

/// Where a queue is, and what else is there.
pub struct Amqp {
    config: IngestAmqp,
    uri: AMQPUri,
    login: Login,
}

impl Amqp {
    /// `None` when it is off.
    pub fn new(config: &IngestAmqp) -> Result<Option<Amqp>> {
        let Some(url) = &config.url else { return Ok(None) };
        let uri = url.parsed();
        let file = config.password_file.clone();
        let login = Login { section: "ingest.amqp", file, variable: "HERALD_AMQP_PASSWORD" };
        login.password()?;
        Ok(Some(Amqp { config: config.clone(), uri, login }))
    }

    /// Makes what is missing, if that is wanted; else says what is.
    async fn declare(&self, connection: &Connection) -> Result<()> {
        let c = &self.config;
        let channel = connection.create_channel().await?;
        let (passive, durable) = (!c.declare, c.declare);
        let exchange = ExchangeDeclareOptions { passive, durable, ..ExchangeDeclareOptions::default() };
        let queue = QueueDeclareOptions { passive, durable, ..QueueDeclareOptions::default() };
        for (name, queue_of_it, key) in [
            (&c.exchange, &c.queue, format!("{}#", c.routing_prefix)),
            (&c.dead_letter_exchange, &c.dead_letter_exchange, "#".to_owned()),
        ] {
            if !name.is_empty() {
                let declared = channel.exchange_declare(
                    name.as_str().into(),
                    ExchangeKind::Topic,
                    exchange,
                    FieldTable::default(),
                );
                declared.await.with_context(|| format!("exchange {name:?}"))?;
            }
            let dead = name == &c.dead_letter_exchange;
            if (dead && (name.is_empty() || passive)) || queue_of_it.is_empty() {
                continue; // somebody else says where they go from there
            }
            let mut arguments = FieldTable::default();
            if !dead && !passive {
                // Two servers on one queue would break the order: the second waits until the first is gone.
                arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
            }
            let declared = channel.queue_declare(queue_of_it.as_str().into(), queue, arguments).await;
            declared.with_context(|| format!("queue {queue_of_it:?}"))?;
            if !name.is_empty() && !passive {
                let (queue, exchange) = (queue_of_it.as_str().into(), name.as_str().into());
                let bound =
                    channel.queue_bind(queue, exchange, key.into(), QueueBindOptions::default(), FieldTable::default());
                bound.await.with_context(|| format!("binding queue {queue_of_it:?} to exchange {name:?}"))?;
            }
        }
        let _ = channel.close(200, "OK".into()).await; // it ends with the connection anyway
        Ok(())
    }
}

impl Source for Amqp {
    type Link = AmqpLink;
    fn kind(&self) -> Kind {
        Kind::Amqp
    }
    fn place(&self) -> String {
        let a = &self.uri.authority;
        format!("queue {:?} at {}:{}", self.config.queue, a.host, a.port)
    }

    async fn open(&self) -> Result<AmqpLink> {
        let mut uri = self.uri.clone();
        if let Some(password) = self.login.password()? {
            uri.authority.userinfo.password = password;
        }
        let named = ConnectionProperties::default().with_connection_name("herald ingest".into());
        let connection = Connection::connect_uri(uri, named).await?;
        self.declare(&connection).await?;
        let channel = connection.create_channel().await?;
        let prefetch = u16::try_from(self.config.in_flight_max).unwrap_or(u16::MAX);
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let queue = self.config.queue.as_str();
        let consumer = channel
            .basic_consume(queue.into(), "herald".into(), BasicConsumeOptions::default(), FieldTable::default())
            .await
            .with_context(|| format!("queue {queue:?}"))?;
        let (dead, prefix) = (self.config.dead_letter_exchange.clone(), self.config.routing_prefix.clone());
        Ok(AmqpLink { connection, channel, consumer, queue: queue.into(), dead, prefix })
    }
}

/// A consumer of the queue.
pub struct AmqpLink {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
    queue: String,
    dead: String,
    prefix: String,
}

impl AmqpLink {
    fn item(&self, mut delivery: Delivery) -> Item<Delivery> {
        let name = delivery.properties.message_id().as_ref().map(|id| format!("amqp:{}:{id}", self.queue));
        let payload = Bytes::from(std::mem::take(&mut delivery.data));
        let content = receivers(&delivery, &self.prefix).map(|to| match to {
            None => Content::Command(payload.clone()),
            Some(to) if is_json(&delivery) => Content::Json(to, payload.clone()),
            Some(to) => Content::Text(to, payload.clone()),
        });
        delivery.data = payload.into(); // it is needed again when it is dead
        Item { ticket: delivery, name, content }
    }

    async fn bury(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        if self.dead.is_empty() {
            // Whatever the queue itself has been told to do with such ones.
            delivery.reject(BasicRejectOptions { requeue: false }).await?;
            return Ok(());
        }
        let mut headers = delivery.properties.headers().clone().unwrap_or_default();
        for (name, value) in [
            ("x-herald-reason", reason),
            ("x-herald-queue", self.queue.as_str()),
            ("x-herald-exchange", delivery.exchange.as_str()),
        ] {
            headers.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        if let Some(user) = delivery.properties.user_id() {
            headers.insert("x-herald-user-id".into(), AMQPValue::LongString(user.as_str().into()));
        }
        let properties = lasting(&delivery.properties).with_headers(headers).with_delivery_mode(2);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (self.dead.as_str().into(), delivery.routing_key.clone());
        let confirm = self.channel.basic_publish(exchange, key, options, &delivery.data, properties).await?.await?;
        ensure!(
            confirm.is_ack() && confirm.take_message().is_none(),
            "exchange {:?} has no queue for what cannot be carried out",
            self.dead
        );
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(())
    }
}

impl Link for AmqpLink {
    type Ticket = Delivery;

    async fn next(&mut self, room: usize) -> Result<Vec<Item<Delivery>>> {
        let gone = || match self.connection.status().connected() {
            true => anyhow!("queue {:?} was deleted", self.queue),
            false => anyhow!("the connection is lost"),
        };
        let mut items = vec![self.consumer.next().await.ok_or_else(gone)??];
        while items.len() < room
            && let Some(Some(Ok(delivery))) = self.consumer.next().now_or_never()
        {
            items.push(delivery);
        }
        Ok(items.into_iter().map(|delivery| self.item(delivery)).collect())
    }

    async fn settle(&mut self, finished: Vec<(Delivery, Fate)>) -> Result<()> {
        for (delivery, fate) in finished {
            match fate {
                Fate::Done => drop(delivery.ack(BasicAckOptions::default()).await?),
                Fate::Dead(reason) => self.bury(&delivery, &reason).await?,
            }
        }
        Ok(())
    }

    async fn close(self) {
        let _ = self.connection.close(200, "OK".into()).await; // the broker sees that we are gone
    }
}

/// As they came, but for how long it lives, and for who sent it: a broker takes no name there but our own.
fn lasting(of: &lapin::BasicProperties) -> lapin::BasicProperties {
    let mut to = lapin::BasicProperties::default();
    macro_rules! copy {
        ($($property:ident $with:ident),*) => {
            $(if let Some(value) = of.$property() { to = to.$with(value.clone()); })*
        };
    }
    copy!(
        content_type with_content_type,
        content_encoding with_content_encoding,
        priority with_priority,
        correlation_id with_correlation_id,
        reply_to with_reply_to,
        message_id with_message_id,
        timestamp with_timestamp,
        kind with_type,
        app_id with_app_id
    );
    to
}

/// Whom a payload is for; `None`: it says so itself.
fn receivers(delivery: &Delivery, prefix: &str) -> Result<Option<Vec<String>>, String> {
    let header = |name: &str| delivery.properties.headers().as_ref()?.inner().get(name);
    if let Some(value) = header("x-uids") {
        let AMQPValue::FieldArray(uids) = value else { return Err("the header x-uids is no array".into()) };
        return uids.as_slice().iter().map(|uid| text(uid, "x-uids")).collect::<Result<_, _>>().map(Some);
    }
    if let Some(value) = header("x-uid") {
        return Ok(Some(vec![text(value, "x-uid")?]));
    }
    let uid = delivery.routing_key.as_str().strip_prefix(prefix).filter(|_| !prefix.is_empty());
    Ok(uid.map(|uid| vec![uid.to_owned()]))
}

fn text(value: &AMQPValue, header: &str) -> Result<String, String> {
    let bytes: &[u8] = match value {
        AMQPValue::LongString(text) => LongString::as_bytes(text),
        AMQPValue::ShortString(text) => text.as_str().as_bytes(),
        _ => return Err(format!("the header {header} holds what is no text")),
    };
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("the header {header} is not UTF-8"))
}

fn is_json(delivery: &Delivery) -> bool {
    let kind = delivery.properties.content_type().as_ref().map_or("", |kind| kind.as_str());
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}
