//! The lean HTTP/1.1 listener: BOSH, comet, the WebSocket handshake and host-meta, and nothing else.
//!
//! One task per connection while something happens on it. A request that waits for its answer (a BOSH poll) owns no
//! buffer and no timer here, and after a while no task: it is woken by the answer or by the socket. Requests are answered in the order
//! in which they came; a few more may be read meanwhile, because the second request of a BOSH session
//! is what ends the wait of the first, also when a client puts both on one connection.
//!
//! | file | what is in it |
//! |---|---|
//! | `head.rs` | the head of a request |
//! | `request.rs` | whole requests, taken from what came; `chunked.rs` and `encoding.rs` undo codings |
//! | `route.rs` | what is at which path |
//! | `response.rs` | what goes back |
//! | `owed.rs` | what has to go back, and what went last |
//! | `rest.rs` | a connection that waits, and is parked |
//!
//! There is no HTTP/2. A connection that parks here costs its socket and a few words; one of HTTP/2 owes its
//! peer a table of header fields (4 KB each way unless both agree on less), windows for each stream and
//! for itself, and a list of streams, for as long as it is open, and clients hold one request each on it:
//! nothing that it would share is there to be shared. Whoever wants it for the pages themselves puts a proxy
//! in front, which speaks HTTP/2 to browsers and HTTP/1.1 to us.

mod chunked;
mod encoding;
mod head;
mod owed;
mod request;
mod response;
mod rest;
mod route;

use super::World;
use super::lot::Doze;
use super::shape::Forwarded;
use super::timer::Timer;
use super::wire::Wire;
use super::ws::{self, Spoken};
use super::{bosh, comet, page};
use head::BadHead;
pub(crate) use head::{Head, Method, Upgrade};
use owed::{Line, Owed};
use request::{Bounds, Next, Reader, Request};
pub(crate) use response::Response;
use route::{is_bosh, route};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// How long a connection may rest between two requests.
const KEEP_ALIVE_SECS: u32 = 75;
/// What the head of a request counts for in what its address has sent, bytes: about what browsers write.
const HEAD_BYTES: usize = 512;
/// Answers that one connection may be owed; further requests are read when one was given.
const PIPELINE_MAX: usize = 4;
/// An answer and the end of its connection may be on the way at the same time for so long.
const CROSSING: Duration = Duration::from_secs(1);

/// Serves one connection with a task of its own until either side ends it.
pub(crate) fn spawn(world: Arc<World>, wire: Wire, serves: Serves) {
    let direct = Via { secure: wire.secure(), peer: wire.peer() };
    let mut timer = Timer::default();
    timer.wind(Duration::from_secs(world.config.limits.head_secs.into()));
    let (reader, owed) = (Reader::default(), Line::default());
    Conn { world, wire, direct, reader, owed, timer, doze: Doze::default(), deaf: false, serves }.go();
}

/// Whom a listener is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serves {
    Clients,
    /// Backends that push.
    Operators,
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
    /// Of herald.v1.
    Page(page::Waiting),
    /// It writes itself, perhaps without end.
    Comet(comet::Waiting),
    /// It was to be waited for, and is there.
    There(Box<Response>, bosh::Given),
    /// None: the connection ends.
    Never,
}

impl Reply {
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        match self {
            Reply::Now(response) | Reply::There(response, _) => {
                Poll::Ready(std::mem::replace(response, Response::new(200, "", "")))
            }
            Reply::Later(waiting) => waiting.poll_answer(cx),
            Reply::Page(waiting) => waiting.poll_answer(cx),
            Reply::Comet(_) | Reply::Never => Poll::Pending,
        }
    }

    /// What to remember of it, once it was given.
    fn given(self) -> Option<bosh::Given> {
        if let Reply::There(_, given) = self { Some(given) } else { None }
    }

    /// Would [`Reply::poll_answer`] give it?
    fn poll_there(&mut self, cx: &mut Context<'_>) -> bool {
        if let Reply::Comet(waiting) = self {
            return waiting.poll_ready(cx).is_ready();
        }
        if let Reply::Later(waiting) = self {
            let Poll::Ready(response) = waiting.poll_answer(cx) else { return false };
            *self = Reply::There(Box::new(response), waiting.given());
        } else if let Reply::Page(waiting) = self {
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
    owed: Line,
    /// Runs while a request is incomplete, and between requests; not while an answer is owed.
    timer: Timer,
    doze: Doze,
    /// The last request was read: what comes behind it is none.
    deaf: bool,
    serves: Serves,
}

enum End {
    /// The peer is gone.
    Gone,
    /// The last answer was given.
    Finished,
    /// The connection speaks WebSocket from now on.
    WebSocket(Box<Begun>),
}

/// What is left of a connection that speaks HTTP no more, or not for a while.
enum Left {
    Nothing,
    /// It speaks WebSocket.
    Begun(Box<Begun>),
    /// It rests.
    Rest,
}

/// A WebSocket whose handshake is done.
struct Begun {
    spoken: Spoken,
    via: Via,
    /// What came behind the handshake.
    rest: Vec<u8>,
}

enum Wake {
    /// The oldest answer owed is there.
    Answer,
    Input,
    /// `reset`: not by closing its side in order.
    Gone {
        reset: bool,
    },
    TimeUp,
    /// Nothing has happened for a while.
    Rest,
}

impl Conn {
    /// Goes on with a task of its own until the connection is over, or parked.
    fn go(self) {
        let runtime = self.world.runtime.clone();
        // The block owns `conn` where it is: an async fn would keep its argument and a copy.
        let mut conn = self;
        runtime.spawn(async move {
            loop {
                match conn.run().await {
                    // A task of its own, for this one has room for things that a WebSocket never does.
                    Left::Begun(begun) => return begun.spoken.serve(conn.world, conn.wire, begun.via, begun.rest),
                    Left::Nothing => return,
                    Left::Rest => match conn.park() {
                        Some(back) => conn = back,
                        None => return,
                    },
                }
            }
        });
    }

    /// What it waits for is rare, but for the next event, and boxed: a connection whose request is held does
    /// not own the room for it.
    async fn run(&mut self) -> Left {
        loop {
            // All that came in one piece: the second request of a session ends the wait of the first.
            loop {
                let Some(work) = self.next_work() else { break };
                if let Some(left) = work.await {
                    return left;
                }
            }
            self.wind();
            let wake = poll_fn(|cx| self.poll_wake(cx)).await;
            if !matches!(wake, Wake::Rest) {
                self.doze.stir();
            }
            match wake {
                Wake::Rest if self.is_at_rest() => return Left::Rest,
                Wake::Answer => {
                    if let Some(left) = Box::pin(self.answer()).await {
                        return left;
                    }
                }
                Wake::Input | Wake::Rest => {}
                Wake::Gone { reset } => {
                    Box::pin(self.was_it_read(reset)).await;
                    return Left::Nothing;
                }
                Wake::TimeUp => return Box::pin(self.time_up()).await,
            }
        }
    }

    async fn leave(&mut self, end: End) -> Left {
        match end {
            End::Gone => Left::Nothing,
            End::Finished => {
                self.wire.finish(|_| true).await;
                Left::Nothing
            }
            End::WebSocket(begun) => Left::Begun(begun),
        }
    }

    /// What is to be done about the next request that is there. Not a part of [`Conn::run`], which would own
    /// room for a request all the time.
    fn next_work(&mut self) -> Option<Pin<Box<impl Future<Output = Option<Left>>>>> {
        if self.owed.len() >= PIPELINE_MAX || self.deaf {
            return None;
        }
        match self.reader.next(self.bounds()) {
            Next::Incomplete => None,
            // An interim answer must not overtake the ones before it.
            Next::Continue if !self.owed.is_empty() => None,
            next => Some(Box::pin(self.serve(next))),
        }
    }

    /// Does what a request asks, or refuses what is none.
    async fn serve(&mut self, next: Next) -> Option<Left> {
        let reply = match next {
            Next::Incomplete => return None,
            Next::Continue => {
                self.reader.continued();
                let said = self.wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
                return said.is_err().then_some(Left::Nothing);
            }
            Next::Request(request) => {
                let end = self.request(request).await?;
                return Some(self.leave(end).await);
            }
            Next::Bad(BadHead(status, why)) => Reply::Now(Box::new(Response::hang_up(status, why))),
            // The session is named at the start of the body: it ends (XEP-0124 section 17.2).
            Next::TooLarge(by, start) => bosh::too_large(&self.world, self.via(by.as_deref()), &start),
            Next::Undecodable(by, start) => bosh::undecodable(&self.world, self.via(by.as_deref()), &start),
        };
        let end = self.owe(Owed { reply, keep_alive: false, with_body: true, takes_gzip: false, direct: false })?;
        Some(self.leave(end).await)
    }

    /// How a request came. Behind a proxy, one connection carries many clients.
    fn via(&self, by: Option<&Forwarded>) -> Via {
        let Via { peer, secure } = self.direct;
        let (peer, secure) = self.world.shaper.origin(peer, secure, by);
        Via { secure, peer }
    }

    async fn request(&mut self, Request { head, body }: Request) -> Option<End> {
        let via = self.via(head.forwarded.as_deref());
        if let Some(upgrade) = head.upgrade.as_deref()
            && let Some(spoken) = Spoken::at(&head.path, upgrade)
            && self.serves == Serves::Clients
            && self.owed.is_empty()
        {
            return Some(match ws::handshake(&self.world, via, &head, upgrade, spoken) {
                Ok(answer) => match self.wire.write_all(&answer).await {
                    Ok(()) => {
                        let rest = std::mem::take(&mut self.reader).into_rest();
                        End::WebSocket(Box::new(Begun { via, rest, spoken }))
                    }
                    Err(_) => End::Gone,
                },
                Err(refusal) => self.last_words(refusal).await,
            });
        }
        if let Some(until) = self.world.shaper.received(via.peer, HEAD_BYTES + body.len(), Instant::now()) {
            // Nothing is read meanwhile: the address has sent too much in all.
            Box::pin(sleep_until(until.into())).await;
        }
        // In HTTP/1.0 an answer that writes itself ends where the connection does.
        let keep_alive = head.keep_alive && (head.http_1_1 || !comet::is_path(&head.path));
        let (takes_gzip, direct) = (head.takes_gzip, head.forwarded.is_none());
        let with_body = head.method != Method::Head;
        let reply = match self.serves {
            Serves::Clients => route(&self.world, via, head, body).await,
            Serves::Operators => Reply::Now(Box::new(comet::operate(&self.world, via, &head, &body).await)),
        };
        self.owe(Owed { reply, keep_alive, with_body, takes_gzip, direct })
    }

    /// Puts an answer behind those before it.
    fn owe(&mut self, owed: Owed) -> Option<End> {
        if matches!(owed.reply, Reply::Never) {
            return Some(End::Finished);
        }
        self.deaf = !owed.keep_alive || matches!(&owed.reply, Reply::Comet(waiting) if waiting.streams());
        self.owed.push_back(owed);
        None
    }

    /// Gives the oldest answer, which is there.
    async fn answer(&mut self) -> Option<Left> {
        let mut owed = self.owed.pop_front()?;
        if matches!(owed.reply, Reply::Comet(_)) {
            return Box::pin(self.piece(owed)).await;
        }
        let response = poll_fn(|cx| owed.reply.poll_answer(cx)).await;
        self.timer.stop();
        let packed = if owed.takes_gzip { response.packed() } else { response };
        match write(&mut self.wire, &packed, owed.keep_alive, owed.with_body).await {
            Ok(true) => {
                // Behind a request that came already nothing shows whether this answer was read.
                if let (true, true, Some(given)) = (owed.direct, self.reader.is_empty(), owed.reply.given()) {
                    self.owed.gave(given);
                }
                None
            }
            Ok(false) => Some(self.leave(End::Finished).await),
            Err(_) => {
                if let Some(given) = owed.reply.given() {
                    given.unread();
                }
                Some(Left::Nothing)
            }
        }
    }

    /// Writes what there is of an answer that writes itself.
    async fn piece(&mut self, mut owed: Owed) -> Option<Left> {
        let Reply::Comet(waiting) = &mut owed.reply else { return None };
        let Some(piece) = waiting.piece(&self.world.comet).await else {
            self.owed.push_front(owed);
            return None;
        };
        self.timer.stop();
        let written = {
            let mut writing = std::pin::pin!(self.wire.write_all(&piece.bytes));
            poll_fn(|cx| match writing.as_mut().poll(cx) {
                Poll::Ready(written) => Poll::Ready(written.is_ok()),
                // One that does not take what it is sent is not waited for when it is to end.
                Poll::Pending => waiting.poll_cut(cx).map(|()| false),
            })
            .await
        };
        if !written {
            return Some(Left::Nothing);
        }
        waiting.written();
        match (piece.more, owed.keep_alive && !waiting.streams() && !piece.bytes.is_empty()) {
            (true, _) => self.owed.push_front(owed),
            (false, true) => {}
            (false, false) => return Some(self.leave(End::Finished).await),
        }
        None
    }

    /// The connection has ended; the last answer may not have been read. Who closes with something unread sends a
    /// reset. Who closes while the answer is on its way sends a FIN, and a reset when the answer arrives.
    async fn was_it_read(&mut self, mut reset: bool) {
        let Some(given) = self.owed.take_given() else { return };
        let still_rests = self.timer.due().map(|due| due.saturating_duration_since(Instant::now()));
        let lately = |left| left + CROSSING >= Duration::from_secs(KEEP_ALIVE_SECS.into());
        if !reset && still_rests.is_some_and(lately) && given.matters() {
            reset = self.wire.is_reset_within(CROSSING).await;
        }
        if reset {
            given.unread();
        }
    }

    async fn time_up(&mut self) -> Left {
        let end = match self.reader.is_empty() {
            true => End::Finished,
            false => self.last_words(Response::hang_up(408, "the request took too long to arrive")).await,
        };
        self.leave(end).await
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
            self.timer.stop();
        } else if self.timer.due().is_none() {
            let secs = if self.reader.is_empty() { KEEP_ALIVE_SECS } else { self.world.config.limits.head_secs };
            self.timer.wind(Duration::from_secs(secs.into()));
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if self.owed.front_mut().is_some_and(|first| first.reply.poll_there(cx)) {
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
                        self.timer.stop(); // from now on the time for one request runs
                    }
                    drop(self.owed.take_given()); // whoever says something has read what it was told
                    return Poll::Ready(Wake::Input);
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Wake::Gone { reset: false }),
                Poll::Ready(Err(e)) => {
                    let reset = matches!(e.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
                    return Poll::Ready(Wake::Gone { reset });
                }
                Poll::Pending => {}
            }
        }
        if self.timer.poll(cx).is_ready() {
            return Poll::Ready(Wake::TimeUp);
        }
        self.doze.poll(cx).map(|()| Wake::Rest)
    }
}

/// Writes one response; false when the connection ends with it.
async fn write(wire: &mut Wire, response: &Response, keep_alive: bool, with_body: bool) -> io::Result<bool> {
    let mut out = Vec::new();
    response.write(keep_alive, with_body, &mut out);
    wire.write_all(&out).await?;
    Ok(keep_alive && !response.close)
}
