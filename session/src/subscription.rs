//! RFC 6121 section 3 and appendix A as tables: who sees whose presence, and how it changes.
//!
//! A [`State`] is one user's side of one contact. Two verbs move it: [`outbound`] when the user's
//! own client sends `subscribe`, `subscribed`, `unsubscribe` or `unsubscribed`, and [`inbound`] when
//! the contact's arrives. Both are pure; what they say is done by [`crate::user`].

use herald_storage::Subscription;
use herald_xmpp::PresenceType;

/// One user's side of one contact (RFC 6121 appendix A.1): `subscription` and what is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Neither sees the other.
    None,
    /// ... and the user has asked.
    NonePendingOut,
    /// ... and the contact has asked.
    NonePendingIn,
    /// ... and both have asked.
    NonePendingOutIn,
    /// The user sees the contact.
    To,
    /// ... and the contact has asked.
    ToPendingIn,
    /// The contact sees the user.
    From,
    /// ... and the user has asked.
    FromPendingOut,
    /// Each sees the other.
    Both,
}

/// The four presence types that manage subscriptions (RFC 6121 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// "Let me see your presence."
    Subscribe,
    /// "You may see mine."
    Subscribed,
    /// "I do not want to see yours any more."
    Unsubscribe,
    /// "You may not see mine (any more)."
    Unsubscribed,
}

/// What the user's own client has said, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// The state from now on.
    pub state: State,
    /// Does the stanza go on to the contact?
    pub route: bool,
    /// Does the user's roster show a change, so that it is pushed?
    pub push: bool,
    /// What becomes of the pre-approval (RFC 6121 section 3.4); `None`: nothing.
    pub approved: Option<bool>,
}

/// What the contact has said, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The state from now on.
    pub state: State,
    /// Is the stanza given to the user's resources?
    pub deliver: bool,
    /// Does the user's roster show a change, so that it is pushed?
    pub push: bool,
    /// Does the server answer `subscribed` in the user's name?
    pub answer: bool,
}

impl Verb {
    /// The verb of a presence type, when it is one.
    pub fn of(kind: PresenceType) -> Option<Verb> {
        Some(match kind {
            PresenceType::Subscribe => Verb::Subscribe,
            PresenceType::Subscribed => Verb::Subscribed,
            PresenceType::Unsubscribe => Verb::Unsubscribe,
            PresenceType::Unsubscribed => Verb::Unsubscribed,
            _ => return None,
        })
    }
    /// The presence type of the verb.
    pub fn kind(self) -> PresenceType {
        match self {
            Verb::Subscribe => PresenceType::Subscribe,
            Verb::Subscribed => PresenceType::Subscribed,
            Verb::Unsubscribe => PresenceType::Unsubscribe,
            Verb::Unsubscribed => PresenceType::Unsubscribed,
        }
    }
}

impl State {
    /// The nine states, in the order of appendix A.
    pub const ALL: [State; 9] = [
        State::None,
        State::NonePendingOut,
        State::NonePendingIn,
        State::NonePendingOutIn,
        State::To,
        State::ToPendingIn,
        State::From,
        State::FromPendingOut,
        State::Both,
    ];

    /// The state in which a roster item is. What cannot be (asked for what is granted) is passed over.
    pub fn new(subscription: Subscription, pending_out: bool, pending_in: bool) -> State {
        match (subscription, pending_out, pending_in) {
            (Subscription::None, false, false) => State::None,
            (Subscription::None, true, false) => State::NonePendingOut,
            (Subscription::None, false, true) => State::NonePendingIn,
            (Subscription::None, true, true) => State::NonePendingOutIn,
            (Subscription::To, _, false) => State::To,
            (Subscription::To, _, true) => State::ToPendingIn,
            (Subscription::From, false, _) => State::From,
            (Subscription::From, true, _) => State::FromPendingOut,
            (Subscription::Both, ..) => State::Both,
        }
    }
    /// Who sees whom.
    pub fn subscription(self) -> Subscription {
        match self {
            State::None | State::NonePendingOut | State::NonePendingIn | State::NonePendingOutIn => Subscription::None,
            State::To | State::ToPendingIn => Subscription::To,
            State::From | State::FromPendingOut => Subscription::From,
            State::Both => Subscription::Both,
        }
    }
    /// Has the user asked, and waits?
    pub fn pending_out(self) -> bool {
        matches!(self, State::NonePendingOut | State::NonePendingOutIn | State::FromPendingOut)
    }
    /// Has the contact asked, and waits?
    pub fn pending_in(self) -> bool {
        matches!(self, State::NonePendingIn | State::NonePendingOutIn | State::ToPendingIn)
    }
    /// Does the user see the contact?
    pub fn sees(self) -> bool {
        matches!(self.subscription(), Subscription::To | Subscription::Both)
    }
    /// Does the contact see the user?
    pub fn seen(self) -> bool {
        matches!(self.subscription(), Subscription::From | Subscription::Both)
    }
}

/// The user's client says `verb` to the contact (appendix A.2).
pub fn outbound(state: State, verb: Verb, approved: bool) -> Outbound {
    use State::*;
    let next = match (verb, state) {
        (Verb::Subscribe, None) => NonePendingOut,
        (Verb::Subscribe, NonePendingIn) => NonePendingOutIn,
        (Verb::Subscribe, From) => FromPendingOut,

        (Verb::Unsubscribe, NonePendingOut | To) => None,
        (Verb::Unsubscribe, NonePendingOutIn | ToPendingIn) => NonePendingIn,
        (Verb::Unsubscribe, FromPendingOut | Both) => From,

        (Verb::Subscribed, NonePendingIn) => From,
        (Verb::Subscribed, NonePendingOutIn) => FromPendingOut,
        (Verb::Subscribed, ToPendingIn) => Both,

        (Verb::Unsubscribed, NonePendingIn | From) => None,
        (Verb::Unsubscribed, NonePendingOutIn | FromPendingOut) => NonePendingOut,
        (Verb::Unsubscribed, ToPendingIn | Both) => To,
        _ => state,
    };
    let pre_approval = match verb {
        // Granted before it was asked for (3.4.2): where it has been asked for or granted, there is nothing to do.
        Verb::Subscribed if matches!(state, None | NonePendingOut | To) => Some(true).filter(|_| !approved),
        // Denied or taken back: the approval goes with it.
        Verb::Unsubscribed => Some(false).filter(|_| approved),
        _ => Option::None,
    };
    Outbound {
        state: next,
        route: matches!(verb, Verb::Subscribe | Verb::Unsubscribe) || next != state,
        push: shown(state) != shown(next) || pre_approval.is_some(),
        approved: pre_approval,
    }
}

/// The contact says `verb` to the user (appendix A.3).
pub fn inbound(state: State, verb: Verb, approved: bool) -> Inbound {
    use State::*;
    if verb == Verb::Subscribe && approved && !state.seen() {
        // Pre-approved (3.4.2): granted at once, and the user is not asked.
        let state = match state {
            None | NonePendingIn => From,
            NonePendingOut | NonePendingOutIn => FromPendingOut,
            _ => Both,
        };
        return Inbound { state, deliver: false, push: true, answer: true };
    }
    let next = match (verb, state) {
        (Verb::Subscribe, None) => NonePendingIn,
        (Verb::Subscribe, NonePendingOut) => NonePendingOutIn,
        (Verb::Subscribe, To) => ToPendingIn,

        (Verb::Unsubscribe, NonePendingIn | From) => None,
        (Verb::Unsubscribe, NonePendingOutIn | FromPendingOut) => NonePendingOut,
        (Verb::Unsubscribe, ToPendingIn | Both) => To,

        (Verb::Subscribed, NonePendingOut) => To,
        (Verb::Subscribed, NonePendingOutIn) => ToPendingIn,
        (Verb::Subscribed, FromPendingOut) => Both,

        (Verb::Unsubscribed, NonePendingOut | To) => None,
        (Verb::Unsubscribed, NonePendingOutIn | ToPendingIn) => NonePendingIn,
        (Verb::Unsubscribed, FromPendingOut | Both) => From,
        _ => state,
    };
    Inbound {
        state: next,
        deliver: next != state,
        push: shown(state) != shown(next),
        answer: verb == Verb::Subscribe && state.seen(),
    }
}

/// What a roster shows of a state: "pending in" is not in it (section 2.1.2.2 and 3.1.3).
fn shown(state: State) -> (Subscription, bool) {
    (state.subscription(), state.pending_out())
}
