//! Browsers on a bad network: each message exactly once, whatever is killed on the way.

use crate::clients::{Client, bosh_url, ws_url};
use crate::needs::Needs;
use crate::network::{Fate, Network, Weather};
use crate::scenes::{self, Side, Way, arrive, come_in};
use crate::server::{self, PASSWORD};
use serde_json::json;

/// Messages each way.
const MESSAGES: usize = 2_000;
/// Timers in the page are so many times as fast: Strophe waits 8 seconds before it tries for the third time.
const HURRY: u32 = 20;

#[test]
fn strophe_loses_and_doubles_nothing_when_a_tenth_of_the_responses_is_killed() {
    let Some(needs) = Needs::all() else { return };
    talks_through_a_storm(&needs, Client::browser(&needs, "alice"), 20_260_101, |_| {});
}

#[test]
fn converse_loses_and_doubles_nothing_when_a_tenth_of_the_responses_is_killed() {
    let Some(needs) = Needs::all() else { return };
    let mut alice = talks_through_a_storm(&needs, Client::converse(&needs, "alice"), 20_260_202, |client| {
        client.tell(json!({"do": "open", "jid": "bob@localhost"}));
        client.expect("opened", |_| true);
    });
    alice.client.tell(json!({"do": "stored", "from": "bob@localhost"}));
    let stored = alice.client.expect("stored", |_| true);
    let stored = stored["bodies"].as_array().expect("a list").iter().filter_map(|body| body.as_str());
    let stored = scenes::by_number(stored.filter(|body| *body != "end0").map(str::to_owned).collect());
    assert_eq!(stored, (0..MESSAGES).map(|n| format!("b{n}")).collect::<Vec<_>>());
}

#[test]
fn strophe_resumes_its_stream_each_time_a_websocket_is_cut() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, server) = server::herald(&["alice", "bob"]);
    let network = Network::bad(server.http, Weather::bad(20_260_303));
    let mut desktop = arrive(&needs, &server, Way::StartTls, "bob", "desk");
    let login = |client: &mut Client, jid: &str| {
        client.tell(json!({"do": "manage", "service": ws_url(network.at), "jid": jid, "password": PASSWORD}));
        client.online()
    };
    let mut browser = come_in(Client::browser(&needs, "alice"), Way::WebSocket, login, "alice", "web");
    scenes::subscribe_to_each_other(&mut browser, &mut desktop);
    scenes::converse(&mut browser, &mut desktop, MESSAGES);
    assert!(network.count(Fate::LinkLost) > 10, "cut {} times only", network.count(Fate::LinkLost));
    desktop.client.has_not_seen(&browser.full, "unavailable");
}

fn talks_through_a_storm(needs: &Needs, client: Client, seed: u64, prepare: impl FnOnce(&mut Client)) -> Side {
    let (_herald, server) = server::herald(&["alice", "bob"]);
    let network = Network::bad(server.http, Weather::bad(seed));
    network.storm(false);
    let mut desktop = arrive(needs, &server, Way::StartTls, "bob", "desk");
    let mut before = arrive(needs, &server, Way::StartTls, "alice", "desk");
    scenes::subscribe_to_each_other(&mut before, &mut desktop);
    before.client.logout();
    let login = |client: &mut Client, jid: &str| client.login_at(bosh_url(network.at), jid, PASSWORD);
    let mut browser = come_in(client, Way::Bosh, login, "alice", "web");
    prepare(&mut browser.client);
    browser.client.tell(json!({"do": "hurry", "times": HURRY}));
    network.storm(true);
    scenes::converse_in_a_storm(&mut browser, &mut desktop, MESSAGES);
    let killed = [Fate::LinkLost, Fate::ResponseLost, Fate::ResponseCut, Fate::RequestLost].map(|f| network.count(f));
    assert!(killed.iter().all(|count| *count > 3), "not much of a storm: {killed:?}");
    browser
}
