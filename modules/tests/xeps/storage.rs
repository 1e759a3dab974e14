//! XEP-0049 and XEP-0054.

use super::town::{Client, Town};
use super::{iq, refused, town};
use herald_modules::private::PRIVATE_BYTES_MAX;
use herald_modules::vcard::VCARD_BYTES_MAX;
use herald_storage::StoreError;

fn private(town: &mut Town, client: &Client, kind: &str, to: &str, inner: &str) -> Result<String, String> {
    let answer = iq(town, client, kind, to, &format!("<query xmlns='jabber:iq:private'>{inner}</query>"));
    answer.map(|said| match said.strip_prefix("<query xmlns='jabber:iq:private'>") {
        Some(rest) => rest.trim_end_matches("</query>").to_owned(),
        None => said,
    })
}

#[test]
fn xep_0049_what_was_set_is_what_is_got() {
    let mut town = town(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    let asked = "<exodus xmlns='exodus:prefs'/>";
    let kept = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet &amp; co</defaultnick></exodus>";
    // nothing yet: what was asked, empty
    assert_eq!(private(&mut town, &ann, "get", "", asked), Ok(asked.into()));
    // section 2.3: also with the own address, from another resource, and not for another user
    assert_eq!(private(&mut town, &ann, "set", "", kept), Ok(String::new()));
    let phone = town.login("ann", "phone");
    ann.take();
    assert_eq!(private(&mut town, &phone, "get", "ann@house.example", asked), Ok(kept.into()));
    assert_eq!(private(&mut town, &bob, "get", "", asked), Ok(asked.into()));
    // a second set of that element takes its place, others stay, and a get has all of the namespace
    let again = "<exodus xmlns='exodus:prefs'>2</exodus>";
    let beside = "<window xmlns='exodus:prefs' x='1'/><window xmlns='exodus:prefs' x='2'/>";
    let other = "<p:storage xmlns:p='storage:bookmarks'><p:url/></p:storage>";
    for set in [other, beside, again] {
        assert_eq!(private(&mut town, &ann, "set", "", set), Ok(String::new()));
    }
    assert_eq!(private(&mut town, &ann, "get", "", asked), Ok(format!("{beside}{again}")));
    let got = private(&mut town, &ann, "get", "", "<storage xmlns='storage:bookmarks'/>").expect("a result");
    assert!(got.contains("xmlns:p='storage:bookmarks'") && got.contains("<p:url/>"), "{got}");
    // an empty element takes away
    assert_eq!(private(&mut town, &ann, "set", "", asked), Ok(String::new()));
    assert_eq!(private(&mut town, &ann, "get", "", asked), Ok(beside.into()));
}

#[test]
fn xep_0049_a_prefix_bound_outside_is_kept_too() {
    let mut town = town(&["ann"]);
    let ann = town.login("ann", "a");
    let set = "<iq type='set' id='1' xmlns:p='prefs'><query xmlns='jabber:iq:private'><p:x><p:y/></p:x></query></iq>";
    assert!(town.ask(&ann, set)[0].contains("type='result'"));
    let got = private(&mut town, &ann, "get", "", "<x xmlns='prefs'/>").expect("a result");
    assert!(got.contains("xmlns:p='prefs'"), "{got}");
}

#[test]
fn xep_0049_errors() {
    let mut town = town(&["ann", "bob"]);
    let (ann, _bob) = (town.login("ann", "a"), town.login("bob", "b"));
    for kind in ["get", "set"] {
        // section 2.3: another user's, whether there is such a user or not
        for to in ["bob@house.example", "nobody@house.example"] {
            let answer = private(&mut town, &ann, kind, to, "<x xmlns='y'>1</x>");
            assert_eq!(answer, refused("auth forbidden"), "{kind} {to}");
        }
        // sections 2.3 and 3
        for inner in [
            "",
            "just text",
            "<x/>",
            "<x xmlns=''/>",
            "<x xmlns='jabber:client'/>",
            "<x xmlns='jabber:iq:roster'/>",
            "<x xmlns='http://jabber.org/protocol/disco#info'/>",
            "<vCard xmlns='vcard-temp'><FN>Hamlet</FN></vCard>",
            "<a xmlns='x'/><b xmlns='y'/>",
            "<a xmlns='x'/><b xmlns='jabber:client'/>",
        ] {
            let answer = private(&mut town, &ann, kind, "", inner);
            assert_eq!(answer, refused("modify not-acceptable"), "{kind} {inner}");
        }
    }
    assert!(town.shelves.values().all(|shelf| shelf.private.is_empty()));
}

#[test]
fn xep_0049_has_a_bound_and_says_when_the_store_fails() {
    let mut town = town(&["ann"]);
    let ann = town.login("ann", "a");
    let element = |ns: &str, bytes: usize| {
        let frame = format!("<x xmlns='{ns}'></x>").len();
        format!("<x xmlns='{ns}'>{}</x>", "y".repeat(bytes - frame))
    };
    assert_eq!(
        private(&mut town, &ann, "set", "", &element("a", PRIVATE_BYTES_MAX + 1)),
        refused("modify policy-violation")
    );
    let half = element("a", PRIVATE_BYTES_MAX / 2);
    assert_eq!(private(&mut town, &ann, "set", "", &half), Ok(String::new()));
    let over = element("b", PRIVATE_BYTES_MAX / 2 + 1);
    assert_eq!(private(&mut town, &ann, "set", "", &over), refused("modify policy-violation"));
    let full = element("b", PRIVATE_BYTES_MAX / 2);
    assert_eq!(private(&mut town, &ann, "set", "", &full), Ok(String::new()));
    assert_eq!(private(&mut town, &ann, "get", "", "<x xmlns='a'/>"), Ok(half));
    for (error, heard) in [
        (StoreError::Busy, "wait resource-constraint"),
        (StoreError::Failed("broken".into()), "cancel internal-server-error"),
    ] {
        for kind in ["get", "set"] {
            town.failures.push_back(error.clone());
            assert_eq!(private(&mut town, &ann, kind, "", "<x xmlns='a'/>"), refused(heard), "{kind}");
        }
    }
}

#[test]
fn xep_0054_own_and_others() {
    let mut town = town(&["ann", "bob", "eve"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    let asked = "<vCard xmlns='vcard-temp'/>";
    let card = "<vCard xmlns='vcard-temp'><FN>Bob &amp; Co</FN><N><MIDDLE/></N></vCard>";
    // section 3.1: none yet; section 3.3: the same as for a user that is not there
    for to in ["", "bob@house.example"] {
        assert_eq!(iq(&mut town, &bob, "get", to, asked), refused("cancel item-not-found"));
    }
    for to in ["bob@house.example", "nobody@house.example"] {
        assert_eq!(iq(&mut town, &ann, "get", to, asked), refused("cancel service-unavailable"));
    }
    // section 3.2, and another's is not to be touched
    assert_eq!(iq(&mut town, &bob, "set", "", card), Ok(String::new()));
    for to in ["bob@house.example", "nobody@house.example"] {
        assert_eq!(iq(&mut town, &ann, "set", to, asked), refused("auth forbidden"), "{to}");
    }
    assert_eq!(iq(&mut town, &bob, "get", "", asked), Ok(card.into()));
    // section 3.3: the account answers, for strangers too, whether its user is there or not
    bob.take();
    assert_eq!(iq(&mut town, &ann, "get", "bob@house.example", asked), Ok(card.into()));
    assert!(bob.got().is_empty());
    town.drop(&bob);
    assert_eq!(iq(&mut town, &ann, "get", "bob@house.example", asked), Ok(card.into()));
    // the whole card is replaced
    let bob = town.login("bob", "b");
    let other = "<vCard xmlns='vcard-temp'><FN>B</FN></vCard>";
    assert_eq!(iq(&mut town, &bob, "set", "bob@house.example", other), Ok(String::new()));
    assert_eq!(iq(&mut town, &bob, "get", "", asked), Ok(other.into()));
}

#[test]
fn xep_0054_has_a_bound_and_says_when_the_store_fails() {
    let mut town = town(&["ann"]);
    let ann = town.login("ann", "a");
    let card = |bytes: usize| {
        let frame = "<vCard xmlns='vcard-temp'></vCard>".len();
        format!("<vCard xmlns='vcard-temp'>{}</vCard>", "y".repeat(bytes - frame))
    };
    let full = card(VCARD_BYTES_MAX);
    assert_eq!(iq(&mut town, &ann, "set", "", &full), Ok(String::new()));
    assert_eq!(iq(&mut town, &ann, "set", "", &card(VCARD_BYTES_MAX + 1)), refused("modify policy-violation"));
    assert_eq!(iq(&mut town, &ann, "get", "", "<vCard xmlns='vcard-temp'/>"), Ok(full));
    for kind in ["get", "set"] {
        town.failures.push_back(StoreError::Busy);
        let answer = iq(&mut town, &ann, kind, "", "<vCard xmlns='vcard-temp'/>");
        assert_eq!(answer, refused("wait resource-constraint"), "{kind}");
    }
}
