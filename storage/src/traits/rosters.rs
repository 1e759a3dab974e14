//! Rosters with versions (RFC 6121 section 2).

use super::Then;
use bytes::Bytes;
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;

/// Rosters with versions (RFC 6121 section 2).
pub trait Rosters {
    /// The whole roster, hidden items too, in the order of the contacts' JIDs, with its version.
    fn roster(&self, user: &BareJid, then: Then<Roster>);
    /// Writes the item, whole. Answers the roster's new version.
    fn put_item(&self, user: &BareJid, item: RosterItem, then: Then<u64>);
    /// Removes the item. Answers the roster's new version, or the old one when there was no such item.
    fn remove_item(&self, user: &BareJid, contact: &BareJid, then: Then<u64>);
    /// What a client that knows `version` must be told, oldest first, each contact once, hidden
    /// items left out. `None`: this version was never given out or is too old, send it all.
    fn roster_since(&self, user: &BareJid, version: u64, then: Then<Option<Vec<RosterChange>>>);
}

/// So many removals of contacts a roster remembers for [`Rosters::roster_since`]; who knows only a
/// version from before them gets the whole roster.
pub const ROSTER_REMOVALS_MAX: u32 = 256;

/// A roster as it is at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Grows with every change.
    pub version: u64,
    /// In the order of their JIDs.
    pub items: Vec<RosterItem>,
}

/// One contact (RFC 6121 section 2.1.2 and the states of its appendix A).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterItem {
    /// Who.
    pub jid: BareJid,
    /// What the user calls them.
    pub name: Option<CompactString>,
    /// Where the user puts them. XML text: a name with U+001F is refused as [`StoreError::Invalid`](crate::StoreError::Invalid).
    pub groups: Vec<CompactString>,
    /// Who sees whose presence.
    pub subscription: Subscription,
    /// A subscription request of ours is unanswered ("pending out").
    pub ask: bool,
    /// Their request is granted before it comes (RFC 6121 section 3.4).
    pub approved: bool,
    /// Their request is unanswered ("pending in"): the stanza as it came.
    pub pending_in: Option<Bytes>,
    /// `false`: hidden, not a roster item for any client; only `pending_in` is kept here.
    pub in_roster: bool,
}

impl RosterItem {
    /// A contact in the roster with nothing else said.
    pub fn new(jid: BareJid) -> RosterItem {
        RosterItem {
            jid,
            name: None,
            groups: Vec::new(),
            subscription: Subscription::None,
            ask: false,
            approved: false,
            pending_in: None,
            in_roster: true,
        }
    }
}

/// RFC 6121 section 2.1.2.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subscription {
    /// Neither sees the other.
    #[default]
    None,
    /// The user sees the contact.
    To,
    /// The contact sees the user.
    From,
    /// Each sees the other.
    Both,
}

impl Subscription {
    /// The value of the attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Subscription::None => "none",
            Subscription::To => "to",
            Subscription::From => "from",
            Subscription::Both => "both",
        }
    }
}

/// One step from an older version of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterChange {
    /// The version this step made: for the `ver` of its push.
    pub version: u64,
    /// Who.
    pub jid: BareJid,
    /// What it is now; `None` when it is gone from the roster.
    pub item: Option<RosterItem>,
}
