//! Messages that are kept first and then delivered, with their number.
//!
//! So it is when a connection [follows](crate::Transport::follows) the log, or when the push says so. What comes
//! later and may be kept, too, waits in the same line, so nothing overtakes. When the store has answered, the
//! message goes to the followers and to the resources that RFC 6121 picks. It is pending until the first of them
//! says that it has it.
//!
//! [`Handed`] knows who has been handed what and has not said so. A message that is in the hands of a bound
//! resource is given to nobody else; when all who had it are gone, it is given out anew ([`kept`](super::kept)).

use super::kept::Keeping;
use super::message::Ticket;
use super::storing::{Storable, Why};
use super::{Todo, User};
use crate::clock::Now;
use crate::delivery::Choice;
use crate::events::Event;
use crate::hooks::{Stamp, Turn};
use crate::link::{Binding, Copies, Delivery, Parcel, Receipt};
use crate::push::SendtoState;
use herald_storage::StoreError;
use herald_xmpp::Stanza;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many times a follower may say how far it has read before that is marked in the store.
const READS_MAX: u32 = 64;

/// So long at most it waits to be marked, in seconds.
const READ_SECS_MAX: u64 = 1;

/// Kept messages in the hands of connections, by their numbers.
#[derive(Default)]
pub(super) struct Handed {
    /// To resources that acknowledge each, in the order of the numbers.
    out: Vec<Out>,
    /// To followers, and acknowledged by nobody, in the order of the numbers.
    followed: Vec<u64>,
}

struct Out {
    id: u64,
    holders: SmallVec<[Binding; 1]>,
    acked: bool, // by one of those who had it, or by a follower
}

/// What is known of a message when it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nobody has said so before.
    Pending,
    /// Somebody has.
    Acked,
    /// It is in nobody's hands: who says so was not waited for any more.
    No,
}

impl Handed {
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && self.followed.is_empty()
    }

    /// How many are in the hands of resources that acknowledge, and may have to be given to others.
    fn unacked(&self) -> usize {
        self.out.iter().filter(|out| !out.acked).count()
    }

    /// Has a bound resource that message, or is it delivered and about to be marked?
    fn has(&self, id: u64) -> bool {
        self.out.binary_search_by_key(&id, |out| out.id).is_ok()
    }

    fn holds(&self, id: u64, holder: Binding) -> bool {
        self.out.binary_search_by_key(&id, |out| out.id).is_ok_and(|place| self.out[place].holders.contains(&holder))
    }

    fn add(&mut self, id: u64, holder: Binding) {
        match self.out.binary_search_by_key(&id, |out| out.id) {
            Ok(place) => self.out[place].holders.push(holder),
            Err(place) => self.out.insert(place, Out { id, holders: SmallVec::from_slice(&[holder]), acked: false }),
        }
    }

    fn follow(&mut self, id: u64, max: usize) {
        if let Err(place) = self.followed.binary_search(&id) {
            self.followed.insert(place, id);
        }
        if self.followed.len() > max {
            self.followed.remove(0); // gone from the store, too, or taken by a newer one
        }
    }

    /// How many are in the hands of followers alone, and acknowledged by nobody.
    pub(super) fn followed(&self) -> usize {
        self.followed.iter().filter(|id| !self.has(**id)).count()
    }

    fn ack(&mut self, id: u64, holder: Binding) -> Known {
        let followed = self.followed.binary_search(&id).map(|place| self.followed.remove(place)).is_ok();
        let Ok(place) = self.out.binary_search_by_key(&id, |out| out.id) else {
            return if followed { Known::Pending } else { Known::No };
        };
        let out = &mut self.out[place];
        let known = if out.acked { Known::Acked } else { Known::Pending };
        out.acked = true;
        out.holders.retain(|b| *b != holder);
        if out.holders.is_empty() {
            self.out.remove(place);
        }
        known
    }

    /// Takes it out of the hands of one resource: it did not take it.
    fn take_back(&mut self, id: u64, holder: Binding) {
        if let Ok(place) = self.out.binary_search_by_key(&id, |out| out.id) {
            self.out[place].holders.retain(|b| *b != holder);
            if self.out[place].holders.is_empty() {
                self.out.remove(place);
            }
        }
    }

    /// A follower has all up to this number: those of which nobody has said so before, in order.
    fn read_to(&mut self, id: u64) -> Vec<u64> {
        let mut read: Vec<u64> = self.followed.drain(..self.followed.partition_point(|f| *f <= id)).collect();
        for out in self.out.iter_mut().take_while(|out| out.id <= id).filter(|out| !out.acked) {
            out.acked = true;
            read.push(out.id);
        }
        read.sort_unstable();
        read.dedup();
        read
    }

    /// Only these are bound still. The first message that nobody has now.
    fn keep_holders(&mut self, bound: &[Binding]) -> Option<u64> {
        let mut first = None;
        self.out.retain_mut(|out| {
            out.holders.retain(|b| bound.contains(b));
            if out.holders.is_empty() && !out.acked {
                first.get_or_insert(out.id);
            }
            !out.holders.is_empty()
        });
        first
    }
}

/// How far followers have read, on its way into the store.
#[derive(Default)]
pub(super) struct Reads {
    /// All up to this number is read; 0: nothing that the store does not know.
    to: u64,
    /// How often it was said.
    count: u32,
    /// When it has to be marked.
    due: Option<Instant>,
    /// The store was asked to mark all up to this number, and has not answered; 0: nothing.
    asked: u64,
}

impl Reads {
    pub(super) fn is_over(&self) -> bool {
        self.to == 0 && self.asked == 0
    }
}

impl User {
    /// Is there a connection that follows the log, and is handed it?
    pub(super) fn has_follower(&self) -> bool {
        self.resources.iter().any(|r| r.takes_log())
    }

    /// The store has given a message its number: now it goes to who is there.
    pub(super) fn deliver_logged(&mut self, now: Now, what: Storable, id: u64) {
        let Storable { parcel, ticket, at_ms, why, is_pending } = what;
        let (takers, followers) = self.takers_of_logged(&parcel, ticket.as_ref());
        // Pages are being given out: it comes with the next, or came with the last. And behind what a leaving
        // connection gives back; and when there is room, to one that is behind.
        let by_pages =
            self.busy.leaving.is_some() || takers.iter().any(|b| self.is_behind(*b) || self.is_paging(*b, id));
        let has_it = |b: &Binding| self.keeping.as_ref().is_some_and(|k| k.handed.holds(id, *b));
        let takers: SmallVec<[Binding; 4]> = takers.into_iter().filter(|b| !by_pages && !has_it(b)).collect();
        let count = takers.len() + followers.len();
        if count == 0 {
            if let Some(ticket) = ticket {
                ticket.say(SendtoState::Stored, 0, Some(id));
            }
            return self.kept_one();
        }
        let copies = Copies::of(count);
        let delivery = |stanza: &Arc<Stanza>| Delivery {
            to: parcel.to.clone(),
            receipt: Some(Receipt(id)),
            copies: Some(copies.clone()),
            ..Delivery::new(stanza.clone())
        };
        if is_pending {
            let max = self.settings().offline_max as usize;
            let handed = &mut self.keeping.get_or_insert_default().handed;
            takers.iter().for_each(|holder| handed.add(id, *holder));
            if !followers.is_empty() {
                handed.follow(id, max);
            }
        }
        for follower in followers {
            self.ask_deliver(follower, delivery(&parcel.stanza));
        }
        if !takers.is_empty() {
            let mut stanza = Stanza::clone(&parcel.stanza);
            self.stamp(now, &mut stanza, Stamp { id, at_ms, late: why != Why::First });
            let stanza = Arc::new(stanza);
            for taker in takers {
                self.ask_deliver(taker, delivery(&stanza));
            }
        }
        if let Some(ticket) = ticket {
            self.busy.todo.push_back(Todo::Say(ticket, copies, parcel.stanza, Some(id)));
        }
        if by_pages { self.kept_one() } else { self.go_on() }
    }

    /// The resources that are picked, and all followers.
    fn takers_of_logged(
        &self,
        parcel: &Parcel,
        ticket: Option<&Ticket>,
    ) -> (SmallVec<[Binding; 4]>, SmallVec<[Binding; 4]>) {
        let excluded = ticket.and_then(|t| t.terms.exclude.as_ref()).map(|r| r.as_str());
        let takers = match self.choose_for(parcel, ticket, self.address_of(parcel.to())) {
            Choice::Resources(places) => places.into_iter().map(|place| &self.resources[place]).collect(),
            _ => Vec::new(), // whom it was for has gone meanwhile: it waits for the next
        };
        let takers = takers.into_iter().filter(|r| !r.follows);
        let followers = self.resources.iter().filter(|r| r.takes_log() && Some(r.jid.resource()) != excluded);
        (takers.map(|r| r.binding).collect(), followers.map(|r| r.binding).collect())
    }

    /// Lets the modules put on what they have to say about a kept message.
    pub(super) fn stamp(&mut self, now: Now, stanza: &mut Stanza, what: Stamp) {
        let shared = self.shared.clone();
        for stamp in &shared.modules.stamp {
            stamp(&mut Turn { user: self, now }, stanza, what);
        }
    }

    /// A connection says that a kept message is delivered.
    pub(super) fn acked(&mut self, binding: Binding, Receipt(id): Receipt) {
        self.end_reservations(binding, id);
        let keeping = self.keeping.get_or_insert_default();
        if let Some(giving) = &mut keeping.giving {
            giving.acked(binding, id);
        }
        let known = keeping.handed.ack(id, binding);
        if known != Known::Acked {
            keeping.marking.push(id);
            self.busy.todo.push_back(Todo::Mark(vec![id]));
        }
        if known == Known::Pending {
            self.is_delivered(id);
        }
        self.go_on();
        self.end_keeping();
    }

    /// A follower says how far its client has read.
    pub(super) fn read_to(&mut self, now: Now, id: u64) {
        let nothing_is_out = self.keeping.as_ref().is_none_or(|k| k.handed.is_empty());
        if self.kept == 0 && !self.is_loose && nothing_is_out {
            return; // nothing is pending
        }
        let keeping = self.keeping.get_or_insert_default();
        for read in keeping.handed.read_to(id) {
            self.is_delivered(read);
        }
        let reads = &mut self.keeping.get_or_insert_default().reads;
        reads.to = reads.to.max(id);
        reads.count += 1;
        reads.due.get_or_insert(now.at + Duration::from_secs(READ_SECS_MAX));
        if reads.count >= READS_MAX {
            self.mark_read();
        }
    }

    /// Nobody had said so before.
    fn is_delivered(&mut self, id: u64) {
        self.kept = self.kept.saturating_sub(1);
        self.watch(|user| Event::Delivered { user: user.jid.clone(), id });
    }

    /// Asks the store to mark what followers have read.
    pub(super) fn mark_read(&mut self) {
        if let Some(to) = self.take_read() {
            self.busy.todo.push_back(Todo::MarkTo(to));
        }
    }

    /// How far followers have read, if the store was not asked to mark it yet: it is now.
    pub(super) fn take_read(&mut self) -> Option<u64> {
        let reads = &mut self.keeping.as_mut()?.reads;
        let Reads { to, asked, .. } = *reads;
        *reads = Reads { asked: asked.max(to), ..Reads::default() };
        (to > 0).then_some(to)
    }

    /// When that has to be done.
    pub(super) fn read_due(&self) -> Option<Instant> {
        self.keeping.as_ref()?.reads.due
    }

    /// The store has marked all up to that number, and says how many are pending; or it may not have.
    pub(super) fn marked_to(&mut self, id: u64, answer: Result<u64, StoreError>) {
        let Some(keeping) = &mut self.keeping else { return };
        let reads = &mut keeping.reads;
        if reads.asked <= id {
            reads.asked = 0;
        }
        match answer {
            Ok(pending) => {
                // Too many, when answers to what was asked before come later; never too few.
                self.recount(pending);
                self.is_loose = true;
            }
            Err(why) => {
                tracing::warn!(user = %self.jid, %why, "what a client has read is not marked, and may come again");
                reads.to = reads.to.max(id); // the next one that is said takes it along
            }
        }
        self.end_keeping();
    }

    /// Is a message in the hands of a resource, or read by a follower, so that it is not to be given out?
    pub(super) fn is_handed(&self, id: u64) -> bool {
        let is_its = |k: &Keeping| k.marking.contains(&id) || k.handed.has(id) || id <= k.reads.asked;
        self.keeping.as_ref().is_some_and(|k| is_its(k))
    }

    /// How many are in the hands of resources, and are theirs until they say that they have them.
    pub(super) fn handed(&self) -> u32 {
        let unacked = self.keeping.as_ref().map_or(0, |k| k.handed.unacked());
        u32::try_from(unacked).unwrap_or(u32::MAX)
    }

    /// A resource is being handed a kept message.
    pub(super) fn hand(&mut self, id: u64, holder: Binding) {
        self.keeping.get_or_insert_default().handed.add(id, holder);
    }

    /// The link did not take it: it is handed out again when there is room.
    pub(super) fn hand_back(&mut self, holder: Binding, delivery: &Delivery) {
        let Some(Receipt(id)) = delivery.receipt else { return };
        if let Some(copies) = &delivery.copies {
            copies.give_back();
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.handed.take_back(id, holder);
            if let Some(giving) = &mut keeping.giving {
                giving.acked(holder, id);
            }
        }
        self.step_back_to(id);
    }

    /// Connections are gone: what only they had is pending again.
    pub(super) fn take_from_gone(&mut self) {
        let bound: SmallVec<[Binding; 4]> = self.resources.iter().map(|r| r.binding).collect();
        if let Some(first) = self.keeping.as_mut().and_then(|k| k.handed.keep_holders(&bound)) {
            self.step_back_to(first);
        }
    }
}
