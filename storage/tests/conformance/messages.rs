use crate::subject::{Subject, message, told};
use herald_storage::{NewMessage, StoreError};
use std::thread;

pub fn ids_count_up(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    assert_eq!(s.append("ada", "a"), Ok(1));
    assert_eq!(s.append("ada", "b"), Ok(2));
    assert_eq!(s.append("ada", "c"), Ok(3));
    assert_eq!(told(s.pending("ada", 0, 9)), "1:a 2:b 3:c");
    assert_eq!(s.pending_count("ada"), Ok(3));
}

pub fn ids_are_never_reused(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    for round in 1..=5 {
        assert_eq!(s.append("ada", "x"), Ok(round), "even when nothing is left");
        assert_eq!(s.delivered("ada", &[round]), Ok(()));
        assert_eq!(s.pending_count("ada"), Ok(0));
    }
}

pub fn pages_of_pending(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    for text in ["a", "b", "c", "d", "e"] {
        s.append("ada", text).unwrap();
    }
    assert_eq!(told(s.pending("ada", 0, 2)), "1:a 2:b");
    assert_eq!(told(s.pending("ada", 2, 2)), "3:c 4:d");
    assert_eq!(told(s.pending("ada", 4, 2)), "5:e");
    assert_eq!(told(s.pending("ada", 5, 2)), "");
    assert_eq!(told(s.pending("ada", u64::MAX, 2)), "");
    assert_eq!(told(s.pending("ada", 0, 0)), "");
}

pub fn pages_end_by_their_bytes(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    for text in ["aaaa", "bb", "c", "dddddddddd", "e"] {
        s.append("ada", text).unwrap();
    }
    assert_eq!(told(s.page("ada", 0, 9, 6)), "1:aaaa 2:bb", "with the one that brings it there");
    assert_eq!(told(s.page("ada", 2, 9, 6)), "3:c 4:dddddddddd", "however long that is");
    assert_eq!(told(s.page("ada", 3, 9, 1)), "4:dddddddddd");
    assert_eq!(told(s.page("ada", 4, 9, 6)), "5:e");
    assert_eq!(told(s.page("ada", 0, 1, 6)), "1:aaaa", "or by their number");
}

pub fn delivered_is_gone(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    for text in ["a", "b", "c", "d"] {
        s.append("ada", text).unwrap();
        s.append("bob", text).unwrap();
    }
    assert_eq!(s.delivered("ada", &[3, 1, 99, u64::MAX, 0, 1]), Ok(()));
    assert_eq!(told(s.pending("ada", 0, 9)), "2:b 4:d");
    assert_eq!(s.delivered("ada", &[3]), Ok(()), "twice is no harm");
    assert_eq!(s.delivered("ada", &[]), Ok(()));
    assert_eq!(s.pending_count("ada"), Ok(2));
    assert_eq!(s.pending_count("bob"), Ok(4));
}

pub fn delivered_up_to_one(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    for text in ["a", "b", "c", "d"] {
        s.append("ada", text).unwrap();
        s.append("bob", text).unwrap();
    }
    assert_eq!(s.delivered_to("ada", 0), Ok(4));
    assert_eq!(s.delivered_to("ada", 2), Ok(2));
    assert_eq!(told(s.pending("ada", 0, 9)), "3:c 4:d");
    assert_eq!(s.delivered_to("ada", 1), Ok(2), "it does not go back");
    assert_eq!(s.delivered("ada", &[4]), Ok(()));
    assert_eq!(s.delivered_to("ada", 2), Ok(1));
    assert_eq!(told(s.pending("ada", 0, 9)), "3:c");
    assert_eq!(s.delivered_to("ada", u64::MAX), Ok(0));
    assert_eq!(s.append("ada", "e"), Ok(5));
    assert_eq!(told(s.pending("ada", 0, 9)), "5:e", "those to come are not meant");
    assert_eq!(s.pending_count("bob"), Ok(4));
    assert_eq!(s.delivered_to("nobody", 9), Ok(0));
}

pub fn expired_is_unseen(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let ends = |text, at| NewMessage { expires_ms: Some(at), ..message(text) };
    s.append_message("ada", ends("long ago", 1)).unwrap();
    s.append_message("ada", ends("never, nearly", i64::MAX)).unwrap();
    s.append_message("ada", ends("before 1970", i64::MIN)).unwrap();
    s.append("ada", "never").unwrap();
    assert_eq!(told(s.pending("ada", 0, 9)), "2:never, nearly 4:never");
    assert_eq!(told(s.pending("ada", 0, 1)), "2:never, nearly", "they do not fill the page");
    assert_eq!(s.pending_count("ada"), Ok(2));
}

pub fn users_count_for_themselves(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    assert_eq!(s.append("ada", "a"), Ok(1));
    assert_eq!(s.append("bob", "b"), Ok(1));
    assert_eq!(s.append("ada", "c"), Ok(2));
    assert_eq!(told(s.pending("bob", 0, 9)), "1:b");
}

pub fn stanzas_come_back_byte_for_byte(subject: &Subject) {
    let s = subject.open_with(&["ada"]);
    let large: Vec<u8> = (0..300_000u32).map(|n| (n * 7) as u8).collect();
    for (stanza, at_ms) in [(&b""[..], i64::MIN), (&large[..], 1_790_000_000_123)] {
        let stanza = bytes::Bytes::copy_from_slice(stanza);
        s.append_message("ada", NewMessage { at_ms, expires_ms: None, stanza, extra: None }).unwrap();
    }
    let kept = s.pending("ada", 0, 9).unwrap();
    assert_eq!((kept[0].at_ms, &kept[0].stanza[..]), (i64::MIN, &b""[..]));
    assert_eq!(kept[1].at_ms, 1_790_000_000_123);
    assert!(kept[1].stanza == large, "the large one differs");
}

/// What comes back late stands where it belongs.
pub fn places_set_aside(subject: &Subject) {
    let s = subject.open_with(&["ada", "bob"]);
    let refused = |outcome| assert!(matches!(outcome, Err(StoreError::Invalid(_))), "{outcome:?}");
    assert_eq!(s.append("ada", "a"), Ok(1));
    assert_eq!(s.reserve("ada", 3), Ok(2));
    assert_eq!(s.append("ada", "e"), Ok(5), "behind them");
    assert_eq!(told(s.pending("ada", 0, 9)), "1:a 5:e");
    assert_eq!(s.append_at("ada", 3, "c"), Ok(()));
    assert_eq!(s.append_at("ada", 2, "b"), Ok(()));
    assert_eq!(told(s.pending("ada", 0, 3)), "1:a 2:b 3:c");
    assert_eq!(told(s.pending("ada", 3, 3)), "5:e", "an empty place is none");
    refused(s.append_at("ada", 3, "again"));
    refused(s.append_at("ada", 6, "not set aside"));
    refused(s.append_at("ada", 0, "no number"));
    refused(s.append_at("ada", u64::MAX, "no number"));
    assert_eq!(s.reserve("ada", 0), Ok(6), "none");
    assert_eq!(s.append("ada", "f"), Ok(6));
    assert_eq!(s.pending_count("ada"), Ok(5));
    assert_eq!(s.reserve("bob", 1), Ok(1), "each counts alone");
    assert_eq!(s.reserve("nobody", 1), Err(StoreError::NoAccount));
    assert_eq!(s.append_at("nobody", 1, "x"), Err(StoreError::NoAccount));
}

/// Every acknowledged message is there under the id it was told, and there are no others and no gaps.
pub fn many_threads_one_user(subject: &Subject) {
    const THREADS: usize = 8;
    const EACH: usize = 50;
    let s = subject.open_with(&["ada"]);
    let write = |thread: usize| {
        let s = &s;
        move || {
            let one = |n| {
                let text = format!("{thread}-{n}");
                (s.append("ada", &text).unwrap(), text)
            };
            (0..EACH).map(one).collect::<Vec<_>>()
        }
    };
    let mut acknowledged: Vec<(u64, String)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|t| scope.spawn(write(t))).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    acknowledged.sort();
    let expected: Vec<String> = acknowledged.iter().map(|(id, text)| format!("{id}:{text}")).collect();
    assert_eq!(told(s.pending("ada", 0, u32::MAX)), expected.join(" "));
    let ids: Vec<u64> = acknowledged.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (1..=(THREADS * EACH) as u64).collect::<Vec<_>>());
}
