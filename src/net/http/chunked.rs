//! The chunked transfer coding of a request body (RFC 9112 section 7.1), taken apart as it comes.
//!
//! BOSH clients do not chunk (XEP-0124 section 5); programs that stream a body of unknown length do, and
//! proxies hand that on. Strict where leniency lets a request be smuggled: CRLF ends every line, a size is
//! hexadecimal digits and nothing else.

use super::head::BadHead;

/// The line with a chunk's size, extensions and all; a longer one is refused.
const LINE_BYTES_MAX: usize = 256;
/// All trailer fields together; more are refused. Nothing in them is looked at.
const TRAILER_BYTES_MAX: usize = 4_096;

/// How far it has been read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Chunked {
    /// The line with the size of a chunk comes next.
    #[default]
    Size,
    /// So much of a chunk is still to come.
    Data(usize),
    /// The end of the line behind a chunk.
    DataEnd,
    /// Trailer fields; there were so many bytes of them.
    Trailer(usize),
    /// That was all.
    Done,
}

impl Chunked {
    /// Takes what can be taken of `input`: data goes to `body`, as much of it as makes that no longer than
    /// `body_bytes_max` and one more. Returns how many bytes of `input` are used up; the rest is to be brought
    /// again with more behind it.
    pub(super) fn take(&mut self, input: &[u8], body: &mut Vec<u8>, body_bytes_max: usize) -> Result<usize, BadHead> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match *self {
                Chunked::Data(0) => *self = Chunked::DataEnd,
                Chunked::Data(left) => {
                    let room = (body_bytes_max + 1).saturating_sub(body.len());
                    let n = left.min(rest.len()).min(room);
                    if n == 0 {
                        return Ok(used);
                    }
                    body.extend_from_slice(&rest[..n]);
                    used += n;
                    *self = Chunked::Data(left - n);
                }
                Chunked::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        used += 2;
                        *self = Chunked::Size;
                    }
                    [] | [b'\r'] => return Ok(used),
                    _ => return Err(BadHead(400, "a chunk is longer than it says")),
                },
                Chunked::Size => {
                    let Some(line) = line(rest, LINE_BYTES_MAX)? else { return Ok(used) };
                    used += line.len() + 2;
                    *self = match size(line)? {
                        0 => Chunked::Trailer(0),
                        n => Chunked::Data(n),
                    };
                }
                Chunked::Trailer(had) => {
                    let Some(line) = line(rest, TRAILER_BYTES_MAX - had)? else { return Ok(used) };
                    used += line.len() + 2;
                    *self = match line {
                        [] => Chunked::Done,
                        _ => Chunked::Trailer((had + line.len() + 2).min(TRAILER_BYTES_MAX)),
                    };
                }
                Chunked::Done => return Ok(used),
            }
        }
    }
}

/// The line at the start of `bytes`, without its end; none while it is incomplete.
fn line(bytes: &[u8], bytes_max: usize) -> Result<Option<&[u8]>, BadHead> {
    let end = memchr::memchr(b'\n', &bytes[..bytes.len().min(bytes_max + 2)]);
    match end {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(&bytes[..end - 1])),
        Some(_) => Err(BadHead(400, "a line of the chunked coding does not end in CRLF")),
        None if bytes.len() >= bytes_max + 2 => Err(BadHead(431, "a line of the chunked coding is too long")),
        None => Ok(None),
    }
}

/// The size that begins a line; what stands behind `;` is an extension and means nothing to us.
fn size(line: &[u8]) -> Result<usize, BadHead> {
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii_end();
    let number = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
    let number = number.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    number.ok_or(BadHead(400, "the size of a chunk is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    /// Brought in pieces of `piece` bytes: the body, and what was left behind it.
    fn read(text: &str, piece: usize) -> Result<(String, String), u16> {
        let (mut chunked, mut input, mut body) = (Chunked::default(), Vec::new(), Vec::new());
        for bytes in text.as_bytes().chunks(piece) {
            input.extend_from_slice(bytes);
            let used = chunked.take(&input, &mut body, MAX).map_err(|BadHead(status, _)| status)?;
            input.drain(..used);
        }
        assert_eq!(chunked == Chunked::Done, text.contains("\r\n0"), "{chunked:?}");
        Ok((String::from_utf8(body).expect("ASCII"), String::from_utf8(input).expect("ASCII")))
    }

    #[test]
    fn whole_in_whatever_pieces_it_comes() {
        let text = "5\r\n<body\r\n00B;name=value\r\n rid='7'/>\n\r\n0\r\nTrailer: x\r\n\r\nPOST";
        for piece in 1..=text.len() {
            assert_eq!(read(text, piece), Ok(("<body rid='7'/>\n".into(), "POST".into())), "{piece}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (text, status) in [
            ("5\n<body", 400),
            ("+5\r\n<body", 400),
            ("0x5\r\n<body", 400),
            ("\r\n<body", 400),
            (" 5\r\n<body", 400),
            ("ffffffffffffffffff\r\n", 400),
            ("5\r\n<body/>", 400),
            (&format!("5;{}", "x".repeat(LINE_BYTES_MAX)), 431),
            (&format!("0\r\n{}", "a: b\r\n".repeat(1_000)), 431),
        ] {
            assert_eq!(read(text, text.len()), Err(status), "{text:?}");
        }
    }

    #[test]
    fn no_more_is_taken_than_there_is_room_for() {
        let (mut chunked, mut body) = (Chunked::default(), Vec::new());
        let text = format!("fffff\r\n{}", "x".repeat(1_000));
        let used = chunked.take(text.as_bytes(), &mut body, MAX).expect("chunks");
        assert_eq!((used, body.len()), (7 + MAX + 1, MAX + 1));
    }
}
