//! XEP-0199: XMPP ping, as the one who is pinged.

use crate::{Xep, request};
use bytes::Bytes;
use herald_session::hooks::{At, Module, Points, Reply};
use herald_xmpp::ns;

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 199,
    title: "XMPP Ping",
    version: "2.0.1",
    file: "ping.rs",
    notes: "The server and accounts answer; an account only its owner and those who see its presence. \
            The server itself pings clients over TCP that say nothing (`[ping]`).",
};

/// Answers pings to the server and to accounts (section 4.2).
pub struct Ping;

impl Module for Ping {
    fn register(self, points: &mut Points) {
        for at in [At::Server, At::Account] {
            points.feature(at, ns::PING);
            request::on_get(points, at, "ping", ns::PING, |_, _| Reply::Result(Bytes::new()));
        }
    }
}
