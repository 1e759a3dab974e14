//! TLS at the edges that a library's own client never shows.

#![allow(clippy::disallowed_methods)] // it waits for a change, within a limit

mod support;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use support::{Herald, Home, PATIENCE};

/// The certificate that a handshake at the listener shows.
fn certificate_shown(herald: &Herald) -> CertificateDer<'static> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let seen = Arc::new(Seen::default());
    config.dangerous().set_certificate_verifier(seen.clone());
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut socket = TcpStream::connect(herald.address("https")).expect("the listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    tls.complete_io(&mut socket).expect_err("the verifier has seen enough");
    seen.0.lock().expect("nobody panicked").take().expect("a certificate")
}

/// A verifier that wants to know the certificate and nothing more.
#[derive(Debug, Default)]
struct Seen(Mutex<Option<CertificateDer<'static>>>);

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().expect("nobody panicked") = Some(certificate.clone().into_owned());
        Err(rustls::Error::General("seen".into()))
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("seen".into()))
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[test]
fn sighup_has_a_renewed_certificate_served() {
    let herald = Herald::start();
    let renewed = Home::new("").start();
    let old = certificate_shown(&herald);
    for file in ["dev-cert.pem", "dev-key.pem"] {
        std::fs::copy(renewed.data_dir().join(file), herald.data_dir().join(file)).expect("copied");
    }
    assert_eq!(certificate_shown(&herald), old, "nobody has said so yet");
    herald.signal(1);
    let begun = Instant::now();
    while certificate_shown(&herald) == old {
        assert!(begun.elapsed() < PATIENCE, "the old certificate is still shown");
    }
    assert_eq!(certificate_shown(&herald), certificate_shown(&renewed));
}

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
