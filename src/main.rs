//! (to come)
#![allow(dead_code, unused_imports)]
mod certificate;
mod config;
mod log;
fn main() {}
