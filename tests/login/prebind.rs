//! `POST /api/v1/prebind`: sessions that wait for their client (cases 79 to 81 of BOSH).

use crate::support::client::Client;
use crate::support::{Answer, Herald, PATIENCE};
use serde_json::{Value, json};

/// A page that attaches to a session.
struct Page {
    agent: ureq::Agent,
    url: String,
    sid: String,
    rid: u64,
    /// Does a proxy that is trusted say that the requests came over TLS?
    secure: bool,
}

impl Page {
    fn of(herald: &Herald, prebound: &Value) -> Page {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Page {
            agent: agent.into(),
            url: format!("http://{}/http-bind", herald.address("http")),
            sid: prebound["sid"].as_str().expect("a sid").to_owned(),
            rid: prebound["rid"].as_u64().expect("a rid"),
            secure: false,
        }
    }

    /// Sends the next request, and gives what is in the answer.
    fn post(&mut self, payload: &str) -> String {
        let body = format!(
            "<body rid='{}' sid='{}' xmlns='http://jabber.org/protocol/httpbind'>{payload}</body>",
            self.rid, self.sid
        );
        self.rid += 1;
        let scheme = if self.secure { "https" } else { "http" };
        let request = self.agent.post(&self.url).content_type("text/xml").header("x-forwarded-proto", scheme);
        let mut answer = request.send(body).expect("an answer");
        answer.body_mut().read_to_string().expect("text")
    }

    /// Sends a payload, and goes on with empty requests until this came; gives all that came.
    fn until(&mut self, payload: &str, wanted: &str) -> String {
        let mut all = self.post(payload);
        while !all.contains(wanted) {
            assert!(!all.contains("terminate"), "waited for {wanted:?}; got {all}");
            all += &self.post("");
        }
        all
    }
}

fn ask(herald: &Herald, body: Value) -> Answer {
    herald.api("POST", "/api/v1/prebind", Some(body))
}

fn prebind(herald: &Herald, body: Value) -> Value {
    let answer = ask(herald, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

fn sessions(herald: &Herald) -> Vec<Value> {
    herald.api("GET", "/api/v1/sessions", None).json["sessions"].as_array().expect("sessions").clone()
}

fn online(herald: &Herald, uid: &str) -> bool {
    let presence = herald.api("GET", &format!("/api/v1/presence?uid={uid}"), None);
    presence.json["results"][0]["online"].as_bool().unwrap_or_else(|| panic!("{presence:?}"))
}

const ROSTER: &str = "<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
const PRESENCE: &str = "<presence xmlns='jabber:client'/>";

#[test]
fn case_79_the_first_request_is_accepted_and_everything_works() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let mut bob = {
        herald.user("bob", "secret");
        Client::login(&herald, "bob", "secret", "desk")
    };
    let bound = prebind(&herald, json!({ "uid": "alice", "resource": "page" }));
    assert_eq!(bound["jid"], "alice@localhost/page");
    let session = &sessions(&herald)[0];
    assert_eq!(
        (&session["transport"], &session["secure"], &session["peer"]),
        (&json!("bosh"), &json!(false), &json!("127.0.0.1"))
    );
    assert!(!online(&herald, "alice"), "it has sent no presence");

    let mut page = Page::of(&herald, &bound);
    let roster = page.until(ROSTER, "id='r'");
    assert!(roster.contains("jabber:iq:roster"), "{roster}");
    page.until(&format!("{PRESENCE}{}", ROSTER.replace("'r'", "'s'")), "id='s'");
    assert!(online(&herald, "alice"));

    bob.send("<message to='alice@localhost' type='chat'><body>to the page</body></message>");
    page.until("", "to the page");
    let message = "<message xmlns='jabber:client' to='bob@localhost' type='chat'><body>from the page</body></message>";
    page.until(&format!("{message}{}", ROSTER.replace("'r'", "'t'")), "id='t'");
    let came = bob.expect("from the page");
    assert!(came.contains("from='alice@localhost/page'"), "{came}");
}

#[test]
fn what_is_sent_to_it_before_it_attaches_is_waiting() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    let bound = prebind(&herald, json!({ "uid": "alice" }));
    let jid = bound["jid"].as_str().expect("a JID");
    assert!(jid.len() > "alice@localhost/".len(), "{jid}: the server names a resource");
    let mut bob = Client::login(&herald, "bob", "secret", "desk");
    bob.send(&format!(
        "<message to='{jid}' type='chat'><body>early</body></message>\
         <iq to='{jid}' type='get' id='early'><ping xmlns='urn:xmpp:ping'/></iq>\
         <iq type='get' id='said'><ping xmlns='urn:xmpp:ping'/></iq>"
    ));
    bob.expect("'said'");
    let mut page = Page::of(&herald, &bound);
    let came = page.until(PRESENCE, "id='early'");
    assert!(came.contains("<body>early</body>"), "{came}");
    let pong = format!("<iq xmlns='jabber:client' to='{}' type='result' id='early'/>", bob.jid);
    page.until(&format!("{pong}{ROSTER}"), "id='r'");
    bob.expect("id='early'");
}

#[test]
fn it_is_the_same_session_over_http_and_https() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let mut page = Page::of(&herald, &prebind(&herald, json!({ "uid": "alice" })));
    for (id, secure) in [("a", true), ("b", false), ("c", true)] {
        page.secure = secure;
        page.until(&ROSTER.replace("'r'", &format!("'{id}'")), &format!("id='{id}'"));
    }
}

#[test]
fn case_80_who_never_comes_is_freed_and_was_never_seen() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let bound = prebind(&herald, json!({ "uid": "alice", "ttl": 1 }));
    assert!((0..100_000).any(|_| {
        assert!(!online(&herald, "alice"));
        sessions(&herald).is_empty()
    }));
    let expires: jiff::Timestamp = bound["expires"].as_str().expect("a time").parse().expect("RFC 3339");
    assert!(expires <= jiff::Timestamp::now(), "not before its time: {expires}");
    let late = Page::of(&herald, &bound).post(PRESENCE);
    assert!(late.contains("condition='item-not-found'"), "{late}");
    assert!(!online(&herald, "alice"));
}

#[test]
fn case_81_two_tabs_with_the_same_three() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    let bound = prebind(&herald, json!({ "uid": "alice" }));
    let (mut first, mut second) = (Page::of(&herald, &bound), Page::of(&herald, &bound));
    let answer = first.until(ROSTER, "id='r'");
    // The same rid again is answered again, and nothing in it is done again.
    assert_eq!(second.post("<message xmlns='jabber:client' to='alice@localhost'><body>twice</body></message>"), answer);
    first.until(&format!("{PRESENCE}{}", ROSTER.replace("'r'", "'s'")), "id='s'");
    let last = Page { rid: first.rid + 100, ..Page::of(&herald, &bound) }.post("");
    assert!(last.contains("item-not-found"), "{last}: far out of the window, which ends the session");
    assert_eq!(herald.http("GET", "/healthz", &[], "").status, 200);
    let again = prebind(&herald, json!({ "uid": "alice" }));
    Page::of(&herald, &again).until(ROSTER, "id='r'");
}

#[test]
fn a_rid_that_is_not_the_one_given_ends_it() {
    let herald = Herald::start();
    herald.user("alice", "secret");
    for off in [100, -100] {
        let bound = prebind(&herald, json!({ "uid": "alice" }));
        let mut page = Page::of(&herald, &bound);
        page.rid = page.rid.saturating_add_signed(off).max(1);
        let answer = page.post(PRESENCE);
        assert!(answer.contains("condition='item-not-found'"), "{off}: {answer}");
    }
}

#[test]
fn the_resource_is_bound_as_by_any_other() {
    let herald = Herald::start_with("[limits]\nresources_max = 2\n");
    herald.user("alice", "secret");
    let mut old = Client::bind(&herald, "alice", "secret", "desk");
    let bound = prebind(&herald, json!({ "uid": "alice", "resource": "desk" }));
    assert!(old.expect_end().contains("<conflict"), "the newest wins");
    Page::of(&herald, &bound).until(ROSTER, "id='r'");
    prebind(&herald, json!({ "uid": "alice" }));
    let full = ask(&herald, json!({ "uid": "alice" }));
    assert_eq!((full.status, &full.json["code"]), (409, &json!("too_many_resources")), "{full:?}");
    // Taken over before its client came.
    let mut page = Page::of(&herald, &prebind(&herald, json!({ "uid": "alice", "resource": "desk" })));
    Client::bind(&herald, "alice", "secret", "desk");
    let answer = page.post(PRESENCE);
    assert!(answer.contains("terminate"), "{answer}");
}

#[test]
fn what_is_asked_is_read_strictly() {
    let herald = Herald::start_with("[bosh]\nprebind_ttl_max_secs = 200\n");
    herald.user("alice", "secret");
    let nobody = ask(&herald, json!({ "uid": "carol" }));
    assert_eq!((nobody.status, &nobody.json["code"]), (404, &json!("no_such_user")), "{nobody:?}");
    let table = [
        (json!({ "uid": "alice", "ttl": 0 }), "invalid"),
        (json!({ "uid": "alice", "ttl": 201 }), "invalid"),
        (json!({ "uid": "alice", "resource": "" }), "invalid"),
        (json!({ "uid": "alice", "resource": "x".repeat(1024) }), "invalid"),
        (json!({ "resource": "x" }), "invalid"),
        (json!({ "uid": "alice", "recource": "x" }), "unknown_field"),
    ];
    for (body, code) in table {
        let answer = ask(&herald, body.clone());
        assert_eq!((answer.status, &answer.json["code"]), (422, &json!(code)), "{body}: {answer:?}");
    }
    assert!(sessions(&herald).is_empty());
    let made = prebind(&herald, json!({ "uid": "carol", "create": true }));
    Page::of(&herald, &made).until(ROSTER, "id='r'");
}
