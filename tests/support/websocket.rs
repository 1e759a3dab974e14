//! A WebSocket client that says what it is told to, frame by frame, and waits for what it expects.

use super::{Herald, PATIENCE};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// The framing namespace of RFC 7395.
pub const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";
/// Of RFC 6455 section 1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT: u8 = 0x81;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;

trait Io: Read + Write + Send {}
impl<T: Read + Write + Send> Io for T {}

/// One WebSocket, or a connection that is to become one.
pub struct WebSocket {
    io: Box<dyn Io>,
    /// What came and was not yet waited for.
    inbox: Vec<u8>,
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: FIN and the opcode.
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("UTF-8")
    }
    /// The code of a close frame.
    pub fn code(&self) -> u16 {
        assert_eq!(self.first, CLOSE, "a close frame: {self:?}");
        u16::from_be_bytes([self.payload[0], self.payload[1]])
    }
}

impl WebSocket {
    /// A connection to the listener that has said nothing: `http`, or `https` under TLS.
    pub fn connect(herald: &Herald, listener: &str) -> WebSocket {
        let socket = TcpStream::connect(herald.address(listener)).expect("the listener accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("an option");
        let io: Box<dyn Io> = if listener == "https" { Box::new(under_tls(herald, socket)) } else { Box::new(socket) };
        WebSocket { io, inbox: Vec::new() }
    }

    /// An open WebSocket at `/ws`, with further header fields in the handshake.
    pub fn upgrade(herald: &Herald, listener: &str, fields: &str) -> WebSocket {
        let mut ws = WebSocket::connect(herald, listener);
        ws.send_raw(handshake("/ws", fields).as_bytes());
        let answer = ws.expect_head();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let accept = format!("\r\nSec-WebSocket-Accept: {ACCEPT}\r\n");
        assert!(answer.contains(&accept) && answer.contains("\r\nSec-WebSocket-Protocol: xmpp\r\n"), "{answer}");
        ws
    }

    /// Logged in with PLAIN and bound, over the listener.
    pub fn login(herald: &Herald, listener: &str, uid: &str, password: &str, resource: &str) -> WebSocket {
        let mut ws = WebSocket::upgrade(herald, listener, "");
        let plain = BASE64_STANDARD.encode(format!("\0{uid}\0{password}"));
        ws.open();
        ws.say(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"));
        ws.expect("<success");
        ws.open();
        ws.say(&format!(
            "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ));
        ws.expect("<jid>");
        ws
    }

    /// Opens a stream, or opens it again, and waits for its features.
    pub fn open(&mut self) -> String {
        self.say(&format!("<open xmlns='{FRAMING}' to='localhost' version='1.0'/>"));
        self.expect("<open ");
        self.expect("<stream:features")
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).expect("the peer reads");
        self.io.flush().expect("the peer reads");
    }

    /// Sends a text message in one frame.
    pub fn say(&mut self, text: &str) {
        self.send_raw(&frame(TEXT, text.as_bytes()));
    }

    /// The next frame must be a text that contains this; returns it.
    #[track_caller]
    pub fn expect(&mut self, wanted: &str) -> String {
        let frame = self.next().unwrap_or_else(|| panic!("waited for {wanted:?}, got the end"));
        assert_eq!(frame.first, TEXT, "waited for {wanted:?}: {frame:?}");
        let text = frame.text().to_owned();
        assert!(text.contains(wanted), "waited for {wanted:?}, got {text:?}");
        text
    }

    /// All frames until the server closes the connection.
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The next frame; `None` when the connection ends in between.
    pub fn next(&mut self) -> Option<Frame> {
        if !self.fill(2) {
            assert!(self.inbox.is_empty(), "half a frame: {:?}", self.inbox);
            return None;
        }
        let short = self.inbox[1] as usize;
        assert!(short < 0x80, "a server does not mask");
        let at = match short {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        assert!(self.fill(at), "half a frame");
        let len = match at {
            2 => short,
            _ => self.inbox[2..at].iter().fold(0, |n, b| n << 8 | *b as usize),
        };
        assert!(self.fill(at + len), "half a frame");
        let payload = self.inbox[at..at + len].to_vec();
        let first = self.inbox[0];
        self.inbox.drain(..at + len);
        Some(Frame { first, payload })
    }

    /// The head of an HTTP response.
    pub fn expect_head(&mut self) -> String {
        loop {
            if let Some(at) = self.inbox.windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = self.inbox.split_off(at + 4);
                let head = std::mem::replace(&mut self.inbox, rest);
                return String::from_utf8(head).expect("ASCII");
            }
            assert!(self.fill(self.inbox.len() + 1), "half a head: {:?}", String::from_utf8_lossy(&self.inbox));
        }
    }

    /// All there is until the server closes the connection, as text.
    pub fn rest_of_http(&mut self) -> String {
        while self.fill(self.inbox.len() + 1) {}
        String::from_utf8(std::mem::take(&mut self.inbox)).expect("UTF-8")
    }

    /// Reads until so many bytes are there; false when the connection ends before.
    fn fill(&mut self, len: usize) -> bool {
        while self.inbox.len() < len {
            let mut buf = [0; 16 * 1024];
            match self.io.read(&mut buf) {
                Ok(0) => return false,
                Ok(n) => self.inbox.extend_from_slice(&buf[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return false,
                Err(e) => panic!("the server neither answers nor hangs up: {e}; got {:?}", self.inbox),
            }
        }
        true
    }
}

/// A WebSocket handshake with further header fields.
pub fn handshake(path: &str, fields: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n{fields}\r\n"
    )
}

/// A frame as a client sends it, masked.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(0x80 | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let mask = [0x12, 0x34, 0x56, 0x78];
    out.extend(mask);
    out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i & 3]));
    out
}

/// A connection under TLS; the certificate of development is trusted.
pub fn under_tls(herald: &Herald, socket: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
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
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a client"), socket)
}
