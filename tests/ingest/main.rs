//! Messages that come in by AMQP, by PostgreSQL, by Redis Streams; each against the real server.

#[path = "../support/mod.rs"]
mod support;

mod rigs;
