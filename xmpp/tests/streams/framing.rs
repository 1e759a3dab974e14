//! Bytes to pieces, for TCP and WebSocket, and stream errors on the wire.

use expect_test::expect;
use herald_xmpp::stream::tcp::{self, Piece, Reader};
use herald_xmpp::stream::ws::{self, Message};
use herald_xmpp::stream::{Condition, Open, StreamError};
use herald_xmpp::xml::{Element, Limits, Scope, XmlError, check};

const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// Every piece in short, or the error at the end; bytes come in portions of that size.
fn read(bytes: &[u8], portion: usize, limits: &Limits) -> Vec<String> {
    let mut reader = Reader::new();
    let mut out = vec![];
    for portion in bytes.chunks(portion) {
        let mut new = portion;
        loop {
            match reader.push(new, limits) {
                Ok(Some((piece, used))) => {
                    out.push(match piece {
                        Piece::Open(open) => format!("open {}", open.to.unwrap_or_default()),
                        Piece::Element(xml, _) => xml.to_owned(),
                        Piece::Close => "close".into(),
                    });
                    new = &new[used..];
                }
                Ok(None) => break,
                Err(e) => {
                    out.push(format!("error {}", e.condition.name()));
                    assert_eq!(reader.push(b"<more/>", limits), Ok(None), "nothing is read after an error");
                    return out;
                }
            }
        }
    }
    out
}

#[test]
fn streams() {
    let limits = Limits { bytes_max: 256, depth_max: 8, ..Limits::DEFAULT };
    let big = format!("{HEADER}<a>{}</a>", "x".repeat(300));
    let deep = format!("{HEADER}{}", "<a>".repeat(9));
    let stream = |rest: &str| format!("{HEADER}{rest}");
    let (one, late_close) = (stream("<presence/>"), stream("</stream:stream><presence/>garbage"));
    let table: &[(&[u8], &[&str])] = &[
        (one.as_bytes(), &["open localhost", "<presence/>"]),
        (b"<?xml version='1.0'?>\n<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", &["open "]),
        (b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?><stream xmlns='http://etherx.jabber.org/streams'></stream >", &["open ", "close"]),
        (b" \r\n\t<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'> </stream:stream>", &["open ", "close"]),
        (late_close.as_bytes(), &["open localhost", "close"]),
        (stream(" \n <message><body>a &gt; b</body></message>\n<iq/> ").leak().as_bytes(), &["open localhost", "<message><body>a &gt; b</body></message>", "<iq/>"]),
        (stream("<a><![CDATA[</a>]]></a>").leak().as_bytes(), &["open localhost", "<a><![CDATA[</a>]]></a>"]),
        // What is refused.
        (b"GET / HTTP/1.1", &["error not-well-formed"]),
        (b"\x16\x03\x01", &["error not-well-formed"]),
        (b"\xff\xfe<\0", &["error unsupported-encoding"]),
        (b"<?xml version='1.0' encoding='latin1'?>", &["error unsupported-encoding"]),
        (b"<?xml version='1.1'?>", &["error not-well-formed"]),
        (b"<!DOCTYPE x>", &["error restricted-xml"]),
        (b"<!-- x -->", &["error restricted-xml"]),
        (b"<?php ?>", &["error restricted-xml"]),
        (b"<stream:stream xmlns:stream='urn:x'>", &["error invalid-namespace"]),
        (b"<stream>", &["error invalid-namespace"]),
        (b"<stream:x xmlns:stream='http://etherx.jabber.org/streams'>", &["error bad-format"]),
        (b"<stream:stream>", &["error not-well-formed"]),
        (b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>", &["error not-well-formed"]),
        (b"<stream:stream a='1' a='2' xmlns:stream='http://etherx.jabber.org/streams'>", &["error not-well-formed"]),
        (stream("text").leak().as_bytes(), &["open localhost", "error not-well-formed"]),
        (stream("<a>&nbsp;</a>").leak().as_bytes(), &["open localhost", "error not-well-formed"]),
        (stream("<a></b>").leak().as_bytes(), &["open localhost", "error not-well-formed"]),
        (stream("<x:a/>").leak().as_bytes(), &["open localhost", "error not-well-formed"]),
        (stream("</stream>").leak().as_bytes(), &["open localhost", "error not-well-formed"]),
        (stream("<!-- x -->").leak().as_bytes(), &["open localhost", "error restricted-xml"]),
        (stream("<a><!-- x --></a>").leak().as_bytes(), &["open localhost", "error restricted-xml"]),
        (stream("<?xml version='1.0'?>").leak().as_bytes(), &["open localhost", "error restricted-xml"]),
        (big.as_bytes(), &["open localhost", "error policy-violation"]),
        (deep.as_bytes(), &["open localhost", "error policy-violation"]),
    ];
    for (bytes, expected) in table {
        for portion in [1, 2, 7, 4096] {
            assert_eq!(read(bytes, portion, &limits), *expected, "{} by {portion}", String::from_utf8_lossy(bytes));
        }
    }
    let bad_utf8 = [HEADER.as_bytes(), b"<a>\xff</a>"].concat();
    assert_eq!(read(&bad_utf8, 4096, &limits), ["open localhost", "error unsupported-encoding"]);
}

#[test]
fn an_idle_reader_owns_no_buffer() {
    let mut reader = Reader::new();
    let mut pieces = 0;
    for part in [&HEADER[..20], &HEADER[20..], "<message><body>", "</body>", "</message> "] {
        let mut new = part.as_bytes();
        while let Some((_, used)) = reader.push(new, &Limits::DEFAULT).unwrap() {
            pieces += 1;
            new = &new[used..];
        }
    }
    assert_eq!(pieces, 2);
    assert!(!reader.pending());
    assert!(format!("{reader:?}").contains("kept: []"), "{reader:?}");
    assert!(size_of::<Reader>() <= 80, "{}", size_of::<Reader>());
}

#[test]
fn a_restart_forgets_the_header() {
    let mut reader = Reader::new();
    let header = HEADER.replace("jabber:client", "urn:other");
    let scope_of = |reader: &mut Reader, xml: &str| match reader.push(xml.as_bytes(), &Limits::DEFAULT).unwrap() {
        Some((Piece::Element(_, scope), _)) => scope.clone(),
        other => panic!("{other:?}"),
    };
    reader.push(header.as_bytes(), &Limits::DEFAULT).unwrap();
    assert_eq!(scope_of(&mut reader, "<a/>").default_ns(), "urn:other");
    reader.restart();
    let error = reader.push(b"<a/>", &Limits::DEFAULT).unwrap_err();
    assert_eq!(error.condition, Condition::NotWellFormed, "a header must come first");
    reader.restart();
    // White space left over from before the restart does not spoil the declaration.
    let again = format!("\n<?xml version='1.0'?>{HEADER}");
    assert!(matches!(reader.push(again.as_bytes(), &Limits::DEFAULT), Ok(Some((Piece::Open(_), _)))));
    assert_eq!(scope_of(&mut reader, "<a/>"), Scope::CLIENT);
}

fn ours() -> Open {
    Open {
        to: Some("juliet@localhost".into()),
        from: Some("localhost".into()),
        id: Some("<'&".into()),
        lang: Some("en".into()),
        version: Some((1, 0)),
        xmlns: "jabber:client".into(),
    }
}

#[test]
fn what_is_written_can_be_read() {
    let mut out = vec![];
    tcp::write_open(&ours(), &mut out);
    let mut reader = Reader::new();
    assert_eq!(reader.push(&out, &Limits::DEFAULT), Ok(Some((Piece::Open(ours()), out.len()))));
    let mut end = vec![];
    tcp::write_close(&mut end);
    assert_eq!(reader.push(&end, &Limits::DEFAULT), Ok(Some((Piece::Close, end.len()))));

    let mut out = vec![];
    ws::write_open(&ours(), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(ws::read(&text, &Limits::DEFAULT), Ok(Message::Open(ours())));
    for uri in [None, Some("wss://example.com/?a&b")] {
        let mut out = vec![];
        ws::write_close(uri, &mut out);
        let text = String::from_utf8(out).unwrap();
        let expected = Message::Close { see_other_uri: uri.map(Into::into) };
        assert_eq!(ws::read(&text, &Limits::DEFAULT), Ok(expected));
    }
}

#[test]
fn websocket_messages() {
    let table = [
        ("<presence xmlns='jabber:client'/>", "<presence xmlns='jabber:client'/>"),
        ("<?xml version='1.0'?><a/>", "<a/>"),
        ("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>", "open"),
        ("<f:open xmlns:f='urn:ietf:params:xml:ns:xmpp-framing'></f:open>", "open"),
        ("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "close"),
        ("", "bad-format"),
        (" <a/>", "bad-format"),
        ("x", "bad-format"),
        ("<open/>", "invalid-namespace"),
        ("<open xmlns='jabber:client'/>", "invalid-namespace"),
        ("<close xmlns='urn:x'/>", "invalid-namespace"),
        ("<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", "not-well-formed"),
        ("<a/><b/>", "not-well-formed"),
        ("<a>", "not-well-formed"),
        ("<stream:features/>", "not-well-formed"),
        ("<!-- x --><a/>", "restricted-xml"),
        ("<?xml version='1.0' encoding='utf-16'?><a/>", "unsupported-encoding"),
        ("<?xml version='1.0'", "not-well-formed"),
    ];
    for (text, expected) in table {
        let found = match ws::read(text, &Limits::DEFAULT) {
            Ok(Message::Open(_)) => "open".into(),
            Ok(Message::Close { .. }) => "close".into(),
            Ok(Message::Element(xml, scope)) => {
                assert_eq!(*scope, Scope::NONE);
                xml.to_owned()
            }
            Err(e) => e.condition.name().to_owned(),
        };
        assert_eq!(found, expected, "{text}");
    }
    let limits = Limits { bytes_max: 8, ..Limits::DEFAULT };
    assert_eq!(ws::read("<a>xxxxxx</a>", &limits).unwrap_err().condition, Condition::PolicyViolation);
}

#[test]
fn versions() {
    for (text, expected) in [
        ("1.0", Some((1, 0))),
        ("01.00", Some((1, 0))),
        ("12.345", Some((12, 345))),
        ("1", Some((0, 0))),
        ("+1.0", Some((0, 0))),
        ("1.", Some((0, 0))),
        ("1.0.0", Some((0, 0))),
        ("99999.0", Some((0, 0))),
        ("x", Some((0, 0))),
    ] {
        let text = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='{text}'/>");
        let Ok(Message::Open(open)) = ws::read(&text, &Limits::DEFAULT) else { panic!("{text}") };
        assert_eq!(open.version, expected, "{text}");
    }
}

#[test]
fn every_stream_error_is_well_formed_in_and_out_of_a_stream() {
    assert_eq!(Condition::ALL.len(), 25);
    for condition in Condition::ALL {
        let error = match condition {
            Condition::SeeOtherHost => StreamError::see_other_host("[::1]:5222"),
            other => StreamError::new(*other).with_text("a < b & c"),
        };
        for (prefix_bound, scope) in [(true, Scope::CLIENT), (false, Scope::NONE)] {
            let mut out = vec![];
            error.write(prefix_bound, &mut out);
            let text = String::from_utf8(out).unwrap();
            check(&text, &scope, &Limits::DEFAULT).unwrap();
            let read = Element::parse(&text, &scope).unwrap();
            assert!(read.is("error", "http://etherx.jabber.org/streams"));
            let child = read.child(condition.name(), "urn:ietf:params:xml:ns:xmpp-streams").unwrap();
            assert_eq!(child.text(), error.host.as_deref().unwrap_or_default());
            let said = read.child("text", "urn:ietf:params:xml:ns:xmpp-streams");
            assert_eq!(said.map(|t| t.text().into_owned()).as_deref(), error.text.as_deref());
        }
    }
    let mut out = vec![];
    StreamError::new(Condition::Conflict).write(false, &mut out);
    expect!["<stream:error xmlns:stream='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"].assert_eq(&String::from_utf8(out).unwrap());
}

#[test]
fn faults_of_the_xml_are_stream_errors() {
    for (fault, expected) in [
        (XmlError::NotWellFormed("x"), "not-well-formed"),
        (XmlError::UnboundPrefix, "not-well-formed"),
        (XmlError::Restricted("x"), "restricted-xml"),
        (XmlError::BadUtf8, "unsupported-encoding"),
        (XmlError::UnsupportedEncoding, "unsupported-encoding"),
        (XmlError::TooLarge, "policy-violation"),
        (XmlError::TooDeep, "policy-violation"),
        (XmlError::TooMany("x"), "policy-violation"),
    ] {
        let error = StreamError::from(fault);
        assert_eq!(error.condition.name(), expected);
        assert_eq!(error.text.as_deref(), Some(fault.to_string().as_str()));
    }
}
