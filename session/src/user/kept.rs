//! Messages in the store: keeping them, and giving them out to a resource that came.
//!
//! They are given out in the order of their ids, a page at a time, and a page is followed by the next
//! when the connection has acknowledged it. Until the last page is out, a new message to the account
//! goes to the store behind them. An id is marked as delivered only when the connection says so.

use super::message::{Ticket, read_kept, write_kept};
use super::roster::store_failed;
use super::{Answer, Query, Todo, User};
use crate::clock::Now;
use crate::hooks::Turn;
use crate::link::{Binding, Delivery, Parcel, Receipt};
use crate::push::SendtoState;
use herald_storage::{Kept, NewMessage, StoreError};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Jid, StanzaError};

/// A page ends early when it comes to so many bytes (one message is always given): a slow connection
/// must not be filled up by what it is given at once.
const PAGE_BYTES_MAX: usize = 262_144;

/// What is going on with kept messages; not there when nothing is.
#[derive(Default)]
pub(super) struct Keeping {
    giving: Option<Giving>,
    /// Acknowledged, and being marked in the store.
    marking: Vec<u64>,
}

/// Kept messages on their way to one resource.
struct Giving {
    binding: Binding,
    /// The last id that was handed out.
    after: u64,
    /// Handed out, not acknowledged.
    unacked: Vec<u64>,
    /// May there be more in the store?
    more: bool,
    /// Is a page being read?
    reading: bool,
    /// The resource is bound but wants no more: when it has acknowledged what it has, another may.
    stopped: bool,
}

impl User {
    /// Keeps a message; it is durable before anybody hears so.
    pub(super) fn keep(&mut self, now: Now, parcel: Parcel, expires_ms: Option<i64>, ticket: Option<Ticket>) {
        if self.kept >= self.settings().offline_max {
            return match ticket {
                Some(ticket) => ticket.say(SendtoState::Full, 0, None),
                None => self.bounce(now, &parcel, StanzaError::new(Condition::ResourceConstraint)),
            };
        }
        self.kept += 1; // taken back when it fails: several may be on their way at once
        let message = NewMessage { at_ms: now.unix_ms, expires_ms, stanza: write_kept(&parcel) };
        self.ask_store(Query::Append(message), move |user, now, answer| {
            let error = match (answer, ticket) {
                (Ok(Answer::Appended(kept)), ticket) => {
                    if let Some(ticket) = ticket {
                        ticket.say(SendtoState::Stored, 0, Some(kept.id));
                    }
                    return user.kept_one();
                }
                (Ok(_), Some(ticket)) => return ticket.say(SendtoState::Failed, 0, None),
                (Ok(_), None) => StanzaError::new(Condition::InternalServerError),
                (Err(why), Some(ticket)) => {
                    user.kept = user.kept.saturating_sub(1);
                    return ticket.say(state_of_failure(&why), 0, None);
                }
                (Err(why), None) => store_failed(&why),
            };
            user.kept = user.kept.saturating_sub(1);
            user.bounce(now, &parcel, error);
        });
    }

    /// Is it not certain yet that all kept messages are out?
    pub(super) fn is_giving_out(&self) -> bool {
        self.giving().is_some_and(|g| g.more || g.reading)
    }

    fn giving(&self) -> Option<&Giving> {
        self.keeping.as_ref()?.giving.as_ref()
    }

    fn giving_mut(&mut self) -> Option<&mut Giving> {
        self.keeping.as_mut()?.giving.as_mut()
    }

    /// Begins to give out, when there is something to give and someone to take it.
    pub(super) fn give_out(&mut self) {
        if self.kept == 0 || self.leaving.is_some() || self.giving().is_some() {
            return;
        }
        let taker = self.resources.iter().filter(|r| r.priority.is_some_and(|p| p >= 0)).max_by_key(|r| r.priority);
        let Some(binding) = taker.map(|r| r.binding) else { return };
        let keeping = self.keeping.get_or_insert_default();
        keeping.giving =
            Some(Giving { binding, after: 0, unacked: Vec::new(), more: true, reading: true, stopped: false });
        if keeping.marking.is_empty() {
            return self.read_page(0);
        }
        // What is acknowledged must not be read again.
        let marking = keeping.marking.clone();
        self.ask_store(Query::Delivered(marking.clone()), move |user, _, answer| {
            user.marked_now(&marking, answer.is_ok());
            user.read_page(0);
        });
    }

    fn read_page(&mut self, after: u64) {
        let limit = self.settings().offline_page;
        self.ask_store(Query::Pending { after, limit }, move |user, now, answer| match answer {
            Ok(Answer::Pending(page)) => user.hand_out(now, page, limit),
            other => {
                tracing::error!(user = %user.jid, ?other, "kept messages could not be read");
                user.end_giving();
            }
        });
    }

    fn hand_out(&mut self, now: Now, page: Vec<Kept>, limit: u32) {
        let Some(giving) = self.giving_mut() else { return };
        giving.reading = false;
        giving.more = page.len() >= limit as usize;
        let binding = giving.binding;
        let mut bytes = 0;
        for kept in page {
            let Some(giving) = self.giving_mut() else { return };
            bytes += kept.stanza.len();
            if bytes > PAGE_BYTES_MAX && bytes > kept.stanza.len() {
                giving.more = true;
                break;
            }
            giving.after = kept.id;
            if self.keeping.as_ref().is_some_and(|k| k.marking.contains(&kept.id)) {
                continue;
            }
            let Some(mut stanza) = read_kept(&kept.stanza) else {
                tracing::error!(user = %self.jid, id = kept.id, "a kept message cannot be read; it is let go");
                self.todo.push_back(Todo::Mark(vec![kept.id]));
                continue;
            };
            let shared = self.shared.clone();
            for stamp in &shared.modules.stamp {
                stamp(&mut Turn { user: self, now }, &mut stanza, kept.at_ms);
            }
            let delivery = Delivery { receipt: Some(Receipt(kept.id)), ..Delivery::new(stanza) };
            self.ask_deliver(binding, delivery);
            if let Some(giving) = self.giving_mut() {
                giving.unacked.push(kept.id);
            }
        }
        self.go_on();
    }

    /// The next page, or the end, when all that was handed out is acknowledged.
    fn go_on(&mut self) {
        match self.giving_mut() {
            Some(giving) if giving.reading || !giving.unacked.is_empty() => {}
            Some(giving) if giving.stopped => {
                self.end_giving();
                self.give_out();
            }
            Some(giving) if giving.more => {
                giving.reading = true;
                let after = giving.after;
                self.read_page(after);
            }
            Some(_) => {
                self.kept = 0; // the store has said that there is nothing behind
                self.end_giving();
            }
            None => {}
        }
    }

    /// One was kept: is there somebody it must go on to?
    fn kept_one(&mut self) {
        match self.giving_mut() {
            Some(giving) => {
                giving.more = true;
                self.go_on();
            }
            None => self.give_out(),
        }
    }

    /// A connection says that a kept message is delivered.
    pub(super) fn acked(&mut self, receipt: Receipt) {
        let keeping = self.keeping.get_or_insert_default();
        keeping.marking.push(receipt.0);
        if let Some(giving) = &mut keeping.giving {
            giving.unacked.retain(|id| *id != receipt.0);
        }
        self.kept = self.kept.saturating_sub(1);
        self.todo.push_back(Todo::Mark(vec![receipt.0]));
        self.go_on();
    }

    /// The store has marked them, or may not have: those are marked again before the store is read.
    pub(super) fn marked(&mut self, ids: &[u64], done: bool) {
        self.marked_now(ids, done);
        self.keeping.take_if(|k| k.giving.is_none() && k.marking.is_empty());
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
        self.keeping.take_if(|k| k.giving.is_none() && k.marking.is_empty());
    }

    /// Kept messages go back to nobody: they are in the store.
    pub(super) fn is_kept(delivery: &Delivery) -> bool {
        delivery.receipt.is_some()
    }
}

fn state_of_failure(why: &StoreError) -> SendtoState {
    match why {
        StoreError::Busy => SendtoState::Full,
        StoreError::NoAccount => SendtoState::NoSuchUser,
        _ => SendtoState::Failed,
    }
}

/// The address a delivery was for.
pub(super) fn parcel_of(delivery: Delivery) -> Parcel {
    let to: Option<Jid> = delivery.to;
    Parcel { stanza: delivery.stanza, to }
}
