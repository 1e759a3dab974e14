//! Pages that never see a password: a backend logs in for them, or gives them a token that works once.

use crate::clients::{Client, bosh_url, ws_url};
use crate::needs::Needs;
use crate::network::Network;
use crate::scenes::{self, Side, Way, arrive, come_in};
use crate::server::{Server, herald_with};
use serde_json::json;
use std::thread;

#[test]
fn strophe_and_converse_use_what_a_backend_gives_them() {
    let Some(needs) = Needs::all() else { return };
    let (_herald, mut server) = herald_with("[bosh]\nwait_max_secs = 10\n", &["alice", "bob", "carol", "dave"]);
    let network = Network::good(server.http);
    server.http = network.at;
    let (needs, server, network) = (&needs, &server, &network);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut alice =
                come_in(Client::browser(needs, "alice"), Way::Bosh, prebound(server, "alice"), "alice", "web");
            let mut bob = arrive(needs, server, Way::StartTls, "bob", "desk");
            scenes::subscribe_to_each_other(&mut alice, &mut bob);
            scenes::converse(&mut alice, &mut bob, 40);
            scenes::polls_again(&mut alice, network); // or the next session is given what this one may not have read
            alice.client.logout();
            for (service, bosh) in [(bosh_url(server.http), true), (ws_url(server.http), false)] {
                come_back(server, &mut alice, service);
                bob.client.sees(&alice.full, "available");
                scenes::talk_a_little(&mut alice, &mut bob);
                if bosh {
                    scenes::polls_again(&mut alice, network);
                }
                alice.client.logout();
                bob.client.sees(&alice.full, "unavailable");
            }
        });
        scope.spawn(move || {
            let mut dave = arrive(needs, server, Way::StartTls, "dave", "desk");
            let mut before = arrive(needs, server, Way::StartTls, "carol", "desk");
            scenes::subscribe_to_each_other(&mut before, &mut dave);
            before.client.logout();
            let prebind = |client: &mut Client, jid: &str| {
                let url = server.api_url("/api/v1/prebind");
                client.tell(json!({"do": "prebind", "service": bosh_url(server.http), "jid": jid,
                    "backend": {"url": url, "token": server.token, "uid": "carol"}}));
                client.online()
            };
            let mut carol = come_in(Client::converse(needs, "carol"), Way::Bosh, prebind, "carol", "web");
            dave.client.sees(&carol.full, "available");
            scenes::converse(&mut carol, &mut dave, 40);
            // The same, with the token where the password would stand.
            let login =
                |client: &mut Client, jid: &str| client.login_at(bosh_url(server.http), jid, &token(server, "dave"));
            let mut other = come_in(Client::converse(needs, "dave"), Way::Bosh, login, "dave", "web");
            scenes::talk_a_little(&mut other, &mut carol);
        });
    });
}

/// Attaches to a session that the backend has begun.
fn prebound<'s>(server: &'s Server, uid: &'s str) -> impl FnOnce(&mut Client, &str) -> String + 's {
    move |client, _| {
        let session = server.api("/api/v1/prebind", &json!({"uid": uid, "resource": "web"}));
        client.tell(json!({"do": "attach", "service": bosh_url(server.http), "jid": session["jid"],
            "sid": session["sid"], "rid": session["rid"], "fresh": true}));
        client.online()
    }
}

/// Logs in with a token where the password would stand.
fn come_back(server: &Server, side: &mut Side, service: String) {
    let uid = side.jid.trim_end_matches("@localhost");
    assert_eq!(side.client.login_at(service, &side.full, &token(server, uid)), side.full);
}

fn token(server: &Server, uid: &str) -> String {
    let answer = server.api("/api/v1/token", &json!({"uid": uid}));
    answer["token"].as_str().expect("a token").to_owned()
}
