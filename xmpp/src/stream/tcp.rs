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
    kept: Vec<u8>, // an incomplete piece; or, until the next push, one that is lent out
    scope: Scope,  // inside the peer's header
    stage: Stage,
    lent_out: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Stream,
    Over, // closed, or an error: nothing more is read
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::new()
    }
}

impl Reader {
    /// Waits for a header.
    pub fn new() -> Reader {
        Reader { framer: Framer::stream(), kept: Vec::new(), scope: Scope::NONE, stage: Stage::Header, lent_out: false }
    }

    /// Forgets everything and waits for a new header: after a successful login, and after STARTTLS.
    ///
    /// What the peer sent in the clear behind its `<starttls/>` must not be read as if it had come
    /// through TLS: the caller drops the connection when there are such bytes.
    pub fn restart(&mut self) {
        *self = Reader::new();
    }

    /// Goes on between two elements of a stream whose header stood in that scope: the way back from
    /// [`Reader::into_scope`].
    pub fn inside(scope: Scope) -> Reader {
        Reader { framer: Framer::inside(), scope, stage: Stage::Stream, ..Reader::new() }
    }

    /// All that is to be remembered of a stream whose header has come, while no piece is [pending](Reader::pending).
    pub fn into_scope(self) -> Scope {
        self.scope
    }

    /// Is a piece begun and not complete?
    pub fn pending(&self) -> bool {
        self.framer.pending() > 0
    }

    /// Reads on. `Some((piece, used))`: push the bytes from `used` on next, also when there are none
    /// left, for that frees the buffer. `None`: all bytes are taken, come back with new ones.
    /// After an error, and after the close, nothing more is read.
    pub fn push<'a>(&'a mut self, new: &'a [u8], limits: &Limits) -> Result<Option<(Piece<'a>, usize)>, StreamError> {
        if self.lent_out || self.stage == Stage::Over {
            self.kept = Vec::new();
            self.lent_out = false;
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Over); // whatever fails from here on ends it
        let Some((kind, from, used)) = self.find(stage, new, limits)? else {
            self.stage = stage;
            return Ok(None);
        };
        let whole = if self.kept.is_empty() { &new[from..used] } else { &self.kept[..] };
        let piece = match kind {
            PieceKind::Open => {
                let (open, scope) = header(text(whole)?, limits)?;
                self.scope = scope;
                Piece::Open(open)
            }
            PieceKind::Element => {
                let xml = text(whole)?;
                check(xml, &self.scope, limits)?;
                Piece::Element(xml, &self.scope)
            }
            // The rest of the kinds does not leave `find`.
            PieceKind::Close | PieceKind::Space | PieceKind::Declaration => {
                close(text(whole)?, &self.scope)?;
                return Ok(Some((Piece::Close, used)));
            }
        };
        self.stage = Stage::Stream;
        self.lent_out = true;
        Ok(Some((piece, used)))
    }

    /// The next piece that says something: its kind, where its part of `new` begins and where it ends.
    /// When the piece began earlier, all of it is in `kept`.
    fn find(
        &mut self,
        stage: Stage,
        new: &[u8],
        limits: &Limits,
    ) -> Result<Option<(PieceKind, usize, usize)>, XmlError> {
        let mut at = if stage == Stage::Over { new.len() } else { 0 };
        while at < new.len() {
            if stage == Stage::Header && self.framer.pending() == 0 && new[at].is_ascii_whitespace() {
                // Left over from before a restart; XML would not have it before its declaration.
                at += 1;
                continue;
            }
            let Some(piece) = self.framer.scan(&new[at..], limits)? else {
                self.keep(&new[at..], limits);
                return Ok(None);
            };
            let from = at;
            at += piece.end;
            if !self.kept.is_empty() {
                self.kept.extend_from_slice(&new[from..at]);
            }
            match piece.kind {
                PieceKind::Space => {}
                PieceKind::Declaration => {
                    check_declaration(text(if self.kept.is_empty() { &new[from..at] } else { &self.kept })?)?;
                }
                kind => return Ok(Some((kind, from, at))),
            }
            self.kept = Vec::new();
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
}

fn text(bytes: &[u8]) -> Result<&str, XmlError> {
    std::str::from_utf8(bytes).map_err(|_| XmlError::BadUtf8)
}

/// Reads a header (RFC 6120 sections 4.7 and 4.8).
fn header(tag: &str, limits: &Limits) -> Result<(Open, Scope), StreamError> {
    check_start_tag(tag, &Scope::NONE, limits)?;
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

/// The end tag must be that of the header, the only element that is open there.
fn close(tag: &str, scope: &Scope) -> Result<(), XmlError> {
    let name = tag.trim_start_matches("</").trim_end_matches('>').trim_ascii_end();
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    if local == "stream" && scope.lookup(prefix) == Some(ns::STREAM) {
        Ok(())
    } else {
        Err(XmlError::NotWellFormed("an end tag that does not match"))
    }
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
