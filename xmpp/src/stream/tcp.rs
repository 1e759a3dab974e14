//! The framing of RFC 6120: a stream is one long XML document in each direction.

use super::{Condition, Open, StreamError};
use crate::ns;
use crate::xml::{Element, Framer, Limits, PieceKind, Scope, XmlError, check, check_declaration, check_start_tag};

/// What a peer said.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece<'a> {
    /// The stream's header.
    Open(Open),
    /// One whole first-level element, checked, and the namespaces around it.
    Element(&'a str, &'a Scope),
    /// The end of the stream.
    Close,
}

/// Reads one direction of a stream from bytes that arrive in any portions.
///
/// It owns a buffer only while a piece is incomplete, and then just that piece. White space between
/// elements is passed over: it keeps a connection alive and says nothing (RFC 6120 section 4.6.1).
///
/// ```
/// # use herald_xmpp::stream::tcp::{Piece, Reader};
/// # use herald_xmpp::xml::Limits;
/// # fn main() -> Result<(), herald_xmpp::stream::StreamError> {
/// let mut reader = Reader::new();
/// let mut seen = Vec::new();
/// let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
/// for read in [header, " <presence/><ir", "on/>"] {
///     let mut new = read.as_bytes();
///     while let Some((piece, used)) = reader.push(new, &Limits::DEFAULT)? {
///         match piece {
///             Piece::Element(xml, _) => seen.push(xml.to_owned()),
///             other => seen.push(format!("{other:?}").split(['(', ' ']).next().unwrap_or("").to_owned()),
///         }
///         new = &new[used..];
///     }
/// }
/// assert_eq!(seen, ["Open", "<presence/>", "<iron/>"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader {
    framer: Framer,
    kept: Vec<u8>, // an incomplete piece; or, until the next push, the piece that was lent out
    scope: Scope,  // inside the peer's header
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Stream,
    LentOut, // in the stream, and `kept` is a piece the caller has seen
    Closed,  // nothing more is read
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::new()
    }
}

impl Reader {
    /// Waits for a header.
    pub fn new() -> Reader {
        Reader { framer: Framer::stream(), kept: Vec::new(), scope: Scope::NONE, stage: Stage::Header }
    }

    /// Forgets everything and waits for a new header: after a successful login, and after STARTTLS.
    ///
    /// What the peer sent in the clear behind its `<starttls/>` must not be read as if it had come
    /// through TLS: the caller drops the connection when there are such bytes.
    pub fn restart(&mut self) {
        *self = Reader::new();
    }

    /// Is a piece begun and not complete?
    pub fn pending(&self) -> bool {
        self.framer.pending() > 0
    }

    /// Reads on. `Some((piece, used))`: push the bytes from `used` on next, also when there are none
    /// left, for that frees the buffer. `None`: all bytes are taken, come back with new ones.
    /// After an error, and after the close, nothing more is read.
    pub fn push<'a>(&'a mut self, new: &'a [u8], limits: &Limits) -> Result<Option<(Piece<'a>, usize)>, StreamError> {
        if self.stage == Stage::LentOut {
            self.kept = Vec::new();
            self.stage = Stage::Stream;
        }
        let found = match self.find(new, limits) {
            Ok(found) => found,
            Err(e) => return Err(self.fail(e)),
        };
        let Some((kind, from, used)) = found else { return Ok(None) };
        let opening = kind == PieceKind::Open;
        if !opening && kind != PieceKind::Element {
            self.finish();
            return Ok(Some((Piece::Close, used)));
        }
        let whole = if self.kept.is_empty() { &new[from..used] } else { &self.kept[..] };
        let checked = std::str::from_utf8(whole).map_err(|_| XmlError::BadUtf8).and_then(|text| {
            if opening { check_start_tag(text, &Scope::NONE, limits) } else { check(text, &self.scope, limits) }
                .map(|()| text)
        });
        if let Err(e) = checked {
            return Err(self.fail(e.into()));
        }
        if opening {
            let open = match header(checked.unwrap_or_default()) {
                Ok((open, scope)) => {
                    self.scope = scope;
                    open
                }
                Err(e) => return Err(self.fail(e)),
            };
            self.kept = Vec::new();
            self.stage = Stage::Stream;
            return Ok(Some((Piece::Open(open), used)));
        }
        if !self.kept.is_empty() {
            self.stage = Stage::LentOut;
        }
        // Checked a few lines above; only the borrow had to be given back in between.
        let whole = if self.kept.is_empty() { &new[from..used] } else { &self.kept[..] };
        let text = std::str::from_utf8(whole).unwrap_or_default();
        Ok(Some((Piece::Element(text, &self.scope), used)))
    }

    /// The next piece that says something: its kind, where its part of `new` begins and where it ends.
    /// When the piece began earlier, all of it is in `kept`.
    fn find(&mut self, new: &[u8], limits: &Limits) -> Result<Option<(PieceKind, usize, usize)>, StreamError> {
        let mut at = 0;
        while at < new.len() && self.stage != Stage::Closed {
            if self.stage == Stage::Header && self.framer.pending() == 0 && new[at].is_ascii_whitespace() {
                // Left over from before a restart; XML would not have it before its declaration.
                at += 1;
                continue;
            }
            let Some(piece) = self.framer.scan(&new[at..], limits)? else {
                self.keep(&new[at..], limits);
                return Ok(None);
            };
            let end = at + piece.end;
            if piece.kind == PieceKind::Space {
                self.kept = Vec::new(); // a byte order mark may have come in parts
                at = end;
                continue;
            }
            if !self.kept.is_empty() {
                self.kept.extend_from_slice(&new[at..end]);
            }
            if piece.kind != PieceKind::Declaration {
                return Ok(Some((piece.kind, at, end)));
            }
            let whole = if self.kept.is_empty() { &new[at..end] } else { &self.kept[..] };
            check_declaration(std::str::from_utf8(whole).map_err(|_| XmlError::BadUtf8)?)?;
            self.kept = Vec::new();
            at = end;
        }
        Ok(None)
    }

    /// Keeps part of an incomplete piece. The framer has seen to it that it is within the limit.
    fn keep(&mut self, part: &[u8], limits: &Limits) {
        let needed = self.kept.len() + part.len();
        if needed > self.kept.capacity() {
            // Doubling beyond the limit would be for nothing.
            let room = (self.kept.capacity() * 2).clamp(needed, limits.bytes_max.max(needed));
            self.kept.reserve_exact(room - self.kept.len());
        }
        self.kept.extend_from_slice(part);
    }

    fn fail(&mut self, e: StreamError) -> StreamError {
        self.finish();
        e
    }

    fn finish(&mut self) {
        self.kept = Vec::new();
        self.stage = Stage::Closed;
    }
}

/// Reads a header that was checked (RFC 6120 sections 4.7 and 4.8).
fn header(tag: &str) -> Result<(Open, Scope), StreamError> {
    let element = Element::parse_start_tag(tag, &Scope::NONE)?;
    if element.ns() != ns::STREAM {
        return Err(Condition::InvalidNamespace.into());
    }
    if element.name() != "stream" {
        return Err(StreamError::new(Condition::BadFormat).with_text("A stream begins with <stream/>."));
    }
    let scope = element.scope();
    Ok((Open::read(&element, scope.default_ns()), scope))
}

/// Writes our header, with the XML declaration before it.
pub fn write_open(open: &Open, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='");
    out.extend_from_slice(ns::STREAM.as_bytes());
    out.push(b'\'');
    open.write_attrs(out);
    out.push(b'>');
}

/// Writes our end of the stream.
pub fn write_close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"</stream:stream>");
}
