use crate::subject::{Outcome, Subject, told};
use herald_storage::{Extra, Page, Slice, StoreError};

/// `1:text 2:text (last 2, removed to 0, more)`
fn page(page: Outcome<Page>) -> String {
    let page = page.unwrap();
    let more = if page.more { ", more" } else { "" };
    format!("{} (last {}, removed to {}{more})", told(Ok(page.items)), page.last, page.removed_to)
}

pub fn delivered_messages_stay(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    for text in ["a", "b", "c", "d", "e"] {
        s.append("ada", text).unwrap();
    }
    assert_eq!(s.log("ada"), "1:a 2:b 3:c 4:d 5:e", "pending ones are in it");
    assert_eq!(s.delivered("ada", &[1, 2, 4]), Ok(()));
    assert_eq!(told(s.pending("ada", 0, 9)), "3:c 5:e");
    assert_eq!(told(s.pending("ada", 3, 9)), "5:e");
    assert_eq!(s.pending_count("ada"), Ok(2));
    assert_eq!(s.log("ada"), "1:a 2:b 3:c 4:d 5:e");
    assert_eq!(s.delivered("ada", &[5, 3]), Ok(()));
    assert_eq!(told(s.pending("ada", 0, 9)), "");
    assert_eq!(s.append("ada", "f"), Ok(6));
    assert_eq!(told(s.pending("ada", 0, 9)), "6:f");
    assert_eq!(s.log("ada"), "1:a 2:b 3:c 4:d 5:e 6:f");
    assert_eq!(s.log("bob"), "");
    assert_eq!(page(s.history("nobody", Slice::after(0, 9, 99))), " (last 0, removed to 0)");
}

pub fn pages_both_ways(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    for text in ["a", "b", "c", "d", "e"] {
        s.append("ada", text).unwrap();
    }
    s.delivered_to("ada", 3).unwrap();
    let all = Slice::after(0, 9, usize::MAX);
    let backwards = Slice { newest_first: true, ..all };
    let ask = |slice| page(s.history("ada", slice));
    assert_eq!(ask(Slice { limit: 2, ..all }), "1:a 2:b (last 5, removed to 0, more)");
    assert_eq!(ask(Slice { since: 2, limit: 2, ..all }), "3:c 4:d (last 5, removed to 0, more)");
    assert_eq!(ask(Slice { since: 3, limit: 2, ..all }), "4:d 5:e (last 5, removed to 0)");
    assert_eq!(ask(Slice { since: 5, ..all }), " (last 5, removed to 0)");
    assert_eq!(ask(Slice { since: u64::MAX, ..all }), " (last 5, removed to 0)");
    assert_eq!(ask(Slice { limit: 2, ..backwards }), "5:e 4:d (last 5, removed to 0, more)");
    assert_eq!(ask(Slice { before: Some(4), limit: 2, ..backwards }), "3:c 2:b (last 5, removed to 0, more)");
    assert_eq!(ask(Slice { before: Some(2), ..backwards }), "1:a (last 5, removed to 0)");
    assert_eq!(ask(Slice { since: 1, before: Some(4), ..all }), "2:b 3:c (last 5, removed to 0)");
    assert_eq!(ask(Slice { before: Some(0), ..all }), " (last 5, removed to 0)");
    assert_eq!(ask(Slice { before: Some(u64::MAX), since: 4, ..all }), "5:e (last 5, removed to 0)");
    assert_eq!(ask(Slice { limit: 0, ..all }), " (last 5, removed to 0, more)");
    assert_eq!(ask(Slice { bytes_max: 2, ..all }), "1:a 2:b (last 5, removed to 0, more)");
    assert_eq!(ask(Slice { bytes_max: 0, ..all }), "1:a (last 5, removed to 0, more)", "one is always given");
    assert_eq!(ask(Slice { bytes_max: 5, ..all }), "1:a 2:b 3:c 4:d 5:e (last 5, removed to 0)");
}

/// A number set aside is pending when it gets its message, however far later ones were delivered.
pub fn late_ones_are_pending(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    s.append("ada", "a").unwrap();
    assert_eq!(s.reserve("ada", 2), Ok(2));
    s.append("ada", "d").unwrap();
    assert_eq!(s.delivered_to("ada", 4), Ok(0));
    assert_eq!(s.append_at("ada", 3, "c"), Ok(()));
    assert_eq!(told(s.pending("ada", 0, 9)), "3:c");
    assert_eq!(s.append_at("ada", 2, "b"), Ok(()));
    assert_eq!(told(s.pending("ada", 0, 9)), "2:b 3:c");
    s.append("ada", "e").unwrap();
    assert_eq!(s.delivered("ada", &[2, 3]), Ok(()));
    assert_eq!(told(s.pending("ada", 0, 9)), "5:e");
    assert_eq!(s.log("ada"), "1:a 2:b 3:c 4:d 5:e");
}

pub fn only_in_the_log(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    s.append("ada", "a").unwrap();
    let log_only = Extra { log_only: true, ..Extra::default() };
    assert_eq!(s.append_with("ada", "b", log_only).unwrap().id, 2);
    assert_eq!(s.append("ada", "c"), Ok(3));
    assert_eq!(told(s.pending("ada", 0, 9)), "1:a 3:c");
    assert_eq!(s.pending_count("ada"), Ok(2));
    assert_eq!(s.log("ada"), "1:a 2:b 3:c");
}

/// Subjects of this one keep eight.
pub fn the_oldest_go_by_number(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    for n in 1..=20 {
        assert_eq!(s.append("ada", "x"), Ok(n));
        if n != 3 {
            s.delivered("ada", &[n]).unwrap();
        }
    }
    let ids = "3:x 12:x 13:x 14:x 15:x 16:x 17:x 18:x 19:x 20:x";
    assert_eq!(s.log("ada"), ids.replacen("12:x ", "", 1), "what is pending stays");
    let now = s.history("ada", Slice::after(0, 0, 0)).unwrap();
    assert_eq!((now.last, now.removed_to), (20, 12));
    s.delivered("ada", &[3]).unwrap();
    s.append("ada", "y").unwrap();
    assert_eq!(s.log("ada"), "14:x 15:x 16:x 17:x 18:x 19:x 20:x 21:y");
}

/// Subjects of this one keep none.
pub fn without_one_delivered_is_gone(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    for text in ["a", "b", "c", "d", "e"] {
        s.append("ada", text).unwrap();
    }
    s.delivered("ada", &[2, 99]).unwrap();
    let all = Slice::after(0, 9, usize::MAX);
    assert_eq!(page(s.history("ada", all)), "1:a 3:c 4:d 5:e (last 5, removed to 2)");
    assert_eq!(s.delivered_to("ada", 3), Ok(2));
    assert_eq!(page(s.history("ada", all)), "4:d 5:e (last 5, removed to 3)");
    assert_eq!(s.delivered_to("ada", u64::MAX), Ok(0));
    assert_eq!(page(s.history("ada", all)), " (last 5, removed to 5)");
    let log_only = Extra { log_only: true, ..Extra::default() };
    assert_eq!(s.append_with("ada", "f", log_only).unwrap().id, 6);
    assert_eq!(page(s.history("ada", all)), " (last 6, removed to 6)", "who was not handed it is told of a gap");
    assert_eq!(s.append_at("ada", 7, "x"), Err(StoreError::Invalid("this number is not set aside for a message")));
}
