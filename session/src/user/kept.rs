//! Messages in the store, given out to a resource that came, or that has room again.
//!
//! They are given out in the order of their ids, a page at a time, and a page is followed by the next
//! when the connection has acknowledged it. Until the last page is out, a new message to the account
//! goes to the store behind them. An id is marked as delivered only when the connection says so.
//!
//! Who follows the log reads it alone, and is given no pages.

use super::logged::{Handed, Reads};
use super::storing::{Reserved, Storing};
use super::{Answer, Query, Todo, User};
use crate::clock::Now;
use crate::hooks::Stamp;
use crate::link::{Binding, Delivery, Parcel, Receipt};
use crate::log;
use herald_storage::{Kept, StoreError};
use herald_xmpp::Jid;

/// What is going on with kept messages; not there when nothing is.
#[derive(Default)]
pub(super) struct Keeping {
    pub giving: Option<Giving>,
    /// Acknowledged, and being marked in the store.
    pub marking: Vec<u64>,
    pub storing: Storing,
    pub reserved: Vec<Reserved>,
    /// Given out, or delivered with a number: who has them.
    pub handed: Handed,
    /// How far followers have read.
    pub reads: Reads,
}

/// Kept messages on their way to one resource.
pub(super) struct Giving {
    binding: Binding,
    /// The last id that was handed out.
    after: u64,
    /// Handed out, not acknowledged.
    unacked: Vec<u64>,
    /// Passed: they are not for this resource.
    passed: u32,
    /// May there be more in the store?
    more: bool,
    /// Is a page being read?
    reading: bool,
    /// The resource is bound but wants no more: when it has acknowledged what it has, another may.
    stopped: bool,
}

impl Giving {
    /// The resource has acknowledged it, or did not take it.
    pub(super) fn acked(&mut self, binding: Binding, id: u64) {
        if self.binding == binding {
            self.unacked.retain(|unacked| *unacked != id);
        }
    }
}

impl User {
    /// Is it not certain yet that all kept messages are out?
    pub(super) fn is_giving_out(&self) -> bool {
        self.giving().is_some_and(|g| g.more || g.reading) || self.giving().is_some() && self.is_storing()
    }

    /// Has anything been handed out that was kept behind this number?
    pub(super) fn is_given_behind(&self, id: u64) -> bool {
        self.giving().is_some_and(|g| g.after >= id)
    }

    /// Is this the resource that they are given to?
    pub(super) fn is_given_to(&self, binding: Binding) -> bool {
        self.giving().is_some_and(|g| g.binding == binding)
    }

    /// Does this resource get that message by the next page, or has it got it by the last?
    pub(super) fn is_paging(&self, binding: Binding, id: u64) -> bool {
        self.giving().is_some_and(|g| g.binding == binding && (g.more || g.reading || id <= g.after))
    }

    fn giving(&self) -> Option<&Giving> {
        self.keeping.as_ref()?.giving.as_ref()
    }

    fn giving_mut(&mut self) -> Option<&mut Giving> {
        self.keeping.as_mut()?.giving.as_mut()
    }

    /// Begins to give out, when there is something to give and someone to take it.
    pub(super) fn give_out(&mut self) {
        if self.kept <= self.handed() || self.busy.leaving.is_some() || self.giving().is_some() {
            return;
        }
        let taker = self.resources.iter().filter(|r| r.takes_messages() && !r.follows).max_by_key(|r| r.priority);
        let Some(binding) = taker.map(|r| r.binding).filter(|b| !self.is_behind(*b)) else { return };
        let keeping = self.keeping.get_or_insert_default();
        keeping.giving = Some(Giving {
            binding,
            after: 0,
            unacked: Vec::new(),
            passed: 0,
            more: true,
            reading: true,
            stopped: false,
        });
        if !keeping.marking.is_empty() {
            // What is acknowledged must not be read again.
            let marking = keeping.marking.clone();
            self.ask_store(Query::Delivered(marking.clone()), move |user, _, answer| {
                user.marked_now(&marking, answer.is_ok());
            });
        }
        self.read_page(0);
    }

    fn read_page(&mut self, after: u64) {
        if let Some(to) = self.take_read() {
            self.ask_store(Query::DeliveredTo(to), move |user, _, answer| match answer {
                Ok(Answer::Count(pending)) => user.marked_to(to, Ok(pending)),
                Ok(_) => user.marked_to(to, Err(StoreError::Failed("another answer than to the question".into()))),
                Err(why) => user.marked_to(to, Err(why)),
            });
        }
        let (limit, bytes_max) = (self.settings().offline_page, self.settings().offline_page_bytes);
        self.ask_store(Query::Pending { after, limit, bytes_max }, move |user, now, answer| match answer {
            Ok(Answer::Pending(page)) => {
                let bytes: usize = page.iter().map(|kept| kept.stanza.len()).sum();
                let more = page.len() >= limit as usize || bytes >= bytes_max;
                user.hand_out(now, page, more);
            }
            other => {
                tracing::error!(user = %user.jid, ?other, "kept messages could not be read");
                user.end_giving();
            }
        });
    }

    fn hand_out(&mut self, now: Now, page: Vec<Kept>, more: bool) {
        let Some(binding) = self.giving().map(|g| g.binding) else { return };
        let is_behind = self.is_behind(binding);
        let Some(giving) = self.giving_mut() else { return };
        giving.reading = false;
        if is_behind {
            giving.more = true; // it is read again, from where it has to be
            return self.go_on();
        }
        giving.more = more;
        for kept in page {
            self.hand_out_one(now, binding, &kept);
        }
        self.go_on();
    }

    fn hand_out_one(&mut self, now: Now, binding: Binding, kept: &Kept) {
        let id = kept.id;
        let is_handed = self.is_handed(id);
        let jid = self.place_of(binding).map(|place| self.resources[place].jid.clone());
        let Some(giving) = self.giving_mut() else { return };
        giving.after = id;
        if is_handed {
            return;
        }
        let mut stanza = match log::read(&kept.stanza, jid.as_ref().map(|jid| jid.resource())) {
            log::Entry::Message(stanza) => stanza,
            log::Entry::NotForIt => return giving.passed += 1,
            log::Entry::Broken => {
                tracing::error!(user = %self.jid, id, "a kept message cannot be read; it is let go");
                return self.busy.todo.push_back(Todo::Mark(vec![id]));
            }
        };
        giving.unacked.push(id);
        let to = stanza.to.is_none().then(|| self.jid.clone().into()); // of what is kept once for many
        self.stamp(now, &mut stanza, Stamp { id, at_ms: kept.at_ms, late: true });
        self.hand(id, binding);
        self.ask_deliver(binding, Delivery { receipt: Some(Receipt(id)), to, ..Delivery::new(stanza) });
    }

    /// The next page, or the end, when all that was handed out is acknowledged.
    pub(super) fn go_on(&mut self) {
        let Some(binding) = self.giving().map(|g| g.binding) else { return };
        let (is_behind, is_storing) = (self.is_behind(binding), self.is_storing());
        match self.giving_mut() {
            Some(giving) if giving.reading || !giving.unacked.is_empty() => {}
            Some(giving) if giving.stopped => {
                self.end_giving();
                self.give_out();
            }
            Some(_) if is_behind => {}
            Some(giving) if giving.more => {
                giving.reading = true;
                let after = giving.after;
                self.read_page(after);
            }
            Some(_) if is_storing => {}
            Some(giving) => {
                let passed = giving.passed;
                // The store has said that there is nothing behind.
                let followed = self.keeping.as_ref().map_or(0, |k| k.handed.followed());
                self.kept = (passed + self.handed()).saturating_add(u32::try_from(followed).unwrap_or(u32::MAX));
                self.end_giving();
                self.end_reservations(binding, u64::MAX); // what the connection had before that is delivered, too
            }
            None => {}
        }
    }

    /// One was kept: is there somebody it must go on to?
    pub(super) fn kept_one(&mut self) {
        match self.giving_mut() {
            Some(giving) => {
                giving.more = true;
                self.go_on();
            }
            None => self.give_out(),
        }
    }

    /// There is a message with this number that has to be given out, and may have been passed already.
    pub(super) fn step_back_to(&mut self, id: u64) {
        if let Some(giving) = self.giving_mut() {
            giving.after = giving.after.min(id - 1);
            giving.more = true;
        }
    }

    /// The store has marked them, or may not have: those are marked again before the store is read.
    pub(super) fn marked(&mut self, ids: &[u64], done: bool) {
        self.marked_now(ids, done);
        self.end_keeping();
    }

    fn marked_now(&mut self, ids: &[u64], done: bool) {
        if let Some(keeping) = &mut self.keeping
            && done
        {
            keeping.marking.retain(|id| !ids.contains(id));
        }
    }

    /// The resource is bound but not available any more: no further page goes to it.
    pub(super) fn stop_giving_out(&mut self, binding: Binding) {
        if let Some(giving) = self.giving_mut()
            && giving.binding == binding
        {
            giving.stopped = true;
            self.go_on();
        }
    }

    /// Connections have ended, and none is waited for: what they did not acknowledge is in the store, for
    /// the next.
    pub(super) fn give_out_again(&mut self) {
        self.take_from_gone();
        if let Some(giving) = self.giving_mut() {
            giving.more = true; // what only a follower had that is gone now
        }
        if let Some(binding) = self.giving().map(|g| g.binding)
            && self.place_of(binding).is_none()
        {
            self.end_giving();
        }
        self.give_out();
    }

    fn end_giving(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            keeping.giving = None;
        }
        self.end_keeping();
    }

    /// Forgets it all when there is nothing to remember.
    pub(super) fn end_keeping(&mut self) {
        self.keeping.take_if(|k| k.is_over());
    }

    /// Kept messages go back to nobody: they are in the store.
    pub(super) fn is_kept(delivery: &Delivery) -> bool {
        delivery.receipt.is_some()
    }
}

/// The address a delivery was for.
pub(super) fn parcel_of(delivery: Delivery) -> Parcel {
    let to: Option<Jid> = delivery.to;
    Parcel { stanza: delivery.stanza, to }
}
