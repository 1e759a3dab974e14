//! XEP-0054: vcard-temp. The account answers for its user, whether they are there or not.

use crate::{Xep, request};
use bytes::Bytes;
use herald_session::hooks::{At, Module, Points, Reply};
use herald_session::{Parcel, Turn};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{IqType, ns};

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 54,
    title: "vcard-temp",
    version: "1.3.0",
    file: "vcard.rs",
    notes: "No own vCard: `item-not-found`. No vCard of another, or no such user: `service-unavailable`. To set \
            another's is `forbidden`. At most 128 KiB, else `policy-violation`. The server has none of its own.",
};

/// The largest vCard, in bytes of XML. A larger one is refused with `policy-violation`.
pub const VCARD_BYTES_MAX: usize = 131_072;

/// Keeps and shows vCards.
pub struct VcardTemp;

impl Module for VcardTemp {
    fn register(self, points: &mut Points) {
        for at in [At::Server, At::Account] {
            points.feature(at, ns::VCARD);
        }
        request::only_for_own(points, "vCard", ns::VCARD, &[IqType::Set]);
        points.iq(At::Account, "vCard", ns::VCARD, |turn, iq| match request::is(iq, IqType::Get) {
            true => show(turn, iq),
            false if turn.is_owner(iq.from()) => keep(turn, iq),
            false => request::refuse(Condition::Forbidden), // section 3.2
        });
    }
}

/// Sections 3.1 and 3.3.
fn show(turn: &mut Turn<'_>, iq: &Parcel) -> Reply {
    // Strangers must not learn whether there is such a user.
    let own = turn.is_owner(iq.from());
    let none = if own { Condition::ItemNotFound } else { Condition::ServiceUnavailable };
    let iq = iq.clone();
    turn.load(ns::VCARD, "", move |turn, card| {
        let reply = match card {
            Ok(Some(card)) => Reply::Result(card),
            Ok(None) => request::refuse(none),
            Err(why) => request::store_failed(&why),
        };
        turn.reply(&iq, reply);
    });
    Reply::Later
}

/// Section 3.2: always the whole vCard.
fn keep(turn: &mut Turn<'_>, iq: &Parcel) -> Reply {
    let Some(card) = request::payload(iq) else { return request::refuse(Condition::BadRequest) };
    let card = Bytes::from(card.self_contained().into_owned());
    if card.len() > VCARD_BYTES_MAX {
        return request::too_much(VCARD_BYTES_MAX);
    }
    let iq = iq.clone();
    turn.save(ns::VCARD, "", Some(card), move |turn, saved| {
        let reply = match saved {
            Ok(()) => Reply::Result(Bytes::new()),
            Err(why) => request::store_failed(&why),
        };
        turn.reply(&iq, reply);
    });
    Reply::Later
}
