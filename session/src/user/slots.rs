//! What features remember of a user: one value of each type, none while unused.

use super::User;
use std::any::Any;

/// A handful of values; looked through from the front.
pub(super) type Slots = Vec<Box<dyn Any + Send>>;

impl User {
    pub(crate) fn slot<T: Default + Send + 'static>(&mut self) -> &mut T {
        let slots = self.slots.get_or_insert_default();
        let place = slots.iter().position(|s| s.is::<T>()).unwrap_or_else(|| {
            slots.push(Box::new(T::default()));
            slots.len() - 1
        });
        match slots[place].downcast_mut() {
            Some(value) => value,
            None => unreachable!("found or made by its type"),
        }
    }

    pub(crate) fn peek<T: Send + 'static>(&self) -> Option<&T> {
        self.slots.iter().flat_map(|s| s.iter()).find_map(|s| s.downcast_ref())
    }

    pub(crate) fn clear<T: Send + 'static>(&mut self) {
        if let Some(slots) = &mut self.slots {
            slots.retain(|s| !s.is::<T>());
            self.slots.take_if(|s| s.is_empty());
        }
    }
}
