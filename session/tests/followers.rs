//! The log: messages that are kept first and delivered then, to connections that follow it and to others.

mod town;

use compact_str::CompactString;
use herald_session::push::SendtoState;
use herald_session::user::Outcome;
use herald_session::{Close, Keep, OnlyIf, Settings, Terms, WhenFull};
use herald_storage::StoreError;
use herald_xmpp::Resource;
use std::sync::atomic::Ordering;
use std::time::Duration;
use town::{Client, DOMAIN, KeepAll, Town, body_of, stanza};

fn chat(town: &mut Town, from: &Client, to: &str, body: &str) {
    town.send(from, &format!("<message type='chat' id='{body}' to='{to}'><body>{body}</body></message>"));
}

/// What it was handed: the numbers and bodies of messages.
fn numbered(client: &Client) -> Vec<(Option<u64>, String)> {
    let of = |d: &herald_session::Delivery| Some((d.receipt.map(|r| r.0), body_of(&d.stanza)?));
    client.take().iter().filter_map(of).collect()
}

fn some(pairs: &[(u64, &str)]) -> Vec<(Option<u64>, String)> {
    pairs.iter().map(|(id, body)| (Some(*id), body.to_string())).collect()
}

/// The bodies of what is pending for a user.
fn pending(town: &Town, user: &str) -> Vec<String> {
    let body = |bytes: &[u8]| body_of(&stanza(std::str::from_utf8(bytes).unwrap())).unwrap_or_default();
    town.shelves[user].kept.iter().map(|(_, m)| body(&m.stanza)).collect()
}

fn push(town: &mut Town, body: &str, terms: Terms) -> Outcome {
    let xml = format!("<message from='house.example' type='chat'><body>{body}</body></message>");
    town.push_on("bob", &xml, terms).try_recv().expect("an answer at once")
}

fn always() -> Terms {
    Terms::keep(Keep::Always)
}

/// Ann, who talks to Bob.
fn house() -> (Town, Client) {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    (town, ann)
}

#[test]
fn a_follower_makes_messages_numbered_for_everybody() {
    let (mut town, ann) = house();
    let desk = town.login("bob", "desk");
    chat(&mut town, &ann, "bob@house.example", "before");
    assert_eq!(numbered(&desk), [(None, "before".into())], "nobody follows: straight through");
    let page = town.follow("bob", "page");
    desk.take();
    chat(&mut town, &ann, "bob@house.example", "1");
    chat(&mut town, &ann, "bob@house.example/desk", "2");
    assert_eq!(numbered(&page), some(&[(1, "1"), (2, "2")]), "it follows what is for others, too");
    let got = desk.got();
    assert!(got[0].contains("<number xmlns='test' id='1'/>"), "stamped, and not as late: {got:?}");
    assert_eq!(pending(&town, "bob"), ["1", "2"], "until somebody says that they have it");
    town.ack(&desk, 1);
    assert_eq!(pending(&town, "bob"), ["2"]);
    town.read_to(&page, 2);
    town.ack(&desk, 2);
    town.pass(Duration::from_secs(1));
    assert_eq!(pending(&town, "bob"), [""; 0]);
    // a chat state is kept by nobody here; what nobody keeps has no number
    let outcome = push(&mut town, "never", Terms::keep(Keep::Never));
    assert_eq!((outcome.state, outcome.sessions, outcome.id), (SendtoState::Delivered, 2, None));
    assert_eq!(numbered(&page), [(None, "never".into())]);
    town.drop(&page);
    desk.take();
    chat(&mut town, &ann, "bob@house.example", "after");
    assert_eq!(numbered(&desk), [(None, "after".into())]);
}

#[test]
fn a_follower_is_given_no_pages_and_hears_of_what_is_on_its_way() {
    let (mut town, ann) = house();
    chat(&mut town, &ann, "bob@house.example", "1");
    town.slow = true;
    chat(&mut town, &ann, "bob@house.example", "2");
    let page = town.follow("bob", "page");
    assert_eq!(numbered(&page), [], "it reads the log itself");
    town.commit_all();
    assert_eq!(numbered(&page), some(&[(2, "2")]), "was not in the log yet when it came");
    // another resource comes, and is given all that nobody has said to have
    let desk = town.bind("bob", "desk");
    town.send(&desk, "<presence/>");
    assert_eq!(numbered(&desk), some(&[(1, "1"), (2, "2")]));
    town.read_to(&page, 2);
    town.ack(&desk, 1);
    town.ack(&desk, 2);
    town.pass(Duration::from_secs(1));
    assert_eq!(numbered(&page), []);
    assert_eq!(pending(&town, "bob"), [""; 0]);
}

/// It was late already when nobody was there.
#[test]
fn what_nobody_took_at_first_is_stamped_as_late() {
    let (mut town, ann) = house();
    town.slow = true;
    chat(&mut town, &ann, "bob@house.example", "1");
    let desk = town.bind("bob", "desk");
    town.send(&desk, "<presence/>");
    town.pass(Duration::from_secs(1));
    town.commit_all();
    let got = desk.got();
    assert!(got.iter().any(|x| x.contains("<body>1</body><kept xmlns='test' at='1000000'/>")), "{got:?}");
}

#[test]
fn the_same_message_acknowledged_by_several_counts_once() {
    let mut town = Town::with(
        &["ann", "bob"],
        Settings { offline_max: 2, ..Settings::new(DOMAIN) },
        herald_session::Modules::builder().add(KeepAll).build(),
    );
    let ann = town.login("ann", "a");
    let (one, two, page) = (town.login("bob", "one"), town.login("bob", "two"), town.follow("bob", "page"));
    for n in 1..=10_u64 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
        for client in [&one, &two] {
            assert_eq!(client.bodies(), [n.to_string()]);
            town.ack(client, n);
        }
        assert_eq!(numbered(&page), some(&[(n, &n.to_string())]));
        town.read_to(&page, n);
    }
    town.pass(Duration::from_secs(1));
    assert_eq!(pending(&town, "bob"), [""; 0]);
    for client in [one, two, page] {
        town.drop(&client);
    }
    // had it counted less than nothing, or more than there is, the bound would be another
    for (n, state) in [SendtoState::Stored, SendtoState::Stored, SendtoState::Full].into_iter().enumerate() {
        assert_eq!(push(&mut town, &n.to_string(), Terms::default()).state, state);
    }
    let last = town.bind("bob", "last");
    town.send(&last, "<presence/>");
    assert_eq!(last.bodies(), ["0", "1"]);
}

#[test]
fn what_is_kept_always_is_durable_before_anybody_has_it() {
    let (mut town, ann) = house();
    let desk = town.login("bob", "desk");
    town.slow = true;
    let xml = "<message from='house.example' type='chat'><body>1</body></message>";
    let mut said = town.push_on("bob", xml, always());
    chat(&mut town, &ann, "bob@house.example", "2");
    chat(&mut town, &ann, "bob@house.example/desk", "3");
    assert_eq!((numbered(&desk), said.try_recv().ok()), (vec![], None), "nor does another message overtake it");
    town.slow = false;
    town.commit_all();
    let expected = Outcome { state: SendtoState::Delivered, sessions: 1, id: Some(1), repeated: false };
    assert_eq!(said.try_recv(), Ok(expected));
    assert_eq!(numbered(&desk), some(&[(1, "1"), (2, "2"), (3, "3")]));
    chat(&mut town, &ann, "bob@house.example", "4");
    assert_eq!(numbered(&desk), [(None, "4".into())], "nothing is on its way: straight through");
    // what is not kept is nobody's gain
    town.failures.push_back(StoreError::Busy);
    assert_eq!(push(&mut town, "x", always()).state, SendtoState::Failed, "a busy store is no full user");
    assert_eq!(numbered(&desk), []);
}

#[test]
fn what_a_broken_connection_had_goes_to_another_and_to_nobody_twice() {
    let (mut town, _) = house();
    let (one, two) = (town.login("bob", "one"), town.login("bob", "two"));
    one.take();
    for n in 1..=3 {
        assert_eq!(push(&mut town, &n.to_string(), always()).sessions, 2);
    }
    town.send(&two, "<presence><priority>-1</priority></presence>");
    two.take();
    assert_eq!(push(&mut town, "4", always()).sessions, 1);
    one.take();
    town.ack(&one, 1);
    town.drop(&one);
    assert_eq!(pending(&town, "bob"), ["2", "3", "4"], "one had them, and two has the first two still");
    let three = town.bind("bob", "three");
    town.send(&three, "<presence/>");
    assert_eq!(numbered(&three), some(&[(4, "4")]));
    town.drop(&two);
    assert_eq!(numbered(&three), [], "first it has to say that it has what it was given");
    town.ack(&three, 4);
    assert_eq!(numbered(&three), some(&[(2, "2"), (3, "3")]));
    town.ack(&three, 2);
    town.ack(&three, 3);
    assert_eq!(pending(&town, "bob"), [""; 0]);
}

#[test]
fn a_full_connection_gets_what_it_did_not_take_when_it_has_room() {
    let (mut town, _) = house();
    let desk = town.login("bob", "desk");
    desk.wire.room.store(2, Ordering::Relaxed);
    let said: Vec<_> = (1..=5).map(|n| push(&mut town, &n.to_string(), always())).collect();
    let states: Vec<_> = said.iter().map(|o| (o.state, o.sessions)).collect();
    let (delivered, stored) = ((SendtoState::Delivered, 1), (SendtoState::Stored, 0));
    assert_eq!(states, [delivered, delivered, stored, stored, stored]);
    let mut bodies = Vec::new();
    loop {
        let got = desk.take();
        if got.is_empty() {
            break;
        }
        for delivery in got {
            bodies.extend(body_of(&delivery.stanza));
            town.ack(&desk, delivery.receipt.unwrap().0);
        }
        town.room(&desk);
    }
    assert_eq!(bodies, ["1", "2", "3", "4", "5"]);
    assert_eq!((pending(&town, "bob").len(), desk.closed().len()), (0, 0));
}

#[test]
fn how_far_a_follower_has_read_is_marked_in_batches() {
    let (mut town, ann) = house();
    let page = town.follow("bob", "page");
    for n in 1..=100 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
        town.read_to(&page, n);
    }
    assert_eq!(pending(&town, "bob").len(), 36, "after 64 times");
    town.pass(Duration::from_millis(999));
    assert_eq!(pending(&town, "bob").len(), 36);
    town.pass(Duration::from_millis(1));
    assert_eq!(pending(&town, "bob").len(), 0, "or a second");
    // or when it goes, or another is given what is kept
    chat(&mut town, &ann, "bob@house.example", "101");
    town.read_to(&page, 101);
    let desk = town.bind("bob", "desk");
    town.send(&desk, "<presence/>");
    assert_eq!(numbered(&desk), []);
    chat(&mut town, &ann, "bob@house.example", "102");
    town.read_to(&page, 102);
    town.drop(&page);
    assert_eq!(pending(&town, "bob").len(), 0);
}

#[test]
fn a_follower_with_no_room() {
    let (mut town, ann) = house();
    let page = town.follow("bob", "page");
    page.wire.full.store(true, Ordering::Relaxed);
    // a headline is let go
    let headline = "<message type='headline'><body>news</body></message>";
    let said = town.push("bob", headline, Keep::Never).unwrap();
    assert_eq!((said.state, said.sessions), (SendtoState::Dropped, 0));
    town.send(&ann, "<iq type='get' id='q' to='bob@house.example/page'><x xmlns='x'/></iq>");
    let got = ann.got();
    assert!(got[0].contains("<resource-constraint"), "what asks goes back: {got:?}");
    assert_eq!(page.closed(), []);
    // an answer would be missed, so it has to come anew
    town.send(&ann, "<iq type='result' id='r' to='bob@house.example/page'/>");
    assert_eq!(page.closed(), [Close::ResourceFull]);
}

#[test]
fn a_message_of_the_same_name_is_kept_and_handed_out_once() {
    let (mut town, _) = house();
    let page = town.follow("bob", "page");
    let once = || Terms { once: Some(CompactString::const_new("order-1")), ..Terms::default() };
    let said = push(&mut town, "x", once());
    assert_eq!((said.state, said.id, said.repeated), (SendtoState::Delivered, Some(1), false));
    let said = push(&mut town, "x", once());
    assert_eq!((said.state, said.id, said.repeated, said.sessions), (SendtoState::Stored, Some(1), true, 0));
    assert_eq!(numbered(&page), some(&[(1, "x")]));
    // also when nobody follows the log, or nobody is there
    town.read_to(&page, 1);
    town.drop(&page);
    assert!(push(&mut town, "x", once()).repeated);
    let desk = town.login("bob", "desk");
    assert!(push(&mut town, "x", once()).repeated);
    let other = Terms { once: Some(CompactString::const_new("order-2")), ..Terms::default() };
    assert!(!push(&mut town, "y", other).repeated);
    assert_eq!(numbered(&desk), some(&[(2, "y")]));
}

#[test]
fn terms() {
    let (mut town, _) = house();
    let only = |only_if| Terms { only_if, ..Terms::default() };
    assert_eq!(push(&mut town, "x", only(OnlyIf::Online)).state, SendtoState::Skipped);
    assert_eq!(push(&mut town, "1", only(OnlyIf::Offline)).state, SendtoState::Stored);
    let desk = town.login("bob", "desk");
    assert_eq!(push(&mut town, "x", only(OnlyIf::Offline)).state, SendtoState::Skipped);
    assert_eq!(push(&mut town, "2", only(OnlyIf::Online)).state, SendtoState::Delivered);
    assert_eq!(desk.bodies(), ["2"]);
    town.ack(&desk, 1);

    // when it is offline: until then
    town.drop(&desk);
    let terms = Terms { expires_ms: Some(town.now.unix_ms + 1_000), ..Terms::keep(Keep::IfOffline) };
    assert_eq!(push(&mut town, "short", terms).state, SendtoState::Stored);
    town.pass(Duration::from_secs(2));
    let desk = town.login("bob", "desk");
    assert_eq!(desk.bodies(), [""; 0]);
}

#[test]
fn a_newer_message_takes_the_place_of_one_that_waits() {
    let settings = Settings { offline_max: 3, ..Settings::new(DOMAIN) };
    let mut town = Town::with(&["bob"], settings, herald_session::Modules::builder().add(KeepAll).build());
    let score = || Terms { collapse: Some(CompactString::const_new("score")), ..Terms::default() };
    push(&mut town, "first", Terms::default());
    for n in 1..=10 {
        assert_eq!(push(&mut town, &n.to_string(), score()).state, SendtoState::Stored, "{n}: two are pending");
    }
    assert_eq!(push(&mut town, "last", Terms::default()).state, SendtoState::Stored);
    assert_eq!(push(&mut town, "x", Terms::default()).state, SendtoState::Full);
    let desk = town.bind("bob", "desk");
    town.send(&desk, "<presence/>");
    assert_eq!(desk.bodies(), ["first", "10", "last"]);
}

#[test]
fn what_made_room_for_a_newer_one_is_not_counted_twice() {
    let (mut town, _) = house();
    let page = town.follow("bob", "page");
    let score = || Terms { collapse: Some(CompactString::const_new("score")), ..Terms::keep(Keep::Always) };
    for n in 1..=10 {
        push(&mut town, &n.to_string(), score());
    }
    assert_eq!(pending(&town, "bob"), ["10"]);
    for read in [5, 9] {
        town.read_to(&page, read);
        town.pass(Duration::from_secs(1));
    }
    assert_eq!(pending(&town, "bob"), ["10"], "nobody has said that it has this one");
    town.drop(&page);
    let phone = town.bind("bob", "phone");
    town.send(&phone, "<presence/>");
    assert_eq!(phone.bodies(), ["10"]);
}

#[test]
fn what_only_a_follower_had_goes_to_who_is_left() {
    let (mut town, ann) = house();
    push(&mut town, "kept", Terms::default());
    let phone = town.login("bob", "phone");
    let page = town.follow("bob", "page");
    // For the page alone, as far as its sender knows; the phone has not said that it has the first.
    chat(&mut town, &ann, "bob@house.example/page", "2");
    town.ack(&phone, 1);
    town.drop(&page);
    assert_eq!(phone.bodies(), ["2"]);
    town.ack(&phone, 2);
    assert_eq!(pending(&town, "bob"), [""; 0]);
}

#[test]
fn there_is_room_again_however_often_it_was_looked_for() {
    let settings = Settings { offline_max: 2, ..Settings::new(DOMAIN) };
    let mut town = Town::with(&["bob"], settings, herald_session::Modules::builder().add(KeepAll).build());
    for secs in [60, 1] {
        let terms = Terms { expires_ms: Some(town.now.unix_ms + secs * 1_000), ..Terms::default() };
        assert_eq!(push(&mut town, "x", terms).state, SendtoState::Stored);
    }
    let expire = |town: &mut Town| town.shelves.get_mut("bob").unwrap().kept.pop();
    expire(&mut town);
    assert_eq!(push(&mut town, "y", Terms::default()).state, SendtoState::Stored);
    assert_eq!(push(&mut town, "z", Terms::default()).state, SendtoState::Full);
    expire(&mut town);
    town.pass(Duration::from_secs(61));
    assert_eq!(push(&mut town, "z", Terms::default()).state, SendtoState::Stored);
}

#[test]
fn what_expires_makes_room() {
    let settings = Settings { offline_max: 2, ..Settings::new(DOMAIN) };
    let mut town = Town::with(&["bob"], settings, herald_session::Modules::builder().add(KeepAll).build());
    let minute = |town: &Town| Terms { expires_ms: Some(town.now.unix_ms + 60_000), ..Terms::default() };
    for state in [SendtoState::Stored, SendtoState::Stored, SendtoState::Full] {
        let terms = minute(&town);
        assert_eq!(push(&mut town, "x", terms).state, state);
    }
    for second in 1..60 {
        town.pass(Duration::from_secs(1));
        assert_eq!(push(&mut town, "x", Terms::default()).state, SendtoState::Full, "{second}");
    }
    town.pass(Duration::from_secs(6));
    town.shelves.get_mut("bob").unwrap().kept.clear(); // as the sweeper does
    assert_eq!(push(&mut town, "x", Terms::default()).state, SendtoState::Stored);
}

#[test]
fn one_that_is_excluded_never_gets_it() {
    let (mut town, _) = house();
    let (tab, other) = (town.follow("bob", "tab"), town.follow("bob", "other"));
    let but_tab = |resource| Terms { exclude: Some(Resource::new(resource).unwrap()), ..Terms::default() };
    let said = push(&mut town, "1", but_tab("tab"));
    assert_eq!((said.state, said.sessions), (SendtoState::Delivered, 1));
    tab.take();
    assert_eq!((numbered(&other), numbered(&tab)), (some(&[(1, "1")]), vec![]));
    // nor when nobody else is there: it waits for another
    town.read_to(&other, 1);
    town.drop(&tab);
    town.drop(&other);
    let desk = town.login("bob", "desk");
    let said = push(&mut town, "2", but_tab("desk"));
    assert_eq!((said.state, said.sessions, said.id), (SendtoState::Stored, 0, Some(2)));
    assert_eq!(push(&mut town, "3", always()).sessions, 1);
    assert_eq!(numbered(&desk), some(&[(3, "3")]));
    town.ack(&desk, 3);
    town.send(&desk, "<presence><priority>5</priority></presence>");
    town.drop(&desk);
    assert_eq!(pending(&town, "bob"), ["2"]);
    let phone = town.bind("bob", "phone");
    town.send(&phone, "<presence/>");
    let got = phone.got();
    assert!(got.iter().any(|x| x.contains("<body>2</body>")), "{got:?}");
    assert!(!got.iter().any(|x| x.contains("not-for")), "that is not for clients: {got:?}");
}

#[test]
fn when_as_many_wait_as_may() {
    let settings = Settings { offline_max: 1, ..Settings::new(DOMAIN) };
    let mut town = Town::with(&["bob"], settings, herald_session::Modules::builder().add(KeepAll).build());
    let log_only = || Terms { when_full: WhenFull::LogOnly, ..Terms::default() };
    assert_eq!(push(&mut town, "1", log_only()).id, Some(1));
    assert_eq!(push(&mut town, "2", Terms::default()).state, SendtoState::Full);
    let said = push(&mut town, "3", log_only());
    assert_eq!((said.state, said.id), (SendtoState::Stored, Some(2)));
    assert_eq!((pending(&town, "bob"), town.shelves["bob"].log.len()), (vec!["1".to_string()], 2));
    // who follows gets it all the same, though the client never says that it has it
    let page = town.follow("bob", "page");
    for n in 3..=6 {
        assert_eq!(push(&mut town, &n.to_string(), Terms::default()).sessions, 1);
    }
    assert_eq!(numbered(&page), some(&[(3, "3"), (4, "4"), (5, "5"), (6, "6")]));
    assert_eq!(pending(&town, "bob"), ["1"]);
}
