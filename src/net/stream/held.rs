//! What a bound connection holds of its user: the seat, the outbox, and what was not delivered yet. It goes
//! from one connection to the next when a stream is resumed; whoever drops it gives everything back.

use crate::net::outbox::{BESIDE_BYTES, Outbox};
use crate::net::resume::{Resumables, SmId};
use herald_session::{Delivery, Seat};
use herald_xmpp::stream::sm::{Item, Queue};
use std::sync::Arc;

/// See the module page.
pub(crate) struct Held {
    /// None before a resource is bound.
    pub(crate) seat: Option<Seat>,
    pub(crate) outbox: Arc<Outbox>,
    /// Not there while there is nothing in it: that is most of the time.
    pub(crate) down: Option<Box<Down>>,
}

/// What is taken from the outbox and not delivered.
#[derive(Default)]
pub(crate) struct Down {
    pub(crate) queue: Queue<Unacked>,
    /// Is the stream managed (XEP-0198)? Then what is written stays here until it is acknowledged.
    pub(crate) managed: Option<Managed>,
}

/// What stream management needs to know.
pub(crate) struct Managed {
    /// How it can be resumed, when it can.
    pub(crate) resumable: Option<Resumable>,
    /// How many stanzas came in; known when the connection is over.
    pub(crate) handled: u32,
    /// Is it looked at when it comes to rest?
    pub(crate) resting: bool,
}

/// How a stream can be resumed.
pub(crate) struct Resumable {
    pub(crate) id: SmId,
    pub(crate) secs: u32,
    pub(crate) table: Arc<Resumables>,
    /// The stream was closed in order: nobody will ask for it.
    pub(crate) closed: bool,
}

/// A delivery in the queue.
#[derive(Debug)]
pub(crate) struct Unacked(pub(crate) Delivery);

impl Item for Unacked {
    fn bytes(&self) -> usize {
        self.0.stanza.bytes_len() + BESIDE_BYTES
    }
}

impl Held {
    /// Of a connection that is not bound.
    pub(crate) fn nothing(outbox: Arc<Outbox>) -> Held {
        Held { seat: None, outbox, down: None }
    }

    pub(crate) fn managed(&mut self) -> Option<&mut Managed> {
        self.down.as_mut()?.managed.as_mut()
    }

    /// What is kept that was taken from the outbox, in bytes.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.down.as_ref().map_or(0, |down| down.queue.bytes())
    }

    /// The client has handled these.
    pub(crate) fn done(seat: Option<&Seat>, outbox: &Outbox, deliveries: impl ExactSizeIterator<Item = Unacked>) {
        outbox.delivered(deliveries.len());
        for Unacked(delivery) in deliveries {
            if let (Some(seat), Some(receipt)) = (seat, delivery.receipt) {
                seat.acked(receipt);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut undelivered: Vec<Delivery> = Vec::new();
        if let Some(mut down) = self.down.take() {
            undelivered.extend(down.queue.take().into_iter().map(|Unacked(delivery)| delivery));
            if let (Some(Managed { resumable: Some(resumable), handled, .. }), Some(seat)) = (&down.managed, &self.seat)
            {
                resumable.table.end(resumable, seat.jid(), *handled);
            }
        }
        undelivered.extend(self.outbox.shut());
        if let Some(seat) = self.seat.take() {
            seat.unbind(undelivered);
        }
    }
}
