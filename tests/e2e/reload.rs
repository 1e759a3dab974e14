//! A page that is loaded again goes on with its BOSH session, from another origin than the server's, with
//! the next rid, a repeated one, or one after a request that never arrived. What came in between is there, once.

use crate::clients::{Client, bosh_url};
use crate::needs::Needs;
use crate::network::{Fate, Network};
use crate::scenes::{self, Side, Way, arrive, come_in};
use crate::server::{PASSWORD, herald_with};
use serde_json::{Value, json};

#[test]
fn a_page_that_is_loaded_again_finds_what_came_in_between() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, server) =
        herald_with("[bosh]\ninactivity_secs = 10\nwait_max_secs = 10\n", &["alice", "bob", "carol"]);
    let network = Network::good(server.http);
    let mut alice = keeps_alive(&needs, &network, "alice");
    let mut bob = arrive(&needs, &server, Way::StartTls, "bob", "desk");
    scenes::subscribe_to_each_other(&mut alice, &mut bob);

    // The next rid: the held request goes with the page.
    scenes::polls_again(&mut alice, &network);
    let gone = network.count_lines(&["the client left"]);
    loads_again(&mut alice, &mut bob, &network, "next", |_| network.awaits(gone + 1, &["the client left"]));

    // A repeated rid: the request that was held is sent again. (One that was answered would be answered the same.)
    scenes::polls_again(&mut alice, &network);
    loads_again(&mut alice, &mut bob, &network, "again", |client| client.tell(json!({"do": "age", "requests": 1})));

    // A rid after one that never arrived: the page has sent something, and nothing of it came through. Herald waits for
    // ten seconds, and gives up what nobody is going to send again.
    network.all(Some(Fate::RequestLost));
    alice.client.tell(json!({"do": "send", "to": bob.full, "prefix": "lost on the way", "count": 1}));
    network.awaits(1, &["RequestLost", "lost on the way"]);
    loads_again(&mut alice, &mut bob, &network, "gap", |_| network.all(None));

    // Another page, of another browser, takes the session over when the first one dies.
    let other = Client::browser(&needs, "alice, moved");
    scenes::polls_again(&mut alice, &network);
    alice.client.tell(json!({"do": "session"}));
    let session = alice.client.expect("session", |_| true);
    let gone = network.count_lines(&["the client left"]);
    alice.client.tell(json!({"do": "kill"}));
    network.awaits(gone + 1, &["the client left"]);
    says(&mut bob, &alice, "moved", 2);
    let attach = |client: &mut Client, _: &str| attach(client, &network, &session);
    let mut alice = come_in(other, Way::Bosh, attach, "alice", "web");
    reads(&mut alice, &bob, "moved", 2);

    // A pause. Carol's browser dies with it, without one: when her session has ended, Alice's has not.
    let mut carol = keeps_alive(&needs, &network, "carol");
    scenes::subscribe_to_each_other(&mut carol, &mut bob);
    alice.client.tell(json!({"do": "pause", "secs": 60}));
    let paused = alice.client.expect("paused", |_| true);
    assert_eq!(paused["body"], "<body xmlns='http://jabber.org/protocol/httpbind'/>");
    carol.client.tell(json!({"do": "kill"}));
    says(&mut bob, &alice, "paused", 2);
    bob.client.sees(&carol.full, "unavailable");
    alice.client.tell(json!({"do": "reload"}));
    alice.client.expect("reloaded", |_| true);
    restores(&mut alice, &network);
    reads(&mut alice, &bob, "paused", 2);
    has_missed_nothing(&mut alice, &mut bob);
}

/// Strophe.js with `keepalive`.
fn keeps_alive(needs: &Needs, network: &Network, uid: &str) -> Side {
    let login = |client: &mut Client, jid: &str| {
        client.tell(json!({"do": "login", "service": bosh_url(network.at), "jid": jid, "password": PASSWORD,
            "options": {"keepalive": true}}));
        client.online()
    };
    come_in(Client::browser(needs, uid), Way::Bosh, login, uid, "web")
}

/// Alice's page is loaded again. Bob writes before the new page has come, and after.
fn loads_again(alice: &mut Side, bob: &mut Side, network: &Network, word: &str, then: impl FnOnce(&mut Client)) {
    alice.client.tell(json!({"do": "reload"}));
    alice.client.expect("reloaded", |_| true);
    then(&mut alice.client);
    says(bob, alice, word, 3);
    restores(alice, network);
    reads(alice, bob, word, 3);
    has_missed_nothing(alice, bob);
}

fn restores(side: &mut Side, network: &Network) {
    side.client.tell(json!({"do": "restore", "service": bosh_url(network.at), "jid": side.full,
        "options": {"keepalive": true}}));
    assert_eq!(side.client.expect("restored", |_| true)["jid"], side.full);
}

fn has_missed_nothing(alice: &mut Side, bob: &mut Side) {
    scenes::talk_a_little(alice, bob);
    alice.client.has_read_all();
    bob.client.has_read_all();
    bob.client.has_not_seen(&alice.full, "unavailable");
}

fn attach(client: &mut Client, network: &Network, session: &Value) -> String {
    client.tell(json!({"do": "attach", "service": bosh_url(network.at), "jid": session["jid"], "sid": session["sid"],
        "rid": session["rid"], "options": {"keepalive": true}}));
    client.expect("restored", |_| true)["jid"].as_str().expect("a JID").to_owned()
}

fn says(from: &mut Side, to: &Side, word: &str, count: usize) {
    from.client.tell(json!({"do": "send", "to": to.full, "prefix": word, "count": count}));
}

fn reads(side: &mut Side, from: &Side, word: &str, count: usize) {
    let said: Vec<String> = (0..count).map(|n| format!("{word}{n}")).collect();
    assert_eq!(side.client.bodies(&from.full, count), said);
}
