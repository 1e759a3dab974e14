//! The answers of an HTTP/1.1 server (RFC 9112), found in bytes that are still coming.

use memchr::memmem;

/// What one answer may be long; a longer one ends its session.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const HEAD_BYTES_MAX: usize = 64 << 10;

/// An answer that has come whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, 101, 404 and so on.
    pub status: u16,
    /// What it carries.
    pub body: Vec<u8>,
    /// The server ends the connection after it.
    pub closes: bool,
    /// How many of the bytes it took.
    pub taken: usize,
}

/// Why bytes are no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else than HTTP speaks here.
    #[error("what the server sent is no answer of HTTP")]
    Malformed,
    /// It is longer than anything we asked for.
    #[error("the server's answer is too long")]
    TooLong,
}

/// The first answer in `bytes`; `None` while it is not whole.
pub fn answer(bytes: &[u8]) -> Result<Option<Answer>, Fault> {
    let Some(head_bytes) = memmem::find(bytes, b"\r\n\r\n").map(|end| end + 4) else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(Fault::TooLong) } else { Ok(None) };
    };
    let head = std::str::from_utf8(&bytes[..head_bytes]).map_err(|_| Fault::Malformed)?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status: u16 = status.ok_or(Fault::Malformed)?;
    let (mut body_bytes, mut chunked, mut closes) = (0, false, first.starts_with("HTTP/1.0"));
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match () {
            () if name.eq_ignore_ascii_case("content-length") => {
                body_bytes = value.parse().map_err(|_| Fault::Malformed)?;
            }
            () if name.eq_ignore_ascii_case("transfer-encoding") => chunked = value.eq_ignore_ascii_case("chunked"),
            () if name.eq_ignore_ascii_case("connection") => closes |= value.eq_ignore_ascii_case("close"),
            () => {}
        }
    }
    if body_bytes > ANSWER_BYTES_MAX || bytes.len() > 2 * ANSWER_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let rest = &bytes[head_bytes..];
    let (body, taken) = if chunked {
        let Some((body, taken)) = chunks(rest)? else { return Ok(None) };
        (body, taken)
    } else {
        let Some(body) = rest.get(..body_bytes) else { return Ok(None) };
        (body.to_vec(), body_bytes)
    };
    Ok(Some(Answer { status, body, closes, taken: head_bytes + taken }))
}

/// A chunked body (RFC 9112 section 7.1), and how long it was on the wire.
fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Fault> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = memmem::find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[at..at + line]).map_err(|_| Fault::Malformed)?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| Fault::Malformed)?;
        if size > ANSWER_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let start = at + line + 2;
        let Some(chunk) = bytes.get(start..start + size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        at = start + size + 2;
        if size == 0 {
            return Ok(Some((body, at))); // trailers are sent to nobody who did not ask for them
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, status: u16, body: &str, closes: bool) {
        for cut in 0..text.len() {
            assert_eq!(answer(&text.as_bytes()[..cut]), Ok(None), "cut at {cut}");
        }
        let behind = format!("{text}HTTP/1.1 ");
        let wanted = Answer { status, body: body.into(), closes, taken: text.len() };
        assert_eq!(answer(behind.as_bytes()), Ok(Some(wanted)));
    }

    #[test]
    fn answers_are_found_when_they_are_whole() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<a/>\n", 200, "<a/>\n", false);
        check("HTTP/1.1 404 \r\ncontent-length:0\r\nConnection: Close\r\n\r\n", 404, "", true);
        check("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101, "", false);
    }

    #[test]
    fn chunks_are_put_together() {
        check(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n<a/\r\n1\r\n>\r\n0\r\n\r\n",
            200,
            "<a/>",
            false,
        );
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(answer(b"SSH-2.0-x\r\n\r\n"), Err(Fault::Malformed));
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), Err(Fault::Malformed));
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), Err(Fault::TooLong));
    }
}
