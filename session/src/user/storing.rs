//! Messages on their way into the store.
//!
//! Mail goes on while the store writes, so that many of one user are committed together. What the store
//! has not answered yet is bounded; beyond that the user waits for it, and its mailbox fills.

use super::kept::Keeping;
use super::message::{Ticket, write_kept};
use super::roster::store_failed;
use super::{Answer, Query, Todo, User};
use crate::clock::Now;
use crate::hooks::Offline;
use crate::link::{Binding, Parcel};
use crate::push::SendtoState;
use herald_storage::{Appended, NewMessage, StoreError};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Kind, MessageType, StanzaError};
use std::collections::VecDeque;

/// Messages of one user that the store may have in hand; the user waits for the answer about the next.
const STORING_MAX: usize = 256;

/// The same in bytes.
const STORING_BYTES_MAX: usize = 262_144;

/// What the store has not answered yet, oldest first.
#[derive(Default)]
pub(super) struct Storing {
    messages: VecDeque<Message>,
    bytes: usize,
    next: u64,
}

struct Message {
    number: u64,
    bytes: usize,
    parcel: Parcel,
    ticket: Option<Ticket>,
}

/// Numbers in the store for what a connection that fell behind may give back: before all that was kept
/// since, and behind all that was kept before.
pub(super) struct Reserved {
    binding: Binding,
    first: u64,
    next: u64,
    end: u64,
}

impl Storing {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= STORING_MAX || self.bytes >= STORING_BYTES_MAX
    }

    fn put(&mut self, bytes: usize, parcel: Parcel, ticket: Option<Ticket>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.messages.push_back(Message { number, bytes, parcel, ticket });
        number
    }

    fn take(&mut self, number: u64) -> Option<Message> {
        let place = self.messages.iter().position(|m| m.number == number)?;
        let message = self.messages.remove(place)?;
        self.bytes -= message.bytes;
        Some(message)
    }
}

impl User {
    /// Keeps a message; it is durable before anybody hears so. `returned`: it was accepted before, and
    /// the bound on new ones is not for it.
    pub(super) fn keep(
        &mut self,
        now: Now,
        parcel: Parcel,
        expires_ms: Option<i64>,
        ticket: Option<Ticket>,
        returned: bool,
    ) {
        if self.kept >= self.settings().offline_max && !returned {
            return match ticket {
                Some(ticket) => ticket.say(SendtoState::Full, 0, None),
                // XEP-0160 section 2, and as for who has no account.
                None => self.bounce(now, &parcel, StanzaError::new(Condition::ServiceUnavailable)),
            };
        }
        self.kept = self.kept.saturating_add(1); // taken back when it fails: several may be on their way at once
        let message = NewMessage { at_ms: now.unix_ms, expires_ms, stanza: write_kept(&parcel), extra: None };
        let storing = &mut self.keeping.get_or_insert_default().storing;
        if storing.is_full() {
            return self.ask_store(Query::Append(message), move |user, now, answer| {
                let answer = answer.and_then(|answer| match answer {
                    Answer::Appended(kept) => Ok(kept),
                    _ => Err(StoreError::Failed("another answer than to the question".into())),
                });
                user.stored(now, &parcel, ticket, answer);
            });
        }
        let number = storing.put(message.stanza.len(), parcel, ticket);
        self.todo.push_back(Todo::Keep(number, message));
    }

    /// The store has answered.
    pub(super) fn kept_answer(&mut self, now: Now, number: u64, answer: Result<Appended, StoreError>) {
        if let Some(message) = self.keeping.as_mut().and_then(|k| k.storing.take(number)) {
            self.stored(now, &message.parcel, message.ticket, answer);
        }
    }

    fn stored(&mut self, now: Now, parcel: &Parcel, ticket: Option<Ticket>, answer: Result<Appended, StoreError>) {
        match (answer, ticket) {
            (Ok(kept), ticket) => {
                if let Some(ticket) = ticket {
                    ticket.say(SendtoState::Stored, 0, Some(kept.id));
                }
                return self.kept_one();
            }
            (Err(why), Some(ticket)) => ticket.say(state_of_failure(&why), 0, None),
            (Err(why), None) => self.bounce(now, parcel, store_failed(&why)),
        }
        self.kept = self.kept.saturating_sub(1);
        self.go_on();
    }

    /// Does the store have something in hand that it has not answered?
    pub(super) fn is_storing(&self) -> bool {
        self.keeping.as_ref().is_some_and(|k| !k.storing.is_empty())
    }

    /// The store keeps so many places free for what this connection may give back.
    pub(super) fn reserve(&mut self, binding: Binding, first: u64, count: u32) {
        let reserved = Reserved { binding, first, next: first, end: first + u64::from(count) };
        self.keeping.get_or_insert_default().reserved.push(reserved);
    }

    /// The newest place that is kept free for this connection.
    pub(super) fn reserved_at(&self, binding: Binding) -> Option<u64> {
        let reserved = self.keeping.as_ref()?.reserved.iter().rfind(|r| r.binding == binding)?;
        Some(reserved.first)
    }

    /// What came back from a connection that was behind goes into its place in the store. `Some`: it has none.
    ///
    /// `after`: the number of the last kept message that the connection was handed before it.
    pub(super) fn put_back(&mut self, now: Now, binding: Binding, after: u64, parcel: Parcel) -> Option<Parcel> {
        let is_its = |r: &&mut Reserved| r.binding == binding && r.first > after && r.next < r.end;
        let is_message = matches!(parcel.stanza.kind, Kind::Message(kind) if is_keepable(kind));
        if !is_message || self.reserved_at(binding).is_none() {
            return Some(parcel);
        }
        let Offline::Keep { expires_ms } = self.verdict(now, &parcel, None) else { return Some(parcel) };
        let reserved = self.keeping.as_mut().and_then(|k| k.reserved.iter_mut().find(is_its));
        let Some(reserved) = reserved else { return Some(parcel) };
        let id = reserved.next;
        reserved.next += 1;
        self.kept = self.kept.saturating_add(1);
        let message = NewMessage { at_ms: now.unix_ms, expires_ms, stanza: write_kept(&parcel), extra: None };
        self.ask_store(Query::AppendAt(id, message), move |user, now, answer| match answer {
            Ok(_) => {
                user.step_back_to(id);
                user.kept_one();
            }
            Err(why) => {
                tracing::warn!(user = %user.jid, %why, "what a connection gave back did not get its place");
                user.kept = user.kept.saturating_sub(1);
                user.keep(now, parcel, expires_ms, None, true);
            }
        });
        None
    }

    /// This connection gives back nothing that is older than the message of that number.
    pub(super) fn end_reservations(&mut self, binding: Binding, before: u64) {
        if let Some(keeping) = &mut self.keeping {
            keeping.reserved.retain(|r| r.binding != binding || r.first > before);
        }
        self.keeping.take_if(|k| k.is_over());
    }
}

impl Keeping {
    /// Is there nothing left to remember?
    pub(super) fn is_over(&self) -> bool {
        self.giving.is_none() && self.marking.is_empty() && self.storing.is_empty() && self.reserved.is_empty()
    }
}

/// May a module keep messages of this type? It is asked then.
pub(super) fn is_keepable(kind: MessageType) -> bool {
    matches!(kind, MessageType::Chat | MessageType::Normal)
}

fn state_of_failure(why: &StoreError) -> SendtoState {
    match why {
        StoreError::Busy => SendtoState::Full,
        StoreError::NoAccount => SendtoState::NoSuchUser,
        _ => SendtoState::Failed,
    }
}
