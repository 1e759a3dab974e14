//! RFC 6121 section 8.5 and its table 1, written by hand from the text.

use herald_session::delivery::{Address, Candidate, Choice, choose, non_negative};
use herald_xmpp::{IqType, Kind, MessageType, PresenceType};

/// Priorities of the bound resources; `C` is connected, not available.
const C: Option<i8> = None;

const BARE: Address = Address::Bare;
const GONE: Address = Address::Full(None);
const fn at(place: usize) -> Address {
    Address::Full(Some(place))
}

fn to(places: &[usize]) -> Choice {
    Choice::Resources(places.iter().copied().collect())
}

fn check(kind: Kind, address: Address, priorities: &[Option<i8>], expected: Choice) {
    let resources: Vec<_> = priorities.iter().map(|p| Candidate { priority: *p }).collect();
    assert_eq!(choose(kind, address, &resources), expected, "{kind:?} to {address:?} with {priorities:?}");
}

/// Table 1, its rows from "account exists, but no active resources" on. Columns: normal, chat,
/// groupchat, headline; then error (8.5.2.1.1: always silently ignored, but delivered to a match).
#[test]
fn messages_are_table_1() {
    use Choice::{Bounce, Ignore, Offline};
    type Row = (&'static [Option<i8>], Address, [Choice; 5]);
    #[rustfmt::skip]
    let rows: &[Row] = &[
        // no active resources: none bound, or connected without presence
        (&[], BARE,                    [Offline,    Offline,    Bounce,  Ignore,     Ignore]),
        (&[], GONE,                    [Bounce,     Offline,    Bounce,  Ignore,     Ignore]),
        (&[C], BARE,                   [Offline,    Offline,    Bounce,  Ignore,     Ignore]),
        (&[C], at(0),                  [to(&[0]),   to(&[0]),   to(&[0]), to(&[0]),  to(&[0])]),
        // one or more negative, none that is not
        (&[Some(-1)], BARE,            [Offline,    Offline,    Bounce,  Ignore,     Ignore]),
        (&[Some(-1), Some(-9)], BARE,  [Offline,    Offline,    Bounce,  Ignore,     Ignore]),
        (&[Some(-1)], at(0),           [to(&[0]),   to(&[0]),   to(&[0]), to(&[0]),  to(&[0])]),
        (&[Some(-1)], GONE,            [Bounce,     Offline,    Bounce,  Ignore,     Ignore]),
        // one that is not negative
        (&[Some(0)], BARE,             [to(&[0]),   to(&[0]),   Bounce,  to(&[0]),   Ignore]),
        (&[Some(0)], at(0),            [to(&[0]),   to(&[0]),   to(&[0]), to(&[0]),  to(&[0])]),
        (&[Some(0)], GONE,             [Bounce,     to(&[0]),   Bounce,  Ignore,     Ignore]),
        (&[Some(-1), C, Some(5)], BARE, [to(&[2]),  to(&[2]),   Bounce,  to(&[2]),   Ignore]),
        // more than one that is not negative
        (&[Some(1), Some(5), Some(0)], BARE, [to(&[1]), to(&[1]), Bounce, to(&[0, 1, 2]), Ignore]),
        (&[Some(5), Some(-1), Some(5), C], BARE, [to(&[0, 2]), to(&[0, 2]), Bounce, to(&[0, 2]), Ignore]),
        (&[Some(1), Some(5)], at(0),   [to(&[0]),   to(&[0]),   to(&[0]), to(&[0]),  to(&[0])]),
        (&[Some(1), Some(5)], GONE,    [Bounce,     to(&[1]),   Bounce,  Ignore,     Ignore]),
    ];
    use MessageType::{Chat, Error, Groupchat, Headline, Normal};
    for (priorities, address, expected) in rows {
        for (kind, expected) in [Normal, Chat, Groupchat, Headline, Error].into_iter().zip(expected) {
            check(Kind::Message(kind), *address, priorities, expected.clone());
        }
    }
}

/// 8.5.2.1.2, 8.5.2.2.2, 8.5.3.1, 8.5.3.2.2.
#[test]
fn presence() {
    use PresenceType::{Available, Error, Probe, Subscribe, Subscribed, Unavailable, Unsubscribe, Unsubscribed};
    let some = [C, Some(-1), Some(3)];
    for kind in [Available, Unavailable] {
        check(Kind::Presence(kind), BARE, &some, to(&[1, 2])); // all available ones, negative too
        check(Kind::Presence(kind), BARE, &[C], Choice::Ignore);
        check(Kind::Presence(kind), BARE, &[], Choice::Ignore);
        check(Kind::Presence(kind), at(1), &some, to(&[1]));
        check(Kind::Presence(kind), GONE, &some, Choice::Ignore);
    }
    for kind in [Subscribe, Subscribed, Unsubscribe, Unsubscribed, Probe] {
        for (address, resources) in [(BARE, &some[..]), (BARE, &[]), (at(1), &some), (GONE, &[])] {
            check(Kind::Presence(kind), address, resources, Choice::Server);
        }
    }
    check(Kind::Presence(Error), BARE, &some, Choice::Ignore);
    check(Kind::Presence(Error), at(0), &some, to(&[0]));
    check(Kind::Presence(Error), GONE, &some, Choice::Ignore);
}

/// 8.5.2.1.3, 8.5.2.2.3, 8.5.3.1, 8.5.3.2.3.
#[test]
fn iq() {
    for kind in [IqType::Get, IqType::Set] {
        check(Kind::Iq(kind), BARE, &[Some(0)], Choice::Server);
        check(Kind::Iq(kind), BARE, &[], Choice::Server);
        check(Kind::Iq(kind), at(0), &[C], to(&[0]));
        check(Kind::Iq(kind), GONE, &[Some(0)], Choice::Bounce);
        check(Kind::Iq(kind), GONE, &[], Choice::Bounce);
    }
    for kind in [IqType::Result, IqType::Error] {
        check(Kind::Iq(kind), BARE, &[Some(0)], Choice::Ignore);
        check(Kind::Iq(kind), at(0), &[Some(0)], to(&[0]));
        check(Kind::Iq(kind), GONE, &[Some(0)], Choice::Ignore);
    }
}

#[test]
fn a_push_goes_to_everyone_who_is_not_negative() {
    let resources = [Some(1), Some(-1), None, Some(0)].map(|priority| Candidate { priority });
    assert_eq!(non_negative(&resources).as_slice(), [0, 3]);
}
