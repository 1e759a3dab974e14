//! Browsers on a bad network: each message exactly once, whatever is killed on the way.

use crate::clients::bosh_url;
use crate::needs::Needs;
use crate::network::{Fate, Network, Weather};
use crate::scenes::{self, Way, arrive, arrive_at};
use crate::server;
use serde_json::json;

/// Timers in the page are so many times as fast: Strophe waits 8 seconds before it tries for the third time.
const HURRY: u32 = 20;

#[test]
fn strophe_loses_and_doubles_nothing_when_a_tenth_of_the_responses_is_killed() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, server) = server::herald(&["alice", "bob"]);
    let network = Network::bad(server.http, Weather::bad(20_260_101));
    network.storm(false);
    let mut browser = arrive_at(&needs, Way::Bosh, bosh_url(network.at), "alice", "web");
    let mut desktop = arrive(&needs, &server, Way::StartTls, "bob", "desk");
    browser.client.tell(json!({"do": "hurry", "times": HURRY}));
    network.storm(true);
    scenes::converse(&mut browser, &mut desktop, 2_000);
    let killed = [Fate::LinkLost, Fate::ResponseLost, Fate::ResponseCut, Fate::RequestLost].map(|f| network.count(f));
    assert!(killed.iter().all(|count| *count > 3), "not much of a storm: {killed:?}");
    eprintln!("killed {killed:?} of {}", killed.iter().sum::<usize>() + network.count(Fate::Passes));
}
