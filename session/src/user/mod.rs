//! A user, as a machine without I/O.

mod ask;

pub use ask::{Answer, Ask, Bind, Input, Outcome, Pushed, Query};

use crate::clock::Now;
use crate::hooks::{Modules, Reply, Resource as View};
use crate::link::{Binding, Delivery, Parcel};
use crate::settings::Settings;
use herald_storage::{StoreError, Subscription};
use herald_xmpp::{BareJid, FullJid, Jid};
use std::sync::Arc;
use std::time::Instant;

/// What all users share.
pub struct Shared {
    /// Every bound.
    pub settings: Settings,
    /// Every feature.
    pub modules: Modules,
}

/// One user.
pub struct User {
    jid: BareJid,
    shared: Arc<Shared>,
}

impl User {
    pub(crate) fn jid(&self) -> &BareJid {
        &self.jid
    }
    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }
    pub(crate) fn modules(&self) -> &Modules {
        &self.shared.modules
    }
    pub(crate) fn resource_views(&self) -> impl Iterator<Item = View> + '_ {
        std::iter::empty()
    }
    pub(crate) fn subscription_with(&self, _: &Jid) -> Subscription {
        Subscription::None
    }
    pub(crate) fn slot<T: Default + Send + 'static>(&mut self) -> &mut T {
        Box::leak(Box::default())
    }
    pub(crate) fn peek<T: Send + 'static>(&self) -> Option<&T> {
        None
    }
    pub(crate) fn clear<T: Send + 'static>(&mut self) {}
    pub(crate) fn full_jid_of(&self, _: Binding) -> Option<FullJid> {
        None
    }
    pub(crate) fn ask_deliver(&mut self, _: Binding, _: Delivery) {}
    pub(crate) fn route(&mut self, _: Now, _: Parcel) {}
    pub(crate) fn reply(&mut self, _: Now, _: &Parcel, _: Reply) {}
    pub(crate) fn ask_store(
        &mut self,
        _: Query,
        _: impl FnOnce(&mut User, Now, Result<Answer, StoreError>) + Send + 'static,
    ) {
    }
    pub(crate) fn wake_at(&mut self, _: Instant, _: impl FnOnce(&mut User, Now) + Send + 'static) {}
}
