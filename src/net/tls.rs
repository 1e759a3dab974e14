//! TLS without buffers: rustls' unbuffered API, so that a quiet connection keeps keys and nothing else.
//!
//! The caller lends the bytes it read; plaintext and bytes to send are appended to vectors of the
//! caller's. Only a record that has not wholly arrived is kept here.

use hmac::{Hmac, KeyInit, Mac};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use rustls::{KeyLog, ProtocolVersion, ServerConfig, SupportedCipherSuite};
use sha2::{Digest, Sha256, Sha384};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Room made for one record of ours before its exact size is known, bytes.
const RECORD_ROOM_BYTES: usize = 512;

/// The server's side of one TLS connection.
pub(crate) struct Tls {
    conn: UnbufferedServerConnection,
    partial: Vec<u8>,
    exporter: Option<Box<[u8; 32]>>,
    /// Plaintext that came with the end of the handshake, until it is read.
    pub(crate) early: Vec<u8>,
}

/// Where the connection stands after some bytes were taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Progress {
    /// The handshake wants more bytes.
    Handshaking,
    /// Application data may flow.
    Open,
    /// The peer said good-bye (close_notify): nothing more will come.
    Closed,
}

impl Tls {
    /// Ready for a ClientHello. The configuration comes from [`with_exporter`], or there is no -PLUS.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Tls, rustls::Error> {
        Ok(Tls {
            conn: UnbufferedServerConnection::new(config)?,
            partial: Vec::new(),
            exporter: None,
            early: Vec::new(),
        })
    }

    /// Takes ciphertext (`got` is scratch: it is overwritten), appends what it decrypts to `plain`
    /// and what must be sent to `out`. After an error `out` holds the alert, and only sending it is left.
    pub(crate) fn take(
        &mut self,
        got: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, rustls::Error> {
        let done = if self.partial.is_empty() {
            self.turn(got, plain, out).map(|(used, progress)| {
                self.partial = got[used..].to_vec();
                progress
            })
        } else {
            let mut all = std::mem::take(&mut self.partial);
            all.extend_from_slice(got);
            self.turn(&mut all, plain, out).map(|(used, progress)| {
                all.drain(..used);
                self.partial = if all.is_empty() { Vec::new() } else { all };
                progress
            })
        };
        done.inspect_err(|_| self.alert(out))
    }

    /// Appends `data` as TLS records to `out`.
    pub(crate) fn encrypt(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), rustls::Error> {
        self.write_state(out, |traffic, room| traffic.encrypt(data, room), data.len() + RECORD_ROOM_BYTES)
    }

    /// Appends the good-bye of TLS (close_notify) to `out`.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        // A connection that cannot say good-bye any more is closed all the same.
        let _ = self.write_state(out, |traffic, room| traffic.queue_close_notify(room), RECORD_ROOM_BYTES);
    }

    /// The 32 bytes that bind SASL to this channel (RFC 9266, tls-exporter), once the handshake is done;
    /// `None` with TLS 1.2, where they would need the extended master secret.
    pub(crate) fn exporter(&self) -> Option<[u8; 32]> {
        self.exporter.as_deref().copied()
    }

    /// Forgets what only the login needed.
    pub(crate) fn forget_exporter(&mut self) {
        self.exporter = None;
    }

    /// Runs the records at the start of `bytes`; says how many bytes they were.
    fn turn(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Progress), rustls::Error> {
        let mut at = 0;
        let mut closed = false;
        EXPORTER_SECRET.with(|s| s.borrow_mut().take());
        let progress = loop {
            let UnbufferedStatus { mut discard, state, .. } = self.conn.process_tls_records(&mut bytes[at..]);
            let mut stop = None;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        plain.extend_from_slice(record.payload);
                        discard += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(out, RECORD_ROOM_BYTES, |room| data.encode(room))?;
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                ConnectionState::BlockedHandshake => stop = Some(Progress::Handshaking),
                ConnectionState::WriteTraffic(_) => {
                    stop = Some(if closed { Progress::Closed } else { Progress::Open });
                }
                ConnectionState::PeerClosed => closed = true,
                ConnectionState::Closed => stop = Some(Progress::Closed),
                // We never allow early data, so that nothing can be replayed.
                _ => return Err(rustls::Error::General("early data was not offered".into())),
            }
            at += discard;
            if let Some(progress) = stop {
                break progress;
            }
        };
        self.derive_exporter();
        Ok((at, progress))
    }

    /// The alert that rustls queued for the peer when it failed.
    fn alert(&mut self, out: &mut Vec<u8>) {
        loop {
            match self.conn.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if append(out, RECORD_ROOM_BYTES, |room| data.encode(room)).is_err() {
                        return;
                    }
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => sent.done(),
                _ => return,
            }
        }
    }

    fn write_state(
        &mut self,
        out: &mut Vec<u8>,
        mut write: impl FnMut(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
        room: usize,
    ) -> Result<(), rustls::Error> {
        // The partial record waits elsewhere: nothing new is read here, only the right to write is asked for.
        loop {
            match self.conn.process_tls_records(&mut []).state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return append(out, room, |room| write(&mut traffic, room));
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(out, RECORD_ROOM_BYTES, |room| data.encode(room))?;
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                ConnectionState::PeerClosed => {}
                _ => return Err(rustls::Error::HandshakeNotComplete),
            }
        }
    }

    fn derive_exporter(&mut self) {
        let Some(secret) = EXPORTER_SECRET.with(|s| s.borrow_mut().take()) else { return };
        if self.conn.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return;
        }
        let Some(SupportedCipherSuite::Tls13(suite)) = self.conn.negotiated_cipher_suite() else { return };
        self.exporter = match suite.common.hash_provider.output_len() {
            32 => Some(Box::new(export::<Sha256, Hmac<Sha256>>(&secret))),
            48 => Some(Box::new(export::<Sha384, Hmac<Sha384>>(&secret))),
            _ => None,
        };
    }
}

/// The errors of rustls that say "make room and ask again".
trait NeedsRoom {
    fn required(&self) -> Option<usize>;
    fn into_tls(self) -> rustls::Error;
}

impl NeedsRoom for EncodeError {
    fn required(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncodeError::AlreadyEncoded => None,
        }
    }
    fn into_tls(self) -> rustls::Error {
        rustls::Error::General(self.to_string())
    }
}

impl NeedsRoom for EncryptError {
    fn required(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            EncryptError::EncryptExhausted => None,
        }
    }
    fn into_tls(self) -> rustls::Error {
        rustls::Error::General(self.to_string())
    }
}

fn append<E: NeedsRoom>(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), rustls::Error> {
    let at = out.len();
    out.resize(at + room, 0);
    let mut wrote = write(&mut out[at..]);
    if let Some(required) = wrote.as_ref().err().and_then(NeedsRoom::required) {
        out.resize(at + required, 0);
        wrote = write(&mut out[at..]);
    }
    out.truncate(at + *wrote.as_ref().unwrap_or(&0));
    wrote.map(drop).map_err(NeedsRoom::into_tls)
}

thread_local! {
    /// The exporter secret of the handshake that just ended on this thread: rustls' unbuffered API has
    /// no `export_keying_material`, but tells its key log while `process_tls_records` runs.
    static EXPORTER_SECRET: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct ExporterSecret;

impl KeyLog for ExporterSecret {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if label == "EXPORTER_SECRET" {
            EXPORTER_SECRET.with(|s| *s.borrow_mut() = Some(secret.to_vec()));
        }
    }
    fn will_log(&self, label: &str) -> bool {
        label == "EXPORTER_SECRET"
    }
}

impl fmt::Debug for ExporterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterSecret")
    }
}

/// A copy of the configuration whose connections learn their exporter, for SCRAM-...-PLUS.
pub(crate) fn with_exporter(config: &ServerConfig) -> Arc<ServerConfig> {
    let mut config = config.clone();
    config.key_log = Arc::new(ExporterSecret);
    Arc::new(config)
}

/// RFC 8446 section 7.5 for the label of RFC 9266 section 4.2, with an empty context: 32 bytes.
fn export<D: Digest, M: Mac + KeyInit>(secret: &[u8]) -> [u8; 32] {
    let empty = D::digest(b"");
    let derived = expand_label::<M>(secret, b"EXPORTER-Channel-Binding", &empty, empty.len());
    let bytes = expand_label::<M>(&derived, b"exporter", &empty, 32);
    let mut out = [0; 32];
    out.copy_from_slice(&bytes[..32]);
    out
}

/// HKDF-Expand-Label for at most one block of output (RFC 8446 section 7.1).
fn expand_label<M: Mac + KeyInit>(secret: &[u8], label: &[u8], context: &[u8], len: usize) -> Vec<u8> {
    // A key of any length is a key for HMAC, so this never fails.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else { return vec![0; len] };
    mac.update(&(len as u16).to_be_bytes());
    mac.update(&[6 + label.len() as u8]);
    mac.update(b"tls13 ");
    mac.update(label);
    mac.update(&[context.len() as u8]);
    mac.update(context);
    mac.update(&[1]);
    mac.finalize().into_bytes()[..len].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::io::{Read, Write};

    fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (with_exporter(&server), Arc::new(client))
    }

    /// Shakes hands, feeding the server `step` bytes at a time.
    fn connect(step: usize) -> (Tls, ClientConnection) {
        let (server, client) = configs();
        let mut tls = Tls::new(server).unwrap();
        let mut client = ClientConnection::new(client, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut progress = Progress::Handshaking;
        while client.is_handshaking() || progress == Progress::Handshaking {
            let mut up = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut up).unwrap();
            }
            let (mut plain, mut down) = (Vec::new(), Vec::new());
            for part in up.chunks_mut(step) {
                progress = tls.take(part, &mut plain, &mut down).unwrap();
            }
            let mut down = &down[..];
            while !down.is_empty() {
                client.read_tls(&mut down).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        (tls, client)
    }

    #[test]
    fn both_ends_derive_the_same_exporter() {
        let (tls, client) = connect(4096);
        let theirs = client.export_keying_material([0u8; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap();
        assert_eq!(tls.exporter(), Some(theirs));
    }

    #[test]
    fn data_passes_both_ways_at_any_cut_and_nothing_is_kept() {
        for step in [1, 7, 64, 4096] {
            let (mut tls, mut client) = connect(step);
            let sent: Vec<u8> = (0..40_000u32).map(|i| i as u8).collect();
            client.writer().write_all(&sent).unwrap();
            let mut up = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut up).unwrap();
            }
            let (mut plain, mut out) = (Vec::new(), Vec::new());
            for part in up.chunks_mut(step) {
                assert_eq!(tls.take(part, &mut plain, &mut out).unwrap(), Progress::Open);
            }
            assert_eq!(plain, sent);
            assert_eq!(tls.partial.capacity(), 0);

            tls.encrypt(&sent, &mut out).unwrap();
            tls.close(&mut out);
            let mut down = &out[..];
            let mut back = Vec::new();
            while !down.is_empty() {
                client.read_tls(&mut down).unwrap();
                client.process_new_packets().unwrap();
                // The good-bye of TLS ends the reading; before it, an empty buffer is WouldBlock.
                let _ = client.reader().read_to_end(&mut back);
            }
            assert_eq!(back, sent);
        }
    }

    #[test]
    fn garbage_is_an_error_with_an_alert() {
        let (server, _) = configs();
        let mut tls = Tls::new(server).unwrap();
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let mut bytes = b"<stream:stream xmlns='jabber:client'>".to_vec();
        assert!(tls.take(&mut bytes, &mut plain, &mut out).is_err());
        assert_eq!(out.first(), Some(&21), "a TLS alert record");
    }
}
