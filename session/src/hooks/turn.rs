//! What a hook sees and what it may ask.

use super::{Modules, Reply};
use crate::clock::Now;
use crate::link::{Binding, LinkInfo, Parcel, Receipt};
use crate::user::{Answer, Query, User};
use bytes::Bytes;
use herald_storage::{StoreError, Subscription};
use herald_xmpp::{BareJid, FullJid, Jid, Stanza};
use std::sync::Arc;
use std::time::Instant;

/// One piece of mail being handled, for one user.
pub struct Turn<'a> {
    pub(crate) user: &'a mut User,
    pub(crate) now: Now,
}

/// A bound resource, as hooks see it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name for as long as it is bound.
    pub binding: Binding,
    /// Its address.
    pub jid: FullJid,
    /// Its priority; `None` while it is not available.
    pub priority: Option<i8>,
    /// Has it asked for the roster?
    pub interested: bool,
    /// How it is connected.
    pub link: LinkInfo,
}

impl Turn<'_> {
    /// The time.
    pub fn now(&self) -> Now {
        self.now
    }
    /// Whose actor this is.
    pub fn user(&self) -> &BareJid {
        self.user.jid()
    }
    /// Our domain.
    pub fn domain(&self) -> &str {
        &self.user.settings().domain
    }
    /// All features there are.
    pub fn modules(&self) -> &Modules {
        self.user.modules()
    }
    /// The user's bound resources.
    pub fn resources(&self) -> impl Iterator<Item = Resource> + '_ {
        self.user.resource_views()
    }
    /// Is this the user themself, with any of their resources?
    pub fn is_owner(&self, who: Option<&Jid>) -> bool {
        who.is_none_or(|j| j.bare_str() == self.user.jid().as_str())
    }
    /// Who sees whose presence, seen from this user.
    pub fn subscription(&self, contact: &Jid) -> Subscription {
        self.user.subscription_with(contact)
    }

    /// This feature's memory of this user, made when it is not there.
    ///
    /// It is lost when the actor stops for lack of mail, or breaks: what must last goes to the store.
    pub fn slot<T: Default + Send + 'static>(&mut self) -> &mut T {
        self.user.slot()
    }
    /// The same, when it is there.
    pub fn peek<T: Send + 'static>(&self) -> Option<&T> {
        self.user.peek()
    }
    /// Frees it.
    pub fn clear<T: Send + 'static>(&mut self) {
        self.user.clear::<T>();
    }

    /// Asks to hand a stanza to one resource of this user. Nothing happens when it is gone.
    pub fn deliver(&mut self, to: Binding, stanza: Arc<Stanza>, receipt: Option<Receipt>) {
        let jid = self.user.full_jid_of(to);
        self.user.ask_deliver(to, crate::Delivery { to: jid.map(Into::into), receipt, ..crate::Delivery::new(stanza) });
    }
    /// Asks to send a stanza to whoever it is for: this user, another, or nobody we know. It passes
    /// no `sent` hook.
    pub fn route(&mut self, parcel: Parcel) {
        self.user.route(self.now, parcel);
    }
    /// Answers an iq that was answered with [`Reply::Later`].
    pub fn reply(&mut self, iq: &Parcel, reply: Reply) {
        self.user.reply(self.now, iq, reply);
    }

    /// Reads what the user keeps under `space` and `key`, then goes on with `then`. No other mail of
    /// this user is handled in between; the hooks after this one are.
    pub fn load(
        &mut self,
        space: &str,
        key: &str,
        then: impl FnOnce(&mut Turn<'_>, Result<Option<Bytes>, StoreError>) + Send + 'static,
    ) {
        let query = Query::Private { space: space.into(), key: key.into() };
        self.user.ask_store(query, move |user, now, answer| {
            let value = answer.map(|a| match a {
                Answer::Private(value) => value,
                _ => None,
            });
            then(&mut Turn { user, now }, value);
        });
    }
    /// Keeps `value` under `space` and `key` (`None` removes it), then goes on with `then`: it is
    /// durable when that is called with `Ok`.
    pub fn save(
        &mut self,
        space: &str,
        key: &str,
        value: Option<Bytes>,
        then: impl FnOnce(&mut Turn<'_>, Result<(), StoreError>) + Send + 'static,
    ) {
        let query = Query::PutPrivate { space: space.into(), key: key.into(), value };
        self.user.ask_store(query, move |user, now, answer| then(&mut Turn { user, now }, answer.map(drop)));
    }
    /// Calls `then` at that time or soon after, while the actor lives (it does not stop for lack of
    /// mail before).
    pub fn wake_at(&mut self, at: Instant, then: impl FnOnce(&mut Turn<'_>) + Send + 'static) {
        self.user.wake_at(at, move |user, now| then(&mut Turn { user, now }));
    }
}
