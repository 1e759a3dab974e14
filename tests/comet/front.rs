//! The rows of the front port.

use crate::wire::{Conn, as_icomet};
use crate::{ask, open, park, push, subscribed};

fn message(kind: &str, cname: &str, seq: i64, content: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"cname\":\"{cname}\",\"seq\":{seq},\"content\":\"{content}\"}}")
}

fn data(cname: &str, seq: i64, content: &str) -> String {
    message("data", cname, seq, content)
}

#[test]
fn the_head_of_an_answer() {
    let herald = open("");
    let (head, _) = Conn::to(&herald).ask("/sub?cname=a");
    assert_eq!(
        as_icomet(&head),
        "HTTP/1.1 200 OK\nExpires: 0\nCache-Control: no-cache\nContent-Type: application/json; charset=utf-8\n\
         Connection: keep-alive\nTransfer-Encoding: chunked\nDate: then\n\n"
    );
    let mut conn = Conn::to(&herald);
    for (path, kind) in [
        ("/sub?cname=a&cb=f", "text/javascript; charset=utf-8"),
        ("/sse?cname=a", "text/event-stream"),
        ("/stream?cname=a", "application/json; charset=utf-8"),
        ("/iframe?cname=a", "text/html; charset=utf-8"),
        ("/ping?cb=f", "text/javascript; charset=utf-8"),
    ] {
        if path.starts_with("/sse") || path.starts_with("/stream") || path.starts_with("/iframe") {
            conn = Conn::to(&herald);
        }
        conn.get(path);
        let head = conn.head();
        assert!(head.contains(&format!("Content-Type: {kind}\r\n")), "{path}: {head}");
        assert!(head.contains("Access-Control-Allow-Origin: *\r\n"), "{path}: {head}");
        if !path.starts_with("/sub") {
            conn = Conn::to(&herald);
        } else {
            while conn.chunk().is_some() {}
        }
    }
}

#[test]
fn polls() {
    let herald = open("");
    let mut conn = Conn::to(&herald);
    for path in ["/sub", "/poll"] {
        assert_eq!(conn.body(&format!("{path}?cname=a")), message("next_seq", "a", 1, "") + "\n");
    }
    let jsonp = conn.body("/sub?cname=a&cb=icomet_cb_0");
    assert_eq!(jsonp, format!("icomet_cb_0({});\n", message("next_seq", "a", 1, "")));

    // It waits, and is given what comes.
    conn.get("/poll?cname=a&seq=1");
    subscribed(&herald, "a", 1);
    push(&herald, "a", "hi");
    assert_eq!(conn.answer().1, data("a", 1, "hi") + "\n");
    push(&herald, "a", "two");
    // What is there already comes as an array, even one.
    assert_eq!(conn.body("/poll?cname=a&seq=1"), format!("[{},{}]\n", data("a", 1, "hi"), data("a", 2, "two")));
    assert_eq!(conn.body("/poll?cname=a&seq=2"), format!("[{}]\n", data("a", 2, "two")));
    assert_eq!(conn.body("/poll?cname=a&seq=2&cb=f"), format!("f([{}]);\n", data("a", 2, "two")));
    assert_eq!(conn.body("/poll?cname=a&seq=99"), message("next_seq", "a", 3, "") + "\n");
    assert_eq!(conn.body("/poll?cname=a&seq=-5"), format!("[{},{}]\n", data("a", 1, "hi"), data("a", 2, "two")));
    // iComet's own client stops for good at an array, so it is given one at a time; see docs/icomet.md.
    let one = conn.body("/sub?cname=a&seq=1&cb=icomet_cb_0");
    assert_eq!(one, format!("icomet_cb_0({});\n", data("a", 1, "hi")));
}

#[test]
fn a_poll_by_post() {
    let herald = open("");
    let mut conn = Conn::to(&herald);
    for (kind, body) in
        [("application/x-www-form-urlencoded", "cname=a&seq=0"), ("application/json", "{\"cname\":\"a\"}")]
    {
        let length = body.len();
        let head = format!("POST /poll HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        conn.send(format!("{head}{body}").as_bytes());
        assert_eq!(conn.answer().1, message("next_seq", "a", 1, "") + "\n");
    }
}

#[test]
fn a_broadcast() {
    let herald = open("");
    let mut poll = park(&herald, "p", 1);
    let mut stream = Conn::to(&herald);
    stream.get("/stream?cname=p&seq=1");
    subscribed(&herald, "p", 2);
    let said = ask(&herald, "/broadcast?content=b");
    assert_eq!((said.status, said.text.as_str()), (200, "ok\n"));
    let (first, next) = (message("broadcast", "p", 1, "b"), message("next_seq", "p", 2, ""));
    assert_eq!(poll.answer().1, format!("[{first},{next}]\n"));
    stream.head();
    assert_eq!((stream.chunk(), stream.chunk()), (Some(first + "\n"), Some(next + "\n")));
}

#[test]
fn streams() {
    let herald = open("");
    let mut conns: Vec<_> = ["/stream?cname=s", "/sse?cname=s", "/iframe?cname=s"]
        .iter()
        .map(|path| {
            let mut conn = Conn::to(&herald);
            conn.get(path);
            let head = conn.head(); // it is there before anything is said
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            conn
        })
        .collect();
    subscribed(&herald, "s", 3);
    let page = conns[2].chunk().expect("the page begins");
    assert!(page.starts_with("<html><head>") && page.ends_with("</head><body>\n"), "{page}");
    let next = message("next_seq", "s", 1, "");
    let wrapped = |said: &str| {
        [format!("{said}\n"), format!("data: {said}\n\n"), format!("<script>parent.icomet_cb({said});</script>\n")]
    };
    for (conn, wanted) in conns.iter_mut().zip(wrapped(&next)) {
        let chunk = conn.chunk().expect("next_seq");
        assert_eq!(chunk.trim_start_matches("id: 0\n"), wanted);
    }
    push(&herald, "s", "one");
    push(&herald, "s", "two");
    for (seq, content) in [(1, "one"), (2, "two")] {
        for (conn, wanted) in conns.iter_mut().zip(wrapped(&data("s", seq, content))) {
            let chunk = conn.chunk().expect("data");
            assert_eq!(chunk.trim_start_matches(&format!("id: {seq}\n")), wanted);
        }
    }
    assert_eq!(ask(&herald, "/close?cname=s").text, "ok 3\n");
    for (conn, wanted) in conns.iter_mut().zip(wrapped(&message("close", "s", 3, ""))) {
        assert_eq!(conn.chunk().as_deref(), Some(&*wanted));
        assert_eq!(conn.chunk(), None);
    }
}

#[test]
fn silence_is_answered_with_noop() {
    let herald = open("polling_timeout_secs = 1\n");
    let mut poll = park(&herald, "p", 1);
    let mut stream = Conn::to(&herald);
    stream.get("/stream?cname=s&seq=1&noop=5");
    stream.head();
    assert_eq!(poll.answer().1, message("noop", "p", 0, "") + "\n");
    for noop in 5..8 {
        assert_eq!(stream.chunk(), Some(message("noop", "s", noop, "") + "\n"));
    }
    assert_eq!(poll.body("/poll?cname=p&seq=1&noop=7"), message("noop", "p", 7, "") + "\n");
}

#[test]
fn several_channels_on_one_connection() {
    let herald = open("");
    let mut conn = Conn::to(&herald);
    assert_eq!(
        conn.body("/poll?cname=a&cname=b"),
        format!("[{},{}]\n", message("next_seq", "a", 1, ""), message("next_seq", "b", 1, ""))
    );
    conn.get("/poll?cname=a&seq=1&cname=b&seq=1");
    subscribed(&herald, "b", 1);
    push(&herald, "b", "to-b");
    assert_eq!(conn.answer().1, data("b", 1, "to-b") + "\n");
    push(&herald, "a", "to-a");
    assert_eq!(conn.body("/poll?cname=a&seq=1&cname=b&seq=2"), format!("[{}]\n", data("a", 1, "to-a")));
    let mut sse = Conn::to(&herald);
    sse.send(b"GET /sse?cname=a&cname=b HTTP/1.1\r\nLast-Event-ID: a:0:b:1\r\n\r\n");
    sse.head();
    push(&herald, "b", "again");
    // a:0 is no number to go on from: what nobody has acknowledged comes.
    let chunks: Vec<_> = (0..3).map(|_| sse.chunk().expect("an event")).collect();
    assert!(chunks.iter().any(|c| *c == format!("id: a:1:b:1\ndata: {}\n\n", data("a", 1, "to-a"))), "{chunks:?}");
    assert!(chunks.iter().any(|c| *c == format!("id: a:1:b:2\ndata: {}\n\n", data("b", 2, "again"))), "{chunks:?}");
}

#[test]
fn an_event_stream_goes_on_where_it_was() {
    let herald = open("");
    for n in 1..=5 {
        push(&herald, "a", &n.to_string());
    }
    let mut sse = Conn::to(&herald);
    sse.send(b"GET /sse?cname=a&seq=1 HTTP/1.1\r\nLast-Event-ID: 3\r\n\r\n");
    sse.head();
    for seq in 4..=5 {
        assert_eq!(sse.chunk(), Some(format!("id: {seq}\ndata: {}\n\n", data("a", seq, &seq.to_string()))));
    }
}

#[test]
fn tokens() {
    let herald = crate::support::Herald::start_with("[comet]\noperators = [\"127.0.0.1\"]\n");
    let signed = ask(&herald, "/sign?cname=u1").json;
    let token = signed["token"].as_str().expect("a token").to_owned();
    assert_eq!((token.len(), signed["seq"].as_i64(), signed["sub_timeout"].as_i64()), (32, Some(1), Some(30)));
    let refusal = message("401", "u1", 0, "Token error") + "\n";
    let mut conn = Conn::to(&herald);
    for query in ["cname=u1", "cname=u1&token=x", &format!("cname=u1&token={}", "0".repeat(32))] {
        let (head, body) = conn.ask(&format!("/poll?{query}"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(body, refusal, "{query}");
    }
    let mut stream = Conn::to(&herald);
    assert_eq!(stream.body("/stream?cname=u1&token=x"), refusal);
    assert_eq!(conn.body(&format!("/poll?cname=u1&token={token}")), message("next_seq", "u1", 1, "") + "\n");
    // It is of that channel alone.
    assert_eq!(conn.body(&format!("/poll?cname=u2&token={token}")), message("401", "u2", 0, "Token error") + "\n");
    // It outlives the server.
    let mut herald = herald;
    herald.kill();
    herald.restart();
    let mut conn = Conn::to(&herald);
    assert_eq!(conn.body(&format!("/poll?cname=u1&token={token}")), message("next_seq", "u1", 1, "") + "\n");
}

#[test]
fn too_many() {
    let herald = open("channels_max = 2\nsubscribers_max = 1\n");
    let parked = [park(&herald, "a", 1), park(&herald, "b", 1)];
    let mut conn = Conn::to(&herald);
    assert_eq!(conn.body("/poll?cname=c"), message("429", "c", 0, "Too many channels") + "\n");
    assert_eq!(conn.body("/poll?cname=a"), message("429", "a", 0, "Too many subscribers") + "\n");
    drop(parked);
}

#[test]
fn old_http_and_what_is_not_there() {
    let herald = open("");
    let mut old = Conn::to(&herald);
    old.send(b"GET /poll?cname=a HTTP/1.0\r\n\r\n");
    let answer = old.rest();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(!head.contains("chunked"), "{head}");
    assert_eq!(body, message("next_seq", "a", 1, "") + "\n");
    // It ends with the connection, whatever the client would like better.
    let mut old = Conn::to(&herald);
    old.send(b"GET /poll?cname=a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert!(old.rest().ends_with(&(message("next_seq", "a", 1, "") + "\n")));
    let mut conn = Conn::to(&herald);
    assert_eq!(conn.ask("/poll?cname=a&from=http://shop.example/x").1, message("next_seq", "a", 1, "") + "\n");
    assert_eq!(conn.ask("/ping?cb=f").1, "f({\"type\":\"ping\",\"sub_timeout\":30});\n");
    assert_eq!(conn.ask("/ping").1, "icomet_cb({\"type\":\"ping\",\"sub_timeout\":30});\n");
    for (path, status) in
        [("/poll", 400), ("/poll?cname=", 400), ("/poll?cname=a&cb=<x>", 400), ("/ping?cb=a(b)", 400), ("/pol", 404)]
    {
        let (head, _) = conn.ask(path);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
    }
    let off = crate::support::Herald::start_with("[comet]\nauth = \"off\"\n");
    let (head, _) = Conn::to(&off).ask("/poll?cname=a");
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
}
