//! herald.v1 over WebSocket: one frame in each text message. A task of its own for each connection, which owns no
//! buffer between two events, and is parked when there are none.

use super::live::{Live, Mail};
use super::session::{self, Code};
use crate::net::World;
use crate::net::frame::{self, Inbox, Message};
use crate::net::http::Via;
use crate::net::lot::{Doze, Lot, Resting, Spot};
use crate::net::shape::Pace;
use crate::net::wire::{Still, Wire};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// The name of the protocol (RFC 6455 section 1.9).
pub(crate) const PROTOCOL: &str = "herald.v1";
/// Frames are written together up to about this many bytes.
const WRITE_BYTES_SOFT: usize = 64 * 1024;
/// Frames taken from one read before anything else is looked at.
const FRAMES_MAX: u32 = 64;
/// A connection that ends in order (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;

struct Conn {
    wire: Wire,
    live: Arc<Live>,
    inbox: Inbox,
    pace: Pace,
    /// To be written.
    out: Vec<u8>,
    /// When a client that was too fast is read again; mostly there is none.
    slowed: Option<Pin<Box<Sleep>>>,
    /// The last thing that woke it was not its client.
    mailed: bool,
    /// Nothing more is to be read: their close frame has come, or something that is none.
    closed: Option<u16>,
    doze: Doze,
}

/// What a connection is while it rests.
struct Rest {
    live: Arc<Live>,
    still: Still,
    pace: Pace,
}

enum Wake {
    Mail(Mail),
    Read,
    Eof,
    /// Nothing has happened for a while.
    Rest,
}

enum End {
    /// In order: our close frame is written, or about to be.
    InOrder,
    Gone,
    /// None: it has come to rest.
    Rest,
}

/// Serves a connection that has become a WebSocket; `rest` came behind the handshake.
pub(crate) fn spawn(world: &Arc<World>, wire: Wire, via: Via, rest: Vec<u8>) {
    let live = Live::new(world, via, None);
    Conn::new(wire, live, Inbox::with(rest), Pace::default()).go();
}

impl Conn {
    fn new(wire: Wire, live: Arc<Live>, inbox: Inbox, pace: Pace) -> Conn {
        let (out, doze) = (Vec::new(), Doze::default());
        Conn { wire, live, inbox, pace, out, slowed: None, mailed: false, closed: None, doze }
    }

    /// Goes on with a task of its own until the connection is over, or parked.
    fn go(self) {
        let runtime = self.live.world.runtime.clone();
        // The block owns `conn` where it is: an async fn would keep its argument and a copy.
        let mut conn = self;
        runtime.spawn(async move {
            let end = loop {
                match conn.serve().await {
                    Ok(End::Rest) => match conn.park() {
                        Some(back) => conn = back,
                        None => return,
                    },
                    end => break end,
                }
            };
            conn.live.leave(Code::Bye);
            if let Ok(End::InOrder) = end {
                let Conn { wire, inbox, closed, .. } = &mut conn;
                let mut heard = closed.is_some();
                let hear = |bytes: &[u8]| {
                    heard = heard || inbox.hears_close(bytes);
                    heard
                };
                Box::pin(wire.finish(hear)).await;
            }
        });
    }

    async fn serve(&mut self) -> io::Result<End> {
        self.take(&[]);
        loop {
            if let Some(code) = self.closed {
                // RFC 6455 section 5.5.1: a close frame is answered with one that has its code.
                frame::close(code, "", &mut self.out);
                let out = std::mem::take(&mut self.out);
                return self.wire.write_now(&out).map(|_| End::InOrder);
            }
            if !self.out.is_empty() {
                let out = std::mem::take(&mut self.out);
                if !self.wire.write_now(&out)? {
                    Box::pin(self.wire.flush()).await?;
                }
            }
            let wake = poll_fn(|cx| self.poll_wake(cx)).await?;
            if !matches!(wake, Wake::Rest) {
                self.doze.stir();
            }
            match wake {
                Wake::Mail(Mail::Frames) => {
                    let (frames, end) = self.live.take_frames(WRITE_BYTES_SOFT);
                    for frame in frames {
                        let mark = frame::begin_text(&mut self.out);
                        self.out.extend_from_slice(frame.text.as_bytes());
                        frame::end_text(mark, &mut self.out);
                    }
                    if let Some(code) = end {
                        frame::close(code.websocket(), code.as_str(), &mut self.out);
                        let out = std::mem::take(&mut self.out);
                        return self.wire.write_now(&out).map(|_| End::InOrder);
                    }
                }
                Wake::Mail(Mail::Ping) => frame::ping(&mut self.out),
                Wake::Mail(Mail::Gone) | Wake::Eof => return Ok(End::Gone),
                Wake::Rest if self.is_at_rest() => return Ok(End::Rest),
                Wake::Read | Wake::Rest => {}
            }
        }
    }

    /// Is nothing under way?
    fn is_at_rest(&self) -> bool {
        let said = self.out.is_empty() && self.inbox.is_empty() && self.closed.is_none();
        said && self.slowed.is_none() && !self.live.is_busy() && self.wire.is_still()
    }

    /// Parks a connection that is at rest. One for which something came meanwhile is given back.
    fn park(self) -> Option<Conn> {
        let spot = Spot::new();
        let waker = spot.waker();
        if self.live.poll_there(&mut Context::from_waker(&waker)).is_ready() {
            return Some(self);
        }
        let Conn { wire, live, pace, .. } = self;
        match wire.into_still() {
            Ok(still) => spot.park(Rest { live, still, pace }).err().and_then(Rest::stand_up),
            Err(e) => {
                tracing::debug!("a connection could not be parked: {e}");
                live.leave(Code::Bye);
                None
            }
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        // Both take turns, so that a client to whom much is said is still heard.
        let mail = self.live.poll_mail(cx);
        if let (Poll::Ready(mail), false) = (&mail, self.mailed) {
            self.mailed = true;
            return Poll::Ready(Ok(Wake::Mail(*mail)));
        }
        self.mailed = false;
        if let Some(timer) = &mut self.slowed
            && timer.as_mut().poll(cx).is_ready()
        {
            self.slowed = None;
        }
        if self.slowed.is_none() && !self.live.is_busy() {
            if self.inbox.has_whole_frame() {
                self.live.heard();
                self.take(&[]);
                return Poll::Ready(Ok(Wake::Read));
            }
            let Conn { wire, live, inbox, out, closed, .. } = self;
            let heard = |bytes: &[u8]| (bytes.len(), take(live, inbox, bytes, out, closed));
            match wire.poll_read(cx, heard) {
                Poll::Ready(Ok(Some((bytes, frames)))) => {
                    self.live.heard();
                    self.charge(bytes, frames);
                    return Poll::Ready(Ok(Wake::Read));
                }
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(Wake::Eof)),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {}
            }
        }
        match mail {
            Poll::Ready(mail) => Poll::Ready(Ok(Wake::Mail(mail))),
            Poll::Pending => self.doze.poll(cx).map(|()| Ok(Wake::Rest)),
        }
    }

    /// Takes what was kept.
    fn take(&mut self, bytes: &[u8]) {
        let frames = take(&self.live, &mut self.inbox, bytes, &mut self.out, &mut self.closed);
        self.charge(bytes.len(), frames);
    }

    /// When that was too much, the client is not read for a while.
    fn charge(&mut self, bytes: usize, frames: u32) {
        let world = &self.live.world;
        let until = world.shaper.sent(&mut self.pace, self.live.via.peer, bytes, frames, Instant::now());
        self.slowed = until.map(|until| Box::pin(sleep_until(until.into())));
    }
}

impl Rest {
    /// The connection again. None when the system has no room for it: then it is over.
    fn stand_up(self) -> Option<Conn> {
        let Rest { live, still, pace } = self;
        match still.into_wire() {
            Ok(wire) => Some(Conn::new(wire, live, Inbox::default(), pace)),
            Err(e) => {
                tracing::warn!("a connection that was parked is lost: {e}");
                live.leave(Code::Bye);
                None
            }
        }
    }
}

impl AsRawFd for Rest {
    fn as_raw_fd(&self) -> RawFd {
        self.still.as_raw_fd()
    }
}

impl Resting for Rest {
    fn lot(&self) -> &Lot {
        &self.live.world.lot
    }

    fn go_on(self) {
        if let Some(conn) = self.stand_up() {
            conn.go();
        }
    }
}

/// Gives the session what came; how many frames that were.
fn take(live: &Live, inbox: &mut Inbox, bytes: &[u8], out: &mut Vec<u8>, closed: &mut Option<u16>) -> u32 {
    let mut frames = 0;
    let taken = inbox.take(bytes, live.world.page.settings.frame_bytes_max, |message| {
        frames += 1;
        match message {
            Message::Text(text) => live.tell(|state, _| state.session.frame(&text)),
            Message::Ping(payload) => frame::pong(&payload, out),
            Message::Pong | Message::Binary(_) => {}
            Message::Close(code) => *closed = Some(code.unwrap_or(NORMAL)),
        }
        closed.is_none() && frames < FRAMES_MAX
    });
    match taken {
        Ok(()) => {}
        Err(failure) if failure.0 == frame::TOO_BIG => {
            live.tell(|state, _| state.session.close(session::End::new(Code::TooLarge, failure.1)));
        }
        // What follows cannot be told apart any more.
        Err(failure) => *closed = Some(failure.0),
    }
    frames
}
