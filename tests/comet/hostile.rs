//! iComet's faults, left out.

use crate::wire::Conn;
use crate::{ask, open, park, push, subscribed};
use serde_json::Value;
use std::io::{Read, Write};

#[test]
fn any_content_is_valid_json() {
    let herald = open("");
    let mut conn = Conn::to(&herald);
    let texts =
        ["%09", "%00%01%1f%7f", "%22%5C%0D%0A", "%22,%22evil%22:%221", "%3C/script%3E", "%E2%80%A8", "%F0%9F%98%80"];
    let plain = ["\t", "\0\u{1}\u{1f}\u{7f}", "\"\\\r\n", "\",\"evil\":\"1", "</script>", "\u{2028}", "\u{1f600}"];
    for (at, (encoded, text)) in texts.iter().zip(plain).enumerate() {
        push(&herald, "a", encoded);
        let body = conn.body(&format!("/poll?cname=a&seq={}", at + 1));
        let said: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
        assert_eq!(said[0]["content"], text);
        assert_eq!(said[0].as_object().expect("an object").len(), 4, "{body}");
    }
    for bad in [
        "/push?cname=a&content=%ff",
        "/push?cname=a%22,%22x%22:%22y&content=x",
        "/pub?cname=a&content=%22,%22evil%22:%221",
    ] {
        assert_eq!(ask(&herald, bad).status, 400, "{bad}");
    }
    let (head, _) = conn.ask("/poll?cname=a%22,%22x%22:%22y");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}

#[test]
fn a_parked_poll_takes_no_endless_input() {
    let herald = open("");
    let mut conn = park(&herald, "a", 1);
    let before = herald.rss_bytes();
    let mut sent = 0_usize;
    while sent < 50_000_000 {
        match conn.socket.write(&[b'x'; 65_536]) {
            Ok(n) => sent += n,
            Err(_) => break, // the server has hung up, as it may
        }
    }
    assert!(herald.rss_bytes() < before + 20_000_000, "{} bytes more", herald.rss_bytes() - before);
}

#[test]
fn a_stream_passes_over_what_is_sent_behind_it() {
    let herald = open("");
    let mut conn = Conn::to(&herald);
    conn.get("/stream?cname=a&seq=1");
    conn.head();
    let before = herald.rss_bytes();
    for _ in 0..1_000 {
        conn.send(&[b'x'; 65_536]);
    }
    assert!(herald.rss_bytes() < before + 20_000_000, "{} bytes more", herald.rss_bytes() - before);
    push(&herald, "a", "still-there");
    assert!(conn.chunk().expect("data").contains("still-there"));
}

#[test]
fn a_stream_that_is_not_read_is_cut() {
    let herald = crate::support::Herald::start_with(&format!(
        "{}store = \"never\"\n[limits]\noutbox_bytes_max = 65536\n",
        crate::OPEN
    ));
    let mut slow = Conn::to(&herald);
    slow.get("/stream?cname=a&seq=1");
    slow.head();
    let mut quick = Conn::to(&herald);
    quick.get("/stream?cname=a&seq=1");
    quick.head();
    subscribed(&herald, "a", 2);
    let before = herald.rss_bytes();
    let content = "x".repeat(60_000);
    let form = format!("cname=a&content={content}");
    let mut pushed = 0;
    while !ask(&herald, "/info?cname=a").text.contains("\"subscribers\": 1}") {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(herald.http("POST", "/push", &kind, &form).status, 200);
        pushed += 1;
        assert!(quick.chunk().expect("the other one gets all of it").contains(&content));
        assert!(pushed < 2_000, "nobody was cut");
    }
    assert!(herald.rss_bytes() < before + 30_000_000, "{} bytes more", herald.rss_bytes() - before);
    slow.rest();
}

#[test]
fn head_and_message_come_in_one_piece() {
    // iComet writes the head when it parks and the message later, with Nagle: each message takes 40 ms.
    let herald = open("store = \"never\"\n");
    let mut conn = park(&herald, "a", 1);
    for n in 1..=20 {
        push(&herald, "a", "x");
        let mut room = [0; 65_536];
        let read = conn.socket.read(&mut room).expect("an answer");
        let piece = String::from_utf8_lossy(&room[..read]).into_owned();
        assert!(piece.starts_with("HTTP/1.1 200 OK\r\n") && piece.ends_with("\r\n0\r\n\r\n"), "{piece}");
        assert!(piece.contains(&format!("\"seq\":{n},")), "{piece}");
        conn.get(&format!("/poll?cname=a&seq={}", n + 1));
        subscribed(&herald, "a", 1);
    }
}

#[test]
fn what_is_no_request() {
    let herald = open("");
    for (request, status) in [
        (format!("GET /poll?cname=a&x={} HTTP/1.1\r\n\r\n", "y".repeat(20_000)), "431"),
        ("POST /poll HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n".into(), "413"),
        (format!("GET /poll?cname=a{} HTTP/1.1\r\n\r\n", "&cname=b".repeat(20)), "400"),
        ("GET /poll?cname=%zz HTTP/1.1\r\n\r\n".into(), "400"),
        ("POST /poll HTTP/1.1\r\nContent-Length: 5\r\n\r\n{\"cn}".into(), "400"),
        ("DELETE /poll?cname=a HTTP/1.1\r\n\r\n".into(), "405"),
        ("HEAD /poll?cname=a HTTP/1.1\r\n\r\n".into(), "405"),
    ] {
        let mut conn = Conn::to(&herald);
        conn.send(request.as_bytes());
        let head = conn.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.60}: {head}");
    }
    push(&herald, "a", "it-still-works");
}
