//! nginx and HAProxy in front, with the configuration that we ship, over TLS and HTTP/2.

use crate::clients::{Client, PATIENCE};
use crate::needs::{Needs, root};
use crate::network::Network;
use crate::proxy::{Behind, Proxy};
use crate::scenes::{self, Side, Way, come_in};
use crate::server::{PASSWORD, herald_with};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

/// Polls end soon; any sooner, and Strophe.js would end them itself (it gives the answer a tenth of the wait more).
const CONFIG: &str = "drain_secs = 2\n[bosh]\ninactivity_secs = 10\nwait_max_secs = 10\n";
/// The answer to a poll that has waited in vain.
const NOTHING: &str = "<- <body xmlns='http://jabber.org/protocol/httpbind'/>";
/// The proxy has closed the connection while Herald held the request.
const GONE: &str = "the client left";

#[test]
fn strophe_goes_through_nginx_and_haproxy_and_desktops_through_its_tcp_ports() {
    let Some(needs) = Needs::all() else { return };
    thread::scope(|scope| {
        scope.spawn(|| behind(&needs, CONFIG, Proxy::nginx));
        scope.spawn(|| behind(&needs, &format!("{CONFIG}[listen]\nproxy_protocol = true\n"), Proxy::haproxy));
    });
}

fn behind(needs: &Needs, config: &str, start: fn(&Needs, &Behind) -> Proxy) {
    let (mut herald, server) = herald_with(config, &["alice", "bob", "carol"]);
    // Between the proxy and Herald: it tells what the proxy sends, and leads to Herald's next ports.
    let network = Network::good(server.http);
    let pages = Pages::serve(needs);
    let key = herald.data_dir().join("dev-key.pem");
    let proxy = start(
        needs,
        &Behind {
            http: network.at,
            xmpp: (server.xmpp, server.xmpps),
            certificate: (&server.ca, &key),
            pages: pages.at,
        },
    );
    // Where clients look first; and nothing of the operator's.
    let statuses = ["/.well-known/host-meta", "/.well-known/host-meta.json", "/api/v1/sendto", "/metrics"]
        .map(|path| status(&format!("{}{path}", proxy.page().trim_end_matches('/'))));
    assert_eq!(statuses, ["200", "200", "404", "404"]);
    let page = |name| Client::browser_on(needs, name, &proxy.page());
    let mut alice = come_in(page("alice"), Way::Bosh, |c, jid| c.login_at(proxy.bosh(), jid, PASSWORD), "alice", "web");
    let mut bob = come_in(page("bob"), Way::WebSocket, |c, jid| c.login_at(proxy.ws(), jid, PASSWORD), "bob", "web");
    scenes::subscribe_to_each_other(&mut alice, &mut bob);
    alice.client.tell(json!({"do": "hurry", "times": 4}));
    scenes::converse(&mut alice, &mut bob, 200);
    alice.client.tell(json!({"do": "hurry", "times": 1}));
    speaks_http2(&mut alice);
    network.awaits(1, &["<body", "x-forwarded-for: 127.0.0.1", "content-length"]);
    network.awaits(1, &["/ws", "x-forwarded-for: 127.0.0.1"]);

    if let Some((xmpp, xmpps)) = proxy.xmpp {
        for (tls, at) in [("starttls", xmpp), ("direct", xmpps)] {
            let login = |c: &mut Client, jid: &str| c.login_tcp(at, tls, &server.ca, jid, PASSWORD);
            let mut carol = come_in(Client::desktop(needs, "carol"), Way::StartTls, login, "carol", tls);
            scenes::talk_a_little(&mut carol, &mut alice);
            carol.client.logout();
        }
    }

    // Longer than one poll: Herald ends it, the proxy does not, and what comes then is there.
    network.awaits(network.count_lines(&[NOTHING]) + 1, &[NOTHING]);
    scenes::talk_a_little(&mut alice, &mut bob);

    // A browser that dies: the proxy lets go of its held request, and nobody takes it for being there.
    scenes::polls_again(&mut alice, &network);
    let gone = network.count_lines(&[GONE]);
    alice.client.tell(json!({"do": "kill"}));
    network.awaits(gone + 1, &[GONE]);
    bob.client.sees(&alice.full, "unavailable");

    // Herald ends and starts again; who was there comes back.
    let mut alice = come_in(page("alice"), Way::Bosh, |c, jid| c.login_at(proxy.bosh(), jid, PASSWORD), "alice", "web");
    assert!(herald.terminate().success());
    alice.client.expect("offline", |_| true);
    bob.client.expect("offline", |_| true);
    herald.restart();
    network.lead_to(herald.address("http"));
    alice.client.login_at(proxy.bosh(), &alice.full, PASSWORD);
    bob.client.login_at(proxy.ws(), &bob.full, PASSWORD);
    scenes::converse(&mut alice, &mut bob, 20);
}

/// Both requests of the session went as streams of one connection (bosh.md, case 15).
fn speaks_http2(side: &mut Side) {
    side.client.tell(json!({"do": "protocols", "path": "/http-bind"}));
    let told = side.client.expect("protocols", |_| true);
    let protocols = told["protocols"].as_array().expect("a list");
    assert!(!protocols.is_empty() && protocols.iter().all(|p| p == "h2"), "{told}");
    side.client.tell(json!({"do": "streams", "path": "/http-bind"}));
    let told = side.client.expect("streams", |_| true);
    assert!(told["requests"].as_u64() > Some(20), "{told}");
    assert_eq!((&told["connections"], &told["together"]), (&json!(1), &json!(2)), "{told}");
}

/// The HTTP status that a GET gets.
fn status(url: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--max-time", &PATIENCE.as_secs().to_string()]);
    let out = curl.args(["--output", "/dev/null", "--write-out", "%{http_code}", url]).output().expect("curl starts");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The web chat's own server; killed on drop.
struct Pages {
    child: Child,
    at: SocketAddr,
}

impl Pages {
    fn serve(needs: &Needs) -> Pages {
        let mut command = Command::new(&needs.node);
        command.arg(root().join("examples/web-chat/server.mjs")).arg("0").stdout(Stdio::piped());
        let mut child = command.spawn().expect("the pages' server starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        out.read_line(&mut line).expect("it says where it is");
        let at = line.trim().trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        Pages { child, at }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}
