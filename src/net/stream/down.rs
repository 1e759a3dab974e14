//! Down: what the user's actor has for the client is written, and acknowledged once it is: when the socket has
//! taken it or, on a managed stream (XEP-0198), when the client says that it has handled it.

use super::held::{Down, Held, Unacked};
use super::talk::Talk;
use super::{Conn, End, Framing};
use crate::net::World;
use crate::net::outbox::Mail;
use crate::net::silence::Look;
use herald_session::{Delivery, Seat};
use herald_xmpp::stream::{c2s, sm};
use herald_xmpp::{IqType, Kind, Stanza, ns};
use std::future::poll_fn;
use std::io;
use std::time::Duration;
use thin_vec::{ThinVec, thin_vec};

/// Deliveries are written together up to about this many bytes.
const WRITE_BYTES_SOFT: usize = 64 * 1024;
/// A client that takes nothing and is to be told to go gets so long to take what it was sent.
const CLOSE_STALL_SECS: u64 = 2;

impl<F: Framing> Conn<F> {
    /// What was in the outbox; it is written next.
    pub(super) fn put_down(&mut self, deliveries: ThinVec<Delivery>) {
        let down = self.held.down.get_or_insert_default();
        deliveries.into_iter().for_each(|delivery| down.queue.push(Unacked(delivery)));
    }

    /// What the machine answers itself counts like all others where stanzas are counted.
    pub(super) fn put_reply(&mut self, stanza: Stanza) {
        self.held.outbox.one_more();
        self.put_down(thin_vec![Delivery::new(stanza)]);
    }

    /// How many bytes more may be taken from the outbox: a client that acknowledges nothing has to wait.
    pub(super) fn room(&self) -> usize {
        match self.held.down.as_deref() {
            Some(Down { queue, managed: Some(_) }) => self.world.resumables.bytes_max().saturating_sub(queue.bytes()),
            _ => usize::MAX,
        }
    }

    /// Writes what is to be written, as far as the socket takes it; false when it does not take all of it.
    pub(super) fn write_now(&mut self) -> io::Result<bool> {
        // Behind the end of the stream nothing may be written any more.
        if let Some(down) = self.held.down.as_mut().filter(|_| !self.talk.ended) {
            while let Some(Unacked(delivery)) = down.queue.next_to_write() {
                self.talk.framing.write_stanza(delivery, &mut self.talk.out);
                if self.talk.out.len() >= WRITE_BYTES_SOFT {
                    let out = std::mem::take(&mut self.talk.out);
                    if !self.wire.write_now(&out)? {
                        return Ok(false);
                    }
                }
            }
            self.ask_handled(false);
        }
        if !self.flush_now()? {
            return Ok(false);
        }
        self.settle();
        Ok(true)
    }

    /// Asks a client on a managed stream what it has handled, when it is time to.
    fn ask_handled(&mut self, rests: bool) {
        if let Some(Down { queue, managed: Some(_), .. }) = self.held.down.as_deref_mut()
            && queue.should_ask(rests)
        {
            self.talk.framing.write_xml(&sm::ask(), &mut self.talk.out);
            queue.asked();
        }
    }

    /// Everything is with the socket.
    fn settle(&mut self) {
        let Some(down) = &mut self.held.down else { return };
        let Some(managed) = &mut down.managed else {
            Held::done(self.held.seat.as_ref(), &self.held.outbox, down.queue.settle());
            self.held.down.take_if(|down| down.queue.is_empty());
            return;
        };
        down.queue.shrink();
        if !managed.resting && down.queue.should_ask(true) {
            managed.resting = true;
            self.world.silence.let_rest(&self.held.outbox);
        }
    }

    /// The client has handled all up to this one.
    pub(super) fn acked(&mut self, h: u32) {
        let Some(down) = &mut self.held.down else { return };
        match down.queue.ack(h) {
            Ok(done) => Held::done(self.held.seat.as_ref(), &self.held.outbox, done),
            Err(e) => self.talk.tell(c2s::Input::Fail(e.into())),
        }
    }

    /// There is a reason to look at the client. True when it is gone, unless something comes from it.
    pub(super) fn look(&mut self, look: Look) -> bool {
        if look.contains(Look::RESTS) {
            if let Some(managed) = self.held.managed() {
                managed.resting = false;
            }
            self.ask_handled(true);
        }
        if look.contains(Look::SILENT) {
            self.ask_whether_there();
        }
        look.contains(Look::GONE)
    }

    /// The least that the client has to answer: a WebSocket ping, `<r/>`, or an iq (XEP-0199).
    fn ask_whether_there(&mut self) {
        let Talk { framing, out, .. } = &mut self.talk;
        let pinged = framing.write_ping(out);
        match (self.held.down.as_deref_mut(), &self.held.seat) {
            (Some(Down { queue, managed: Some(_) }), _) if !pinged || !queue.is_empty() => {
                framing.write_xml(&sm::ask(), out);
                queue.asked();
            }
            (_, Some(seat)) if !pinged => framing.write_stanza(&Delivery::new(ping(&self.world, seat)), out),
            _ => {}
        }
    }

    /// The socket takes what it was given; unless there is something that cannot wait for that.
    pub(super) async fn finish_writing(&mut self) -> io::Result<Option<End>> {
        let Conn { world, wire, held, .. } = self;
        // Its user closes it when it is behind for too long.
        let stall = Duration::from_secs(world.config.limits.behind_secs.into());
        tokio::select! {
            flushed = wire.flush_within(stall) => return flushed.map(|()| None),
            () = poll_fn(|cx| held.outbox.poll_urgent(cx)) => {}
        }
        if self.held.outbox.is_closing() {
            let all = async {
                loop {
                    self.wire.flush().await?;
                    if self.write_now()? {
                        return Ok(());
                    }
                }
            };
            return match tokio::time::timeout(Duration::from_secs(CLOSE_STALL_SECS), all).await {
                Ok(written) => written.map(|()| None),
                // What it has not taken goes back to its user, who waits for it.
                Err(_) => Ok(Some(End::Theirs)),
            };
        }
        match poll_fn(|cx| self.held.outbox.poll_mail(cx, 0)).await {
            Mail::Claim(claim) => Ok(self.hand_over(claim).then_some(End::Ours)),
            Mail::Look(look) if look.contains(Look::GONE) => Ok(Some(End::Theirs)),
            _ => Ok(None),
        }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.flush_now()? { Ok(()) } else { self.wire.flush().await }
    }

    /// Hands everything to the wire; false when the socket does not take it all at once.
    pub(super) fn flush_now(&mut self) -> io::Result<bool> {
        if self.talk.out.is_empty() {
            return self.wire.flush_now();
        }
        let out = std::mem::take(&mut self.talk.out);
        self.wire.write_now(&out)
    }
}

fn ping(world: &World, seat: &Seat) -> Stanza {
    let ping = format!("<ping xmlns='{}'/>", ns::PING).into_bytes();
    let iq = Stanza::new(Kind::Iq(IqType::Get)).id(c2s::PING_ID).payload(ping);
    iq.from(world.domain.clone()).to(seat.jid().clone())
}
