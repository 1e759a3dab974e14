//! One request head, parsed by `httparse` and reduced to what this listener needs (RFC 9112).

use super::encoding::takes_gzip;
use crate::net::page;
use crate::net::shape::Forwarded;
use httparse::{EMPTY_HEADER, Status};

/// Headers in one request; more are refused with 431.
const HEADERS_MAX: usize = 64;

/// What this listener answers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Options,
    Other,
}

/// The head of a request.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// Without the query.
    pub(crate) path: Box<str>,
    /// What stands behind the first question mark.
    pub(crate) query: Box<str>,
    /// Where an EventSource goes on (HTML standard, server-sent events).
    pub(crate) last_event_id: Option<Box<str>>,
    /// May another request follow on this connection?
    pub(crate) keep_alive: bool,
    /// HTTP/1.1 or later: `Connection: close` must be said, and 100-continue may be.
    pub(crate) http_1_1: bool,
    /// How the end of the body is known.
    pub(crate) framing: Framing,
    /// What the body is packed with.
    pub(crate) coding: Coding,
    /// The answer may be packed with gzip.
    pub(crate) takes_gzip: bool,
    /// The client waits for a `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
    /// What proxies say of the client.
    pub(crate) forwarded: Option<Box<Forwarded>>,
    /// A field says that somebody passed the request on, believed or not.
    pub(crate) proxied: bool,
    /// Only of requests for which it matters.
    pub(crate) named: Option<Box<Named>>,
    /// Does the client want to become a WebSocket?
    pub(crate) upgrade: Option<Box<Upgrade>>,
}

/// What a request for something that is not for everybody, or may be kept by the client, says of itself.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Named {
    /// Whom the client believes to be talking to; `None` also when it says so twice.
    pub(crate) host: Option<Box<str>>,
    /// The page that asks.
    pub(crate) origin: Option<Box<str>>,
    /// What it has already.
    pub(crate) if_none_match: Option<Box<str>>,
}

/// How the end of a body is known (RFC 9112 section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
}

/// The content coding of a body (RFC 9110 section 8.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    /// One that we do not undo, or several.
    Unknown,
}

/// The WebSocket handshake of a request (RFC 6455 section 4.2.1).
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Upgrade {
    pub(crate) key: Option<String>,
    pub(crate) version: Option<String>,
    /// The sub-protocols offered, with commas between.
    pub(crate) protocols: String,
}

impl Upgrade {
    /// Is this sub-protocol offered?
    pub(crate) fn offers(&self, protocol: &str) -> bool {
        tokens(&self.protocols).any(|offered| offered == protocol)
    }
}

/// A head that gets no further: the status to answer with, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct BadHead(pub(crate) u16, pub(crate) &'static str);

/// The head at the start of `bytes` and its length; `None` while it is incomplete.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, BadHead> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let len = match request.parse(bytes) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead(431, "too many header fields")),
        Err(httparse::Error::Version) => return Err(BadHead(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")),
        Err(_) => return Err(BadHead(400, "the request head is not HTTP/1.1 (RFC 9112)")),
    };
    let http_1_1 = request.version == Some(1);
    let mut head = Head {
        method: match request.method.unwrap_or_default() {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        },
        path: path_of(request.path.unwrap_or_default()).into(),
        query: query_of(request.path.unwrap_or_default()).into(),
        last_event_id: None,
        keep_alive: http_1_1,
        http_1_1,
        framing: Framing::Length(0),
        coding: Coding::Identity,
        takes_gzip: false,
        expects_continue: false,
        forwarded: None,
        proxied: false,
        named: None,
        upgrade: None,
    };
    if page::wants_named(&head.path) {
        head.named = Some(Box::default());
    }
    let (mut length, mut chunked, mut websocket, mut connection_upgrade) = (None, false, false, false);
    let mut upgrade = Upgrade { key: None, version: None, protocols: String::new() };
    for h in request.headers.iter() {
        let is = |name: &str| h.name.eq_ignore_ascii_case(name);
        let text = || std::str::from_utf8(h.value).unwrap_or_default().trim();
        if is("content-length") {
            let n = parse_length(text())?;
            if length.is_some_and(|l| l != n) {
                return Err(BadHead(400, "two different Content-Length fields"));
            }
            length = Some(n);
        } else if is("transfer-encoding") {
            match text() {
                _ if chunked || !http_1_1 => return Err(BadHead(400, "this Transfer-Encoding has no clear meaning")),
                coding if coding.eq_ignore_ascii_case("chunked") => chunked = true,
                _ => return Err(BadHead(501, "the only transfer coding here is chunked")),
            }
        } else if is("content-encoding") {
            head.coding = match (head.coding, text()) {
                (before, coding) if coding.is_empty() || coding.eq_ignore_ascii_case("identity") => before,
                (Coding::Identity, coding) if ["gzip", "x-gzip"].iter().any(|g| g.eq_ignore_ascii_case(coding)) => {
                    Coding::Gzip
                }
                _ => Coding::Unknown,
            };
        } else if is("accept-encoding") {
            head.takes_gzip |= takes_gzip(text());
        } else if is("connection") {
            for token in tokens(text()) {
                if token.eq_ignore_ascii_case("close") {
                    head.keep_alive = false;
                } else if token.eq_ignore_ascii_case("keep-alive") && !http_1_1 {
                    head.keep_alive = true;
                } else if token.eq_ignore_ascii_case("upgrade") {
                    connection_upgrade = true;
                }
            }
        } else if is("expect") {
            head.expects_continue = http_1_1 && text().eq_ignore_ascii_case("100-continue");
        } else if is("upgrade") {
            websocket = tokens(text()).any(|t| t.eq_ignore_ascii_case("websocket"));
        } else if h.name.len() >= 9 && h.name.to_ascii_lowercase().contains("forwarded") {
            head.proxied = true;
            Forwarded::note(&mut head.forwarded, h.name, text());
        } else if is("via") || is("x-real-ip") {
            head.proxied = true;
        } else if is("last-event-id") {
            head.last_event_id = Some(text().into());
        } else if is("sec-websocket-key") {
            upgrade.key = Some(text().into());
        } else if is("sec-websocket-version") {
            upgrade.version = Some(text().into());
        } else if is("sec-websocket-protocol") {
            // Several fields are one list (RFC 6455 section 11.3.4).
            upgrade.protocols += text();
            upgrade.protocols.push(',');
        }
    }
    if let Some(named) = &mut head.named {
        let field = |name: &str| {
            let mut fields = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
            let one = fields.next().filter(|_| fields.next().is_none())?;
            Some(std::str::from_utf8(one.value).ok()?.trim().into())
        };
        (named.host, named.origin) = (field("host"), field("origin"));
        named.if_none_match = field("if-none-match");
    }
    head.framing = match length {
        // Whoever stands in front of us may have believed the other one (RFC 9112 section 6.3).
        Some(_) if chunked => return Err(BadHead(400, "both Content-Length and Transfer-Encoding")),
        _ if chunked => Framing::Chunked,
        length => Framing::Length(length.unwrap_or(0)),
    };
    head.upgrade = (websocket && connection_upgrade).then(|| Box::new(upgrade));
    Ok(Some((head, len)))
}

/// The path of a request target in origin form or absolute form (RFC 9112 section 3.2).
fn path_of(target: &str) -> &str {
    let target = match target.split_once("://").filter(|_| !target.starts_with('/')) {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    target.split(['?', '#']).next().unwrap_or_default()
}

fn query_of(target: &str) -> &str {
    let target = target.split('#').next().unwrap_or_default();
    target.split_once('?').map_or("", |(_, query)| query)
}

fn parse_length(text: &str) -> Result<usize, BadHead> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let n = if digits { text.parse().ok() } else { None };
    n.ok_or(BadHead(400, "Content-Length is not a number"))
}

fn tokens(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<(Head, usize)>, BadHead> {
        parse(text.replace('\n', "\r\n").as_bytes())
    }

    #[test]
    fn a_post_at_every_cut() {
        let text = "POST /http-bind?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "cut at {cut}");
        }
        let (head, len) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(len, text.len());
        assert_eq!(
            (head.method, &*head.path, &*head.query, head.framing, head.keep_alive),
            (Method::Post, "/http-bind", "x=1", Framing::Length(5), true)
        );
    }

    #[test]
    fn who_keeps_the_connection() {
        for (text, kept) in [
            ("GET / HTTP/1.1\n\n", true),
            ("GET / HTTP/1.1\nConnection: close\n\n", false),
            ("GET / HTTP/1.0\n\n", false),
            ("GET / HTTP/1.0\nConnection: Keep-Alive\n\n", true),
        ] {
            assert_eq!(head(text).unwrap().unwrap().0.keep_alive, kept, "{text}");
        }
    }

    #[test]
    fn bad_heads_have_their_status() {
        let many = format!("GET / HTTP/1.1\n{}\n", "X: y\n".repeat(HEADERS_MAX + 1));
        for (text, status) in [
            ("POST / HTTP/1.1\nContent-Length: 5\nContent-Length: 6\n\n", 400),
            ("POST / HTTP/1.1\nContent-Length: +5\n\n", 400),
            ("POST / HTTP/1.1\nContent-Length: 99999999999999999999999\n\n", 400),
            ("POST / HTTP/1.1\nTransfer-Encoding: gzip, chunked\n\n", 501),
            ("POST / HTTP/1.1\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n", 400),
            ("POST / HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length: 5\n\n", 400),
            ("POST / HTTP/1.0\nTransfer-Encoding: chunked\n\n", 400),
            ("GET / HTTP/2.0\n\n", 505),
            ("<stream:stream>\n\n", 400),
            (&many, 431),
        ] {
            assert_eq!(head(text).unwrap_err().0, status, "{text}");
        }
    }

    #[test]
    fn what_a_body_is_packed_with() {
        for (fields, framing, coding) in [
            ("Transfer-Encoding: Chunked\n", Framing::Chunked, Coding::Identity),
            ("Content-Encoding: GZIP\n", Framing::Length(0), Coding::Gzip),
            ("Content-Encoding: identity\n", Framing::Length(0), Coding::Identity),
            ("Content-Encoding: gzip, gzip\n", Framing::Length(0), Coding::Unknown),
            ("Content-Encoding: gzip\nContent-Encoding: gzip\n", Framing::Length(0), Coding::Unknown),
        ] {
            let head = head(&format!("POST / HTTP/1.1\n{fields}\n")).unwrap().unwrap().0;
            assert_eq!((head.framing, head.coding), (framing, coding), "{fields}");
        }
    }

    #[test]
    fn an_upgrade_needs_both_fields() {
        let text = "GET /ws HTTP/1.1\nUpgrade: WebSocket\nConnection: keep-alive, Upgrade\n\
                    Sec-WebSocket-Key: k\nSec-WebSocket-Version: 13\nSec-WebSocket-Protocol: a, xmpp\n\n";
        let upgrade = head(text).unwrap().unwrap().0.upgrade.unwrap();
        assert_eq!((upgrade.key.as_deref(), upgrade.version.as_deref()), (Some("k"), Some("13")));
        assert!(upgrade.offers("xmpp") && upgrade.offers("a") && !upgrade.offers("xm"));
        assert_eq!(head(&text.replace("Upgrade\n", "close\n")).unwrap().unwrap().0.upgrade, None);
    }
}
