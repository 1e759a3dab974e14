//! What all user actors share: the store, the map of who has an actor, the counters, the router.

use crate::actor::UserActor;
use crate::clock::Clock;
use crate::events::{Event, Observer};
use crate::link::{Parcel, Transport};
use crate::push::Stats;
use crate::user::{Input, Shared};
use herald_actor::{Addr, Registry, TrySendError};
use herald_storage::Store;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, IqType, Kind, PresenceType, Stanza, StanzaError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Shared by all; lives as long as the process, for its users' actors hold it and it holds them.
pub(crate) struct World {
    pub shared: Arc<Shared>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub counters: Counters,
    pub draining: AtomicBool,
    /// Told when a seat was given up.
    pub left: Notify,
    pub bindings: AtomicU64,
    pub runtime: Option<Handle>,
    pub users: OnceLock<Registry<UserActor>>,
    pub observer: OnceLock<Arc<dyn Observer>>,
}

/// One number that many count up.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub sessions: [Counter; Transport::COUNT],
    pub binds: Counter,
    pub sent: Counter,
    pub routed: Counter,
    pub delivered: Counter,
    pub stored: Counter,
    pub bounced: Counter,
    pub behind: Counter,
    pub detached: Counter,
    pub panics: Counter,
}

impl World {
    /// Set right after the world is made, before anybody can ask.
    pub fn users(&self) -> &Registry<UserActor> {
        match self.users.get() {
            Some(users) => users,
            None => unreachable!("the world is not handed out before it is whole"),
        }
    }

    /// The user's actor, started when there is none.
    pub fn user(&self, jid: &BareJid) -> Addr<UserActor> {
        self.users().find_or_spawn(jid)
    }

    /// The user's actor, if it is running.
    pub fn running(&self, jid: &str) -> Option<Addr<UserActor>> {
        self.users().find(jid)
    }

    /// Carries a parcel to a local user, never waiting. What comes back is for the sender: the mailbox
    /// is full.
    ///
    /// Presence, and what answers something, wakes nobody up: a user without an actor has no resource
    /// that could see it.
    pub fn route(&self, parcel: Parcel) -> Option<Stanza> {
        self.counters.routed.add(1);
        let to = parcel.to()?.to_bare();
        let mut parcel = parcel;
        loop {
            let user = if wakes(&parcel.stanza) { self.user(&to) } else { self.running(to.as_str())? };
            match user.try_send(Input::Arrived(parcel)) {
                Ok(()) => return None,
                Err(TrySendError::Full(Input::Arrived(parcel))) => return self.bounce(&parcel),
                // It is just ending: the next one takes it.
                Err(TrySendError::Closed(Input::Arrived(back))) => parcel = back,
                Err(_) => return None,
            }
        }
    }

    fn bounce(&self, parcel: &Parcel) -> Option<Stanza> {
        use PresenceType::{Available, Probe, Unavailable};
        if matches!(parcel.stanza.kind, Kind::Presence(Available | Unavailable | Probe)) {
            return None;
        }
        let mut stanza = parcel.stanza.error(StanzaError::new(Condition::ResourceConstraint))?;
        stanza.from = parcel.to().cloned();
        self.counters.bounced.add(1);
        Some(stanza)
    }

    /// Puts mail in that must not be lost and may not wait: behind those in line when there is a line.
    pub fn tell(self: &Arc<World>, user: &BareJid, addr: Addr<UserActor>, input: Input) {
        let mut addr = addr;
        let mut input = input;
        loop {
            match addr.try_send(input) {
                Ok(()) => return,
                Err(TrySendError::Full(back)) => {
                    let Some(runtime) = &self.runtime else { return };
                    let (world, user) = (self.clone(), user.clone());
                    runtime.spawn(async move { world.tell_waiting(&user, back).await });
                    return;
                }
                Err(TrySendError::Closed(back)) => {
                    input = back;
                    addr = self.user(user);
                }
            }
        }
    }

    /// Puts mail in, waiting for room; starts the actor when there is none.
    pub async fn tell_waiting(&self, user: &BareJid, input: Input) {
        let mut input = input;
        while let Err(herald_actor::Closed(back)) = self.user(user).send(input).await {
            input = back;
        }
    }

    /// Tells whoever watches.
    pub fn tell_observer(&self, at_ms: i64, event: Event) {
        if let Some(observer) = self.observer.get() {
            observer.event(at_ms, event);
        }
    }

    /// The user has gone offline. Nobody waits for it to be kept, and an account that is gone has no such time.
    pub fn seen(&self, user: &BareJid, at_ms: i64) {
        self.store.put_last_seen(user, at_ms, Box::new(|_| ()));
    }

    pub fn stats(&self) -> Stats {
        let c = &self.counters;
        Stats {
            actors: self.users().len() as u64,
            sessions: std::array::from_fn(|transport| c.sessions[transport].now()),
            binds: c.binds.now(),
            sent: c.sent.now(),
            routed: c.routed.now(),
            delivered: c.delivered.now(),
            stored: c.stored.now(),
            bounced: c.bounced.now(),
            behind: c.behind.now(),
            detached: c.detached.now(),
            panics: c.panics.now(),
        }
    }
}

/// Is it worth starting an actor for?
fn wakes(stanza: &Stanza) -> bool {
    use PresenceType::{Subscribe, Subscribed, Unsubscribe, Unsubscribed};
    match stanza.kind {
        Kind::Message(_) => !stanza.is_error(),
        Kind::Presence(kind) => matches!(kind, Subscribe | Subscribed | Unsubscribe | Unsubscribed),
        Kind::Iq(kind) => matches!(kind, IqType::Get | IqType::Set),
    }
}
