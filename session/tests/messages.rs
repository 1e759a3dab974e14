//! Messages and iq across users (RFC 6121 sections 5 and 8), kept messages, connections that end, by script.

mod town;

use herald_session::hooks::{At, Flow, Module, Modules, Points, Reply, Stage};
use herald_session::push::SendtoState;
use herald_session::{Close, Keep, Parcel, Receipt, Settings};
use herald_storage::StoreError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use town::{Client, DOMAIN, Town, body_of, xml_of};

fn chat(town: &mut Town, from: &Client, to: &str, body: &str) {
    town.send(from, &format!("<message type='chat' to='{to}'><body>{body}</body></message>"));
}

/// What is kept in the store for a user, as the bodies.
fn kept(town: &Town, user: &str) -> Vec<String> {
    let body = |bytes: &[u8]| body_of(&town::stanza(std::str::from_utf8(bytes).unwrap())).unwrap_or_default();
    town.shelves[user].kept.iter().map(|(_, m)| body(&m.stanza)).collect()
}

/// The receipts of what a client was handed, with the bodies.
fn receipts(client: &Client) -> Vec<(Option<u64>, String)> {
    client.take().iter().filter_map(|d| Some((d.receipt.map(|Receipt(id)| id), body_of(&d.stanza)?))).collect()
}

#[test]
fn to_the_account_and_to_a_resource() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    let (low, high) = (town.login("bob", "low"), town.login("bob", "high"));
    town.send(&high, "<presence><priority>5</priority></presence>");
    let silent = town.bind("bob", "silent");
    low.take();
    high.take();

    town.send(&ann, "<message type='chat' to='bob@house.example' id='1'><body>x</body><a xmlns='b'/></message>");
    let whole = "<message from='ann@house.example/a' to='bob@house.example' id='1' type='chat'><body>x</body><a xmlns='b'/></message>";
    assert_eq!((high.got(), low.got()), (vec![whole.to_string()], vec![]));
    chat(&mut town, &ann, "bob@house.example/silent", "to one that is only connected");
    assert_eq!(silent.bodies(), ["to one that is only connected"]);
    chat(&mut town, &ann, "bob@house.example/gone", "to one that is gone");
    assert_eq!(high.bodies(), ["to one that is gone"]);
    town.send(&ann, "<message type='headline' to='bob@house.example'><body>news</body></message>");
    assert_eq!((high.bodies(), low.bodies()), (vec!["news".to_string()], vec!["news".to_string()]));
    // to oneself, and without an address: to the own account
    for to in ["to='ann@house.example/a'", "to='ann@house.example'", ""] {
        town.send(&ann, &format!("<message type='chat' {to}><body>me</body></message>"));
        assert_eq!(ann.bodies(), ["me"], "{to}");
    }
    // one stanza for all who get it
    town.send(&low, "<presence><priority>5</priority></presence>");
    low.take();
    high.take();
    chat(&mut town, &ann, "bob@house.example", "both");
    let (a, b) = (low.take(), high.take());
    assert!(std::sync::Arc::ptr_eq(&a[0].stanza, &b[0].stanza));
}

#[test]
fn nobody_learns_who_has_an_account() {
    // without a module that keeps messages
    let mut town = Town::with(&["ann", "bob"], Settings::new(DOMAIN), Modules::builder().build());
    let ann = town.login("ann", "a");
    for user in ["bob", "nobody"] {
        for (what, answer) in [
            ("<message type='chat' to='{}' id='1'><body>x</body></message>", "<service-unavailable"),
            ("<iq type='get' to='{}' id='1'><query xmlns='x'/></iq>", "<service-unavailable"),
            ("<iq type='get' to='{}/r' id='1'><query xmlns='x'/></iq>", "<service-unavailable"),
        ] {
            let to = format!("{user}@house.example");
            let got = town.ask(&ann, &what.replace("{}", &to));
            assert_eq!(got.len(), 1, "{what} to {user}");
            assert!(got[0].contains(answer) && got[0].contains(&format!("from='{to}")), "{got:?}");
        }
        for what in [
            "<presence to='{}'/>",
            "<iq type='result' to='{}/r' id='1'/>",
            "<iq type='error' to='{}' id='1'/>",
            "<message type='error' to='{}'><body>x</body></message>",
            "<message type='headline' to='{}'><body>x</body></message>",
        ] {
            if user == "nobody" && what.contains("headline") {
                continue; // goes back with an error: both are allowed (table 1, S)
            }
            let what = what.replace("{}", &format!("{user}@house.example"));
            assert_eq!(town.ask(&ann, &what), [""; 0], "{what}");
        }
    }
    let got = town.ask(&ann, "<message to='eve@elsewhere.example'><body>x</body></message>");
    assert!(got[0].contains("<remote-server-not-found"), "{got:?}");
    let got = town.ask(&ann, "<message to='house.example'><body>x</body></message>");
    assert!(got[0].contains("<service-unavailable"), "{got:?}");
}

#[test]
fn iq_finds_its_way() {
    struct Echo;
    impl Module for Echo {
        fn register(self, points: &mut Points) {
            for (at, word) in [(At::Server, "server"), (At::Account, "account")] {
                points.feature(at, "echo");
                points.iq(at, "echo", "e", move |turn, iq| {
                    let owner = turn.is_owner(iq.from());
                    Reply::Result(format!("<{word} xmlns='e' user='{}' owner='{owner}'/>", turn.user()).into())
                });
            }
            // an answer that needs the store first
            points.iq(At::Account, "keep", "e", |turn, iq: &Parcel| {
                let iq = iq.clone();
                turn.save("space", "key", Some("<v/>".into()), move |turn, saved| {
                    assert!(saved.is_ok());
                    turn.load("space", "key", move |turn, value| {
                        turn.reply(&iq, Reply::Result(value.ok().flatten().unwrap_or_default()));
                    });
                });
                Reply::Later
            });
        }
    }
    let modules = Modules::builder().add(Echo).build();
    assert_eq!(modules.features(At::Server).collect::<Vec<_>>(), ["echo"]);
    let mut town = Town::with(&["ann", "bob"], Settings::new(DOMAIN), modules);
    let (ann, bob) = (town.login("ann", "a"), town.bind("bob", "b"));
    let echo = |to: &str| format!("<iq type='get' id='1' {to}><echo xmlns='e'/></iq>");
    for (to, from, answer) in [
        ("", "", "<account xmlns='e' user='ann@house.example' owner='true'/>"),
        (
            "to='ann@house.example'",
            " from='ann@house.example'",
            "<account xmlns='e' user='ann@house.example' owner='true'/>",
        ),
        ("to='house.example'", " from='house.example'", "<server xmlns='e' user='ann@house.example' owner='true'/>"),
        (
            "to='bob@house.example'",
            " from='bob@house.example'",
            "<account xmlns='e' user='bob@house.example' owner='false'/>",
        ),
    ] {
        assert_eq!(
            town.ask(&ann, &echo(to)),
            [format!("<iq{from} to='ann@house.example/a' id='1' type='result'>{answer}</iq>")]
        );
    }
    assert_eq!(
        town.ask(&ann, "<iq type='set' id='k'><keep xmlns='e'/></iq>"),
        ["<iq to='ann@house.example/a' id='k' type='result'><v/></iq>"]
    );
    // to a resource and back, available or not
    town.send(&ann, &echo("to='bob@house.example/b'"));
    assert_eq!(
        bob.got(),
        ["<iq from='ann@house.example/a' to='bob@house.example/b' id='1' type='get'><echo xmlns='e'/></iq>"]
    );
    town.send(&bob, "<iq type='result' id='1' to='ann@house.example/a'/>");
    assert_eq!(ann.got(), ["<iq from='bob@house.example/b' to='ann@house.example/a' id='1' type='result'/>"]);
    // what nobody knows, and what is nothing
    assert!(town.ask(&ann, "<iq type='get' id='1'><what xmlns='e'/></iq>")[0].contains("<service-unavailable"));
    assert!(town.ask(&ann, "<iq type='get' id='1'/>")[0].contains("<bad-request"));
    assert!(
        town.ask(&ann, "<iq type='get' id='1' to='bob@house.example'><query xmlns='jabber:iq:roster'/></iq>")[0]
            .contains("<forbidden")
    );
}

#[test]
fn hooks_run_in_their_stages() {
    struct Late;
    struct Early;
    impl Module for Late {
        fn register(self, points: &mut Points) {
            points.sent(Stage::Deliver, |turn, _| {
                turn.slot::<Vec<&str>>().push("deliver");
                Flow::Pass
            });
        }
    }
    impl Module for Early {
        fn register(self, points: &mut Points) {
            points.sent(Stage::Screen, |turn, parcel| {
                turn.slot::<Vec<&str>>().push("screen");
                if parcel.stanza.id.as_deref() == Some("bad") { Flow::Drop } else { Flow::Pass }
            });
            points.arrived(Stage::Copy, |turn, parcel| {
                let seen = turn.peek::<Vec<&str>>().map_or(0, Vec::len);
                std::sync::Arc::make_mut(&mut parcel.stanza).id = Some(format!("seen{seen}").into());
                Flow::Pass
            });
        }
    }
    let mut town = Town::with(&["ann"], Settings::new(DOMAIN), Modules::builder().add(Late).add(Early).build());
    let ann = town.login("ann", "a");
    for id in ["bad", "good"] {
        town.send(&ann, &format!("<message id='{id}' to='ann@house.example/a'><body>x</body></message>"));
    }
    let got = ann.got();
    assert_eq!(got.len(), 1);
    assert!(got[0].contains("id='seen3'"), "screen alone, then screen and deliver: {got:?}");
}

#[test]
fn kept_messages_come_in_order_and_once() {
    let settings = Settings { offline_page: 32, ..Settings::new(DOMAIN) };
    let mut town = Town::with(&["ann", "bob"], settings, Modules::builder().add(town::KeepAll).build());
    let ann = town.login("ann", "a");
    for n in 1..=70 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    assert_eq!(ann.got(), [""; 0], "kept, so nothing goes back");
    assert_eq!(kept(&town, "bob").len(), 70);

    // not to a resource that wants none, then a page at a time as it acknowledges
    let bob = town.bind("bob", "b");
    town.send(&bob, "<presence><priority>-1</priority></presence>");
    assert_eq!(receipts(&bob), []);
    town.send(&bob, "<presence/>");
    let mut expected = 1;
    let mut late = 0;
    while kept(&town, "bob").len() > 6 {
        let page = receipts(&bob);
        assert!(!page.is_empty() && page.len() <= 32, "page of {}", page.len());
        for (n, (id, body)) in page.into_iter().enumerate() {
            assert_eq!((id, body), (Some(expected), expected.to_string()));
            if n == 3 {
                late += 1; // a message that comes meanwhile does not overtake
                chat(&mut town, &ann, "bob@house.example", &(70 + late).to_string());
            }
            town.ack(&bob, expected);
            expected += 1;
        }
    }
    let rest = receipts(&bob);
    assert_eq!(rest.first().map(|r| r.1.clone()), Some(expected.to_string()));
    assert_eq!(rest.last().map(|r| r.1.clone()), Some((70 + late).to_string()), "the late ones are the last");
    for id in rest.into_iter().filter_map(|(id, _)| id) {
        town.ack(&bob, id);
    }
    assert_eq!(kept(&town, "bob"), [""; 0]);
    // from now on straight through
    chat(&mut town, &ann, "bob@house.example", "live");
    assert_eq!(receipts(&bob), [(None, "live".to_string())]);
    // and nothing comes twice
    let again = town.login("bob", "c");
    assert_eq!(receipts(&again), []);
}

#[test]
fn large_kept_messages_do_not_fill_a_connection() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    let long = "x".repeat(100_000);
    for n in [1, 2, 3] {
        chat(&mut town, &ann, "bob@house.example", &format!("{n}{long}"));
    }
    chat(&mut town, &ann, "bob@house.example", &format!("4{}", "x".repeat(300_000)));
    let bob = town.bind("bob", "b");
    town.send(&bob, "<presence/>");
    for page in [&[1, 2, 3][..], &[4]] {
        let got: Vec<_> = receipts(&bob).into_iter().map(|(id, _)| id.unwrap()).collect();
        assert_eq!(got, page, "up to the one with which it is 256 KiB");
        for id in got {
            town.ack(&bob, id);
        }
    }
    assert_eq!(kept(&town, "bob"), [""; 0]);
}

#[test]
fn kept_messages_carry_their_time_and_address() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    chat(&mut town, &ann, "bob@house.example/gone", "x");
    town.pass(Duration::from_secs(20));
    let bob = town.bind("bob", "b");
    town.send(&bob, "<presence/>");
    let got = bob.got();
    assert!(
        got.contains(
            &"<message from='ann@house.example/a' to='bob@house.example/gone' type='chat'>\
              <body>x</body><kept xmlns='test' at='1000000'/></message>"
                .to_string()
        ),
        "{got:?}"
    );
}

#[test]
fn what_was_not_acknowledged_goes_to_the_next_resource() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    for n in 1..=5 {
        chat(&mut town, &ann, "bob@house.example", &n.to_string());
    }
    let first = town.bind("bob", "first");
    town.send(&first, "<presence/>");
    let second = town.login("bob", "second");
    chat(&mut town, &ann, "bob@house.example/first", "6");
    let undelivered: Vec<_> = first.take().into_iter().filter(|d| body_of(&d.stanza).is_some()).collect();
    assert_eq!(undelivered.len(), 6);
    town.ack(&first, 1);
    town.ack(&first, 2);
    town.unbind(&first, undelivered[2..].to_vec());
    let got = receipts(&second);
    let expected = [(3, "3"), (4, "4"), (5, "5"), (6, "6")].map(|(id, body)| (Some(id), body.to_string()));
    assert_eq!(got, expected, "the last behind what was kept before it");
    for (id, _) in got {
        town.ack(&second, id.unwrap());
    }
    assert_eq!(kept(&town, "bob"), [""; 0]);
}

#[test]
fn undelivered_goes_on_exactly_once() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    let (one, two) = (town.login("bob", "one"), town.login("bob", "two"));
    one.take();
    two.take();
    // to both: who has it has it, so what comes back from the other is over
    chat(&mut town, &ann, "bob@house.example", "both");
    let back = one.take();
    assert_eq!(two.bodies(), ["both"]);
    town.unbind(&one, back);
    assert_eq!((two.bodies(), kept(&town, "bob")), (vec![], vec![]));
    // back from both: once to the store
    let one = town.login("bob", "one");
    two.take();
    chat(&mut town, &ann, "bob@house.example", "lost by both");
    let (back1, back2) = (one.take(), two.take());
    town.unbind(&one, back1);
    assert_eq!(kept(&town, "bob"), [""; 0], "two may have it");
    let back2 = back2.into_iter().filter(|d| body_of(&d.stanza).is_some()).collect();
    town.unbind(&two, back2);
    assert_eq!(kept(&town, "bob"), ["lost by both"]);
    // requests go back, answers and presence are over
    let one = town.bind("bob", "one");
    town.send(&one, "<presence/>");
    for (id, _) in receipts(&one) {
        town.ack(&one, id.unwrap());
    }
    town.send(&ann, "<iq type='get' id='q' to='bob@house.example/one'><x xmlns='x'/></iq>");
    town.send(&ann, "<iq type='result' id='r' to='bob@house.example/one'/>");
    town.send(&ann, "<presence to='bob@house.example/one'/>");
    town.send(&ann, "<message to='bob@house.example/one'><body>normal</body></message>");
    let back = one.take();
    assert_eq!(back.len(), 4);
    town.unbind(&one, back);
    let got = ann.got();
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].contains("id='q'") && got[0].contains("<service-unavailable"), "{got:?}");
    assert_eq!(kept(&town, "bob"), ["normal"]);
}

#[test]
fn a_link_that_takes_no_more_is_detached_and_nothing_overtakes() {
    let settings = Settings { behind_secs: 0, ..Settings::new(DOMAIN) };
    let mut town = Town::with(&["ann", "bob", "cat"], settings, Modules::builder().add(town::KeepAll).build());
    let ann = town.login("ann", "a");
    let bob = town.login("bob", "b");
    let cat = town.login("cat", "c");
    town.befriend(&bob, &cat);
    chat(&mut town, &ann, "bob@house.example", "1");
    bob.wire.full.store(true, Ordering::Relaxed);
    chat(&mut town, &ann, "bob@house.example", "2");
    assert_eq!(bob.closed(), [Close::ResourceFull]);
    assert_eq!(cat.got().len(), 1, "he is gone for those who saw him");
    chat(&mut town, &ann, "bob@house.example", "3");
    let next = town.login("bob", "next");
    chat(&mut town, &ann, "bob@house.example", "4");
    assert_eq!(next.bodies(), [""; 0], "held back until the other has given back what it had");
    cat.take();
    let undelivered = bob.take();
    town.unbind(&bob, undelivered);
    assert_eq!(next.bodies(), ["1", "2", "3", "4"]);
    assert_eq!(cat.got(), [""; 0], "gone once");
}

#[test]
fn a_connection_that_never_ends_is_not_waited_for() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    let old = town.login("bob", "b");
    let new = town.login("bob", "b");
    assert_eq!(old.closed(), [Close::Conflict]);
    chat(&mut town, &ann, "bob@house.example", "held");
    assert_eq!(new.bodies(), [""; 0]);
    town.pass(Duration::from_secs(5));
    assert_eq!(new.bodies(), ["held"]);
    chat(&mut town, &ann, "bob@house.example", "after");
    assert_eq!(new.bodies(), ["after"]);
    // and when it comes after all, what it had is not lost
    chat(&mut town, &ann, "bob@house.example/b", "x");
    let late = new.take();
    town.unbind(&old, late);
    assert_eq!(new.bodies(), ["x"]);
}

#[test]
fn conflict_limit_and_kick() {
    let mut settings = Settings::new(DOMAIN);
    settings.resources_max = 2;
    let mut town = Town::with(&["ann"], settings, Modules::builder().build());
    let one = town.login("ann", "one");
    town.bind("ann", "two");
    let error = town.try_bind("ann", "three").err().unwrap();
    assert_eq!(error.condition.name(), "resource-constraint");
    town.bind("ann", "one"); // in its own place
    assert_eq!(one.closed(), [Close::Conflict]);
    // the old connection has nothing to say any more
    assert_eq!(town.ask(&one, "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"), [""; 0]);
    assert!(town.try_bind("nobody", "x").is_err());
}

#[test]
fn pushes_say_what_became_of_them() {
    let mut settings = Settings::new(DOMAIN);
    settings.offline_max = 2;
    let mut town = Town::with(&["ann", "bob"], settings, Modules::builder().add(town::KeepAll).build());
    let (one, two, low) = (town.login("ann", "1"), town.login("ann", "2"), town.login("ann", "3"));
    town.send(&one, "<presence><priority>9</priority></presence>");
    town.send(&low, "<presence><priority>-1</priority></presence>");
    for c in [&one, &two, &low] {
        c.take();
    }
    let say = "<message from='house.example'><body>hear</body></message>";
    let outcome = town.push("ann", say, Keep::Usual).unwrap();
    assert_eq!((outcome.state, outcome.sessions, outcome.id), (SendtoState::Delivered, 2, None));
    assert_eq!(one.got(), ["<message from='house.example' to='ann@house.example'><body>hear</body></message>"]);
    assert_eq!((two.bodies().len(), low.bodies().len()), (1, 0));

    let states = |town: &mut Town, keep| {
        let outcome = town.push("bob", say, keep).unwrap();
        (outcome.state, outcome.id)
    };
    assert_eq!(states(&mut town, Keep::Usual), (SendtoState::Stored, Some(1)));
    assert_eq!(states(&mut town, Keep::Never), (SendtoState::Dropped, None));
    assert_eq!(states(&mut town, Keep::IfOffline), (SendtoState::Stored, Some(2)));
    assert_eq!(states(&mut town, Keep::Usual), (SendtoState::Full, None));
    assert_eq!(town.push("nobody", say, Keep::Usual).unwrap().state, SendtoState::NoSuchUser);
    let bob = town.bind("bob", "b");
    town.send(&bob, "<presence/>");
    assert_eq!(bob.bodies().len(), 2);
    town.drop(&bob);
    town.failures.push_back(StoreError::Full);
    town.shelves.get_mut("bob").unwrap().kept.clear();
    town.users.remove("bob");
    town.failures.clear();
    town.tell("bob", herald_session::user::Input::Tick);
    town.failures.push_back(StoreError::Full);
    assert_eq!(states(&mut town, Keep::Usual), (SendtoState::Failed, None));
    assert_eq!(states(&mut town, Keep::Usual).0, SendtoState::Stored);
}

#[test]
fn a_push_that_no_link_takes_is_not_called_delivered() {
    let settings = Settings { behind_secs: 0, ..Settings::new(DOMAIN) };
    let mut town = Town::with(&["ann"], settings, Modules::builder().add(town::KeepAll).build());
    let (one, two) = (town.login("ann", "1"), town.login("ann", "2"));
    let say = "<message from='house.example'><body>hear</body></message>";
    one.wire.full.store(true, Ordering::Relaxed);
    let outcome = town.push("ann", say, Keep::Usual).unwrap();
    assert_eq!((outcome.state, outcome.sessions), (SendtoState::Delivered, 1), "the other took it");
    town.unbind(&one, Vec::new());
    assert_eq!((two.bodies().len(), kept(&town, "ann").len()), (1, 0));

    two.wire.full.store(true, Ordering::Relaxed);
    let mut later = town.push_later("ann", say, Keep::Usual);
    assert!(later.try_recv().is_err(), "nobody knows yet");
    town.unbind(&two, Vec::new());
    let outcome = later.try_recv().unwrap();
    assert_eq!((outcome.state, outcome.sessions, outcome.id), (SendtoState::Stored, 0, Some(1)));
    assert_eq!(kept(&town, "ann"), ["hear"]);
}

#[test]
fn one_that_has_to_go_may_finish_its_sentence() {
    let mut town = Town::new(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    let new = town.login("ann", "a");
    chat(&mut town, &ann, "bob@house.example", "last words");
    assert_eq!(bob.bodies(), ["last words"]);
    town.send(&ann, "<presence to='bob@house.example'/>");
    town.drop(&ann);
    chat(&mut town, &ann, "bob@house.example", "from the grave");
    assert_eq!(bob.got(), [""; 0]);
    drop(new);
}

/// What a feature sees of a user's day, and what it may ask.
#[test]
fn a_feature_sees_the_day_of_a_user() {
    #[derive(Default)]
    struct Diary(Vec<String>);
    struct Writer;
    impl Module for Writer {
        fn register(self, points: &mut Points) {
            points.started(|turn| {
                turn.load("s", "k", |turn, value| {
                    let words = format!("started {:?}", value.unwrap());
                    turn.slot::<Diary>().0.push(words);
                });
            });
            points.bound(|turn, binding| turn.slot::<Diary>().0.push(format!("bound {}", binding.0)));
            points.unbound(|turn, binding| {
                let left = turn.resources().count();
                turn.slot::<Diary>().0.push(format!("unbound {} of {}", binding.0, left + 1));
            });
            points.presence(|turn, _, stanza| {
                let now = turn.now();
                turn.slot::<Diary>().0.push(format!("{:?}", stanza.kind));
                turn.wake_at(now.at + Duration::from_secs(7), |turn| turn.slot::<Diary>().0.push("woken".into()));
            });
            points.iq(At::Account, "diary", "d", |turn, iq| {
                let subscription = iq.from().map(|from| turn.subscription(from));
                turn.slot::<Diary>().0.push(format!("read {}", subscription.unwrap_or_default().as_str()));
                let all = turn.peek::<Diary>().map(|d| d.0.join(",")).unwrap_or_default();
                turn.clear::<Diary>();
                Reply::Result(format!("<diary xmlns='d'>{all}</diary>").into())
            });
        }
    }
    let mut town = Town::with(&["ann"], Settings::new(DOMAIN), Modules::builder().add(Writer).build());
    let ann = town.bind("ann", "a");
    let other = town.bind("ann", "o");
    town.send(&ann, "<presence/>");
    town.drop(&other);
    town.pass(Duration::from_secs(7));
    town.send(&ann, "<presence type='unavailable'/>");
    ann.take();
    let ask = "<iq type='get' id='1'><diary xmlns='d'/></iq>";
    assert!(town.ask(&ann, ask)[0].contains(
        ">started None,bound 1,bound 2,Presence(Available),unbound 2 of 2,woken,Presence(Unavailable),read both<"
    ));
    assert!(town.ask(&ann, ask)[0].contains(">read both<"), "a new slot after it was cleared");
    // while something is to be woken the user stays
    town.drop(&ann);
    town.pass(Duration::from_secs(7));
    assert!(town.stops.is_empty());
    town.pass(Duration::from_secs(60));
    town.pass(Duration::from_secs(60));
    assert_eq!(town.stops.first().map(String::as_str), Some("ann"));
}

#[test]
fn a_store_that_fails_is_told_to_the_sender() {
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    let bob = town.login("bob", "b");
    town.drop(&bob);
    town.failures.push_back(StoreError::Full);
    let got = town.ask(&ann, "<message type='chat' to='bob@house.example' id='7'><body>x</body></message>");
    assert!(got[0].contains("id='7'") && got[0].contains("<internal-server-error"), "{got:?}");
    // the first question about a user fails: no claim about the account, and nothing is lost in silence
    let mut town = Town::new(&["ann", "bob"]);
    let ann = town.login("ann", "a");
    town.failures.push_back(StoreError::Busy);
    let got = town.ask(&ann, "<message type='chat' to='bob@house.example' id='7'><body>x</body></message>");
    assert!(got[0].contains("<resource-constraint"), "{got:?}");
}

#[test]
fn an_error_is_never_answered_with_an_error() {
    let mut town = Town::new(&["ann"]);
    let ann = town.login("ann", "a");
    for what in [
        "<message type='error' to='eve@elsewhere.example'/>",
        "<message type='error' to='house.example'/>",
        "<message type='error' to='ann@house.example/gone'/>",
        "<iq type='error' id='1' to='ann@house.example/gone'/>",
        "<iq type='result' id='1' to='eve@elsewhere.example'/>",
        "<iq type='result' id='1' to='house.example'/>",
        "<presence type='error' to='eve@elsewhere.example'/>",
    ] {
        assert_eq!(town.ask(&ann, what), [""; 0], "{what}");
    }
}

#[test]
fn deliveries_show_their_own_address() {
    let mut town = Town::new(&["ann"]);
    let ann = town.login("ann", "a");
    town.send(&ann, "<presence/>");
    let got = ann.take();
    assert_eq!(got[0].stanza.to, None);
    assert_eq!(xml_of(&got[0]), "<presence from='ann@house.example/a' to='ann@house.example/a'/>");
}
