//! What happens, told to operators: the stream, webhooks, a broker.

#[path = "../support/mod.rs"]
mod support;

mod amqp;
mod eventsource;
mod presence;
mod receiver;
mod sse;
mod stream;
mod webhook;
