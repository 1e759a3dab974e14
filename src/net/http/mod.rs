//! The lean HTTP/1.1 listener: BOSH, the WebSocket handshake and host-meta, and nothing else.
//!
//! One task per connection. A request that waits for its answer (a BOSH poll) owns no buffer and no
//! timer here: the task is woken by the answer or by the socket. Requests are answered in the order
//! in which they came; a few more may be read meanwhile, because the second request of a BOSH session
//! is what ends the wait of the first, also when a client puts both on one connection.

mod head;
mod response;

use super::World;
use super::bosh;
use super::wire::Wire;
use super::ws;
pub(crate) use head::Upgrade;
use head::{BadHead, Head, Method};
pub(crate) use response::Response;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a connection may rest between two requests.
const KEEP_ALIVE_SECS: u32 = 75;
/// Of a body that is too large, so much is read before it is refused: the session stands in it.
const BODY_START_BYTES: usize = 512;
/// Answers that one connection may be owed; further requests are read when one was given.
const PIPELINE_MAX: usize = 4;

/// Serves one connection until either side ends it.
pub(crate) async fn serve(world: Arc<World>, mut wire: Wire) {
    let via = Via { secure: wire.secure(), peer: wire.peer() };
    let mut conn = Conn { input: Vec::new(), owed: VecDeque::new(), timer: None };
    let end = conn.run(&world, &mut wire, via).await;
    match end {
        End::Gone => {}
        End::Finished => Box::pin(wire.finish()).await,
        // A task of its own, for this one has room for things that a WebSocket never does.
        End::WebSocket(rest) => drop(tokio::spawn(ws::run(world, wire, rest))),
    }
}

/// How a request came.
#[derive(Clone, Copy)]
pub(crate) struct Via {
    pub(crate) secure: bool,
    pub(crate) peer: IpAddr,
}

/// The answer to a request, now or when there is one.
pub(crate) enum Reply {
    Now(Response),
    Later(bosh::Waiting),
}

impl Reply {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        match self {
            Reply::Now(response) => Poll::Ready(std::mem::replace(response, Response::new(200, "", ""))),
            Reply::Later(waiting) => waiting.poll_answer(cx),
        }
    }
}

struct Conn {
    /// Read and not used: part of a request, or requests behind one that waits.
    input: Vec<u8>,
    owed: VecDeque<Owed>,
    /// Runs while a request is incomplete, and between requests; not while an answer is owed.
    timer: Option<Pin<Box<Sleep>>>,
}

struct Owed {
    reply: Reply,
    keep_alive: bool,
    with_body: bool,
}

enum End {
    /// The peer is gone.
    Gone,
    /// The last answer was given.
    Finished,
    /// The connection speaks WebSocket from now on; these bytes came behind the handshake.
    WebSocket(Vec<u8>),
}

/// Why there is no whole request, though there could be.
enum Refusal {
    Head(BadHead),
    /// A BOSH body of more than `bosh.body_bytes_max`; this is how it begins.
    TooLarge(Vec<u8>),
    /// It is asked for: say `100 Continue` and wait on.
    Continue,
}

impl From<BadHead> for Refusal {
    fn from(head: BadHead) -> Refusal {
        Refusal::Head(head)
    }
}

enum Wake {
    Answer(Response),
    Input,
    Gone,
    TimeUp,
}

impl Conn {
    async fn run(&mut self, world: &Arc<World>, wire: &mut Wire, via: Via) -> End {
        loop {
            if self.owed.len() < PIPELINE_MAX {
                match self.request(world) {
                    Ok(Some((head, body))) => {
                        if let Some(upgrade) = head.upgrade.as_deref().filter(|_| ws::is_path(&head.path)) {
                            return match ws::handshake(upgrade) {
                                Ok(answer) if wire.write_all(&answer).await.is_ok() => {
                                    End::WebSocket(std::mem::take(&mut self.input))
                                }
                                Ok(_) => End::Gone,
                                Err(refusal) => Box::pin(self.last_words(wire, refusal)).await,
                            };
                        }
                        let (keep_alive, with_body) = (head.keep_alive, head.method != Method::Head);
                        let reply = Box::pin(route(world, via, head, body)).await;
                        self.owed.push_back(Owed { reply, keep_alive, with_body });
                    }
                    Ok(None) => {}
                    Err(Refusal::Continue) => {
                        if wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
                            return End::Gone;
                        }
                    }
                    Err(Refusal::Head(BadHead(status, why))) => {
                        return Box::pin(self.last_words(wire, Response::hang_up(status, why))).await;
                    }
                    Err(Refusal::TooLarge(start)) => {
                        // The session is named at the start of the body: it ends (XEP-0124 section 17.2).
                        let mut reply = bosh::too_large(world, via, &start);
                        let response = poll_fn(|cx| reply.poll_answer(cx)).await;
                        return Box::pin(self.last_words(wire, response)).await;
                    }
                }
            }
            self.wind(world);
            let wake = poll_fn(|cx| self.poll_wake(cx, wire)).await;
            match wake {
                Wake::Answer(response) => {
                    let Some(owed) = self.owed.pop_front() else { continue };
                    match answer(wire, &response, owed.keep_alive, owed.with_body).await {
                        Ok(true) => {}
                        Ok(false) => return End::Finished,
                        Err(_) => return End::Gone,
                    }
                    self.timer = None;
                }
                Wake::Input => {}
                Wake::Gone => return End::Gone,
                Wake::TimeUp if self.input.is_empty() => return End::Finished,
                Wake::TimeUp => {
                    let late = Response::hang_up(408, "the request took too long to arrive");
                    return Box::pin(self.last_words(wire, late)).await;
                }
            }
        }
    }

    /// A whole request, taken from the input.
    fn request(&mut self, world: &World) -> Result<Option<(Head, Vec<u8>)>, Refusal> {
        let limits = &world.config.limits;
        if self.input.is_empty() {
            return Ok(None);
        }
        let (head, len) = match head::parse(&self.input)? {
            Some(whole) => whole,
            None if self.input.len() > limits.http_head_bytes_max => {
                return Err(BadHead(431, "the request head is too long").into());
            }
            None => return Ok(None),
        };
        if len > limits.http_head_bytes_max {
            return Err(BadHead(431, "the request head is too long").into());
        }
        if head.content_length > world.config.bosh.body_bytes_max {
            if !is_bosh(&head.path) {
                return Err(BadHead(413, "the request body is too large").into());
            }
            let start = &self.input[len..];
            return if start.len() < BODY_START_BYTES { Ok(None) } else { Err(Refusal::TooLarge(start.to_vec())) };
        }
        let end = len + head.content_length;
        if self.input.len() < end {
            if head.expects_continue && self.input.len() == len && self.timer.is_some() {
                // Said once: the head is marked as read by forgetting the expectation.
                self.forget_expectation(len);
                return Err(Refusal::Continue);
            }
            return Ok(None);
        }
        let body = self.input[len..end].to_vec();
        self.input.drain(..end);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
        Ok(Some((head, body)))
    }

    fn forget_expectation(&mut self, head_len: usize) {
        let lower = self.input[..head_len].to_ascii_lowercase();
        if let Some(at) = memchr::memmem::find(&lower, b"\r\nexpect:") {
            self.input[at + 2..at + 8].copy_from_slice(b"x-said");
        }
    }

    /// Sets the timer that fits: for the rest of a request, for the next one, or none while one waits.
    fn wind(&mut self, world: &World) {
        if !self.owed.is_empty() {
            self.timer = None;
        } else if self.timer.is_none() {
            let secs = if self.input.is_empty() { KEEP_ALIVE_SECS } else { world.config.limits.head_secs };
            self.timer = Some(Box::pin(sleep_until(Instant::now() + Duration::from_secs(secs.into()))));
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<Wake> {
        if let Some(first) = self.owed.front_mut() {
            if let Poll::Ready(response) = first.reply.poll_answer(cx) {
                return Poll::Ready(Wake::Answer(response));
            }
        }
        if self.owed.len() < PIPELINE_MAX {
            let was_empty = self.input.is_empty();
            let read = wire.poll_read(cx, |bytes| self.input.extend_from_slice(bytes));
            match read {
                Poll::Ready(Ok(Some(()))) => {
                    if was_empty {
                        self.timer = None; // from now on the time for one request runs
                    }
                    return Poll::Ready(Wake::Input);
                }
                Poll::Ready(_) => return Poll::Ready(Wake::Gone),
                Poll::Pending => {}
            }
        }
        let timer = self.timer.as_mut().map(|timer| timer.as_mut().poll(cx));
        if timer == Some(Poll::Ready(())) { Poll::Ready(Wake::TimeUp) } else { Poll::Pending }
    }

    async fn last_words(&mut self, wire: &mut Wire, response: Response) -> End {
        let response = Response { close: true, ..response };
        match answer(wire, &response, false, true).await {
            Ok(_) => End::Finished,
            Err(_) => End::Gone,
        }
    }
}

/// Writes one response; false when the connection ends with it.
async fn answer(wire: &mut Wire, response: &Response, keep_alive: bool, with_body: bool) -> io::Result<bool> {
    let mut out = Vec::new();
    response.write(keep_alive, with_body, &mut out);
    wire.write_all(&out).await?;
    Ok(keep_alive && !response.close)
}

fn is_bosh(path: &str) -> bool {
    matches!(path, "/http-bind" | "/http-bind/")
}

async fn route(world: &Arc<World>, via: Via, head: Head, body: Vec<u8>) -> Reply {
    let path = &*head.path;
    let bosh_path = is_bosh(path);
    let response = match head.method {
        Method::Options => Response::preflight(),
        Method::Post if bosh_path => return bosh::post(world, via, body).await,
        Method::Get | Method::Head if bosh_path => {
            Response::text(200, "This is a BOSH endpoint (XEP-0124, XEP-0206): XMPP clients POST to it. It works.")
        }
        _ if bosh_path => Response::not_allowed("Allow: GET, HEAD, POST, OPTIONS\r\n"),
        Method::Get | Method::Head if ws::is_path(path) => Response {
            fields: "Upgrade: websocket\r\n",
            ..Response::text(426, "This is an XMPP WebSocket endpoint (RFC 7395): connect with the sub-protocol xmpp.")
        },
        Method::Get | Method::Head => match path {
            "/.well-known/host-meta" => host_meta(world, false),
            "/.well-known/host-meta.json" => host_meta(world, true),
            _ => Response::text(404, "There is nothing here. BOSH is at /http-bind, WebSocket at /ws."),
        },
        _ => Response::not_allowed("Allow: GET, HEAD, OPTIONS\r\n"),
    };
    Reply::Now(response)
}

/// XEP-0156: where a page finds BOSH and WebSocket, as XRD or as JSON.
fn host_meta(world: &World, json: bool) -> Response {
    let domain = &world.config.domain;
    let mut links = Vec::new();
    for (secure, port) in [(true, world.https_port), (false, world.http_port)] {
        let Some(port) = port else { continue };
        let s = if secure { "s" } else { "" };
        links.push(("urn:xmpp:alt-connections:websocket", format!("ws{s}://{domain}:{port}/ws")));
        links.push(("urn:xmpp:alt-connections:xbosh", format!("http{s}://{domain}:{port}/http-bind")));
    }
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
