//! What strangers send, against the real server: each gets a proper error or is timed out, memory
//! stays bounded, and others do not notice.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use support::client::Client;
use support::{Herald, PATIENCE, read_all};

/// How much the server may grow while it is being attacked, bytes.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='localhost' version='1.0'>";

/// A server with a user who watches: at the end the watcher must still be served.
struct Scene {
    herald: Herald,
    watcher: Client,
    rss_before: u64,
}

impl Scene {
    fn new(toml: &str) -> Scene {
        let herald = Herald::start_with(toml);
        herald.user("watcher", "secret");
        herald.user("mallory", "secret");
        let watcher = Client::login(&herald, "watcher", "secret", "here");
        let rss_before = herald.rss_bytes();
        Scene { herald, watcher, rss_before }
    }

    /// A connection to a listener that has said nothing yet.
    fn raw(&self, listener: &str) -> TcpStream {
        connect(self.herald.address(listener))
    }

    /// Sends all of it, though the server may hang up before the end, and reads what it says until it hangs up.
    fn say(&self, listener: &str, bytes: &[u8]) -> String {
        let mut socket = self.raw(listener);
        let mut writer = socket.try_clone().expect("a second handle");
        let bytes = bytes.to_vec();
        let writing = std::thread::spawn(move || drop(writer.write_all(&bytes)));
        let said = read_until_end(&mut socket);
        writing.join().expect("the writer ends");
        said
    }

    /// A bound client of mallory's says this; what the server answers until it hangs up.
    fn say_bound(&self, text: &str) -> String {
        let mut mallory = Client::login(&self.herald, "mallory", "secret", "evil");
        let mut writer = mallory.socket();
        let text = text.to_owned();
        let writing = std::thread::spawn(move || drop(writer.write_all(text.as_bytes())));
        let said = mallory.expect_end();
        writing.join().expect("the writer ends");
        said
    }

    /// Others are untouched and memory is bounded.
    fn unharmed(&mut self) {
        self.watcher.send("<iq type='get' id='still' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.watcher.expect("still");
        let grown = self.herald.rss_bytes().saturating_sub(self.rss_before);
        assert!(grown < GROWTH_BYTES_MAX, "the server grew by {grown} bytes");
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// Like [`read_all`], but a reset is an end too: some of what we sent was not read.
fn read_until_end(socket: &mut TcpStream) -> String {
    let mut out = Vec::new();
    let mut buf = [0; 4096];
    loop {
        match socket.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => out.extend_from_slice(&buf[..n]),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
            Err(e) => panic!("the server neither answers nor hangs up: {e}"),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[track_caller]
fn assert_says(said: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(said.contains(wanted), "{wanted:?} is not in {said:?}");
    }
}

#[test]
fn garbage_before_a_stream_is_a_stream_error() {
    let mut scene = Scene::new("");
    for (name, bytes, condition) in [
        ("text", &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "<not-well-formed"),
        ("binary", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3], "<not-well-formed"),
        ("UTF-16", &b"\xff\xfe<\0s\0"[..], "<unsupported-encoding"),
        ("another root", b"<html><body/></html>", "<invalid-namespace"),
        ("another namespace", b"<stream:stream xmlns='jabber:client' xmlns:stream='urn:other' to='localhost' version='1.0'>", "<invalid-namespace"),
        ("a DTD", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "<"),
        ("another host", b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='other.example' version='1.0'>", "<host-unknown"),
    ] {
        let said = scene.say("xmpp", bytes);
        assert_says(&said, &["<stream:error", condition, "</stream:stream>"]);
        assert!(said.starts_with("<?xml"), "{name}: our header comes first: {said}");
    }
    scene.unharmed();
}

#[test]
fn what_is_over_a_limit_ends_the_stream_with_policy_violation() {
    let mut scene = Scene::new("");
    let attributes: String = (0..10_000).map(|i| format!(" a{i}='1'")).collect();
    let elements = "<a/>".repeat(10_000);
    for (name, text) in [
        ("300 KB", format!("<message><body>{}</body></message>", "x".repeat(300_000))),
        ("10,000 attributes", format!("<message{attributes}/>")),
        ("depth 10,000", format!("<message>{}", "<a>".repeat(10_000))),
        ("10,000 elements", format!("<message>{elements}</message>")),
    ] {
        let said = scene.say_bound(&text);
        assert_says(&said, &["<stream:error", "<policy-violation", "</stream:stream>"]);
        assert!(!said.contains("internal"), "{name}");
    }
    // A stranger gets less: no stanza is that large before a login.
    let said = scene.say("xmpp", format!("{HEADER}<auth>{}", "x".repeat(100_000)).as_bytes());
    assert_says(&said, &["<policy-violation"]);
    scene.unharmed();
}

#[test]
fn what_xmpp_forbids_ends_the_stream() {
    let mut scene = Scene::new("");
    let bomb = "<!DOCTYPE m [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><message><body>&b;</body></message>";
    for (text, condition) in [
        (bomb, "<restricted-xml"),
        ("<message><!-- hidden --></message>", "<restricted-xml"),
        ("<?php x?>", "<restricted-xml"),
        ("<message><body>&b;</body></message>", "<not-well-formed"),
        ("<message><body></message></message>", "<not-well-formed"),
        ("<message><body>\u{1}</body></message>", "<not-well-formed"),
        ("<x:message/>", "<not-well-formed"),
        (
            "<message from='watcher@localhost/here' to='watcher@localhost'><body>it is me</body></message>",
            "<invalid-from",
        ),
        ("<something xmlns='urn:unknown'/>", "<unsupported-stanza-type"),
    ] {
        let said = scene.say_bound(text);
        assert_says(&said, &["<stream:error", condition, "</stream:stream>"]);
    }
    scene.unharmed();
}

#[test]
fn bad_utf_8_ends_the_stream() {
    let mut scene = Scene::new("");
    let mut mallory = Client::login(&scene.herald, "mallory", "secret", "evil");
    mallory.socket().write_all(b"<message><body>\xc3\x28</body></message>").expect("the peer reads");
    let said = mallory.expect_end();
    assert_says(&said, &["<stream:error", "<unsupported-encoding", "</stream:stream>"]);
    scene.unharmed();
}

#[test]
fn a_hundred_wrong_passwords_get_a_hundred_refusals_and_no_way_in() {
    let mut scene = Scene::new("[auth]\ntries_max = 4\n");
    let wrong = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AG1hbGxvcnkAd3Jvbmc=</auth>";
    let mut refusals = 0;
    while refusals < 100 {
        let mut client = Client::connect(&scene.herald);
        client.open();
        for _ in 0..3 {
            client.send(wrong);
            client.expect("<not-authorized");
            client.expect("</failure>");
        }
        client.send(wrong);
        // The last one: refused, and the stream ends (RFC 6120 section 6.4.5).
        assert_says(&client.expect_end(), &["<not-authorized", "<stream:error", "<policy-violation"]);
        refusals += 4;
    }
    Client::login(&scene.herald, "mallory", "secret", "after all");
    scene.unharmed();
}

#[test]
fn an_http_head_that_never_ends_is_refused_or_timed_out() {
    let mut scene = Scene::new("[limits]\nhead_secs = 1\n");
    let said = scene.say("http", format!("POST /http-bind HTTP/1.1\r\nX: {}", "x".repeat(20_000)).as_bytes());
    assert_says(&said, &["HTTP/1.1 431 "]);
    let said = scene.say("http", b"POST /http-bind HTTP/1.1\r\nHost: local");
    assert_says(&said, &["HTTP/1.1 408 "]);
    let said = scene.say("http", b"POST /http-bind HTTP/1.1\r\nContent-Length: 100\r\n\r\n<body");
    assert_says(&said, &["HTTP/1.1 408 "]);
    // One byte at a time does not buy time: the answer comes between two bytes.
    let mut slow = scene.raw("http");
    slow.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let (mut said, mut buf, mut bytes) = (String::new(), [0; 1024], 0);
    loop {
        match slow.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => said += &String::from_utf8_lossy(&buf[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock && bytes < 600 => {
                bytes += 1;
                let _ = slow.write_all(b"X"); // it may have hung up by now
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => break,
            Err(e) => panic!("after {bytes} bytes: {e}"),
        }
    }
    assert_says(&said, &["HTTP/1.1 408 "]);
    assert!(bytes > 1);
    scene.unharmed();
}

#[test]
fn requests_that_are_no_requests_are_refused_in_the_terms_of_http() {
    let mut scene = Scene::new("");
    for (bytes, status) in [
        ("\u{16}\u{3}\u{1}\r\n\r\n", "400"),
        ("POST /http-bind HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "501"),
        ("POST /http-bind HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400"),
        ("POST /elsewhere HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\nx", "413"),
        ("GET /nothing HTTP/1.1\r\nConnection: close\r\n\r\n", "404"),
        ("PUT /http-bind HTTP/1.1\r\nConnection: close\r\n\r\n", "405"),
        ("GET /ws HTTP/1.1\r\nConnection: close\r\n\r\n", "426"),
        ("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n", "400"),
    ] {
        let said = scene.say("http", bytes.as_bytes());
        assert_says(&said, &[&format!("HTTP/1.1 {status} "), "Content-Length: ", "Access-Control-Allow-Origin: *"]);
    }
    // Too large a BOSH body is told in BOSH's terms.
    let large = format!("POST /http-bind HTTP/1.1\r\nContent-Length: 300000\r\n\r\n<body{}", " ".repeat(299_995));
    assert_says(&scene.say("http", large.as_bytes()), &["HTTP/1.1 200 ", "type='terminate'", "policy-violation"]);
    scene.unharmed();
}

#[test]
fn a_half_open_tls_handshake_is_timed_out() {
    let mut scene = Scene::new("[limits]\nhead_secs = 1\n");
    for listener in ["xmpps", "https"] {
        let mut silent = scene.raw(listener);
        assert_eq!(read_all(&mut silent), "", "{listener}");
        // The beginning of a ClientHello.
        let mut half = scene.raw(listener);
        half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).expect("the peer reads");
        assert_eq!(read_all(&mut half), "", "{listener}");
        // Not TLS at all: an alert, at once.
        let mut plain = scene.raw(listener);
        plain.write_all(HEADER.as_bytes()).expect("the peer reads");
        let mut alert = Vec::new();
        plain.read_to_end(&mut alert).expect("the peer closes");
        assert_eq!(alert.first(), Some(&21), "{listener}: a TLS alert");
    }
    scene.unharmed();
}

#[test]
fn ten_thousand_connections_that_say_nothing_cost_little_and_end() {
    let open_files = 12_000;
    if !support::raise_open_files(open_files) {
        support::skip(&format!("less than {open_files} open files are allowed here"));
        return;
    }
    let mut scene = Scene::new("[auth]\nlogin_secs = 5\n[limits]\nhead_secs = 5\n");
    let mut silent: Vec<TcpStream> =
        (0..10_000).map(|i| connect(scene.herald.address(if i % 2 == 0 { "xmpp" } else { "http" }))).collect();
    scene.unharmed();
    for socket in &mut silent {
        let said = read_until_end(socket);
        assert!(said.is_empty() || said.contains("<connection-timeout"), "{said}");
    }
    scene.unharmed();
}

#[test]
fn the_oldest_guest_goes_when_there_are_too_many() {
    let mut scene = Scene::new("[limits]\nunauthenticated_max = 10\n");
    let mut first = Client::connect(&scene.herald);
    first.open();
    let _others: Vec<Client> = (0..10)
        .map(|_| {
            let mut client = Client::connect(&scene.herald);
            client.open();
            client
        })
        .collect();
    assert_says(&first.expect_end(), &["<stream:error", "<policy-violation", "have not logged in"]);
    Client::login(&scene.herald, "mallory", "secret", "welcome");
    scene.unharmed();
}
