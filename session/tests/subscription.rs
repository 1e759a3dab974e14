//! Appendix A of RFC 6121, row by row, written by hand from its tables A.2.1 to A.3.4.

use herald_session::subscription::State::*;
use herald_session::subscription::{State, Verb, inbound, outbound};

/// (existing state, new state, is it routed?, is the roster pushed?)
type Out = (State, State, bool, bool);
/// (existing state, new state, is it delivered?, is the roster pushed?, does the server answer?)
type In = (State, State, bool, bool, bool);

#[rustfmt::skip]
const OUTBOUND_SUBSCRIBE: [Out; 9] = [ // A.2.1
    (None,             NonePendingOut,   true, true),
    (NonePendingOut,   NonePendingOut,   true, false),
    (NonePendingIn,    NonePendingOutIn, true, true),
    (NonePendingOutIn, NonePendingOutIn, true, false),
    (To,               To,               true, false),
    (ToPendingIn,      ToPendingIn,      true, false),
    (From,             FromPendingOut,   true, true),
    (FromPendingOut,   FromPendingOut,   true, false),
    (Both,             Both,             true, false),
];

#[rustfmt::skip]
const OUTBOUND_UNSUBSCRIBE: [Out; 9] = [ // A.2.2
    (None,             None,          true, false),
    (NonePendingOut,   None,          true, true),
    (NonePendingIn,    NonePendingIn, true, false),
    (NonePendingOutIn, NonePendingIn, true, true),
    (To,               None,          true, true),
    (ToPendingIn,      NonePendingIn, true, true),
    (From,             From,          true, false),
    (FromPendingOut,   From,          true, true),
    (Both,             From,          true, true),
];

#[rustfmt::skip]
const OUTBOUND_SUBSCRIBED: [Out; 9] = [ // A.2.3; None, None + Pending Out and To are pre-approval, see below
    (None,             None,           false, true),
    (NonePendingOut,   NonePendingOut, false, true),
    (NonePendingIn,    From,           true,  true),
    (NonePendingOutIn, FromPendingOut, true,  true),
    (To,               To,             false, true),
    (ToPendingIn,      Both,           true,  true),
    (From,             From,           false, false),
    (FromPendingOut,   FromPendingOut, false, false),
    (Both,             Both,           false, false),
];

#[rustfmt::skip]
const OUTBOUND_UNSUBSCRIBED: [Out; 9] = [ // A.2.4; a denied request was never in the roster: no push
    (None,             None,           false, false),
    (NonePendingOut,   NonePendingOut, false, false),
    (NonePendingIn,    None,           true,  false),
    (NonePendingOutIn, NonePendingOut, true,  false),
    (To,               To,             false, false),
    (ToPendingIn,      To,             true,  false),
    (From,             None,           true,  true),
    (FromPendingOut,   NonePendingOut, true,  true),
    (Both,             To,             true,  true),
];

#[rustfmt::skip]
const INBOUND_SUBSCRIBE: [In; 9] = [ // A.3.1; who is granted already is told so again
    (None,             NonePendingIn,    true,  false, false),
    (NonePendingOut,   NonePendingOutIn, true,  false, false),
    (NonePendingIn,    NonePendingIn,    false, false, false),
    (NonePendingOutIn, NonePendingOutIn, false, false, false),
    (To,               ToPendingIn,      true,  false, false),
    (ToPendingIn,      ToPendingIn,      false, false, false),
    (From,             From,             false, false, true),
    (FromPendingOut,   FromPendingOut,   false, false, true),
    (Both,             Both,             false, false, true),
];

#[rustfmt::skip]
const INBOUND_UNSUBSCRIBE: [In; 9] = [ // A.3.2
    (None,             None,           false, false, false),
    (NonePendingOut,   NonePendingOut, false, false, false),
    (NonePendingIn,    None,           true,  false, false),
    (NonePendingOutIn, NonePendingOut, true,  false, false),
    (To,               To,             false, false, false),
    (ToPendingIn,      To,             true,  false, false),
    (From,             None,           true,  true,  false),
    (FromPendingOut,   NonePendingOut, true,  true,  false),
    (Both,             To,             true,  true,  false),
];

#[rustfmt::skip]
const INBOUND_SUBSCRIBED: [In; 9] = [ // A.3.3
    (None,             None,          false, false, false),
    (NonePendingOut,   To,            true,  true,  false),
    (NonePendingIn,    NonePendingIn, false, false, false),
    (NonePendingOutIn, ToPendingIn,   true,  true,  false),
    (To,               To,            false, false, false),
    (ToPendingIn,      ToPendingIn,   false, false, false),
    (From,             From,          false, false, false),
    (FromPendingOut,   Both,          true,  true,  false),
    (Both,             Both,          false, false, false),
];

#[rustfmt::skip]
const INBOUND_UNSUBSCRIBED: [In; 9] = [ // A.3.4
    (None,             None,          false, false, false),
    (NonePendingOut,   None,          true,  true,  false),
    (NonePendingIn,    NonePendingIn, false, false, false),
    (NonePendingOutIn, NonePendingIn, true,  true,  false),
    (To,               None,          true,  true,  false),
    (ToPendingIn,      NonePendingIn, true,  true,  false),
    (From,             From,          false, false, false),
    (FromPendingOut,   From,          true,  true,  false),
    (Both,             From,          true,  true,  false),
];

#[test]
fn outbound_is_the_table() {
    for (verb, table) in [
        (Verb::Subscribe, OUTBOUND_SUBSCRIBE),
        (Verb::Unsubscribe, OUTBOUND_UNSUBSCRIBE),
        (Verb::Subscribed, OUTBOUND_SUBSCRIBED),
        (Verb::Unsubscribed, OUTBOUND_UNSUBSCRIBED),
    ] {
        for (i, (existing, new, route, push)) in table.into_iter().enumerate() {
            assert_eq!(existing, State::ALL[i], "the table names every state once, in order");
            let got = outbound(existing, verb, false);
            assert_eq!((got.state, got.route, got.push), (new, route, push), "{verb:?} sent in {existing:?}");
        }
    }
}

#[test]
fn inbound_is_the_table() {
    for (verb, table) in [
        (Verb::Subscribe, INBOUND_SUBSCRIBE),
        (Verb::Unsubscribe, INBOUND_UNSUBSCRIBE),
        (Verb::Subscribed, INBOUND_SUBSCRIBED),
        (Verb::Unsubscribed, INBOUND_UNSUBSCRIBED),
    ] {
        for (i, (existing, new, deliver, push, answer)) in table.into_iter().enumerate() {
            assert_eq!(existing, State::ALL[i], "the table names every state once, in order");
            let got = inbound(existing, verb, false);
            assert_eq!(
                (got.state, got.deliver, got.push, got.answer),
                (new, deliver, push, answer),
                "{verb:?} received in {existing:?}"
            );
        }
    }
}

/// Section 3.4: an approval before the request.
#[test]
fn pre_approval() {
    // (state, approved already?, what `subscribed` does to the approval)
    for (state, approved, then) in [
        (None, false, Some(true)),
        (NonePendingOut, false, Some(true)),
        (To, false, Some(true)),
        (None, true, Option::None),
        (NonePendingIn, false, Option::None), // this one is asked for: it is granted, not pre-approved
        (From, false, Option::None),
        (Both, false, Option::None),
    ] {
        assert_eq!(outbound(state, Verb::Subscribed, approved).approved, then, "{state:?} {approved}");
    }
    // `unsubscribed` takes it back, and shows it in the roster, but is not for the contact to know.
    let back = outbound(None, Verb::Unsubscribed, true);
    assert_eq!((back.approved, back.push, back.route, back.state), (Some(false), true, false, None));
    // The request comes: granted without asking the user.
    for (state, new) in
        [(None, From), (NonePendingOut, FromPendingOut), (To, Both), (NonePendingIn, From), (ToPendingIn, Both)]
    {
        let got = inbound(state, Verb::Subscribe, true);
        assert_eq!((got.state, got.deliver, got.push, got.answer), (new, false, true, true), "{state:?}");
    }
    // Where it is granted already the approval changes nothing.
    let again = inbound(Both, Verb::Subscribe, true);
    assert_eq!((again.state, again.deliver, again.push, again.answer), (Both, false, false, true));
}

/// The parts of a state say which it is.
#[test]
fn parts_make_the_state() {
    for state in State::ALL {
        assert_eq!(State::new(state.subscription(), state.pending_out(), state.pending_in()), state);
    }
}
