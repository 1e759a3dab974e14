//! Every XEP of the modules over a real stream: a client asks, the server's own words come back.

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use support::Herald;
use support::client::Client;

/// A server with two users who do not know each other.
fn house() -> Herald {
    let herald = Herald::start();
    herald.user("ann", "secret");
    herald.user("bob", "secret");
    herald
}

fn ann(herald: &Herald) -> Client {
    Client::login(herald, "ann", "secret", "a")
}

fn bob(herald: &Herald) -> Client {
    Client::login(herald, "bob", "secret", "b")
}

/// A client that is bound and has not said that it is there.
fn bound(herald: &Herald, uid: &str) -> Client {
    let mut client = Client::connect(herald);
    client.open();
    let plain = BASE64_STANDARD.encode(format!("\0{uid}\0secret"));
    client.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"));
    client.expect("<success");
    client.open();
    client.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    client.expect("</iq>");
    client
}

/// Asks, and returns the whole answer.
fn iq(client: &mut Client, kind: &str, to: &str, payload: &str) -> String {
    client.send(&format!("<iq type='{kind}' id='q' to='{to}'>{payload}</iq>"));
    let before = client.expect(" id='q'");
    let mut answer = before[before.rfind("<iq").expect("an iq")..].to_owned();
    answer += &client.expect(">");
    if !answer.ends_with("/>") {
        answer += &client.expect("</iq>");
    }
    assert!(answer.contains(&format!("from='{to}'")), "{payload} to {to}: {answer}");
    answer
}

fn holds(answer: &str, parts: &[&str]) {
    for part in parts {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

#[test]
fn xep_0030_service_discovery() {
    let herald = house();
    let mut ann = ann(&herald);
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let server = iq(&mut ann, "get", "localhost", info);
    holds(&server, &["type='result'", "<identity category='server' type='im' name='Herald'/>"]);
    let features: Vec<&str> = server.split("<feature var='").skip(1).filter_map(|f| f.split('\'').next()).collect();
    assert!(features.is_sorted() && features.contains(&"msgoffline"), "{features:?}");
    holds(&iq(&mut ann, "get", "localhost", items), &["type='result'", "disco#items"]);
    let node = info.replace("/>", " node='x'/>");
    holds(&iq(&mut ann, "get", "localhost", &node), &["type='error'", "<item-not-found"]);
    let own = iq(&mut ann, "get", "ann@localhost", info);
    holds(&own, &["<identity category='account' type='registered'/>"]);
    holds(&iq(&mut ann, "get", "ann@localhost", items), &["<item jid='ann@localhost/a'/>"]);
    // section 8
    let _bob = bob(&herald);
    for stranger in ["bob@localhost", "nobody@localhost"] {
        holds(&iq(&mut ann, "get", stranger, info), &["type='error'", "<service-unavailable"]);
        let answer = iq(&mut ann, "get", stranger, items);
        assert!(answer.contains("type='result'") && !answer.contains("<item "), "{answer}");
    }
}

#[test]
fn xep_0199_0092_0202_ping_version_time() {
    let herald = house();
    let mut ann = ann(&herald);
    for to in ["localhost", "ann@localhost"] {
        holds(&iq(&mut ann, "get", to, "<ping xmlns='urn:xmpp:ping'/>"), &["type='result'"]);
    }
    holds(&iq(&mut ann, "get", "bob@localhost", "<ping xmlns='urn:xmpp:ping'/>"), &["<service-unavailable"]);
    let version = format!("<name>Herald</name><version>{}</version></query>", env!("CARGO_PKG_VERSION"));
    holds(&iq(&mut ann, "get", "localhost", "<query xmlns='jabber:iq:version'/>"), &["type='result'", &version]);
    let time = iq(&mut ann, "get", "localhost", "<time xmlns='urn:xmpp:time'/>");
    holds(&time, &["<tzo>Z</tzo><utc>2", "Z</utc>"]);
}

#[test]
fn xep_0160_0203_who_is_away_gets_it_later_with_a_stamp() {
    let herald = house();
    let mut ann = ann(&herald);
    let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    ann.send(&format!("<message type='chat' to='bob@localhost'>{state}</message>"));
    for n in 1..=3 {
        ann.send(&format!("<message type='chat' to='bob@localhost'><body>number {n}</body></message>"));
    }
    ann.send("<message type='headline' to='bob@localhost'><body>news</body></message>");
    // The account answers behind what came before: now all of it is kept.
    holds(&iq(&mut ann, "get", "bob@localhost", "<vCard xmlns='vcard-temp'/>"), &["<service-unavailable"]);
    let mut bob = bound(&herald, "bob");
    bob.send("<presence/>");
    let got = bob.expect("<body>number 3</body>") + &bob.expect("</message>");
    let places: Vec<_> = (1..=3).map(|n| got.find(&format!("<body>number {n}</body>"))).collect();
    assert!(places.is_sorted() && places[0].is_some(), "{got}");
    let stamp = "<delay xmlns='urn:xmpp:delay' from='localhost' stamp='2";
    assert_eq!((got.matches(stamp).count(), got.matches("<message").count()), (3, 3), "{got}");
    assert!(!got.contains("news") && !got.contains("composing"), "{got}");
}

#[test]
fn xep_0049_private_xml_lasts() {
    let mut herald = house();
    let mut first = ann(&herald);
    let kept = "<prefs xmlns='exodus:prefs'><nick>Hamlet</nick></prefs>";
    let query = |inner: &str| format!("<query xmlns='jabber:iq:private'>{inner}</query>");
    holds(&iq(&mut first, "set", "ann@localhost", &query(kept)), &["type='result'"]);
    holds(&iq(&mut first, "get", "bob@localhost", &query(kept)), &["type='error'", "<forbidden"]);
    holds(&iq(&mut first, "get", "ann@localhost", &query("")), &["type='error'", "<not-acceptable"]);
    herald.kill(); // it was acknowledged, so it is kept
    herald.restart();
    let mut second = ann(&herald);
    let got = iq(&mut second, "get", "ann@localhost", &query("<prefs xmlns='exodus:prefs'/>"));
    holds(&got, &["type='result'", &query(kept)]);
}

#[test]
fn xep_0054_the_account_shows_the_vcard_of_who_is_away() {
    let herald = house();
    let mut ann = ann(&herald);
    let asked = "<vCard xmlns='vcard-temp'/>";
    let card = "<vCard xmlns='vcard-temp'><FN>Bob</FN></vCard>";
    let mut owner = bob(&herald);
    holds(&iq(&mut owner, "get", "bob@localhost", asked), &["type='error'", "<item-not-found"]);
    holds(&iq(&mut owner, "set", "bob@localhost", card), &["type='result'"]);
    drop(owner);
    holds(&iq(&mut ann, "get", "bob@localhost", asked), &["type='result'", card]);
    holds(&iq(&mut ann, "set", "bob@localhost", card), &["type='error'", "<forbidden"]);
    holds(&iq(&mut ann, "get", "nobody@localhost", asked), &["type='error'", "<service-unavailable"]);
}
