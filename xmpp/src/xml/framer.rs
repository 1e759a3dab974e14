//! Where the top-level pieces of a byte stream end.

use super::chars::is_space;
use super::{Limits, XmlError};
use memchr::{memchr, memchr3};

/// Finds the ends of the top-level pieces in bytes that arrive in any portions.
///
/// The caller owns the bytes. It calls [`scan`](Framer::scan) with bytes the framer has not seen yet:
/// - `Ok(Some(piece))`: the current piece ends after `piece.end` of these bytes. What was kept from
///   before and these `piece.end` bytes are the piece; then scan the rest, until nothing is left.
/// - `Ok(None)`: all of these bytes belong to a piece that is not complete: keep them, scan what
///   arrives next (the new bytes only; nothing is scanned twice).
///
/// White space between pieces is a piece of its own ([`PieceKind::Space`]) that ends with the bytes
/// given, never "not complete": a stream idle between stanzas, keep-alives included, keeps nothing.
///
/// ```
/// # use herald_xmpp::xml::{Framer, Limits, PieceKind};
/// let mut framer = Framer::stream();
/// let mut kept = Vec::new(); // no heap while the stream is idle
/// let mut kinds = Vec::new();
/// for read in ["<stream:stre", "am> <presence/>", "<message><bo", "dy/></message>"] {
///     let mut new = read.as_bytes();
///     while !new.is_empty() {
///         let Some(piece) = framer.scan(new, &Limits::DEFAULT)? else {
///             kept.extend_from_slice(new);
///             break;
///         };
///         let (now, rest) = new.split_at(piece.end);
///         kept.extend_from_slice(now); // or use `now` itself when nothing was kept
///         kinds.push((piece.kind, String::from_utf8(std::mem::take(&mut kept)).unwrap()));
///         new = rest;
///     }
/// }
/// assert_eq!(kinds[0], (PieceKind::Open, "<stream:stream>".into()));
/// assert_eq!(kinds[3], (PieceKind::Element, "<message><body/></message>".into()));
/// # Ok::<(), herald_xmpp::xml::XmlError>(())
/// ```
///
/// Comments, DTDs and processing instructions are refused at their second or third byte, text
/// outside an element at its first; a piece over [`Limits::bytes_max`] or [`Limits::depth_max`] as
/// soon as it is. After an error the framer is of no more use. Whether a piece is well-formed is for
/// [`check`](super::check) to say.
#[derive(Clone, Debug)]
pub struct Framer {
    seen: u32,  // bytes of the current piece
    depth: u32, // elements open in the current piece
    state: State,
    aux: u8,  // the quote that is open, or how far a marker has matched
    prev: u8, // the last byte inside a tag, to know `/>`
    stage: Stage,
}

/// One complete piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// How many of the bytes just given belong to it.
    pub end: usize,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// White space between pieces, or a byte order mark at the very start: nothing to read.
    Space,
    /// `<?xml ..?>`, only as the very first thing: give it to [`check_declaration`](super::check_declaration).
    Declaration,
    /// The start tag of the stream.
    Open,
    /// One whole element.
    Element,
    /// The end tag of the stream.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,   // the stream's start tag is still to come
    Stream,   // inside a stream
    Elements, // no stream around: elements only
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,       // nothing seen at all; `aux` counts the bytes of a byte order mark
    Between,     // no piece begun
    FirstAngle,  // behind a `<` that is the very first byte
    Angle,       // behind a `<`
    Tag,         // inside a start tag
    Quote,       // inside a quoted value, `aux` is the quote
    EndTag,      // inside an end tag
    Text,        // inside an element, outside tags
    CdataMarker, // behind `<!`, `aux` bytes of `[CDATA[` matched
    Cdata,       // inside CDATA, `aux` closing brackets seen (2 for more)
    DeclMarker,  // behind `<?`, `aux` bytes of `xml` matched
    Decl,        // inside the XML declaration
}

const BOM: &[u8] = b"\xef\xbb\xbf";
const CDATA: &[u8] = b"[CDATA[";
const XML: &[u8] = b"xml";

impl Framer {
    /// For a TCP stream: maybe a declaration, the start tag, elements, the end tag.
    pub fn stream() -> Framer {
        Framer { seen: 0, depth: 0, state: State::Fresh, aux: 0, prev: 0, stage: Stage::Header }
    }

    /// For what comes inside a stream whose start tag was seen.
    pub fn inside() -> Framer {
        Framer { state: State::Between, stage: Stage::Stream, ..Framer::stream() }
    }

    /// For elements with no stream around them.
    pub fn elements() -> Framer {
        Framer { state: State::Between, stage: Stage::Elements, ..Framer::stream() }
    }

    /// Scans bytes not seen before. See the type for what to do with the answer.
    pub fn scan(&mut self, new: &[u8], limits: &Limits) -> Result<Option<Piece>, XmlError> {
        if matches!(self.state, State::Fresh | State::Between) && self.seen == 0 {
            let end = new.iter().position(|&b| !is_space(b)).unwrap_or(new.len());
            if end > 0 {
                self.state = State::Between;
                return Ok(Some(Piece { kind: PieceKind::Space, end }));
            }
        }
        let room = limits.bytes_max.min(u32::MAX as usize).saturating_sub(self.seen as usize);
        let window = &new[..new.len().min(room)];
        let piece = self.run(window, limits.depth_max)?;
        match piece {
            Some(_) => self.seen = 0,
            None if window.len() < new.len() => return Err(XmlError::TooLarge),
            None => self.seen += window.len() as u32,
        }
        Ok(piece)
    }

    /// Bytes of the piece that is not complete yet: what the caller keeps.
    pub fn pending(&self) -> usize {
        self.seen as usize
    }

    fn run(&mut self, bytes: &[u8], depth_max: u32) -> Result<Option<Piece>, XmlError> {
        let mut i = 0;
        while i < bytes.len() {
            let b = bytes[i];
            match self.state {
                State::Fresh | State::Between => {
                    i += 1;
                    match b {
                        b'<' if self.state == State::Fresh => self.state = State::FirstAngle,
                        b'<' => self.state = State::Angle,
                        _ if self.state == State::Fresh => {
                            if self.byte_order_mark(b)? {
                                return Ok(Some(Piece { kind: PieceKind::Space, end: i }));
                            }
                        }
                        _ => return Err(XmlError::NotWellFormed("text outside an element")),
                    }
                }
                State::FirstAngle | State::Angle => i += self.angle(b)?,
                State::Tag => match memchr3(b'>', b'"', b'\'', &bytes[i..]) {
                    None => {
                        self.prev = bytes[bytes.len() - 1];
                        return Ok(None);
                    }
                    Some(at) => {
                        let last = if at > 0 { bytes[i + at - 1] } else { self.prev };
                        self.prev = bytes[i + at];
                        i += at + 1;
                        if self.prev != b'>' {
                            (self.state, self.aux) = (State::Quote, self.prev);
                        } else if let Some(kind) = self.start_tag(last == b'/', depth_max)? {
                            return Ok(Some(self.complete(kind, i)));
                        }
                    }
                },
                State::Quote => match memchr(self.aux, &bytes[i..]) {
                    None => return Ok(None),
                    Some(at) => {
                        self.state = State::Tag;
                        i += at + 1;
                    }
                },
                State::EndTag => match memchr(b'>', &bytes[i..]) {
                    None => return Ok(None),
                    Some(at) => {
                        i += at + 1;
                        if let Some(kind) = self.end_tag() {
                            return Ok(Some(self.complete(kind, i)));
                        }
                    }
                },
                State::Text => match memchr(b'<', &bytes[i..]) {
                    None => return Ok(None),
                    Some(at) => {
                        self.state = State::Angle;
                        i += at + 1;
                    }
                },
                State::CdataMarker => {
                    i += 1;
                    self.cdata_marker(b)?;
                }
                State::Cdata if self.aux == 0 => match memchr(b']', &bytes[i..]) {
                    None => return Ok(None),
                    Some(at) => {
                        self.aux = 1;
                        i += at + 1;
                    }
                },
                State::Cdata => {
                    i += 1;
                    match b {
                        b']' => self.aux = 2,
                        b'>' if self.aux == 2 => self.state = State::Text,
                        _ => self.aux = 0,
                    }
                }
                State::DeclMarker => {
                    i += 1;
                    self.decl_marker(b)?;
                }
                State::Decl => {
                    i += 1;
                    if b == b'>' && self.prev == b'?' {
                        return Ok(Some(self.complete(PieceKind::Declaration, i)));
                    }
                    self.prev = b;
                }
            }
        }
        Ok(None)
    }

    /// The byte behind a `<`; how many bytes to pass over.
    fn angle(&mut self, b: u8) -> Result<usize, XmlError> {
        let first = self.state == State::FirstAngle;
        self.state = match b {
            b'/' if self.depth > 0 || self.stage == Stage::Stream => State::EndTag,
            b'/' => return Err(XmlError::NotWellFormed("an end tag without a start tag")),
            b'!' if self.depth > 0 => State::CdataMarker,
            b'!' => return Err(XmlError::Restricted("a comment, DTD or CDATA outside an element")),
            b'?' if first => State::DeclMarker,
            b'?' => return Err(XmlError::Restricted("a processing instruction")),
            _ => State::Tag,
        };
        self.aux = 0;
        self.prev = b'<';
        // The first byte of a name is looked at again as part of the tag.
        Ok(usize::from(self.state != State::Tag))
    }

    /// A start tag is complete. `Some` when a piece is, with it.
    fn start_tag(&mut self, empty: bool, depth_max: u32) -> Result<Option<PieceKind>, XmlError> {
        if self.stage == Stage::Header {
            if empty {
                return Err(XmlError::NotWellFormed("an empty stream"));
            }
            self.stage = Stage::Stream;
            return Ok(Some(PieceKind::Open));
        }
        if self.depth >= depth_max {
            return Err(XmlError::TooDeep);
        }
        if empty && self.depth == 0 {
            return Ok(Some(PieceKind::Element));
        }
        self.depth += u32::from(!empty);
        self.state = State::Text;
        Ok(None)
    }

    fn end_tag(&mut self) -> Option<PieceKind> {
        if self.depth == 0 {
            return Some(PieceKind::Close);
        }
        self.depth -= 1;
        self.state = State::Text;
        (self.depth == 0).then_some(PieceKind::Element)
    }

    fn complete(&mut self, kind: PieceKind, end: usize) -> Piece {
        self.state = State::Between;
        Piece { kind, end }
    }

    /// True when the mark is complete.
    fn byte_order_mark(&mut self, b: u8) -> Result<bool, XmlError> {
        let at = usize::from(self.aux);
        if BOM.get(at) == Some(&b) {
            self.aux += 1;
            return Ok(at + 1 == BOM.len());
        }
        Err(match b {
            0x00 | 0xFE | 0xFF if at == 0 => XmlError::UnsupportedEncoding,
            _ => XmlError::NotWellFormed("text outside an element"),
        })
    }

    fn cdata_marker(&mut self, b: u8) -> Result<(), XmlError> {
        let at = usize::from(self.aux);
        if b != CDATA[at] {
            return Err(XmlError::Restricted(if b == b'-' { "a comment" } else { "a DTD" }));
        }
        self.aux += 1;
        if at + 1 == CDATA.len() {
            (self.state, self.aux) = (State::Cdata, 0);
        }
        Ok(())
    }

    fn decl_marker(&mut self, b: u8) -> Result<(), XmlError> {
        match XML.get(usize::from(self.aux)) {
            Some(&want) if want == b => self.aux += 1,
            None if is_space(b) => (self.state, self.prev) = (State::Decl, b),
            _ => return Err(XmlError::Restricted("a processing instruction")),
        }
        Ok(())
    }
}
