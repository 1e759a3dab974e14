//! RFC 6121 section 2, by script.

mod town;

use herald_session::Settings;
use herald_session::hooks::Modules;
use herald_storage::StoreError;
use town::{Client, DOMAIN, Town};

fn get(town: &mut Town, client: &Client, ver: &str) -> Vec<String> {
    town.ask(client, &format!("<iq type='get' id='g'><query xmlns='jabber:iq:roster' {ver}/></iq>"))
}

fn set(town: &mut Town, client: &Client, items: &str) -> Vec<String> {
    town.ask(client, &format!("<iq type='set' id='s'><query xmlns='jabber:iq:roster'>{items}</query></iq>"))
}

#[test]
fn add_change_remove() {
    let mut town = Town::new(&["ann"]);
    let (one, two, three) = (town.login("ann", "1"), town.login("ann", "2"), town.login("ann", "3"));
    one.take();
    assert_eq!(
        get(&mut town, &one, ""),
        ["<iq to='ann@house.example/1' id='g' type='result'><query xmlns='jabber:iq:roster'></query></iq>"]
    );
    get(&mut town, &two, "");
    for c in [&one, &two, &three] {
        c.take();
    }
    let got =
        set(&mut town, &one, "<item jid='Bob@house.example' name='B &amp; co'><group>x</group><group>y</group></item>");
    let item =
        "<item jid='bob@house.example' name='B &amp; co' subscription='none'><group>x</group><group>y</group></item>";
    let push = |n: u32, to: &str, item: &str| {
        format!(
            "<iq to='ann@house.example/{to}' id='push{n}' type='set'><query xmlns='jabber:iq:roster' ver='{n}'>{item}</query></iq>"
        )
    };
    assert_eq!(got, [push(1, "1", item), "<iq to='ann@house.example/1' id='s' type='result'/>".into()]);
    assert_eq!((two.got(), three.got()), (vec![push(1, "2", item)], vec![]), "to those who have asked for the roster");

    // what the client says of subscriptions is not believed
    set(&mut town, &one, "<item jid='bob@house.example' subscription='both' ask='subscribe'/>");
    assert_eq!(two.got(), [push(2, "2", "<item jid='bob@house.example' subscription='none'/>")]);
    assert!(
        get(&mut town, &one, "ver=''")[0]
            .contains("ver='2'><item jid='bob@house.example' subscription='none'/></query>")
    );

    let got = set(&mut town, &one, "<item jid='bob@house.example' subscription='remove'/>");
    let gone = "<item jid='bob@house.example' subscription='remove'/>";
    assert_eq!(got, [push(3, "1", gone), "<iq to='ann@house.example/1' id='s' type='result'/>".into()]);
    assert!(town.shelves["ann"].items.is_empty());
    // a push is answered to nobody
    assert_eq!(town.ask(&one, "<iq type='result' id='push3'/>"), [""; 0]);
}

#[test]
fn a_subscription_leaves_a_contact_its_name_and_groups() {
    let mut town = Town::new(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    get(&mut town, &ann, "");
    set(&mut town, &ann, "<item jid='bob@house.example' name='Bob'><group>x</group></item>");
    let bobs = |shows: &str| {
        format!("<item jid='bob@house.example' name='Bob' subscription={shows}><group>x</group></item></query></iq>")
    };
    let last = |got: Vec<String>| got.into_iter().rfind(|stanza| stanza.contains("id='push")).unwrap_or_default();
    ann.take();
    town.send(&ann, "<presence type='subscribe' to='bob@house.example'/>");
    assert!(last(ann.got()).ends_with(&bobs("'none' ask='subscribe'")));
    town.send(&bob, "<presence type='subscribed' to='ann@house.example'/>");
    assert!(last(ann.got()).ends_with(&bobs("'to'")));
    assert!(get(&mut town, &ann, "")[0].ends_with(&bobs("'to'")));
    set(&mut town, &ann, "<item jid='bob@house.example' name='Robert'/>");
    let renamed = "<item jid='bob@house.example' name='Robert' subscription='to'/></query></iq>";
    assert!(get(&mut town, &ann, "")[0].ends_with(renamed));
}

#[test]
fn versions() {
    let mut town = Town::new(&["ann"]);
    let (one, two) = (town.login("ann", "1"), town.login("ann", "2"));
    for item in [
        "<item jid='b@house.example'/>",
        "<item jid='c@house.example'/>",
        "<item jid='d@house.example'/>",
        "<item jid='b@house.example' subscription='remove'/>",
    ] {
        set(&mut town, &one, item);
    }
    // the same: nothing to say; older: what changed since, as pushes; unknown: everything
    let same = "<iq to='ann@house.example/2' id='g' type='result'/>";
    two.take();
    assert_eq!(get(&mut town, &two, "ver='4'"), [same]);
    let got = get(&mut town, &two, "ver='2'");
    assert_eq!(got[0], same);
    assert!(got[1].contains("ver='3'><item jid='d@house.example' subscription='none'/>"), "{got:?}");
    assert!(got[2].contains("ver='4'><item jid='b@house.example' subscription='remove'/>"), "{got:?}");
    for unknown in ["ver=''", "ver='0'", "ver='99'", "ver='x'"] {
        let got = get(&mut town, &two, unknown);
        assert_eq!(got.len(), 1);
        assert!(
            got[0].contains("ver='4'><item jid='c@house.example'") && got[0].contains("d@house.example"),
            "{got:?}"
        );
    }
}

#[test]
fn bad_requests() {
    let mut settings = Settings::new(DOMAIN);
    (settings.roster_max, settings.roster_groups_max, settings.roster_name_bytes_max) = (2, 2, 10);
    let mut town = Town::with(&["ann"], settings, Modules::builder().build());
    let ann = town.login("ann", "a");
    for (items, condition) in [
        ("", "bad-request"),
        ("<item jid='b@house.example'/><item jid='c@house.example'/>", "bad-request"),
        ("<item name='nobody'/>", "bad-request"),
        ("<item jid='@'/>", "jid-malformed"),
        ("<item jid='ann@house.example'/>", "not-allowed"),
        ("<item jid='b@house.example'><group>g</group><group>g</group></item>", "bad-request"),
        ("<item jid='b@house.example'><group/></item>", "not-acceptable"),
        ("<item jid='b@house.example' name='longer than 10'/>", "not-acceptable"),
        ("<item jid='b@house.example'><group>longer than 10</group></item>", "not-acceptable"),
        ("<item jid='b@house.example'><group>1</group><group>2</group><group>3</group></item>", "not-acceptable"),
        ("<item jid='b@house.example' subscription='remove'/>", "item-not-found"),
    ] {
        let got = set(&mut town, &ann, items);
        assert_eq!(got.len(), 1, "{items}");
        assert!(got[0].contains(&format!("<{condition} ")), "{items}: {got:?}");
    }
    set(&mut town, &ann, "<item jid='b@house.example'/>");
    set(&mut town, &ann, "<item jid='c@house.example'/>");
    assert!(set(&mut town, &ann, "<item jid='d@house.example'/>")[0].contains("<resource-constraint"));
    assert!(town.ask(&ann, "<presence type='subscribe' to='d@house.example'/>")[0].contains("<resource-constraint"));
    town.failures.push_back(StoreError::Full);
    assert!(set(&mut town, &ann, "<item jid='b@house.example' name='x'/>")[0].contains("<internal-server-error"));
    assert!(!get(&mut town, &ann, "")[0].contains("name='x'"), "what is not stored is not shown");
}

#[test]
fn removing_a_contact_ends_both_subscriptions() {
    let mut town = Town::new(&["ann", "bob"]);
    let (ann, bob) = (town.login("ann", "a"), town.login("bob", "b"));
    town.befriend(&ann, &bob);
    get(&mut town, &bob, "");
    let of_ann = set(&mut town, &ann, "<item jid='bob@house.example' subscription='remove'/>");
    assert_eq!((town.stands("ann", "bob"), town.stands("bob", "ann")), ("-".into(), "none".into()));
    let got = bob.got();
    assert!(
        got.contains(&"<presence from='ann@house.example/a' to='bob@house.example' type='unavailable'/>".to_string()),
        "{got:?}"
    );
    assert!(
        got.iter().any(|g| g.contains("type='unsubscribe'")) && got.iter().any(|g| g.contains("type='unsubscribed'")),
        "{got:?}"
    );
    assert_eq!(
        of_ann.iter().filter(|g| g.contains("type='unavailable'")).count(),
        1,
        "he is gone for her too, once: {of_ann:?}"
    );

    // a request that waits is denied by removing the contact
    set(&mut town, &ann, "<item jid='bob@house.example' name='x'/>");
    town.send(&bob, "<presence type='subscribe' to='ann@house.example'/>");
    assert_eq!(town.stands("ann", "bob"), "none pending");
    set(&mut town, &ann, "<item jid='bob@house.example' subscription='remove'/>");
    assert_eq!((town.stands("ann", "bob"), town.stands("bob", "ann")), ("-".into(), "none".into()));
}
