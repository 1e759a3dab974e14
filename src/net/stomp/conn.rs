//! The task of one connection. It owns no buffer between two events, and reads nothing while something is being
//! waited for: that is the back-pressure.

mod door;

use super::codec::Decoder;
use super::letters::Letter;
use super::mailbox::{Mail, Mailbox};
use super::session::{Session, Up};
use crate::net::World;
use crate::net::frame::{self, Inbox, Message};
use crate::net::http::Via;
use crate::net::lobby::Guest;
use crate::net::shape::Pace;
use crate::net::wire::Wire;
use herald_session::{Link, LinkInfo, Seat, Transport};
use herald_storage::ask;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::{Sleep, sleep_until};

/// What a frame may have beside its body, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What waits to be written while frames are carried out and the log is read, bytes.
const WRITE_BYTES_SOFT: usize = 64 * 1024;
/// A client that has promised signs of life is gone after so many times their interval.
const BEATS_MISSED: u32 = 2;
/// A WebSocket that is closed because what came over it is none any more (RFC 6455 section 7.4.1).
const PROTOCOL: u16 = 1002;

struct Conn {
    world: Arc<World>,
    wire: Wire,
    via: Via,
    mailbox: Arc<Mailbox>,
    inbox: Inbox<true>,
    decoder: Decoder,
    session: Session,
    seat: Option<Seat>,
    guest: Option<Guest>,
    pace: Pace,
    /// When a client that was too fast is read again.
    slowed: Option<Instant>,
    begun: Instant,
    heard: Instant,
    wrote: Instant,
    /// When the client was asked whether it is there.
    asked: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The last thing that woke it was not its client.
    mailed: bool,
    /// The WebSocket ends, with this code.
    closed: Option<u16>,
}

enum Wake {
    Mail(Box<Mail>),
    Read(usize),
    Eof,
    Time,
}

/// Serves a connection that has become a WebSocket; `rest` came behind the handshake.
pub(crate) fn spawn(world: Arc<World>, wire: Wire, via: Via, rest: Vec<u8>) {
    let now = Instant::now();
    let config = &world.config;
    let info = LinkInfo { transport: Transport::Stomp, secure: via.secure, peer: via.peer };
    let mailbox = Arc::new(Mailbox::new(info, config.limits.outbox_bytes_max));
    let link: Weak<dyn Link> = Arc::downgrade(&mailbox) as Weak<dyn Link>;
    let guest = Some(world.lobby.enter(link));
    let session = Session::new(world.stomp.clone());
    let mut conn = Box::new(Conn {
        inbox: Inbox::with(rest),
        world,
        wire,
        via,
        mailbox,
        decoder: Decoder::default(),
        session,
        seat: None,
        guest,
        pace: Pace::default(),
        slowed: None,
        begun: now,
        heard: now,
        wrote: now,
        asked: None,
        timer: None,
        mailed: false,
        closed: None,
    });
    tokio::spawn(async move {
        let in_order = conn.serve().await;
        conn.mailbox.shut();
        conn.seat = None;
        conn.guest = None;
        if let Ok(true) = in_order {
            let Conn { wire, inbox, closed, .. } = &mut *conn;
            let mut heard = closed.is_some();
            let hear = |bytes: &[u8]| {
                heard = heard || inbox.hears_close(bytes);
                heard
            };
            Box::pin(wire.finish(hear)).await;
        }
    });
}

impl Conn {
    /// Until it is over; true when our close frame is written, or about to be.
    async fn serve(&mut self) -> io::Result<bool> {
        self.take(&[]);
        loop {
            Box::pin(self.work()).await?;
            if let Some(code) = self.session.end.or(self.closed) {
                Box::pin(self.settle()).await;
                // RFC 6455 section 5.5.1: a close frame is answered with one that has its code.
                frame::close(self.closed.unwrap_or(code), "", &mut self.session.out);
                self.write().await?;
                return Ok(true);
            }
            self.wind();
            match poll_fn(|cx| self.poll_wake(cx)).await? {
                Wake::Read(bytes) => {
                    (self.heard, self.asked) = (Instant::now(), None);
                    self.charge(bytes, 0);
                }
                Wake::Eof => {
                    Box::pin(self.settle()).await;
                    return Ok(false);
                }
                Wake::Mail(mail) => Box::pin(self.mail(*mail)).await?,
                Wake::Time => self.tick(),
            }
        }
    }

    /// Carries out the frames that are whole, reads what is wanted of the log, and writes what there is to be said.
    async fn work(&mut self) -> io::Result<()> {
        let mut frames = 0;
        while self.session.end.is_none() {
            match self.decoder.next(self.session.version(), self.world.config.limits.stanza_bytes_max) {
                Err(bad) => self.session.bad(bad),
                Ok(None) => break,
                Ok(Some(frame)) => {
                    frames += 1;
                    let up = self.session.frame(frame);
                    self.carry_out(up).await;
                }
            }
            if self.session.out.len() >= WRITE_BYTES_SOFT {
                self.write().await?;
            }
        }
        if frames > 0 {
            self.charge(0, frames);
        }
        while let Some((number, slice)) = self.session.wants() {
            if self.mailbox.is_closed() {
                break; // the session ends: what is left waits in the log
            }
            let Some(user) = self.seat.as_ref().map(|seat| seat.jid().to_bare()) else { break };
            match ask(|then| self.world.sessions.store().history(&user, slice, then)).await {
                Ok(page) => self.session.page(number, Some(page)),
                Err(e) => {
                    tracing::warn!("the log of {user}: {e}");
                    self.session.page(number, None);
                    // It comes back, and says where it was.
                    self.session.error("internal", "the log cannot be read now", None, 1011);
                }
            }
            self.write().await?;
        }
        self.write().await
    }

    async fn carry_out(&mut self, up: Option<Up>) {
        let mut up = up;
        while let Some(doing) = up.take() {
            match doing {
                Up::Enter(login) => self.enter(*login).await,
                Up::Subscribe(asked) => up = self.subscribe(*asked).await,
                Up::Send(letter, receipt) => self.send(*letter, receipt.as_deref()).await,
                Up::Stanzas(stanzas) => {
                    let Some(seat) = &self.seat else { continue };
                    for stanza in stanzas {
                        let _ = seat.send(stanza.from(seat.jid().clone())).await; // when the user is gone, we are told so
                    }
                }
            }
        }
    }

    async fn send(&mut self, letter: Letter, receipt: Option<&str>) {
        let Some(seat) = &self.seat else { return };
        let results = self.world.sessions.send_as(seat, letter.to, letter.push).await;
        self.session.sent(&results, receipt);
    }

    async fn mail(&mut self, mail: Mail) -> io::Result<()> {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64;
        for delivery in mail.deliveries {
            let answer = self.session.deliver(&delivery, now_ms);
            self.carry_out(answer.map(|answer| Up::Stanzas(vec![answer]))).await;
            if self.session.out.len() >= WRITE_BYTES_SOFT {
                self.write().await?;
            }
        }
        if let Some(receipt) = mail.missed {
            self.session.missed(receipt);
        }
        if let Some(why) = mail.close {
            self.session.close(&why);
        }
        Ok(())
    }

    /// The user marks what was received in a moment; a client that comes back sooner is not to get it again.
    async fn settle(&mut self) {
        let Some(seat) = &self.seat else { return };
        let (user, id) = (seat.jid().to_bare(), self.session.received());
        if id > 0
            && let Err(e) = ask(|then| self.world.sessions.store().delivered_to(&user, id, then)).await
        {
            tracing::warn!("what {user} has received: {e}");
        }
    }

    /// Hands what there is to the system, and tells the user what counts as received by that.
    async fn write(&mut self) -> io::Result<()> {
        if !self.session.out.is_empty() {
            let out = std::mem::take(&mut self.session.out);
            if !self.wire.write_now(&out)? {
                drop(out);
                self.wire.flush().await?;
            }
            self.wrote = Instant::now();
        }
        if let (Some(seat), Some(id)) = (&self.seat, self.session.read_to()) {
            seat.read_to(id);
        }
        Ok(())
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        // Both take turns, so that a client to whom much is said is still heard.
        let heard_last = !self.mailed;
        if heard_last && let Poll::Ready(mail) = self.mailbox.poll(cx) {
            self.mailed = true;
            return Poll::Ready(Ok(Wake::Mail(Box::new(mail))));
        }
        self.mailed = false;
        if self.slowed.is_none() {
            let Conn { wire, inbox, decoder, session, closed, world, .. } = self;
            let max = world.config.limits.stanza_bytes_max + HEAD_BYTES_MAX;
            match wire.poll_read(cx, |bytes| {
                take(inbox, decoder, session, closed, bytes, max);
                bytes.len()
            }) {
                Poll::Ready(Ok(Some(bytes))) => return Poll::Ready(Ok(Wake::Read(bytes))),
                Poll::Ready(Ok(None)) => return Poll::Ready(Ok(Wake::Eof)),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {}
            }
        }
        if !heard_last && let Poll::Ready(mail) = self.mailbox.poll(cx) {
            self.mailed = true;
            return Poll::Ready(Ok(Wake::Mail(Box::new(mail))));
        }
        if self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready()) {
            self.timer = None;
            return Poll::Ready(Ok(Wake::Time));
        }
        Poll::Pending
    }

    /// Takes what was kept.
    fn take(&mut self, bytes: &[u8]) {
        let max = self.world.config.limits.stanza_bytes_max + HEAD_BYTES_MAX;
        take(&mut self.inbox, &mut self.decoder, &mut self.session, &mut self.closed, bytes, max);
    }

    /// When that was too much, the client is not read for a while.
    fn charge(&mut self, bytes: usize, frames: u32) {
        let now = Instant::now();
        self.slowed = self.world.shaper.sent(&mut self.pace, self.via.peer, bytes, frames, now);
    }

    /// When it is to be looked at, whatever happens, and what for.
    fn deadline(&self) -> Option<Instant> {
        let config = &self.world.config;
        let secs = |secs: u32| Duration::from_secs(secs.into());
        let ms = |ms: u32| Duration::from_millis(ms.into());
        let (ours, theirs) = self.session.beats_ms;
        let beat = (ours > 0).then(|| self.wrote + ms(ours));
        let login = (!self.session.is_in()).then(|| self.begun + secs(config.auth.login_secs));
        let silence = match (self.slowed, theirs, self.asked, config.ping.after_secs) {
            (Some(_), ..) => None, // while we do not listen, nobody can tell silence from patience
            (None, 1.., ..) => Some(self.heard + ms(theirs) * BEATS_MISSED),
            (None, 0, _, 0) => None,
            (None, 0, Some(asked), _) => Some(asked + secs(config.ping.timeout_secs)),
            (None, 0, None, after) => Some(self.heard + secs(after)),
        };
        [beat, login, silence, self.slowed].into_iter().flatten().min()
    }

    /// Keeps the timer at the deadline.
    fn wind(&mut self) {
        match (self.deadline(), &mut self.timer) {
            (None, timer) => *timer = None,
            (Some(deadline), Some(timer)) => {
                if timer.deadline().into_std() != deadline {
                    timer.as_mut().reset(deadline.into());
                }
            }
            (Some(deadline), none) => *none = Some(Box::pin(sleep_until(deadline.into()))),
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let config = &self.world.config;
        let secs = |secs: u32| Duration::from_secs(secs.into());
        let ms = |ms: u32| Duration::from_millis(ms.into());
        if self.slowed.is_some_and(|until| until <= now) {
            (self.slowed, self.heard) = (None, now);
        }
        let (ours, theirs) = self.session.beats_ms;
        if ours > 0 && now >= self.wrote + ms(ours) {
            let mark = frame::begin_text(&mut self.session.out);
            self.session.out.push(b'\n');
            frame::end_text(mark, &mut self.session.out);
        }
        if !self.session.is_in() && now >= self.begun + secs(config.auth.login_secs) {
            self.session.error("timeout", "the login took too long", None, 4007);
        }
        if self.slowed.is_some() {
            return;
        }
        if theirs > 0 {
            if now >= self.heard + ms(theirs) * BEATS_MISSED {
                self.session.error("timeout", "no heart-beat came for too long", None, 4007);
            }
        } else if let Some(asked) = self.asked {
            if now >= asked + secs(config.ping.timeout_secs) {
                self.session.error("timeout", "the connection does not answer", None, 4007);
            }
        } else if config.ping.after_secs > 0 && now >= self.heard + secs(config.ping.after_secs) {
            frame::ping(&mut self.session.out);
            self.asked = Some(now);
        }
    }
}

/// Bytes of the WebSocket become bytes of frames.
fn take(
    inbox: &mut Inbox<true>,
    decoder: &mut Decoder,
    session: &mut Session,
    closed: &mut Option<u16>,
    bytes: &[u8],
    message_bytes_max: usize,
) {
    let taken = inbox.take(bytes, message_bytes_max, |message| {
        match message {
            Message::Text(text) => decoder.push(text.as_bytes()),
            Message::Binary(bytes) => decoder.push(&bytes),
            Message::Ping(payload) => frame::pong(&payload, &mut session.out),
            Message::Pong => {}
            Message::Close(code) => *closed = Some(code.unwrap_or(1000)),
        }
        closed.is_none()
    });
    match taken {
        Ok(()) => {}
        Err(failure) if failure.0 == frame::TOO_BIG => session.error("too_large", failure.1, None, frame::TOO_BIG),
        // What follows cannot be told apart any more.
        Err(failure) => *closed = Some(if failure.0 == 0 { PROTOCOL } else { failure.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change that is worth its bytes may change the numbers.
    #[test]
    fn a_connection_at_rest_is_small() {
        let sizes = [size_of::<Conn>(), size_of::<Mailbox>()];
        let most = [520, 128];
        assert!(sizes.iter().zip(most).all(|(size, most)| *size <= most), "{sizes:?} bytes, not {most:?}");
    }
}
