//! A user, as a machine without I/O.
//!
//! [`User::handle`] takes one thing that happened, [`User::poll`] says what is asked, in order, and
//! [`User::deadline`] when to come back. A question to the store pauses the whole machine: `poll` says
//! `None` until [`Input::Stored`], and nothing but that may be handled meanwhile.
//!
//! | room | what is in it |
//! |---|---|
//! | [`ask`] | what goes in and comes out |
//! | `bound` | the resources: bind, conflict, unbind |
//! | `busy` | what is going on |
//! | `contacts` | what is known of them without the store |
//! | `roster` | RFC 6121 section 2 |
//! | `subscribe` | section 3, by the tables of [`crate::subscription`] |
//! | `presence` | section 4 |
//! | `message` | sections 5 and 8.5, by the table of [`crate::delivery`] |
//! | `storing` | messages on their way into the store |
//! | `logged` | messages that are kept first and delivered then |
//! | `kept` | messages in the store, given out page by page |
//! | `behind` | a connection that is full |
//! | `leaving` | connections that were told to end, and what they give back |
//! | `watch` | what whoever watches is told |
//! | `iq` | iq to the account and to the server |
//! | `route` | where a stanza goes, and how it comes back |
//!
//! It knows no XEP: those hang on [`crate::hooks`].

pub mod ask;
mod behind;
mod bound;
mod busy;
mod contacts;
mod iq;
mod kept;
mod leaving;
mod logged;
mod message;
mod presence;
mod roster;
mod route;
mod slots;
mod storing;
mod subscribe;
mod watch;

pub(crate) use bound::Farewell;

pub use ask::{Answer, Ask, Bind, Input, Outcome, Pushed, Query};

use crate::clock::Now;
use crate::events::Event;
use crate::hooks::{Flow, Modules, Turn};
use crate::link::{Binding, Close, Copies, Delivery, Link, Parcel};
use crate::push::SendtoState;
use crate::settings::Settings;
use bound::Bound;
use busy::Busy;
use contacts::Contacts;
use herald_storage::{Beginning, StoreError};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, Jid, Kind, Stanza, StanzaError};
use kept::Keeping;
use message::Ticket;
use slots::Slots;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use watch::Since;

/// What all users share.
pub struct Shared {
    /// Every bound.
    pub settings: Settings,
    /// Every feature.
    pub modules: Modules,
    watched: AtomicBool,
}

impl Shared {
    /// Nobody watches yet.
    pub fn new(settings: Settings, modules: Modules) -> Shared {
        Shared { settings, modules, watched: AtomicBool::new(false) }
    }

    /// From now on users say what happens to them: [`Ask::Tell`].
    pub fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }
}

/// One user. Small while nothing happens: what is rare is boxed.
pub struct User {
    jid: BareJid,
    shared: Arc<Shared>,
    resources: SmallVec<[Bound; 1]>, // one is the rule, and needs no memory of its own
    contacts: Option<Box<Contacts>>,
    slots: Option<Box<Slots>>,
    keeping: Option<Box<Keeping>>,
    busy: Busy,
    since: Since,
    kept: u32, // messages in the store that no connection has acknowledged
    standing: Standing,
    is_loose: bool,   // there may be fewer: some expire, or a newer one takes their place
    ended_well: bool, // its actor did; here, where there is room for it
}

/// Has the user an account?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is being asked.
    Starting,
    /// Yes.
    Known,
    /// No.
    Unknown,
    /// The store could not say.
    Failed,
}

type Then = Box<dyn FnOnce(&mut User, Now, Result<Answer, StoreError>) + Send>;

/// The hooks of one kind.
type Hooks = fn(&Modules) -> &[crate::hooks::Pass];

type Later = Box<dyn FnOnce(&mut User, Now) + Send>;

struct Wake {
    at: Instant,
    then: Later,
}

enum Todo {
    Deliver(Binding, Delivery),
    Close(Arc<dyn Link>, Close),
    Route(Parcel),
    Store(Box<(Query, Then)>),
    Keep(Box<(u64, herald_storage::NewMessage)>),
    Mark(Vec<u64>),
    MarkTo(u64),
    Say(Ticket, Copies, Arc<Stanza>, Option<u64>),
    Tell(Box<Event>),
    Seen(i64),
    Stop,
}

impl User {
    /// A user of whom nothing is known but the address. The first input is [`Input::Start`].
    pub fn new(jid: BareJid, shared: Arc<Shared>) -> User {
        User {
            jid,
            shared,
            resources: SmallVec::new(),
            contacts: None,
            slots: None,
            keeping: None,
            busy: Busy::none(),
            since: Since::Whenever,
            kept: 0,
            standing: Standing::Starting,
            is_loose: false,
            ended_well: false,
        }
    }

    /// One thing happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        if let Some(behind) = self.busy.as_mut().and_then(|work| work.behind.as_mut()) {
            behind.now = now;
        }
        match input {
            Input::Start => self.start(),
            Input::Stored(answer) => {
                if let Some(then) = self.busy.waiting.take() {
                    then(self, now, *answer);
                }
            }
            Input::Tick => self.tick(now),
            input if self.standing == Standing::Known => self.mail(now, input),
            input => self.turn_away(now, input),
        }
        let busy = !self.resources.is_empty()
            || self.busy.leaving.is_some()
            || !self.busy.wakes.is_empty()
            || self.busy.waiting.is_some()
            || self.is_storing()
            || self.read_due().is_some()
            || self.busy.todo.iter().any(|t| matches!(t, Todo::Store(..)));
        self.note_quiet(now, busy);
    }

    /// What is asked next; `None` when there is nothing, or the store has not answered yet.
    pub fn poll(&mut self) -> Option<Ask> {
        if self.busy.waiting.is_some() {
            return None;
        }
        loop {
            let Some(todo) = self.busy.as_mut().and_then(|work| work.todo.pop_front()) else {
                self.busy.rest();
                return None;
            };
            return Some(match todo {
                Todo::Deliver(binding, delivery) => match self.place_of(binding) {
                    Some(_) if self.is_behind(binding) => {
                        self.overflow(binding, delivery);
                        continue;
                    }
                    Some(place) => Ask::Deliver(binding, self.resources[place].link.clone(), delivery),
                    None => {
                        self.give_back_later(delivery);
                        continue;
                    }
                },
                Todo::Close(link, why) => Ask::Close(link, why),
                Todo::Route(parcel) => Ask::Route(parcel),
                Todo::Store(asked) => {
                    let (query, then) = *asked;
                    self.busy.waiting = Some(then);
                    Ask::Store(query)
                }
                Todo::Keep(keep) => Ask::Keep(keep.0, keep.1),
                Todo::Mark(ids) => Ask::Mark(ids),
                Todo::MarkTo(id) => Ask::MarkTo(id),
                Todo::Say(ticket, copies, stanza, id) => {
                    self.say_delivered(ticket, &copies, &stanza, id);
                    continue;
                }
                Todo::Tell(event) => Ask::Tell(event),
                Todo::Seen(at_ms) => Ask::Seen(at_ms),
                Todo::Stop => Ask::Stop,
            });
        }
    }

    /// When to say [`Input::Tick`].
    pub fn deadline(&self) -> Option<Instant> {
        let idle_secs = if self.standing == Standing::Known { self.settings().idle_secs } else { 1 };
        let idle = self.quiet_since().map(|since| since + Duration::from_secs(idle_secs.into()));
        let leaving = self.busy.leaving.as_ref().map(|l| l.until);
        let behind = self.busy.behind.as_ref().map(|b| b.until);
        let wake = self.busy.wakes.iter().map(|w| w.at).min();
        [idle, leaving, behind, wake, self.read_due()].into_iter().flatten().min()
    }

    /// How many kept messages nobody has acknowledged, as far as the user knows: there may be fewer.
    pub fn pending(&self) -> u32 {
        self.kept
    }

    /// Whose actor this is.
    pub fn jid(&self) -> &BareJid {
        &self.jid
    }

    fn start(&mut self) {
        self.ask_store(Query::Beginning, |user, now, answer| match answer {
            Ok(Answer::Beginning(Some(Beginning { roster, pending }))) => {
                user.contacts = Contacts::new(roster);
                user.started(now, pending);
            }
            Ok(Answer::Beginning(None)) => user.standing = Standing::Unknown,
            other => user.start_failed(other),
        });
    }

    fn started(&mut self, now: Now, kept: u64) {
        self.kept = u32::try_from(kept).unwrap_or(u32::MAX);
        self.is_loose = kept > 0; // some may expire
        self.standing = Standing::Known;
        let shared = self.shared.clone();
        for hook in &shared.modules.started {
            hook(&mut Turn { user: self, now });
        }
    }

    fn start_failed(&mut self, why: Result<Answer, StoreError>) {
        tracing::error!(user = %self.jid, ?why, "the store did not say who this is");
        self.standing = Standing::Failed;
    }

    fn mail(&mut self, now: Now, input: Input) {
        match input {
            Input::Bind(bind) => self.bind(now, *bind),
            Input::Sent(binding, stanza) => self.sent(now, binding, stanza),
            Input::Arrived(parcel) => self.arrived(now, parcel),
            Input::Push(pushed) => self.push(now, *pushed),
            Input::Screen(binding, what) => self.screen(now, binding, *what),
            Input::Acked(binding, receipt) => self.acked(binding, receipt),
            Input::ReadTo(id) => self.read_to(now, id),
            Input::Unbind(binding, undelivered) => self.unbind(now, binding, undelivered.into_vec()),
            Input::Refused(binding, delivery) => self.refused(now, binding, *delivery),
            Input::Room(binding) => self.room(binding),
            Input::Kept(number, answer) => self.kept_answer(now, number, *answer),
            Input::Marked(ids, done) => self.marked(&ids, done),
            Input::MarkedTo(id, answer) => self.marked_to(id, *answer),
            Input::Close(what) => {
                let (resource, why, answer) = *what;
                let _ = answer.send(self.close(now, resource, why)); // nobody may be asking any more
            }
            Input::Deleted(answer) => {
                self.close(now, None, Close::Kicked("the account is gone".into()));
                self.forget();
                let _ = answer.send(());
            }
            Input::Presence(answer) => {
                let _ = answer.send(self.presence_info());
            }
            Input::Sessions(answer) => {
                let _ = answer.send(self.session_infos());
            }
            Input::Start | Input::Stored(_) | Input::Tick => unreachable!("handled before"),
        }
    }

    /// There is no such user, or the store could not say: errors that do not tell which accounts there
    /// are (RFC 6121 section 8.5.1).
    fn turn_away(&mut self, now: Now, input: Input) {
        let failed = self.standing == Standing::Failed;
        match input {
            Input::Bind(bind) => {
                let condition = if failed { Condition::InternalServerError } else { Condition::NotAuthorized };
                let _ = bind.answer.send(Err(StanzaError::new(condition)));
            }
            Input::Arrived(parcel) => {
                let condition = if failed { Condition::ResourceConstraint } else { Condition::ServiceUnavailable };
                self.turn_back(now, &parcel, condition);
            }
            Input::Push(pushed) => {
                let state = if failed { SendtoState::Failed } else { SendtoState::NoSuchUser };
                let _ = pushed.answer.send(Outcome::only(state));
            }
            Input::Unbind(_, undelivered) => {
                for delivery in undelivered {
                    let to = delivery.to.or_else(|| delivery.stanza.to.clone());
                    self.turn_back(now, &Parcel { stanza: delivery.stanza, to }, Condition::ServiceUnavailable);
                }
            }
            Input::Close(what) => drop(what.2.send(0)),
            Input::Deleted(answer) => drop(answer.send(())),
            Input::Presence(answer) => drop(answer.send(self.presence_info())),
            Input::Sessions(answer) => drop(answer.send(Vec::new())),
            _ => {}
        }
    }

    /// Its actor ends, and not by a panic.
    pub(crate) fn set_ended_well(&mut self) {
        self.ended_well = true;
    }

    pub(crate) fn has_ended_well(&self) -> bool {
        self.ended_well
    }

    /// The account is gone: what was read of it is not true any more.
    fn forget(&mut self) {
        self.contacts = None;
        self.slots = None;
        self.keeping = None;
        self.kept = 0;
        self.standing = Standing::Unknown;
    }

    fn tick(&mut self, now: Now) {
        if self.busy.leaving.as_ref().is_some_and(|l| l.until <= now.at) {
            tracing::warn!(user = %self.jid, "a connection that was told to end did not; what it has is not waited for");
            self.release(now);
        }
        self.look_behind(now);
        if self.read_due().is_some_and(|due| due <= now.at) {
            self.mark_read();
        }
        while let Some(due) = self.busy.wakes.iter().position(|w| w.at <= now.at) {
            let wake = self.busy.wakes.swap_remove(due);
            (wake.then)(self, now);
        }
        let idle_secs = if self.standing == Standing::Known { self.settings().idle_secs } else { 1 };
        if self.quiet_since().is_some_and(|since| now.at >= since + Duration::from_secs(idle_secs.into())) {
            self.busy.todo.push_back(Todo::Stop);
        }
    }

    /// Runs the `sent` or the `arrived` hooks. `false`: the stanza ends here.
    fn pass(&mut self, now: Now, parcel: &mut Parcel, which: Hooks) -> bool {
        match self.ask_hooks(now, parcel, which) {
            Flow::Pass => true,
            Flow::Drop => false,
            Flow::Bounce(error) => {
                self.bounce(now, parcel, error);
                false
            }
        }
    }

    /// What the first of them says who does not let it pass.
    fn ask_hooks(&mut self, now: Now, parcel: &mut Parcel, which: Hooks) -> Flow {
        let shared = self.shared.clone();
        let mut said = which(&shared.modules).iter().map(|hook| hook(&mut Turn { user: self, now }, parcel));
        said.find(|flow| *flow != Flow::Pass).unwrap_or(Flow::Pass)
    }

    /// A client of this user sent a stanza.
    fn sent(&mut self, now: Now, binding: Binding, stanza: Arc<Stanza>) {
        let mut parcel = Parcel::new(stanza);
        match (parcel.stanza.kind, self.place_of(binding)) {
            (Kind::Presence(kind), Some(place)) => self.presence_sent(now, place, kind, parcel),
            (Kind::Iq(_), Some(_)) if self.is_for_account_or_server(parcel.to()) => self.iq_sent(now, &parcel),
            (Kind::Iq(_), Some(_)) => self.sent_to(now, parcel),
            (Kind::Message(_), place) if place.is_some() || self.is_leaving(binding) => {
                // The one that has to go may not have heard of it: what it says to others still counts.
                if parcel.to().is_none() {
                    parcel.to = Some(self.jid.clone().into()); // RFC 6120 section 10.3.1
                }
                self.sent_to(now, parcel);
            }
            (_, _) => {} // its connection was told to end
        }
    }

    /// A client of this user is about to send these, and answers itself to whom they do not pass.
    fn screen(&mut self, now: Now, binding: Binding, (parcels, answer): ask::ToScreen) {
        let is_there = self.place_of(binding).is_some() || self.is_leaving(binding);
        let passed = parcels.into_iter().map(|parcel| {
            let mut parcel = parcel?;
            match self.ask_hooks(now, &mut parcel, |m| &m.sent) {
                Flow::Pass if is_there => Ok(parcel),
                Flow::Pass => Err(SendtoState::Failed), // its connection was told to end
                Flow::Drop => Err(SendtoState::Dropped),
                Flow::Bounce(_) => Err(SendtoState::Refused),
            }
        });
        let _ = answer.send(passed.collect()); // it may not wait any more
    }

    fn sent_to(&mut self, now: Now, mut parcel: Parcel) {
        if self.pass(now, &mut parcel, |m| &m.sent) {
            self.route(now, parcel);
        }
    }

    /// A stanza for this user came.
    fn arrived(&mut self, now: Now, mut parcel: Parcel) {
        if !self.pass(now, &mut parcel, |m| &m.arrived) {
            return;
        }
        match parcel.stanza.kind {
            Kind::Message(_) => self.place(now, parcel, None, false),
            Kind::Presence(kind) => self.presence_arrived(now, kind, parcel),
            Kind::Iq(_) => self.iq_arrived(now, parcel),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn modules(&self) -> &Modules {
        &self.shared.modules
    }

    /// Is this address the user's own, with a resource or without?
    fn is_own(&self, jid: &Jid) -> bool {
        jid.bare_str() == self.jid.as_str()
    }

    pub(crate) fn ask_deliver(&mut self, to: Binding, delivery: Delivery) {
        self.busy.todo.push_back(Todo::Deliver(to, delivery));
    }

    pub(crate) fn ask_store(
        &mut self,
        query: Query,
        then: impl FnOnce(&mut User, Now, Result<Answer, StoreError>) + Send + 'static,
    ) {
        self.busy.todo.push_back(Todo::Store(Box::new((query, Box::new(then)))));
    }

    pub(crate) fn wake_at(&mut self, at: Instant, then: impl FnOnce(&mut User, Now) + Send + 'static) {
        self.busy.wakes.push(Wake { at, then: Box::new(then) });
    }
}
