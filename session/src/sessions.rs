//! The session manager: who has an actor, and every way in from outside. Messages of a backend are in
//! `sendto`.

use crate::actor::UserActor;
use crate::clock::Clock;
use crate::events::{Event, Observer};
use crate::hooks::Modules;
use crate::link::{Binding, Close, Link};
use crate::push::{PresenceInfo, SessionInfo, Stats, Uid};
use crate::seat::{Pending, Place, Seat};
use crate::settings::Settings;
use crate::user::{Bind, Input, Shared};
use crate::world::{Counters, World};
use compact_str::format_compact;
use herald_actor::{Policy, Registry};
use herald_storage::Store;
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, FullJid, Jid, Resource, StanzaError};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// The session manager. Cloning shares it.
#[derive(Clone)]
pub struct Sessions {
    pub(crate) world: Arc<World>,
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
            shared: Arc::new(Shared::new(settings, modules)),
            store,
            clock,
            counters: Counters::default(),
            draining: AtomicBool::new(false),
            left: Notify::new(),
            bindings: AtomicU64::new(1),
            runtime: Handle::try_current().ok(),
            users: OnceLock::new(),
            observer: OnceLock::new(),
        });
        world.users.get_or_init(|| {
            Registry::of(&system, Policy::DEFAULT, world.clone(), |jid, world: &Arc<World>| {
                UserActor::new(jid, world.clone())
            })
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
        let resource = match resource {
            Some(resource) => resource,
            None => make_resource(number)?,
        };
        // The user's actor, and whoever else has one of the two, share their text.
        let jid = user.with(&resource);
        let user = jid.to_bare();
        let mut input = Input::Bind(Box::new(Bind { jid: jid.clone(), link, binding, answer }));
        let addr = loop {
            let addr = self.world.user(&user);
            match addr.send(input).await {
                Ok(()) => break addr,
                Err(herald_actor::Closed(back)) => input = back,
            }
        };
        self.world.counters.sessions[transport as usize].add(1);
        let place = Place::new(addr, binding, transport);
        let pending = Pending { place: Some(place), user: &user };
        match answered.await {
            Ok(Ok(())) if self.world.draining.load(Ordering::Acquire) => {
                Err(StanzaError::new(Condition::ServiceUnavailable)) // and it is unbound again
            }
            Ok(Ok(())) => {
                self.world.counters.binds.add(1);
                Ok(pending.seated(jid))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StanzaError::new(Condition::InternalServerError)), // the actor broke
        }
    }

    /// Who of them is there, in the order of the question. Starts no actor.
    pub async fn presence(&self, uids: &[Uid]) -> Vec<PresenceInfo> {
        let mut infos = Vec::with_capacity(uids.len());
        for uid in uids {
            let there = self.look(self.jid_of(uid).as_deref(), Input::Presence).await;
            let (resources, since_ms) = there.map(|there| (there.resources, there.since_ms)).unwrap_or_default();
            infos.push(PresenceInfo { uid: uid.clone(), resources, since_ms });
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

    /// Where everything is kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.world.store
    }

    /// Tells somebody what happens from now on. To be called once, before anybody is let in; a second one is not told.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        if self.world.observer.set(observer).is_err() {
            return tracing::error!("somebody watches already; the second is not told anything");
        }
        let world = Arc::downgrade(&self.world);
        self.world.store.on_expired(Box::new(move |user, id| {
            if let Some(world) = world.upgrade() {
                world.tell_observer(world.clock.now().unix_ms, Event::Expired { user: user.clone(), id });
            }
        }));
        self.world.shared.watch();
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

    /// The user that a uid names: a localpart, or a bare JID of our domain. There may be no such account.
    pub fn jid_of(&self, uid: &str) -> Option<BareJid> {
        let domain = self.world.shared.settings.domain.as_str();
        match uid.split_once('@') {
            None => BareJid::new(Some(uid), domain).ok(),
            Some(_) => uid.parse().ok().filter(|jid: &BareJid| jid.domain() == domain),
        }
    }
}

/// A name for a resource that has none: keyed at random by the standard library, so it is hard to guess, and no two are
/// alike but by chance.
fn make_resource(number: u64) -> Result<Resource, StanzaError> {
    let name = format_compact!("{:016x}", RandomState::new().hash_one(number));
    Resource::new(&name).map_err(|_| StanzaError::new(Condition::InternalServerError))
}

/// Sessions are in the order of their users, then of their resources.
fn order(jid: &FullJid) -> (&str, &str) {
    (jid.bare_str(), jid.resource())
}
