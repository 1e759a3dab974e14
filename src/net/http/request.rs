//! Requests, taken from what came over a connection, as they become whole.

use super::chunked::Chunked;
use super::encoding::{Undecodable, gunzip};
use super::head::{self, BadHead, Coding, Framing, Head};
use crate::net::shape::Forwarded;

/// Of a BOSH body that is too large, so much is read before it is refused: the session stands in it.
const BODY_START_BYTES: usize = 512;

/// What a connection sent and nobody has used. Empty, and without capacity, while it waits for an answer.
#[derive(Default)]
pub(super) struct Reader {
    input: Vec<u8>,
    /// A request whose head was read and whose body is not whole.
    partial: Option<Box<Partial>>,
}

/// See [`Reader`].
struct Partial {
    head: Head,
    body: Vec<u8>,
    rest: Rest,
    /// The client was told to send the body.
    continued: bool,
}

/// What of a body is still to come.
enum Rest {
    Bytes(usize),
    Chunks(Chunked),
}

/// One request.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) head: Head,
    /// Without codings.
    pub(super) body: Vec<u8>,
}

/// What there is to do.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Nothing until more came.
    Incomplete,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    Continue,
    Request(Request),
    /// This is no HTTP that can be gone on with.
    Bad(BadHead),
    /// A BOSH body of more than `body_bytes_max`; this is how it begins.
    TooLarge(By, Vec<u8>),
    /// A BOSH body that cannot be decoded; this is how it begins.
    Undecodable(By, Vec<u8>),
}

/// What proxies say of whom a refused request came from.
pub(super) type By = Option<Box<Forwarded>>;

/// What a request may have.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) head_bytes_max: usize,
    pub(super) body_bytes_max: usize,
}

impl Reader {
    /// More came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Is part of a request there?
    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty() && self.partial.is_none()
    }

    /// All that came behind the last request.
    pub(super) fn into_rest(self) -> Vec<u8> {
        self.input
    }

    /// The next request, if it is whole. After anything that is not [`Next::Request`], [`Next::Continue`] or
    /// [`Next::Incomplete`] nothing more can be read.
    pub(super) fn next(&mut self, bounds: Bounds) -> Next {
        let next = self.try_next(bounds).unwrap_or_else(Next::Bad);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        next
    }

    fn try_next(&mut self, bounds: Bounds) -> Result<Next, BadHead> {
        let mut partial = match self.partial.take() {
            Some(partial) => partial,
            None => match self.head(bounds)? {
                Some(head) => Box::new(Partial::new(head)),
                None => return Ok(Next::Incomplete),
            },
        };
        let used = partial.take(&self.input, bounds.body_bytes_max)?;
        self.input.drain(..used);
        if partial.is_too_large(bounds.body_bytes_max) {
            if !super::is_bosh(&partial.head.path) {
                return Err(BadHead(413, "the request body is too large"));
            }
            if partial.body.len() >= BODY_START_BYTES {
                return Ok(Next::TooLarge(partial.head.forwarded.take(), partial.start()));
            }
        } else if partial.is_whole() {
            return partial.decode(bounds.body_bytes_max);
        }
        let asks = partial.head.expects_continue && !partial.continued && partial.body.is_empty();
        self.partial = Some(partial);
        Ok(if asks && self.input.is_empty() { Next::Continue } else { Next::Incomplete })
    }

    /// It was told so.
    pub(super) fn continued(&mut self) {
        if let Some(partial) = &mut self.partial {
            partial.continued = true;
        }
    }

    fn head(&mut self, bounds: Bounds) -> Result<Option<Head>, BadHead> {
        const TOO_LONG: BadHead = BadHead(431, "the request head is too long");
        if self.input.is_empty() {
            return Ok(None);
        }
        match head::parse(&self.input)? {
            Some((_, len)) if len > bounds.head_bytes_max => Err(TOO_LONG),
            Some((head, len)) => {
                self.input.drain(..len);
                Ok(Some(head))
            }
            None if self.input.len() > bounds.head_bytes_max => Err(TOO_LONG),
            None => Ok(None),
        }
    }
}

impl Partial {
    fn new(head: Head) -> Partial {
        let rest = match head.framing {
            Framing::Length(n) => Rest::Bytes(n),
            Framing::Chunked => Rest::Chunks(Chunked::default()),
        };
        Partial { head, body: Vec::new(), rest, continued: false }
    }

    /// Takes its share of `input`; no more than it takes to see that it is too much.
    fn take(&mut self, input: &[u8], body_bytes_max: usize) -> Result<usize, BadHead> {
        match &mut self.rest {
            Rest::Bytes(left) => {
                let room = (body_bytes_max + 1).saturating_sub(self.body.len());
                let n = input.len().min(*left).min(room);
                self.body.extend_from_slice(&input[..n]);
                *left -= n;
                Ok(n)
            }
            Rest::Chunks(chunked) => chunked.take(input, &mut self.body, body_bytes_max),
        }
    }

    /// A length that was announced counts before it has come.
    fn is_too_large(&self, body_bytes_max: usize) -> bool {
        let left = if let Rest::Bytes(left) = self.rest { left } else { 0 };
        self.body.len().saturating_add(left) > body_bytes_max
    }

    fn is_whole(&self) -> bool {
        matches!(self.rest, Rest::Bytes(0) | Rest::Chunks(Chunked::Done))
    }

    /// How the body begins, as far as it has come.
    fn start(&self) -> Vec<u8> {
        match self.head.coding {
            Coding::Gzip => match gunzip(&self.body, BODY_START_BYTES) {
                Ok(plain) | Err(Undecodable::TooLarge(plain) | Undecodable::Broken(plain)) => plain,
            },
            _ => self.body[..self.body.len().min(BODY_START_BYTES)].to_vec(),
        }
    }

    fn decode(self, body_bytes_max: usize) -> Result<Next, BadHead> {
        let Partial { head, body, .. } = self;
        let decoded = match head.coding {
            Coding::Identity => Ok(body),
            Coding::Gzip => gunzip(&body, body_bytes_max),
            Coding::Unknown => Err(Undecodable::Broken(Vec::new())),
        };
        match decoded {
            Ok(body) => Ok(Next::Request(Request { head, body })),
            Err(_) if !super::is_bosh(&head.path) => Err(BadHead(415, "the request body cannot be decoded")),
            Err(Undecodable::TooLarge(start)) => Ok(Next::TooLarge(head.forwarded, start)),
            Err(Undecodable::Broken(start)) => Ok(Next::Undecodable(head.forwarded, start)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::encoding::gzip;

    const BOUNDS: Bounds = Bounds { head_bytes_max: 300, body_bytes_max: 10_000 };

    fn post(fields: &str, body: &[u8]) -> Vec<u8> {
        [format!("POST /http-bind HTTP/1.1\r\n{fields}\r\n").as_bytes(), body].concat()
    }

    fn with_length(fields: &str, body: &[u8]) -> Vec<u8> {
        post(&format!("{fields}Content-Length: {}\r\n", body.len()), body)
    }

    /// What becomes of it, when it comes in pieces of that size.
    fn read(bytes: &[u8], piece: usize) -> Next {
        let mut reader = Reader::default();
        for piece in bytes.chunks(piece) {
            reader.push(piece);
            match reader.next(BOUNDS) {
                Next::Incomplete => {}
                next => return next,
            }
        }
        Next::Incomplete
    }

    fn body_of(next: Next) -> Vec<u8> {
        match next {
            Next::Request(request) => request.body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_body_however_it_comes() {
        let text = "<body rid='7'>".repeat(100);
        let packed = gzip(text.as_bytes()).expect("worth it");
        let chunks = |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        for bytes in [
            with_length("", text.as_bytes()),
            with_length("Content-Encoding: identity\r\n", text.as_bytes()),
            with_length("Content-Encoding: gzip\r\n", &packed),
            post("Transfer-Encoding: chunked\r\n", &chunks(text.as_bytes())),
            post("Transfer-Encoding: chunked\r\nContent-Encoding: x-gzip\r\n", &chunks(&packed)),
        ] {
            for piece in [1, 7, 1_000, bytes.len()] {
                assert_eq!(body_of(read(&bytes, piece)), text.as_bytes(), "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn requests_behind_each_other() {
        let mut reader = Reader::default();
        reader.push(&[with_length("", b"one"), with_length("", b"two"), b"POST".to_vec()].concat());
        assert_eq!(body_of(reader.next(BOUNDS)), b"one");
        assert_eq!(body_of(reader.next(BOUNDS)), b"two");
        assert_eq!(reader.next(BOUNDS), Next::Incomplete);
        assert!(!reader.is_empty());
        assert_eq!(reader.into_rest(), b"POST");
    }

    #[test]
    fn too_large_is_known_as_soon_as_its_session_is() {
        let text = format!("<body sid='x'>{}", " ".repeat(20_000));
        let packed = gzip(text.as_bytes()).expect("worth it");
        let announced = with_length("", text.as_bytes());
        for (bytes, piece) in [(&announced, 1), (&with_length("Content-Encoding: gzip\r\n", &packed), 10)] {
            let Next::TooLarge(_, start) = read(bytes, piece) else { panic!("it is too large") };
            assert!(start.starts_with(b"<body sid='x'>"));
        }
        let head = announced.len() - text.len();
        assert_eq!(read(&announced[..head + BODY_START_BYTES - 1], 100), Next::Incomplete);
        assert!(matches!(read(&announced[..head + BODY_START_BYTES], 100), Next::TooLarge(..)));
        let chunked = post("Transfer-Encoding: chunked\r\n", format!("ffff\r\n{text}").as_bytes());
        assert!(matches!(read(&chunked, 1_000), Next::TooLarge(..)));
    }

    #[test]
    fn what_cannot_be_decoded() {
        assert!(matches!(read(&with_length("Content-Encoding: gzip\r\n", b"<body/>"), 9), Next::Undecodable(..)));
        assert!(matches!(read(&with_length("Content-Encoding: br\r\n", b"<body/>"), 9), Next::Undecodable(..)));
    }

    #[test]
    fn the_client_is_told_to_go_on_once() {
        let bytes = with_length("Expect: 100-continue\r\n", b"<body/>");
        let (head, body) = bytes.split_at(bytes.len() - 7);
        let mut reader = Reader::default();
        reader.push(head);
        // Not told yet: it is asked for again.
        assert_eq!((reader.next(BOUNDS), reader.next(BOUNDS)), (Next::Continue, Next::Continue));
        reader.continued();
        assert_eq!(reader.next(BOUNDS), Next::Incomplete);
        reader.push(body);
        assert_eq!(body_of(reader.next(BOUNDS)), b"<body/>");
        // Who does not wait is not told.
        assert_eq!(body_of(read(&bytes, bytes.len())), b"<body/>");
    }

    #[test]
    fn heads_that_are_too_long() {
        let long = format!("X: {}\r\n", "x".repeat(300));
        for bytes in [post(&long, b""), post(&long, b"")[..302].to_vec()] {
            assert!(matches!(read(&bytes, bytes.len()), Next::Bad(BadHead(431, _))));
        }
    }
}
