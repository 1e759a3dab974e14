//! What the driver of a connection holds of its user: one bound resource.

use crate::actor::UserActor;
use crate::link::{Binding, Delivery, Receipt, Transport};
use crate::user::Input;
use crate::world::World;
use herald_actor::{Addr, TrySendError};
use herald_xmpp::{BareJid, FullJid, Stanza};
use std::sync::Arc;

/// The seat's user is gone: the connection has been told to close, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user's actor is gone")]
pub struct Gone;

/// One bound resource, held by the driver of its connection. Dropping it unbinds it.
pub struct Seat {
    jid: FullJid,
    pub(crate) place: Option<Place>, // until it is given up
}

/// What a seat stands on.
pub(crate) struct Place {
    pub addr: Addr<UserActor>,
    binding: u64, // the transport's place in Transport::ALL is in the lowest byte
}

/// A seat that is asked for. Dropped before the answer, it unbinds what may be bound by then.
pub(crate) struct Pending<'a> {
    pub place: Option<Place>,
    pub user: &'a BareJid,
}

impl Seat {
    /// The address that was bound.
    pub fn jid(&self) -> &FullJid {
        &self.jid
    }
    /// Hands over a stanza the client sent, its `from` stamped with [`Seat::jid`]. Waits while the
    /// user's mailbox is full: so long the driver should not read on.
    pub async fn send(&self, stanza: impl Into<Arc<Stanza>>) -> Result<(), Gone> {
        let Some(place) = &self.place else { return Err(Gone) };
        place.world().counters.sent.add(1);
        place.addr.send(Input::Sent(place.binding(), stanza.into())).await.map_err(|_| Gone)
    }
    /// The same without waiting: almost always there is room. `Ok(Some)` gives the stanza back when there
    /// is none, for [`Seat::send`].
    pub fn try_send(&self, stanza: impl Into<Arc<Stanza>>) -> Result<Option<Arc<Stanza>>, Gone> {
        let Some(place) = &self.place else { return Err(Gone) };
        match place.addr.try_send(Input::Sent(place.binding(), stanza.into())) {
            Ok(()) => {
                place.world().counters.sent.add(1);
                Ok(None)
            }
            Err(TrySendError::Full(Input::Sent(_, stanza))) => Ok(Some(stanza)),
            Err(_) => Err(Gone),
        }
    }
    /// The seat is held by another connection now.
    pub fn moved(&mut self, transport: Transport) {
        if let Some(place) = &mut self.place {
            let sessions = &place.world().counters.sessions;
            sessions[transport as usize].add(1);
            sessions[place.transport()].sub(1);
            *place = Place::new(place.addr.clone(), place.binding(), transport);
        }
    }
    /// What had this receipt is written, or acknowledged. Never waits.
    pub fn acked(&self, receipt: Receipt) {
        if let Some(place) = &self.place {
            let input = Input::Acked(place.binding(), receipt);
            place.world().tell(&self.jid.to_bare(), place.addr.clone(), input);
        }
    }
    /// For one that [follows](Transport::follows) the log: its client has everything up to this number, which it was
    /// handed or has read. It counts as delivered then, in a moment: many are marked at a time. Never waits.
    pub fn read_to(&self, id: u64) {
        if let Some(place) = &self.place {
            let input = Input::ReadTo(id);
            place.world().tell(&self.jid.to_bare(), place.addr.clone(), input);
        }
    }
    /// The link has refused something ([`crate::Link::deliver`]) and has room again: at least half of what it
    /// takes. Never waits.
    pub fn room(&self) {
        if let Some(place) = &self.place {
            place.world().tell(&self.jid.to_bare(), place.addr.clone(), Input::Room(place.binding()));
        }
    }
    /// The connection is over. What it did not deliver, oldest first, goes to another resource or to the
    /// store; one unavailable presence goes out. Never waits.
    pub fn unbind(mut self, undelivered: Vec<Delivery>) {
        self.give_up(undelivered);
    }

    fn give_up(&mut self, undelivered: Vec<Delivery>) {
        if let Some(place) = self.place.take() {
            place.give_up(&self.jid.to_bare(), undelivered);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.give_up(Vec::new());
    }
}

impl Pending<'_> {
    pub fn seated(mut self, jid: FullJid) -> Seat {
        Seat { jid, place: self.place.take() }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.give_up(self.user, Vec::new());
        }
    }
}

impl Place {
    pub fn new(addr: Addr<UserActor>, binding: Binding, transport: Transport) -> Place {
        Place { addr, binding: binding.0 << 8 | transport as u64 }
    }

    pub fn world(&self) -> &Arc<World> {
        self.addr.common()
    }

    pub fn binding(&self) -> Binding {
        Binding(self.binding >> 8)
    }

    /// Among [`Transport::ALL`].
    fn transport(&self) -> usize {
        (self.binding & 0xff) as usize
    }

    fn give_up(self, user: &BareJid, undelivered: Vec<Delivery>) {
        let (world, binding, transport) = (self.world().clone(), self.binding(), self.transport());
        // A user that is not running any more has nothing bound; only messages are worth waking it for.
        if !undelivered.is_empty() || !self.addr.is_closed() {
            world.tell(user, self.addr, Input::Unbind(binding, undelivered.into()));
        }
        world.counters.sessions[transport].sub(1);
        world.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_small() {
        assert!(size_of::<Seat>() <= 24, "{}", size_of::<Seat>());
    }
}
