//! Ways in without a password, over real sockets: one-time tokens, JWTs, prebound sessions.

#[path = "../support/mod.rs"]
mod support;

mod door;
mod jwt;
mod prebind;
mod tokens;
