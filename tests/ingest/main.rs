//! Messages that come in by AMQP, by PostgreSQL, by Redis Streams; each against the real server, which is killed in
//! the middle, as is ours.

#[path = "../support/mod.rs"]
mod support;

mod amqp;
mod page;
mod postgres;
mod redis;
mod scene;
