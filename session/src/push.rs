//! What a backend asks of the sessions, and what it is told.

use crate::link::LinkInfo;
use compact_str::CompactString;
use herald_xmpp::{FullJid, Resource, Stanza};

/// A user as a backend names them: the localpart, or the whole bare JID.
pub type Uid = CompactString;

/// What [`Sessions::sendto`](crate::Sessions::sendto) sends.
#[derive(Clone, Debug)]
pub struct Push {
    /// A message (its `to` is passed over, a missing `from` is our domain). Other kinds are refused
    /// as [`SendtoState::Invalid`].
    pub stanza: Stanza,
    /// Is it kept for who is not there?
    pub keep: Keep,
}

/// Is a message kept for a user without a resource that takes it?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// As a message from another user would be: what the modules say.
    #[default]
    Usual,
    /// Never: who is not there does not get it.
    Never,
    /// Until then, in milliseconds since 1970 UTC.
    Until(i64),
}

/// What became of a push, for one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendtoResult {
    /// As it was asked.
    pub uid: Uid,
    /// What became of it.
    pub state: SendtoState,
    /// How many sessions it was handed to.
    pub sessions: u32,
    /// Its number among the user's kept messages, when it was stored.
    pub id: Option<u64>,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendtoState {
    /// Handed to one session or more.
    Delivered,
    /// Kept, durably, before this was said.
    Stored,
    /// Nobody was there, and it was not to be kept.
    Dropped,
    /// There is no such account.
    NoSuchUser,
    /// The user's mailbox or store of messages is full: try again later.
    Full,
    /// The stanza is no message.
    Invalid,
    /// The store failed, or the server is going down: it may or may not be kept.
    Failed,
}

impl SendtoState {
    /// The word for it, as the operator's API says it.
    pub fn as_str(self) -> &'static str {
        match self {
            SendtoState::Delivered => "delivered",
            SendtoState::Stored => "stored",
            SendtoState::Dropped => "dropped",
            SendtoState::NoSuchUser => "no_such_user",
            SendtoState::Full => "full",
            SendtoState::Invalid => "invalid",
            SendtoState::Failed => "failed",
        }
    }
}

/// Is a user there? Says nothing about whether there is such an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceInfo {
    /// As it was asked.
    pub uid: Uid,
    /// Bound resources, the one with the highest priority first. Empty when offline or unknown.
    pub resources: Vec<ResourceInfo>,
}

impl PresenceInfo {
    /// Has the user an available resource?
    pub fn online(&self) -> bool {
        self.resources.iter().any(|r| r.priority.is_some())
    }
}

/// One resource, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceInfo {
    /// Its name.
    pub resource: Resource,
    /// Its priority; `None` while it has not sent initial presence.
    pub priority: Option<i8>,
    /// `away`, `chat`, `dnd` or `xa` (RFC 6121 section 4.7.2.1); `None` for plainly available.
    pub show: Option<CompactString>,
    /// Words for a human (RFC 6121 section 4.7.2.2).
    pub status: Option<CompactString>,
    /// How it is connected.
    pub link: LinkInfo,
}

/// One session, for an operator to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Who.
    pub jid: FullJid,
    /// How it is connected.
    pub link: LinkInfo,
    /// Its priority; `None` while it has not sent initial presence.
    pub priority: Option<i8>,
    /// When it was bound, in milliseconds since 1970 UTC.
    pub since_ms: i64,
}

/// Counters since the start, except where it says "now".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// User actors now.
    pub actors: u64,
    /// Bound resources now, in the order of [`Transport::ALL`](crate::Transport::ALL).
    pub sessions: [u64; 3],
    /// Resources bound.
    pub binds: u64,
    /// Stanzas clients sent.
    pub sent: u64,
    /// Stanzas handed from user to user.
    pub routed: u64,
    /// Stanzas handed to connections.
    pub delivered: u64,
    /// Messages stored.
    pub stored: u64,
    /// Stanzas sent back with an error by the router.
    pub bounced: u64,
    /// Connections that were full, so that messages went to the store instead.
    pub behind: u64,
    /// Resources taken away because their connection did not take what it was handed.
    pub detached: u64,
    /// User actors that broke and were started again.
    pub panics: u64,
}
