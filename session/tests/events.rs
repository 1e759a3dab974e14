//! What whoever watches is told: each thing once, in order.

mod town;

use herald_session::{Event, Keep};
use std::time::Duration;
use town::Town;

/// In short.
fn words(town: &mut Town) -> Vec<String> {
    let words = |event: Event| match event {
        Event::SessionUp { jid, link } => format!("up {} {}", jid.resource(), link.transport.as_str()),
        Event::SessionDown { jid, .. } => format!("down {}", jid.resource()),
        Event::Online { user } => format!("online {user}"),
        Event::Offline { user } => format!("offline {user}"),
        Event::Presence { from, available: true, priority, show, status } => {
            let words = [show, status].map(|w| w.unwrap_or_default());
            format!("presence {} {} {} {}", from.resource(), priority.unwrap(), words[0], words[1]).trim_end().into()
        }
        Event::Presence { from, available: false, priority: None, show: None, status } => {
            format!("gone {} {}", from.resource(), status.unwrap_or_default()).trim_end().into()
        }
        Event::Stored { id, .. } => format!("stored {id}"),
        Event::Delivered { id, .. } => format!("delivered {id}"),
        other => panic!("{other:?}"),
    };
    town.events.drain(..).map(words).collect()
}

fn watched() -> Town {
    let town = Town::new(&["ann", "bob"]);
    town.shared.watch();
    town
}

#[test]
fn presence_is_told_in_order() {
    let mut town = watched();
    let desk = town.bind("bob", "desk");
    assert_eq!(words(&mut town), ["up desk tcp"]);
    town.send(&desk, "<presence><priority>3</priority></presence>");
    assert_eq!(words(&mut town), ["online bob@house.example", "presence desk 3"]);
    let page = town.follow("bob", "page");
    town.send(&page, "<presence><show>away</show><status>tea</status></presence>");
    assert_eq!(words(&mut town), ["up page herald", "presence page 0", "presence page 0 away tea"]);
    town.send(&desk, "<presence type='unavailable'><status>home</status></presence>");
    town.drop(&desk);
    assert_eq!(words(&mut town), ["gone desk home", "down desk"]);
    town.pass(Duration::from_secs(7));
    assert_eq!(town.seen.get("bob"), None);
    // the same resource anew: the old one goes first
    let again = town.bind("bob", "page");
    assert_eq!(words(&mut town), ["gone page", "offline bob@house.example", "down page", "up page tcp"]);
    assert_eq!(town.seen["bob"], 1_007_000);
    town.drop(&page);
    town.drop(&again);
    assert_eq!(words(&mut town), ["down page"], "was never available");
    assert_eq!(town.seen["bob"], 1_007_000);
}

#[test]
fn kept_messages_are_told_once_whoever_acknowledges() {
    let mut town = watched();
    let (desk, page) = (town.login("bob", "desk"), town.follow("bob", "page"));
    words(&mut town);
    let push =
        |town: &mut Town| town.push("bob", "<message><body>x</body></message>", Keep::Usual).unwrap().id.unwrap();
    assert_eq!((push(&mut town), push(&mut town), push(&mut town)), (1, 2, 3));
    assert_eq!(words(&mut town), ["stored 1", "stored 2", "stored 3"]);
    town.ack(&desk, 1);
    town.read_to(&page, 2);
    town.ack(&desk, 2);
    town.read_to(&page, 3);
    town.ack(&desk, 3);
    assert_eq!(words(&mut town), ["delivered 1", "delivered 2", "delivered 3"]);
    // given out of the store
    town.drop(&desk);
    town.drop(&page);
    words(&mut town);
    assert_eq!(push(&mut town), 4);
    let desk = town.login("bob", "desk");
    assert!(words(&mut town).contains(&"stored 4".into()));
    town.ack(&desk, 4);
    town.ack(&desk, 4);
    assert_eq!(words(&mut town), ["delivered 4"]);
}

#[test]
fn nobody_watches() {
    let mut town = Town::new(&["bob"]);
    town.login("bob", "desk");
    assert_eq!(town.events, []);
}

#[test]
fn since_when_a_user_is_online() {
    let mut town = watched();
    let since = |town: &mut Town| {
        let (answer, mut answered) = tokio::sync::oneshot::channel();
        town.tell("bob", herald_session::user::Input::Presence(answer));
        answered.try_recv().unwrap().since_ms
    };
    let desk = town.bind("bob", "desk");
    assert_eq!(since(&mut town), None, "not available");
    town.send(&desk, "<presence/>");
    town.pass(Duration::from_secs(5));
    let page = town.follow("bob", "page");
    town.drop(&desk);
    assert_eq!(since(&mut town), Some(1_000_000), "all the time, though with another");
    town.drop(&page);
    assert_eq!(since(&mut town), None);
}
