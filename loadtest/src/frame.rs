//! A client's side of WebSocket frames (RFC 6455).

/// One frame may be long so many bytes; a longer one ends its session.
const FRAME_BYTES_MAX: u64 = 4 << 20;

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text, or another piece of it.
    Text,
    /// The server takes its leave.
    Close,
    /// It asks whether we are there.
    Ping,
    /// It says that it is there.
    Pong,
}

/// A frame that has come whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// What it is about.
    pub kind: Kind,
    /// The last piece of its message.
    pub last: bool,
    /// What it carries.
    pub payload: &'b [u8],
    /// How many of the bytes it took.
    pub taken: usize,
}

/// What came is no frame that a server may send.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the server sent is no WebSocket frame")]
pub struct Malformed;

/// The first frame in `bytes`; `None` while it is not whole.
pub fn next(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    let kind = match first & 0x0f {
        0 | 1 => Kind::Text,
        8 => Kind::Close,
        9 => Kind::Ping,
        10 => Kind::Pong,
        _ => return Err(Malformed),
    };
    // A server's frames are not masked, and nobody agreed on an extension.
    if second & 0x80 != 0 || first & 0x70 != 0 {
        return Err(Malformed);
    }
    let (length, head) = match second {
        126 => match bytes.get(2..4) {
            Some(long) => (u64::from(u16::from_be_bytes([long[0], long[1]])), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|long| long.try_into().ok()) {
            Some(long) => (u64::from_be_bytes(long), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > FRAME_BYTES_MAX {
        return Err(Malformed);
    }
    let end = head + usize::try_from(length).map_err(|_| Malformed)?;
    let frame = bytes.get(head..end).map(|payload| Frame { kind, last: first & 0x80 != 0, payload, taken: end });
    Ok(frame)
}

/// Adds a frame, masked as a client's must be; the mask may be any.
pub fn write(out: &mut Vec<u8>, kind: Kind, payload: &[u8], mask: [u8; 4]) {
    let opcode = match kind {
        Kind::Text => 1,
        Kind::Close => 8,
        Kind::Ping => 9,
        Kind::Pong => 10,
    };
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => out.push(0x80 | short as u8),
        long @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(long as u16).to_be_bytes());
        }
        huge => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(huge as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_when_they_are_whole() {
        for length in [0usize, 1, 125, 126, 65_535, 65_536] {
            let mut bytes = vec![0x81];
            match length {
                0..=125 => bytes.push(length as u8),
                126..=65_535 => bytes.extend([&[126][..], &(length as u16).to_be_bytes()].concat()),
                _ => bytes.extend([&[127][..], &(length as u64).to_be_bytes()].concat()),
            }
            bytes.extend(vec![b'x'; length]);
            assert_eq!(next(&bytes[..bytes.len() - 1]), Ok(None), "{length}");
            let frame = next(&bytes).expect("a frame").expect("a whole one");
            assert_eq!((frame.kind, frame.last, frame.payload.len()), (Kind::Text, true, length));
            assert_eq!(frame.taken, bytes.len());
        }
    }

    #[test]
    fn what_a_server_may_not_send_is_refused() {
        assert_eq!(next(&[0x81, 0x81, 1, 2, 3, 4, 5]), Err(Malformed)); // masked
        assert_eq!(next(&[0xc1, 0]), Err(Malformed)); // compressed
        assert_eq!(next(&[0x83, 0]), Err(Malformed)); // no such kind
        assert_eq!(next(&[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]), Err(Malformed)); // huge
    }

    #[test]
    fn what_is_written_is_masked() {
        let mut out = Vec::new();
        write(&mut out, Kind::Pong, b"abcde", [1, 2, 3, 4]);
        assert_eq!(out, [0x8a, 0x85, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3, b'd' ^ 4, b'e' ^ 1]);
    }
}
