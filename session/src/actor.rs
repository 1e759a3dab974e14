//! The actor around one [`User`]: it hands the user its mail and does what the user asks, in order.

use crate::link::{Close, Parcel};
use crate::user::{Answer, Ask, Farewell, Input, Query, User};
use crate::world::World;
use herald_actor::{Actor, Ctx, Exit, Signal, TimerId, TrySendError, WaitError, WeakAddr};
use herald_storage::{Appended, NewMessage, Store, StoreError};
use herald_xmpp::BareJid;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much may wait in one user's mailbox, in bytes. When it is full a connection waits, and what other
/// users send goes back to them with `resource-constraint`.
pub const MAILBOX_BYTES_MAX: u32 = 1 << 20;

/// What a stanza in a mailbox takes beside its text, in bytes; so many small ones are bounded too.
const STANZA_BYTES_BESIDE: usize = 256;

/// How long the store may take for one answer, in seconds. Then it counts as failed, whatever it does.
const STORE_SECS_MAX: u64 = 30;

/// One user, running.
pub(crate) struct UserActor {
    user: User,
    world: Arc<World>,
    timer: Option<Box<(Instant, TimerId)>>, // boxed: one with nothing to wait for does not own the room
}

impl UserActor {
    pub(crate) fn new(jid: &BareJid, world: Arc<World>) -> UserActor {
        let user = User::new(jid.clone(), world.shared.clone());
        UserActor { user, world, timer: None }
    }

    fn tell(&mut self, input: Input, ctx: &mut Ctx<UserActor>) {
        let now = self.world.clock.now();
        self.user.handle(now, input);
        while let Some(ask) = self.user.poll() {
            match ask {
                Ask::Deliver(binding, link, delivery) => match link.deliver(delivery) {
                    Ok(()) => self.world.counters.delivered.add(1),
                    Err(back) => {
                        let was_behind = self.user.has_link_behind();
                        self.user.handle(now, Input::Refused(binding, Box::new(back)));
                        self.world.counters.behind.add(u64::from(!was_behind && self.user.has_link_behind()));
                    }
                },
                Ask::Close(link, why) => {
                    self.world.counters.detached.add(u64::from(why == Close::ResourceFull));
                    link.close(why);
                }
                Ask::Route(parcel) => {
                    if let Some(bounce) = self.world.route(parcel) {
                        self.user.handle(now, Input::Arrived(Parcel::new(bounce)));
                    }
                }
                Ask::Store(query) => self.ask_store(query, ctx),
                Ask::Keep(number, message) => self.keep(number, message, ctx),
                Ask::Mark(ids) => self.mark(ids, ctx),
                Ask::MarkTo(id) => self.mark_to(id, ctx),
                Ask::Seen(at_ms) => self.world.seen(self.user.jid(), at_ms),
                Ask::Tell(event) => self.world.tell_observer(now.unix_ms, *event),
                Ask::Stop => drop(ctx.stop_when_idle()), // with mail waiting it goes on, and is asked again
            }
        }
        self.set_timer(ctx);
    }

    /// The mailbox waits until the answer is there.
    fn ask_store(&mut self, query: Query, ctx: &mut Ctx<UserActor>) {
        let keeps = matches!(query, Query::Append(_) | Query::AppendAt(..));
        let reply = ctx.wait(Duration::from_secs(STORE_SECS_MAX), move |me: &mut UserActor, answer, ctx| {
            let answer = match answer {
                Ok(answer) => answer,
                Err(WaitError::TimedOut) => Err(StoreError::Failed("no answer in time".into())),
                Err(_) => Err(StoreError::Closed),
            };
            if keeps && answer.is_ok() {
                me.world.counters.stored.add(1);
            }
            me.tell(Input::Stored(Box::new(answer)), ctx);
        });
        perform(&*self.world.store, self.user.jid(), query, reply.into_then());
    }

    /// The mailbox goes on: so the store has many of one user to commit at once.
    fn keep(&mut self, number: u64, message: NewMessage, ctx: &mut Ctx<UserActor>) {
        let mut back = WayBack { me: ctx.addr().downgrade(), world: self.world.clone(), number: Some(number) };
        let then = Box::new(move |kept: Result<Appended, StoreError>| {
            back.world.counters.stored.add(u64::from(kept.as_ref().is_ok_and(|kept| !kept.repeated)));
            back.answer(kept);
        });
        self.world.store.append(self.user.jid(), message, then);
    }

    /// Not waited for: what is not marked is marked again before it matters.
    fn mark(&mut self, ids: Vec<u64>, ctx: &mut Ctx<UserActor>) {
        let (me, world) = (ctx.addr().downgrade(), self.world.clone());
        let marked = ids.clone();
        let then = Box::new(move |done: Result<(), StoreError>| {
            tell_back(&world, &me, Input::Marked(marked, done.is_ok()));
        });
        self.world.store.delivered(self.user.jid(), ids, then);
    }

    fn mark_to(&mut self, id: u64, ctx: &mut Ctx<UserActor>) {
        let (me, world) = (ctx.addr().downgrade(), self.world.clone());
        let then = Box::new(move |pending: Result<u64, StoreError>| {
            tell_back(&world, &me, Input::MarkedTo(id, Box::new(pending)));
        });
        self.world.store.delivered_to(self.user.jid(), id, then);
    }

    fn set_timer(&mut self, ctx: &mut Ctx<UserActor>) {
        let wanted = self.user.deadline();
        if wanted == self.timer.as_ref().map(|timer| timer.0) {
            return;
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel(timer.1);
        }
        self.timer = wanted.map(|at| Box::new((at, ctx.wake_at(at, 0))));
    }
}

impl Actor for UserActor {
    type Msg = Input;
    type Key = BareJid;
    type Common = Arc<World>;
    const MAILBOX_MAX: u32 = MAILBOX_BYTES_MAX;

    /// Stanzas by their bytes. What the server says for itself always has room, but for the line.
    fn weight(input: &Input) -> u32 {
        let stanza = match input {
            Input::Sent(_, stanza) => stanza,
            Input::Arrived(parcel) => &parcel.stanza,
            Input::Push(pushed) => &pushed.parcel.stanza,
            Input::Screen(_, what) => match what.0.iter().find_map(|p| p.as_ref().ok()) {
                Some(parcel) => &parcel.stanza,
                None => return 0,
            },
            _ => return 0,
        };
        u32::try_from(stanza.bytes_len() + STANZA_BYTES_BESIDE).unwrap_or(u32::MAX)
    }

    fn started(&mut self, ctx: &mut Ctx<UserActor>) {
        self.tell(Input::Start, ctx);
    }

    fn handle(&mut self, input: Input, ctx: &mut Ctx<UserActor>) {
        self.tell(input, ctx);
    }

    fn signal(&mut self, signal: Signal, ctx: &mut Ctx<UserActor>) {
        if matches!(signal, Signal::Timer { .. }) {
            self.timer = None;
            self.tell(Input::Tick, ctx);
        }
    }

    fn stopping(&mut self, _why: &Exit) {
        self.user.set_ended_well();
    }
}

/// However it ends: connections are told, and contacts hear that nobody is there.
impl Drop for UserActor {
    fn drop(&mut self) {
        if !self.user.has_ended_well() {
            self.world.counters.panics.add(1);
        }
        // After a panic the state may be in disorder; a second one here would take the process with it.
        let farewell = catch_unwind(AssertUnwindSafe(|| self.user.farewell()));
        let Ok(Farewell { links, parcels, events, was_online }) = farewell else { return };
        let now_ms = self.world.clock.now().unix_ms;
        for event in events {
            self.world.tell_observer(now_ms, event);
        }
        if was_online {
            self.world.seen(self.user.jid(), now_ms);
        }
        for link in links {
            link.close(Close::Internal);
        }
        for parcel in parcels {
            drop(self.world.route(parcel));
        }
    }
}

/// Where the store's answer about a message goes; dropped unanswered, it says that the store is gone.
struct WayBack {
    me: WeakAddr<UserActor>,
    world: Arc<World>,
    number: Option<u64>, // until it has answered
}

impl WayBack {
    fn answer(&mut self, kept: Result<Appended, StoreError>) {
        if let Some(number) = self.number.take() {
            tell_back(&self.world, &self.me, Input::Kept(number, Box::new(kept)));
        }
    }
}

impl Drop for WayBack {
    fn drop(&mut self) {
        self.answer(Err(StoreError::Closed));
    }
}

/// From a store thread to the actor, if it still runs; behind those in line when there is a line.
fn tell_back(world: &World, me: &WeakAddr<UserActor>, input: Input) {
    let Some(me) = me.upgrade() else { return };
    if let Err(TrySendError::Full(input)) = me.try_send(input)
        && let Some(runtime) = &world.runtime
    {
        runtime.spawn(async move { drop(me.send(input).await) });
    }
}

type Then = Box<dyn FnOnce(Result<Answer, StoreError>) + Send>;

/// Puts a user's question to the store.
fn perform(store: &dyn Store, user: &BareJid, query: Query, then: Then) {
    match query {
        Query::Beginning => store.beginning(user, as_answer(then, Answer::Beginning)),
        Query::Roster => store.roster(user, as_answer(then, Answer::Roster)),
        Query::PutItem(item) => store.put_item(user, *item, as_answer(then, Answer::Version)),
        Query::RemoveItem(contact) => store.remove_item(user, &contact, as_answer(then, Answer::Version)),
        Query::RosterSince(version) => store.roster_since(user, version, as_answer(then, Answer::Changes)),
        Query::Append(message) => store.append(user, message, as_answer(then, Answer::Appended)),
        Query::Reserve(count) => store.reserve(user, count, as_answer(then, Answer::Reserved)),
        Query::AppendAt(id, message) => store.append_at(user, id, message, as_answer(then, |()| Answer::Done)),
        Query::Pending { after, limit, bytes_max } => {
            store.pending(user, after, limit, bytes_max, as_answer(then, Answer::Pending));
        }
        Query::DeliveredTo(id) => store.delivered_to(user, id, as_answer(then, Answer::Count)),
        Query::Delivered(ids) => store.delivered(user, ids, as_answer(then, |()| Answer::Done)),
        Query::PendingCount => store.pending_count(user, as_answer(then, Answer::Count)),
        Query::Private { space, key } => store.private(user, &space, &key, as_answer(then, Answer::Private)),
        Query::PutPrivate { space, key, value } => {
            store.put_private(user, &space, &key, value, as_answer(then, |()| Answer::Done));
        }
    }
}

fn as_answer<T: 'static>(then: Then, as_answer: impl FnOnce(T) -> Answer + Send + 'static) -> herald_storage::Then<T> {
    Box::new(move |outcome| then(outcome.map(as_answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the runtime's part of it, which is 96, 256 bytes, a resource included: the next larger piece that an
    /// allocator has is 320.
    #[test]
    fn it_is_small() {
        assert!(size_of::<UserActor>() <= 160, "{}", size_of::<UserActor>());
        // In a mailbox there are 16 more, which makes 48.
        assert!(size_of::<Input>() <= 32, "{}", size_of::<Input>());
    }
}
