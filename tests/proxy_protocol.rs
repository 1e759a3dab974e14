//! The PROXY protocol on the XMPP listeners: who is behind the proxy is who counts.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Herald, PATIENCE, read_all};

const HEADER: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                      to='localhost' version='1.0'>";
const LOGIN: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>";
const BIND: &str = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

fn server(toml: &str) -> Herald {
    let herald = Herald::start_with(&format!("[listen]\nproxy_protocol = true\n{toml}"));
    herald.user("alice", "secret");
    herald
}

/// A connection that has said nothing.
fn connect(herald: &Herald, listener: &str) -> TcpStream {
    let socket = TcpStream::connect(herald.address(listener)).expect("the listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.set_nodelay(true).expect("an option");
    socket
}

fn until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut got = String::new();
    while !got.contains(wanted) {
        let mut buf = [0; 4096];
        let n = socket.read(&mut buf).unwrap_or_else(|e| panic!("waited for {wanted:?}, got {got:?}: {e}"));
        assert!(n > 0, "waited for {wanted:?}, got {got:?} and the end");
        got += std::str::from_utf8(&buf[..n]).expect("ASCII");
    }
    got
}

/// A header of version 2 (section 2.2 of its specification).
fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let len = (addresses.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &len, addresses].concat()
}

fn v2_of(client: [u8; 4]) -> Vec<u8> {
    v2(1, 0x11, &[&client[..], &[127, 0, 0, 1], &[0x30, 0x39, 0x14, 0x66]].concat())
}

#[test]
fn the_client_is_who_the_proxy_says() {
    let v6 = [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 15], &[1, 0, 1, 0, 2]].concat();
    let extended = [&[192, 0, 2, 9, 127, 0, 0, 1, 0, 1, 0, 2][..], &[4, 0, 3, 1, 2, 3]].concat();
    let herald = server("");
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.1 127.0.0.1 12345 5222\r\n".to_vec(), "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 ::1 12345 5222\r\n".to_vec(), "2001:db8::1"),
        (v2_of([192, 0, 2, 3]), "192.0.2.3"),
        (v2(1, 0x21, &v6), "2001:db8::7"),
        (v2(1, 0x11, &extended), "192.0.2.9"),
    ] {
        // Whatever is read at a time: nothing behind the header is lost, nothing of it is left over.
        for piece in [1, 7, usize::MAX] {
            let mut socket = connect(&herald, "xmpp");
            let all = [&header[..], HEADER.as_bytes()].concat();
            for part in all.chunks(piece.min(all.len())) {
                socket.write_all(part).expect("the server reads");
            }
            let features = until(&mut socket, "</stream:features>");
            // A password may come in the clear from loopback only, and this client is not there.
            assert!(features.contains("<starttls") && !features.contains(">PLAIN<"), "{client}: {features}");
        }
    }
    assert!(herald.log().is_empty() || !herald.log().contains("panicked"));
}

#[test]
fn an_operator_sees_the_client() {
    let herald = server("[auth]\nplain_without_tls = \"loopback\"\n");
    // The proxy names a client on loopback, so that a password may come.
    let mut socket = connect(&herald, "xmpp");
    socket.write_all(format!("PROXY TCP4 127.9.9.9 127.0.0.1 1 2\r\n{HEADER}").as_bytes()).expect("the server reads");
    until(&mut socket, "</stream:features>");
    socket.write_all(LOGIN.as_bytes()).expect("the server reads");
    until(&mut socket, "<success");
    socket.write_all(format!("{HEADER}{BIND}").as_bytes()).expect("the server reads");
    until(&mut socket, "<jid>");
    let seen = herald.api("GET", "/api/v1/sessions", None).text;
    assert!(seen.contains("127.9.9.9"), "{seen}");
}

#[test]
fn a_proxy_that_speaks_for_itself_is_served() {
    let herald = server("");
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0, 0, &[])] {
        let mut socket = connect(&herald, "xmpp");
        socket.write_all(&[&header[..], HEADER.as_bytes()].concat()).expect("the server reads");
        until(&mut socket, ">PLAIN<");
    }
}

#[test]
fn tls_comes_behind_it() {
    let herald = server("");
    let mut socket = connect(&herald, "xmpps");
    socket.write_all(&v2_of([192, 0, 2, 3])).expect("the server reads");
    let mut tls = support::websocket::under_tls(&herald, socket);
    tls.write_all(HEADER.as_bytes()).expect("the server reads");
    let mut got = String::new();
    while !got.contains("</stream:features>") {
        let mut buf = [0; 4096];
        let n = tls.read(&mut buf).expect("an answer");
        assert!(n > 0, "{got}");
        got += std::str::from_utf8(&buf[..n]).expect("ASCII");
    }
    assert!(got.contains(">PLAIN<"), "{got}");
}

#[test]
fn what_is_no_header_is_closed() {
    let herald = server("[limits]\nhead_secs = 1\n");
    for (what, bytes) in [
        ("none", HEADER.as_bytes().to_vec()),
        ("a line that does not end", format!("PROXY TCP4 {}", "1".repeat(200)).into_bytes()),
        ("no address", b"PROXY TCP4 192.0.2.300 127.0.0.1 1 2\r\n".to_vec()),
        ("a promise of too much", v2(1, 0x11, &[0; 3_000])[..16].to_vec()),
        ("an unknown version", [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x31, 0x11, 0, 0]].concat()),
        ("half of it", b"PROXY TCP4 192.0".to_vec()),
    ] {
        let mut socket = connect(&herald, "xmpp");
        socket.write_all(&bytes).expect("the server reads");
        let mut said = Vec::new();
        let end = socket.read_to_end(&mut said); // a reset is an end too
        assert!(said.is_empty(), "{what}: {end:?} {said:?}");
    }
}

#[test]
fn strangers_cannot_name_themselves() {
    let herald = server("[shaping]\ntrusted_proxies = []\n");
    let mut socket = connect(&herald, "xmpp");
    socket.write_all(b"PROXY TCP4 192.0.2.1 127.0.0.1 12345 5222\r\n").expect("the server reads");
    let said = read_all(&mut socket);
    assert!(said.contains("<not-well-formed "), "{said}");
    let mut socket = connect(&herald, "xmpp");
    socket.write_all(HEADER.as_bytes()).expect("the server reads");
    until(&mut socket, "</stream:features>");
}

#[test]
fn the_rules_for_addresses_apply_to_the_client() {
    let herald = server("[shaping]\nip_sessions_per_sec = 1\nip_sessions_burst = 2\n");
    let refused = |client: [u8; 4]| {
        let mut socket = connect(&herald, "xmpp");
        socket.write_all(&[&v2_of(client)[..], HEADER.as_bytes()].concat()).expect("the server reads");
        until(&mut socket, "</stream:").contains("<policy-violation ")
    };
    let flood = (0..10).filter(|_| refused([192, 0, 2, 1])).count();
    assert!(flood >= 5, "{flood}");
    assert!(!(0..10).any(|n| refused([192, 0, 2, 100 + n])));
}
