//! The session manager: who has an actor, and every way in from outside.

use crate::actor::UserActor;
use crate::clock::Clock;
use crate::hooks::Modules;
use crate::link::{Binding, Close, Delivery, Link, Parcel, Receipt, Transport};
use crate::push::{PresenceInfo, Push, SendtoResult, SendtoState, SessionInfo, Stats, Uid};
use crate::settings::Settings;
use crate::user::{Bind, Input, Outcome, Pushed, Shared};
use crate::world::{Counters, World};
use herald_actor::{Addr, Policy, Registry, TrySendError};
use herald_storage::Store;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, FullJid, Jid, Kind, Resource, Stanza, StanzaError};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// The seat's user is gone: the connection has been told to close, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user's actor is gone")]
pub struct Gone;

/// The session manager. Cloning shares it.
#[derive(Clone)]
pub struct Sessions {
    world: Arc<World>,
}

impl Sessions {
    /// No user yet; they come as they are needed. Called inside the runtime whose tasks hold the seats.
    ///
    /// The actors' timers go by the system's clock, everything else by `clock`: the two must agree.
    pub fn new(
        system: herald_actor::System,
        store: Arc<dyn Store>,
        modules: Modules,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Sessions {
        let world = Arc::new(World {
            shared: Arc::new(Shared { settings, modules }),
            store,
            clock,
            counters: Counters::default(),
            draining: AtomicBool::new(false),
            left: Notify::new(),
            bindings: AtomicU64::new(1),
            runtime: Handle::try_current().ok(),
            users: OnceLock::new(),
        });
        let for_users = world.clone();
        world.users.get_or_init(|| {
            Registry::new(&system, Policy::DEFAULT, move |jid: &BareJid| UserActor::new(jid, for_users.clone()))
        });
        Sessions { world }
    }

    /// Binds a resource of `user`, who has logged in, to a connection. Without a name the server
    /// makes one.
    ///
    /// Is the resource bound already, the old connection is closed with [`Close::Conflict`]: the
    /// newest wins (RFC 6120 section 7.7.2.2). Errors: `resource-constraint` when the user has too many,
    /// `not-authorized` when the account is gone, `internal-server-error` when the store fails,
    /// `service-unavailable` when the server is going down. Dropping the future binds nothing.
    pub async fn bind(
        &self,
        user: BareJid,
        resource: Option<Resource>,
        link: Arc<dyn Link>,
    ) -> Result<Seat, StanzaError> {
        if self.world.draining.load(Ordering::Acquire) {
            return Err(StanzaError::new(Condition::ServiceUnavailable));
        }
        let number = self.world.bindings.fetch_add(1, Ordering::Relaxed);
        let binding = Binding(number);
        let transport = link.info().transport;
        let (answer, answered) = oneshot::channel();
        // Keyed at random by the standard library: hard to guess, and no two alike but by chance.
        let entropy = RandomState::new().hash_one(number);
        let mut input = Input::Bind(Box::new(Bind { resource, link, binding, entropy, answer }));
        let addr = loop {
            let addr = self.world.user(&user);
            match addr.send(input).await {
                Ok(()) => break addr,
                Err(herald_actor::Closed(back)) => input = back,
            }
        };
        self.world.counters.sessions[transport as usize].add(1);
        let place = Place { world: self.world.clone(), addr, binding, transport };
        let pending = Pending { place: Some(place), user: &user };
        match answered.await {
            Ok(Ok(_)) if self.world.draining.load(Ordering::Acquire) => {
                Err(StanzaError::new(Condition::ServiceUnavailable)) // and it is unbound again
            }
            Ok(Ok(jid)) => {
                self.world.counters.binds.add(1);
                Ok(pending.seated(jid))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StanzaError::new(Condition::InternalServerError)), // the actor broke
        }
    }

    /// Sends a message to these users; the answers are in the order of the question. A `stored` one
    /// is durable when this returns.
    ///
    /// It goes to all available resources of a user whose priority is not negative.
    pub async fn sendto(&self, to: Vec<Uid>, what: Push) -> Vec<SendtoResult> {
        let Push { mut stanza, keep } = what;
        let said = |state| Outcome { state, sessions: 0, id: None };
        if !matches!(stanza.kind, Kind::Message(_)) || stanza.is_error() {
            return to.into_iter().map(|uid| result(uid, said(SendtoState::Invalid))).collect();
        }
        if stanza.from.is_none() {
            stanza.from = self.server_jid().map(Into::into);
        }
        stanza.to = None;
        let stanza = Arc::new(stanza);
        let asked: Vec<_> = to
            .into_iter()
            .map(|uid| {
                let Some(user) = self.jid_of(&uid) else { return (uid, Err(SendtoState::NoSuchUser)) };
                let (answer, answered) = oneshot::channel();
                let parcel = Parcel { stanza: stanza.clone(), to: Some(user.clone().into()) };
                let pushed = Input::Push(Box::new(Pushed { parcel, keep, answer }));
                (uid, self.try_tell(&user, pushed).map(|()| answered))
            })
            .collect();
        let mut results = Vec::with_capacity(asked.len());
        for (uid, asked) in asked {
            let outcome = match asked {
                Ok(answered) => answered.await.unwrap_or(said(SendtoState::Failed)),
                Err(state) => said(state),
            };
            results.push(result(uid, outcome));
        }
        results
    }

    /// Who of them is there, in the order of the question. Starts no actor.
    pub async fn presence(&self, uids: &[Uid]) -> Vec<PresenceInfo> {
        let mut infos = Vec::with_capacity(uids.len());
        for uid in uids {
            let mut info = PresenceInfo { uid: uid.clone(), resources: Vec::new() };
            if let Some(there) = self.look(self.jid_of(uid).as_deref(), Input::Presence).await {
                info.resources = there.resources;
            }
            infos.push(info);
        }
        infos
    }

    /// The sessions whose full JIDs come after `after`, in their order, at most `limit`.
    pub async fn sessions(&self, after: Option<FullJid>, limit: u32) -> Vec<SessionInfo> {
        let limit = limit as usize;
        let first = after.as_ref().map(|jid| jid.bare_str());
        let mut users: Vec<BareJid> = self.world.users().iter().map(|(jid, _)| jid).collect();
        users.retain(|jid| first.is_none_or(|first| jid.as_str() >= first));
        users.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        let mut found = Vec::new();
        for user in users {
            let mut of_user = self.sessions_of(&user).await;
            of_user.retain(|s| after.as_ref().is_none_or(|after| order(&s.jid) > order(after)));
            found.append(&mut of_user);
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
        }
        found
    }

    /// The sessions of one user, in the order of their resources.
    pub async fn sessions_of(&self, user: &BareJid) -> Vec<SessionInfo> {
        let mut found = self.look(Some(user), Input::Sessions).await.unwrap_or_default();
        found.sort_unstable_by(|a, b| order(&a.jid).cmp(&order(&b.jid)));
        found
    }

    /// Closes the sessions of a user, one or all, and says how many there were.
    pub async fn kick(&self, user: &BareJid, resource: Option<Resource>, why: &str) -> u32 {
        let why = Close::Kicked(why.into());
        self.look(Some(user), |answer| Input::Close(Box::new((resource, why, answer)))).await.unwrap_or(0)
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.world.stats()
    }

    /// The account was removed from the store: its sessions are closed, its actor forgets it all.
    /// Contacts are told that it is unavailable.
    pub async fn account_deleted(&self, user: &BareJid) {
        self.look(Some(user), Input::Deleted).await;
    }

    /// Ends all sessions with [`Close::Shutdown`] and refuses new ones. Returns when all have unbound
    /// and what they gave back is with the store (whose `close` waits until it is kept), or `within` has passed; says how many were still bound then.
    pub async fn drain(&self, within: Duration) -> u64 {
        self.world.draining.store(true, Ordering::Release);
        let drained = async {
            for (user, addr) in self.world.users().iter() {
                let (answer, _) = oneshot::channel(); // what they answer is seen in the seats
                self.world.tell(&user, addr, Input::Close(Box::new((None, Close::Shutdown, answer))));
            }
            loop {
                let left = self.world.left.notified();
                if self.bound() == 0 {
                    break;
                }
                left.await;
            }
            // Behind everything that came before, the store's answers included.
            for (user, _) in self.world.users().iter() {
                self.look(Some(&user), Input::Sessions).await;
            }
        };
        if tokio::time::timeout(within, drained).await.is_err() {
            tracing::warn!(bound = self.bound(), "sessions were still there when the time to drain was over");
        }
        self.bound()
    }

    fn bound(&self) -> u64 {
        self.stats().sessions.iter().sum()
    }

    /// Asks a user's actor, if it is running.
    async fn look<T>(&self, user: Option<&Jid>, question: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        let addr = self.world.running(user?.as_str())?;
        let (answer, answered) = oneshot::channel();
        addr.send(question(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Puts mail into the mailbox of a user, started when there is none; never waits.
    fn try_tell(&self, user: &BareJid, input: Input) -> Result<(), SendtoState> {
        let mut input = input;
        loop {
            match self.world.user(user).try_send(input) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(SendtoState::Full),
                Err(TrySendError::Closed(back)) => input = back,
            }
        }
    }

    /// A uid is a localpart, or a bare JID of our domain.
    fn jid_of(&self, uid: &str) -> Option<BareJid> {
        let domain = self.world.shared.settings.domain.as_str();
        match uid.split_once('@') {
            None => BareJid::new(Some(uid), domain).ok(),
            Some(_) => uid.parse().ok().filter(|jid: &BareJid| jid.domain() == domain),
        }
    }

    fn server_jid(&self) -> Option<BareJid> {
        BareJid::new(None, &self.world.shared.settings.domain).ok()
    }
}

/// One bound resource, held by the driver of its connection. Dropping it unbinds it.
pub struct Seat {
    jid: FullJid,
    place: Option<Place>, // until it is given up
}

/// What a seat stands on.
struct Place {
    world: Arc<World>,
    addr: Addr<UserActor>,
    binding: Binding,
    transport: Transport,
}

/// A seat that is asked for. Dropped before the answer, it unbinds what may be bound by then.
struct Pending<'a> {
    place: Option<Place>,
    user: &'a BareJid,
}

impl Seat {
    /// The address that was bound.
    pub fn jid(&self) -> &FullJid {
        &self.jid
    }
    /// Hands over a stanza the client sent, its `from` stamped with [`Seat::jid`]. Waits while the
    /// user's mailbox is full: so long the driver should not read on.
    pub async fn send(&self, stanza: impl Into<Arc<Stanza>>) -> Result<(), Gone> {
        let Some(place) = &self.place else { return Err(Gone) };
        place.world.counters.sent.add(1);
        place.addr.send(Input::Sent(place.binding, stanza.into())).await.map_err(|_| Gone)
    }
    /// The same without waiting: almost always there is room. `Ok(Some)` gives the stanza back when there
    /// is none, for [`Seat::send`].
    pub fn try_send(&self, stanza: impl Into<Arc<Stanza>>) -> Result<Option<Arc<Stanza>>, Gone> {
        let Some(place) = &self.place else { return Err(Gone) };
        match place.addr.try_send(Input::Sent(place.binding, stanza.into())) {
            Ok(()) => {
                place.world.counters.sent.add(1);
                Ok(None)
            }
            Err(TrySendError::Full(Input::Sent(_, stanza))) => Ok(Some(stanza)),
            Err(_) => Err(Gone),
        }
    }
    /// The seat is held by another connection now.
    pub fn moved(&mut self, transport: Transport) {
        if let Some(place) = &mut self.place {
            let sessions = &place.world.counters.sessions;
            sessions[transport as usize].add(1);
            sessions[place.transport as usize].sub(1);
            place.transport = transport;
        }
    }
    /// What had this receipt is written, or acknowledged. Never waits.
    pub fn acked(&self, receipt: Receipt) {
        if let Some(place) = &self.place {
            let input = Input::Acked(place.binding, receipt);
            place.world.tell(&self.jid.to_bare(), place.addr.clone(), input);
        }
    }
    /// The link has refused something ([`Link::deliver`]) and has room again: at least half of what it
    /// takes. Never waits.
    pub fn room(&self) {
        if let Some(place) = &self.place {
            place.world.tell(&self.jid.to_bare(), place.addr.clone(), Input::Room(place.binding));
        }
    }
    /// The connection is over. What it did not deliver, oldest first, goes to another resource or to the
    /// store; one unavailable presence goes out. Never waits.
    pub fn unbind(mut self, undelivered: Vec<Delivery>) {
        self.give_up(undelivered);
    }

    fn give_up(&mut self, undelivered: Vec<Delivery>) {
        if let Some(place) = self.place.take() {
            place.give_up(&self.jid.to_bare(), undelivered);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.give_up(Vec::new());
    }
}

impl Pending<'_> {
    fn seated(mut self, jid: FullJid) -> Seat {
        Seat { jid, place: self.place.take() }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            place.give_up(self.user, Vec::new());
        }
    }
}

impl Place {
    fn give_up(self, user: &BareJid, undelivered: Vec<Delivery>) {
        let Place { world, addr, binding, transport } = self;
        // A user that is not running any more has nothing bound; only messages are worth waking it for.
        if !undelivered.is_empty() || !addr.is_closed() {
            world.tell(user, addr, Input::Unbind(binding, undelivered));
        }
        world.counters.sessions[transport as usize].sub(1);
        world.left.notify_waiters();
    }
}

fn result(uid: Uid, outcome: Outcome) -> SendtoResult {
    SendtoResult { uid, state: outcome.state, sessions: outcome.sessions, id: outcome.id }
}

/// Sessions are in the order of their users, then of their resources.
fn order(jid: &FullJid) -> (&str, &str) {
    (jid.bare_str(), jid.resource())
}
