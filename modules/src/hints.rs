//! XEP-0334: what the sender of a message says about keeping it.

use crate::Xep;
use herald_session::hooks::{Module, Offline, Points};
use herald_xmpp::{Kind, MessageType, Stanza};
use memchr::memmem;

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 334,
    title: "Message Processing Hints",
    version: "1.0.0",
    file: "hints.rs",
    notes: "`<no-store/>`: it is never kept, so it reaches who is there, without a number. `<store/>`: it is kept when \
            nobody takes it, and for who follows the log, whatever it holds. Hints in an error are passed over \
            (section 5). Not yet: `<no-permanent-store/>` and `<no-copy/>`. A backend's `store` has the last word.",
};

const NS: &str = "urn:xmpp:hints";

/// Decides before the rules of [`offline`](crate::offline) do.
pub struct Hints;

impl Module for Hints {
    fn register(self, points: &mut Points) {
        points.offline(|_, parcel| match parcel.stanza.kind {
            Kind::Message(MessageType::Error | MessageType::Groupchat) => Offline::Pass,
            _ if has(&parcel.stanza, "no-store") => Offline::Drop,
            _ if has(&parcel.stanza, "store") => Offline::Keep { expires_ms: None },
            _ => Offline::Pass,
        });
    }
}

fn has(message: &Stanza, hint: &str) -> bool {
    memmem::find(&message.payload, NS.as_bytes()).is_some() && message.child(hint, NS).is_some()
}
