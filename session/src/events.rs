//! What happens to users, for somebody who watches: a stream of events, a webhook.

use crate::link::LinkInfo;
use compact_str::CompactString;
use herald_xmpp::{BareJid, FullJid};

/// Watches what happens; see [`Sessions::observe`](crate::Sessions::observe).
pub trait Observer: Send + Sync + 'static {
    /// It happened at that time, in milliseconds since 1970 UTC.
    ///
    /// Called on the turn of the user's actor, in order for each user; [`Event::Expired`] comes from the store and
    /// stands in no order. To be cheap, and never to wait.
    fn event(&self, at_ms: i64, event: Event);
}

/// Several watch; each is told in turn.
impl Observer for Vec<std::sync::Arc<dyn Observer>> {
    fn event(&self, at_ms: i64, event: Event) {
        for observer in self {
            observer.event(at_ms, event.clone());
        }
    }
}

/// Something happened to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A resource was bound.
    SessionUp {
        /// Which.
        jid: FullJid,
        /// How it is connected.
        link: LinkInfo,
    },
    /// A resource that was bound is gone.
    SessionDown {
        /// Which.
        jid: FullJid,
        /// How it was connected.
        link: LinkInfo,
    },
    /// The first resource became available.
    Online {
        /// Whose.
        user: BareJid,
    },
    /// The last available resource became unavailable, or is gone.
    Offline {
        /// Whose.
        user: BareJid,
    },
    /// A resource became available, changed its presence or became unavailable.
    Presence {
        /// Which.
        from: FullJid,
        /// Is it available?
        available: bool,
        /// Its priority, while it is available.
        priority: Option<i8>,
        /// `away`, `chat`, `dnd` or `xa` (RFC 6121 section 4.7.2.1); `None` for plainly available.
        show: Option<CompactString>,
        /// Words for a human (RFC 6121 section 4.7.2.2).
        status: Option<CompactString>,
    },
    /// A message is kept, durably.
    Stored {
        /// For whom.
        user: BareJid,
        /// Its number.
        id: u64,
    },
    /// A kept message is acknowledged, by the first who does. Said for each that was handed to a connection, not
    /// for what one that follows the log read there by itself.
    Delivered {
        /// Whose.
        user: BareJid,
        /// Its number.
        id: u64,
    },
    /// A kept message was not acknowledged by anybody before its time was over.
    Expired {
        /// Whose.
        user: BareJid,
        /// Its number.
        id: u64,
    },
}
