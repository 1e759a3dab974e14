//! RFC 6121 section 8.5 as one pure function: who gets a stanza that came for a user.

use herald_xmpp::{IqType, Kind, MessageType, PresenceType};
use smallvec::SmallVec;

/// One bound resource, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its priority, when it is available (has sent presence); `None` when it is only connected.
    pub priority: Option<i8>,
}

/// What the stanza is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// The account.
    Bare,
    /// A resource: its place among the candidates, when it is there.
    Full(Option<usize>),
}

/// Who gets it. Places are those among the candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// These resources; never empty.
    Resources(SmallVec<[usize; 4]>),
    /// Nobody is there to take it: it may be kept, or goes back with `service-unavailable`.
    Offline,
    /// Back to the sender with `service-unavailable`.
    Bounce,
    /// Nobody, and nobody is told.
    Ignore,
    /// The server itself: iq to the account, subscriptions and probes.
    Server,
}

/// Decides. `resources` are all that are bound, available or not.
///
/// A message to the account goes to all resources that share the highest priority: both ways that
/// section 8.5.2.1.1 leaves open meet there. A message to a resource that is gone is handled as its
/// section 8.5.3.2.1 allows: a chat as if it were for the account, `normal` and `groupchat` go back,
/// a headline is let go.
pub fn choose(kind: Kind, address: Address, resources: &[Candidate]) -> Choice {
    match (kind, address) {
        (Kind::Presence(kind), _) if is_for_server(kind) => Choice::Server,
        (_, Address::Full(Some(place))) => Choice::Resources(SmallVec::from_slice(&[place])),
        (Kind::Message(kind), Address::Bare) => message_to_account(kind, resources),
        (Kind::Message(MessageType::Chat), Address::Full(None)) => message_to_account(MessageType::Chat, resources),
        (Kind::Message(MessageType::Normal | MessageType::Groupchat), Address::Full(None)) => Choice::Bounce,
        (Kind::Message(_), Address::Full(None)) => Choice::Ignore,
        (Kind::Presence(PresenceType::Available | PresenceType::Unavailable), Address::Bare) => {
            some(available(resources), Choice::Ignore)
        }
        (Kind::Presence(_), _) => Choice::Ignore,
        (Kind::Iq(IqType::Get | IqType::Set), Address::Bare) => Choice::Server,
        (Kind::Iq(IqType::Get | IqType::Set), Address::Full(None)) => Choice::Bounce,
        (Kind::Iq(_), _) => Choice::Ignore,
    }
}

/// All available resources with a priority that is not negative: who gets a headline, or a push.
pub fn non_negative(resources: &[Candidate]) -> SmallVec<[usize; 4]> {
    places(resources, |p| p >= 0)
}

fn message_to_account(kind: MessageType, resources: &[Candidate]) -> Choice {
    match kind {
        MessageType::Normal | MessageType::Chat => {
            let top = resources.iter().filter_map(|r| r.priority).filter(|p| *p >= 0).max();
            match top {
                Some(top) => Choice::Resources(places(resources, |p| p == top)),
                None => Choice::Offline,
            }
        }
        MessageType::Headline => some(non_negative(resources), Choice::Ignore),
        MessageType::Groupchat => Choice::Bounce,
        MessageType::Error => Choice::Ignore,
    }
}

/// Subscriptions and probes never depend on resources (8.5.2.1.2, 8.5.3.1).
fn is_for_server(kind: PresenceType) -> bool {
    use PresenceType::*;
    matches!(kind, Subscribe | Subscribed | Unsubscribe | Unsubscribed | Probe)
}

fn available(resources: &[Candidate]) -> SmallVec<[usize; 4]> {
    places(resources, |_| true)
}

fn places(resources: &[Candidate], wants: impl Fn(i8) -> bool) -> SmallVec<[usize; 4]> {
    resources.iter().enumerate().filter(|(_, r)| r.priority.is_some_and(&wants)).map(|(place, _)| place).collect()
}

fn some(places: SmallVec<[usize; 4]>, otherwise: Choice) -> Choice {
    if places.is_empty() { otherwise } else { Choice::Resources(places) }
}
