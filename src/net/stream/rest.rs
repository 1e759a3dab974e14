//! A connection that says and hears nothing: what is left of it waits in the lot.

use super::held::Held;
use super::talk::Talk;
use super::{Conn, Framing, managed};
use crate::net::World;
use crate::net::lot::{Lot, Resting, Spot};
use crate::net::shape::Pace;
use crate::net::wire::Still;
use herald_xmpp::stream::c2s;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::task::Context;

/// What a bound connection is while it rests.
pub(super) struct Rest<F: Framing> {
    world: Arc<World>,
    still: Still,
    framing: F::Still,
    machine: c2s::Stream,
    held: Held,
    pace: Pace,
    managed: bool,
}

impl<F: Framing> Conn<F> {
    /// Is nothing under way?
    pub(super) fn is_at_rest(&self) -> bool {
        let Talk { framing, machine, todo, out, ended, .. } = &self.talk;
        let said = todo.is_empty() && out.is_empty() && framing.is_clean() && !machine.waiting() && !ended;
        let timed = self.slowed || self.doomed || self.timer.is_some() || machine.deadline().is_some();
        let bound = self.held.seat.is_some() && self.guest.is_none();
        bound && said && !timed && self.wire.is_still()
    }

    /// Parks a connection that is at rest. One for which something came meanwhile is given back.
    pub(super) fn park(self) -> Option<Conn<F>> {
        let spot = Spot::new();
        let waker = spot.waker();
        if self.held.outbox.poll_there(&mut Context::from_waker(&waker), self.room()).is_ready() {
            return Some(self);
        }
        let Conn { world, wire, talk, held, pace, .. } = self;
        let Talk { framing, machine, managed, .. } = talk;
        match wire.into_still() {
            Ok(still) => {
                let framing = framing.into_still();
                let rest = Rest { world, still, framing, machine, held, pace, managed };
                spot.park(rest).err().and_then(Rest::stand_up)
            }
            Err(e) => {
                tracing::debug!("a connection could not be parked: {e}");
                managed::leave(&world, &machine, false, held);
                None
            }
        }
    }
}

impl<F: Framing> Rest<F> {
    /// The connection again. None when the system has no room for it: then it is over.
    fn stand_up(self) -> Option<Conn<F>> {
        let Rest { world, still, framing, machine, held, pace, managed } = self;
        match still.into_wire() {
            Ok(wire) => {
                let mut talk = Talk::new(F::from_still(framing), machine);
                talk.managed = managed;
                Some(Conn::new(world, wire, talk, held, pace))
            }
            Err(e) => {
                tracing::warn!("a connection that was parked is lost: {e}");
                managed::leave(&world, &machine, false, held);
                None
            }
        }
    }
}

impl<F: Framing> AsRawFd for Rest<F> {
    fn as_raw_fd(&self) -> RawFd {
        self.still.as_raw_fd()
    }
}

impl<F: Framing> Resting for Rest<F> {
    fn lot(&self) -> &Lot {
        &self.world.lot
    }

    fn go_on(self) {
        if let Some(conn) = self.stand_up() {
            conn.go();
        }
    }
}
