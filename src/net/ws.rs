//! XMPP over WebSocket (RFC 7395): the handshake, and the framing of a stream in text messages.
//!
//! The path is `/ws`; `/xmpp-websocket`, which other servers use, is taken as well. A page of any origin may
//! connect: nothing is granted by where a page came from, or by a cookie, but by the login inside the stream, so
//! there is nothing that another site could borrow (RFC 6455 section 10.2). Extensions are not negotiated: an
//! offer is passed over in silence (section 9.1).

use super::World;
use super::frame::{self, Failure, Inbox, Message};
use super::http::{Head, Method, Response, Upgrade, Via};
use super::page;
use super::shape::Begin;
use super::stomp;
use super::stream::{self, Fed, Framing, Input};
use super::wire::Wire;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use herald_session::{Delivery, LinkInfo, Transport};
use herald_xmpp::stream::{Condition, Open, StreamError, ws};
use herald_xmpp::xml::Limits;
use sha1::{Digest, Sha1};
use std::sync::Arc;
use std::time::Instant;

/// RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// A stream that ended in order (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;

/// Where WebSockets of XMPP are opened.
pub(crate) fn is_path(path: &str) -> bool {
    matches!(path, "/ws" | "/ws/" | "/xmpp-websocket" | "/xmpp-websocket/")
}

/// What is spoken over a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// RFC 7395.
    Xmpp,
    /// See [`page`].
    Herald,
    /// See [`stomp`]; the sub-protocol, when one was offered.
    Stomp(Option<&'static str>),
}

impl Spoken {
    /// What is spoken at this path, if a WebSocket may be opened there; STOMP also where it is asked for by its name.
    pub(crate) fn at(path: &str, upgrade: &Upgrade) -> Option<Spoken> {
        let stomp = || stomp::PROTOCOLS.into_iter().find(|protocol| upgrade.offers(protocol));
        match path {
            path if is_path(path) && !upgrade.offers("xmpp") => {
                stomp().map_or(Some(Spoken::Xmpp), |p| Some(Spoken::Stomp(Some(p))))
            }
            path if is_path(path) => Some(Spoken::Xmpp),
            path if page::is_path(path) => Some(Spoken::Herald),
            path if stomp::is_path(path) => Some(Spoken::Stomp(stomp())),
            _ => None,
        }
    }

    /// The sub-protocol, which a client has to offer.
    fn protocol(self) -> Option<&'static str> {
        match self {
            Spoken::Xmpp => Some("xmpp"),
            Spoken::Herald => Some(page::PROTOCOL),
            Spoken::Stomp(protocol) => protocol, // there are clients that name none
        }
    }

    /// Serves a connection that has become a WebSocket; `rest` came behind the handshake.
    pub(crate) fn serve(self, world: Arc<World>, wire: Wire, via: Via, rest: Vec<u8>) {
        match self {
            Spoken::Xmpp => spawn(world, wire, via, rest),
            Spoken::Herald => page::spawn(&world, wire, via, rest),
            Spoken::Stomp(_) => stomp::spawn(world, wire, via, rest),
        }
    }
}

/// The answer to a WebSocket handshake (RFC 6455 section 4.2), or the refusal.
pub(crate) fn handshake(
    world: &World,
    via: Via,
    head: &Head,
    upgrade: &Upgrade,
    spoken: Spoken,
) -> Result<Vec<u8>, Response> {
    if head.method != Method::Get {
        return Err(Response::not_allowed("Allow: GET\r\n"));
    }
    if !head.http_1_1 {
        return Err(Response::text(400, "a WebSocket begins with HTTP/1.1 (RFC 6455 section 4.2.1)"));
    }
    if upgrade.version.as_deref() != Some("13") {
        return Err(Response {
            fields: "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
            ..Response::text(426, "WebSocket version 13 is spoken here (RFC 6455)")
        });
    }
    let key = upgrade.key.as_deref().filter(|k| STANDARD.decode(k).is_ok_and(|k| k.len() == 16));
    let Some(key) = key else {
        return Err(Response::text(400, "Sec-WebSocket-Key is missing or not 16 bytes in base64"));
    };
    let protocol = spoken.protocol();
    if let Some(protocol) = protocol.filter(|protocol| !upgrade.offers(protocol)) {
        return Err(Response::text(400, &format!("offer the sub-protocol {protocol} (RFC 6455 section 1.9)")));
    }
    if spoken != Spoken::Xmpp && world.draining() {
        return Err(Response { fields: "Retry-After: 1\r\n", ..Response::hang_up(503, "the server goes down") });
    }
    if world.shaper.admit(Begin::Session, via.peer, Instant::now()).is_err() {
        return Err(Response::too_many());
    }
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let protocol = protocol.map(|protocol| format!("Sec-WebSocket-Protocol: {protocol}\r\n")).unwrap_or_default();
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    )
    .into_bytes())
}

/// A stream of XMPP.
fn spawn(world: Arc<World>, wire: Wire, via: Via, rest: Vec<u8>) {
    let elsewhere = if via.secure || !world.config.websocket.https_only { None } else { world.https("wss") };
    let elsewhere = elsewhere.map(|base| format!("{base}/ws").into());
    let framing = Ws { inbox: Inbox::with(rest), elsewhere, code: NORMAL, closing: false, closed: false };
    let info = LinkInfo { transport: Transport::Websocket, secure: via.secure, peer: via.peer };
    stream::spawn(world, wire, info, framing, None);
}

pub(crate) struct Ws {
    inbox: Inbox,
    /// Where the client is sent instead of being served here.
    elsewhere: Option<Box<str>>,
    /// What our close frame will say.
    code: u16,
    /// Our close frame is out: RFC 6455 allows nothing after it.
    closing: bool,
    /// Theirs has come, or the framing is broken: nothing is awaited any more.
    closed: bool,
}

impl Framing for Ws {
    type Still = ();

    fn into_still(self) {}

    fn from_still((): ()) -> Ws {
        Ws { inbox: Inbox::default(), elsewhere: None, code: NORMAL, closing: false, closed: false }
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Input<'_>) -> bool,
    ) -> Result<Fed, StreamError> {
        let (mut end, mut gone, mut sent_on) = (None, None, false);
        let elsewhere = self.elsewhere.is_some();
        let taken = self.inbox.take(bytes, limits.bytes_max, |message| match message {
            Message::Text(text) => match ws::read(&text, limits) {
                Ok(ws::Message::Open(_)) if elsewhere => {
                    sent_on = true;
                    false
                }
                Ok(ws::Message::Open(open)) => each(Input::Open(open)),
                Ok(ws::Message::Element(xml, scope)) => each(Input::Element(xml, scope)),
                Ok(ws::Message::Close { .. }) => each(Input::Close),
                Err(e) => {
                    end = Some(e);
                    false
                }
            },
            Message::Ping(payload) => {
                frame::pong(&payload, out);
                true
            }
            Message::Pong | Message::Binary(_) => true,
            Message::Close(code) => {
                gone = Some(code.unwrap_or(NORMAL));
                false
            }
        });
        if let Err(failure) = taken {
            // What follows cannot be told apart any more.
            (self.closed, self.code) = (true, failure.0);
            return Err(broken(failure));
        }
        if let Some(code) = gone {
            // RFC 6455 section 5.5.1: a close frame is answered with one that has its code.
            (self.closed, self.code) = (true, code);
            self.write_end(out);
            return Ok(Fed::Gone);
        }
        if sent_on {
            self.text(out, |out| ws::write_close(self.elsewhere.as_deref(), out));
            self.write_end(out);
            return Ok(Fed::Gone);
        }
        end.map_or(Ok(Fed::More), Err)
    }

    fn has_kept(&self) -> bool {
        self.inbox.has_whole_frame()
    }

    fn is_clean(&self) -> bool {
        self.inbox.is_empty()
    }

    fn restart(&mut self) {}

    fn write_open(&mut self, open: &Open, out: &mut Vec<u8>) {
        self.text(out, |out| ws::write_open(open, out));
    }

    fn write_xml(&mut self, xml: &str, out: &mut Vec<u8>) {
        self.text(out, |out| out.extend_from_slice(xml.as_bytes()));
    }

    fn write_error(&mut self, error: &StreamError, out: &mut Vec<u8>) {
        self.text(out, |out| error.write(false, out));
    }

    fn write_stanza(&mut self, delivery: &Delivery, out: &mut Vec<u8>) {
        self.text(out, |out| delivery.stanza.write(delivery.to.as_ref(), true, out));
    }

    fn write_close(&mut self, out: &mut Vec<u8>) {
        self.text(out, |out| ws::write_close(None, out));
    }

    fn write_end(&mut self, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.closing, true) {
            frame::close(self.code, "", out);
        }
    }

    /// RFC 6455 section 7.1.1: the connection ends once both sides have said so.
    fn heard_end(&mut self, bytes: &[u8]) -> bool {
        self.closed || !self.closing || self.inbox.hears_close(bytes)
    }

    /// A browser answers by itself, also for a page that is hidden.
    fn write_ping(&mut self, out: &mut Vec<u8>) -> bool {
        if !self.closing {
            frame::ping(out);
        }
        true
    }
}

impl Ws {
    fn text(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.closing {
            let mark = frame::begin_text(out);
            write(out);
            frame::end_text(mark, out);
        }
    }
}

/// What the stream is told when the connection below it is broken: the close code goes with it.
fn broken(failure: Failure) -> StreamError {
    let condition = match failure.0 {
        frame::TOO_BIG => Condition::PolicyViolation,
        frame::NOT_UTF8 => Condition::UnsupportedEncoding,
        _ => Condition::BadFormat,
    };
    StreamError::new(condition).with_text(failure.1)
}
