//! XEP-0030.

use super::{iq, refused, town};
use expect_test::expect;

const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
const NO_ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'></query>";

fn with_node(query: &str) -> String {
    query.replace("/>", " node='a&amp;&apos;b'/>")
}

#[test]
fn xep_0030_the_server() {
    let mut town = town(&["ann"]);
    let ann = town.login("ann", "a");
    // section 3.1: at least one identity, and the features of all modules, sorted
    let info = iq(&mut town, &ann, "get", "house.example", INFO).expect("a result");
    expect![[r#"
        <query xmlns='http://jabber.org/protocol/disco#info'>
        <identity category='server' type='im' name='Herald'/>
        <feature var='http://jabber.org/protocol/disco#info'/>
        <feature var='http://jabber.org/protocol/disco#items'/>
        <feature var='jabber:iq:private'/>
        <feature var='jabber:iq:roster'/>
        <feature var='jabber:iq:version'/>
        <feature var='msgoffline'/>
        <feature var='urn:xmpp:ping'/>
        <feature var='urn:xmpp:time'/>
        <feature var='vcard-temp'/>
        </query>"#]]
    .assert_eq(&info.replace("><", ">\n<"));
    // section 4.1: no items is an empty result
    assert_eq!(iq(&mut town, &ann, "get", "house.example", ITEMS), Ok(NO_ITEMS.into()));
    // sections 3.2 and 7: there are no nodes
    for query in [INFO, ITEMS] {
        let answer = iq(&mut town, &ann, "get", "house.example", &with_node(query));
        assert_eq!(answer, refused("cancel item-not-found"));
        assert_eq!(iq(&mut town, &ann, "set", "house.example", query), refused("cancel not-allowed"));
    }
}

#[test]
fn xep_0030_an_account() {
    let mut town = town(&["ann", "bob"]);
    let (ann, phone, bob) = (town.login("ann", "desk"), town.login("ann", "phone"), town.login("bob", "b"));
    town.bind("ann", "shy"); // not available: not shown
    town.befriend(&ann, &bob);
    ann.take();
    phone.take();
    let account = "<query xmlns='http://jabber.org/protocol/disco#info'>\
                   <identity category='account' type='registered'/>\
                   <feature var='http://jabber.org/protocol/disco#info'/>\
                   <feature var='http://jabber.org/protocol/disco#items'/>\
                   <feature var='urn:xmpp:ping'/><feature var='urn:xmpp:sid:0'/><feature var='vcard-temp'/></query>";
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'>\
                 <item jid='ann@house.example/desk'/><item jid='ann@house.example/phone'/></query>";
    // sections 3.1 and 4.1: the owner, and who sees its presence
    for (client, to) in [(&ann, "ann@house.example"), (&ann, ""), (&bob, "ann@house.example")] {
        assert_eq!(iq(&mut town, client, "get", to, INFO), Ok(account.into()), "{to:?}");
        assert_eq!(iq(&mut town, client, "get", to, ITEMS), Ok(items.into()), "{to:?}");
        for query in [INFO, ITEMS] {
            assert_eq!(iq(&mut town, client, "get", to, &with_node(query)), refused("cancel item-not-found"));
            assert_eq!(iq(&mut town, client, "set", to, query), refused("cancel not-allowed"));
        }
    }
}

#[test]
fn xep_0030_strangers_learn_nothing() {
    let mut town = town(&["ann", "bob", "eve"]);
    let (ann, bob, eve) = (town.login("ann", "a"), town.login("bob", "b"), town.login("eve", "e"));
    // Bob may be seen by Ann, and does not see her.
    town.send(&ann, "<presence type='subscribe' to='bob@house.example'/>");
    town.send(&bob, "<presence type='subscribed' to='ann@house.example'/>");
    ann.take();
    bob.take();
    // section 8: the same for an account, for one that is not there, with a node and without
    for (client, to) in [(&eve, "ann@house.example"), (&bob, "ann@house.example"), (&eve, "nobody@house.example")] {
        for info in [INFO.to_owned(), with_node(INFO)] {
            assert_eq!(iq(&mut town, client, "get", to, &info), refused("cancel service-unavailable"), "{to}");
        }
        assert_eq!(iq(&mut town, client, "get", to, ITEMS), Ok(NO_ITEMS.into()), "{to}");
        let mirrored = NO_ITEMS.replace("'></", "' node='a&amp;&apos;b'></");
        assert_eq!(iq(&mut town, client, "get", to, &with_node(ITEMS)), Ok(mirrored), "{to}");
        for query in [INFO, ITEMS] {
            assert_eq!(iq(&mut town, client, "set", to, query), refused("cancel service-unavailable"), "{to}");
        }
    }
    assert!(iq(&mut town, &ann, "get", "bob@house.example", INFO).is_ok());
    // a resource answers for itself
    assert!(town.ask(&eve, &format!("<iq type='get' id='q' to='{}'>{ITEMS}</iq>", bob.jid)).is_empty());
    assert_eq!(bob.got().len(), 1);
}

#[test]
fn xep_0030_another_domain_is_not_ours_to_answer_for() {
    let mut town = town(&["ann"]);
    let ann = town.login("ann", "a");
    let answer = iq(&mut town, &ann, "get", "bob@other.example", ITEMS);
    assert_eq!(answer, refused("cancel remote-server-not-found"));
}
