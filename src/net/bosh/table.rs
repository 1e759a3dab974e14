//! The sessions, by their sids.

use super::session::Live;
use dashmap::DashMap;
use herald_bosh::Sid;
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// See the module page. It takes one word for each.
#[derive(Default)]
pub(super) struct Table(DashMap<Named, ()>);

impl Table {
    pub(super) fn insert(&self, live: Arc<Live>) {
        self.0.insert(Named(live), ());
    }

    pub(super) fn find(&self, sid: Sid) -> Option<Arc<Live>> {
        self.0.get(&sid).map(|named| named.key().0.clone())
    }

    pub(super) fn remove(&self, sid: Sid) -> Option<Arc<Live>> {
        self.0.remove(&sid).map(|(named, ())| named.0)
    }
}

/// A session by its sid, which it knows itself: the table keeps no other copy.
struct Named(Arc<Live>);

impl Borrow<Sid> for Named {
    fn borrow(&self) -> &Sid {
        self.0.sid()
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.sid().hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Named) -> bool {
        self.0.sid() == other.0.sid()
    }
}

impl Eq for Named {}
