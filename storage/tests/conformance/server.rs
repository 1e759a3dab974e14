use crate::subject::{Asked, FUTURE_MS, Subject, jid, names};
use bytes::Bytes;
use herald_storage::{ApiKey, KeptResult, Put, StoreError, wait};
use herald_xmpp::jid::BareJid;

fn users(names: &[&str]) -> Vec<BareJid> {
    names.iter().map(|name| jid(name)).collect()
}

fn members(s: &Asked, group: &str, after: Option<&str>, limit: u32) -> Option<String> {
    wait(|then| s.0.members(group, after.map(jid), limit, then)).unwrap().map(names)
}

/// `name 3 other 0`
fn groups(s: &Asked, after: Option<&str>, limit: u32) -> String {
    let groups = wait(|then| s.0.groups(after.map(Into::into), limit, then)).unwrap();
    let each = |(name, members): &(_, u64)| format!("{name} {members}");
    groups.iter().map(each).collect::<Vec<_>>().join(" ")
}

pub fn groups_and_their_members(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob", "cyd"]);
    let join = |group, names: &[&str]| wait(|then| s.0.join(group, users(names), then));
    let leave = |group, names: &[&str]| wait(|then| s.0.leave(group, users(names), then));
    assert_eq!(members(&s, "team", None, 9), None);
    assert_eq!(join("team", &["cyd", "ada", "cyd"]), Ok(2));
    assert_eq!(join("team", &["ada", "bob"]), Ok(1), "how many are new");
    assert_eq!(join("room", &["bob"]), Ok(1));
    assert_eq!(join("", &[]), Ok(0), "an empty one, of any name");
    assert_eq!(members(&s, "team", None, 9).unwrap(), "ada bob cyd");
    assert_eq!(members(&s, "team", None, 2).unwrap(), "ada bob");
    assert_eq!(members(&s, "team", Some("bob"), 2).unwrap(), "cyd");
    assert_eq!(groups(&s, None, 9), " 0 room 1 team 3");
    assert_eq!(groups(&s, None, 1), " 0");
    assert_eq!(groups(&s, Some(""), 1), "room 1");
    assert_eq!(groups(&s, Some("room"), 9), "team 3");

    assert_eq!(leave("team", &["ada", "nobody", "ada"]), Ok(1));
    assert_eq!(leave("nowhere", &["ada"]), Ok(0));
    assert_eq!(leave("room", &["bob"]), Ok(1));
    assert_eq!(members(&s, "room", None, 9).unwrap(), "", "it stays, empty");
    assert_eq!(wait(|then| s.0.delete_group("room", then)), Ok(true));
    assert_eq!(wait(|then| s.0.delete_group("room", then)), Ok(false));
    assert_eq!(members(&s, "room", None, 9), None);
    assert_eq!(members(&s, "team", None, 9).unwrap(), "bob cyd");
}

pub fn members_have_accounts(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    let join = |names: &[&str]| wait(|then| s.0.join("team", users(names), then));
    assert_eq!(join(&["ada", "nobody"]), Err(StoreError::NoAccount));
    assert_eq!(members(&s, "team", None, 9), None, "all or none, the group too");
    assert_eq!(join(&["ada", "bob"]), Ok(2));
    s.delete_account("ada").unwrap();
    assert_eq!(members(&s, "team", None, 9).unwrap(), "bob");
    assert_eq!(groups(&s, None, 9), "team 1");
    s.put_account("ada", 1, Put::Create).unwrap();
    assert_eq!(members(&s, "team", None, 9).unwrap(), "bob", "the next of that name is another");
}

pub fn keys_of_backends(subject: &Subject) {
    let s = subject.open();
    let key = |name: &str, mark: u8, scopes: &[&str]| ApiKey {
        name: name.into(),
        hash: [mark; 32],
        scopes: scopes.iter().map(|scope| (*scope).into()).collect(),
        created_ms: i64::from(mark),
    };
    let put = |key: ApiKey| wait(|then| s.0.put_key(key, then));
    let all = || wait(|then| s.0.keys(then)).unwrap();
    assert_eq!(all(), []);
    assert_eq!(put(key("shop", 1, &["push", "presence:read"])), Ok(true));
    assert_eq!(put(key("a b", 2, &[])), Ok(true));
    assert_eq!(put(key("shop", 3, &[""])), Ok(false), "another in its place");
    assert_eq!(all(), [key("a b", 2, &[]), key("shop", 3, &[""])]);
    assert!(matches!(put(key("x", 4, &["\u{1f}"])), Err(StoreError::Invalid(_))));
    assert_eq!(wait(|then| s.0.delete_key("shop", then)), Ok(true));
    assert_eq!(wait(|then| s.0.delete_key("shop", then)), Ok(false));
    assert_eq!(all(), [key("a b", 2, &[])]);
}

pub fn answers_given_again(subject: &Subject) {
    let s = subject.open();
    let answer = |text: &str, expires_ms| KeptResult {
        request_hash: [text.len() as u8; 32],
        answer: Bytes::copy_from_slice(text.as_bytes()),
        expires_ms,
    };
    let put = |key: &str, result: &KeptResult| wait(|then| s.0.put_result(key, result.clone(), then));
    let get = |key: &str| wait(|then| s.0.result(key, then)).unwrap();
    assert_eq!(get("k"), None);
    let (first, second) = (answer("one", FUTURE_MS), answer("", FUTURE_MS + 1));
    assert_eq!(put("k", &first), Ok(()));
    assert_eq!(get("k"), Some(first));
    assert_eq!(get("K"), None);
    assert_eq!(put("k", &second), Ok(()));
    assert_eq!(get("k"), Some(second));
    assert_eq!(put("k", &answer("over", 1)), Ok(()));
    assert_eq!(get("k"), None);
}

pub fn when_they_were_last_seen(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    let seen = |names: &[&str]| wait(|then| s.0.last_seen(users(names), then)).unwrap();
    let put = |name, at_ms| wait(|then| s.0.put_last_seen(&jid(name), at_ms, then));
    assert_eq!(seen(&["ada", "bob"]), [None, None]);
    assert_eq!(put("ada", 5), Ok(()));
    assert_eq!(put("ada", 4), Ok(()));
    assert_eq!(put("nobody", 4), Err(StoreError::NoAccount));
    assert_eq!(seen(&["bob", "ada", "nobody", "ada"]), [None, Some(4), None, Some(4)], "in the order of asking");
    assert_eq!(seen(&[]), []);
    s.delete_account("ada").unwrap();
    s.put_account("ada", 1, Put::Create).unwrap();
    assert_eq!(seen(&["ada"]), [None]);
}

pub fn on_their_way_out(subject: &Subject) {
    let s = subject.open();
    let put = |sink, items: &[&'static str]| {
        let items = items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect();
        wait(|then| s.0.put_out(sink, items, then)).unwrap()
    };
    let out = |sink, after, limit| {
        let items = wait(|then| s.0.out(sink, after, limit, then)).unwrap();
        let each = |(seq, item): &(u64, Bytes)| format!("{seq}:{}", String::from_utf8_lossy(item));
        items.iter().map(each).collect::<Vec<_>>().join(" ")
    };
    let done = |sink, upto| wait(|then| s.0.done_out(sink, upto, then)).unwrap();
    assert_eq!(out("hook", 0, 9), "");
    assert_eq!(put("hook", &[]), 0);
    assert_eq!(put("hook", &["a", "b"]), 2);
    assert_eq!(put("hook", &["c"]), 3);
    assert_eq!(put("broker", &["x"]), 1, "each counts alone");
    assert_eq!(out("hook", 0, 2), "1:a 2:b");
    assert_eq!(out("hook", 2, 2), "3:c");
    done("hook", 2);
    done("nowhere", 2);
    assert_eq!(out("hook", 0, 9), "3:c");
    done("hook", u64::MAX);
    assert_eq!(out("hook", 0, 9), "");
    assert_eq!(put("hook", &[]), 3);
    assert_eq!(put("hook", &["d"]), 4, "never given twice");
    assert_eq!(out("broker", 0, 9), "1:x");
}
