//! Frames of STOMP 1.0, 1.1 and 1.2, the server's side. How they are cut into WebSocket messages means nothing: a
//! frame may be in pieces, and a message may have several. What is kept is bounded by the head and the body that one
//! frame may have.

/// The command and the headers of one frame, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of one frame.
const HEADERS_MAX: usize = 64;

/// What is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    #[default]
    V10,
    V11,
    V12,
}

impl Version {
    /// The newest of those in an `accept-version`.
    pub(super) fn newest(accepted: &str) -> Option<Version> {
        let known = |version| match version {
            "1.0" => Some(Version::V10),
            "1.1" => Some(Version::V11),
            "1.2" => Some(Version::V12),
            _ => None,
        };
        accepted.split(',').filter_map(|version| known(version.trim())).max()
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Version::V10 => "1.0",
            Version::V11 => "1.1",
            Version::V12 => "1.2",
        }
    }
}

/// A frame of the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    pub command: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Frame {
    /// The first header of this name: it is the one that counts.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad(pub &'static str);

/// What has come of a frame that is not whole.
#[derive(Default)]
pub(super) struct Decoder {
    bytes: Vec<u8>,
    /// Lines up to here were looked at; of a body, bytes.
    seen: usize,
    head: Option<Box<Head>>,
}

struct Head {
    frame: Frame,
    /// Where the body begins.
    at: usize,
    length: Option<usize>,
}

impl Decoder {
    /// More has come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame. Line ends between frames are only signs of life.
    pub(super) fn next(&mut self, version: Version, body_bytes_max: usize) -> Result<Option<Frame>, Bad> {
        if self.head.is_none() {
            if self.seen == 0 {
                let blank = self.bytes.iter().take_while(|b| matches!(b, b'\n' | b'\r')).count();
                self.bytes.drain(..blank);
            }
            if !self.head(version, body_bytes_max)? {
                self.rest();
                return Ok(None);
            }
        }
        let Some(head) = &self.head else { return Ok(None) };
        let end = match head.length {
            Some(length) => match self.bytes.get(head.at + length) {
                None => None,
                Some(0) => Some(head.at + length),
                Some(_) => return Err(Bad("there is no NUL behind the body that content-length tells")),
            },
            None => {
                let from = self.seen.max(head.at);
                let end = self.bytes[from..].iter().position(|b| *b == 0).map(|at| from + at);
                self.seen = self.bytes.len();
                if end.unwrap_or(self.bytes.len()) - head.at > body_bytes_max {
                    return Err(Bad("the body is larger than allowed here"));
                }
                end
            }
        };
        let (Some(end), Some(head)) = (end, self.head.take_if(|_| end.is_some())) else { return Ok(None) };
        let mut frame = head.frame;
        frame.body = self.bytes[head.at..end].to_vec();
        self.bytes.drain(..=end);
        self.seen = 0;
        self.rest();
        Ok(Some(frame))
    }

    /// An empty one owns nothing.
    fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Looks at the lines that are whole; is the head?
    fn head(&mut self, version: Version, body_bytes_max: usize) -> Result<bool, Bad> {
        while let Some(end) = self.bytes[self.seen..].iter().position(|b| *b == b'\n') {
            let line = &self.bytes[self.seen..self.seen + end];
            let empty = line.is_empty() || line == b"\r";
            self.seen += end + 1;
            if empty {
                let frame = parse(&self.bytes[..self.seen], version)?;
                let length = frame.header("content-length").map(|length| length.trim().parse::<usize>());
                let length = length.transpose().map_err(|_| Bad("content-length is no number"))?;
                if length.is_some_and(|length| length > body_bytes_max) {
                    return Err(Bad("the body is larger than allowed here"));
                }
                self.head = Some(Box::new(Head { frame, at: self.seen, length }));
                return Ok(true);
            }
            if self.seen > HEAD_BYTES_MAX {
                break;
            }
        }
        if self.seen > HEAD_BYTES_MAX || self.bytes.len() - self.seen > HEAD_BYTES_MAX {
            return Err(Bad("the headers are larger than allowed here"));
        }
        Ok(false)
    }
}

/// The command and the headers.
fn parse(head: &[u8], version: Version) -> Result<Frame, Bad> {
    if head.contains(&0) {
        return Err(Bad("a NUL within the headers"));
    }
    let head = std::str::from_utf8(head).map_err(|_| Bad("the headers are not UTF-8"))?;
    let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let command = lines.next().unwrap_or_default().to_owned();
    let escaped = !matches!(&*command, "CONNECT" | "STOMP");
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Bad("a header without a colon"))?;
        if name.is_empty() || headers.len() >= HEADERS_MAX {
            return Err(Bad("a header without a name, or too many of them"));
        }
        let plain = |text: &str| if escaped { unescape(text, version) } else { Ok(text.to_owned()) };
        headers.push((plain(name)?, plain(value)?));
    }
    Ok(Frame { command, headers, body: Vec::new() })
}

/// STOMP 1.2, "Value Encoding".
fn unescape(text: &str, version: Version) -> Result<String, Bad> {
    if version == Version::V10 || !text.contains('\\') {
        return Ok(text.to_owned());
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('c') => ':',
                Some('\\') => '\\',
                Some('r') if version == Version::V12 => '\r',
                _ => return Err(Bad("an escape that there is not, in a header")),
            },
            c => c,
        });
    }
    Ok(plain)
}

/// Appends a frame of ours. Its body is text.
pub(super) fn write(command: &str, headers: &[(&str, &str)], body: &str, version: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(command.as_bytes());
    out.push(b'\n');
    for (name, value) in headers {
        // Names are ours, and need nothing.
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        if command == "CONNECTED" {
            out.extend_from_slice(value.as_bytes());
        } else {
            escape(value, version, out);
        }
        out.push(b'\n');
    }
    if !body.is_empty() {
        out.extend_from_slice(format!("content-length:{}\n", body.len()).as_bytes());
    }
    out.push(b'\n');
    out.extend_from_slice(body.as_bytes());
    out.push(0);
}

fn escape(value: &str, version: Version, out: &mut Vec<u8>) {
    for byte in value.bytes() {
        match (byte, version) {
            (b'\n' | b'\r' | 0, Version::V10) | (0, _) => out.push(b' '),
            (byte, Version::V10) => out.push(byte),
            (b'\n', _) => out.extend_from_slice(b"\\n"),
            (b':', _) => out.extend_from_slice(b"\\c"),
            (b'\\', _) => out.extend_from_slice(b"\\\\"),
            (b'\r', Version::V12) => out.extend_from_slice(b"\\r"),
            (b'\r', Version::V11) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `COMMAND name=value,.. body`, one line for each frame; the end is why it is bad.
    fn told(pieces: &[&[u8]], version: Version, max: usize) -> Vec<String> {
        let mut decoder = Decoder::default();
        let mut told = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            loop {
                match decoder.next(version, max) {
                    Ok(None) => break,
                    Ok(Some(f)) => {
                        let headers: Vec<_> = f.headers.iter().map(|(n, v)| format!("{n}={v}")).collect();
                        told.push(format!("{} {} {}", f.command, headers.join(","), String::from_utf8_lossy(&f.body)));
                    }
                    Err(bad) => {
                        told.push(bad.0.into());
                        return told;
                    }
                }
            }
        }
        assert!(decoder.bytes.capacity() == 0 || !decoder.bytes.is_empty(), "at rest it owns nothing");
        told
    }

    #[test]
    fn frames_cut_anywhere() {
        let text = b"\n\r\nSEND\r\na:1\r\nb:x\\cy\\\\\\n\n\nbody\0\n\nSEND\ncontent-length:3\na:2\na:3\n\n\0\n\0\0\nACK\n\n\0\n";
        let whole = ["SEND a=1,b=x:y\\\n body", "SEND content-length=3,a=2,a=3 \0\n\0", "ACK  "];
        assert_eq!(told(&[text], Version::V12, 9), whole);
        for cut in 1..text.len() {
            assert_eq!(told(&[&text[..cut], &text[cut..]], Version::V12, 9), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(told(&bytes, Version::V12, 9), whole);
    }

    #[test]
    fn escapes_by_version() {
        let frame = b"SEND\na:\\r\n\n\0";
        assert_eq!(told(&[frame], Version::V12, 9), ["SEND a=\r "]);
        assert_eq!(told(&[frame], Version::V11, 9), ["an escape that there is not, in a header"]);
        assert_eq!(told(&[frame], Version::V10, 9), ["SEND a=\\r "]);
        assert_eq!(told(&[b"SEND\na:\\t\n\n\0"], Version::V12, 9), ["an escape that there is not, in a header"]);
        assert_eq!(told(&[b"SEND\na:\\\n\n\0"], Version::V12, 9), ["an escape that there is not, in a header"]);
        assert_eq!(told(&[b"CONNECT\npasscode:a\\tb:c\n\n\0"], Version::V12, 9), ["CONNECT passcode=a\\tb:c "]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for (bytes, why) in [
            (&b"SEND\nno colon\n\n\0"[..], "a header without a colon"),
            (b"SEND\n:v\n\n\0", "a header without a name, or too many of them"),
            (b"SE\0ND\n\n\0", "a NUL within the headers"),
            (b"SEND\na:\xff\n\n\0", "the headers are not UTF-8"),
            (b"SEND\n\n1234567890", "the body is larger than allowed here"),
            (b"SEND\n\n1234567890\0", "the body is larger than allowed here"),
            (b"SEND\ncontent-length:10\n\n", "the body is larger than allowed here"),
            (b"SEND\ncontent-length:18446744073709551616\n\n", "content-length is no number"),
            (b"SEND\ncontent-length:-1\n\n", "content-length is no number"),
            (b"SEND\ncontent-length:2\n\nabc\0", "there is no NUL behind the body that content-length tells"),
        ] {
            assert_eq!(told(&[bytes], Version::V12, 9), [why], "{:?}", String::from_utf8_lossy(bytes));
        }
        let long = [b"SEND\na:".to_vec(), vec![b'x'; HEAD_BYTES_MAX]].concat();
        assert_eq!(told(&[&long], Version::V12, 9), ["the headers are larger than allowed here"]);
        let many = [b"SEND\n".to_vec(), b"a:b\n".repeat(HEADERS_MAX + 1), b"\n\0".to_vec()].concat();
        assert_eq!(told(&[&many], Version::V12, 9), ["a header without a name, or too many of them"]);
        let endless = [b"SEND\n".to_vec(), b"a:b\n".repeat(HEAD_BYTES_MAX)].concat();
        assert_eq!(told(&[&endless], Version::V12, 9), ["the headers are larger than allowed here"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let headers = [("a", "x:y\\z\nw\r"), ("b", "")];
        for (version, read) in [
            (Version::V12, "SEND a=x:y\\z\nw\r,b=,content-length=2 hi"),
            (Version::V11, "SEND a=x:y\\z\nw ,b=,content-length=2 hi"),
            (Version::V10, "SEND a=x:y\\z w ,b=,content-length=2 hi"),
        ] {
            let mut out = Vec::new();
            write("SEND", &headers, "hi", version, &mut out);
            assert_eq!(told(&[&out], version, 9), [read]);
        }
    }

    #[test]
    fn the_newest_version_both_know() {
        assert_eq!(Version::newest("1.0,1.1,1.2"), Some(Version::V12));
        assert_eq!(Version::newest("1.3, 1.1"), Some(Version::V11));
        assert_eq!(Version::newest("2.0"), None);
    }
}
