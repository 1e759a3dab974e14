//! What a session carries down and up, and the queues for it.

use crate::net::login::Question;
use bytes::Bytes;
use herald_bosh::{Item, Payload};
use herald_session::Delivery;
use herald_xmpp::Stanza;
use std::collections::VecDeque;
use std::sync::Arc;

/// What waits for something: nothing almost always, and one word then.
#[derive(Default)]
pub(super) struct Backlog(Option<Box<Queues>>);

#[derive(Default)]
struct Queues {
    held: VecDeque<Payload>,
    up: VecDeque<Up>,
}

impl Backlog {
    /// Payload that came while the stream machine waits for an answer.
    pub(super) fn hold(&mut self, payload: Payload) {
        self.0.get_or_insert_default().held.push_back(payload);
    }

    pub(super) fn next_held(&mut self) -> Option<Payload> {
        let payload = self.0.as_mut()?.held.pop_front();
        self.tidy();
        payload
    }

    /// What has to be waited for, in order.
    pub(super) fn push_up(&mut self, up: Up) {
        self.0.get_or_insert_default().up.push_back(up);
    }

    pub(super) fn next_up(&mut self) -> Option<Up> {
        let up = self.0.as_mut()?.up.pop_front();
        self.tidy();
        up
    }

    pub(super) fn nothing_up(&self) -> bool {
        self.0.as_ref().is_none_or(|queues| queues.up.is_empty())
    }

    fn tidy(&mut self) {
        self.0.take_if(|queues| queues.held.is_empty() && queues.up.is_empty());
    }
}

/// What travels down.
pub(super) enum Down {
    /// Of the stream itself: features, SASL, errors.
    Xml(Bytes),
    Delivery(Delivery),
}

/// What has to be waited for.
pub(super) enum Up {
    Stanza(Arc<Stanza>),
    Ask(Question),
    /// The session is over: what it could not deliver goes back.
    Unbind(Vec<Delivery>),
}

impl Item for Down {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Down::Xml(xml) => out.extend_from_slice(xml),
            Down::Delivery(d) => d.stanza.write(d.to.as_ref(), true, out),
        }
    }
    fn bytes_len(&self) -> usize {
        match self {
            Down::Xml(xml) => xml.len(),
            Down::Delivery(d) => d.stanza.bytes_len(),
        }
    }
    fn matters(&self) -> bool {
        matches!(self, Down::Delivery(_))
    }
}
