//! What goes back, written in one piece: status line, fields, body.

use bytes::Bytes;
use std::borrow::Cow;
use std::io::Write;

/// The answer to one request. Every one carries a `Content-Length` and may be read from any origin.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) body: Bytes,
    /// More fields, each as `Name: value\r\n`.
    pub(crate) fields: &'static str,
    /// The body is packed with gzip.
    pub(crate) gzip: bool,
    /// The connection ends with this answer, whatever the client hoped for.
    pub(crate) close: bool,
}

/// The answer to a CORS preflight (Fetch standard): a page of any origin may POST to us.
const PREFLIGHT: &str = "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n\
                         Access-Control-Allow-Headers: Content-Type\r\n\
                         Access-Control-Max-Age: 86400\r\n";

impl Response {
    pub(crate) fn new(status: u16, content_type: impl Into<Cow<'static, str>>, body: impl Into<Bytes>) -> Self {
        Response { status, content_type: content_type.into(), body: body.into(), fields: "", gzip: false, close: false }
    }

    /// A line of text.
    pub(crate) fn text(status: u16, line: &str) -> Self {
        Response::new(status, "text/plain; charset=utf-8", format!("{line}\n"))
    }

    /// The method is not one of those that the path takes.
    pub(crate) fn not_allowed(allow: &'static str) -> Self {
        Response { fields: allow, ..Response::text(405, "this method is not allowed here") }
    }

    /// The request cannot be understood any further: say why and hang up.
    pub(crate) fn hang_up(status: u16, line: &str) -> Self {
        Response { close: true, ..Response::text(status, line) }
    }

    /// Too many of that kind from one address (RFC 6585 section 4).
    pub(crate) fn too_many() -> Self {
        Response { fields: "Retry-After: 10\r\n", ..Response::hang_up(429, "too many from your address") }
    }

    pub(crate) fn preflight() -> Self {
        Response { fields: PREFLIGHT, ..Response::new(204, "", Bytes::new()) }
    }

    /// The same, packed with gzip where that is worth it.
    pub(crate) fn packed(self) -> Self {
        match super::encoding::gzip(&self.body) {
            Some(body) => Response { body, gzip: true, ..self },
            None => self,
        }
    }

    /// Appends the whole response. `with_body` is false in answer to HEAD.
    pub(crate) fn write(&self, keep_alive: bool, with_body: bool, out: &mut Vec<u8>) {
        out.reserve(256 + self.body.len());
        // Writing into a vector cannot fail.
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        if !self.content_type.is_empty() {
            let _ = write!(out, "Content-Type: {}\r\n", self.content_type);
        }
        if self.gzip {
            out.extend_from_slice(b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n");
        }
        if !matches!(self.status, 204 | 304) {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        out.extend_from_slice(b"Access-Control-Allow-Origin: *\r\n");
        if !self.fields.starts_with("Cache-Control: ") {
            out.extend_from_slice(b"Cache-Control: no-store\r\n");
        }
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(if keep_alive && !self.close {
            b"Connection: keep-alive\r\n\r\n"
        } else {
            b"Connection: close\r\n\r\n"
        });
        if with_body {
            out.extend_from_slice(&self.body);
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        426 => "Upgrade Required",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
