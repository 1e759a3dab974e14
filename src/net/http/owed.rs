//! What a connection owes its client, or gave it last.

use super::{Reply, bosh};
use std::collections::VecDeque;

/// Answers that are owed, the oldest first; more than one is rare. When there is none, it remembers the last that was
/// given, in the room that they leave.
#[derive(Default)]
pub(super) struct Line {
    first: First,
    #[allow(clippy::box_collection)] // one word instead of four
    more: Option<Box<VecDeque<Owed>>>,
}

#[derive(Default)]
enum First {
    #[default]
    None,
    Owed(Owed),
    Given(bosh::Given),
}

/// One answer.
pub(super) struct Owed {
    pub reply: Reply,
    pub keep_alive: bool,
    pub with_body: bool,
    pub takes_gzip: bool,
    /// The request came without a proxy in between, whose connections tell nothing about those of its client.
    pub direct: bool,
}

impl Line {
    pub fn len(&self) -> usize {
        usize::from(!self.is_empty()) + self.more.as_ref().map_or(0, |more| more.len())
    }

    pub fn is_empty(&self) -> bool {
        !matches!(self.first, First::Owed(_))
    }

    pub fn push_back(&mut self, owed: Owed) {
        if self.is_empty() {
            self.first = First::Owed(owed);
        } else {
            self.more.get_or_insert_default().push_back(owed);
        }
    }

    pub fn front_mut(&mut self) -> Option<&mut Owed> {
        if let First::Owed(owed) = &mut self.first { Some(owed) } else { None }
    }

    /// There is more to come of the one that was taken last.
    pub fn push_front(&mut self, owed: Owed) {
        if let First::Owed(second) = std::mem::replace(&mut self.first, First::Owed(owed)) {
            self.more.get_or_insert_default().push_front(second);
        }
    }

    pub fn pop_front(&mut self) -> Option<Owed> {
        let next = self.more.as_mut().and_then(|more| more.pop_front());
        self.more.take_if(|more| more.is_empty());
        match std::mem::replace(&mut self.first, next.map_or(First::None, First::Owed)) {
            First::Owed(owed) => Some(owed),
            First::None | First::Given(_) => None,
        }
    }

    /// That was given. When more is owed, its request came before, and nothing will show whether this was read.
    pub fn gave(&mut self, given: bosh::Given) {
        if self.is_empty() {
            self.first = First::Given(given);
        }
    }

    /// What was given last, unless it is known to be read.
    pub fn take_given(&mut self) -> Option<bosh::Given> {
        if !matches!(self.first, First::Given(_)) {
            return None;
        }
        match std::mem::take(&mut self.first) {
            First::Given(given) => Some(given),
            First::None | First::Owed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each connection that holds a request.
    #[test]
    fn what_was_given_takes_no_room_of_its_own() {
        assert_eq!(size_of::<First>(), size_of::<Owed>());
        assert!(size_of::<Owed>() <= 40, "{}", size_of::<Owed>());
    }
}
