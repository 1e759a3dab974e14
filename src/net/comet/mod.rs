//! iComet's two ports: a page or a program written for iComet changes the address and nothing else.
//!
//! A channel is a uid. `/sub`, `/poll`, `/stream`, `/sse`, `/iframe` and `/ping` are on the public HTTP listener (here);
//! `/push`, `/pub`, `/broadcast`, `/sign`, `/close`, `/clear`, `/info`, `/check` and `/psub` are the operator's
//! (`operator.rs`, on its port by `src/admin/comet.rs`). `docs/icomet.md` says what differs from iComet, for its users.
//!
//! | file | what is in it |
//! |---|---|
//! | `params.rs` | what a request asks |
//! | `text.rs` | what is answered, to the byte |
//! | `said.rs` | from a stanza to a content and back |
//! | `log.rs` | the numbers of one channel and what is in memory of it: a machine |
//! | `channel.rs` | one channel: the link of one resource of its user, shared by its subscribers |
//! | `sub.rs` | one subscriber |
//! | `front.rs` | the calls of subscribers |
//! | `operator.rs` | the operator's calls; `psub.rs` is the one that goes on and on |
//! | `token.rs` | what `/sign` gives |
//!
//! # A message's way
//!
//! `/push` with `store = "always"` is a `sendto` that is logged first: the user's actor hands the channel a delivery with
//! its number ([`channel::Channel`] is a link that follows the log). With `store = "never"` the message takes a number
//! from a block that was set aside in the store, so that numbers never begin again, and goes to the channel without
//! passing the actor, which is only asked when the user has other resources.
//!
//! Nothing is queued for a subscriber. It is woken, and fetches what it wants next from the channel: what is there in
//! memory, else from the store. So a slow one costs nothing but what the channel holds back for it, and is cut when
//! that is too much; and one that comes back with the number it wants finds all that was kept meanwhile.
//!
//! # Numbers
//!
//! They are those of the user's log, so they go on over the end of a channel and a restart of the server. `seq=0` is
//! answered with the number of the oldest message that nobody has acknowledged: what was kept for a user who was away
//! comes to iComet's own client too, which begins with 0. A poll with a `seq` acknowledges everything before it, and a
//! stream what was written.
//!
//! # Bounds
//!
//! | what | where | when there is more |
//! |---|---|---|
//! | channels | `comet.channels_max` | 429 "Too many channels" |
//! | subscribers of one channel | `comet.subscribers_max` | 429 "Too many subscribers" |
//! | channels of one connection | 16 | refused |
//! | a request | as all of HTTP | 413, 431 |
//! | what waits for the slowest subscriber of a channel | `limits.outbox_bytes_max` | its connection is cut |
//! | what is behind a stream on its connection | 0 | it is passed over |
//! | a connection that takes nothing | 30 s | closed |

mod channel;
mod front;
mod log;
mod operator;
mod params;
mod psub;
mod said;
mod sub;
mod text;
mod token;

use super::deadlines::{Deadlines, SLOT};
use super::http::Via;
use crate::accounts;
use crate::config::{self, CometAuth, Config};
use channel::Channel;
use dashmap::DashMap;
pub(crate) use front::{Waiting, is_path, operate, subscribe};
use herald_session::{Seat, Sessions};
use herald_storage::{Put, Slice, Store, StoreError, ask};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, Kind, PresenceType, Resource, Stanza};
pub use operator::Call;
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The resource of a user that all comet subscribers of theirs are.
const RESOURCE: &str = "comet";
/// Channels that are opened at the same time are opened side by side, but for one in so many.
const TURNS: usize = 256;
/// The actor of somebody unknown remembers that for a second: whoever has just made the account asks again.
const UNKNOWN_TRIES: u32 = 8;
const UNKNOWN_PAUSE: Duration = Duration::from_millis(200);

/// All of comet. Shared by the listeners and the operator's port.
pub struct Comet {
    config: config::Comet,
    domain: String,
    scram_iterations: u32,
    backlog_bytes_max: usize,
    sessions: Sessions,
    store: Arc<dyn Store>,
    secret: [u8; 32],
    table: DashMap<Named, ()>,
    deadlines: Deadlines<Channel>,
    start: Instant,
    /// Who opens a channel has the turn of its uid.
    turns: Box<[tokio::sync::Mutex<()>]>,
    psub: psub::Hub,
}

/// A channel by its uid, which it knows itself: the table keeps no other copy.
struct Named(Arc<Channel>);

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        self.0.uid()
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.uid().hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.0.uid() == other.0.uid()
    }
}

impl Eq for Named {}

/// Why a channel cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unable {
    /// There is no such account, and none is made.
    NoUser,
    /// [`config::Comet::channels_max`] are there.
    TooMany,
    /// The user has as many resources as there may be.
    TooManyResources,
    /// The server goes down, or the store failed: later perhaps.
    Failed,
}

impl Comet {
    /// No channel yet; times are told from `start` on.
    pub fn new(
        config: &Config,
        sessions: Sessions,
        store: Arc<dyn Store>,
        secret: [u8; 32],
        start: Instant,
    ) -> Arc<Comet> {
        Arc::new(Comet {
            config: config.comet.clone(),
            domain: config.domain.to_string(),
            scram_iterations: config.auth.scram_iterations,
            backlog_bytes_max: config.limits.outbox_bytes_max,
            sessions,
            store,
            secret,
            table: DashMap::new(),
            deadlines: Deadlines::new(start),
            start,
            turns: (0..TURNS).map(|_| tokio::sync::Mutex::new(())).collect(),
            psub: psub::Hub::default(),
        })
    }

    /// Looks at the channels whose deadline has come, until it is told to stop.
    pub(crate) async fn tick(self: Arc<Comet>, stop: CancellationToken) {
        let mut slots = tokio::time::interval(SLOT);
        slots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                now = slots.tick() => {
                    for channel in self.deadlines.due(now.into_std()) {
                        channel.tick(self.now_secs());
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    /// Is it served at all?
    pub(super) fn is_on(&self) -> bool {
        self.config.auth != CometAuth::Off
    }

    /// Seconds since the start.
    fn now_secs(&self) -> u32 {
        u32::try_from(self.start.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// When something must have been said to who is told something now, in seconds since the start.
    fn due(&self) -> u32 {
        self.now_secs() + self.config.polling_timeout_secs
    }

    fn polling_timeout(&self) -> Duration {
        Duration::from_secs(self.config.polling_timeout_secs.into())
    }

    fn channel_timeout(&self) -> Duration {
        Duration::from_secs(self.config.channel_timeout_secs.into())
    }

    /// The user of a channel.
    fn user(&self, cname: &str) -> Option<BareJid> {
        accounts::user(cname, &self.domain).ok()
    }

    fn find(&self, user: &BareJid) -> Option<Arc<Channel>> {
        self.table.get(user.local()?).map(|entry| entry.key().0.clone())
    }

    /// The channel of a user; it is made when there is none. With a resource, if there is to be one.
    async fn open(self: &Arc<Comet>, user: &BareJid, via: Via, bound: bool) -> Result<Arc<Channel>, Unable> {
        let fits = |channel: &Arc<Channel>| !bound || channel.is_bound();
        if let Some(channel) = self.find(user).filter(fits) {
            return Ok(channel);
        }
        let turn = self.table.hasher().hash_one(user.as_str()) as usize % TURNS;
        let _turn = self.turns[turn].lock().await;
        let there = self.find(user).filter(|channel| !channel.is_gone());
        if let Some(channel) = there.as_ref().filter(|channel| fits(channel)) {
            return Ok(channel.clone());
        }
        if there.is_none() && self.table.len() >= self.config.channels_max as usize {
            return Err(Unable::TooMany);
        }
        let channel = there.unwrap_or_else(|| Channel::new(self, user.clone(), via));
        if bound {
            self.bind(user, &channel).await?;
        } else {
            self.ensure_account(user).await?;
        }
        channel.known(self.last(user).await.map_err(failed)?);
        if self.find(user).is_none_or(|there| !Arc::ptr_eq(&there, &channel)) {
            drop(self.table.remove(channel.uid()));
            self.table.insert(Named(channel.clone()), ());
        }
        channel.begin();
        Ok(channel)
    }

    /// Binds a resource for it, and makes the user available.
    async fn bind(&self, user: &BareJid, channel: &Arc<Channel>) -> Result<(), Unable> {
        let seat = self.seat(user, channel).await?;
        let presence = Stanza::new(Kind::Presence(PresenceType::Available)).from(seat.jid().clone());
        seat.send(presence).await.map_err(|_| Unable::Failed)?;
        if !channel.seated(seat) {
            return Err(Unable::Failed);
        }
        // Answered behind the presence: from now on it is handed what is kept, and all others have shown themselves.
        self.sessions.sessions_of(user).await;
        channel.knows_others();
        Ok(())
    }

    async fn seat(&self, user: &BareJid, channel: &Arc<Channel>) -> Result<Seat, Unable> {
        if self.may_make_accounts() {
            self.ensure_account(user).await?;
        }
        let resource = Resource::new(RESOURCE).ok();
        let mut tries = 0;
        loop {
            let refused = match self.sessions.bind(user.clone(), resource.clone(), channel.clone()).await {
                Ok(seat) => return Ok(seat),
                Err(refused) => refused,
            };
            tries += 1;
            match refused.condition {
                Condition::NotAuthorized if tries < UNKNOWN_TRIES && self.has_account(user).await? => {
                    tokio::time::sleep(UNKNOWN_PAUSE).await;
                }
                Condition::NotAuthorized => return Err(Unable::NoUser),
                Condition::ResourceConstraint => return Err(Unable::TooManyResources),
                _ => return Err(Unable::Failed),
            }
        }
    }

    /// A subscriber alone makes none where tokens are asked for: an account that was removed stays so.
    fn may_make_accounts(&self) -> bool {
        self.config.create_users && self.config.auth == CometAuth::None
    }

    /// Sees to it that there is an account.
    async fn ensure_account(&self, user: &BareJid) -> Result<(), Unable> {
        if self.has_account(user).await? {
            return Ok(());
        }
        if !self.config.create_users {
            return Err(Unable::NoUser);
        }
        let keys = accounts::locked(self.scram_iterations).map_err(|_| Unable::Failed)?;
        ask(|then| self.store.put_account(user, keys, Put::Create, then)).await.map_err(failed)?;
        Ok(())
    }

    async fn has_account(&self, user: &BareJid) -> Result<bool, Unable> {
        Ok(ask(|then| self.store.account(user, then)).await.map_err(failed)?.is_some())
    }

    /// The newest number of a user.
    async fn last(&self, user: &BareJid) -> Result<u64, StoreError> {
        let slice = Slice { since: 0, before: None, limit: 1, bytes_max: 1, newest_first: true };
        Ok(ask(|then| self.store.history(user, slice, then)).await?.last)
    }

    /// The oldest message that nobody has acknowledged, behind this number.
    async fn oldest(&self, user: &BareJid, after: u64) -> Result<Option<u64>, StoreError> {
        let pending = ask(|then| self.store.pending(user, after, 1, 1, then)).await?;
        Ok(pending.first().map(|kept| kept.id))
    }

    /// The channel has ended.
    fn forget(&self, uid: &str, channel: &Channel) {
        self.table.remove_if(uid, |there, ()| std::ptr::eq(&raw const *there.0, channel));
    }
}

fn failed(e: StoreError) -> Unable {
    tracing::warn!("comet: {e}");
    Unable::Failed
}
