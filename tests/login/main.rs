//! Ways in without a password, over real sockets: one-time tokens, JWTs, prebound sessions.

#[path = "../support/mod.rs"]
mod support;

mod door;
mod jwt;
#[allow(dead_code)] // the pages need less than the end-to-end tests
#[path = "../e2e/needs.rs"]
mod needs;
mod pages;
mod prebind;
mod tokens;
