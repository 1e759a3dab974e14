//! Subscriptions and presence across users (RFC 6121 sections 3 and 4), by script.

mod town;

use std::time::Duration;
use town::{Town, jid};

#[test]
fn subscribing_both_ways() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.bind("ann", "a");
    let bob = town.bind("bob", "b");
    for (client, say) in [(&ann, "<presence><show>away</show></presence>"), (&bob, "<presence/>")] {
        town.ask(client, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
        assert_eq!(town.ask(client, say).len(), 1, "a resource sees its own presence");
    }

    town.send(&ann, "<presence type='subscribe' to='bob@house.example/some' id='s1'><status>hi</status></presence>");
    assert_eq!(
        ann.got(),
        ["<iq to='ann@house.example/a' id='push1' type='set'><query xmlns='jabber:iq:roster' ver='1'>\
          <item jid='bob@house.example' subscription='none' ask='subscribe'/></query></iq>"]
    );
    // from the account, to the account, with what was in it
    assert_eq!(
        bob.got(),
        ["<presence from='ann@house.example' to='bob@house.example/b' id='s1' type='subscribe'>\
          <status>hi</status></presence>"]
    );
    assert_eq!(
        (town.stands("ann", "bob"), town.stands("bob", "ann")),
        ("none ask".into(), "none pending hidden".into())
    );
    // it is not in the roster
    assert_eq!(
        town.ask(&bob, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"),
        ["<iq to='bob@house.example/b' id='r' type='result'><query xmlns='jabber:iq:roster'></query></iq>"]
    );

    town.send(&bob, "<presence type='subscribed' to='ann@house.example'/>");
    assert_eq!(
        bob.got(),
        ["<iq to='bob@house.example/b' id='push2' type='set'><query xmlns='jabber:iq:roster' ver='2'>\
          <item jid='ann@house.example' subscription='from'/></query></iq>"]
    );
    assert_eq!(
        ann.got(),
        [
            "<presence from='bob@house.example' to='ann@house.example/a' type='subscribed'/>",
            "<iq to='ann@house.example/a' id='push2' type='set'><query xmlns='jabber:iq:roster' ver='2'>\
             <item jid='bob@house.example' subscription='to'/></query></iq>",
            "<presence from='bob@house.example/b' to='ann@house.example'/>",
        ]
    );

    town.send(&bob, "<presence type='subscribe' to='ann@house.example'/>");
    town.send(&ann, "<presence type='subscribed' to='bob@house.example'/>");
    assert_eq!((town.stands("ann", "bob"), town.stands("bob", "ann")), ("both".into(), "both".into()));
    let got = bob.got();
    assert!(
        got.contains(
            &"<presence from='ann@house.example/a' to='bob@house.example'><show>away</show></presence>".into()
        ),
        "{got:?}"
    );

    // asking again is answered without asking the user
    ann.take();
    town.send(&bob, "<presence type='subscribe' to='ann@house.example'/>");
    assert_eq!(ann.got(), [""; 0]);

    // a status goes to the other, and a killed link is seen exactly once
    town.send(&bob, "<presence><status>tea</status></presence>");
    assert_eq!(
        ann.got(),
        ["<presence from='bob@house.example/b' to='ann@house.example'><status>tea</status></presence>"]
    );
    town.drop(&bob);
    town.drop(&bob);
    assert_eq!(ann.got(), ["<presence from='bob@house.example/b' to='ann@house.example' type='unavailable'/>"]);

    // back again: each learns of the other, ann by his presence, bob by his probe
    let bob = town.bind("bob", "b2");
    town.send(&bob, "<presence/>");
    assert_eq!(ann.got(), ["<presence from='bob@house.example/b2' to='ann@house.example'/>"]);
    assert_eq!(
        bob.got(),
        [
            "<presence from='bob@house.example/b2' to='bob@house.example/b2'/>",
            "<presence from='ann@house.example/a' to='bob@house.example/b2'><show>away</show></presence>",
        ]
    );
}

#[test]
fn ending_a_subscription() {
    let mut town = Town::new(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    town.befriend(&ann, &bob);
    town.ask(&ann, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");

    // bob takes it back: ann hears it, and that he is gone
    town.send(&bob, "<presence type='unsubscribed' to='ann@house.example'/>");
    assert_eq!((town.stands("ann", "bob"), town.stands("bob", "ann")), ("from".into(), "to".into()));
    let got = ann.got();
    assert_eq!(got[0], "<presence from='bob@house.example' to='ann@house.example/a' type='unsubscribed'/>");
    assert!(got[1].contains("subscription='from'"), "{got:?}");
    assert_eq!(got[2..], ["<presence from='bob@house.example/b' to='ann@house.example' type='unavailable'/>"]);
    town.send(&bob, "<presence><status>unseen</status></presence>");
    assert_eq!(ann.got(), [""; 0]);

    // bob does not want hers any more either
    bob.take();
    town.send(&bob, "<presence type='unsubscribe' to='ann@house.example'/>");
    assert_eq!((town.stands("ann", "bob"), town.stands("bob", "ann")), ("none".into(), "none".into()));
    assert_eq!(bob.got(), ["<presence from='ann@house.example/a' to='bob@house.example' type='unavailable'/>"]);
}

#[test]
fn a_request_waits_for_a_login_and_can_be_denied() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    town.send(&ann, "<presence type='subscribe' to='bob@house.example'><nick xmlns='n'>A</nick></presence>");
    assert_eq!(town.stands("bob", "ann"), "none pending hidden");
    let request = "<presence from='ann@house.example' to='bob@house.example' type='subscribe'><nick xmlns='n'>A</nick></presence>";
    for resource in ["one", "two"] {
        let bob = town.bind("bob", resource);
        town.send(&bob, "<presence/>");
        assert!(bob.got().contains(&request.to_string()), "at every login until it is answered");
    }
    let bob = town.login("bob", "three");
    town.send(&bob, "<presence type='unsubscribed' to='ann@house.example'/>");
    assert_eq!((town.stands("ann", "bob"), town.stands("bob", "ann")), ("none".into(), "-".into()));
    let bob = town.bind("bob", "four");
    town.send(&bob, "<presence/>");
    assert!(!bob.got().contains(&request.to_string()));
}

#[test]
fn a_request_of_a_stranger_is_bounded() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    let long = "x".repeat(10_000);
    town.send(&ann, &format!("<presence type='subscribe' to='bob@house.example'><status>{long}</status></presence>"));
    let kept = town.shelves["bob"].items[jid("ann").as_str()].pending_in.clone().unwrap();
    assert!(kept.len() < 200, "kept without what is in it");
}

#[test]
fn pre_approval_answers_for_the_user() {
    let mut town = Town::new(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    town.send(&bob, "<presence type='subscribed' to='ann@house.example'/>");
    assert_eq!(town.stands("bob", "ann"), "none approved");
    assert_eq!(ann.got(), [""; 0], "she is not told");
    town.send(&ann, "<presence type='subscribe' to='bob@house.example'/>");
    assert_eq!((town.stands("ann", "bob"), town.stands("bob", "ann")), ("to".into(), "from approved".into()));
    assert_eq!(bob.got(), [""; 0], "he is not asked");
    assert!(ann.got().contains(&"<presence from='bob@house.example/b' to='ann@house.example'/>".to_string()));
}

#[test]
fn directed_presence_ends_with_the_resource() {
    let mut town = Town::new(&["ann", "bob", "cat"]);
    let (ann, bob, cat) = (town.login("ann", "a"), town.login("bob", "b"), town.login("cat", "c"));
    town.befriend(&ann, &bob);
    town.send(&ann, "<presence to='cat@house.example/c'><status>you only</status></presence>");
    town.send(&ann, "<presence to='bob@house.example'/>");
    assert_eq!(
        cat.got(),
        ["<presence from='ann@house.example/a' to='cat@house.example/c'><status>you only</status></presence>"]
    );
    bob.take();
    town.drop(&ann);
    assert_eq!(cat.got(), ["<presence from='ann@house.example/a' to='cat@house.example/c' type='unavailable'/>"]);
    assert_eq!(bob.got(), ["<presence from='ann@house.example/a' to='bob@house.example' type='unavailable'/>"], "once");

    // taken back: nothing more is said
    let ann = town.login("ann", "a");
    town.send(&ann, "<presence to='cat@house.example/c'/>");
    town.send(&ann, "<presence to='cat@house.example/c' type='unavailable'/>");
    cat.take();
    town.drop(&ann);
    assert_eq!(cat.got(), [""; 0]);
}

#[test]
fn unavailable_and_back_on_one_connection() {
    let mut town = Town::new(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    town.befriend(&ann, &bob);
    town.send(&ann, "<presence type='unavailable'><status>bed</status></presence>");
    let gone = "<presence from='ann@house.example/a' to='bob@house.example' type='unavailable'><status>bed</status></presence>";
    assert_eq!(bob.got(), [gone]);
    assert_eq!(ann.got(), ["<presence from='ann@house.example/a' type='unavailable'><status>bed</status></presence>"]);
    // who comes now is told how she went (section 4.3.2)
    let second = town.bind("bob", "b2");
    town.send(&second, "<presence/>");
    assert!(
        second
            .got()
            .iter()
            .any(|p| p.contains("type='unavailable'") && p.contains("bed") && p.contains("bob@house.example/b2"))
    );
    bob.take();
    town.send(&ann, "<presence/>");
    assert_eq!(bob.got(), ["<presence from='ann@house.example/a' to='bob@house.example'/>"]);
    town.drop(&ann);
    assert_eq!(bob.got().len(), 1);
    // one that never was available goes without a word
    let ann = town.bind("ann", "quiet");
    town.drop(&ann);
    assert_eq!(bob.got(), [""; 0]);
}

#[test]
fn a_client_cannot_probe() {
    let mut town = Town::new(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    assert_eq!(town.ask(&ann, "<presence type='probe' to='bob@house.example'/>"), [""; 0]);
    assert_eq!(bob.got(), [""; 0]);
}

#[test]
fn other_domains_and_the_server_have_no_presence() {
    let mut town = Town::new(&["ann"]);
    let ann = town.login("ann", "a");
    let got = town.ask(&ann, "<presence type='subscribe' to='eve@elsewhere.example' id='1'/>");
    assert_eq!(got.len(), 1);
    assert!(got[0].contains("from='eve@elsewhere.example'") && got[0].contains("<remote-server-not-found"), "{got:?}");
    assert!(town.shelves["ann"].items.is_empty());
    assert_eq!(town.ask(&ann, "<presence to='eve@elsewhere.example'/>"), [""; 0]);
    // nobody can tell an account that is not there from one that does not answer
    assert_eq!(town.ask(&ann, "<presence type='subscribe' to='nobody@house.example'/>"), [""; 0]);
    assert_eq!(town.stands("ann", "nobody"), "none ask");
    let bad = town.ask(&ann, "<presence type='subscribe' id='2'/>");
    assert!(bad[0].contains("<bad-request"), "{bad:?}");
    let bad = town.ask(&ann, "<presence id='3'><priority>200</priority></presence>");
    assert!(bad[0].contains("<bad-request"), "{bad:?}");
}

#[test]
fn a_user_without_anybody_leaves_memory() {
    let mut town = Town::new(&["ann"]);
    let ann = town.login("ann", "a");
    town.pass(Duration::from_secs(3_600));
    assert!(town.stops.is_empty(), "not while somebody is there");
    town.drop(&ann);
    town.pass(Duration::from_secs(29));
    assert!(town.stops.is_empty());
    town.pass(Duration::from_secs(1));
    assert_eq!(town.stops, ["ann"]);
}
