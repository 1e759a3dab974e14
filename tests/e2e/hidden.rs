//! A tab in the background: Chromium lets its timers go off once a minute, and Strophe.js polls from a timer.
//!
//! Time is scaled by fifteen: Herald's 90 seconds of inactivity are 6, its wait of 55 is 3, and the minute
//! is 4 seconds. Chromium's own throttling has the minute built in and begins after five minutes in the
//! background, so the page's `setTimeout` is replaced by one that does the same (`throttle` in strophe.mjs):
//! timers go off at whole multiples of four seconds only. What comes over the network is not held back, in
//! Chromium as here.

use crate::clients::{Client, bosh_url};
use crate::needs::Needs;
use crate::network::Network;
use crate::scenes::{self, Way, arrive, come_in};
use crate::server::{PASSWORD, herald_with};
use serde_json::json;

/// A minute, fifteen times as fast.
const MINUTE_MS: u32 = 4_000;
const MINUTES: usize = 10;

#[test]
fn a_hidden_tab_stays_online_for_ten_minutes() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, server) = herald_with("[bosh]\ninactivity_secs = 6\nwait_max_secs = 3\n", &["alice", "bob", "carol"]);
    let network = Network::good(server.http);
    let login = |client: &mut Client, jid: &str| client.login_at(bosh_url(network.at), jid, PASSWORD);
    let mut alice = come_in(Client::browser(&needs, "alice"), Way::Bosh, login, "alice", "web");
    let mut bob = arrive(&needs, &server, Way::StartTls, "bob", "desk");
    scenes::subscribe_to_each_other(&mut alice, &mut bob);
    alice.client.tell(json!({"do": "throttle", "ms": MINUTE_MS}));
    let polls = || network.count_lines(&["-> Passes <body", "httpbind\"/> | "]);
    let first = polls();
    for minute in 0..MINUTES {
        // The answer to what Bob says is the end of a poll; the next begins with the next minute.
        bob.client.tell(json!({"do": "send", "to": alice.full, "prefix": format!("minute {minute}, "), "count": 1}));
        assert_eq!(alice.client.bodies(&bob.full, 1), [format!("minute {minute}, 0")]);
        network.awaits(polls() + 1, &["-> Passes <body", "httpbind\"/> | "]);
    }
    assert!(polls() - first <= 2 * MINUTES, "the page was not throttled: {} polls", polls() - first);
    bob.client.has_not_seen(&alice.full, "unavailable");
    scenes::talk_a_little(&mut alice, &mut bob);
}
