//! RFC 7395 and the parts of RFC 6455 that a server of it owes, over real sockets.

mod support;

use support::Herald;
use support::websocket::{CLOSE, FRAMING, Frame, PING, PONG, TEXT, WebSocket, frame, handshake};

const PING_IQ: &str = "<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";

fn server(toml: &str) -> Herald {
    let herald = Herald::start_with(toml);
    herald.user("alice", "secret");
    herald
}

/// Answers the server's close frame, as a browser does.
fn take_leave(ws: &mut WebSocket, code: u16) {
    ws.send_raw(&frame(CLOSE, &code.to_be_bytes()));
    assert_eq!(ws.next(), None, "the server ends the connection once both have said so");
}

/// The stream ends: an error with this condition, `<close/>`, and a close frame with this code.
#[track_caller]
fn expect_error(ws: &mut WebSocket, condition: &str, code: u16) {
    let error = ws.expect("<stream:error");
    assert!(error.contains(&format!("<{condition} ")), "{condition}: {error}");
    ws.expect(&format!("<close xmlns='{FRAMING}'/>"));
    assert_eq!(ws.next().expect("a close frame").code(), code);
    take_leave(ws, code);
}

#[test]
fn a_session_over_both_listeners() {
    let herald = server("");
    for listener in ["http", "https"] {
        let mut ws = WebSocket::login(&herald, listener, "alice", "secret", listener);
        ws.say(PING_IQ);
        let pong = ws.expect("type='result'");
        assert!(pong.contains("jabber:client"), "a stanza names its namespace itself (section 3.3.3): {pong}");
        ws.say(&format!("<close xmlns='{FRAMING}'/>"));
        ws.expect(&format!("<close xmlns='{FRAMING}'/>"));
        assert_eq!(ws.next().expect("a close frame").code(), 1000);
        take_leave(&mut ws, 1000);
    }
}

#[test]
fn the_handshake_is_refused_in_its_own_terms() {
    let herald = server("");
    let fine = handshake("/ws", "");
    for (what, request, status, says) in [
        ("another method", fine.replace("GET ", "POST "), 405, "Allow: GET"),
        ("HTTP/1.0", fine.replace("HTTP/1.1", "HTTP/1.0"), 400, ""),
        ("no version", fine.replace("Sec-WebSocket-Version: 13\r\n", ""), 426, "Sec-WebSocket-Version: 13"),
        ("another version", fine.replace("Version: 13", "Version: 8"), 426, "Sec-WebSocket-Version: 13"),
        ("no key", fine.replace("Sec-WebSocket-Key", "X-Key"), 400, ""),
        ("a key of 15 bytes", fine.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400, ""),
        ("no sub-protocol", fine.replace("Sec-WebSocket-Protocol: xmpp\r\n", ""), 400, ""),
        ("another sub-protocol", fine.replace(": xmpp", ": XMPP, chat"), 400, ""),
        ("no upgrade", fine.replace("Upgrade: websocket\r\n", ""), 426, "Upgrade: websocket"),
        ("another path", fine.replace("/ws", "/elsewhere"), 404, ""),
    ] {
        let mut ws = WebSocket::connect(&herald, "http");
        ws.send_raw(request.as_bytes());
        let head = ws.expect_head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {head}");
        assert!(head.contains(says) && head.contains("\r\nAccess-Control-Allow-Origin: *\r\n"), "{what}: {head}");
    }
}

#[test]
fn the_handshake_takes_what_browsers_and_other_servers_have() {
    let herald = server("");
    for (path, fields) in [
        ("/ws", "Origin: https://elsewhere.example\r\nCookie: a=b\r\n"),
        ("/xmpp-websocket", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        ("/ws?room=1", "Sec-WebSocket-Protocol: chat, superchat\r\n"),
    ] {
        let mut ws = WebSocket::connect(&herald, "http");
        ws.send_raw(handshake(path, fields).as_bytes());
        let head = ws.expect_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{path}: {head}");
        assert!(head.contains("Sec-WebSocket-Protocol: xmpp\r\n"), "{head}");
        assert!(!head.contains("Sec-WebSocket-Extensions"), "an offer is passed over: {head}");
        ws.open();
    }
}

#[test]
fn a_stream_is_opened_and_opened_again() {
    let herald = server("");
    let mut ws = WebSocket::upgrade(&herald, "http", "");
    // A declaration is not recommended, and no error (section 3.3.3); nor is space around the one element.
    ws.say(&format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<open xmlns='{FRAMING}' to='localhost' version='1.0'/>\n"
    ));
    let open = ws.expect(&format!("<open xmlns='{FRAMING}'"));
    for part in [" from='localhost'", " version='1.0'", " id='", " xml:lang='", "/>"] {
        assert!(open.contains(part), "{part}: {open}");
    }
    let features = ws.expect("<stream:features xmlns:stream='http://etherx.jabber.org/streams'>");
    assert!(!features.contains("starttls"), "TLS is not offered in here (section 3.9): {features}");
    ws.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>");
    ws.expect("<success");
    // Section 3.7: a restart is another <open/>, without a <close/> in between; it has another id.
    ws.say(&format!("<open xmlns='{FRAMING}' to='localhost' version='1.0'/>"));
    let again = ws.expect("<open ");
    let id = |open: &str| open.split(" id='").nth(1).and_then(|rest| rest.split('\'').next()).map(str::to_owned);
    assert!(id(&again).is_some() && id(&again) != id(&open), "{open} {again}");
    assert!(ws.expect("<stream:features").contains("<bind "));
}

#[test]
fn what_is_no_stream_is_a_stream_error() {
    let herald = server("");
    for (what, said, condition) in [
        ("white space", " ".to_owned(), "bad-format"),
        ("nothing", String::new(), "bad-format"),
        ("space before it", format!(" <open xmlns='{FRAMING}' to='localhost' version='1.0'/>"), "bad-format"),
        ("text", "hello".into(), "bad-format"),
        ("another namespace", "<open xmlns='jabber:client' to='localhost' version='1.0'/>".into(), "invalid-namespace"),
        ("a TCP stream", "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>".into(), "not-well-formed"),
        ("another host", format!("<open xmlns='{FRAMING}' to='other.example' version='1.0'/>"), "host-unknown"),
        ("no version", format!("<open xmlns='{FRAMING}' to='localhost'/>"), "unsupported-version"),
        ("two at once", format!("<open xmlns='{FRAMING}' to='localhost' version='1.0'/><a/>"), "not-well-formed"),
        ("an open tag", format!("<open xmlns='{FRAMING}' to='localhost' version='1.0'>"), "not-well-formed"),
        ("a stanza first", PING_IQ.into(), "bad-format"),
        ("a comment", "<!-- hello --><a/>".into(), "restricted-xml"),
        ("a DTD", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".into(), "restricted-xml"),
    ] {
        let mut ws = WebSocket::upgrade(&herald, "http", "");
        ws.say(&said);
        // Section 3.5: the header comes first, also before an error.
        let open = ws.expect("<open ");
        assert!(open.contains(FRAMING), "{what}");
        expect_error(&mut ws, condition, 1000);
    }
}

#[test]
fn white_space_is_no_keepalive_in_a_session() {
    let herald = server("");
    let mut ws = WebSocket::login(&herald, "http", "alice", "secret", "a");
    ws.say("\n");
    expect_error(&mut ws, "bad-format", 1000);
    let mut ws = WebSocket::login(&herald, "http", "alice", "secret", "a");
    ws.say(&format!("{PING_IQ}{PING_IQ}"));
    expect_error(&mut ws, "not-well-formed", 1000);
}

#[test]
fn fragments_and_control_frames_mix_at_every_cut() {
    let herald = server("");
    let mut ws = WebSocket::login(&herald, "http", "alice", "secret", "a");
    let stanza = PING_IQ.replace("'p'", "'\u{e4}\u{20ac}'");
    let bytes = stanza.as_bytes();
    for cut in 0..=bytes.len() {
        ws.send_raw(&frame(0x01, &bytes[..cut]));
        ws.send_raw(&frame(PING, format!("{cut}").as_bytes()));
        ws.send_raw(&frame(0x00, b""));
        ws.send_raw(&frame(PONG, b"nobody asked"));
        ws.send_raw(&frame(0x80, &bytes[cut..]));
        assert_eq!(ws.next(), Some(Frame { first: PONG, payload: format!("{cut}").into_bytes() }));
        assert!(ws.expect("type='result'").contains("id='\u{e4}\u{20ac}'"));
    }
    // The same in one piece that the network cuts where it likes.
    let whole = [frame(0x01, &bytes[..9]), frame(PING, b"x"), frame(0x80, &bytes[9..])].concat();
    for cut in 1..whole.len() {
        ws.send_raw(&whole[..cut]);
        ws.send_raw(&whole[cut..]);
        assert_eq!(ws.next().map(|f| f.first), Some(PONG));
        ws.expect("type='result'");
    }
}

#[test]
fn a_broken_carrier_ends_the_stream_with_the_code_that_says_why() {
    let herald = server("[limits]\nstanza_bytes_max = 20000\n");
    let big = "x".repeat(20_001);
    let unmasked = [&[TEXT, 5][..], b"<a/>\n"].concat();
    for (what, bytes, condition, code) in [
        ("binary", frame(0x82, b"<a/>"), "bad-format", 1003),
        ("no UTF-8", frame(TEXT, b"<a>\xff</a>"), "unsupported-encoding", 1007),
        (
            "no UTF-8, in a frame that never ends",
            frame(TEXT, b"<a>\xff</a>")[..9 + 1].to_vec(),
            "unsupported-encoding",
            1007,
        ),
        ("too large", frame(TEXT, big.as_bytes()), "policy-violation", 1009),
        ("the promise of too much", frame(TEXT, big.as_bytes())[..8].to_vec(), "policy-violation", 1009),
        (
            "too large in pieces",
            [frame(0x01, &big.as_bytes()[..19_000]), frame(0x00, &big.as_bytes()[..1_001])].concat(),
            "policy-violation",
            1009,
        ),
        ("a reserved bit", frame(0xc1, b"<a/>"), "bad-format", 1002),
        ("an unknown opcode", frame(0x83, b"<a/>"), "bad-format", 1002),
        ("no mask", unmasked, "bad-format", 1002),
        ("a continuation of nothing", frame(0x80, b"<a/>"), "bad-format", 1002),
        ("a fragmented ping", frame(0x09, b"x"), "bad-format", 1002),
        ("a close frame with half a code", frame(CLOSE, b"x"), "bad-format", 1002),
    ] {
        let mut ws = WebSocket::login(&herald, "http", "alice", "secret", "a");
        ws.send_raw(&bytes);
        let error = ws.expect("<stream:error");
        assert!(error.contains(&format!("<{condition} ")), "{what}: {error}");
        ws.expect("<close ");
        assert_eq!(ws.next().expect("a close frame").code(), code, "{what}");
        assert_eq!(ws.next(), None, "{what}: nothing is awaited from a peer that cannot be understood");
    }
}

#[test]
fn a_close_frame_is_answered_and_ends_the_connection() {
    let herald = server("");
    for (code, answer) in [(Some(1000), 1000), (Some(1001), 1001), (Some(4321), 4321), (None, 1000)] {
        let mut ws = WebSocket::login(&herald, "http", "alice", "secret", "a");
        let payload = code.map(|code: u16| code.to_be_bytes().to_vec()).unwrap_or_default();
        // What comes behind it is not looked at (RFC 6455 section 5.5.1).
        ws.send_raw(&[frame(CLOSE, &payload), frame(TEXT, PING_IQ.as_bytes())].concat());
        let rest = ws.rest();
        assert_eq!((rest.len(), rest[0].code()), (1, answer), "{rest:?}");
    }
}

#[test]
fn a_client_that_does_not_answer_the_close_frame_is_left() {
    let herald = server("");
    let mut ws = WebSocket::login(&herald, "https", "alice", "secret", "a");
    ws.say(&format!("<close xmlns='{FRAMING}'/>"));
    ws.expect("<close ");
    assert_eq!(ws.next().expect("a close frame").code(), 1000);
    // Stanzas that were under way are not an answer, and harm nobody.
    ws.say(PING_IQ);
    assert_eq!(ws.rest(), [], "the server leaves by itself");
}

#[test]
fn a_client_in_the_clear_is_sent_to_tls() {
    let herald = server("[websocket]\nhttps_only = true\n[http]\npublic_https = \"https://chat.example:8443\"\n");
    let mut ws = WebSocket::upgrade(&herald, "http", "");
    ws.say(&format!("<open xmlns='{FRAMING}' to='localhost' version='1.0'/>"));
    // Section 3.4: a <close/> may be the answer to an <open/>.
    ws.expect(&format!("<close xmlns='{FRAMING}' see-other-uri='wss://chat.example:8443/ws'/>"));
    assert_eq!(ws.next().expect("a close frame").code(), 1000);
    take_leave(&mut ws, 1000);
    WebSocket::login(&herald, "https", "alice", "secret", "a");

    let mut http = WebSocket::connect(&herald, "http");
    http.send_raw(b"GET /.well-known/host-meta.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    http.expect_head();
    let meta = http.rest_of_http();
    assert!(meta.contains("wss://chat.example:8443/ws") && !meta.contains("ws://localhost"), "{meta}");
}

#[test]
fn shutting_down_says_so_and_closes() {
    let herald = server("");
    let mut bound = WebSocket::login(&herald, "http", "alice", "secret", "a");
    let mut guest = WebSocket::upgrade(&herald, "http", "");
    guest.open();
    herald.signal(libc::SIGTERM);
    for ws in [&mut bound, &mut guest] {
        expect_error(ws, "system-shutdown", 1000);
    }
}
