//! What a request is answered with, by its path and method.

use super::head::{Head, Method};
use super::{Reply, Response, Via};
use crate::net::{World, bosh, comet, page, stomp, ws};
use std::sync::Arc;

pub(super) fn is_bosh(path: &str) -> bool {
    matches!(path, "/http-bind" | "/http-bind/")
}

pub(super) async fn route(world: &Arc<World>, via: Via, head: Head, body: Vec<u8>) -> Reply {
    let path = &*head.path;
    let bosh_path = is_bosh(path);
    let response = match head.method {
        Method::Options => Response::preflight(),
        Method::Post if bosh_path => return bosh::post(world, via, body).await,
        Method::Post if page::is_path(path) => return page::post(world, via, body).await,
        Method::Get | Method::Head if bosh_path => {
            Response::text(200, "This is a BOSH endpoint (XEP-0124, XEP-0206): XMPP clients POST to it. It works.")
        }
        _ if comet::is_path(path) && world.comet.is_on() => return comet::subscribe(world, via, &head, &body).await,
        _ if bosh_path => Response::not_allowed("Allow: GET, HEAD, POST, OPTIONS\r\n"),
        Method::Get | Method::Head if ws::is_path(path) => Response {
            fields: "Upgrade: websocket\r\n",
            ..Response::text(426, "This is an XMPP WebSocket endpoint (RFC 7395): connect with the sub-protocol xmpp.")
        },
        Method::Get | Method::Head if page::is_path(path) => Response {
            fields: "Upgrade: websocket\r\n",
            ..Response::text(426, "This is where herald.js connects: as a WebSocket (herald.v1), or with POST.")
        },
        Method::Get | Method::Head if stomp::is_path(path) => Response {
            fields: "Upgrade: websocket\r\n",
            ..Response::text(426, "This is a STOMP endpoint: connect as a WebSocket (v12.stomp).")
        },
        _ if page::is_path(path) => Response::not_allowed("Allow: GET, HEAD, POST, OPTIONS\r\n"),
        _ if page::demo::is_path(path) => page::demo::call(world, via, &head, &body).await,
        Method::Get | Method::Head if page::files::is_path(path) => {
            page::files::get(world, &head).unwrap_or_else(nothing)
        }
        Method::Get | Method::Head => match path {
            "/.well-known/host-meta" => host_meta(world, false),
            "/.well-known/host-meta.json" => host_meta(world, true),
            _ => nothing(),
        },
        _ => Response::not_allowed("Allow: GET, HEAD, OPTIONS\r\n"),
    };
    Reply::Now(Box::new(response))
}

fn nothing() -> Response {
    Response::text(404, "There is nothing here. BOSH is at /http-bind, WebSocket at /ws, herald.js at /herald.js.")
}

/// XEP-0156: where a page finds BOSH and WebSocket, as XRD or as JSON.
fn host_meta(world: &World, json: bool) -> Response {
    let mut links = Vec::new();
    let mut link = |kind, base: Option<String>, path| {
        if let Some(base) = base {
            links.push((kind, format!("{base}{path}")));
        }
    };
    const WEBSOCKET: &str = "urn:xmpp:alt-connections:websocket";
    const BOSH: &str = "urn:xmpp:alt-connections:xbosh";
    link(WEBSOCKET, world.https("wss"), "/ws");
    link(BOSH, world.https("https"), "/http-bind");
    let clear = |scheme| world.http_port.map(|port| format!("{scheme}://{}:{port}", world.config.domain));
    // A client that is not told of it does not come over the wire in the clear.
    link(WEBSOCKET, clear("ws").filter(|_| !world.config.websocket.https_only), "/ws");
    link(BOSH, clear("http").filter(|_| !world.config.bosh.https_only), "/http-bind");
    if json {
        let links: Vec<_> = links.iter().map(|(rel, href)| serde_json::json!({ "rel": rel, "href": href })).collect();
        let body = serde_json::json!({ "links": links }).to_string();
        return Response::new(200, "application/json", body);
    }
    let mut body = String::from(
        "<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n",
    );
    for (rel, href) in links {
        body += &format!("  <Link rel='{rel}' href='{href}'/>\n");
    }
    Response::new(200, "application/xrd+xml", body + "</XRD>\n")
}
