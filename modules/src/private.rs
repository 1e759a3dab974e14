//! XEP-0049: private XML storage.
//!
//! All of a user's is one value in the store, elements one behind the other: so one bound holds for all
//! of it, and a set with several elements is one write.

use crate::{Xep, request};
use bytes::Bytes;
use herald_session::hooks::{At, Module, Points, Reply};
use herald_session::{Parcel, Turn};
use herald_xmpp::stanza::Condition;
use herald_xmpp::xml::{Children, Element, Scope};
use herald_xmpp::{IqType, ns};
use std::collections::HashSet;

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 49,
    title: "Private XML Storage",
    version: "1.2",
    file: "private.rs",
    notes: "A get has all elements of its namespace; a set takes the place of those of the same name. Another \
            user's: `forbidden`. No element, several namespaces, or a reserved one: `not-acceptable`. At most \
            256 KiB for a user, else `policy-violation`.",
};

/// What one user may keep in all, in bytes of XML. A set that makes it more changes nothing and is
/// refused with `policy-violation`.
pub const PRIVATE_BYTES_MAX: usize = 262_144;

/// Keeps what a client wants kept.
pub struct PrivateXml;

impl Module for PrivateXml {
    fn register(self, points: &mut Points) {
        points.feature(At::Server, ns::PRIVATE);
        request::only_for_own(points, "query", ns::PRIVATE, &[IqType::Get, IqType::Set]);
        points.iq(At::Account, "query", ns::PRIVATE, |turn, iq| {
            if !turn.is_owner(iq.from()) {
                return request::refuse(Condition::Forbidden); // section 2.3
            }
            let Some(query) = request::payload(iq) else { return request::refuse(Condition::BadRequest) };
            match namespace(&query) {
                None => request::refuse(Condition::NotAcceptable),
                Some(ns) if request::is(iq, IqType::Get) => get(turn, iq, ns, &query),
                Some(ns) => set(turn, iq, ns, &query),
            }
        });
    }
}

/// The one namespace of the children, when it is one and not reserved (sections 2.3 and 3).
fn namespace(query: &Element<'_>) -> Option<String> {
    let mut namespaces = query.children().map(|child| child.ns().to_owned());
    let ns = namespaces.next()?;
    let reserved =
        ns.is_empty() || ns == ns::VCARD || ns.starts_with("jabber:") || ns.starts_with("http://jabber.org/");
    (!reserved && namespaces.all(|other| other == ns)).then_some(ns)
}

fn get(turn: &mut Turn<'_>, iq: &Parcel, ns: String, query: &Element<'_>) -> Reply {
    // Nothing of that namespace: what was asked, empty.
    let asked: String = query.children().map(|child| child.self_contained().into_owned()).collect();
    let iq = iq.clone();
    turn.load(ns::PRIVATE, "", move |turn, kept| {
        let reply = match kept {
            Ok(kept) => {
                let kept = kept.unwrap_or_default();
                let found: String = elements(&kept).filter(|e| e.ns() == ns).map(|e| e.raw()).collect();
                let shown = if found.is_empty() { &asked } else { &found };
                Reply::Result(format!("<query xmlns='jabber:iq:private'>{shown}</query>").into())
            }
            Err(why) => request::store_failed(&why),
        };
        turn.reply(&iq, reply);
    });
    Reply::Later
}

fn set(turn: &mut Turn<'_>, iq: &Parcel, ns: String, query: &Element<'_>) -> Reply {
    let names: HashSet<String> = query.children().map(|child| child.name().to_owned()).collect();
    let new: String = query.children().filter(|c| !is_empty(c)).map(|c| c.self_contained().into_owned()).collect();
    if new.len() > PRIVATE_BYTES_MAX {
        return request::too_much(PRIVATE_BYTES_MAX);
    }
    let iq = iq.clone();
    turn.load(ns::PRIVATE, "", move |turn, kept| {
        let kept = match kept {
            Ok(kept) => kept.unwrap_or_default(),
            Err(why) => return turn.reply(&iq, request::store_failed(&why)),
        };
        let stays = |e: &Element<'_>| e.ns() != ns || !names.contains(e.name());
        let mut all: String = elements(&kept).filter(stays).map(|e| e.raw()).collect();
        all += &new;
        if all.len() > PRIVATE_BYTES_MAX {
            return turn.reply(&iq, request::too_much(PRIVATE_BYTES_MAX));
        }
        let all = (!all.is_empty()).then(|| Bytes::from(all));
        turn.save(ns::PRIVATE, "", all, move |turn, saved| {
            let reply = match saved {
                Ok(()) => Reply::Result(Bytes::new()),
                Err(why) => request::store_failed(&why),
            };
            turn.reply(&iq, reply);
        });
    });
    Reply::Later
}

/// What is kept: elements that declare all they need.
fn elements(kept: &[u8]) -> Children<'_> {
    Children::of(std::str::from_utf8(kept).unwrap_or_default(), Scope::NONE)
}

/// Says nothing, as what a get has when nothing is kept: not worth keeping.
fn is_empty(element: &Element<'_>) -> bool {
    element.inner().is_empty() && element.attrs().next().is_none()
}
