//! Tests of the frames.

use super::*;

/// A frame as a client sends it, masked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    out.extend(mask);
    out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i & 3]));
    out
}

fn take(bytes: &[u8], step: usize) -> Result<Vec<Message>, Failure> {
    let (mut inbox, mut got) = (Inbox::<false>::default(), Vec::new());
    for part in bytes.chunks(step) {
        inbox.take(part, 100_000, |m| {
            got.push(m);
            true
        })?;
    }
    Ok(got)
}

#[test]
fn messages_at_every_cut() {
    let long = "ä".repeat(40_000);
    let bytes = [
        frame(0x81, b"<open/>"),
        frame(0x01, b"a "),
        frame(0x89, b"ping"),
        frame(0x00, "st\u{e4}".as_bytes()),
        frame(0x80, b"nza"),
        frame(0x81, &long.as_bytes()[..300]),
        frame(0x81, long.as_bytes()),
        frame(0x8a, b""),
        frame(0x88, &[3, 232, b'x']),
    ]
    .concat();
    let want = [
        Message::Text("<open/>".into()),
        Message::Ping(b"ping".to_vec()),
        Message::Text("a st\u{e4}nza".into()),
        Message::Text(long[..300].into()),
        Message::Text(long.clone()),
        Message::Pong,
        Message::Close(Some(1000)),
    ];
    for step in [1, 2, 3, 5, 1000, usize::MAX] {
        assert_eq!(take(&bytes, step).unwrap(), want, "step {step}");
    }
}

#[test]
fn what_is_refused() {
    let mut unmasked = frame(0x81, b"x");
    unmasked[1] &= 0x7f;
    let mut wide = vec![0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0];
    wide.extend(b"hello");
    for (name, bytes, code) in [
        ("unmasked", unmasked, 1002),
        ("length not shortest", wide, 1002),
        ("reserved bit", frame(0xc1, b"x"), 1002),
        ("unknown opcode", frame(0x83, b"x"), 1002),
        ("binary", frame(0x82, b"x"), 1003),
        ("fragmented ping", frame(0x09, b"x"), 1002),
        ("long ping", frame(0x89, &[0; 126]), 1002),
        ("continuation of nothing", frame(0x80, b"x"), 1002),
        ("text inside a fragmented text", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
        ("bad UTF-8", frame(0x81, b"\xff"), 1007),
        ("close with one byte", frame(0x88, &[3]), 1002),
        ("close with a reserved code", frame(0x88, &1005u16.to_be_bytes()), 1002),
        ("too big", frame(0x81, &[b'x'; 100_001]), 1009),
        ("too big in fragments", [frame(0x01, &[b'x'; 60_000]), frame(0x80, &[b'x'; 60_000])].concat(), 1009),
    ] {
        assert_eq!(take(&bytes, usize::MAX).unwrap_err().0, code, "{name}");
    }
    // A length that promises too much is refused before its payload came.
    let head = [0x81, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0];
    assert_eq!(take(&head, 1).unwrap(), [], "the mask is still missing");
    assert_eq!(take(&[&head[..], &[0; 4]].concat(), 1).unwrap_err().0, 1009);
}

#[test]
fn frames_of_ours_have_the_shortest_length() {
    for (len, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
        let mut out = Vec::new();
        let mark = begin_text(&mut out);
        out.extend(vec![b'x'; len]);
        end_text(mark, &mut out);
        assert_eq!(out.len(), head + len);
        assert_eq!(out[0], 0x81);
    }
}

#[test]
fn nothing_is_kept_between_messages() {
    let mut inbox = Inbox::<false>::default();
    inbox.take(&frame(0x81, b"x"), 10, |_| true).unwrap();
    assert_eq!((inbox.partial.capacity(), inbox.begun.is_some()), (0, false));
}

/// Feeds the frames of one text message byte by byte; after how many bytes it was refused, and as what.
fn refused_at(frames: &[Vec<u8>], step: usize) -> Option<(usize, u16)> {
    let bytes = frames.concat();
    let (mut inbox, mut at) = (Inbox::<false>::default(), 0);
    for part in bytes.chunks(step) {
        at += part.len();
        if let Err(failure) = inbox.take(part, 100_000, |_| true) {
            return Some((at, failure.0));
        }
    }
    None
}

#[test]
fn text_is_refused_with_the_first_byte_that_is_not_utf_8() {
    let good = "k\u{3cc}\u{3c3}\u{20ac}\u{10348}".as_bytes();
    // Each is wrong with its last byte and no sooner.
    for bad in [
        &b"\x80"[..],
        b"\xc3\x28",
        b"\xc0",
        b"\xe0\x80",
        b"\xed\xa0",
        b"\xe2\x82x",
        b"\xf4\x90",
        b"\xf0\x9f\x98\xf0",
        b"\xff",
    ] {
        let wrong = good.len() + bad.len();
        let text = [good, bad, b"and so on"].concat();
        let head = 6;
        assert_eq!(refused_at(&[frame(0x81, &text)], 1), Some((head + wrong, 1007)), "one frame, {bad:x?}");
        for cut in 0..=text.len() {
            let frames = [frame(0x01, &text[..cut]), frame(0x89, b"ping"), frame(0x80, &text[cut..])];
            let heads = if cut >= wrong { head } else { 3 * head + 4 };
            assert_eq!(refused_at(&frames, 1), Some((heads + wrong, 1007)), "cut at {cut}, {bad:x?}");
            for step in [2, 3, 7] {
                let (at, code) = refused_at(&frames, step).unwrap();
                assert!(code == 1007 && at < heads + wrong + step, "steps of {step}, cut at {cut}, {bad:x?}");
            }
        }
    }
}

#[test]
fn text_is_taken_however_it_is_cut() {
    let text = "k\u{3cc}\u{3c3}\u{20ac}\u{10348}x";
    for a in 0..=text.len() {
        for b in a..=text.len() {
            let bytes = text.as_bytes();
            let frames = [frame(0x01, &bytes[..a]), frame(0x00, &bytes[a..b]), frame(0x80, &bytes[b..])];
            for step in [1, 2, 5] {
                assert_eq!(take(&frames.concat(), step).unwrap(), [Message::Text(text.into())], "{a}, {b}, {step}");
            }
        }
    }
    // Half a character at the end of the message is none.
    assert_eq!(take(&frame(0x81, b"\xe2\x82"), 1).unwrap_err().0, 1007);
}

#[test]
fn what_comes_behind_a_stop_is_kept_and_judged_later() {
    let bytes = [frame(0x81, b"a"), frame(0x81, b"b"), frame(0x01, b"c\xff")].concat();
    let mut inbox = Inbox::<false>::default();
    let mut got = Vec::new();
    let mut one = |inbox: &mut Inbox, bytes: &[u8]| {
        inbox.take(bytes, 100, |m| {
            got.push(m);
            false
        })
    };
    assert_eq!(one(&mut inbox, &bytes), Ok(()));
    assert!(inbox.has_whole_frame());
    assert_eq!(one(&mut inbox, &[]), Ok(()));
    assert_eq!(one(&mut inbox, &[]).unwrap_err().0, 1007);
    assert_eq!(got, [Message::Text("a".into()), Message::Text("b".into())]);
}

#[test]
fn a_reason_too_long_is_cut_between_characters() {
    let mut out = Vec::new();
    close(1008, &"\u{e4}".repeat(100), &mut out);
    assert_eq!((out.len(), out[1]), (2 + 124, 124));
    assert!(std::str::from_utf8(&out[4..]).is_ok());
}
