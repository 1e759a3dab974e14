use crate::subject::{Asked, Subject, jid};
use bytes::Bytes;
use herald_storage::{ROSTER_REMOVALS_MAX, RosterItem, StoreError, Subscription};

fn item(name: &str) -> RosterItem {
    RosterItem::new(jid(name))
}

fn hidden(name: &str) -> RosterItem {
    let request = Bytes::from_static(b"<presence type='subscribe'/>");
    RosterItem { pending_in: Some(request), in_roster: false, ..item(name) }
}

/// `+name` set, `-name` gone, each with its version; `all` when the version is too old.
fn since(s: &Asked, user: &str, version: u64) -> String {
    let Some(changes) = s.roster_since(user, version).unwrap() else { return "all".into() };
    let each = changes.iter().map(|change| {
        assert!(change.item.as_ref().is_none_or(|item| item.jid == change.jid));
        let sign = if change.item.is_some() { '+' } else { '-' };
        format!("{sign}{}@{}", change.jid.local().unwrap(), change.version)
    });
    each.collect::<Vec<_>>().join(" ")
}

pub fn items_come_back_whole(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let full = RosterItem {
        jid: jid("bob"),
        name: Some("Bob & \"co\" ☂\u{0}".into()),
        groups: vec!["Friends".into(), "".into(), "two\nlines".into()],
        subscription: Subscription::To,
        ask: true,
        approved: true,
        pending_in: Some(Bytes::from_static(b"<presence/>")),
        in_roster: true,
    };
    let subscriptions = [Subscription::None, Subscription::From, Subscription::Both];
    let mut expected = vec![full];
    for (name, subscription) in ["cyd", "dan", "eve"].into_iter().zip(subscriptions) {
        expected.push(RosterItem { subscription, ..item(name) });
    }
    expected.push(RosterItem { name: Some("".into()), groups: vec!["".into()], ..item("fay") });
    expected.push(hidden("gus"));
    for item in expected.iter().rev() {
        s.put_item("ada", item).unwrap();
    }
    assert_eq!(s.roster("ada").unwrap().items, expected, "in the order of their JIDs");

    expected[0] = item("bob");
    s.put_item("ada", &expected[0]).unwrap();
    assert_eq!(s.roster("ada").unwrap().items, expected, "written whole, not merged");
}

pub fn each_change_is_a_version(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    let start = s.roster("ada").unwrap().version;
    let put = s.put_item("ada", &item("cyd")).unwrap();
    let again = s.put_item("ada", &item("cyd")).unwrap();
    assert!(start < put && put < again);
    assert_eq!(s.remove_item("ada", "dan"), Ok(again), "nothing to remove, nothing changed");
    let removed = s.remove_item("ada", "cyd").unwrap();
    assert!(again < removed);
    assert_eq!(s.roster("ada").unwrap().version, removed);
    assert_eq!(s.roster("bob").unwrap().version, start, "each roster for itself");
}

pub fn changes_since_a_version(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let v0 = s.roster("ada").unwrap().version;
    let v1 = s.put_item("ada", &item("bob")).unwrap();
    let v2 = s.put_item("ada", &item("cyd")).unwrap();
    let v3 = s.put_item("ada", &item("bob")).unwrap();
    let v4 = s.remove_item("ada", "cyd").unwrap();
    assert_eq!(since(&s, "ada", v0), format!("+bob@{v3} -cyd@{v4}"));
    assert_eq!(since(&s, "ada", v1), format!("+bob@{v3} -cyd@{v4}"));
    assert_eq!(since(&s, "ada", v2), format!("+bob@{v3} -cyd@{v4}"));
    assert_eq!(since(&s, "ada", v3), format!("-cyd@{v4}"));
    assert_eq!(since(&s, "ada", v4), "");
    assert_eq!(since(&s, "ada", v4 + 1), "all", "never given out");
    assert_eq!(since(&s, "ada", u64::MAX), "all");

    let v5 = s.put_item("ada", &item("cyd")).unwrap();
    assert_eq!(since(&s, "ada", v2), format!("+bob@{v3} +cyd@{v5}"), "back again");
}

pub fn hidden_items(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let v0 = s.roster("ada").unwrap().version;
    s.put_item("ada", &hidden("bob")).unwrap();
    assert_eq!(s.roster("ada").unwrap().items, [hidden("bob")]);
    assert_eq!(since(&s, "ada", v0), "", "no client hears of it");
    let v2 = s.put_item("ada", &item("bob")).unwrap();
    assert_eq!(since(&s, "ada", v0), format!("+bob@{v2}"), "until it is shown");
    let v3 = s.put_item("ada", &hidden("bob")).unwrap();
    assert_eq!(since(&s, "ada", v2), format!("-bob@{v3}"), "hidden again is gone");
    let v4 = s.remove_item("ada", "bob").unwrap();
    assert_eq!(since(&s, "ada", v2), format!("-bob@{v3}"));
    assert_eq!(since(&s, "ada", v4), "");
    assert_eq!(s.roster("ada").unwrap().items, []);
}

pub fn old_versions_get_it_all(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let mut removals = Vec::new();
    for n in 0..ROSTER_REMOVALS_MAX + 2 {
        let name = format!("c{n}");
        s.put_item("ada", &item(&name)).unwrap();
        removals.push(s.remove_item("ada", &name).unwrap());
    }
    // The first two are forgotten: who has not seen the second one gets it all.
    assert_eq!(since(&s, "ada", removals[0]), "all");
    assert_eq!(since(&s, "ada", removals[1] - 1), "all");
    let known = since(&s, "ada", removals[1]);
    assert_eq!(known.split(' ').count(), ROSTER_REMOVALS_MAX as usize);
    assert!(known.starts_with("-c2@"), "{known}");
}

pub fn a_group_that_cannot_be_kept(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let bad = RosterItem { groups: vec!["a\u{1f}b".into()], ..item("bob") };
    assert!(matches!(s.put_item("ada", &bad), Err(StoreError::Invalid(_))));
    assert_eq!(s.roster("ada").unwrap().items, []);
    assert_eq!(since(&s, "ada", s.roster("ada").unwrap().version), "");
}
