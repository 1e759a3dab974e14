//! XEP-0030: service discovery of the server and of accounts, from what all modules have registered.

use crate::{Xep, request};
use herald_session::hooks::{At, Flow, Identity, Module, Points, Reply, Stage};
use herald_session::{Parcel, Turn};
use herald_storage::Subscription;
use herald_xmpp::stanza::Condition;
use herald_xmpp::xml::push_attr;
use herald_xmpp::{IqType, ns};

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 30,
    title: "Service Discovery",
    version: "2.5.0",
    file: "disco.rs",
    notes: "For the server, which has no items yet, and for accounts, whose items are their available resources. \
            No nodes: `item-not-found`. Who does not see an account's presence gets `service-unavailable` for its \
            info and no items, whether it exists or not (section 8).",
};

/// Answers for the server and for accounts; resources answer for themselves.
pub struct Disco;

impl Module for Disco {
    fn register(self, points: &mut Points) {
        points.identity(At::Server, Identity { category: "server", kind: "im", name: Some("Herald") });
        points.identity(At::Account, Identity { category: "account", kind: "registered", name: None });
        points.feature(At::Server, ns::ROSTER); // of the user actor itself
        for at in [At::Server, At::Account] {
            points.feature(at, ns::DISCO_INFO);
            points.feature(at, ns::DISCO_ITEMS);
            request::on_get(points, at, "query", ns::DISCO_INFO, move |turn, iq| info(turn, at, iq));
        }
        request::on_get(points, At::Server, "query", ns::DISCO_ITEMS, |_, iq| match node(iq) {
            None => Reply::Result(query(ns::DISCO_ITEMS, None, b"")),
            Some(_) => request::refuse(Condition::ItemNotFound),
        });
        points.sent(Stage::Screen, hide_items);
        points.iq(At::Account, "query", ns::DISCO_ITEMS, items_of_account);
    }
}

/// Section 3.
fn info(turn: &Turn<'_>, at: At, iq: &Parcel) -> Reply {
    if node(iq).is_some() {
        return request::refuse(Condition::ItemNotFound);
    }
    let mut inner = Vec::new();
    for identity in turn.modules().identities(at) {
        inner.extend_from_slice(b"<identity");
        attr(&mut inner, "category", identity.category);
        attr(&mut inner, "type", identity.kind);
        if let Some(name) = identity.name {
            attr(&mut inner, "name", name);
        }
        inner.extend_from_slice(b"/>");
    }
    for var in turn.modules().features(at) {
        inner.extend_from_slice(b"<feature");
        attr(&mut inner, "var", var);
        inner.extend_from_slice(b"/>");
    }
    Reply::Result(query(ns::DISCO_INFO, None, &inner))
}

/// Section 4.1.
fn items_of_account(turn: &mut Turn<'_>, iq: &Parcel) -> Reply {
    let known = request::may_know(turn, iq);
    match (request::is(iq, IqType::Get), node(iq)) {
        (true, node) if !known => Reply::Result(query(ns::DISCO_ITEMS, node.as_deref(), b"")),
        (false, _) if !known => request::refuse(Condition::ServiceUnavailable),
        (false, _) => request::refuse(Condition::NotAllowed),
        (true, Some(_)) => request::refuse(Condition::ItemNotFound),
        (true, None) => {
            let mut inner = Vec::new();
            for resource in turn.resources().filter(|r| r.priority.is_some()) {
                inner.extend_from_slice(b"<item");
                attr(&mut inner, "jid", resource.jid.as_str());
                inner.extend_from_slice(b"/>");
            }
            Reply::Result(query(ns::DISCO_ITEMS, None, &inner))
        }
    }
}

/// Section 8: an account that does not exist has no items, and nor has one whose presence the asker does
/// not see. The first cannot answer by itself, so both are answered here, where it is asked.
fn hide_items(turn: &mut Turn<'_>, parcel: &mut Parcel) -> Flow {
    let asks_for_items = request::is(parcel, IqType::Get)
        && request::is_for_other_account(turn, parcel)
        && request::payload(parcel).is_some_and(|p| p.is("query", ns::DISCO_ITEMS));
    let sees = |turn: &Turn<'_>, parcel: &Parcel| {
        parcel.to().is_some_and(|to| matches!(turn.subscription(to), Subscription::To | Subscription::Both))
    };
    if !asks_for_items || sees(turn, parcel) {
        return Flow::Pass;
    }
    let nothing = query(ns::DISCO_ITEMS, node(parcel).as_deref(), b"");
    turn.reply(parcel, Reply::Result(nothing));
    Flow::Drop
}

/// The node that is asked about.
fn node(iq: &Parcel) -> Option<String> {
    Some(request::payload(iq)?.attr("node")?.into_owned())
}

/// A result, with the node mirrored (sections 3.2 and 4.2).
fn query(ns: &str, node: Option<&str>, inner: &[u8]) -> bytes::Bytes {
    let mut out = Vec::from(b"<query");
    attr(&mut out, "xmlns", ns);
    if let Some(node) = node {
        attr(&mut out, "node", node);
    }
    out.push(b'>');
    out.extend_from_slice(inner);
    out.extend_from_slice(b"</query>");
    out.into()
}

fn attr(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"='");
    push_attr(out, value);
    out.push(b'\'');
}
