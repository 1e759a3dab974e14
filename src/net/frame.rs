//! WebSocket frames (RFC 6455 section 5), the server's side.
//!
//! [`Inbox`] keeps only what is incomplete: part of a frame, or the fragments of a message. Text that is not
//! UTF-8 is refused with the first byte that shows it, though the frame or the message is still under way.

use std::ops::RangeInclusive;

/// Payload of a control frame, bytes (section 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// Behind our close frame a larger message is not even waited for.
const LAST_BYTES_MAX: usize = 256 * 1024;
/// The longest head of a frame, bytes.
const HEAD_BYTES_MAX: usize = 14;
/// Codes that a peer may send in a close frame (section 7.4).
const CLOSE_CODES: [RangeInclusive<u16>; 4] = [1000..=1003, 1007..=1014, 3000..=3999, 4000..=4999];

/// Something whole that the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A text message, put together from its fragments; checked UTF-8.
    Text(String),
    /// A binary message; only of an [`Inbox`] that takes them.
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    /// The peer closes, with this code if it gave one.
    Close(Option<u16>),
}

/// Why the connection must be failed: the close code and the reason.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) struct Failure(pub(crate) u16, pub(crate) &'static str);

const PROTOCOL: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
/// A text was not UTF-8.
pub(crate) const NOT_UTF8: u16 = 1007;
/// A message was larger than is taken.
pub(crate) const TOO_BIG: u16 = 1009;

/// The receiving half. `BINARY` says whether binary messages are taken: XMPP has none, so they are refused by
/// their first byte.
#[derive(Default)]
pub(crate) struct Inbox<const BINARY: bool = false> {
    partial: Vec<u8>,
    /// The message whose fragments come; boxed, for nobody fragments.
    begun: Option<Box<Begun>>,
}

struct Begun {
    text: bool,
    payload: Vec<u8>,
}

impl<const BINARY: bool> Inbox<BINARY> {
    /// Begins with bytes that have come already.
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        Inbox { partial: bytes, begun: None }
    }

    /// Has everything that came been used?
    pub(crate) fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.begun.is_none()
    }

    /// Is there a whole frame among what was kept?
    pub(crate) fn has_whole_frame(&self) -> bool {
        match Head::parse(&self.partial) {
            Ok(Some(head)) => self.partial.len() as u64 >= head.at as u64 + head.len,
            Ok(None) => false,
            Err(_) => true, // to be refused
        }
    }

    /// Takes bytes as they came; calls `each` for every whole message, until it says stop with `false`.
    /// What was not looked at by then is kept for the next call (which may bring nothing new).
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        message_bytes_max: usize,
        mut each: impl FnMut(Message) -> bool,
    ) -> Result<(), Failure> {
        let mut kept = std::mem::take(&mut self.partial);
        let seen = kept.len();
        if seen > 0 {
            kept.extend_from_slice(bytes);
        }
        let all = if seen > 0 { &kept } else { bytes };
        let (mut at, mut stopped) = (0, false);
        while !stopped && let Some((message, used)) = self.next(&all[at..], message_bytes_max)? {
            at += used;
            stopped = message.is_some_and(|m| !each(m));
        }
        if at < all.len() {
            if !stopped {
                self.check_begun(&all[at..], seen.saturating_sub(at))?;
            }
            // A large message in small pieces must not be copied again for each of them.
            self.partial = if seen > 0 {
                kept.drain(..at);
                kept
            } else {
                bytes[at..].to_vec()
            };
        }
        Ok(())
    }

    /// Behind our close frame: has the other side said the same, or what cannot be read? What else it says is dropped.
    pub(crate) fn hears_close(&mut self, bytes: &[u8]) -> bool {
        let mut closed = false;
        let taken = self.take(bytes, LAST_BYTES_MAX, |message| {
            closed = matches!(message, Message::Close(_));
            !closed
        });
        closed || taken.is_err()
    }

    /// One frame, and the message that it completes.
    fn next(&mut self, bytes: &[u8], max: usize) -> Result<Option<(Option<Message>, usize)>, Failure> {
        // The first byte is judged before the rest of the head is there.
        let Some(&first) = bytes.first() else { return Ok(None) };
        self.check_order(first)?;
        let Some(head) = Head::parse(bytes)? else { return Ok(None) };
        // Judged by the head alone, so that nobody makes us wait for, or keep, what we shall refuse.
        let so_far = if head.is_control() { 0 } else { self.begun.as_ref().map_or(0, |b| b.payload.len()) };
        if !head.is_control() && head.len > max.saturating_sub(so_far) as u64 {
            return Err(Failure(TOO_BIG, "the message is larger than allowed here"));
        }
        let end = head.at + head.len as usize;
        if bytes.len() < end {
            return Ok(None);
        }
        let mut payload = Vec::with_capacity(head.len as usize);
        head.unmask(bytes, 0, &mut payload);
        let message = match head.opcode {
            0x0..=0x2 => self.data(&head, payload)?,
            0x8 => Some(Message::Close(close_code(&payload)?)),
            0x9 => Some(Message::Ping(payload)),
            _ => Some(Message::Pong),
        };
        Ok(Some((message, end)))
    }

    /// May a frame that begins so come now?
    fn check_order(&self, first: u8) -> Result<(), Failure> {
        let (opcode, begun) = (first & 0x0f, self.begun.is_some());
        match opcode {
            0x0 if !begun => Err(Failure(PROTOCOL, "a continuation of nothing")),
            0x1 | 0x2 if begun => Err(Failure(PROTOCOL, "a new message inside a fragmented one")),
            0x2 if !BINARY && first & 0x70 == 0 => {
                Err(Failure(UNSUPPORTED, "binary messages are not spoken here (RFC 7395)"))
            }
            _ => Ok(()),
        }
    }

    /// A whole frame of a text or binary message, which may be the message.
    fn data(&mut self, head: &Head, payload: Vec<u8>) -> Result<Option<Message>, Failure> {
        let mut begun = match self.begun.take() {
            None if head.fin => return message(head.opcode == 0x1, payload).map(Some),
            None => Box::new(Begun { text: head.opcode == 0x1, payload: Vec::new() }),
            Some(begun) => begun,
        };
        let before = begun.payload.len();
        begun.payload.extend_from_slice(&payload);
        if head.fin {
            return message(begun.text, begun.payload).map(Some);
        }
        if begun.text {
            check_text(&begun.payload, before)?;
        }
        self.begun = Some(begun);
        Ok(None)
    }

    /// Looks at the text in a frame that is not whole; the first `seen` of its bytes were looked at before.
    fn check_begun(&self, bytes: &[u8], seen: usize) -> Result<(), Failure> {
        let Some(head) = Head::parse(bytes)? else { return Ok(()) };
        if head.opcode != 0x1 && !self.begun.as_ref().is_some_and(|b| b.text && head.opcode == 0x0) {
            return Ok(());
        }
        // Three bytes of what was there before are enough to know the character that is under way.
        let from = seen.saturating_sub(head.at + 3);
        let mut text = Vec::new();
        if from == 0
            && let Some(begun) = &self.begun
        {
            text.extend_from_slice(&begun.payload[begun.payload.len().saturating_sub(3)..]);
        }
        let before = text.len() + (seen.saturating_sub(head.at) - from);
        head.unmask(bytes, from, &mut text);
        check_text(&text, before)
    }
}

/// The head of a frame.
struct Head {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    /// Where the payload begins.
    at: usize,
    len: u64,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Option<Head>, Failure> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if first & 0x70 != 0 {
            return Err(Failure(PROTOCOL, "a reserved bit is set"));
        }
        if !matches!(opcode, 0x0..=0x2 | 0x8..=0xa) {
            return Err(Failure(PROTOCOL, "an unknown opcode"));
        }
        if second & 0x80 == 0 {
            return Err(Failure(PROTOCOL, "a client must mask its frames"));
        }
        let short = (second & 0x7f) as usize;
        if opcode >= 0x8 && (!fin || short > CONTROL_BYTES_MAX) {
            return Err(Failure(PROTOCOL, "a control frame is fragmented or too long"));
        }
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let at = 2 + wide + 4;
        debug_assert!(at <= HEAD_BYTES_MAX);
        let Some(rest) = bytes.get(2..at) else { return Ok(None) };
        let len = match wide {
            0 => short as u64,
            _ => rest[..wide].iter().fold(0, |n, b| n << 8 | *b as u64),
        };
        if (wide == 2 && len < 126) || (wide == 8 && (len <= 0xffff || len >> 63 != 0)) {
            return Err(Failure(PROTOCOL, "a length not in its shortest form"));
        }
        let mask = [rest[wide], rest[wide + 1], rest[wide + 2], rest[wide + 3]];
        Ok(Some(Head { fin, opcode, mask, at, len }))
    }

    fn is_control(&self) -> bool {
        self.opcode >= 0x8
    }

    /// Appends the payload from its byte `from` on, as far as it is in `bytes`.
    fn unmask(&self, bytes: &[u8], from: usize, out: &mut Vec<u8>) {
        let end = bytes.len().min(self.at + self.len as usize);
        let payload = bytes.get(self.at + from..end).unwrap_or_default();
        out.extend(payload.iter().enumerate().map(|(i, b)| b ^ self.mask[(from + i) & 3]));
    }
}

const BAD_TEXT: Failure = Failure(NOT_UTF8, "a text message is not UTF-8");

fn message(text: bool, payload: Vec<u8>) -> Result<Message, Failure> {
    if text {
        String::from_utf8(payload).map(Message::Text).map_err(|_| BAD_TEXT)
    } else {
        Ok(Message::Binary(payload))
    }
}

/// Can `text` be how UTF-8 begins? The first `seen` bytes of it can, which is known.
fn check_text(text: &[u8], seen: usize) -> Result<(), Failure> {
    // A character that was under way there is looked at again, from its first byte.
    let begin = (seen.saturating_sub(3)..seen).find(|at| is_begun(&text[*at..seen])).unwrap_or(seen);
    match std::str::from_utf8(&text[begin..]) {
        Err(e) if e.error_len().is_some() => Err(BAD_TEXT),
        _ => Ok(()),
    }
}

/// Are these the first bytes of one character, and not all of it?
fn is_begun(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(e) if e.valid_up_to() == 0 && e.error_len().is_none())
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Failure> {
    match *payload {
        [] => Ok(None),
        [_] => Err(Failure(PROTOCOL, "half a close code")),
        [a, b, ref why @ ..] => {
            let code = u16::from_be_bytes([a, b]);
            if !CLOSE_CODES.iter().any(|r| r.contains(&code)) {
                return Err(Failure(PROTOCOL, "not a close code"));
            }
            if std::str::from_utf8(why).is_err() {
                return Err(Failure(NOT_UTF8, "a close reason is not UTF-8"));
            }
            Ok(Some(code))
        }
    }
}

/// Begins a text frame whose payload is appended to `out` next; give the mark to [`end_text`].
pub(crate) fn begin_text(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0x81, 0]);
    out.len()
}

/// Ends the frame begun at `mark`: its length is put in.
pub(crate) fn end_text(mark: usize, out: &mut Vec<u8>) {
    let len = out.len() - mark;
    match len {
        0..=125 => out[mark - 1] = len as u8,
        126..=0xffff => {
            out[mark - 1] = 126;
            out.splice(mark..mark, (len as u16).to_be_bytes());
        }
        _ => {
            out[mark - 1] = 127;
            out.splice(mark..mark, (len as u64).to_be_bytes());
        }
    }
}

/// Appends a ping, which the peer answers with a pong (section 5.5.2).
pub(crate) fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x89, 0]);
}

/// Appends the answer to a ping.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x8a, payload.len() as u8]);
    out.extend_from_slice(payload);
}

/// Appends a close frame. What is too long of the reason is left out.
pub(crate) fn close(code: u16, why: &str, out: &mut Vec<u8>) {
    let why = &why.as_bytes()[..why.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    out.extend_from_slice(&[0x88, 2 + why.len() as u8]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(why);
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
