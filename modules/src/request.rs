//! What several features ask of an iq.

use herald_session::hooks::{At, Flow, Points, Reply, Stage};
use herald_session::{Parcel, Turn};
use herald_storage::{StoreError, Subscription};
use herald_xmpp::stanza::Condition;
use herald_xmpp::xml::Element;
use herald_xmpp::{IqType, Jid, Kind, StanzaError};

/// Answers a get; a set is `not-allowed`. An account answers only those who see its presence: others
/// hear `service-unavailable`, as from an account that is not there (RFC 6121 section 8.5.1).
pub(crate) fn on_get(
    points: &mut Points,
    at: At,
    name: &'static str,
    ns: &'static str,
    answer: impl Fn(&mut Turn<'_>, &Parcel) -> Reply + Send + Sync + 'static,
) {
    points.iq(at, name, ns, move |turn, iq| match at {
        At::Account if !may_know(turn, iq) => refuse(Condition::ServiceUnavailable),
        _ if is(iq, IqType::Get) => answer(turn, iq),
        _ => refuse(Condition::NotAllowed),
    });
}

/// A request with this payload for the account of another user is `forbidden` before it leaves, so that
/// the answer does not tell whether there is such an account.
pub(crate) fn only_for_own(points: &mut Points, name: &'static str, ns: &'static str, kinds: &'static [IqType]) {
    points.sent(Stage::Screen, move |turn, parcel| {
        let asked = kinds.iter().any(|kind| is(parcel, *kind)) && is_for_other_account(turn, parcel);
        match asked && payload(parcel).is_some_and(|p| p.is(name, ns)) {
            true => Flow::Bounce(StanzaError::new(Condition::Forbidden)),
            false => Flow::Pass,
        }
    });
}

/// Is it for the bare JID of another user of ours?
pub(crate) fn is_for_other_account(turn: &Turn<'_>, parcel: &Parcel) -> bool {
    let is_local_account = |to: &Jid| to.is_bare() && to.local().is_some() && to.domain() == turn.domain();
    parcel.to().is_some_and(|to| is_local_account(to) && !turn.is_owner(Some(to)))
}

/// May who asks know that this account exists: its owner, and all who see its presence?
pub(crate) fn may_know(turn: &Turn<'_>, iq: &Parcel) -> bool {
    iq.from().is_none_or(|from| matches!(turn.subscription(from), Subscription::From | Subscription::Both))
}

/// Is it an iq of that type?
pub(crate) fn is(parcel: &Parcel, kind: IqType) -> bool {
    parcel.stanza.kind == Kind::Iq(kind)
}

/// What the iq carries.
pub(crate) fn payload(iq: &Parcel) -> Option<Element<'_>> {
    iq.stanza.children().next()
}

pub(crate) fn refuse(condition: Condition) -> Reply {
    Reply::Error(StanzaError::new(condition))
}

/// More than the account may keep.
pub(crate) fn too_much(bytes_max: usize) -> Reply {
    let text = format!("No more than {bytes_max} bytes are kept.");
    Reply::Error(StanzaError::new(Condition::PolicyViolation).with_text(text))
}

/// The store did not do it.
pub(crate) fn store_failed(why: &StoreError) -> Reply {
    match why {
        StoreError::Busy => refuse(Condition::ResourceConstraint),
        _ => {
            tracing::error!(%why, "a request of a client failed in the store");
            refuse(Condition::InternalServerError)
        }
    }
}
