//! Browsers on a bad network: each message exactly once, whatever is killed on the way.

use crate::clients::{Client, bosh_url};
use crate::needs::Needs;
use crate::network::{Fate, Network, Weather};
use crate::scenes::{self, Way, arrive, come_in};
use crate::server::{self, PASSWORD};
use serde_json::json;

/// Timers in the page are so many times as fast: Strophe waits 8 seconds before it tries for the third time.
const HURRY: u32 = 20;

#[test]
fn strophe_loses_and_doubles_nothing_when_a_tenth_of_the_responses_is_killed() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, server) = server::herald(&["alice", "bob"]);
    let network = Network::bad(server.http, Weather::bad(20_260_101));
    network.storm(false);
    let login = |client: &mut Client, jid: &str| client.login_at(bosh_url(network.at), jid, PASSWORD);
    let mut browser = come_in(Client::browser(&needs, "alice"), Way::Bosh, login, "alice", "web");
    let mut desktop = arrive(&needs, &server, Way::StartTls, "bob", "desk");
    browser.client.tell(json!({"do": "hurry", "times": HURRY}));
    network.storm(true);
    scenes::converse(&mut browser, &mut desktop, 2_000);
    let killed = [Fate::LinkLost, Fate::ResponseLost, Fate::ResponseCut, Fate::RequestLost].map(|f| network.count(f));
    assert!(killed.iter().all(|count| *count > 3), "not much of a storm: {killed:?}");
    eprintln!("killed {killed:?} of {}", killed.iter().sum::<usize>() + network.count(Fate::Passes));
}
