//! Connections that are full: what goes to the store, what is dropped, bounced or held, and how it comes back.

mod town;

use herald_session::hooks::{Module, Modules, Offline, Points};
use herald_session::push::SendtoState;
use herald_session::{Close, Keep, Receipt, Settings};
use herald_storage::StoreError;
use herald_xmpp::{Kind, MessageType};
use std::sync::atomic::Ordering;
use std::time::Duration;
use town::{Client, DOMAIN, Town, body_of};

fn chat(town: &mut Town, from: &Client, to: &str, body: &str) {
    town.send(from, &format!("<message type='chat' id='{body}' to='{to}'><body>{body}</body></message>"));
}

/// The bodies of what is kept for a user.
fn kept(town: &Town, user: &str) -> Vec<String> {
    let body = |bytes: &[u8]| body_of(&town::stanza(std::str::from_utf8(bytes).unwrap())).unwrap_or_default();
    town.shelves[user].kept.iter().map(|(_, m)| body(&m.stanza)).collect()
}

/// Reads what is on the wire, acknowledges it, and says that there is room, until nothing comes.
fn read_all(town: &mut Town, client: &Client) -> Vec<String> {
    let mut bodies = Vec::new();
    loop {
        let got = client.take();
        if got.is_empty() {
            return bodies;
        }
        for delivery in got {
            bodies.extend(body_of(&delivery.stanza));
            if let Some(Receipt(id)) = delivery.receipt {
                town.ack(client, id);
            }
        }
        town.room(client);
    }
}

fn numbers(from: u32, to: u32) -> Vec<String> {
    (from..=to).map(|n| n.to_string()).collect()
}

/// As the module of XEP-0160 does.
struct KeepSome;

impl Module for KeepSome {
    fn register(self, points: &mut Points) {
        points.offline(|_, parcel| match parcel.stanza.kind {
            Kind::Message(MessageType::Headline) => Offline::Drop,
            _ => Offline::Keep { expires_ms: None },
        });
    }
}

/// Ann talks to Bob, whose connection takes so many deliveries.
fn house(room: usize, settings: Settings) -> (Town, Client, Client) {
    let mut town = Town::with(&["ann", "bob", "cat"], settings, Modules::builder().add(KeepSome).build());
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    bob.wire.room.store(room, Ordering::Relaxed);
    (town, ann, bob)
}

fn usual() -> Settings {
    Settings::new(DOMAIN)
}

#[test]
fn what_finds_no_room_is_kept_and_given_page_by_page() {
    let (mut town, ann, bob) = house(4, Settings { offline_page: 3, ..usual() });
    for n in 1..=20 {
        let to = if n % 2 == 0 { "bob@house.example" } else { "bob@house.example/b" };
        chat(&mut town, &ann, to, &n.to_string());
    }
    assert_eq!((ann.got(), bob.closed()), (vec![], vec![]), "nobody is told, nobody is closed");
    assert_eq!(kept(&town, "bob"), numbers(5, 20));
    // room: a page, and live messages behind what is kept
    assert_eq!(bob.bodies(), numbers(1, 4));
    town.room(&bob);
    chat(&mut town, &ann, "bob@house.example/b", "21");
    chat(&mut town, &ann, "bob@house.example", "22");
    let page = bob.take();
    assert_eq!(page.len(), 3, "a page, no more");
    for delivery in &page {
        town.ack(&bob, delivery.receipt.unwrap().0);
    }
    let more = bob.take();
    assert_eq!(body_of(&more[0].stanza).as_deref(), Some("8"), "the next when this one is acknowledged");
    for delivery in &more {
        town.ack(&bob, delivery.receipt.unwrap().0);
    }
    assert_eq!(read_all(&mut town, &bob), numbers(11, 22));
    assert_eq!(kept(&town, "bob"), [""; 0]);
    chat(&mut town, &ann, "bob@house.example", "live");
    let got = bob.take();
    assert_eq!((body_of(&got[0].stanza).as_deref(), got[0].receipt), (Some("live"), None), "straight through");
}

#[test]
fn a_page_that_finds_no_room_is_given_again() {
    let (mut town, ann, bob) = house(2, Settings { offline_page: 5, ..usual() });
    for n in 1..=12 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    assert_eq!(read_all(&mut town, &bob), numbers(1, 12), "two at a time");
    assert_eq!(kept(&town, "bob"), [""; 0]);
}

#[test]
fn headlines_are_dropped_requests_go_back() {
    let (mut town, ann, bob) = house(1, usual());
    chat(&mut town, &ann, "bob@house.example", "1");
    chat(&mut town, &ann, "bob@house.example", "2");
    town.send(&ann, "<message type='headline' to='bob@house.example'><body>news</body></message>");
    assert_eq!(ann.got(), [""; 0]);
    town.send(&ann, "<iq type='get' id='q' to='bob@house.example/b'><x xmlns='x'/></iq>");
    let got = ann.got();
    assert!(got[0].contains("id='q'") && got[0].contains("<resource-constraint"), "{got:?}");
    assert!(got[0].contains("type='wait'") && got[0].contains("from='bob@house.example/b'"), "{got:?}");
    assert_eq!(read_all(&mut town, &bob), ["1", "2"]);
}

/// Presence is not lost: only the latest of a resource matters. Answers, pushes and errors come in their order.
#[test]
fn presence_and_answers_come_when_there_is_room() {
    let (mut town, ann, bob) = house(100, usual());
    let cat = town.login("cat", "c");
    town.befriend(&bob, &cat);
    bob.wire.room.store(1, Ordering::Relaxed);
    chat(&mut town, &ann, "bob@house.example", "1");
    chat(&mut town, &ann, "bob@house.example", "2");
    for show in ["away", "xa", "dnd"] {
        town.send(&cat, &format!("<presence><show>{show}</show></presence>"));
    }
    town.send(&bob, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    chat(&mut town, &bob, "eve@elsewhere.example", "x");
    town.send(&cat, "<presence type='unavailable'/>");
    assert_eq!(bob.bodies(), ["1"]);
    bob.wire.room.store(100, Ordering::Relaxed);
    town.room(&bob);
    let got = bob.take();
    let kinds: Vec<Kind> = got.iter().map(|d| d.stanza.kind).collect();
    assert!(matches!(kinds[0], Kind::Iq(_)) && kinds[1] == Kind::Message(MessageType::Error), "{kinds:?}");
    let presences: Vec<String> = got.iter().map(town::xml_of).filter(|x| x.contains("<presence")).collect();
    assert_eq!(presences.len(), 1, "the latest: {presences:?}");
    assert!(presences[0].contains("unavailable"), "{presences:?}");
    assert_eq!(body_of(&got.last().unwrap().stanza).as_deref(), Some("2"), "then what is kept");
}

#[test]
fn too_much_that_cannot_be_kept_closes_it() {
    let (mut town, ann, bob) = house(1, usual());
    chat(&mut town, &ann, "bob@house.example", "1");
    chat(&mut town, &ann, "bob@house.example", "2");
    let long = "x".repeat(30_000);
    for n in 0..2 {
        town.send(&ann, &format!("<iq type='result' id='{n}' to='bob@house.example/b'><a xmlns='{long}'/></iq>"));
        assert_eq!(bob.closed(), []);
    }
    town.send(&ann, &format!("<iq type='result' id='3' to='bob@house.example/b'><a xmlns='{long}'/></iq>"));
    assert_eq!(bob.closed(), [Close::ResourceFull]);
    let undelivered = bob.take();
    town.unbind(&bob, undelivered);
    assert_eq!(kept(&town, "bob"), ["1", "2"], "in their order");
}

#[test]
fn what_it_gives_back_belongs_before_what_was_kept_meanwhile() {
    let (mut town, ann, bob) = house(5, usual());
    for n in 1..=9 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    assert_eq!(kept(&town, "bob"), numbers(6, 9));
    // it reads two, gets a page behind the three it has, and breaks
    let mut wire = bob.take();
    let unread = wire.split_off(2);
    bob.wire.room.store(100, Ordering::Relaxed);
    town.room(&bob);
    let undelivered: Vec<_> = unread.into_iter().chain(bob.take()).collect();
    assert_eq!(undelivered.len(), 7);
    town.unbind(&bob, undelivered);
    assert_eq!(kept(&town, "bob"), numbers(3, 9));
    let next = town.bind("bob", "next");
    town.send(&next, "<presence/>");
    assert_eq!(read_all(&mut town, &next), numbers(3, 9));
}

#[test]
fn another_resource_takes_over() {
    let (mut town, ann, bob) = house(2, usual());
    for n in 1..=4 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    let low = town.bind("bob", "low");
    town.send(&low, "<presence><priority>-1</priority></presence>");
    assert_eq!(bob.closed(), [], "that one takes no messages");
    let phone = town.bind("bob", "phone");
    town.send(&phone, "<presence/>");
    assert_eq!(bob.closed(), [Close::ResourceFull]);
    chat(&mut town, &ann, "bob@house.example", "5");
    assert_eq!(phone.bodies(), [""; 0], "not before the other has said what it did not deliver");
    let undelivered = bob.take();
    town.unbind(&bob, undelivered);
    assert_eq!(read_all(&mut town, &phone), numbers(1, 5));
    // and with another there that takes messages, the one that is full is closed at once
    let desk = town.login("bob", "desk");
    phone.take();
    desk.wire.full.store(true, Ordering::Relaxed);
    chat(&mut town, &ann, "bob@house.example", "both");
    assert_eq!((phone.bodies(), desk.closed()), (vec!["both".to_string()], vec![Close::ResourceFull]));
}

#[test]
fn one_that_takes_nothing_is_closed_in_the_end() {
    let (mut town, ann, bob) = house(2, Settings { behind_secs: 10, ..usual() });
    for n in 1..=4 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    town.pass(Duration::from_secs(9));
    bob.wire.taken.fetch_add(1, Ordering::Relaxed); // a byte at a time
    town.pass(Duration::from_secs(1));
    assert_eq!(bob.closed(), []);
    town.pass(Duration::from_secs(9));
    assert_eq!(bob.closed(), []);
    town.pass(Duration::from_secs(1));
    assert_eq!(bob.closed(), [Close::ResourceFull]);
    let undelivered = bob.take();
    town.unbind(&bob, undelivered);
    assert_eq!(kept(&town, "bob"), numbers(1, 4));
}

#[test]
fn a_backend_hears_what_became_of_each() {
    let (mut town, _, bob) = house(1, Settings { offline_max: 2, ..usual() });
    let mut states = Vec::new();
    for (n, kind) in ["chat", "chat", "headline", "chat", "chat"].iter().enumerate() {
        let xml = format!("<message from='house.example' type='{kind}'><body>{n}</body></message>");
        let keep = if *kind == "headline" { Keep::Never } else { Keep::Usual };
        let outcome = town.push("bob", &xml, keep).unwrap();
        states.push((outcome.state, outcome.sessions, outcome.id.is_some()));
    }
    assert_eq!(
        states,
        [
            (SendtoState::Delivered, 1, false),
            (SendtoState::Stored, 0, true),
            (SendtoState::Dropped, 0, false),
            (SendtoState::Stored, 0, true),
            (SendtoState::Full, 0, false),
        ]
    );
    assert_eq!(read_all(&mut town, &bob), ["0", "1", "3"]);
}

#[test]
fn a_full_store_is_told_to_the_sender_as_xep_0160_has_it() {
    let (mut town, ann, bob) = house(1, Settings { offline_max: 1, ..usual() });
    for n in 1..=3 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    let got = ann.got();
    assert!(got.len() == 1 && got[0].contains("<service-unavailable") && got[0].contains("id='3'"), "{got:?}");
    // what was accepted is kept, whatever the bound
    let undelivered = bob.take();
    town.unbind(&bob, undelivered);
    assert_eq!((kept(&town, "bob"), ann.got()), (numbers(1, 2), vec![]));
}

/// The store has many in hand at a time, and what it cannot keep goes back alone.
#[test]
fn many_are_kept_at_once() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    town.slow = true;
    for n in 1..=3 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    assert_eq!(kept(&town, "bob"), [""; 0], "in hand");
    let bob = town.bind("bob", "b");
    town.failures.push_back(StoreError::Busy);
    town.commit_all();
    assert_eq!(kept(&town, "bob"), ["2", "3"]);
    let got = ann.got();
    assert!(got.len() == 1 && got[0].contains("id='1'") && got[0].contains("<resource-constraint"), "{got:?}");
    // he comes while one is in hand: it does not get lost, and nothing overtakes it
    chat(&mut town, &ann, "bob@house.example", "4");
    town.send(&bob, "<presence/>");
    chat(&mut town, &ann, "bob@house.example", "5");
    town.commit_all();
    assert_eq!(read_all(&mut town, &bob), numbers(2, 5));
    town.commit_all();
    assert_eq!(read_all(&mut town, &bob), [""; 0]);
    assert_eq!(kept(&town, "bob"), [""; 0]);
}

#[test]
fn what_comes_back_too_late_comes_once_all_the_same() {
    let (mut town, ann, bob) = house(2, Settings { offline_page: 3, ..usual() });
    for n in 1..=8 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    let phone = town.bind("bob", "phone");
    town.send(&phone, "<presence/>");
    town.pass(Duration::from_secs(5));
    let page = phone.take();
    let bodies: Vec<_> = page.iter().filter_map(|d| body_of(&d.stanza)).collect();
    assert_eq!(bodies, numbers(3, 5), "the other was not waited for any longer");
    let undelivered = bob.take();
    town.unbind(&bob, undelivered);
    for receipt in page.iter().filter_map(|d| d.receipt) {
        town.ack(&phone, receipt.0);
    }
    assert_eq!(read_all(&mut town, &phone), ["1", "2", "6", "7", "8"]);
    assert_eq!(kept(&town, "bob"), [""; 0]);
}
