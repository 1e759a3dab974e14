//! XEP-0160, XEP-0203, XEP-0334 and XEP-0359.

use super::town;
use super::town::{Client, Town};
use herald_session::push::SendtoState;
use herald_session::{Keep, Settings};

fn send(town: &mut Town, from: &Client, kind: &str, payload: &str) -> Vec<String> {
    town.ask(from, &format!("<message{kind} to='bob@house.example' id='m'>{payload}</message>"))
}

#[test]
fn xep_0160_who_is_away_gets_it_when_they_come() {
    let mut town = town(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    town.now.unix_ms = 1_031_699_305_000;
    for n in 1..=3 {
        assert!(send(&mut town, &ann, " type='chat'", &format!("<body>{n}</body>")).is_empty());
    }
    // section 2: not to a resource that is not available, nor to one with a negative priority
    let bob = town.bind("bob", "b");
    assert!(bob.got().is_empty());
    town.send(&bob, "<presence><priority>-1</priority></presence>");
    assert!(bob.bodies().is_empty());
    town.now.unix_ms += 5_000;
    town.send(&bob, "<presence><priority>1</priority></presence>");
    let got: Vec<String> = bob.got().into_iter().filter(|xml| xml.starts_with("<message")).collect();
    let stamped = |n: u32| {
        format!(
            "<message from='ann@house.example/a' to='bob@house.example' id='m' type='chat'><body>{n}</body>\
             <delay xmlns='urn:xmpp:delay' from='house.example' stamp='2002-09-10T23:08:25Z'>Offline Storage</delay>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='bob@house.example' id='{n}'/></message>"
        )
    };
    assert_eq!(got, [stamped(1), stamped(2), stamped(3)]);
}

#[test]
fn xep_0160_which_messages_are_kept() {
    let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    let body = "<body>hi</body>";
    let thread = "<thread>t</thread>";
    let both = [state, thread].concat();
    let more = [body, state].concat();
    let receipt = "<received xmlns='urn:xmpp:receipts' id='x'/>";
    // section 3: type, payload, is it kept, what does the sender hear
    for (kind, payload, kept, heard) in [
        ("", body, 1, ""),
        (" type='normal'", body, 1, ""),
        (" type='strange'", body, 1, ""),
        (" type='chat'", body, 1, ""),
        (" type='chat'", &more, 1, ""),
        (" type='chat'", receipt, 1, ""),
        (" type='chat'", thread, 1, ""),
        (" type='chat'", "", 1, ""),
        (" type='chat'", state, 0, ""),
        (" type='chat'", &both, 0, ""),
        ("", state, 1, ""),
        (" type='headline'", body, 0, ""),
        (" type='error'", body, 0, ""),
        (" type='groupchat'", body, 0, "<service-unavailable"),
    ] {
        let mut town = town(&["ann", "bob"]);
        let ann = town.login("ann", "a");
        let got = send(&mut town, &ann, kind, payload).concat();
        assert!(got.contains(heard) && got.is_empty() == heard.is_empty(), "{kind} {payload}: {got}");
        assert_eq!(town.shelves["bob"].kept.len(), kept, "{kind} {payload}");
    }
}

#[test]
fn xep_0160_a_backends_messages_too() {
    for (kind, state) in [
        ("", SendtoState::Stored),
        (" type='chat'", SendtoState::Stored),
        (" type='headline'", SendtoState::Dropped),
        (" type='groupchat'", SendtoState::Dropped),
    ] {
        let mut town = town(&["bob"]);
        let said = town.push("bob", &format!("<message{kind}><body>x</body></message>"), Keep::Usual);
        assert_eq!(said.map(|s| s.state), Some(state), "{kind}");
    }
}

#[test]
fn xep_0160_the_sender_hears_that_there_is_no_room() {
    let settings = Settings { offline_max: 1, ..Settings::new(super::DOMAIN) };
    let mut town = Town::with(&["ann", "bob"], settings, herald_modules::standard());
    let ann = town.login("ann", "a");
    assert!(send(&mut town, &ann, "", "<body>1</body>").is_empty());
    let got = send(&mut town, &ann, "", "<body>2</body>");
    assert_eq!(got.len(), 1);
    assert!(got[0].starts_with("<message from='bob@house.example'") && got[0].contains("<error type="), "{got:?}");
    assert_eq!(town.shelves["bob"].kept.len(), 1);
}

#[test]
fn xep_0203_stamps_in_our_name_are_ours_alone() {
    let mut town = town(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    let delay = |from: &str| format!("<delay xmlns='urn:xmpp:delay' from='{from}' stamp='2002-09-10T23:08:25Z'/>");
    let hidden = "<d:delay xmlns:d='urn:xmpp:&#100;elay' from='hous&#101;.example' stamp='x'/>";
    let nameless = "<delay xmlns='urn:xmpp:delay' stamp='x'/>";
    let same_name = "<delay xmlns='other' from='house.example'/>";
    // section 6: who it says delayed it, does it arrive
    for (child, arrives) in [
        (delay("house.example"), false),
        (delay("HOUSE.example"), false),
        (hidden.to_owned(), false),
        (delay("ann@house.example/a"), true),
        (delay("room@rooms.house.example"), true),
        (delay("house.example/x"), true),
        (nameless.to_owned(), true),
        (same_name.to_owned(), true),
    ] {
        send(&mut town, &ann, "", &format!("<body>1</body>{child}<x xmlns='y'/>"));
        let rest = if arrives { child.as_str() } else { "" };
        let got = bob.got();
        assert!(got[0].ends_with(&format!("><body>1</body>{rest}<x xmlns='y'/></message>")), "{child}: {got:?}");
        town.send(&ann, &format!("<presence to='bob@house.example'>{child}</presence>"));
        let got = bob.got();
        assert_eq!(got[0].contains("delay"), arrives, "{child}: {got:?}");
    }
    // the server itself may
    let said = format!("<message from='house.example'><body>1</body>{}</message>", delay("house.example"));
    assert_eq!(town.push("bob", &said, Keep::Usual).map(|s| s.state), Some(SendtoState::Delivered));
    assert!(bob.got()[0].contains("<delay"));
    // a forged one does not come out of the store beside ours
    town.drop(&bob);
    send(&mut town, &ann, "", &format!("<body>1</body>{}", delay("house.example")));
    let bob = town.bind("bob", "b");
    town.send(&bob, "<presence/>");
    let got = bob.got().concat();
    assert_eq!(got.matches("<delay").count(), 1, "{got}");
    assert!(got.contains("Offline Storage"), "{got}");
}

#[test]
fn xep_0334_hints() {
    let mut town = town(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    let hint = |name: &str| format!("<{name} xmlns='urn:xmpp:hints'/>");
    let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
    let mut kept = 0;
    for (payload, is_kept) in [
        (format!("<body>hi</body>{}", hint("no-store")), false),
        (format!("<body>hi</body>{}", hint("store")), true),
        (format!("{state}{}", hint("store")), true), // section 4.4
        (state.to_string(), false),
        (format!("<body>hi</body>{}", hint("no-such")), true),
        ("<body>hi</body><no-store xmlns='other'/>".to_string(), true),
    ] {
        assert_eq!(send(&mut town, &ann, " type='chat'", &payload), [""; 0]);
        kept += usize::from(is_kept);
        assert_eq!(town.shelves["bob"].kept.len(), kept, "{payload}");
    }
    // who follows the log gets what is not stored all the same, without a number
    let page = town.follow("bob", "page");
    send(&mut town, &ann, " type='chat'", &format!("<body>secret</body>{}", hint("no-store")));
    let got = page.take();
    assert!(got.len() == 1 && got[0].receipt.is_none(), "{got:?}");
    assert_eq!(town.shelves["bob"].log.len(), kept);
    // the backend has the last word
    let said = format!("<message type='chat'><body>x</body>{}</message>", hint("no-store"));
    assert!(town.push("bob", &said, Keep::Always).is_some_and(|s| s.id.is_some()));
}

#[test]
fn xep_0359_kept_messages_bear_their_number() {
    let mut town = town(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    let id = |by: &str, id: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='{id}'/>");
    // section 3: nobody else says this in Bob's name, however it is written; in another's they may
    let others = [id("ann@house.example", "7"), "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>".into()].concat();
    let forged = [id("bob@house.example", "99"), id("BOB@House.Example", "98"), others.clone()].concat();
    send(&mut town, &ann, " type='chat'", &forged);
    let inside = |xml: &str| xml.split_once('>').unwrap().1.trim_end_matches("</message>").to_string();
    assert_eq!(inside(&bob.got()[0]), others, "not kept, no number");
    town.push("bob", &format!("<message type='chat'>{forged}</message>"), Keep::Always);
    let got = inside(&bob.got()[0]);
    assert_eq!(got, [others.clone(), id("bob@house.example", "1")].concat(), "at most one, and no delay");
    // in the log there is none of ours
    assert_eq!(
        inside(&town::xml_of(&herald_session::Delivery::new(town.shelves["bob"].since(0).next().unwrap().1))),
        others
    );
    // section 4
    let features = super::iq(
        &mut town,
        &bob,
        "get",
        "bob@house.example",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    );
    assert!(features.unwrap().contains("<feature var='urn:xmpp:sid:0'/>"));
}
