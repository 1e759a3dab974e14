//! Which requests have come, which wait for their answer, which came before their elders.

use super::Terms;
use crate::time::Time;
use crate::{Ask, Body, Rid, Ticket};
use smallvec::SmallVec;

/// The difference of rids that Strophe.js allows between the older and the younger of its two requests
/// in a session it was attached to, where it does not learn `requests`, and one more: by then the older is done.
pub(super) const RUNS_AHEAD: u64 = 5;

/// The requests that are not answered yet.
pub(super) struct Window {
    /// The highest rid up to which every request has come.
    pub last: Rid,
    /// Requests whose payload went up and that wait for an answer, oldest first.
    pub held: SmallVec<[Held; 1]>,
    /// Requests that wait for their elders.
    pub early: Earlies,
    /// When the latest new request came, if it was an empty one and its answer had nothing in it.
    pub idle_poll_at: Option<Time>,
}

/// One request that waits.
pub(super) struct Held {
    pub rid: Rid,
    ticket: Ticket,
    /// When it is answered even if there is nothing to say.
    pub until: Time,
    /// How often it came again.
    pub repeats: u16,
    /// Its connection died; an answer would reach nobody. (A flag, for an `Option` would take a word.)
    lost: bool,
}

/// One request that waits for its elders.
pub(super) struct Early {
    pub body: Body,
    pub ticket: Option<Ticket>,
    /// When it is given a recoverable error.
    pub until: Time,
    pub repeats: u16,
    /// How often it was given one.
    pub told: u8,
}

/// Requests that came before their elders: almost never any, and one word then.
#[derive(Default)]
#[allow(clippy::box_collection)] // one word instead of three: there are as many of these as sessions
pub(super) struct Earlies(Option<Box<Vec<Early>>>);

impl Held {
    /// One that was accepted. `ticket`: its connection, if that is still there.
    pub fn new(rid: Rid, ticket: Option<Ticket>, until: Time) -> Held {
        Held { rid, ticket: ticket.unwrap_or(Ticket(0)), until, repeats: 0, lost: ticket.is_none() }
    }

    /// The connection on which somebody waits for the answer.
    pub fn ticket(&self) -> Option<Ticket> {
        (!self.lost).then_some(self.ticket)
    }

    /// It came again on another connection; gives the one that waited until now.
    pub fn moved(&mut self, ticket: Ticket) -> Option<Ticket> {
        let older = self.ticket();
        (self.ticket, self.lost) = (ticket, false);
        older
    }
}

impl Earlies {
    pub fn push(&mut self, early: Early) {
        self.0.get_or_insert_default().push(early);
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Early> {
        self.0.as_deref().map_or(&[][..], |early| early).iter()
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Early> {
        self.0.as_deref_mut().map_or(&mut [][..], |early| early).iter_mut()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Takes that of this rid.
    fn take(&mut self, rid: Rid) -> Option<Early> {
        let early = self.0.as_mut()?;
        let at = early.iter().position(|e| e.body.rid == rid)?;
        let taken = early.swap_remove(at);
        self.0.take_if(|early| early.is_empty());
        Some(taken)
    }

    /// Takes them all, by rid.
    fn take_all(&mut self) -> Vec<Early> {
        let mut early = self.0.take().map_or_else(Vec::new, |early| *early);
        early.sort_unstable_by_key(|e| e.body.rid);
        early
    }
}

impl Window {
    /// Before the creation request `first`, which comes next.
    pub fn new(first: Rid) -> Window {
        Window { last: first, held: SmallVec::new(), early: Earlies::default(), idle_poll_at: None }
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
        let held = self.held.iter().filter(|h| !h.lost).count();
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
    pub fn deadline(&self) -> Option<Time> {
        let early = self.early.iter().filter(|e| e.ticket.is_some()).map(|e| e.until);
        early.chain(self.held_until()).min()
    }

    /// When some held request has waited long enough; those before it have to be answered then too (section 14.2).
    pub fn held_until(&self) -> Option<Time> {
        self.held.iter().filter(|h| !h.lost).map(|h| h.until).min()
    }

    /// The connection of that request died. `false`: none such waits.
    pub fn lose(&mut self, ticket: Ticket) -> bool {
        if let Some(held) = self.held.iter_mut().find(|h| h.ticket() == Some(ticket)) {
            held.lost = true;
            return true;
        }
        let mut early = self.early.iter_mut();
        early.find(|e| e.ticket == Some(ticket)).is_some_and(|e| e.ticket.take().is_some())
    }

    /// Takes the oldest that is held.
    pub fn take_oldest(&mut self) -> Held {
        let oldest = self.held.remove(0);
        self.held.shrink_to_fit(); // one is kept for long, and needs no room elsewhere
        oldest
    }

    /// Takes the early request whose turn it is.
    pub fn take_next_early(&mut self) -> Option<Early> {
        self.early.take(self.last.plus(1))
    }

    /// Takes every connection that waits, in rid order.
    pub fn take_waiting(&mut self) -> Vec<Ticket> {
        let early = self.early.take_all().into_iter().filter_map(|e| e.ticket);
        let held = std::mem::take(&mut self.held).into_iter().filter_map(|h| h.ticket());
        held.chain(early).collect()
    }
}
