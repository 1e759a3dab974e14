//! A stream of Redis (or Valkey), read as one consumer of a group.
//!
//! An entry with the fields `uid` and `body` is a text for that user, with `uid` and `json` a JSON payload; one with a
//! field `sendto` is a `sendto` request. Its id is its name. It is acknowledged when it is finished; what cannot be
//! carried out goes to the dead-letter stream in the same transaction. After a connection is made, what was handed out
//! before and not finished comes first, and what other consumers of the group have left.

use super::Kind;
use super::login::Login;
use super::source::{Content, Fate, Item, Link, Source};
use crate::config::IngestRedis;
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, Pipeline, Value, cmd, pipe};
use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::HashSet;
use std::time::Duration;

/// How long one read waits for entries; then it is looked for what others have left.
const BLOCK: Duration = Duration::from_secs(5);
/// How long Redis may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// What another consumer has not finished for so long is taken over.
const LEFT: Duration = Duration::from_secs(60);

/// Where a stream is.
pub struct Redis {
    config: IngestRedis,
    server: ConnectionInfo,
    login: Login,
}

impl Redis {
    /// `None` when it is off.
    pub fn new(config: &IngestRedis) -> Result<Option<Redis>> {
        let Some(url) = &config.url else { return Ok(None) };
        let server = url.parsed();
        let file = config.password_file.clone();
        let login = Login { section: "ingest.redis", file, variable: "HERALD_REDIS_PASSWORD" };
        login.password()?;
        Ok(Some(Redis { config: config.clone(), server, login }))
    }
}

impl Source for Redis {
    type Link = RedisLink;
    fn kind(&self) -> Kind {
        Kind::Redis
    }
    fn place(&self) -> String {
        format!("stream {:?} at {}", self.config.stream, self.server.addr())
    }

    async fn open(&self) -> Result<RedisLink> {
        let mut server = self.server.clone();
        if let Some(password) = self.login.password()? {
            let settings = server.redis_settings().clone().set_password(password);
            server = server.set_redis_settings(settings);
        }
        let client = Client::open(server)?;
        let waits = AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER_MAX));
        let connect = async |answer| {
            let config = waits.clone().set_response_timeout(Some(answer));
            client.get_multiplexed_async_connection_with_config(&config).await
        };
        // A read that waits holds up whatever else is asked on its connection.
        let (mut asks, reads) = (connect(ANSWER_MAX).await?, connect(ANSWER_MAX + BLOCK).await?);
        let c = &self.config;
        let made = cmd("XGROUP").arg("CREATE").arg(&c.stream).arg(&c.group).arg("0").arg("MKSTREAM").to_owned();
        match made.query_async::<()>(&mut asks).await {
            Err(e) if e.code() == Some("BUSYGROUP") => {} // it is there
            made => made.with_context(|| format!("group {:?} of stream {:?}", c.group, c.stream))?,
        }
        Ok(RedisLink {
            config: c.clone(),
            asks,
            reads,
            in_flight: HashSet::new(),
            from: From::Own("0-0".into()),
            reading: None,
        })
    }
}

/// A consumer of the group.
pub struct RedisLink {
    config: IngestRedis,
    asks: MultiplexedConnection,
    reads: MultiplexedConnection,
    /// Entries that were handed out.
    in_flight: HashSet<String>,
    from: From,
    /// Goes on when nobody waits for it: what it reads counts as handed out to us.
    reading: Option<BoxFuture<'static, ::redis::RedisResult<Value>>>,
}

/// What is read next.
#[derive(Clone)]
enum From {
    /// What was handed out to us before, behind this id.
    Own(String),
    /// What others have left, from this id on.
    Left(String),
    /// What nobody was handed.
    New,
}

/// An entry; without fields when it was deleted from the stream.
struct Entry {
    id: String,
    fields: Option<Vec<(Bytes, Bytes)>>,
}

/// What an entry is known by: when it is dead, it goes elsewhere as it is.
#[derive(Debug)]
pub struct Ticket {
    id: String,
    fields: Vec<(Bytes, Bytes)>,
}

impl RedisLink {
    fn ask(&self, room: usize) -> Cmd {
        let c = &self.config;
        match &self.from {
            From::Own(after) => {
                let mut read = cmd("XREADGROUP");
                read.arg("GROUP").arg(&c.group).arg(&c.consumer).arg("COUNT").arg(room);
                read.arg("STREAMS").arg(&c.stream).arg(after);
                read
            }
            From::Left(from) => {
                let mut claim = cmd("XAUTOCLAIM");
                claim.arg(&c.stream).arg(&c.group).arg(&c.consumer).arg(LEFT.as_millis() as u64).arg(from);
                claim.arg("COUNT").arg(room);
                claim
            }
            From::New => {
                let mut read = cmd("XREADGROUP");
                read.arg("GROUP").arg(&c.group).arg(&c.consumer).arg("COUNT").arg(room);
                read.arg("BLOCK").arg(BLOCK.as_millis() as u64).arg("STREAMS").arg(&c.stream).arg(">");
                read
            }
        }
    }

    /// The entries of an answer, and from where it is read next.
    fn entries(&mut self, answer: Value) -> Result<Vec<Entry>> {
        let strange = || anyhow::anyhow!("Redis answered something unexpected");
        match &self.from {
            From::Own(_) => {
                let entries = of_stream(answer).ok_or_else(strange)?;
                self.from = match entries.last() {
                    Some(last) => From::Own(last.id.clone()),
                    None => From::Left("0-0".into()),
                };
                Ok(entries)
            }
            From::Left(_) => {
                let Value::Array(parts) = answer else { return Err(strange()) };
                let mut parts = parts.into_iter();
                let next = parts.next().and_then(text).ok_or_else(strange)?;
                let entries = entries(parts.next().ok_or_else(strange)?).ok_or_else(strange)?;
                self.from = if next == "0-0" { From::New } else { From::Left(next) };
                Ok(entries)
            }
            From::New => {
                let entries = of_stream(answer).ok_or_else(strange)?;
                if entries.is_empty() {
                    self.from = From::Left("0-0".into()); // it is quiet: time to look
                }
                Ok(entries)
            }
        }
    }

    fn item(&self, entry: Entry) -> Item<Ticket> {
        let fields = entry.fields.unwrap_or_default();
        let name = format!("redis:{}:{}", self.config.stream, entry.id);
        Item { content: content(&fields), name: Some(name), ticket: Ticket { id: entry.id, fields } }
    }

    fn finish(&self, pipe: &mut Pipeline, id: &str) {
        let c = &self.config;
        pipe.cmd("XACK").arg(&c.stream).arg(&c.group).arg(id).ignore();
        if c.delete {
            pipe.cmd("XDEL").arg(&c.stream).arg(id).ignore();
        }
    }
}

impl Link for RedisLink {
    type Ticket = Ticket;

    async fn next(&mut self, room: usize) -> Result<Vec<Item<Ticket>>> {
        loop {
            if self.reading.is_none() {
                let (ask, mut reads) = (self.ask(room), self.reads.clone());
                self.reading = Some(Box::pin(async move { ask.query_async(&mut reads).await }));
            }
            let Some(reading) = &mut self.reading else { continue };
            let answer = reading.await;
            self.reading = None;
            let mut found = self.entries(answer?)?;
            // Others' reads have no part in this, but what we ourselves are slow with looks as if it was left.
            found.retain(|entry| !self.in_flight.contains(&entry.id));
            let gone: Vec<String> =
                found.extract_if(.., |entry| entry.fields.is_none()).map(|entry| entry.id).collect();
            if !gone.is_empty() {
                let mut pipe = pipe();
                gone.iter().for_each(|id| self.finish(&mut pipe, id));
                pipe.query_async::<()>(&mut self.asks).await?;
            }
            if !found.is_empty() {
                self.in_flight.extend(found.iter().map(|entry| entry.id.clone()));
                return Ok(found.into_iter().map(|entry| self.item(entry)).collect());
            }
        }
    }

    async fn settle(&mut self, finished: Vec<(Ticket, Fate)>) -> Result<()> {
        let mut pipe = pipe();
        pipe.atomic();
        for (ticket, fate) in &finished {
            if let Fate::Dead(reason) = fate {
                let add = pipe.cmd("XADD").arg(&self.config.dead_stream).arg("*");
                for (name, value) in &ticket.fields {
                    add.arg(&name[..]).arg(&value[..]);
                }
                add.arg("herald_reason").arg(reason).arg("herald_id").arg(&ticket.id).ignore();
            }
            self.finish(&mut pipe, &ticket.id);
        }
        pipe.query_async::<()>(&mut self.asks).await?;
        for (ticket, _) in &finished {
            self.in_flight.remove(&ticket.id);
        }
        Ok(())
    }

    async fn close(self) {} // dropping it says so
}

/// What the fields of an entry say.
fn content(fields: &[(Bytes, Bytes)]) -> Result<Content, String> {
    let field = |name: &str| fields.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, value)| value.clone());
    let uid = |bytes: Bytes| String::from_utf8(bytes.into()).map_err(|_| "the field uid is not UTF-8".to_owned());
    match (field("uid"), field("body"), field("json"), field("sendto")) {
        (None, None, None, Some(request)) => Ok(Content::Command(request)),
        (Some(to), Some(body), None, None) => Ok(Content::Text(vec![uid(to)?], body)),
        (Some(to), None, Some(json), None) => Ok(Content::Json(vec![uid(to)?], json)),
        _ => Err("it must have the fields uid and body, or uid and json, or sendto".into()),
    }
}

/// The answer to XREADGROUP on one stream: nothing, or the stream's name with its entries.
fn of_stream(answer: Value) -> Option<Vec<Entry>> {
    match answer {
        Value::Nil => Some(Vec::new()),
        Value::Array(streams) => match streams.into_iter().next() {
            None => Some(Vec::new()),
            Some(Value::Array(pair)) => entries(pair.into_iter().nth(1)?),
            Some(_) => None,
        },
        Value::Map(streams) => streams.into_iter().next().map_or(Some(Vec::new()), |(_, found)| entries(found)),
        _ => None,
    }
}

fn entries(value: Value) -> Option<Vec<Entry>> {
    let Value::Array(entries) = value else { return None };
    entries.into_iter().filter(|entry| !matches!(entry, Value::Nil)).map(entry).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(pair) = value else { return None };
    let mut pair = pair.into_iter();
    let id = text(pair.next()?)?;
    let fields = match pair.next()? {
        Value::Nil => None,
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            let mut fields = Vec::with_capacity(flat.len() / 2);
            while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
                fields.push((bytes(name)?, bytes(value)?));
            }
            Some(fields)
        }
        _ => return None,
    };
    Some(Entry { id, fields })
}

fn bytes(value: Value) -> Option<Bytes> {
    match value {
        Value::BulkString(bytes) => Some(bytes.into()),
        Value::SimpleString(text) => Some(text.into()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?.into()).ok()
}
