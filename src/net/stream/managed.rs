//! Streams that are counted and resumed (XEP-0198): from one connection to the next.

use super::held::{Down, Held, Managed};
use super::talk::Talk;
use super::{Conn, End, Framing};
use crate::metrics::{self, Login};
use crate::net::World;
use crate::net::outbox::Outbox;
use crate::net::resume::{self, Claim};
use herald_session::Link;
use herald_xmpp::BareJid;
use herald_xmpp::stanza::Condition as StanzaCondition;
use herald_xmpp::stream::{Condition, StreamError, c2s, sm};
use std::io;
use std::sync::Arc;

impl<F: Framing> Conn<F> {
    /// From now on stanzas are counted. `secs`: how long the client wants to be able to resume, when it does.
    pub(super) fn enable(&mut self, secs: Option<u32>) {
        let Held { seat: Some(seat), outbox, down } = &mut self.held else { return };
        let resumable = secs.and_then(|secs| self.world.resumables.enable(seat.jid().to_bare(), outbox, secs));
        let said = resumable.as_ref().map(|r| sm::Resumable { id: r.id.text().into(), secs: r.secs });
        let down = down.get_or_insert_default();
        Held::done(Some(seat), outbox, down.queue.settle()); // what went before the answer is not counted
        down.managed = Some(Managed { resumable, handled: 0, resting: false });
        self.talk.managed = true;
        self.talk.tell(c2s::Input::Enabled(said));
    }

    /// The client wants to go on where another connection ended, of which it has handled so much.
    pub(super) async fn resume(&mut self, user: &BareJid, previd: &str, h: u32) -> io::Result<()> {
        self.flush().await?;
        match self.world.resumables.claim(user, previd).await {
            Ok(held) => self.take_over(held, h),
            Err(failed) => self.talk.tell(c2s::Input::Resumed(Err(failed))),
        }
        Ok(())
    }

    /// A count that cannot be ends the old stream: what it had goes to the client when that binds anew.
    fn take_over(&mut self, mut held: Held, h: u32) {
        let Held { seat: Some(seat), outbox, down: Some(down) } = &mut held else {
            return self.talk.tell(c2s::Input::Resumed(Err(sm::Failed::new(StanzaCondition::ItemNotFound))));
        };
        let Down { queue, managed: Some(managed) } = &mut **down else {
            return self.talk.tell(c2s::Input::Resumed(Err(sm::Failed::new(StanzaCondition::ItemNotFound))));
        };
        if queue.is_lower(h) {
            let failed = sm::Failed { condition: StanzaCondition::UnexpectedRequest, h: Some(managed.handled) };
            return self.talk.tell(c2s::Input::Resumed(Err(failed)));
        }
        match queue.ack(h) {
            Ok(done) => Held::done(Some(seat), outbox, done),
            Err(e) => return self.talk.tell(c2s::Input::Fail(e.into())),
        }
        queue.rewind();
        managed.resting = false;
        let answer = (seat.jid().clone(), managed.handled);
        let info = self.held.outbox.info();
        seat.moved(info.transport);
        outbox.arrive(info, self.world.config.limits.outbox_bytes_max, self.world.silence.now());
        self.held = held;
        self.logged_in();
        self.talk.managed = true;
        metrics::login(Login::Ok);
        self.talk.tell(c2s::Input::Resumed(Ok(answer)));
    }

    /// Another connection goes on with this stream. False when nobody is there to take it.
    pub(super) fn hand_over(&mut self, claim: Claim) -> bool {
        match claim.send(self.let_go()) {
            Ok(()) => {
                let e = StreamError::new(Condition::Conflict).with_text("The stream goes on on another connection.");
                self.talk.tell(c2s::Input::Fail(e));
                true
            }
            Err(back) => {
                self.held = back;
                false
            }
        }
    }

    /// The connection is over.
    pub(super) fn leave(&mut self) {
        self.guest = None;
        let held = self.let_go();
        leave(&self.world, &self.talk.machine, self.talk.failed, held);
    }

    /// The client does not say whether it is there. One that may come back is not told that it is over.
    pub(super) fn give_up(&mut self) -> End {
        let resumable = self.held.managed().is_some_and(|managed| managed.resumable.is_some());
        if !resumable {
            let e = StreamError::new(Condition::ConnectionTimeout).with_text("Nothing came, not even an answer.");
            let Talk { framing, out, .. } = &mut self.talk;
            framing.write_error(&e, out);
            framing.write_close(out);
            framing.write_end(out);
            if self.flush_now().is_ok() {
                return End::Ours;
            }
        }
        End::Theirs
    }

    fn let_go(&mut self) -> Held {
        note_handled(&self.talk.machine, &mut self.held);
        let info = self.held.outbox.info();
        let nobody = Outbox::new(info, 0, self.world.silence.now());
        std::mem::replace(&mut self.held, Held::nothing(Arc::new(nobody)))
    }
}

/// A connection is over; `failed` when we ended its stream. What can be resumed waits for that; everything else is
/// given back.
pub(super) fn leave(world: &World, machine: &c2s::Stream, failed: bool, mut held: Held) {
    note_handled(machine, &mut held);
    let ended = machine.ended();
    if let Some(Managed { resumable: Some(resumable), .. }) = held.managed() {
        resumable.closed = ended && !failed;
    }
    if !ended {
        resume::keep(world, held);
    }
}

fn note_handled(machine: &c2s::Stream, held: &mut Held) {
    if let (Some(managed), Some(handled)) = (held.managed(), machine.handled()) {
        managed.handled = handled;
    }
}
