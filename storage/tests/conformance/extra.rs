use crate::subject::{Subject, message, told};
use herald_storage::{Extra, NewMessage};

fn collapse(key: &str) -> Extra {
    Extra { collapse: Some(key.into()), ..Extra::default() }
}

fn once(key: &str) -> Extra {
    Extra { once: Some(key.into()), ..Extra::default() }
}

fn shared(number: u128) -> Extra {
    Extra { shared: Some(number), ..Extra::default() }
}

pub fn the_newest_of_a_key(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    let append = |user, text, key| s.append_with(user, text, collapse(key)).unwrap().id;
    assert_eq!(append("ada", "a", "k"), 1);
    assert_eq!(append("bob", "a", "k"), 1);
    assert_eq!(append("ada", "b", "other"), 2);
    assert_eq!(s.append("ada", "c"), Ok(3));
    assert_eq!(append("ada", "d", "k"), 4);
    assert_eq!(told(s.pending("ada", 0, 9)), "2:b 3:c 4:d");
    assert_eq!(told(s.pending("bob", 0, 9)), "1:a");
    assert_eq!(s.pending_count("ada"), Ok(3));
    s.delivered("ada", &[4]).unwrap();
    assert_eq!(append("ada", "e", "k"), 5, "what is delivered stays what it is");
    assert_eq!(append("ada", "f", "k"), 6);
    assert_eq!(told(s.pending("ada", 0, 9)), "2:b 3:c 6:f");
    s.delivered_to("ada", 6).unwrap();
    assert_eq!(append("ada", "g", "k"), 7);
    assert_eq!(told(s.pending("ada", 0, 9)), "7:g");
}

pub fn a_key_counts_once(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    let append = |user, text, key| {
        let appended = s.append_with(user, text, once(key)).unwrap();
        (appended.id, appended.repeated)
    };
    assert_eq!(append("ada", "a", "k"), (1, false));
    assert_eq!(append("ada", "b", "k"), (1, true));
    assert_eq!(append("ada", "c", "other"), (2, false));
    assert_eq!(append("bob", "d", "k"), (1, false), "each for themselves");
    s.delivered_to("ada", 2).unwrap();
    assert_eq!(append("ada", "e", "k"), (1, true), "delivered or not");
    assert_eq!(told(s.pending("ada", 0, 9)), "");
    assert_eq!(s.append("ada", "f"), Ok(3), "what was there already took no number");
    assert_eq!(told(s.pending("bob", 0, 9)), "1:d");
}

pub fn one_body_for_all(subject: &Subject) {
    let users = ["ada", "bob", "cyd"];
    let s = subject.open_with(&users);
    for user in users {
        s.append(user, "own").unwrap();
        let appended = s.append_with(user, &format!("from {user}"), shared(u128::MAX)).unwrap();
        assert_eq!((appended.id, appended.repeated), (2, false));
        s.append_with(user, "another", shared(7)).unwrap();
    }
    for user in users {
        assert_eq!(told(s.pending(user, 0, 9)), "1:own 2:from ada 3:another");
        assert_eq!(told(s.page(user, 1, 9, 3)), "2:from ada", "counted as what it is");
    }
    assert_eq!(s.delete_account("ada"), Ok(true));
    s.delivered_to("bob", 3).unwrap();
    assert_eq!(told(s.pending("cyd", 0, 9)), "1:own 2:from ada 3:another", "the last one has it still");
    let extra = Extra { once: Some("k".into()), collapse: Some("k".into()), ..shared(7) };
    assert_eq!(s.append_with("bob", "late", extra).unwrap().id, 4);
    assert_eq!(told(s.pending("bob", 0, 9)), "4:another");
}

/// Subjects of this one keep no history: so the last reader takes the body along.
pub fn a_body_goes_with_the_last(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob", "cyd"]);
    for user in ["ada", "bob", "cyd"] {
        s.append_with(user, "first", shared(1)).unwrap();
    }
    s.delivered("ada", &[1]).unwrap();
    s.delivered_to("bob", 1).unwrap();
    s.append_with("ada", "second", shared(1)).unwrap();
    assert_eq!(told(s.pending("ada", 0, 9)), "2:first");
    s.delivered("ada", &[2]).unwrap();
    s.delete_account("cyd").unwrap();
    s.append_with("ada", "third", shared(1)).unwrap();
    assert_eq!(told(s.pending("ada", 0, 9)), "3:third", "nobody had it any more");
}

pub fn one_that_is_over_is_not_kept(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let over = NewMessage { expires_ms: Some(1), ..message("over") };
    assert_eq!(s.append_message("ada", over), Ok(1));
    assert_eq!(s.append("ada", "a"), Ok(2));
    assert_eq!(s.log("ada"), "2:a");
}
