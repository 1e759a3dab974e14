use crate::subject::{Subject, fields, jid, keys, names, told};
use herald_storage::{Extra, Put, RosterItem, StoreError, wait};

pub fn create_replace_upsert(subject: &Subject) {
    let s = subject.open();
    assert_eq!(s.account("ada"), Ok(None));
    assert_eq!(s.put_account("ada", 1, Put::Replace), Ok(false));
    assert_eq!(s.account("ada"), Ok(None), "nobody to replace");
    assert_eq!(s.put_account("ada", 2, Put::Create), Ok(true));
    assert_eq!(s.account("ada"), Ok(Some(2)));
    assert_eq!(s.put_account("ada", 3, Put::Create), Ok(false));
    assert_eq!(s.account("ada"), Ok(Some(2)), "not created twice");
    assert_eq!(s.put_account("ada", 4, Put::Replace), Ok(true));
    assert_eq!(s.account("ada"), Ok(Some(4)));
    assert_eq!(s.put_account("ada", 5, Put::Upsert), Ok(true));
    assert_eq!(s.account("ada"), Ok(Some(5)));
    assert_eq!(s.put_account("bob", 6, Put::Upsert), Ok(true));
    assert_eq!(s.account("bob"), Ok(Some(6)));
    assert_eq!(s.account_count(), Ok(2));
}

pub fn import_counts_the_new(subject: &Subject) {
    let s = subject.open_with(&["bob"]);
    assert_eq!(s.append("bob", "kept"), Ok(1));
    assert_eq!(s.import(&["ada", "bob", "cyd", "ada"], 9), Ok(2));
    assert_eq!(s.account_count(), Ok(3));
    assert_eq!(s.account("bob"), Ok(Some(9)), "the new keys");
    assert_eq!(told(s.pending("bob", 0, 9)), "1:kept", "and all the rest as it was");
    assert_eq!(s.append("cyd", "x"), Ok(1));
    assert_eq!(s.import(&[], 9), Ok(0));
}

pub fn pages_follow_on(subject: &Subject) {
    let s = subject.open_with(&["cyd", "ada", "eve", "bob", "dan"]);
    let page = |after, limit| names(s.accounts(after, limit).unwrap());
    assert_eq!(page(None, 2), "ada bob");
    assert_eq!(page(Some("bob"), 2), "cyd dan");
    assert_eq!(page(Some("dan"), 2), "eve");
    assert_eq!(page(Some("eve"), 2), "");
    assert_eq!(page(Some("bo"), 9), "bob cyd dan eve", "after a name nobody has");
    assert_eq!(page(None, 0), "");
}

pub fn keys_come_back_whole(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    assert_eq!(s.put_account("ada", 77, Put::Replace), Ok(true));
    let found = wait(|then| s.0.account(&jid("ada"), then)).unwrap().unwrap();
    assert_eq!(fields(&found), fields(&keys(77)));
}

pub fn deleting_takes_everything(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    for user in ["ada", "bob"] {
        s.append(user, "m").unwrap();
        let extra = || Extra { once: Some("k".into()), shared: Some(1), collapse: Some("k".into()), log_only: false };
        s.append_with(user, "n", extra()).unwrap();
        s.delivered(user, &[1]).unwrap();
        s.put_item(user, &RosterItem::new(jid("cyd"))).unwrap();
        s.put_item(user, &RosterItem::new(jid("dan"))).unwrap();
        s.remove_item(user, "dan").unwrap();
        s.put_private(user, "vcard", "", Some(b"v")).unwrap();
    }
    assert_eq!(s.delete_account("ada"), Ok(true));
    assert_eq!(s.delete_account("ada"), Ok(false));

    for _ in ["gone", "and created anew"] {
        assert_eq!(s.pending_count("ada"), Ok(0));
        assert_eq!(told(s.pending("ada", 0, 9)), "");
        assert_eq!(s.log("ada"), "");
        assert_eq!(s.roster("ada").unwrap().items, []);
        assert_eq!(s.private("ada", "vcard", ""), Ok(None));
        s.put_account("ada", 2, Put::Upsert).unwrap();
    }
    let again = Extra { once: Some("k".into()), ..Extra::default() };
    assert!(!s.append_with("ada", "new", again).unwrap().repeated);
    assert_eq!(told(s.pending("bob", 0, 9)), "2:n", "others keep theirs");
    assert_eq!(s.roster("bob").unwrap().items.len(), 1);
    assert!(s.private("bob", "vcard", "").unwrap().is_some());
}

pub fn a_new_owner_never_repeats_ids_or_versions(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    for text in ["a", "b", "c"] {
        s.append("ada", text).unwrap();
    }
    let old = s.put_item("ada", &RosterItem::new(jid("cyd"))).unwrap();
    assert_eq!(s.delete_account("ada"), Ok(true));
    assert_eq!(s.put_account("ada", 2, Put::Create), Ok(true));

    assert!(s.append("ada", "new").unwrap() > 3);
    assert!(s.roster("ada").unwrap().version > old);
    for version in 0..=old {
        assert_eq!(s.roster_since("ada", version), Ok(None), "a device of the old owner");
    }
    assert_eq!(s.append("bob", "x"), Ok(1), "those who were there count on");
}

pub fn nothing_is_written_for_nobody(subject: &Subject) {
    let s = subject.open();
    assert_eq!(s.append("ada", "x"), Err(StoreError::NoAccount));
    assert_eq!(s.put_item("ada", &RosterItem::new(jid("bob"))), Err(StoreError::NoAccount));
    assert_eq!(s.remove_item("ada", "bob"), Err(StoreError::NoAccount));
    assert_eq!(s.put_private("ada", "a", "b", Some(b"c")), Err(StoreError::NoAccount));
    assert_eq!(s.put_private("ada", "a", "b", None), Ok(()));
    assert_eq!(s.delivered("ada", &[1]), Ok(()));
    assert_eq!(s.pending_count("ada"), Ok(0));
    assert_eq!(s.roster("ada").unwrap().version, 0);
    assert_eq!(s.roster_since("ada", 0), Ok(None));

    s.put_account("ada", 1, Put::Create).unwrap();
    assert_eq!(told(s.pending("ada", 0, 9)), "");
    assert_eq!(s.private("ada", "a", "b"), Ok(None));
    assert_eq!(s.append("ada", "first"), Ok(1));
}
