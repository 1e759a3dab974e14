//! Files that come with the server: `/herald.js`, and the demo page.
//!
//! They are part of the program. A browser may keep them, and asks whether they have changed (`ETag`, RFC 9110 section
//! 8.8.3): the script of a page is then that of the server it talks to.

use crate::config::Demo;
use crate::net::World;
use crate::net::http::{Head, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

struct File {
    path: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    /// Its ETag, and all other fields.
    fields: OnceLock<(String, &'static str)>,
}

macro_rules! file {
    ($path:literal, $content_type:literal, $source:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            body: include_bytes!(concat!("../../../client/", $source)),
            fields: OnceLock::new(),
        }
    };
}

const JS: &str = "/herald.js";

static FILES: [File; 6] = [
    file!("/herald.js", "text/javascript; charset=utf-8", "dist/herald.js"),
    file!("/", "text/html; charset=utf-8", "demo/index.html"),
    file!("/demo.css", "text/css; charset=utf-8", "demo/demo.css"),
    file!("/demo.js", "text/javascript; charset=utf-8", "demo/demo.js"),
    file!("/line.js", "text/javascript; charset=utf-8", "demo/line.js"),
    file!("/icon.svg", "image/svg+xml", "demo/icon.svg"),
];

/// What the demo page may load and whom it may talk to: this server. Nobody may put it into a frame.
macro_rules! fields {
    ($etag:expr) => {
        format!(
            "Cache-Control: no-cache\r\nETag: {}\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
            $etag
        )
    };
}

/// Is there a file at this path?
pub(crate) fn is_path(path: &str) -> bool {
    find(path).is_some()
}

/// The file at the path of a request; `None` when there is none, or it is not to be served.
pub(crate) fn get(world: &World, head: &Head) -> Option<Response> {
    let file = find(&head.path).filter(|file| file.path == JS || world.config.http.demo != Demo::Off)?;
    let (etag, fields) = file.fields.get_or_init(|| {
        // Weak: packed with gzip it is another sequence of bytes, and the same file.
        let etag = format!("W/\"{}\"", BASE64.encode(&Sha256::digest(file.body)[..12]));
        let fields: &'static str = fields!(etag).leak(); // once for each file
        (etag, fields)
    });
    let known = head.named.as_deref().and_then(|named| named.if_none_match.as_deref());
    let known = known.is_some_and(|known| known.split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim() == etag));
    Some(match known {
        true => Response { fields, ..Response::new(304, "", Bytes::new()) },
        false => Response { fields, ..Response::new(200, file.content_type, Bytes::from_static(file.body)) },
    })
}

fn find(path: &str) -> Option<&'static File> {
    let path = if path == "/favicon.ico" { "/icon.svg" } else { path };
    FILES.iter().find(|file| file.path == path)
}
