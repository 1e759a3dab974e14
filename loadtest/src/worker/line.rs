//! A connection: bytes in, bytes out, TLS, and what carries the stanzas.

use super::session::Trouble;
use super::{NONE, Worker};
use crate::frame::{self, Kind};
use crate::target::Carrier;
use crate::tls::Tls;
use crate::xml::{self, Element, Next};
use crate::{http, talk};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mio::net::TcpStream;
use mio::{Interest, Token};
use std::io::{ErrorKind, Read, Write};
use std::mem::take;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

const FRAMING: &str = "urn:ietf:params:xml:ns:xmpp-framing";

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Connecting,
    /// WebSocket: the handshake was sent.
    Upgrading,
    /// TCP: the server's stream has not begun.
    Greeting,
    Open,
}

/// A connection.
pub struct Line {
    socket: TcpStream,
    pub session: u32,
    /// Which of the session's connections it is.
    pub slot: u8,
    phase: Phase,
    /// What came and is not whole.
    inbox: Vec<u8>,
    /// What the socket did not take yet.
    pub outbox: Vec<u8>,
    tls: Option<Tls>,
    /// The first pieces of a WebSocket message.
    #[allow(clippy::box_collection)] // one word for what is hardly ever there
    pieces: Option<Box<Vec<u8>>>,
}

impl Line {
    /// Has the connection end with a reset, so that its port is free at once.
    pub fn reset(&self) {
        // When it fails, the port is free a minute later.
        let _ = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }
}

impl Worker {
    /// Begins to connect.
    pub fn connect(&mut self, session: u32, slot: u8) -> Result<usize, Trouble> {
        let from = match self.setup.from.len() {
            0 => None,
            addresses => Some(self.setup.from[session as usize % addresses]),
        };
        let socket = socket_to(self.setup.address, from).map_err(Trouble::Connect)?;
        let entry = self.lines.vacant_entry();
        let key = entry.key();
        let mut socket = TcpStream::from_std(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(key), interest).map_err(Trouble::Connect)?;
        entry.insert(Line {
            socket,
            session,
            slot,
            phase: Phase::Connecting,
            inbox: Vec::new(),
            outbox: Vec::new(),
            tls: None,
            pieces: None,
        });
        self.sessions[session as usize].lines[usize::from(slot)] = key as u32;
        Ok(key)
    }

    /// Lets go of a connection.
    pub fn drop_line(&mut self, key: usize) {
        if let Some(mut line) = self.lines.try_remove(key) {
            let _ = self.poll.registry().deregister(&mut line.socket); // closing it does that, too
            self.sessions[line.session as usize].lines[usize::from(line.slot)] = NONE;
        }
    }

    /// Something happened on a connection.
    pub fn on_line(&mut self, key: usize, writable: bool, readable: bool, ends: bool) -> Result<(), Trouble> {
        if self.lines[key].phase == Phase::Connecting {
            let socket = &self.lines[key].socket;
            if let Some(e) = socket.take_error().map_err(Trouble::Connect)? {
                return Err(Trouble::Connect(e));
            }
            if socket.peer_addr().is_err() {
                return Ok(()); // it still connects
            }
            self.connected(key)?;
        }
        if writable {
            self.flush_line(key)?;
        }
        if readable {
            self.read(key, ends)?;
        }
        Ok(())
    }

    fn connected(&mut self, key: usize) -> Result<(), Trouble> {
        if let Some(tls) = self.tls.as_ref().filter(|_| self.setup.transport.tls_at_once()) {
            self.lines[key].tls = Some(tls.connect().map_err(Trouble::tls)?);
        }
        match self.setup.transport.carrier() {
            Carrier::Stream => self.open_stream(key),
            Carrier::Frames => {
                let nonce: [u8; 16] = [self.random().to_le_bytes(), self.random().to_le_bytes()]
                    .concat()
                    .try_into()
                    .expect("twice eight bytes");
                let (path, host) = (&self.setup.target.path, self.setup.target.authority());
                let line = &mut self.lines[key];
                line.phase = Phase::Upgrading;
                line.outbox.extend_from_slice(
                    format!(
                        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n",
                        BASE64_STANDARD.encode(nonce)
                    )
                    .as_bytes(),
                );
            }
            Carrier::Requests => self.lines[key].phase = Phase::Open,
        }
        self.flush_line(key)
    }

    /// Begins a stream, the first one or another.
    pub fn open_stream(&mut self, key: usize) {
        let domain = xml::escape(&self.setup.domain).into_owned();
        let line = &mut self.lines[key];
        if self.setup.transport.carrier() == Carrier::Frames {
            let open = format!("<open xmlns='{FRAMING}' to='{domain}' version='1.0'/>");
            let mask = self.random().to_le_bytes();
            let out = &mut self.lines[key].outbox;
            return frame::write(out, Kind::Text, open.as_bytes(), [mask[0], mask[1], mask[2], mask[3]]);
        }
        line.phase = Phase::Greeting;
        line.outbox.extend_from_slice(
            format!(
                "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xml:lang='en' \
                 xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
            )
            .as_bytes(),
        );
    }

    /// Begins TLS on a connection that had none.
    pub fn secure(&mut self, key: usize) -> Result<(), Trouble> {
        let tls = self.tls.as_ref().map(|tls| tls.connect().map_err(Trouble::tls)).transpose()?;
        self.lines[key].tls = tls;
        Ok(())
    }

    /// Puts a stanza, or the end of the stream, on a connection that is no BOSH.
    pub fn put(&mut self, key: usize, xml: &str) {
        let mask = self.random().to_le_bytes();
        let out = &mut self.lines[key].outbox;
        match self.setup.transport.carrier() {
            Carrier::Frames => frame::write(out, Kind::Text, xml.as_bytes(), [mask[0], mask[1], mask[2], mask[3]]),
            _ => out.extend_from_slice(xml.as_bytes()),
        }
    }

    /// Writes what there is, as far as the socket takes it.
    pub fn flush_line(&mut self, key: usize) -> Result<(), Trouble> {
        let Some(line) = self.lines.get_mut(key).filter(|line| line.phase != Phase::Connecting) else { return Ok(()) };
        if let Some(tls) = &mut line.tls {
            if !line.outbox.is_empty() {
                tls.send(&take(&mut line.outbox)).map_err(Trouble::Broken)?;
            }
            tls.flush(&mut line.socket).map_err(Trouble::Broken)?;
            return Ok(());
        }
        let mut written = 0;
        while written < line.outbox.len() {
            match line.socket.write(&line.outbox[written..]) {
                Ok(n) => written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // The reader sees the end of the connection, and what came before it.
                Err(_) => {
                    line.outbox = Vec::new();
                    return Ok(());
                }
            }
        }
        match written == line.outbox.len() {
            // Between two messages the buffer would be got again at once.
            true if self.chat.is_some() => line.outbox.clear(),
            true => line.outbox = Vec::new(),
            false => drop(line.outbox.drain(..written)),
        }
        Ok(())
    }

    fn read(&mut self, key: usize, ends: bool) -> Result<(), Trouble> {
        let (mut scratch, mut plain) = (take(&mut self.scratch), take(&mut self.plain));
        let read = self.read_into(key, ends, &mut scratch, &mut plain);
        (self.scratch, self.plain) = (scratch, plain);
        read
    }

    fn read_into(&mut self, key: usize, ends: bool, scratch: &mut [u8], plain: &mut Vec<u8>) -> Result<(), Trouble> {
        loop {
            let Some(line) = self.lines.get_mut(key) else { return Ok(()) };
            let n = match line.socket.read(scratch) {
                Ok(0) => return self.closed(key),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return self.closed(key),
                Err(e) => return Err(Trouble::Broken(e)),
            };
            match &mut line.tls {
                None => self.take(key, &scratch[..n])?,
                Some(tls) => {
                    plain.clear();
                    let closed = tls.receive(&scratch[..n], plain).map_err(Trouble::tls)?;
                    self.take(key, plain)?;
                    self.flush_line(key)?; // the handshake goes on
                    if closed {
                        return self.closed(key);
                    }
                }
            }
            if n < scratch.len() && !ends {
                return Ok(());
            }
        }
    }

    /// Takes bytes, behind those that were not whole.
    fn take(&mut self, key: usize, bytes: &[u8]) -> Result<(), Trouble> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(line) = self.lines.get_mut(key) else { return Ok(()) };
        if line.inbox.is_empty() {
            let used = self.consume(key, bytes)?;
            if let Some(line) = self.lines.get_mut(key).filter(|_| used < bytes.len()) {
                line.inbox = bytes[used..].to_vec();
            }
            return Ok(());
        }
        let mut inbox = take(&mut line.inbox);
        inbox.extend_from_slice(bytes);
        let used = self.consume(key, &inbox)?;
        if let Some(line) = self.lines.get_mut(key).filter(|_| used < inbox.len()) {
            inbox.drain(..used);
            line.inbox = inbox;
        }
        Ok(())
    }

    /// Sees to what is whole; says how many bytes that was.
    fn consume(&mut self, key: usize, bytes: &[u8]) -> Result<usize, Trouble> {
        match (self.setup.transport.carrier(), self.lines[key].phase) {
            (Carrier::Stream, _) => self.consume_stream(key, bytes),
            (Carrier::Frames, Phase::Upgrading) => {
                let Some(answer) = http::answer(bytes)? else { return Ok(0) };
                if answer.status != 101 {
                    return Err(Trouble::Status(answer.status));
                }
                self.lines[key].phase = Phase::Open;
                self.open_stream(key);
                self.flush_line(key)?;
                Ok(answer.taken + self.consume_frames(key, &bytes[answer.taken..])?)
            }
            (Carrier::Frames, _) => self.consume_frames(key, bytes),
            (Carrier::Requests, _) => {
                let mut at = 0;
                while self.lines.contains(key) {
                    let Some(answer) = http::answer(&bytes[at..])? else { break };
                    at += answer.taken;
                    self.answered(key, answer)?;
                }
                Ok(at)
            }
        }
    }

    fn consume_stream(&mut self, key: usize, bytes: &[u8]) -> Result<usize, Trouble> {
        let mut at = 0;
        while let Some(line) = self.lines.get_mut(key) {
            match xml::next(&bytes[at..], line.phase == Phase::Open)? {
                Next::Partial => break,
                Next::Opened(end) => {
                    line.phase = Phase::Open;
                    at += end;
                }
                Next::Element(start, end) => {
                    let session = line.session;
                    self.parse(session, &bytes[at + start..at + end])?;
                    at += end;
                }
                Next::Closed(_) => return Err(Trouble::Closed),
            }
        }
        // White space keeps a connection alive and says nothing.
        at += bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        Ok(at)
    }

    fn consume_frames(&mut self, key: usize, bytes: &[u8]) -> Result<usize, Trouble> {
        let mut at = 0;
        while let Some(line) = self.lines.get_mut(key) {
            let Some(frame) = frame::next(&bytes[at..])? else { break };
            at += frame.taken;
            let session = line.session;
            match frame.kind {
                Kind::Text if frame.last && line.pieces.is_none() => self.parse(session, frame.payload)?,
                Kind::Text => {
                    line.pieces.get_or_insert_default().extend_from_slice(frame.payload);
                    if let Some(whole) = frame.last.then(|| line.pieces.take()).flatten() {
                        self.parse(session, &whole)?;
                    }
                }
                Kind::Ping => {
                    let mask = self.random().to_le_bytes();
                    let out = &mut self.lines[key].outbox;
                    frame::write(out, Kind::Pong, frame.payload, [mask[0], mask[1], mask[2], mask[3]]);
                    self.flush_line(key)?;
                }
                Kind::Pong => {}
                Kind::Close => return Err(Trouble::Closed),
            }
        }
        Ok(at)
    }

    /// Takes one element as bytes.
    fn parse(&mut self, session: u32, bytes: &[u8]) -> Result<(), Trouble> {
        let text = std::str::from_utf8(bytes).map_err(|_| xml::Malformed)?;
        let element = Element::parse(text).ok_or(xml::Malformed)?;
        self.element(session, element)
    }

    /// The server has closed a connection.
    fn closed(&mut self, key: usize) -> Result<(), Trouble> {
        if self.setup.transport.carrier() == Carrier::Requests {
            return self.line_ended(key);
        }
        Err(Trouble::Closed)
    }
}

fn socket_to(address: SocketAddr, from: Option<IpAddr>) -> std::io::Result<std::net::TcpStream> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from {
        late_port(&socket);
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
        _ => Ok(socket.into()),
    }
}

/// Has the port chosen when the connection is made: then it need only be free towards this server.
fn late_port(socket: &socket2::Socket) {
    let on: libc::c_int = 1;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to an int that outlives the call, and the size is its own. A kernel that does not
    // know the option refuses it, and then there are fewer ports.
    unsafe {
        let (level, name) = (libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT);
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), size);
    }
}

/// Says that a message came.
pub fn tell_message(message: talk::Message) {
    super::say(&talk::Report::Message(message));
}
