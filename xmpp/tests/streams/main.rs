//! Framings, SASL and the client's stream, driven from outside as a server's drivers do.

mod bearer;
mod bound;
mod chaos;
mod client;
mod framing;
mod headers;
mod login;
mod managed;
mod sasl;
mod script;
mod transports;
