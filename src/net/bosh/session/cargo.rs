//! What a session carries down and up, and the queues for it.

use crate::net::login::Question;
use bytes::Bytes;
use herald_bosh::Item;
use herald_session::Delivery;
use herald_xmpp::Stanza;
use std::collections::VecDeque;
use std::sync::Arc;

/// A queue that is empty almost always, and takes one word then.
#[allow(clippy::box_collection)] // one word instead of four: there are as many of these as sessions
pub(super) struct Line<T>(Option<Box<VecDeque<T>>>);

impl<T> Default for Line<T> {
    fn default() -> Line<T> {
        Line(None)
    }
}

impl<T> Line<T> {
    pub(super) fn push_back(&mut self, item: T) {
        self.0.get_or_insert_default().push_back(item);
    }
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let item = self.0.as_mut()?.pop_front();
        self.0.take_if(|line| line.is_empty());
        item
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
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
