//! XEP-0359: the number of a kept message, told to the client, so that it can name the message later.

use crate::Xep;
use herald_session::hooks::{At, Flow, Module, Points, Stage, Stamp};
use herald_session::{Parcel, Turn};
use herald_xmpp::xml::{Element, push_attr};
use herald_xmpp::{Jid, Kind, Stanza};
use memchr::memmem;
use std::sync::Arc;

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 359,
    title: "Unique and Stable Stanza IDs",
    version: "0.7.0",
    file: "stanza_id.rs",
    notes: "Every kept message bears its number in the user's log, by the user's bare JID. A stanza-id in the user's \
            name that comes from anybody is discarded (section 3); an origin-id is left as it is. The numbers \
            count up and are told to their user alone, so section 6 (opaque ids) is not followed.",
};

const NS: &str = "urn:xmpp:sid:0";

/// Discards forged ids, and puts on the true ones.
pub struct StanzaId;

impl Module for StanzaId {
    fn register(self, points: &mut Points) {
        points.feature(At::Account, NS);
        points.arrived(Stage::Screen, discard_forged);
        points.stamp(|turn, stanza, Stamp { id, .. }| stamp(stanza, turn.user(), id));
    }
}

fn stamp(stanza: &mut Stanza, by: &Jid, id: u64) {
    let mut payload = stanza.payload.to_vec();
    payload.extend_from_slice(b"<stanza-id xmlns='urn:xmpp:sid:0' by='");
    push_attr(&mut payload, by.as_str());
    payload.extend_from_slice(format!("' id='{id}'/>").as_bytes());
    stanza.payload = payload.into();
}

/// Section 3, rule 2.
fn discard_forged(turn: &mut Turn<'_>, parcel: &mut Parcel) -> Flow {
    // The name of an element cannot be written in any other way, so most stanzas are let by unread.
    let is_message = matches!(parcel.stanza.kind, Kind::Message(_));
    if !is_message || memmem::find(&parcel.stanza.payload, b"stanza-id").is_none() {
        return Flow::Pass;
    }
    let user = turn.user();
    let in_our_name = |by: &str| by.parse::<Jid>().is_ok_and(|by| by.as_str() == user.as_str());
    let forged = |child: &Element<'_>| child.is("stanza-id", NS) && child.attr("by").is_some_and(|by| in_our_name(&by));
    if parcel.stanza.children().any(|child| forged(&child)) {
        let kept: String = parcel.stanza.children().filter(|c| !forged(c)).map(|c| c.raw()).collect();
        Arc::make_mut(&mut parcel.stanza).payload = kept.into();
    }
    Flow::Pass
}
