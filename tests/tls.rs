//! TLS at the edges that a library's own client never shows.

mod support;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use support::{Herald, PATIENCE};

/// Shakes hands and says `data` in the very segment that ends the handshake; returns what comes until
/// `wanted` does.
fn say_at_once(herald: &Herald, listener: &str, data: &str, wanted: &str) -> String {
    let mut roots = RootCertStore::empty();
    let file = herald.data_dir().join("dev-cert.pem");
    roots.add(CertificateDer::from_pem_file(file).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
    tls.writer().write_all(data.as_bytes()).expect("it is kept until the handshake is done");
    let mut socket = TcpStream::connect(herald.address(listener)).expect("the listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut got = String::new();
    while !got.contains(wanted) {
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight).expect("memory");
        }
        socket.write_all(&flight).expect("the server reads");
        let came = tls.read_tls(&mut socket).unwrap_or_else(|e| panic!("waited for {wanted:?}, got {got:?}: {e}"));
        assert!(came > 0, "waited for {wanted:?}, got {got:?} and the end");
        tls.process_new_packets().expect("TLS");
        let mut plain = Vec::new();
        match tls.reader().read_to_end(&mut plain) {
            Ok(_) => {}
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock, "{e}"),
        }
        got += &String::from_utf8_lossy(&plain);
    }
    got
}

#[test]
fn a_request_right_behind_the_handshake_is_answered() {
    let herald = Herald::start();
    let request = "GET /.well-known/host-meta HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = say_at_once(&herald, "https", request, "</XRD>");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_stream_header_right_behind_the_handshake_is_answered() {
    let herald = Herald::start();
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                  to='localhost' version='1.0'>";
    let answer = say_at_once(&herald, "xmpps", header, "</stream:features>");
    assert!(answer.contains("SCRAM-SHA-256-PLUS") && !answer.contains("starttls"), "{answer}");
}
