//! Which events somebody wants.

use super::kind::{Kind, Kinds};
use std::collections::HashSet;

/// By type and by user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    kinds: Kinds,
    /// `None`: everybody.
    uids: Option<HashSet<Box<str>>>,
}

impl Filter {
    /// No uids: everybody.
    pub fn new(kinds: Kinds, uids: impl IntoIterator<Item = impl Into<Box<str>>>) -> Filter {
        let uids: HashSet<Box<str>> = uids.into_iter().map(Into::into).collect();
        Filter { kinds, uids: Some(uids).filter(|uids| !uids.is_empty()) }
    }

    /// What is about nobody (`uid` is "") is about everybody.
    pub fn takes(&self, kind: Kind, uid: &str) -> bool {
        self.kinds.has(kind) && (uid.is_empty() || self.uids.as_ref().is_none_or(|uids| uids.contains(uid)))
    }

    /// Does it take anything that tells who is online?
    pub fn of_presence(&self) -> bool {
        use Kind::{PresenceChanged, SessionDown, SessionUp, UserOffline, UserOnline};
        [SessionUp, SessionDown, UserOnline, UserOffline, PresenceChanged].into_iter().any(|kind| self.kinds.has(kind))
    }

    /// Whom it is about; `None`: everybody.
    pub fn uids(&self) -> Option<impl Iterator<Item = &str>> {
        self.uids.as_ref().map(|uids| uids.iter().map(|uid| &**uid))
    }
}
