//! B. Creation (XEP-0124 section 7, XEP-0206 sections 3 and 4).

use crate::scene::{CREATION, HARNESS, Page, Server, auth, creation, post};
use crate::wire::{Answer, Conn, EMPTY, request};

/// The answer to a creation request with these attributes.
fn create(attrs: &str) -> Answer {
    let server = Server::shared(HARNESS);
    post(&server, &creation(1_573_741_820, attrs, "")).answer()
}

const XMPP: &str = "xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0'";

#[test]
fn t16_the_answer_says_everything_once() {
    let answer = create(&format!("to='localhost' content='text/xml; charset=utf-8' {CREATION}"));
    for (name, value) in [
        ("wait", "10"),
        ("requests", "2"),
        ("hold", "1"),
        ("ver", "1.6"),
        ("polling", "2"),
        ("inactivity", "5"),
        ("maxpause", "20"),
        ("from", "localhost"),
    ] {
        assert_eq!(answer.attr(name).as_deref(), Some(value), "{name}");
    }
    let sid = answer.attr("sid").expect("a sid");
    assert!(sid.len() == 32 && sid.bytes().all(|b| b.is_ascii_hexdigit()), "128 bits: {sid}");
    for (name, value) in [("version", "1.0"), ("restartlogic", "true")] {
        let element = answer.element();
        let mut attrs = element.attrs().filter(|(space, n, _)| (*space, *n) == ("urn:xmpp:xbosh", name));
        assert_eq!(attrs.next().map(|(.., v)| v.into_owned()).as_deref(), Some(value), "{name}");
    }
    for absent in ["secure", "stream", "authid"] {
        assert_eq!(answer.attr(absent), None, "{absent}");
    }
    answer
        .says("xmlns:stream='http://etherx.jabber.org/streams'")
        .says("<stream:features")
        .says("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>");
}

#[test]
fn t17_the_version_is_the_lower_one() {
    for (asked, got) in [
        ("ver='1.5'", Some("1.5")),
        ("ver='1.9'", Some("1.9")),
        ("ver='1.11'", Some("1.11")),
        ("ver='1.100'", Some("1.11")),
        ("ver='2.0'", Some("1.11")),
        ("", None),
    ] {
        assert_eq!(create(&format!("to='localhost' {asked}")).attr("ver").as_deref(), got, "{asked}");
    }
}

#[test]
fn t18_wait_is_never_more_than_asked_for() {
    for (asked, got) in [("wait='0'", "0"), ("", "10"), ("wait='3'", "3"), ("wait='99999'", "10")] {
        let answer = create(&format!("to='localhost' ver='1.6' {asked}"));
        assert_eq!(answer.attr("wait").as_deref(), Some(got), "{asked}");
    }
    for bad in ["wait='-1'", "wait='1.5'"] {
        create(&format!("to='localhost' ver='1.6' {bad}")).terminates("bad-request");
    }
}

#[test]
fn t19_hold_is_never_more_than_asked_for_and_requests_always_is() {
    for (asked, hold) in [("hold='0'", 0), ("hold='5'", 1), ("", 1)] {
        let answer = create(&format!("to='localhost' ver='1.6' wait='60' {asked}"));
        assert_eq!(answer.attr("hold"), Some(hold.to_string()), "{asked}");
        let requests: u32 = answer.attr("requests").expect("requests").parse().expect("a number");
        let client = asked.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(1);
        assert!(requests > client, "{asked}: requests={requests}");
    }
    // Nothing is held of a client that lets nothing be held.
    let (page, _) = Page::create(&Server::shared(HARNESS), "ver='1.6' wait='60' hold='0'");
    page.ask(1).answer().is(EMPTY);
}

#[test]
fn t20_rids_that_are_none() {
    let server = Server::shared(HARNESS);
    for rid in ["", "rid='0'", "rid='abc'", "rid='9007199254740992'"] {
        for (ver, status) in [("ver='1.6'", 200), ("", 400)] {
            let body = format!("<body xmlns='http://jabber.org/protocol/httpbind' to='localhost' {rid} {ver}/>");
            post(&server, &body).answer().refuses(status, "bad-request");
        }
    }
}

#[test]
fn t21_where_to() {
    create("ver='1.6'").terminates("improper-addressing");
    create("ver='1.6' to=''").terminates("improper-addressing");
    create("ver='1.6' to='nosuch.example'").terminates("host-unknown");
    assert!(create("ver='1.6' to='LOCALHOST'").attr("sid").is_some());
}

#[test]
fn t22_features_come_without_a_version() {
    create("to='localhost' ver='1.6' wait='60' hold='1'").says("<stream:features").says("<mechanisms");
}

#[test]
fn t23_any_prefix_and_either_boolean() {
    let server = Server::shared(HARNESS);
    let alice = server.user("alice");
    for restart in ["q:restart='1'", "q:restart='true'"] {
        let (mut page, answer) =
            Page::create(&server, "ver='1.6' wait='60' hold='1' xmlns:q='urn:xmpp:xbosh' q:version='1.0'");
        answer.says("<mechanisms");
        page.talk("", &auth(&alice), "<success");
        let restart = format!("xmlns:q='urn:xmpp:xbosh' {restart} to='localhost'");
        page.talk(&restart, "", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'");
    }
}

#[test]
fn t24_route_and_from_are_no_error() {
    let attrs = "to='localhost' ver='1.6' route='xmpp:example.com:9999' from='u@example.com'";
    assert!(create(attrs).attr("sid").is_some());
}

#[test]
fn t25_a_payload_of_the_creation_request_is_not_lost() {
    let server = Server::shared(HARNESS);
    let alice = server.user("alice");
    let attrs = format!("wait='60' hold='1' ver='1.6' {XMPP}");
    let (page, answer) = Page::try_create(&server, &attrs, &auth(&alice));
    let page = page.expect("a session");
    let mut said = answer.says("<stream:features").body;
    if !said.contains("<success") {
        said = page.ask(1).answer().body; // checking a password takes its time
    }
    assert!(said.contains("<success"), "{said}");
}

/// The time for a login is 1 s, as is the time in which somebody may come to be told that it is over. What
/// stays is compared with a second flood: an allocator gives back what it likes, but the second ten thousand
/// have to live where the first did.
#[test]
fn t26_ten_thousand_sessions_that_never_log_in() {
    let server = Server::alone("[auth]\nlogin_secs = 1\n[bosh]\nwait_max_secs = 60\ninactivity_secs = 1\n");
    let (mut sids, first) = flood(&server, "<connection-timeout ");
    sids.sort_unstable();
    let alike = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    let longest = sids.windows(2).map(alike).max();
    assert!(longest < Some(12), "{longest:?} digits in common, where chance gives 6 or 7");
    let again = [(); 2].map(|()| flood(&server, "<connection-timeout ").1);
    assert!(again[1] < first + (20 << 20), "{first} bytes at the first flood, then {again:?}");
}

/// Nobody comes to hear that they are over: they take room as long as they wait for it, among the others that
/// have not logged in, and no more.
#[test]
fn t26_more_than_may_be_there() {
    let server = Server::alone("[limits]\nunauthenticated_max = 500\n");
    let (_, first) = flood(&server, "");
    let (_, again) = flood(&server, "");
    assert!(again < first + (4 << 20), "{first} bytes at the first flood, {again} at the second");
}

/// Ten thousand sessions, until the last one is told this; their names, and how much memory there was at the most.
fn flood(server: &Server, told: &str) -> (Vec<String>, u64) {
    let mut conn = Conn::open(server);
    let mut sids = Vec::new();
    for rid in 1..=10_000 {
        conn.post(&creation(rid, &format!("to='localhost' {CREATION}"), ""));
        sids.push(conn.answer().attr("sid").expect("a sid"));
    }
    let most = server.herald().rss_bytes();
    let page = |at: usize| Page { server: server.clone(), sid: sids[at].clone(), r: at as u64 + 1, polls: false };
    if !told.is_empty() {
        page(sids.len() - 1).ask(1).answer().says(told);
    }
    page(0).ask(1).answer().attr("condition").expect("it is over");
    page(0).ask(2).answer().terminates("item-not-found");
    (sids, most)
}

/// N is a burst of 3 here, and one more each second. Clients come through a proxy, which says who they are.
#[test]
fn t27_too_many_creations_from_one_address() {
    let server = Server::alone("[shaping]\nexempt = []\nip_sessions_per_sec = 1\nip_sessions_burst = 3\n");
    let create = |address: &str| {
        let mut conn = Conn::open(&server);
        let fields = format!("X-Forwarded-For: {address}\r\n");
        conn.send(request(&fields, creation(1, &format!("to='localhost' {CREATION}"), "")));
        conn.answer()
    };
    let answers = [(); 12].map(|()| create("192.0.2.1"));
    assert!(answers[..3].iter().all(|a| a.attr("sid").is_some()));
    let refused = answers.into_iter().filter(|a| a.attr("sid").is_none());
    let refused: Vec<_> = refused.map(|answer| answer.terminates("policy-violation")).collect();
    assert!(refused.len() >= 4, "{}", refused.len());
    for n in 1..=10 {
        assert!(create(&format!("198.51.100.{n}")).attr("sid").is_some(), "others are unaffected");
    }
}

#[test]
fn t28_an_endpoint_for_https_only() {
    let server = Server::alone("[bosh]\nhttps_only = true\n[http]\npublic_https = 'https://chat.example'\n");
    let (page, answer) = Page::try_create(&server, CREATION, "");
    assert!(page.is_none());
    answer.terminates("see-other-uri").says("<uri>https://chat.example/http-bind</uri>");
    let mut secure = Conn::secure(&server);
    secure.post(&creation(1, &format!("to='localhost' {CREATION}"), ""));
    assert!(secure.answer().attr("sid").is_some());
    // Without a name of its own it is where we listen.
    let server = Server::alone("[bosh]\nhttps_only = true\n");
    let port = server.herald().address("https").port();
    let (_, answer) = Page::try_create(&server, CREATION, "");
    answer.terminates("see-other-uri").says(&format!("<uri>https://localhost:{port}/http-bind</uri>"));
}
