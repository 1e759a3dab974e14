//! One HTTP connection under full control: the bytes that go out, the answers that come, how it ends.
//!
//! Whatever test it is for, every answer is held to what all of them must have (cases 02 and 09).

use crate::scene::Server;
use crate::support::PATIENCE;
use flate2::read::GzDecoder;
use herald_xmpp::ns;
use herald_xmpp::xml::{self, Element, Limits, Scope};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// The body of an answer that says nothing.
pub const EMPTY: &str = "<body xmlns='http://jabber.org/protocol/httpbind'/>";
/// The recoverable error: another connection has the request now.
pub const ERROR: &str = "<body type='error' xmlns='http://jabber.org/protocol/httpbind'/>";

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection.
pub struct Conn {
    socket: TcpStream,
    stream: Box<dyn Stream>,
    inbox: Vec<u8>,
    /// It runs as long as somebody talks to it.
    _server: Server,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Status line and fields.
    pub head: String,
    /// As it came over the wire.
    pub raw: Vec<u8>,
    /// Decoded.
    pub body: String,
}

impl Conn {
    /// A connection to the http listener.
    pub fn open(server: &Server) -> Conn {
        Conn::to(server, "http")
    }

    fn to(server: &Server, listener: &str) -> Conn {
        let socket = TcpStream::connect(server.herald().address(listener)).expect("the listener accepts");
        socket.set_nodelay(true).expect("no delay");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let stream = Box::new(socket.try_clone().expect("a second handle"));
        Conn { socket, stream, inbox: Vec::new(), _server: server.clone() }
    }

    /// A connection to the https listener.
    pub fn secure(server: &Server) -> Conn {
        let mut roots = RootCertStore::empty();
        let file = server.herald().data_dir().join("dev-cert.pem");
        roots.add(CertificateDer::from_pem_file(file).expect("a certificate")).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        let conn = Conn::to(server, "https");
        let stream = Box::new(StreamOwned::new(tls, conn.socket.try_clone().expect("a second handle")));
        Conn { stream, ..conn }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
        self.stream.flush().expect("the server reads");
    }

    /// One POST to `/http-bind`.
    pub fn post(&mut self, body: &str) {
        self.send(request("", body));
    }

    /// The next answer, within [`PATIENCE`].
    pub fn answer(&mut self) -> Answer {
        self.try_answer().unwrap_or_else(|| panic!("hung up on after {:?}", String::from_utf8_lossy(&self.inbox)))
    }

    /// The next answer; none when the server hangs up instead.
    pub fn try_answer(&mut self) -> Option<Answer> {
        loop {
            if let Some((answer, len)) = Answer::read(&self.inbox) {
                self.inbox.drain(..len);
                return Some(answer);
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }

    /// Reads until there are so many bytes, an incomplete answer perhaps.
    pub fn some(&mut self, bytes: usize) {
        while self.inbox.len() < bytes {
            assert_ne!(self.fill(), 0, "hung up");
        }
    }

    /// The server hangs up, and says nothing more.
    pub fn ends(&mut self) {
        assert_eq!(self.fill(), 0, "{:?}", String::from_utf8_lossy(&self.inbox));
    }

    /// Does something come within so long?
    pub fn comes_within(&mut self, time: Duration) -> bool {
        self.socket.set_read_timeout(Some(time)).expect("a timeout");
        let peeked = self.socket.peek(&mut [0]);
        self.socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        !matches!(peeked, Err(e) if e.kind() == ErrorKind::WouldBlock) || !self.inbox.is_empty()
    }

    /// Nothing comes for so long.
    #[track_caller]
    pub fn stays_silent(&mut self, time: Duration) {
        assert!(!self.comes_within(time), "{:?}", self.try_answer());
    }

    /// Something has come; it stays unread.
    pub fn has_come(&mut self) {
        assert_ne!(self.socket.peek(&mut [0]).expect("something comes"), 0, "hung up");
    }

    /// Closes its side only.
    pub fn half_close(&mut self) {
        self.socket.shutdown(Shutdown::Write).expect("open");
    }

    /// Cuts it as a host does that goes down: the peer gets a reset.
    pub fn reset(self) {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).expect("linger");
    }

    fn fill(&mut self) -> usize {
        let mut buf = [0; 16_384];
        match self.stream.read(&mut buf) {
            Ok(n) => {
                self.inbox.extend_from_slice(&buf[..n]);
                n
            }
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => 0,
            Err(e) => panic!("nothing came: {e}; before it {:?}", String::from_utf8_lossy(&self.inbox)),
        }
    }
}

/// A POST to `/http-bind` with more header fields, each `Name: value\r\n`.
pub fn request(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "POST /http-bind HTTP/1.1\r\nHost: localhost\r\nOrigin: https://elsewhere.example\r\n{fields}\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl Answer {
    /// The answer at the start of `bytes` and its length, when it is whole.
    fn read(bytes: &[u8]) -> Option<(Answer, usize)> {
        let head_len = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..head_len].to_vec()).expect("a head is ASCII");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, raw: Vec::new(), body: String::new() };
        let no_body = status == 204 || status < 200;
        let len = match answer.field("content-length") {
            Some(len) => len.parse().expect("a length"),
            None if no_body => 0,
            None => panic!("no Content-Length: {}", answer.head),
        };
        answer.raw = bytes.get(head_len..head_len + len)?.to_vec();
        answer.body = match answer.field("content-encoding") {
            None => String::from_utf8(answer.raw.clone()).expect("UTF-8"),
            Some("gzip") => {
                let mut text = String::new();
                GzDecoder::new(&answer.raw[..]).read_to_string(&mut text).expect("gzip of UTF-8");
                text
            }
            Some(other) => panic!("nobody asked for {other}"),
        };
        if status >= 200 {
            answer.has_what_all_have();
        }
        Some((answer, head_len + len))
    }

    /// Cases 02 and 09: from any origin, of one length, of a type, whole.
    fn has_what_all_have(&self) {
        assert_eq!(self.field("access-control-allow-origin"), Some("*"), "{}", self.head);
        assert_eq!(self.field("transfer-encoding"), None, "{}", self.head);
        if self.status != 204 {
            assert!(self.field("content-type").is_some(), "{}", self.head);
        }
        if self.body.starts_with("<body") {
            assert!(self.element().is("body", ns::HTTPBIND), "{}", self.body);
        }
    }

    /// A header field; its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        let first = found.next();
        assert_eq!(found.next(), None, "{name} twice: {}", self.head);
        first
    }

    /// The body, read as XML.
    pub fn element(&self) -> Element<'_> {
        let limits = Limits { bytes_max: usize::MAX, ..Limits::DEFAULT };
        xml::check(&self.body, &Scope::NONE, &limits).unwrap_or_else(|e| panic!("{e}: {}", self.body));
        Element::parse(&self.body, &Scope::NONE).expect("it was checked")
    }

    /// An attribute of the body.
    pub fn attr(&self, name: &str) -> Option<String> {
        self.element().attr(name).map(|value| value.into_owned())
    }

    /// It says this.
    #[track_caller]
    pub fn says(self, wanted: &str) -> Answer {
        assert!(self.body.contains(wanted), "{wanted:?} is not in {:?}", self.body);
        self
    }

    /// It does not say this.
    #[track_caller]
    pub fn omits(self, unwanted: &str) -> Answer {
        assert!(!self.body.contains(unwanted), "{unwanted:?} is in {:?}", self.body);
        self
    }

    /// 200, and this as its whole body.
    #[track_caller]
    pub fn is(self, body: &str) -> Answer {
        assert_eq!((self.status, self.body.as_str()), (200, body));
        self
    }

    /// The end of the session, by agreement.
    #[track_caller]
    pub fn closes(self) -> Answer {
        assert_eq!((self.status, self.attr("type"), self.attr("condition")), (200, Some("terminate".into()), None));
        self
    }

    /// 200, and the end of the session for this reason.
    #[track_caller]
    pub fn terminates(self, condition: &str) -> Answer {
        self.refuses(200, condition)
    }

    /// The end of the session for this reason, with this status.
    #[track_caller]
    pub fn refuses(self, status: u16, condition: &str) -> Answer {
        let said = (self.status, self.attr("type"), self.attr("condition"));
        assert_eq!(said, (status, Some("terminate".into()), Some(condition.into())), "{}", self.body);
        self
    }

    /// What `<body>`s of messages are in it, in order.
    pub fn messages(&self) -> Vec<String> {
        messages(&self.body)
    }
}

/// The text of every `<body>` of a message in there, in order.
pub fn messages(xml: &str) -> Vec<String> {
    let parts = xml.split("<body>").skip(1);
    parts.map(|rest| rest.split("</body>").next().unwrap_or_default().to_owned()).collect()
}
