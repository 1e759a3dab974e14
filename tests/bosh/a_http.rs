//! A. HTTP (XEP-0124 sections 5 and 19.1).

use crate::scene::{CREATION, HARNESS, PING, Page, Post, Scene, Server, creation, post};
use crate::wire::{Answer, Conn, EMPTY, request};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

fn conn() -> Conn {
    Conn::open(&Server::shared(HARNESS))
}

#[test]
fn t01_preflight() {
    let mut conn = conn();
    conn.send(
        "OPTIONS /http-bind HTTP/1.1\r\nHost: localhost\r\nOrigin: https://elsewhere.example\r\n\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
    );
    let answer = conn.answer();
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    assert!(answer.field("access-control-allow-methods").is_some_and(|m| m.contains("POST")));
    let headers = answer.field("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
    assert!(headers.contains("content-type"), "{headers}");
    assert!(answer.field("access-control-max-age").is_some());
}

/// That they are readable from any origin, have a type and parse is checked of every answer: see `wire.rs`.
#[test]
fn t02_all_kinds_of_answers() {
    let mut s = Scene::new();
    let held = s.page.ask(1);
    s.bob_says("push");
    held.answer().says("push");
    Page::create(&s.server, "wait='1' hold='1' ver='1.6'").0.ask(1).answer().is(EMPTY);
    let unknown = Page { server: s.server.clone(), sid: "0".repeat(32), r: 1, polls: false };
    unknown.ask(1).answer().terminates("item-not-found");
    post(&s.server, "<body").answer().terminates("bad-request");
    let held = s.page.ask(2);
    s.server.kick(&s.alice);
    held.answer().terminates("remote-stream-error");
    let (page, _) = Page::create(&s.server, CREATION);
    page.say_with(1, "type='terminate'", "").answer().closes();
}

#[test]
fn t03_other_methods() {
    let mut conn = conn();
    for (method, status) in [("GET", 200), ("PUT", 405), ("DELETE", 405)] {
        conn.send(format!("{method} /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        let answer = conn.answer();
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(answer.field("allow"), (status == 405).then_some("GET, HEAD, POST, OPTIONS"), "{method}");
    }
}

#[test]
fn t04_no_body() {
    post(&Server::shared(HARNESS), "").answer().terminates("bad-request");
}

#[test]
fn t05_malformed() {
    let mut conn = conn();
    conn.post("<body rid='");
    conn.answer().terminates("bad-request");
    // It goes on, on the same connection.
    conn.post(&creation(1, &format!("to='localhost' {CREATION}"), ""));
    assert!(conn.answer().attr("sid").is_some());
}

#[test]
fn t06_what_xmpp_forbids() {
    let server = &Server::shared(HARNESS);
    let attrs = format!("to='localhost' {CREATION}");
    for (before, inside) in [
        ("", "<!-- x -->"),
        ("", "<?x y?>"),
        ("<!DOCTYPE body [<!ENTITY ent 'expanded'>]>", ""),
        ("<!DOCTYPE body [<!ENTITY ent 'expanded'>]>", "<message xmlns='jabber:client'>&ent;</message>"),
        ("", "<message xmlns='jabber:client'>&ent;</message>"),
    ] {
        let body = format!("{before}{}", creation(1, &attrs, inside));
        post(server, &body).answer().terminates("bad-request").omits("expanded");
    }
}

#[test]
fn t07_any_content_type() {
    for kind in [
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json\r\n",
        "",
    ] {
        let mut conn = conn();
        conn.send(request(kind, creation(1, &format!("to='localhost' {CREATION}"), "")));
        assert!(conn.answer().attr("sid").is_some(), "{kind}");
    }
}

#[test]
fn t08_the_content_type_that_was_asked_for() {
    const HTML: &str = "text/html; charset=utf-8";
    let server = &Server::shared(HARNESS);
    let attrs = format!("content='{HTML}' {CREATION}");
    let mut answers = vec![Page::create(server, &attrs).1];
    let s = Scene::with(&attrs);
    let held = s.page.ask(1);
    let next = s.page.say(2, PING);
    answers.push(held.answer().says("'ping'"));
    let last = s.page.say_with(3, "type='terminate'", "");
    answers.push(next.answer().closes());
    answers.push(last.answer().is(EMPTY));
    for answer in answers {
        assert_eq!(answer.field("content-type"), Some(HTML), "{}", answer.body);
    }
    let (_, other) = Page::create(server, CREATION);
    assert_eq!(other.field("content-type"), Some("text/xml; charset=utf-8"));
    // What would be more than a value is refused.
    let split = creation(1, "to='localhost' ver='1.6' content='text/xml&#13;&#10;Set-Cookie: a=b'", "");
    let answer = post(server, &split).answer().terminates("bad-request");
    assert_eq!(answer.field("set-cookie"), None);
}

/// Checked of every answer: see `wire.rs`. Here of those that no session makes.
#[test]
fn t09_one_length_and_no_transfer_coding() {
    for bytes in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET /http-bind HTTP/1.1\r\n\r\n",
        "POST /elsewhere HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "POST /http-bind HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut conn = conn();
        conn.send(bytes);
        let answer = conn.answer();
        assert_eq!(answer.field("content-length"), Some(answer.raw.len().to_string().as_str()), "{bytes}");
    }
}

#[test]
fn t10_http_1_0() {
    let body = creation(1, &format!("to='localhost' {CREATION}"), "");
    let head = |more: &str| format!("POST /http-bind HTTP/1.0\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut closing = conn();
    closing.send(head(""));
    assert!(closing.answer().attr("sid").is_some());
    closing.ends();
    let mut kept = conn();
    for _ in 0..2 {
        kept.send(head("Connection: keep-alive\r\n"));
        let answer = kept.answer();
        assert_eq!(answer.field("connection"), Some("keep-alive"));
        assert!(answer.attr("sid").is_some());
    }
}

#[test]
fn t13_a_request_that_is_too_large() {
    for body in
        [|page: &Page| page.body(1, "", &"x".repeat(300_000)), |page: &Page| page.body(1, "", &" ".repeat(300_000))]
    {
        let mut s = Scene::new();
        let mut conn = Conn::open(&s.server);
        conn.post(&body(&s.page));
        conn.answer().terminates("policy-violation");
        s.is_gone(1);
    }
    // Whoever has no `ver` knows HTTP's errors only (section 17.1).
    let s = Scene::with("wait='60' hold='1'");
    let mut conn = Conn::open(&s.server);
    conn.post(&s.page.body(1, "", &"x".repeat(300_000)));
    conn.answer().refuses(403, "policy-violation");
}

#[test]
fn t14_a_secure_session_in_the_clear() {
    let server = Server::shared(HARNESS);
    let mut secure = Conn::secure(&server);
    secure.post(&creation(1, &format!("to='localhost' {CREATION}"), ""));
    let sid = secure.answer().attr("sid").expect("a session");
    let page = Page { server: server.clone(), sid, r: 1, polls: false };
    // With the next rid, with one out of the window, and with one that cannot be read.
    for body in [page.body(1, "", ""), page.body(9, "", ""), page.body(1, "", "<broken")] {
        let mut clear = Conn::open(&server);
        clear.post(&body);
        clear.ends();
    }
    secure.post(&page.body(1, "type='terminate'", ""));
    secure.answer().closes();
}

/// The answer to a request with these header fields, on a connection of its own.
fn ask(page: &Page, n: u64, fields: &str, payload: &str) -> Answer {
    let mut conn = Conn::open(&page.server);
    conn.send(request(fields, page.body(n, "", payload)));
    conn.answer()
}

#[test]
fn t11_answers_packed_for_those_who_take_it() {
    let s = Scene::new();
    let large = "ten kilobytes ".repeat(750);
    for (n, (field, packed)) in (1..).step_by(2).zip([
        ("Accept-Encoding: gzip, deflate, br\r\n", true),
        ("", false),
        ("Accept-Encoding: gzip;q=0, identity\r\n", false),
        ("Accept-Encoding: *\r\n", true),
    ]) {
        s.server.push(&s.alice, &large);
        let answer = ask(&s.page, n, field, "");
        assert_eq!(answer.field("content-encoding"), packed.then_some("gzip"), "{field}");
        assert_eq!(answer.messages(), [large.as_str()]);
        assert!(!packed || answer.raw.len() < 1_000);
        // Repeated in the other form, it says the same.
        let other = if packed { "" } else { "Accept-Encoding: gzip\r\n" };
        let again = ask(&s.page, n, other, "");
        assert_eq!(again.field("content-encoding"), (!packed).then_some("gzip"), "{field}");
        assert_eq!(again.body, answer.body);
        // What is small goes as it is.
        let small = ask(&s.page, n + 1, "Accept-Encoding: gzip\r\n", PING);
        assert_eq!(small.field("content-encoding"), None);
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

const GZIP: &str = "Content-Encoding: gzip\r\n";

#[test]
fn t12_requests_that_come_packed() {
    let (_, creation) = Page::create(&Server::shared(HARNESS), CREATION);
    assert_eq!(creation.attr("accept").as_deref(), Some("gzip"));
    let mut s = Scene::new();
    let text = "packed ".repeat(1_000);
    let mut conn = Conn::open(&s.server);
    conn.send(request(GZIP, gzip(s.page.body(1, "", &s.to_bob(&text)).as_bytes())));
    s.bob.expect(&format!("<body>{text}</body>"));
    s.is_held(Post(conn));
    // What is no gzip, or was packed in another way.
    for fields in [GZIP, "Content-Encoding: br\r\n", "Content-Encoding: gzip, gzip\r\n"] {
        let mut conn = Conn::open(&s.server);
        conn.send(request(fields, "<body"));
        conn.answer().terminates("bad-request");
    }
    s.page.is_alive(2);
}

#[test]
fn t12_a_bomb() {
    let server = Server::alone(HARNESS);
    let mut s = Scene::of(server, CREATION);
    let bomb = |page: &Page| gzip(page.body(1, "", &" ".repeat(10 << 20)).as_bytes());
    assert!(bomb(&s.page).len() < 20_000);
    let before = s.server.herald().rss_bytes();
    for _ in 0..20 {
        let unknown = Page { server: s.server.clone(), sid: "0".repeat(32), r: 1, polls: false };
        let mut conn = Conn::open(&s.server);
        conn.send(request(GZIP, bomb(&unknown)));
        conn.answer().terminates("policy-violation");
    }
    let mut conn = Conn::open(&s.server);
    conn.send(request(GZIP, bomb(&s.page)));
    conn.answer().terminates("policy-violation");
    s.is_gone(1);
    let grown = s.server.herald().rss_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "the server grew by {grown} bytes");
}

/// HTTP/1.1 is what is spoken here (the module page of `src/net/http/` says why), so two requests at a time
/// are two connections, or one that is pipelined (case 44). HTTP/2 is shown with a proxy in front that
/// speaks it: `tests/e2e`.
#[test]
fn t15_two_at_a_time() {
    let mut s = Scene::new();
    let mut ways = [Conn::secure(&s.server), Conn::secure(&s.server)];
    for n in [1, 3, 5] {
        ways[0].post(&s.page.body(n, "", ""));
        ways[1].post(&s.page.body(n + 1, "", &s.to_bob("hi")));
        ways[0].answer().is(EMPTY);
        s.bob.expect("<body>hi</body>");
        s.bob_says("hello");
        ways[1].answer().says("<body>hello</body>");
    }
}

// What the table leaves to HTTP (H1: RFC 9112 must be met).

#[test]
fn chunked_requests() {
    let mut s = Scene::new();
    let mut conn = Conn::open(&s.server);
    let chunked = |body: &str| {
        let (a, b) = body.split_at(20);
        format!(
            "POST /http-bind HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{a}\r\n{:x};ext\r\n{b}\r\n0\r\n\r\n",
            a.len(),
            b.len()
        )
    };
    for n in 1..=2 {
        conn.send(chunked(&s.page.body(n, "", PING)));
        conn.answer().says("'ping'");
    }
    // Too much of it is too much.
    let mut conn = Conn::open(&s.server);
    conn.send(chunked(&s.page.body(3, "", &" ".repeat(300_000))));
    conn.answer().terminates("policy-violation");
    s.is_gone(3);
}

#[test]
fn a_client_that_waits_for_100_continue() {
    let s = Scene::new();
    let mut conn = Conn::open(&s.server);
    for n in 1..=3 {
        let request = String::from_utf8(request("Expect: 100-continue\r\n", s.page.body(n, "", PING))).expect("ASCII");
        let (head, body) = request.split_once("\r\n\r\n").expect("a head");
        conn.send(format!("{head}\r\n\r\n"));
        assert_eq!(conn.answer().status, 100, "request {n} on this connection");
        conn.send(body);
        assert_eq!(conn.answer().says("'ping'").status, 200);
    }
}

#[test]
fn answers_stay_in_order_whatever_comes_behind() {
    let mut s = Scene::new();
    for behind in ["nonsense\r\n\r\n", "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\nGET"] {
        let mut conn = Conn::open(&s.server);
        conn.send([request("", s.page.body(1, "", &s.to_bob("came"))), behind.as_bytes().to_vec()].concat());
        s.bob.expect("<body>came</body>");
        s.bob_says("push");
        conn.answer().says("push");
        let refused = conn.answer();
        assert!(refused.status >= 400);
        assert_eq!(refused.field("connection"), Some("close"));
        conn.ends();
        s.page.r += 1;
    }
}
