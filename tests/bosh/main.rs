//! BOSH over real sockets, case by case: request sequence, expected response.
//!
//! The real server, connections of our own, and the 85 cases that decide whether a connection manager
//! loses nothing. R is the rid of the creation request, R+1 the first one after it (of a session that has
//! logged in, after that). The settings are wait=10 hold=1 inactivity=5 maxpause=20 polling=2 unless a
//! case says others. "Session gone" means that the next request gets `item-not-found` and that a contact
//! saw `unavailable`. Every answer of every case is held to what all must have: one length, a type, no
//! transfer coding, readable from any origin, well-formed.

#![allow(clippy::disallowed_methods)] // it measures how long answers take

mod a_http;
mod b_creation;
mod c_order;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod wire;
