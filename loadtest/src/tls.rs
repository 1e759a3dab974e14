//! The client's side of TLS, on rustls.

use anyhow::{Context, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Whom to trust.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The system's authorities.
    System,
    /// The certificates in this PEM file.
    File(std::path::PathBuf),
    /// Whoever answers.
    Anybody,
}

/// What all connections share.
pub struct Handshakes {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// One connection's TLS.
pub struct Tls(Box<ClientConnection>);

impl Handshakes {
    /// For connections to `host`, with `protocol` as ALPN.
    pub fn new(trust: &Trust, host: &str, protocol: &str) -> Result<Handshakes> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let mut config = match trust {
            Trust::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth()
            }
            trust => builder.with_root_certificates(roots(trust)?).with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host:?} is no name of a server"))?;
        Ok(Handshakes { config: Arc::new(config), name })
    }

    /// Begins a handshake.
    pub fn connect(&self) -> Result<Tls, rustls::Error> {
        let mut tls = ClientConnection::new(self.config.clone(), self.name.clone())?;
        tls.set_buffer_limit(None);
        Ok(Tls(Box::new(tls)))
    }
}

impl Tls {
    /// Takes what came from the server; adds what was in it to `plain`. True: the server has closed.
    pub fn receive(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) -> std::io::Result<bool> {
        let mut closed = false;
        while !wire.is_empty() && !closed {
            self.0.read_tls(&mut wire)?;
            let state = self.0.process_new_packets().map_err(std::io::Error::other)?;
            closed = state.peer_has_closed();
            let waiting = state.plaintext_bytes_to_read();
            if waiting > 0 {
                self.0.reader().take(waiting as u64).read_to_end(plain)?;
            }
        }
        Ok(closed)
    }

    /// Encrypts what is to be sent.
    pub fn send(&mut self, plain: &[u8]) -> std::io::Result<()> {
        self.0.writer().write_all(plain)
    }

    /// Writes what there is to the socket; false when it does not take everything.
    pub fn flush(&mut self, socket: &mut impl Write) -> std::io::Result<bool> {
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::File(file) => add_file(&mut roots, file).with_context(|| format!("--ca {}", file.display()))?,
        _ => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    Ok(roots)
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<()> {
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    Ok(())
}

/// Takes any certificate, but checks that the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
