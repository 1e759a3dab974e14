//! What a session is to the server: a guest that has not logged in, or a seat of a user's.

use crate::net::lobby::Guest;
use herald_session::{Delivery, Seat};
use std::sync::Arc;

/// See the module page.
#[derive(Default)]
pub(super) enum Standing {
    /// Not yet, or not any more.
    #[default]
    Nobody,
    Guest(#[expect(dead_code, reason = "gives up its place when it is dropped")] Guest),
    Seated(Seat),
    /// A task waits for room in the mailbox of the user's actor.
    Shared(Arc<Seat>),
}

impl Standing {
    pub(super) fn is_guest(&self) -> bool {
        matches!(self, Standing::Guest(_))
    }

    /// Gives up the place in the lobby.
    pub(super) fn no_guest(&mut self) {
        if self.is_guest() {
            *self = Standing::Nobody;
        }
    }

    pub(super) fn seat(&self) -> Option<&Seat> {
        match self {
            Standing::Seated(seat) => Some(seat),
            Standing::Shared(seat) => Some(seat),
            Standing::Nobody | Standing::Guest(_) => None,
        }
    }

    /// For one who waits without the session's lock.
    pub(super) fn shared(&mut self) -> Option<Arc<Seat>> {
        *self = match std::mem::take(self) {
            Standing::Seated(seat) => Standing::Shared(Arc::new(seat)),
            other => other,
        };
        if let Standing::Shared(seat) = self { Some(seat.clone()) } else { None }
    }

    /// Nobody waits any more.
    pub(super) fn unshare(&mut self) {
        *self = match std::mem::take(self) {
            Standing::Shared(seat) => Arc::try_unwrap(seat).map_or_else(Standing::Shared, Standing::Seated),
            other => other,
        };
    }

    /// The session is over; what it did not deliver goes back. Who is a guest stays one until nobody finds it.
    pub(super) fn unbind(&mut self, undelivered: Vec<Delivery>) {
        *self = match std::mem::take(self) {
            Standing::Seated(seat) => {
                seat.unbind(undelivered);
                Standing::Nobody
            }
            Standing::Shared(seat) => {
                if let Some(seat) = Arc::into_inner(seat) {
                    seat.unbind(undelivered);
                }
                Standing::Nobody
            }
            other => other,
        };
    }
}
