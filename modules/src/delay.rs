//! XEP-0203: delayed delivery. Stamps what was kept, and discards stamps that others made in our name.

use crate::Xep;
use crate::time::date_time;
use herald_session::hooks::{Flow, Module, Points, Stage};
use herald_session::{Parcel, Turn};
use herald_xmpp::xml::{Element, push_attr, push_text};
use herald_xmpp::{Jid, Stanza, ns};
use memchr::memmem;
use std::sync::Arc;

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 203,
    title: "Delayed Delivery",
    version: "2.0",
    file: "delay.rs",
    notes: "Kept messages are stamped by the domain, to the millisecond. A stamp in the domain's name that \
            comes from anybody else is discarded (section 6).",
};

/// Discards forged stamps, and stamps kept messages when they are given out.
pub struct Delay;

impl Module for Delay {
    fn register(self, points: &mut Points) {
        points.arrived(Stage::Screen, discard_forged);
        points.stamp(|turn, stanza, kept| {
            if kept.late {
                stamp(stanza, turn.domain(), kept.at_ms, "Offline Storage");
            }
        });
    }
}

/// Adds a stamp: delayed by `from` since `unix_ms` (section 2), with words for a human.
pub fn stamp(stanza: &mut Stanza, from: &str, unix_ms: i64, why: &str) {
    let mut payload = stanza.payload.to_vec();
    payload.extend_from_slice(b"<delay xmlns='urn:xmpp:delay' from='");
    push_attr(&mut payload, from);
    payload.extend_from_slice(b"' stamp='");
    payload.extend_from_slice(date_time(unix_ms).as_bytes());
    payload.extend_from_slice(b"'>");
    push_text(&mut payload, why);
    payload.extend_from_slice(b"</delay>");
    stanza.payload = payload.into();
}

/// Section 6: only we say that we delayed something.
fn discard_forged(turn: &mut Turn<'_>, parcel: &mut Parcel) -> Flow {
    // The name of an element cannot be written in any other way, so most stanzas are let by unread.
    if memmem::find(&parcel.stanza.payload, b"delay").is_none() {
        return Flow::Pass;
    }
    let domain = turn.domain();
    let from_us = parcel.from().is_some_and(|from| is_domain(from, domain));
    let forged = |child: &Element<'_>| {
        let in_name_of = || child.attr("from").and_then(|from| from.parse().ok());
        child.is("delay", ns::DELAY) && in_name_of().is_some_and(|from: Jid| is_domain(&from, domain))
    };
    if !from_us && parcel.stanza.children().any(|child| forged(&child)) {
        let kept: String = parcel.stanza.children().filter(|c| !forged(c)).map(|c| c.raw()).collect();
        Arc::make_mut(&mut parcel.stanza).payload = kept.into();
    }
    Flow::Pass
}

fn is_domain(jid: &Jid, domain: &str) -> bool {
    jid.is_bare() && jid.local().is_none() && jid.domain() == domain
}
