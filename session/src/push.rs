//! What a backend asks of the sessions, and what it is told.

use crate::link::{LinkInfo, Transport};
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
    /// On which terms.
    pub terms: Terms,
}

/// On which terms a message is handed out and kept. All its receivers share them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Is it kept?
    pub keep: Keep,
    /// From when on nobody wants it kept, in milliseconds since 1970 UTC. `None`: what the modules say.
    pub expires_ms: Option<i64>,
    /// A newer message with the same key takes the place of one that is still pending.
    pub collapse: Option<CompactString>,
    /// This resource is not handed it while it is being sent. It may find it in the log.
    pub exclude: Option<Resource>,
    /// Only when the user is in this state.
    pub only_if: OnlyIf,
    /// Names the message for 24 hours: a second one of the same user with the same name is neither kept
    /// nor handed out, and its answer bears the first one's number. What is never kept has no such memory.
    pub once: Option<CompactString>,
    /// One body for all who get it, kept once under this number and referenced.
    pub shared: Option<u128>,
    /// What if as many messages are kept for the user as may be?
    pub when_full: WhenFull,
}

impl Terms {
    /// The usual ones, but for what is said about keeping.
    pub fn keep(keep: Keep) -> Terms {
        Terms { keep, ..Terms::default() }
    }
}

/// Is a message kept?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// As a message from another user would be: what the modules say, when nobody takes it.
    #[default]
    Usual,
    /// Never: who is not there does not get it.
    Never,
    /// When nobody takes it, whatever the modules say.
    IfOffline,
    /// Always: it is durable, and has its number, before anybody is handed it.
    Always,
}

/// In which state must the user be? Who has an available resource is online.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // each line says it all
pub enum OnlyIf {
    #[default]
    Any,
    Online,
    Offline,
}

/// What becomes of a message when [`offline_max`](crate::Settings::offline_max) are pending for its user?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused: [`SendtoState::Full`].
    #[default]
    Refuse,
    /// It goes to the log, for who reads that, and is given to nobody unasked.
    LogOnly,
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
    /// Its number among the user's kept messages, when it is kept.
    pub id: Option<u64>,
    /// It was there already, by [`Terms::once`]: the number is that of the first, and nobody was handed it again.
    pub repeated: bool,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendtoState {
    /// Handed to one session or more. With a number it is kept, too, durably.
    Delivered,
    /// Kept, durably, before this was said.
    Stored,
    /// The user is not in the state that [`Terms::only_if`] asks for.
    Skipped,
    /// Nobody was there, and it was not to be kept.
    Dropped,
    /// There is no such account.
    NoSuchUser,
    /// The user's mailbox or store of messages is full: try again later.
    Full,
    /// The stanza is no message.
    Invalid,
    /// What the user's own messages must pass did not let it pass ([`Sessions::send_as`](crate::Sessions::send_as)).
    Refused,
    /// The store failed, or the server is going down: it may or may not be kept.
    Failed,
}

impl SendtoState {
    /// The word for it, as the operator's API says it.
    pub fn as_str(self) -> &'static str {
        match self {
            SendtoState::Delivered => "delivered",
            SendtoState::Stored => "stored",
            SendtoState::Skipped => "skipped",
            SendtoState::Dropped => "dropped",
            SendtoState::NoSuchUser => "no_such_user",
            SendtoState::Full => "full",
            SendtoState::Invalid => "invalid",
            SendtoState::Refused => "refused",
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
    /// Since when the user is online, in milliseconds since 1970 UTC.
    pub since_ms: Option<i64>,
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
    /// Bound resources now, in the order of [`Transport::ALL`].
    pub sessions: [u64; Transport::COUNT],
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
