//! XMPP over TCP (RFC 6120): the framing of a stream that is one long document.

use super::World;
use super::shape::Begin;
use super::stream::{self, Fed, Framing, Input};
use super::wire::Wire;
use herald_session::{Delivery, LinkInfo, Transport};
use herald_xmpp::stream::tcp::{self, Piece, Reader};
use herald_xmpp::stream::{Condition, Open, StreamError};
use herald_xmpp::xml::{Limits, Scope};
use std::sync::Arc;
use std::time::Instant;

/// Serves one connection.
pub(crate) fn spawn(world: Arc<World>, wire: Wire) {
    let info = LinkInfo { transport: Transport::Tcp, secure: wire.secure(), peer: wire.peer() };
    let admitted = world.shaper.admit(Begin::Session, info.peer, Instant::now());
    let refused = admitted.err().map(|_| {
        StreamError::new(Condition::PolicyViolation).with_text("Too many streams from your address. Try again later.")
    });
    stream::spawn(world, wire, info, Tcp { reader: Reader::new(), kept: Vec::new(), opened: false }, refused);
}

pub(crate) struct Tcp {
    reader: Reader,
    /// Read, but not looked at yet: it came behind something that had to be dealt with first.
    kept: Vec<u8>,
    /// Our header is out: the prefix `stream` is bound for what follows.
    opened: bool,
}

impl Framing for Tcp {
    type Still = Scope;

    fn into_still(self) -> Scope {
        self.reader.into_scope()
    }

    fn from_still(scope: Scope) -> Tcp {
        Tcp { reader: Reader::inside(scope), kept: Vec::new(), opened: true }
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        _out: &mut Vec<u8>,
        each: &mut dyn FnMut(Input<'_>) -> bool,
    ) -> Result<Fed, StreamError> {
        let mut kept = std::mem::take(&mut self.kept);
        let all = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept
        };
        let mut at = 0;
        let mut go_on = true;
        while go_on {
            let Some((piece, used)) = self.reader.push(&all[at..], limits)? else { return Ok(Fed::More) };
            at += used;
            go_on = each(match piece {
                Piece::Open(open) => Input::Open(open),
                Piece::Element(xml, scope) => Input::Element(xml, scope),
                Piece::Close => Input::Close,
            });
        }
        if at == all.len() {
            self.reader.push(&[], limits)?; // it still holds the piece that it lent out
        }
        self.kept = all[at..].to_vec();
        Ok(Fed::More)
    }

    fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    fn is_clean(&self) -> bool {
        self.kept.is_empty() && !self.reader.pending()
    }

    fn restart(&mut self) {
        self.reader.restart();
        self.opened = false;
    }

    fn write_open(&mut self, open: &Open, out: &mut Vec<u8>) {
        tcp::write_open(open, out);
        self.opened = true;
    }

    fn write_xml(&mut self, xml: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(xml.as_bytes());
    }

    fn write_error(&mut self, error: &StreamError, out: &mut Vec<u8>) {
        error.write(self.opened, out);
    }

    fn write_stanza(&mut self, delivery: &Delivery, out: &mut Vec<u8>) {
        delivery.stanza.write(delivery.to.as_ref(), false, out);
    }

    fn write_close(&mut self, out: &mut Vec<u8>) {
        tcp::write_close(out);
    }

    fn write_ping(&mut self, _: &mut Vec<u8>) -> bool {
        false
    }
}
