//! The lean HTTP/1.1 listener: BOSH, the WebSocket handshake and host-meta, and nothing else.
//!
//! One task per connection. A request that waits for its answer (a BOSH poll) owns no buffer and no
//! timer here: the task is woken by the answer or by the socket. Requests are answered in the order
//! in which they came; a few more may be read meanwhile, because the second request of a BOSH session
//! is what ends the wait of the first, also when a client puts both on one connection.
//!
//! | file | what is in it |
//! |---|---|
//! | `head.rs` | the head of a request |
//! | `request.rs` | whole requests, taken from what came; `chunked.rs` and `encoding.rs` undo codings |
//! | `route.rs` | what is at which path |
//! | `response.rs` | what goes back |
//!
//! There is no HTTP/2. A connection that parks here costs its socket and a few words; one of HTTP/2 owes its
//! peer a table of header fields (4 KB each way unless both agree on less), windows for each stream and
//! for itself, and a list of streams, for as long as it is open, and clients hold one request each on it:
//! nothing that it would share is there to be shared. Whoever wants it for the pages themselves puts a proxy
//! in front, which speaks HTTP/2 to browsers and HTTP/1.1 to us.

mod chunked;
mod encoding;
mod head;
mod request;
mod response;
mod route;

use super::World;
use super::bosh;
use super::shape::Forwarded;
use super::wire::Wire;
use super::ws;
use head::BadHead;
pub(crate) use head::{Head, Method, Upgrade};
use request::{Bounds, Next, Reader, Request};
pub(crate) use response::Response;
use route::{is_bosh, route};
use smallvec::SmallVec;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep, sleep_until};

/// How long a connection may rest between two requests.
const KEEP_ALIVE_SECS: u32 = 75;
/// What the head of a request counts for in what its address has sent, bytes: about what browsers write.
const HEAD_BYTES: usize = 512;
/// Answers that one connection may be owed; further requests are read when one was given.
const PIPELINE_MAX: usize = 4;

/// Serves one connection with a task of its own until either side ends it.
pub(crate) fn spawn(world: Arc<World>, wire: Wire) {
    let direct = Via { secure: wire.secure(), peer: wire.peer() };
    let first = Box::pin(sleep(Duration::from_secs(world.config.limits.head_secs.into())));
    let (reader, owed) = (Reader::default(), SmallVec::new());
    let mut conn = Conn { world, wire, direct, reader, owed, timer: Some(first), deaf: false };
    // The block owns `conn` where it is: an async fn would keep its argument and a copy.
    tokio::spawn(async move {
        match conn.run().await {
            End::Gone => {}
            End::Finished => Box::pin(conn.wire.finish(|_| true)).await,
            // A task of its own, for this one has room for things that a WebSocket never does.
            End::WebSocket(via, rest) => ws::spawn(conn.world, conn.wire, via, rest),
        }
    });
}

/// How a request came: from its client, though proxies that we trust stand in between.
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
    /// How the connection came; see [`Conn::via`] for a request.
    direct: Via,
    /// Part of a request, or requests behind one that waits.
    reader: Reader,
    owed: SmallVec<[Owed; 1]>,
    /// Runs while a request is incomplete, and between requests; not while an answer is owed.
    timer: Option<Pin<Box<Sleep>>>,
    /// The last request was read: what comes behind it is none.
    deaf: bool,
}

struct Owed {
    reply: Reply,
    keep_alive: bool,
    with_body: bool,
    takes_gzip: bool,
}

enum End {
    /// The peer is gone.
    Gone,
    /// The last answer was given.
    Finished,
    /// The connection speaks WebSocket from now on; these bytes came behind the handshake.
    WebSocket(Via, Vec<u8>),
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
            while self.owed.len() < PIPELINE_MAX && !self.deaf {
                let next = self.reader.next(self.bounds());
                if next == Next::Incomplete || next == Next::Continue && !self.owed.is_empty() {
                    break; // an interim answer must not overtake the ones before it
                }
                if let Some(end) = Box::pin(self.serve(next)).await {
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
    async fn serve(&mut self, next: Next) -> Option<End> {
        let reply = match next {
            Next::Incomplete => return None,
            Next::Continue => {
                self.reader.continued();
                let said = self.wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
                return said.is_err().then_some(End::Gone);
            }
            Next::Request(request) => return self.request(request).await,
            Next::Bad(BadHead(status, why)) => Reply::Now(Box::new(Response::hang_up(status, why))),
            // The session is named at the start of the body: it ends (XEP-0124 section 17.2).
            Next::TooLarge(by, start) => bosh::too_large(&self.world, self.via(by.as_deref()), &start),
            Next::Undecodable(by, start) => bosh::undecodable(&self.world, self.via(by.as_deref()), &start),
        };
        self.owe(Owed { reply, keep_alive: false, with_body: true, takes_gzip: false })
    }

    /// How a request came. Behind a proxy, one connection carries many clients.
    fn via(&self, by: Option<&Forwarded>) -> Via {
        let Via { peer, secure } = self.direct;
        let (peer, secure) = self.world.shaper.origin(peer, secure, by);
        Via { secure, peer }
    }

    async fn request(&mut self, Request { head, body }: Request) -> Option<End> {
        let via = self.via(head.forwarded.as_deref());
        if let Some(upgrade) = head.upgrade.as_deref().filter(|_| ws::is_path(&head.path) && self.owed.is_empty()) {
            return Some(match ws::handshake(&self.world, via, &head, upgrade) {
                Ok(answer) => match self.wire.write_all(&answer).await {
                    Ok(()) => End::WebSocket(via, std::mem::take(&mut self.reader).into_rest()),
                    Err(_) => End::Gone,
                },
                Err(refusal) => self.last_words(refusal).await,
            });
        }
        if let Some(until) = self.world.shaper.received(via.peer, HEAD_BYTES + body.len(), Instant::now()) {
            // Nothing is read meanwhile: the address has sent too much in all.
            Box::pin(sleep_until(until.into())).await;
        }
        let (keep_alive, takes_gzip) = (head.keep_alive, head.takes_gzip);
        let with_body = head.method != Method::Head;
        let reply = route(&self.world, via, head, body).await;
        self.owe(Owed { reply, keep_alive, with_body, takes_gzip })
    }

    /// Puts an answer behind those before it.
    fn owe(&mut self, owed: Owed) -> Option<End> {
        if matches!(owed.reply, Reply::Never) {
            return Some(End::Finished);
        }
        self.deaf = !owed.keep_alive;
        self.owed.push(owed);
        None
    }

    /// Gives the oldest answer, which is there.
    async fn answer(&mut self) -> Option<End> {
        let mut owed = self.owed.remove(0);
        let response = poll_fn(|cx| owed.reply.poll_answer(cx)).await;
        self.timer = None;
        let packed = if owed.takes_gzip { response.packed() } else { response };
        match write(&mut self.wire, &packed, owed.keep_alive, owed.with_body).await {
            Ok(true) => None,
            Ok(false) => Some(End::Finished),
            Err(_) => Some(End::Gone),
        }
    }

    async fn time_up(&mut self) -> End {
        if self.reader.is_empty() {
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

    fn bounds(&self) -> Bounds {
        let config = &self.world.config;
        Bounds { head_bytes_max: config.limits.http_head_bytes_max, body_bytes_max: config.bosh.body_bytes_max }
    }

    /// Sets the timer that fits: for the rest of a request, for the next one, or none while one waits.
    fn wind(&mut self) {
        if !self.owed.is_empty() {
            self.timer = None;
        } else if self.timer.is_none() {
            let secs = if self.reader.is_empty() { KEEP_ALIVE_SECS } else { self.world.config.limits.head_secs };
            self.timer = Some(Box::pin(sleep(Duration::from_secs(secs.into()))));
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if self.owed.first_mut().is_some_and(|first| first.reply.poll_there(cx)) {
            return Poll::Ready(Wake::Answer);
        }
        if self.owed.len() < PIPELINE_MAX {
            let (was_empty, deaf) = (self.reader.is_empty(), self.deaf);
            let reader = &mut self.reader;
            let read = self.wire.poll_read(cx, |bytes| {
                if !deaf {
                    reader.push(bytes)
                }
            });
            match read {
                Poll::Ready(Ok(Some(()))) => {
                    if was_empty && self.owed.is_empty() {
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
