//! The driver of a connection that is one stream: TCP (RFC 6120) and WebSocket (RFC 7395).
//!
//! One task: it waits for the socket or for the outbox, lets the machines take what came, waits for what they
//! ask, and writes what they and the user's actor have to say. Between two events it owns no buffer.
//! While something is being waited for (the store, a full mailbox) nothing is read: that is the back-pressure.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | the task: what it waits for, and what it does about it |
//! | `talk.rs` | up: the framing and the machine, and what they say |
//! | `down.rs` | down: what is written, and when it counts as delivered |
//! | `held.rs` | what a connection holds of its user, and gives back |
//! | `rest.rs` | a connection that says and hears nothing, and is parked |
//! | `managed.rs` | streams that are counted and resumed (XEP-0198) |

mod down;
mod held;
mod managed;
mod rest;
mod talk;

pub(crate) use held::{Held, Resumable};

use super::World;
use super::lobby::Guest;
use super::login::{Answered, Question, stream_error};
use super::lot::Doze;
use super::outbox::{Mail, Outbox};
use super::shape::Pace;
use super::wire::Wire;
use herald_session::{Delivery, Link, LinkInfo};
use herald_xmpp::stream::{Condition, Open, StreamError, c2s};
use herald_xmpp::xml::{Limits, Scope};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;
use talk::{Talk, Todo};
use tokio::time::{Sleep, sleep_until};

/// So often in a row the outbox may have something before the task steps back.
const MAILS_MAX: u8 = 32;

/// How stanzas stand on the wire.
pub(crate) trait Framing: Send + 'static {
    /// What is left of it between two pieces.
    type Still: Send + 'static;
    /// Of one that [is clean](Framing::is_clean), in a stream that is open on both sides.
    fn into_still(self) -> Self::Still;
    fn from_still(still: Self::Still) -> Self;
    /// Takes bytes (perhaps none: then what was kept) and gives `each` the pieces in them, until it
    /// says stop with `false`. The rest is kept. What the framing itself answers goes into `out`.
    fn feed(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(Input<'_>) -> bool,
    ) -> Result<Fed, StreamError>;
    /// Is something kept that may hold a whole piece?
    fn has_kept(&self) -> bool;
    /// Has everything that came been looked at?
    fn is_clean(&self) -> bool;
    /// A new stream begins on the same connection (TLS, SASL).
    fn restart(&mut self);
    fn write_open(&mut self, open: &Open, out: &mut Vec<u8>);
    fn write_xml(&mut self, xml: &str, out: &mut Vec<u8>);
    fn write_error(&mut self, error: &StreamError, out: &mut Vec<u8>);
    fn write_stanza(&mut self, delivery: &Delivery, out: &mut Vec<u8>);
    fn write_close(&mut self, out: &mut Vec<u8>);
    /// Nothing will be written any more: the last word of the carrier below the stream, if it has one.
    fn write_end(&mut self, _out: &mut Vec<u8>) {}
    /// Is nothing awaited from the client any more? For a carrier that takes leave by both sides: it is given
    /// what still comes, first nothing.
    fn heard_end(&mut self, _bytes: &[u8]) -> bool {
        true
    }
    /// Asks the client's carrier whether it is there; false when the framing knows no such thing.
    fn write_ping(&mut self, out: &mut Vec<u8>) -> bool;
}

/// What a framing finds.
pub(crate) enum Input<'a> {
    Open(Open),
    Element(&'a str, &'a Scope),
    Close,
}

/// How it stands with the carrier below the stream.
pub(crate) enum Fed {
    More,
    /// It ended in order (a WebSocket close frame): nothing more may be written after what was answered.
    Gone,
}

/// Serves one connection with a task of its own until it is over; one that is `refused` is told so, and that is all.
pub(crate) fn spawn<F: Framing>(
    world: Arc<World>,
    wire: Wire,
    info: LinkInfo,
    framing: F,
    refused: Option<StreamError>,
) {
    let outbox = Arc::new(Outbox::new(info, world.config.limits.outbox_bytes_max, world.silence.now()));
    let Some(mut machine) = world.stream(Instant::now(), info) else { return };
    if info.secure {
        machine.handle(Instant::now(), c2s::Input::Secured(c2s::Channel { exporter: wire.exporter() }));
    }
    let link: Weak<dyn Link> = Arc::downgrade(&outbox) as Weak<dyn Link>;
    let guest = Some(world.lobby.enter(link));
    let (talk, held) = (Talk::new(framing, machine), Held::nothing(outbox));
    let mut conn = Conn::new(world, wire, talk, held, Pace::default());
    conn.guest = guest;
    let late = conn.world.draining().then(|| StreamError::new(Condition::SystemShutdown));
    if let Some(error) = refused.or(late) {
        conn.talk.tell(c2s::Input::Fail(error));
    }
    conn.go();
}

/// A connection while something is under way. When nothing is, [`rest::Rest`] is left of it.
struct Conn<F> {
    world: Arc<World>,
    wire: Wire,
    talk: Talk<F>,
    /// Dropped with the connection, whatever ends it, it gives back what was not delivered.
    held: Held,
    guest: Option<Guest>,
    doze: Doze,
    /// How often in a row it was the outbox that had something.
    mails: u8,
    /// The client has not said whether it is there: only something that comes from it now counts.
    doomed: bool,
    /// The client was too fast, and is not read until it has paid.
    slowed: bool,
    pace: Pace,
    /// For the deadlines of the login, and for when a client that was too fast is read again; mostly there is none.
    timer: Option<Pin<Box<Sleep>>>,
}

/// What stands between a connection and its rest.
enum Work {
    Done,
    Wait(Box<Todo>),
    /// The socket has not taken everything.
    Flush,
}

enum Wake {
    Read,
    Eof,
    /// The client does not say whether it is there.
    Gone,
    Mail(Mail),
    Time,
    /// Nothing has happened for a while.
    Rest,
}

/// Who ended the connection.
enum End {
    Ours,
    Theirs,
    /// Nobody has: it has come to rest.
    Rest,
}

impl<F: Framing> Conn<F> {
    fn new(world: Arc<World>, wire: Wire, talk: Talk<F>, held: Held, pace: Pace) -> Conn<F> {
        let (guest, doze, timer) = (None, Doze::default(), None);
        Conn { world, wire, talk, held, guest, doze, mails: 0, doomed: false, slowed: false, pace, timer }
    }

    /// Goes on with a task of its own until the connection is over, or parked.
    fn go(self) {
        let runtime = self.world.runtime.clone();
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
            conn.leave();
            if let Ok(End::Ours) = end {
                let framing = &mut conn.talk.framing;
                Box::pin(conn.wire.finish(|bytes| framing.heard_end(bytes))).await;
            }
        });
    }
}

impl<F: Framing> Conn<F> {
    /// What it waits for is rare, but for the next event, and boxed: a connection at rest does not own the
    /// room for it.
    async fn serve(&mut self) -> io::Result<End> {
        loop {
            match self.work_now()? {
                Work::Done => {}
                Work::Wait(todo) => {
                    Box::pin(self.wait_for(todo)).await?;
                    continue;
                }
                Work::Flush => match Box::pin(self.finish_writing()).await? {
                    Some(end) => return Ok(end),
                    None => continue,
                },
            }
            if self.talk.ended {
                return Ok(End::Ours);
            }
            if self.talk.came > 0 {
                self.charge(0);
            }
            self.wind();
            let wake = poll_fn(|cx| self.poll_wake(cx)).await?;
            if !matches!(wake, Wake::Rest) {
                self.doze.stir();
            }
            match wake {
                Wake::Rest if self.is_at_rest() => return Ok(End::Rest),
                Wake::Read | Wake::Rest => {}
                Wake::Eof => return Ok(End::Theirs),
                Wake::Gone => return Ok(self.give_up()),
                Wake::Mail(Mail::Deliveries(deliveries, room)) => {
                    if let (true, Some(seat)) = (room, &self.held.seat) {
                        seat.room();
                    }
                    self.put_down(deliveries);
                }
                Wake::Mail(Mail::Close(why)) => self.talk.tell(c2s::Input::Fail(stream_error(&why))),
                Wake::Mail(Mail::Claim(claim)) => drop(self.hand_over(claim)),
                Wake::Mail(Mail::Look(look)) => self.doomed = self.look(look),
                Wake::Time => self.talk.tell(c2s::Input::Tick),
            }
        }
    }

    /// Does what is to be done until only new input can bring more, or something has to be waited for.
    fn work_now(&mut self) -> io::Result<Work> {
        loop {
            while let Some(todo) = self.talk.todo.pop_front() {
                match todo {
                    Todo::Stanza(stanza) => {
                        let Some(seat) = &self.held.seat else { continue };
                        // When the user is gone the outbox has, or will have, the reason.
                        if let Ok(Some(stanza)) = seat.try_send(stanza) {
                            return Ok(Work::Wait(Box::new(Todo::Stanza(stanza))));
                        }
                    }
                    Todo::Reply(stanza) => self.put_reply(stanza),
                    Todo::Acked(h) => self.acked(h),
                    Todo::Enable(secs) => self.enable(secs),
                    Todo::Ask(_) | Todo::StartTls | Todo::Resume(..) => return Ok(Work::Wait(Box::new(todo))),
                }
            }
            self.talk.todo = VecDeque::new();
            if self.talk.ended || self.talk.machine.waiting() || !self.talk.framing.has_kept() {
                return Ok(if self.write_now()? { Work::Done } else { Work::Flush });
            }
            self.talk.take(&[]);
        }
    }

    async fn wait_for(&mut self, todo: Box<Todo>) -> io::Result<()> {
        match *todo {
            Todo::Stanza(stanza) => {
                if let Some(seat) = &self.held.seat {
                    let _ = seat.send(stanza).await; // as above
                }
                Ok(())
            }
            Todo::Ask(question) => self.ask(question).await,
            Todo::StartTls => self.start_tls().await,
            Todo::Resume(user, previd, h) => self.resume(&user, &previd, h).await,
            Todo::Reply(_) | Todo::Acked(_) | Todo::Enable(_) => Ok(()), // done at once
        }
    }

    async fn ask(&mut self, question: Question) -> io::Result<()> {
        self.flush().await?;
        let link: Arc<dyn Link> = self.held.outbox.clone();
        let Answered { input, seat } = self.world.logins.answer(question, link).await;
        if let Some(seat) = seat {
            self.held.seat = Some(seat);
            self.world.silence.mind(&self.held.outbox);
            self.logged_in();
        }
        self.talk.tell(input);
        Ok(())
    }

    /// What only a login needs is let go.
    fn logged_in(&mut self) {
        self.guest = None;
        self.wire.forget_exporter();
    }

    async fn start_tls(&mut self) -> io::Result<()> {
        self.flush().await?;
        if !self.talk.framing.is_clean() {
            // What came in the clear must not be taken for something that came through TLS.
            return Err(io::Error::new(io::ErrorKind::InvalidData, "data behind <starttls/>"));
        }
        self.talk.framing.restart();
        self.wire.start_tls(self.world.tls_xmpp.clone())?;
        let left = self.talk.machine.deadline().map(|d| d.saturating_duration_since(Instant::now()));
        let left = left.unwrap_or(self.world.handshake_time());
        let timed_out = |_| io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(left, self.wire.shake_hands()).await.map_err(timed_out)??;
        self.held.outbox.secured();
        let exporter = self.wire.exporter();
        self.talk.tell(c2s::Input::Secured(c2s::Channel { exporter }));
        Ok(())
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        // The socket and the outbox take turns, so that a client to whom much is said is still heard.
        let heard_last = self.mails == 0 && !self.doomed;
        let room = self.room();
        if heard_last && let Poll::Ready(mail) = self.held.outbox.poll_mail(cx, room) {
            self.mails = 1;
            return Poll::Ready(Ok(Wake::Mail(mail)));
        }
        // The bytes are lent for the length of the call, so the machines take them within it.
        let talk = &mut self.talk;
        let heard = |bytes: &[u8]| {
            talk.take(bytes);
            bytes.len()
        };
        let read = if self.slowed { self.not_read() } else { self.wire.poll_read(cx, heard) };
        match read {
            Poll::Ready(Ok(Some(bytes))) => {
                self.charge(bytes);
                self.mails = 0;
                self.doomed = false;
                self.held.outbox.heard(self.world.silence.now());
                return Poll::Ready(Ok(Wake::Read));
            }
            Poll::Ready(Ok(None)) => return Poll::Ready(Ok(Wake::Eof)),
            Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
            Poll::Pending if self.doomed && !self.slowed => return Poll::Ready(Ok(Wake::Gone)),
            Poll::Pending => {}
        }
        if !heard_last {
            if self.mails >= MAILS_MAX {
                // Others on this worker want to go on too.
                self.mails = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Poll::Ready(mail) = self.held.outbox.poll_mail(cx, room) {
                self.mails += 1;
                return Poll::Ready(Ok(Wake::Mail(mail)));
            }
            self.mails = 0;
        }
        if self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) == Some(Poll::Ready(())) {
            self.timer = None;
            return Poll::Ready(Ok(Wake::Time));
        }
        self.doze.poll(cx).map(|()| Ok(Wake::Rest))
    }

    /// So many bytes came, and what was in them: when that was too much, the client is not read for a while.
    fn charge(&mut self, bytes: usize) {
        let came = std::mem::take(&mut self.talk.came);
        let peer = self.held.outbox.info().peer;
        self.slowed = self.world.shaper.sent(&mut self.pace, peer, bytes, came, Instant::now()).is_some();
    }

    /// While we do not listen, nobody can tell silence from patience.
    fn not_read(&mut self) -> Poll<io::Result<Option<usize>>> {
        if std::mem::take(&mut self.doomed) {
            self.held.outbox.heard(self.world.silence.now());
        }
        Poll::Pending
    }

    /// Keeps the timer at the machine's deadline, or at the end of not reading.
    fn wind(&mut self) {
        let again = if self.slowed { self.world.shaper.slowed(&self.pace, Instant::now()) } else { None };
        self.slowed = again.is_some();
        let deadline = [self.talk.machine.deadline(), again].into_iter().flatten().min();
        match (deadline, &mut self.timer) {
            (None, timer) => *timer = None,
            (Some(deadline), Some(timer)) => {
                if timer.deadline().into_std() != deadline {
                    timer.as_mut().reset(deadline.into());
                }
            }
            (Some(deadline), none) => *none = Some(Box::pin(sleep_until(deadline.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{tcp::Tcp, ws::Ws};

    /// Thousands of these are parked. A change that is worth its bytes may change the numbers.
    #[test]
    fn a_connection_at_rest_is_small() {
        let sizes = [size_of::<rest::Rest<Tcp>>(), size_of::<rest::Rest<Ws>>(), size_of::<Outbox>()];
        let most = [176, 152, 96];
        assert!(sizes.iter().zip(most).all(|(size, most)| *size <= most), "{sizes:?} bytes, not {most:?}");
    }
}
