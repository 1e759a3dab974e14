//! A connection that waits, for an answer or for its next request: what is left of it stands in the lot.

use super::owed::Line;
use super::request::Reader;
use super::{Conn, Serves, Via};
use crate::net::World;
use crate::net::deadlines::Slot;
use crate::net::lot::{Doze, Lot, Resting, Spot};
use crate::net::timer::Timer;
use crate::net::wire::Still;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

/// What a connection is while it rests.
pub(super) struct Rest {
    world: Arc<World>,
    still: Still,
    direct: Via,
    deaf: bool,
    serves: Serves,
    owed: Line,
    /// When it ends, if nothing comes.
    due: Option<Instant>,
    slot: Option<Slot>,
}

impl Conn {
    /// Is nothing under way?
    pub(super) fn is_at_rest(&self) -> bool {
        self.reader.is_empty() && self.owed.len() <= 1 && self.wire.is_still()
    }

    /// Parks a connection that is at rest. One for which something came meanwhile is given back.
    pub(super) fn park(mut self) -> Option<Conn> {
        let spot = Spot::new();
        let waker = spot.waker();
        let there =
            |cx: &mut Context<'_>, conn: &mut Conn| conn.owed.front_mut().is_some_and(|o| o.reply.poll_there(cx));
        if there(&mut Context::from_waker(&waker), &mut self) {
            return Some(self);
        }
        let Conn { world, wire, direct, owed, timer, deaf, serves, .. } = self;
        let still = match wire.into_still() {
            Ok(still) => still,
            Err(e) => {
                tracing::debug!("a connection could not be parked: {e}");
                return None;
            }
        };
        let due = timer.due();
        let lot = world.lot.clone();
        let slot = due.map(|due| lot.wake_at(due, &spot));
        let rest = Rest { world, still, direct, deaf, serves, owed, due, slot };
        spot.park(rest).err().and_then(Rest::stand_up)
    }
}

impl Rest {
    /// The connection again. None when the system has no room for it: then it is over.
    fn stand_up(self) -> Option<Conn> {
        let Rest { world, still, direct, deaf, serves, owed, due, .. } = self;
        let wire =
            still.into_wire().inspect_err(|e| tracing::warn!("a connection that was parked is lost: {e}")).ok()?;
        let (reader, timer, doze) = (Reader::default(), Timer::at(due), Doze::default());
        Some(Conn { world, wire, direct, reader, owed, timer, doze, deaf, serves })
    }
}

impl AsRawFd for Rest {
    fn as_raw_fd(&self) -> RawFd {
        self.still.as_raw_fd()
    }
}

impl Resting for Rest {
    fn lot(&self) -> &Lot {
        &self.world.lot
    }

    fn slot(&self) -> Option<Slot> {
        self.slot
    }

    fn go_on(self) {
        if let Some(conn) = self.stand_up() {
            conn.go();
        }
    }
}
