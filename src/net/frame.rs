//! WebSocket frames (RFC 6455 section 5), the server's side.
//!
//! [`Inbox`] keeps only what is incomplete: part of a frame, or the fragments of a message.

use std::ops::RangeInclusive;

/// Payload of a control frame, bytes (section 5.5).
const CONTROL_BYTES_MAX: usize = 125;
/// The longest head of a frame, bytes.
const HEAD_BYTES_MAX: usize = 14;
/// Codes that a peer may send in a close frame (section 7.4).
const CLOSE_CODES: [RangeInclusive<u16>; 4] = [1000..=1003, 1007..=1014, 3000..=3999, 4000..=4999];

/// Something whole that the peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// A text message, put together from its fragments; checked UTF-8.
    Text(String),
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
const NOT_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;

/// The receiving half.
#[derive(Default)]
pub(crate) struct Inbox {
    partial: Vec<u8>,
    /// The fragments of a text message so far.
    fragments: Option<Vec<u8>>,
}

impl Inbox {
    /// Begins with bytes that have come already.
    pub(crate) fn with(bytes: Vec<u8>) -> Inbox {
        Inbox { partial: bytes, fragments: None }
    }

    /// Has everything that came been used?
    pub(crate) fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.fragments.is_none()
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
        let fresh = kept.is_empty();
        if !fresh {
            kept.extend_from_slice(bytes);
        }
        let all = if fresh { bytes } else { &kept };
        let mut at = 0;
        while let Some((message, used)) = self.next(&all[at..], message_bytes_max)? {
            at += used;
            if message.is_some_and(|m| !each(m)) {
                break;
            }
        }
        if at < all.len() {
            // A large message in small pieces must not be copied again for each of them.
            self.partial = if fresh {
                bytes[at..].to_vec()
            } else {
                kept.drain(..at);
                kept
            };
        }
        Ok(())
    }

    /// One frame, and the message that it completes.
    fn next(&mut self, bytes: &[u8], max: usize) -> Result<Option<(Option<Message>, usize)>, Failure> {
        let Some(head) = Head::parse(bytes)? else { return Ok(None) };
        let so_far = self.fragments.as_ref().map_or(0, Vec::len);
        // Judged by the head alone, so that nobody makes us wait for, or keep, what we shall refuse.
        if head.len > (max - so_far.min(max)) as u64 {
            return Err(Failure(TOO_BIG, "the message is larger than allowed here"));
        }
        let end = head.at + head.len as usize;
        if bytes.len() < end {
            return Ok(None);
        }
        let mut payload = bytes[head.at..end].to_vec();
        for (i, b) in payload.iter_mut().enumerate() {
            *b ^= head.mask[i & 3];
        }
        let message = match head.opcode {
            0x0 => {
                let Some(fragments) = &mut self.fragments else {
                    return Err(Failure(PROTOCOL, "a continuation of nothing"));
                };
                fragments.extend_from_slice(&payload);
                if head.fin { self.fragments.take().map(text).transpose()? } else { None }
            }
            0x1 => {
                if self.fragments.is_some() {
                    return Err(Failure(PROTOCOL, "a new message inside a fragmented one"));
                }
                if head.fin {
                    Some(text(payload)?)
                } else {
                    self.fragments = Some(payload);
                    None
                }
            }
            0x2 => return Err(Failure(UNSUPPORTED, "binary messages are not spoken here (RFC 7395)")),
            0x8 => Some(Message::Close(close_code(&payload)?)),
            0x9 => Some(Message::Ping(payload)),
            _ => Some(Message::Pong),
        };
        Ok(Some((message, end)))
    }
}

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
}

fn text(bytes: Vec<u8>) -> Result<Message, Failure> {
    String::from_utf8(bytes).map(Message::Text).map_err(|_| Failure(NOT_UTF8, "a text message is not UTF-8"))
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

/// Appends the answer to a ping.
pub(crate) fn pong(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x8a, payload.len() as u8]);
    out.extend_from_slice(payload);
}

/// Appends a close frame.
pub(crate) fn close(code: u16, why: &str, out: &mut Vec<u8>) {
    let why = &why.as_bytes()[..why.len().min(CONTROL_BYTES_MAX - 2)];
    out.extend_from_slice(&[0x88, 2 + why.len() as u8]);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(why);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame as a client sends it, masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
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
        let mask = [1, 2, 3, 4];
        out.extend(mask);
        out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i & 3]));
        out
    }

    fn take(bytes: &[u8], step: usize) -> Result<Vec<Message>, Failure> {
        let (mut inbox, mut got) = (Inbox::default(), Vec::new());
        for part in bytes.chunks(step) {
            inbox.take(part, 100_000, |m| {
                got.push(m);
                true
            })?;
        }
        Ok(got)
    }

    #[test]
    fn messages_at_every_cut() {
        let long = "ä".repeat(40_000);
        let bytes = [
            frame(0x81, b"<open/>"),
            frame(0x01, b"a "),
            frame(0x89, b"ping"),
            frame(0x00, "st\u{e4}".as_bytes()),
            frame(0x80, b"nza"),
            frame(0x81, &long.as_bytes()[..300]),
            frame(0x81, long.as_bytes()),
            frame(0x8a, b""),
            frame(0x88, &[3, 232, b'x']),
        ]
        .concat();
        let want = [
            Message::Text("<open/>".into()),
            Message::Ping(b"ping".to_vec()),
            Message::Text("a st\u{e4}nza".into()),
            Message::Text(long[..300].into()),
            Message::Text(long.clone()),
            Message::Pong,
            Message::Close(Some(1000)),
        ];
        for step in [1, 2, 3, 5, 1000, usize::MAX] {
            assert_eq!(take(&bytes, step).unwrap(), want, "step {step}");
        }
    }

    #[test]
    fn what_is_refused() {
        let mut unmasked = frame(0x81, b"x");
        unmasked[1] &= 0x7f;
        let mut wide = vec![0x81, 0x80 | 126, 0, 5, 0, 0, 0, 0];
        wide.extend(b"hello");
        for (name, bytes, code) in [
            ("unmasked", unmasked, 1002),
            ("length not shortest", wide, 1002),
            ("reserved bit", frame(0xc1, b"x"), 1002),
            ("unknown opcode", frame(0x83, b"x"), 1002),
            ("binary", frame(0x82, b"x"), 1003),
            ("fragmented ping", frame(0x09, b"x"), 1002),
            ("long ping", frame(0x89, &[0; 126]), 1002),
            ("continuation of nothing", frame(0x80, b"x"), 1002),
            ("text inside a fragmented text", [frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002),
            ("bad UTF-8", frame(0x81, b"\xff"), 1007),
            ("close with one byte", frame(0x88, &[3]), 1002),
            ("close with a reserved code", frame(0x88, &1005u16.to_be_bytes()), 1002),
            ("too big", frame(0x81, &[b'x'; 100_001]), 1009),
            ("too big in fragments", [frame(0x01, &[b'x'; 60_000]), frame(0x80, &[b'x'; 60_000])].concat(), 1009),
        ] {
            assert_eq!(take(&bytes, usize::MAX).unwrap_err().0, code, "{name}");
        }
        // A length that promises too much is refused before its payload came.
        let head = [0x81, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(take(&head, 1).unwrap(), [], "the mask is still missing");
        assert_eq!(take(&[&head[..], &[0; 4]].concat(), 1).unwrap_err().0, 1009);
    }

    #[test]
    fn frames_of_ours_have_the_shortest_length() {
        for (len, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut out = Vec::new();
            let mark = begin_text(&mut out);
            out.extend(vec![b'x'; len]);
            end_text(mark, &mut out);
            assert_eq!(out.len(), head + len);
            assert_eq!(out[0], 0x81);
        }
    }

    #[test]
    fn nothing_is_kept_between_messages() {
        let mut inbox = Inbox::default();
        inbox.take(&frame(0x81, b"x"), 10, |_| true).unwrap();
        assert_eq!((inbox.partial.capacity(), inbox.fragments.is_some()), (0, false));
    }
}
