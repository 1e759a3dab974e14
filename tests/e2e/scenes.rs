//! What the clients live through, in scenes of one pair or one user each.

use crate::clients::{Client, bosh_url, ws_url};
use crate::needs::Needs;
use crate::network::Network;
use crate::server::{PASSWORD, Server};
use serde_json::json;

/// Messages each way.
const MESSAGES: usize = 1_000;

/// How far one side of a conversation gets ahead of the other.
const LEAD: usize = 4;

/// One side of a pair: a client that is logged in, and who it is.
pub struct Side {
    pub client: Client,
    pub way: Way,
    pub jid: String,
    pub full: String,
}

/// How a client reaches the server.
#[derive(Clone, Copy)]
pub enum Way {
    Bosh,
    WebSocket,
    StartTls,
    DirectTls,
}

impl Way {
    /// A client that goes this way, not yet logged in.
    pub fn client(self, needs: &Needs, name: &str) -> Client {
        match self {
            Way::Bosh | Way::WebSocket => Client::browser(needs, name),
            Way::StartTls | Way::DirectTls => Client::desktop(needs, name),
        }
    }

    /// Logs the client in.
    pub fn login(self, client: &mut Client, server: &Server, jid: &str) -> String {
        match self {
            Way::Bosh => client.login_at(bosh_url(server.http), jid, PASSWORD),
            Way::WebSocket => client.login_at(ws_url(server.http), jid, PASSWORD),
            Way::StartTls => client.login_tcp(server.xmpp, "starttls", &server.ca, jid, PASSWORD),
            Way::DirectTls => client.login_tcp(server.xmpps, "direct", &server.ca, jid, PASSWORD),
        }
    }
}

/// Logs a user in, this way.
pub fn arrive(needs: &Needs, server: &Server, way: Way, uid: &str, resource: &str) -> Side {
    let client = way.client(needs, &format!("{uid}/{resource}"));
    come_in(client, way, |client, jid| way.login(client, server, jid), uid, resource)
}

/// Logs a user in with this client, as `login` does it.
pub fn come_in(
    mut client: Client,
    way: Way,
    login: impl FnOnce(&mut Client, &str) -> String,
    uid: &str,
    resource: &str,
) -> Side {
    let jid = format!("{uid}@localhost");
    let full = login(&mut client, &format!("{jid}/{resource}"));
    assert_eq!(full, format!("{jid}/{resource}"));
    Side { client, way, jid, full }
}

/// Both ask and both agree; each sees the other online.
pub fn subscribe_to_each_other(a: &mut Side, b: &mut Side) {
    subscribe(a, b);
    subscribe(b, a);
}

fn subscribe(asking: &mut Side, asked: &mut Side) {
    asking.client.tell(json!({"do": "subscribe", "to": asked.jid}));
    asked.client.sees(&asking.jid, "subscribe");
    asked.client.tell(json!({"do": "approve", "to": asking.jid}));
    asking.client.sees(&asked.jid, "subscribed");
    asking.client.sees(&asked.full, "available");
}

/// 1,000 messages each way at the same time: all there, in order, none twice.
pub fn talk(a: &mut Side, b: &mut Side) {
    a.client.tell(json!({"do": "send", "to": b.full, "prefix": "a", "count": MESSAGES}));
    b.client.tell(json!({"do": "send", "to": a.full, "prefix": "b", "count": MESSAGES}));
    have_read_each_other(a, b, MESSAGES);
}

/// The same in many small steps, so that there are many requests: who is a few messages ahead waits for the other.
pub fn converse(a: &mut Side, b: &mut Side, count: usize) {
    begin_to_converse(a, b, count);
    have_read_each_other(a, b, count);
}

/// The same over a network that loses answers. Strophe.js hands on what comes as it comes, not by its rid: while it
/// waits to repeat a request, the answer to a younger one may overtake the repeated one. So `a`, which is Strophe.js,
/// or Converse.js on top of it, has to have each message once; `b` has them in order.
pub fn converse_in_a_storm(a: &mut Side, b: &mut Side, count: usize) {
    begin_to_converse(a, b, count);
    assert_eq!(b.client.bodies(&a.full, count), sent("a", count), "what {} read of {}", b.full, a.full);
    let read = a.client.bodies(&b.full, count);
    assert_eq!(by_number(read), sent("b", count), "what {} read of {}", a.full, b.full);
    farewell(a, b);
}

/// Sorted by the number that ends them; none comes first.
pub fn by_number(mut bodies: Vec<String>) -> Vec<String> {
    bodies.sort_by_key(|body| body.trim_start_matches(char::is_alphabetic).parse::<usize>().ok());
    bodies
}

fn begin_to_converse(a: &mut Side, b: &mut Side, count: usize) {
    a.client.tell(json!({"do": "talk", "to": b.full, "prefix": "a", "count": count, "lead": LEAD}));
    b.client.tell(json!({"do": "talk", "to": a.full, "prefix": "b", "count": count, "lead": LEAD}));
}

fn sent(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// One message each way.
pub fn talk_a_little(a: &mut Side, b: &mut Side) {
    a.client.tell(json!({"do": "send", "to": b.full, "prefix": "hello", "count": 1}));
    assert_eq!(b.client.bodies(&a.full, 1), ["hello0"]);
    b.client.tell(json!({"do": "send", "to": a.full, "prefix": "and you", "count": 1}));
    assert_eq!(a.client.bodies(&b.full, 1), ["and you0"]);
}

/// Waits for a poll with nothing in it: by it Herald knows that all before was read.
pub fn polls_again(side: &mut Side, network: &Network) {
    side.client.tell(json!({"do": "session"}));
    let session = side.client.expect("session", |_| true);
    network.awaits_poll(session["sid"].as_str().expect("a sid"), session["rid"].as_u64().expect("a rid"));
}

fn have_read_each_other(a: &mut Side, b: &mut Side, count: usize) {
    assert_eq!(b.client.bodies(&a.full, count), sent("a", count), "what {} read of {}", b.full, a.full);
    assert_eq!(a.client.bodies(&b.full, count), sent("b", count), "what {} read of {}", a.full, b.full);
    farewell(a, b);
}

fn farewell(a: &mut Side, b: &mut Side) {
    // What came after the thousand would come before a farewell: nothing did.
    a.client.tell(json!({"do": "send", "to": b.full, "prefix": "end", "count": 1}));
    b.client.tell(json!({"do": "send", "to": a.full, "prefix": "end", "count": 1}));
    assert_eq!(b.client.bodies(&a.full, 1), ["end0"]);
    assert_eq!(a.client.bodies(&b.full, 1), ["end0"]);
    a.client.has_read_all();
    b.client.has_read_all();
}

/// Each leaves and comes back, and the other sees it; then the browser is killed, and is seen to be gone.
pub fn come_and_go(needs: &Needs, server: &Server, mut browser: Side, mut desktop: Side) {
    leave_and_come_back(server, &mut browser, &mut desktop);
    leave_and_come_back(server, &mut desktop, &mut browser);
    browser.client.tell(json!({"do": "kill"}));
    desktop.client.sees(&browser.full, "unavailable");
    // Another browser takes its place, under the same name.
    let (uid, resource) = (browser.jid.trim_end_matches("@localhost"), browser.full.rsplit('/').next());
    let mut back = arrive(needs, server, browser.way, uid, resource.expect("a full JID"));
    desktop.client.sees(&back.full, "available");
    back.client.sees(&desktop.full, "available");
}

fn leave_and_come_back(server: &Server, goes: &mut Side, stays: &mut Side) {
    goes.client.logout();
    stays.client.sees(&goes.full, "unavailable");
    goes.way.login(&mut goes.client, server, &goes.full);
    stays.client.sees(&goes.full, "available");
    goes.client.sees(&stays.full, "available");
}

/// A backend's message reaches every session of a user at once; with none, it waits for the next login.
pub fn sendto(needs: &Needs, server: &Server, uid: &str) {
    let ways = [Way::Bosh, Way::WebSocket, Way::StartTls];
    let mut sides: Vec<Side> =
        ways.into_iter().zip(["one", "two", "three"]).map(|(w, r)| arrive(needs, server, w, uid, r)).collect();
    for text in ["to all of you", "and once more"] {
        let result = server.sendto(uid, text);
        assert_eq!((&result["state"], &result["sessions"]), (&json!("delivered"), &json!(3)), "{result}");
        for side in &mut sides {
            assert_eq!(side.client.bodies("localhost", 1), [text], "{}", side.full);
        }
    }
    for side in &mut sides {
        side.client.has_read_all();
        side.client.logout();
    }
    let result = server.sendto(uid, "while you were out");
    assert_eq!(result["state"], "stored", "{result}");
    assert!(result["id"].is_u64(), "{result}");
    let mut back = arrive(needs, server, Way::DirectTls, uid, "four");
    assert_eq!(back.client.bodies("localhost", 1), ["while you were out"]);
    // It was given out once: the next login finds nothing before its own message.
    let mut again = arrive(needs, server, Way::WebSocket, uid, "five");
    server.sendto(uid, "now");
    assert_eq!(again.client.bodies("localhost", 1), ["now"]);
    assert_eq!(back.client.bodies("localhost", 1), ["now"]);
}
