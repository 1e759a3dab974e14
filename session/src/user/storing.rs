//! Messages on their way into the store.
//!
//! Mail goes on while the store writes, so that many of one user are committed together. What the store
//! has not answered yet is bounded; beyond that the user waits for it, and its mailbox fills.

use super::kept::Keeping;
use super::message::Ticket;
use super::roster::store_failed;
use super::{Answer, Outcome, Query, Todo, User};
use crate::clock::Now;
use crate::events::Event;
use crate::hooks::Offline;
use crate::link::{Binding, Parcel};
use crate::log;
use crate::push::{SendtoState, Terms, WhenFull};
use herald_storage::{Appended, Extra, NewMessage, StoreError};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{Kind, MessageType, StanzaError};
use std::collections::VecDeque;
use std::time::Duration;

/// Messages of one user that the store may have in hand; the user waits for the answer about the next.
const STORING_MAX: usize = 256;

/// The same in bytes.
const STORING_BYTES_MAX: usize = 262_144;

/// The store is asked that often at most whether as many messages wait as may, in seconds.
const RECOUNT_SECS: u64 = 5;

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
    what: Storable,
    /// What the store said, while it has not answered about one before it.
    answer: Option<Result<Appended, StoreError>>,
}

/// A message that the store is asked to keep.
pub(super) struct Storable {
    pub parcel: Parcel,
    pub ticket: Option<Ticket>,
    pub at_ms: i64,
    pub why: Why,
    /// It is not in the log only, and counts among those that are kept.
    pub is_pending: bool,
}

/// Why is it kept?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody is there, and gets it when it has its number.
    First,
    /// Nobody takes it now.
    NoTaker,
    /// A connection gave it back. It was accepted before: the bound on new ones is not for it.
    Returned,
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

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= STORING_MAX || self.bytes >= STORING_BYTES_MAX
    }

    fn put(&mut self, bytes: usize, what: Storable) -> u64 {
        let number = self.next;
        self.next += 1;
        self.bytes += bytes;
        self.messages.push_back(Message { number, bytes, what, answer: None });
        number
    }

    fn answered(&mut self, number: u64, answer: Result<Appended, StoreError>) {
        if let Some(message) = self.messages.iter_mut().find(|m| m.number == number) {
            message.answer = Some(answer);
        }
    }

    /// The oldest, when the store has answered about it.
    fn next_answer(&mut self) -> Option<(Storable, Result<Appended, StoreError>)> {
        let answer = self.messages.front_mut()?.answer.take()?;
        let message = self.messages.pop_front()?;
        self.bytes -= message.bytes;
        Some((message.what, answer))
    }
}

impl User {
    /// Keeps a message; it is durable before anybody hears so, and then goes to who is there.
    pub(super) fn keep(&mut self, now: Now, parcel: Parcel, expires_ms: Option<i64>, ticket: Option<Ticket>, why: Why) {
        let is_full = self.kept >= self.settings().offline_max && why != Why::Returned;
        if is_full && self.is_loose {
            // There may be fewer by now.
            return self.ask_store(Query::PendingCount, move |user, now, answer| {
                if let Ok(Answer::Count(pending)) = answer {
                    user.recount(pending);
                }
                user.is_loose = false;
                // Those left may expire yet: until then so many are refused without a look.
                user.wake_at(now.at + Duration::from_secs(RECOUNT_SECS), |user, _| user.is_loose = true);
                user.keep(now, parcel, expires_ms, ticket, why);
            });
        }
        // Who follows the log gets it all the same, though no other need ever take it.
        let may_be_log_only =
            ticket.as_ref().is_some_and(|t| t.terms.when_full == WhenFull::LogOnly) || self.has_follower();
        if is_full && !may_be_log_only {
            return match ticket {
                Some(ticket) => ticket.say(SendtoState::Full, 0, None),
                // XEP-0160 section 2, and as for who has no account.
                None => self.bounce(now, &parcel, StanzaError::new(Condition::ServiceUnavailable)),
            };
        }
        let terms = ticket.as_ref().map(|t| &*t.terms);
        let message = new_message(now, &parcel, expires_ms, terms, is_full);
        self.is_loose |= message.expires_ms.is_some() || message.extra.as_ref().is_some_and(|e| e.collapse.is_some());
        // Taken back when it fails: several may be on their way.
        self.kept = self.kept.saturating_add(u32::from(!is_full));
        let what = Storable { parcel, ticket, at_ms: now.unix_ms, why, is_pending: !is_full };
        let storing = &mut self.keeping.get_or_insert_default().storing;
        let is_full = storing.is_full();
        let number = storing.put(message.stanza.len(), what);
        if !is_full {
            return self.busy.todo.push_back(Todo::Keep(Box::new((number, message))));
        }
        self.ask_store(Query::Append(message), move |user, now, answer| {
            let answer = answer.and_then(|answer| match answer {
                Answer::Appended(kept) => Ok(kept),
                _ => Err(StoreError::Failed("another answer than to the question".into())),
            });
            user.kept_answer(now, number, answer);
        });
    }

    /// So many are pending, and the store may have more in hand.
    pub(super) fn recount(&mut self, pending: u64) {
        if self.busy.waiting.is_some() {
            return; // that may be a message, and not be among them
        }
        let storing = self.keeping.as_ref().map_or(0, |k| k.storing.len());
        let at_most = usize::try_from(pending).unwrap_or(usize::MAX).saturating_add(storing);
        self.kept = u32::try_from(at_most).unwrap_or(u32::MAX);
    }

    /// The store has answered. Answers that were waited for overtake others; they are taken in the order of the
    /// messages.
    pub(super) fn kept_answer(&mut self, now: Now, number: u64, answer: Result<Appended, StoreError>) {
        if let Some(keeping) = &mut self.keeping {
            keeping.storing.answered(number, answer);
        }
        while let Some((what, answer)) = self.keeping.as_mut().and_then(|k| k.storing.next_answer()) {
            self.stored(now, what, answer);
        }
        self.end_keeping();
    }

    fn stored(&mut self, now: Now, what: Storable, answer: Result<Appended, StoreError>) {
        match answer {
            Ok(Appended { id, repeated: false }) => {
                self.watch(|user| Event::Stored { user: user.jid().clone(), id });
                return self.deliver_logged(now, what, id);
            }
            Ok(Appended { id, repeated: true }) => {
                if let Some(ticket) = what.ticket {
                    ticket.tell(Outcome { state: SendtoState::Stored, sessions: 0, id: Some(id), repeated: true });
                }
            }
            Err(failure) => match what.ticket {
                Some(ticket) => ticket.say(state_of_failure(&failure), 0, None),
                None => self.bounce(now, &what.parcel, store_failed(&failure)),
            },
        }
        self.kept = self.kept.saturating_sub(u32::from(what.is_pending));
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
        // Who follows the log may have read beyond that place, so there it comes as a new one.
        if !is_message || self.has_follower() || self.reserved_at(binding).is_none() {
            return Some(parcel);
        }
        let Offline::Keep { expires_ms } = self.verdict(now, &parcel, None) else { return Some(parcel) };
        let reserved = self.keeping.as_mut().and_then(|k| k.reserved.iter_mut().find(is_its));
        let Some(reserved) = reserved else { return Some(parcel) };
        let id = reserved.next;
        reserved.next += 1;
        self.kept = self.kept.saturating_add(1);
        let message = new_message(now, &parcel, expires_ms, None, false);
        self.ask_store(Query::AppendAt(id, message), move |user, now, answer| match answer {
            Ok(_) => {
                user.watch(|user| Event::Stored { user: user.jid().clone(), id });
                user.step_back_to(id);
                user.kept_one();
            }
            Err(why) => {
                tracing::warn!(user = %user.jid, %why, "what a connection gave back did not get its place");
                user.kept = user.kept.saturating_sub(1);
                user.keep(now, parcel, expires_ms, None, Why::Returned);
            }
        });
        None
    }

    /// This connection gives back nothing that is older than the message of that number.
    pub(super) fn end_reservations(&mut self, binding: Binding, before: u64) {
        if let Some(keeping) = &mut self.keeping {
            keeping.reserved.retain(|r| r.binding != binding || r.first > before);
        }
        self.end_keeping();
    }
}

impl Keeping {
    /// Is there nothing left to remember?
    pub(super) fn is_over(&self) -> bool {
        let is_out = self.giving.is_none() && self.handed.is_empty() && self.reserved.is_empty();
        is_out && self.marking.is_empty() && self.storing.is_empty() && self.reads.is_over()
    }
}

/// May a module keep messages of this type? It is asked then.
pub(super) fn is_keepable(kind: MessageType) -> bool {
    matches!(kind, MessageType::Chat | MessageType::Normal)
}

/// As it goes to the store. `log_only`: it is not to be pending.
fn new_message(
    now: Now,
    parcel: &Parcel,
    expires_ms: Option<i64>,
    terms: Option<&Terms>,
    log_only: bool,
) -> NewMessage {
    let shared = terms.and_then(|t| t.shared);
    let stanza = log::write(parcel, shared.is_some(), terms.and_then(|t| t.exclude.as_ref()));
    let (collapse, once) = terms.map(|t| (t.collapse.clone(), t.once.clone())).unwrap_or_default();
    let extra = Extra { shared, collapse, once, log_only };
    let extra = (extra != Extra::default()).then(|| Box::new(extra));
    NewMessage { at_ms: now.unix_ms, expires_ms, stanza, extra }
}

fn state_of_failure(why: &StoreError) -> SendtoState {
    match why {
        StoreError::NoAccount => SendtoState::NoSuchUser,
        _ => SendtoState::Failed,
    }
}
