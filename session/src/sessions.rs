//! The session manager: who has an actor, and every way in from outside.

use crate::clock::Clock;
use crate::hooks::Modules;
use crate::link::{Binding, Close, Delivery, Link, Receipt};
use crate::push::{PresenceInfo, Push, SendtoResult, SessionInfo, Stats, Uid};
use crate::settings::Settings;
use herald_storage::Store;
use herald_xmpp::{BareJid, FullJid, Resource, Stanza, StanzaError};
use std::sync::Arc;
use std::time::Duration;

/// The seat's user is gone: the connection has been told to close, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the user's actor is gone")]
pub struct Gone;

/// The session manager. Cloning shares it.
#[derive(Clone)]
pub struct Sessions {
    _world: Arc<()>,
}

impl Sessions {
    /// No user yet; they come as they are needed.
    pub fn new(
        system: herald_actor::System,
        store: Arc<dyn Store>,
        modules: Modules,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Sessions {
        let _ = (system, store, modules, settings, clock);
        Sessions { _world: Arc::new(()) }
    }
    /// Binds a resource of `user`, who has logged in, to a connection. Without a name the server
    /// makes one.
    ///
    /// Is the resource bound already, the old connection is closed with [`Close::Conflict`]: the
    /// newest wins (RFC 6120 section 7.7.2.2). Errors: `resource-constraint` when the user has too many,
    /// `internal-server-error` when the store fails.
    pub async fn bind(
        &self,
        user: BareJid,
        resource: Option<Resource>,
        link: Arc<dyn Link>,
    ) -> Result<Seat, StanzaError> {
        let _ = (user, resource, link);
        std::future::pending().await
    }
    /// Sends a message to these users; the answers are in the order of the question. A `stored` one
    /// is durable when this returns.
    pub async fn sendto(&self, to: Vec<Uid>, what: Push) -> Vec<SendtoResult> {
        let _ = (to, what);
        Vec::new()
    }
    /// Who of them is there, in the order of the question. Starts no actor.
    pub async fn presence(&self, uids: &[Uid]) -> Vec<PresenceInfo> {
        let _ = uids;
        Vec::new()
    }
    /// The sessions whose full JIDs come after `after`, in their order, at most `limit`.
    pub async fn sessions(&self, after: Option<FullJid>, limit: u32) -> Vec<SessionInfo> {
        let _ = (after, limit);
        Vec::new()
    }
    /// Closes the sessions of a user, one or all, and says how many there were.
    pub async fn kick(&self, user: &BareJid, resource: Option<Resource>, why: &str) -> u32 {
        let _ = (user, resource, Close::Kicked(why.into()));
        0
    }
    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
    /// The account was removed from the store: its sessions are closed, its actor forgets it all.
    /// Contacts are told that it is unavailable.
    pub async fn account_deleted(&self, user: &BareJid) {
        let _ = user;
    }
    /// Ends all sessions with [`Close::Shutdown`] and refuses new ones. Returns when all have unbound
    /// and what they gave back is stored, or `within` has passed; says how many were still bound then.
    pub async fn drain(&self, within: Duration) -> u64 {
        let _ = within;
        0
    }
}

/// One bound resource, held by the driver of its connection. Dropping it unbinds it.
pub struct Seat {
    jid: FullJid,
    binding: Binding,
}

impl Seat {
    /// The address that was bound.
    pub fn jid(&self) -> &FullJid {
        &self.jid
    }
    /// Its name among all sessions.
    pub fn binding(&self) -> Binding {
        self.binding
    }
    /// Hands over a stanza the client sent, its `from` stamped with [`Seat::jid`]. Waits while the
    /// user's mailbox is full: so long the driver should not read on.
    pub async fn send(&self, stanza: Stanza) -> Result<(), Gone> {
        let _ = stanza;
        Ok(())
    }
    /// What had this receipt is written, or acknowledged. Never waits.
    pub fn acked(&self, receipt: Receipt) {
        let _ = receipt;
    }
    /// The connection is over. What it did not deliver goes to another resource or to the store; one
    /// unavailable presence goes out. Never waits.
    pub fn unbind(self, undelivered: Vec<Delivery>) {
        let _ = undelivered;
    }
}
