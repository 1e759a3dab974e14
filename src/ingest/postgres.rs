//! A table in PostgreSQL: an application writes rows in the transaction of what they tell about (an "outbox"), and
//! they are taken from there.
//!
//! A row with a `uid` is a payload for that user (`json` and `jsonb` columns hold JSON, others text), one without is a
//! `sendto` request. Its `id` and `created_at` are its name. It is deleted when it is finished; what cannot be
//! carried out moves to the dead-letter table in the same statement. An advisory lock lets one server work on the table
//! at a time: two would break the order. `NOTIFY` tells of new rows, and now and then it is looked for them anyway.

use super::Kind;
use super::login::Login;
use super::source::{Content, Fate, Item, Link, Source};
use super::tls::Tls;
use crate::config::IngestPostgres;
use anyhow::{Context, Result, ensure};
use futures_util::future::BoxFuture;
use std::collections::HashSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Statement};

/// The first half of the advisory lock's key; the second is the table's number.
const LOCK: i32 = 0x4872_6c64;
/// Where PostgreSQL listens when nobody says otherwise.
const PORT: u16 = 5432;
/// How long a connection may be silent before it is asked whether anybody is there, and may take to answer.
const SILENT_MAX: Duration = Duration::from_secs(20);

/// How long a query for rows may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Where a table is.
pub struct Postgres {
    config: IngestPostgres,
    /// A longer payload is not even fetched.
    bytes_max: usize,
    server: Config,
    login: Login,
}

impl Postgres {
    /// `None` when it is off.
    pub fn new(config: &IngestPostgres, bytes_max: usize) -> Result<Option<Postgres>> {
        let Some(url) = &config.url else { return Ok(None) };
        let mut server = url.parsed();
        server.application_name("herald").connect_timeout(SILENT_MAX).keepalives_idle(SILENT_MAX);
        server.keepalives_interval(SILENT_MAX / 4).keepalives_retries(3).tcp_user_timeout(SILENT_MAX);
        let file = config.password_file.clone();
        let login = Login { section: "ingest.postgres", file, variable: "HERALD_POSTGRES_PASSWORD" };
        login.password()?;
        Ok(Some(Postgres { config: config.clone(), bytes_max, server, login }))
    }
}

impl Source for Postgres {
    type Link = PostgresLink;
    fn kind(&self) -> Kind {
        Kind::Postgres
    }
    fn place(&self) -> String {
        let ports = self.server.get_ports();
        let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(PORT);
        let hosts = self.server.get_hosts().iter().enumerate().map(|(at, host)| match host {
            Host::Tcp(host) => format!("{host}:{}", port(at)),
            Host::Unix(folder) => folder.display().to_string(),
        });
        format!("table {:?} at {}", self.config.table.as_str(), hosts.collect::<Vec<_>>().join(", "))
    }

    async fn open(&self) -> Result<PostgresLink> {
        let mut server = self.server.clone();
        if let Some(password) = self.login.password()? {
            server.password(password);
        }
        let new_rows = Arc::new(Notify::new());
        let (client, driver) = if matches!(server.get_ssl_mode(), SslMode::Require) {
            let (client, connection) = server.connect(Tls::new()?).await?;
            (client, drive(connection, new_rows.clone()))
        } else {
            let (client, connection) = server.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            (client, drive(connection, new_rows.clone()))
        };
        // From here on the connection ends when this is dropped.
        let driver = Driver(driver);
        let (table, dead) = (quoted(self.config.table.as_str()), quoted(self.config.dead_table.as_str()));
        for (key, name) in [("table", &table), ("dead_table", &dead)] {
            let there: bool = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[name]).await?.get(0);
            ensure!(there, "there is no ingest.postgres.{key} {name} (docs/ingest.md has the SQL that makes it)");
        }
        // The server is to notice soon, too, when we are gone: else its lock would outlive us.
        client.batch_execute("SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 5").await?;
        let lock = "SELECT pg_try_advisory_lock($1, $2::text::regclass::oid::bigint::bit(32)::int)";
        let ours: bool = client.query_one(lock, &[&LOCK, &table]).await?.get(0);
        ensure!(ours, "another server works on the table");
        client.batch_execute(&format!("LISTEN \"{}\"", self.config.channel.as_str())).await?;
        let bytes_max = i32::try_from(self.bytes_max).unwrap_or(i32::MAX);
        let select = format!(
            "SELECT id::bigint, (extract(epoch FROM created_at) * 1000000)::bigint, uid::text, \
             CASE WHEN octet_length(payload::text) <= {bytes_max} THEN payload::text END, \
             pg_typeof(payload)::text IN ('json', 'jsonb') \
             FROM {table} WHERE id::bigint <> ALL ($1) ORDER BY id LIMIT $2"
        );
        let select = client.prepare(&select).await.with_context(|| format!("table {table}"))?;
        let delete = client.prepare(&format!("DELETE FROM {table} WHERE id = ANY ($1::bigint[])")).await?;
        let bury = format!(
            "WITH gone AS (DELETE FROM {table} WHERE id = $1::bigint RETURNING id, created_at, uid, payload) \
             INSERT INTO {dead} (id, created_at, uid, payload, reason) \
             SELECT id, created_at, uid, payload, $2::text FROM gone"
        );
        let bury = client.prepare(&bury).await.with_context(|| format!("table {dead}"))?;
        Ok(PostgresLink {
            shared: Arc::new(Shared { client, _driver: driver, select, new_rows }),
            delete,
            bury,
            table: self.config.table.as_str().to_owned(),
            wait: Duration::from_secs(self.config.poll_secs.into()),
            bytes_max,
            in_flight: HashSet::new(),
            reading: None,
        })
    }
}

/// Who works on the table.
pub struct PostgresLink {
    shared: Arc<Shared>,
    delete: Statement,
    bury: Statement,
    table: String,
    wait: Duration,
    bytes_max: i32,
    /// Rows that were handed out.
    in_flight: HashSet<i64>,
    /// Goes on when nobody waits for it.
    reading: Option<BoxFuture<'static, Result<Vec<Row>>>>,
}

struct Shared {
    client: Client,
    _driver: Driver,
    select: Statement,
    new_rows: Arc<Notify>,
}

/// What moves the bytes of a connection; ends with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    /// The oldest rows but these, as soon as there are some.
    async fn read(self: Arc<Self>, but: Vec<i64>, room: i64, wait: Duration) -> Result<Vec<Row>> {
        loop {
            let rows = timeout(ANSWER_MAX, self.client.query(&self.select, &[&but, &room])).await;
            let rows = rows.context("no answer in time")??;
            if !rows.is_empty() {
                return Ok(rows);
            }
            let _ = timeout(wait, self.new_rows.notified()).await; // then it is looked for them anyway
        }
    }
}

impl PostgresLink {
    fn item(&self, row: &Row) -> Result<Item<i64>> {
        let (id, made): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let (uid, payload): (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
        let is_json: bool = row.try_get(4)?;
        let content = match (uid, payload) {
            (_, None) => Err(format!("its payload is NULL, or longer than {} bytes", self.bytes_max)),
            (None, Some(request)) => Ok(Content::Command(request.into())),
            (Some(uid), Some(payload)) if is_json => Ok(Content::Json(vec![uid], payload.into())),
            (Some(uid), Some(payload)) => Ok(Content::Text(vec![uid], payload.into())),
        };
        // With the time: numbers begin anew when a table is made anew.
        Ok(Item { ticket: id, name: Some(format!("postgres:{}:{id}:{made}", self.table)), content })
    }
}

impl Link for PostgresLink {
    type Ticket = i64;

    async fn next(&mut self, room: usize) -> Result<Vec<Item<i64>>> {
        let reading = self.reading.get_or_insert_with(|| {
            let but = self.in_flight.iter().copied().collect();
            Box::pin(self.shared.clone().read(but, room as i64, self.wait))
        });
        let rows = reading.await;
        self.reading = None;
        let items: Vec<_> = rows?.iter().map(|row| self.item(row)).collect::<Result<_>>()?;
        self.in_flight.extend(items.iter().map(|item| item.ticket));
        Ok(items)
    }

    async fn settle(&mut self, finished: Vec<(i64, Fate)>) -> Result<()> {
        let (mut done, mut dead) = (Vec::new(), Vec::new());
        for (id, fate) in finished {
            match fate {
                Fate::Done => done.push(id),
                Fate::Dead(reason) => dead.push((id, reason)),
            }
        }
        if !done.is_empty() {
            self.shared.client.execute(&self.delete, &[&done]).await?;
        }
        for (id, reason) in &dead {
            self.shared.client.execute(&self.bury, &[id, reason]).await?;
        }
        for id in done.iter().chain(dead.iter().map(|(id, _)| id)) {
            self.in_flight.remove(id);
        }
        Ok(())
    }

    async fn close(self) {} // dropping it says so
}

fn drive<T>(mut connection: Connection<tokio_postgres::Socket, T>, new_rows: Arc<Notify>) -> JoinHandle<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                AsyncMessage::Notification(_) => new_rows.notify_one(),
                AsyncMessage::Notice(notice) => tracing::debug!("ingest.postgres: {notice}"),
                _ => {}
            }
        }
        new_rows.notify_one(); // who waits for rows finds out that the connection is gone
    })
}

/// `schema.table` as `"schema"."table"`.
fn quoted(name: &str) -> String {
    let parts: Vec<String> = name.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect();
    parts.join(".")
}
