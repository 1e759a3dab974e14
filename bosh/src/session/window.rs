//! Which requests have come, which wait for their answer, which came before their elders.

use super::Terms;
use crate::{Ask, Body, Rid, Ticket};
use std::time::Instant;

/// The difference of rids that Strophe.js allows between the older and the younger of its two requests
/// in a session it was attached to, where it does not learn `requests`, and one more: by then the older is done.
pub(super) const RUNS_AHEAD: u64 = 5;

/// The requests that are not answered yet.
pub(super) struct Window {
    /// The highest rid up to which every request has come.
    pub last: Rid,
    /// Requests whose payload went up and that wait for an answer, oldest first.
    pub held: Vec<Held>,
    /// Requests that wait for their elders.
    pub early: Vec<Early>,
    /// When the latest new request came, if it was an empty one and its answer had nothing in it.
    pub idle_poll_at: Option<Instant>,
    /// How many requests came that are too old to be answered again, since the latest new one.
    pub stale: u16,
}

/// One request that waits.
pub(super) struct Held {
    pub rid: Rid,
    /// `None`: its connection died; an answer would reach nobody.
    pub ticket: Option<Ticket>,
    /// When it is answered even if there is nothing to say.
    pub until: Instant,
    /// How often it came again.
    pub repeats: u16,
}

/// One request that waits for its elders.
pub(super) struct Early {
    pub body: Body,
    pub ticket: Option<Ticket>,
    /// When it is given a recoverable error.
    pub until: Instant,
    pub repeats: u16,
    /// How often it was given one.
    pub told: u8,
}

impl Window {
    /// Before the creation request `first`, which comes next.
    pub fn new(first: Rid) -> Window {
        Window { last: first, held: Vec::new(), early: Vec::new(), idle_poll_at: None, stale: 0 }
    }

    /// The highest rid that may come: `requests` above the last, one more to pause or to terminate (section 11),
    /// and one more for each request whose client does not wait for it, although it waits for its elders: Strophe.js
    /// goes on beside the elder that it sends again, up to [`RUNS_AHEAD`].
    pub fn highest(&self, terms: &Terms, ask: Ask) -> Rid {
        let extra = u64::from(matches!(ask, Ask::Terminate | Ask::Pause(_)));
        let told = self.early.iter().filter(|e| e.told > 0 || e.ticket.is_none()).count() as u64;
        let requests = u64::from(terms.requests);
        self.last.plus((requests + told).min(requests.max(RUNS_AHEAD)) + extra)
    }

    /// Nobody will send what is missing before the first of the early ones.
    pub fn skip_gap(&mut self) {
        let first = self.early.iter().map(|e| e.body.rid).min();
        self.last = first.map_or(self.last, Rid::before);
    }

    /// Whether some request's connection is there and waits.
    pub fn anyone_waits(&self) -> bool {
        self.waiting() > 0
    }

    /// How many connections wait.
    pub fn waiting(&self) -> usize {
        let held = self.held.iter().filter(|h| h.ticket.is_some()).count();
        held + self.early.iter().filter(|e| e.ticket.is_some()).count()
    }

    /// Bytes of payload that wait for their elders.
    pub fn early_bytes(&self) -> usize {
        self.early.iter().map(|e| e.body.payload.bytes_len()).sum()
    }

    /// Whether more is held than may be. A session that polls holds one at most, until its turn is over.
    pub fn surplus(&self, hold: u8) -> bool {
        self.held.len() > usize::from(hold).max(1)
    }

    /// When the next request that waits is answered whatever happens.
    pub fn deadline(&self) -> Option<Instant> {
        let early = self.early.iter().filter(|e| e.ticket.is_some()).map(|e| e.until);
        early.chain(self.held_until()).min()
    }

    /// When some held request has waited long enough; those before it have to be answered then too (section 14.2).
    pub fn held_until(&self) -> Option<Instant> {
        self.held.iter().filter(|h| h.ticket.is_some()).map(|h| h.until).min()
    }

    /// The connection of that request died. `false`: none such waits.
    pub fn lose(&mut self, ticket: Ticket) -> bool {
        let held = self.held.iter_mut().map(|h| &mut h.ticket);
        let mut tickets = held.chain(self.early.iter_mut().map(|e| &mut e.ticket));
        tickets.find(|t| **t == Some(ticket)).is_some_and(|t| t.take().is_some())
    }

    /// Takes the early request whose turn it is.
    pub fn take_next_early(&mut self) -> Option<Early> {
        let at = self.early.iter().position(|e| e.body.rid == self.last.plus(1))?;
        Some(self.early.swap_remove(at))
    }

    /// Takes every connection that waits, in rid order.
    pub fn take_waiting(&mut self) -> Vec<Ticket> {
        self.early.sort_unstable_by_key(|e| e.body.rid);
        let held = self.held.drain(..).filter_map(|h| h.ticket);
        let tickets = held.chain(self.early.drain(..).filter_map(|e| e.ticket)).collect();
        self.early = Vec::new();
        tickets
    }
}
