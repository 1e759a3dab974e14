//! What belongs to whoever holds the right to run an actor.

#[cfg(loom)]
use loom::cell::UnsafeCell;
#[cfg(not(loom))]
use std::cell::UnsafeCell;

/// A value only the holder of the right to run may touch (see `mailbox` for who that is). In a model run loom
/// checks that no two do at once.
pub struct Owned<T>(UnsafeCell<T>);

impl<T> Owned<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Owned(UnsafeCell::new(value))
    }

    /// Works on the value.
    ///
    /// # Safety
    /// The caller holds the right to run: it made the cell, or took it from the run queue and has not yet rested.
    /// `work` must not reach the same `Owned` again.
    #[inline]
    pub unsafe fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(not(loom))]
        // SAFETY: by this function's contract nobody else has a reference for as long as this one lives.
        return work(unsafe { &mut *self.0.get() });
        #[cfg(loom)]
        // SAFETY: as above, and loom checks it.
        return self.0.with_mut(|value| work(unsafe { &mut *value }));
    }

    /// With no sharing there is nothing to promise.
    #[cfg(not(loom))]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

// SAFETY: the right to run moves between threads through acquire/release operations on the mailbox word and the run
// queue, and `with` is reachable only with it: a lock by protocol, so `T: Send` is enough, as for a mutex.
unsafe impl<T: Send> Sync for Owned<T> {}
