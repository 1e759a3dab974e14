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
use head::{BadHead, Head};
pub(crate) use head::{Method, Upgrade};
pub(crate) use response::Response;
use smallvec::SmallVec;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// How long a connection may rest between two requests.
const KEEP_ALIVE_SECS: u32 = 75;
/// Of a body that is too large, so much is read before it is refused: the session stands in it.
const BODY_START_BYTES: usize = 512;
/// Answers that one connection may be owed; further requests are read when one was given.
const PIPELINE_MAX: usize = 4;

/// Serves one connection with a task of its own until either side ends it.
pub(crate) fn spawn(world: Arc<World>, wire: Wire) {
    let via = Via { secure: wire.secure(), peer: wire.peer() };
    let first = Box::pin(sleep(Duration::from_secs(world.config.limits.head_secs.into())));
    let mut conn = Conn { world, wire, via, input: Vec::new(), owed: SmallVec::new(), timer: Some(first) };
    // The block owns `conn` where it is: an async fn would keep its argument and a copy.
    tokio::spawn(async move {
        match conn.run().await {
            End::Gone => {}
            End::Finished => Box::pin(conn.wire.finish(|_| true)).await,
            // A task of its own, for this one has room for things that a WebSocket never does.
            End::WebSocket(rest) => ws::spawn(conn.world, conn.wire, conn.via, rest),
        }
    });
}

/// How a request came.
#[derive(Clone, Copy)]
pub(crate) struct Via {
    pub(crate) secure: bool,
    pub(crate) peer: IpAddr,
}

/// The answer to a request, now or when there is one.
pub(crate) enum Reply {
    Now(Box<Response>),
    Later(bosh::Waiting),
    /// None: the connection ends.
    Never,
}

impl Reply {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        match self {
            Reply::Now(response) => Poll::Ready(std::mem::replace(response, Response::new(200, "", ""))),
            Reply::Later(waiting) => waiting.poll_answer(cx),
            Reply::Never => Poll::Pending,
        }
    }

    /// Would [`Reply::poll_answer`] give it?
    fn poll_there(&mut self, cx: &mut Context<'_>) -> bool {
        if let Reply::Later(waiting) = self {
            let Poll::Ready(response) = waiting.poll_answer(cx) else { return false };
            *self = Reply::Now(Box::new(response));
        }
        true
    }
}

struct Conn {
    world: Arc<World>,
    wire: Wire,
    via: Via,
    /// Read and not used: part of a request, or requests behind one that waits.
    input: Vec<u8>,
    owed: SmallVec<[Owed; 1]>,
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
    /// The oldest answer owed is there.
    Answer,
    Input,
    Gone,
    TimeUp,
}

impl Conn {
    /// What it waits for is rare, but for the next event, and boxed: a connection whose request is held does
    /// not own the room for it.
    async fn run(&mut self) -> End {
        loop {
            // All that came in one piece: the second request of a session ends the wait of the first.
            while self.owed.len() < PIPELINE_MAX {
                let request = self.request();
                if matches!(request, Ok(None)) {
                    break;
                }
                if let Some(end) = Box::pin(self.serve(request)).await {
                    return end;
                }
            }
            self.wind();
            match poll_fn(|cx| self.poll_wake(cx)).await {
                Wake::Answer => {
                    if let Some(end) = Box::pin(self.answer()).await {
                        return end;
                    }
                }
                Wake::Input => {}
                Wake::Gone => return End::Gone,
                Wake::TimeUp => return Box::pin(self.time_up()).await,
            }
        }
    }

    /// Does what a request asks, or refuses what is none.
    async fn serve(&mut self, request: Result<Option<(Head, Vec<u8>)>, Refusal>) -> Option<End> {
        let (head, body) = match request {
            Ok(None) => return None,
            Ok(Some(whole)) => whole,
            Err(Refusal::Continue) => {
                let said = self.wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
                return said.is_err().then_some(End::Gone);
            }
            Err(Refusal::Head(BadHead(status, why))) => {
                return Some(self.last_words(Response::hang_up(status, why)).await);
            }
            Err(Refusal::TooLarge(start)) => {
                // The session is named at the start of the body: it ends (XEP-0124 section 17.2).
                let mut reply = bosh::too_large(&self.world, self.via, &start);
                if matches!(reply, Reply::Never) {
                    return Some(End::Finished);
                }
                let response = poll_fn(|cx| reply.poll_answer(cx)).await;
                return Some(self.last_words(response).await);
            }
        };
        if let Some(upgrade) = head.upgrade.as_deref().filter(|_| ws::is_path(&head.path)) {
            return Some(match ws::handshake(head.method, head.http_1_1, upgrade) {
                Ok(answer) => match self.wire.write_all(&answer).await {
                    Ok(()) => End::WebSocket(std::mem::take(&mut self.input)),
                    Err(_) => End::Gone,
                },
                Err(refusal) => self.last_words(refusal).await,
            });
        }
        let (keep_alive, with_body) = (head.keep_alive, head.method != Method::Head);
        let reply = route(&self.world, self.via, head, body).await;
        if matches!(reply, Reply::Never) {
            return Some(End::Finished);
        }
        self.owed.push(Owed { reply, keep_alive, with_body });
        None
    }

    /// Gives the oldest answer, which is there.
    async fn answer(&mut self) -> Option<End> {
        let mut owed = self.owed.remove(0);
        let response = poll_fn(|cx| owed.reply.poll_answer(cx)).await;
        self.timer = None;
        match write(&mut self.wire, &response, owed.keep_alive, owed.with_body).await {
            Ok(true) => None,
            Ok(false) => Some(End::Finished),
            Err(_) => Some(End::Gone),
        }
    }

    async fn time_up(&mut self) -> End {
        if self.input.is_empty() {
            return End::Finished;
        }
        self.last_words(Response::hang_up(408, "the request took too long to arrive")).await
    }

    async fn last_words(&mut self, response: Response) -> End {
        let response = Response { close: true, ..response };
        match write(&mut self.wire, &response, false, true).await {
            Ok(_) => End::Finished,
            Err(_) => End::Gone,
        }
    }

    /// A whole request, taken from the input.
    fn request(&mut self) -> Result<Option<(Head, Vec<u8>)>, Refusal> {
        let limits = &self.world.config.limits;
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
        if head.content_length > self.world.config.bosh.body_bytes_max {
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
    fn wind(&mut self) {
        if !self.owed.is_empty() {
            self.timer = None;
        } else if self.timer.is_none() {
            let secs = if self.input.is_empty() { KEEP_ALIVE_SECS } else { self.world.config.limits.head_secs };
            self.timer = Some(Box::pin(sleep(Duration::from_secs(secs.into()))));
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if self.owed.first_mut().is_some_and(|first| first.reply.poll_there(cx)) {
            return Poll::Ready(Wake::Answer);
        }
        if self.owed.len() < PIPELINE_MAX {
            let was_empty = self.input.is_empty();
            let input = &mut self.input;
            let read = self.wire.poll_read(cx, |bytes| input.extend_from_slice(bytes));
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
}

/// Writes one response; false when the connection ends with it.
async fn write(wire: &mut Wire, response: &Response, keep_alive: bool, with_body: bool) -> io::Result<bool> {
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
    Reply::Now(Box::new(response))
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
    link(BOSH, clear("http"), "/http-bind");
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
