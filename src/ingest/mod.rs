//! Messages that come in by other ways than HTTP: from RabbitMQ (AMQP 0.9.1), from a table in PostgreSQL, from
//! Redis Streams. Each is off until its URL is set; `docs/ingest.md` shows how to set them up.
//!
//! | file | what is in it |
//! |---|---|
//! | `source.rs` | what a source must be able to do: two small traits |
//! | `amqp.rs`, `postgres.rs`, `redis.rs` | the three of them |
//! | `pump.rs` | from any source to the users: in flight, finished, broken, stopped |
//! | `lanes.rs` | which message may go when, so that each user's come in order |
//! | `desk.rs` | reading a message and carrying it out, with the code that `POST /api/v1/sendto` uses |
//! | `login.rs` | the password of a source: in a file, in the environment, in its URL |
//! | `backoff.rs`, `stats.rs`, `tls.rs` | waiting before the next try; counters; TLS for PostgreSQL |
//!
//! **Nothing lost:** a source is told that a message is finished after the store has it, and not before; what it was
//! not told of comes again. **Nothing doubled:** a message bears its name at its source as [`Terms::once`], which is
//! kept in the transaction that keeps the message; one that comes again within a day is known by it. **In order:** the
//! messages of one user are carried out one after the other. What can never be carried out is put where somebody can
//! look at it, with the reason.
//!
//! [`Terms::once`]: herald_session::Terms::once

mod amqp;
mod backoff;
mod desk;
mod lanes;
mod login;
mod postgres;
mod pump;
mod redis;
mod source;
mod stats;
mod tls;

use lanes::Lane;
pub use login::Login;
use source::Fate;
pub use stats::Kind;

use crate::config::Config;
use crate::serve::xml_limits;
use anyhow::Result;
use desk::Desk;
use herald_session::Sessions;
use pump::Pump;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The sources that are configured, being emptied.
pub struct Ingest {
    stop: CancellationToken,
    pumps: JoinSet<()>,
}

impl Ingest {
    /// Starts them. One that cannot be reached is tried again and again; an error is one in the configuration.
    pub fn start(config: &Config, sessions: &Sessions) -> Result<Ingest> {
        let stop = CancellationToken::new();
        let mut pumps = JoinSet::new();
        let desk = |kind, tries_max| Desk {
            sessions: sessions.clone(),
            limits: xml_limits(&config.limits),
            kind,
            bytes_max: config.admin.body_bytes_max,
            tries_max,
            given_up: Arc::default(),
        };
        if let Some(source) = amqp::Amqp::new(&config.ingest_amqp)? {
            let c = &config.ingest_amqp;
            let desk = desk(Kind::Amqp, c.tries_max);
            pumps.spawn(Pump { source, desk, in_flight_max: c.in_flight_max as usize, stop: stop.clone() }.run());
        }
        if let Some(source) = postgres::Postgres::new(&config.ingest_postgres, config.admin.body_bytes_max)? {
            let c = &config.ingest_postgres;
            let desk = desk(Kind::Postgres, c.tries_max);
            pumps.spawn(Pump { source, desk, in_flight_max: c.in_flight_max as usize, stop: stop.clone() }.run());
        }
        if let Some(source) = redis::Redis::new(&config.ingest_redis)? {
            let c = &config.ingest_redis;
            let desk = desk(Kind::Redis, c.tries_max);
            pumps.spawn(Pump { source, desk, in_flight_max: c.in_flight_max as usize, stop: stop.clone() }.run());
        }
        Ok(Ingest { stop, pumps })
    }

    /// Takes nothing more, finishes what is in work (for a second or so), and takes its leave.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.pumps.join_next().await.is_some() {}
    }
}

/// Can the configured sources be used, as far as that can be seen without them?
pub fn check(config: &Config) -> Result<()> {
    amqp::Amqp::new(&config.ingest_amqp)?;
    postgres::Postgres::new(&config.ingest_postgres, config.admin.body_bytes_max)?;
    redis::Redis::new(&config.ingest_redis)?;
    Ok(())
}
