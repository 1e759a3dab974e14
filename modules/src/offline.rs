//! XEP-0160: which messages are kept for who is not there. Keeping them, in order and durably, is the
//! work of the user actor; [`delay`](crate::delay) stamps them.

use crate::Xep;
use herald_session::hooks::{At, Module, Offline, Points};
use herald_xmpp::{Kind, MessageType, Stanza, ns};

/// What is here of it.
pub const XEP: Xep = Xep {
    number: 160,
    title: "Best Practices for Handling Offline Messages",
    version: "1.0.1",
    file: "offline.rs",
    notes: "Kept: normal, and chat that is more than a chat state (XEP-0085); what is only that is let go \
            quietly. Never kept: groupchat, headline, error. Kept too, for a user who is there: what finds no room \
            in a connection that does not keep up.",
};

const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";

/// Keeps messages of the types of section 3.
pub struct OfflineMessages;

impl Module for OfflineMessages {
    fn register(self, points: &mut Points) {
        points.feature(At::Server, "msgoffline");
        points.offline(|_, parcel| match parcel.stanza.kind {
            Kind::Message(MessageType::Normal) => Offline::Keep { expires_ms: None },
            Kind::Message(MessageType::Chat) if !is_only_chat_state(&parcel.stanza) => {
                Offline::Keep { expires_ms: None }
            }
            // An error in answer to a chat state would tell a stranger who is there.
            Kind::Message(MessageType::Chat | MessageType::Headline | MessageType::Error) => Offline::Drop,
            _ => Offline::Pass,
        });
    }
}

/// XEP-0085 section 5.1: a standalone notification has a chat state, perhaps a thread, and nothing else.
fn is_only_chat_state(message: &Stanza) -> bool {
    let mut states = 0;
    message.children().all(|child| {
        let is_state = child.ns() == CHAT_STATES;
        states += u32::from(is_state);
        is_state || child.is("thread", ns::CLIENT)
    }) && states > 0
}
