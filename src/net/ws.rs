//! XMPP over WebSocket (RFC 7395): the handshake, and the framing of a stream in text messages.

use super::World;
use super::frame::{self, Inbox, Message};
use super::http::{Response, Upgrade};
use super::stream::{self, Fed, Framing, Input};
use super::wire::Wire;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use herald_session::{Delivery, Transport};
use herald_xmpp::stream::{Open, StreamError, ws};
use herald_xmpp::xml::Limits;
use sha1::{Digest, Sha1};
use std::sync::Arc;

/// RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Where WebSockets are opened.
pub(crate) fn is_path(path: &str) -> bool {
    matches!(path, "/ws" | "/ws/" | "/xmpp-websocket")
}

/// The answer to a WebSocket handshake, or the refusal.
pub(crate) fn handshake(upgrade: &Upgrade) -> Result<Vec<u8>, Response> {
    if upgrade.version.as_deref() != Some("13") {
        return Err(Response {
            fields: "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
            ..Response::text(426, "WebSocket version 13 is spoken here (RFC 6455)")
        });
    }
    let key = upgrade.key.as_deref().filter(|k| STANDARD.decode(k).is_ok_and(|k| k.len() == 16));
    let Some(key) = key else {
        return Err(Response::text(400, "Sec-WebSocket-Key is missing or not 16 bytes in base64"));
    };
    if !upgrade.xmpp {
        return Err(Response::text(400, "offer the sub-protocol xmpp (RFC 7395 section 3.1)"));
    }
    let accept = STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"
    )
    .into_bytes())
}

/// Serves a connection that has become a WebSocket; `rest` came behind the handshake.
pub(crate) fn spawn(world: Arc<World>, wire: Wire, rest: Vec<u8>) {
    stream::spawn(world, wire, Ws { inbox: Inbox::with(rest), closing: false });
}

struct Ws {
    inbox: Inbox,
    /// Our close frame is out: RFC 6455 allows nothing after it.
    closing: bool,
}

impl Framing for Ws {
    const TRANSPORT: Transport = Transport::Websocket;

    fn feed(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Input<'_>) -> bool,
    ) -> Result<Fed, StreamError> {
        let (mut end, mut gone) = (None, false);
        let taken = self.inbox.take(bytes, limits.bytes_max, |message| match message {
            Message::Text(text) => match ws::read(&text, limits) {
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
                frame::close(code.unwrap_or(1000), "", out);
                gone = true;
                false
            }
        });
        if let Err(failure) = taken {
            // RFC 6455 section 7.1.7: a connection whose framing is broken is failed, not argued with.
            frame::close(failure.0, failure.1, out);
            gone = true;
        }
        self.closing |= gone;
        match end {
            Some(error) => Err(error),
            None if gone => Ok(Fed::Gone),
            None => Ok(Fed::More),
        }
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
        if !std::mem::replace(&mut self.closing, true) {
            frame::close(1000, "", out);
        }
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
