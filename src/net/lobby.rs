//! Who is connected and not yet logged in: bounded, oldest out first, and told when the server stops.

use herald_session::{Close, Link};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// See the module page.
pub(crate) struct Lobby {
    guests_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    guests: BTreeMap<u64, Weak<dyn Link>>,
}

/// A place in the lobby; given up when it is dropped.
pub(crate) struct Guest {
    lobby: Arc<Lobby>,
    number: u64,
}

impl Lobby {
    pub(crate) fn new(guests_max: usize) -> Arc<Lobby> {
        Arc::new(Lobby { guests_max, state: Mutex::default() })
    }

    /// One more comes in. When that is one too many, whoever has waited longest is closed.
    pub(crate) fn enter(self: &Arc<Lobby>, link: Weak<dyn Link>) -> Guest {
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.guests.insert(number, link);
        let oldest = if state.guests.len() > self.guests_max { state.guests.pop_first() } else { None };
        drop(state);
        if let Some(link) = oldest.and_then(|(_, link)| link.upgrade()) {
            link.close(Close::Kicked("Too many connections have not logged in; this one waited longest.".into()));
        }
        Guest { lobby: self.clone(), number }
    }

    /// Closes all of them.
    pub(crate) fn close(&self) {
        let guests = std::mem::take(&mut self.state.lock().guests);
        for link in guests.into_values().filter_map(|link| link.upgrade()) {
            link.close(Close::Shutdown);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.lobby.state.lock().guests.remove(&self.number);
    }
}
