//! The mailbox: one word, a lock-free stack that is also the scheduling state.
//!
//! | the word | means | who may leave that state |
//! |---|---|---|
//! | `IDLE` | no mail, on no queue | a push: it must then put the actor on the run queue |
//! | `BUSY` | on the queue or running, no mail beyond what the runner took | a push; the runner |
//! | a node | on the queue or running, mail waits (newest first) | a push; the runner, which takes all of it |
//! | `CLOSED` | ended or ending: a push gives its item back | nobody |
//!
//! So exactly one place holds the right to run an actor: whoever turned `IDLE` into a node hands it to the run
//! queue, the queue to one worker, and [`Mailbox::rest`] gives it up.

use crate::sync::{AtomicPtr, Ordering};
use std::ptr;

/// A bounded-elsewhere, many-senders, one-runner queue of `T`. The bound is in `room`.
pub struct Mailbox<T> {
    head: AtomicPtr<Node<T>>,
}

struct Node<T> {
    next: *mut Node<T>,
    item: T,
}

impl<T> Mailbox<T> {
    const IDLE: *mut Node<T> = ptr::null_mut();
    // A node is aligned to at least a pointer, so no node ever has one of these two addresses.
    const BUSY: *mut Node<T> = ptr::without_provenance_mut(1);
    const CLOSED: *mut Node<T> = ptr::without_provenance_mut(2);

    /// An empty mailbox whose maker holds the right to run.
    pub fn new_busy() -> Self {
        Mailbox { head: AtomicPtr::new(Self::BUSY) }
    }

    /// Puts one item in. `Ok(true)`: the actor was idle and the caller must queue it. `Err`: closed, the item is back.
    #[inline]
    pub fn push(&self, item: T) -> Result<bool, T> {
        let mut head = self.head.load(Ordering::Relaxed);
        if head == Self::CLOSED {
            return Err(item);
        }
        let node = Box::into_raw(Box::new(Node { next: ptr::null_mut(), item }));
        loop {
            if head == Self::CLOSED {
                // SAFETY: the node came from Box::into_raw above and was never published.
                return Err(unsafe { Box::from_raw(node) }.item);
            }
            let next = if head == Self::BUSY { ptr::null_mut() } else { head };
            // SAFETY: the node is still ours alone until the exchange below succeeds.
            unsafe { (*node).next = next };
            // AcqRel: releases the node; acquires what the last runner wrote, for the next runner (through the queue).
            match self.head.compare_exchange_weak(head, node, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(was) => return Ok(was == Self::IDLE),
                Err(now) => head = now,
            }
        }
    }

    /// For the runner: gives up the right to run if no mail waits. After `true` it must not touch the actor again.
    #[inline]
    pub fn rest(&self) -> bool {
        // Release: what the runner wrote is seen by the next one.
        self.head.load(Ordering::Relaxed) == Self::BUSY
            && self.head.compare_exchange(Self::BUSY, Self::IDLE, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// For the runner: takes all mail, oldest first, and stays busy.
    #[inline]
    pub fn take(&self) -> Chain<T> {
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == Self::CLOSED || head == Self::BUSY || head == Self::IDLE {
                return Chain::new();
            }
            match self.head.compare_exchange_weak(head, Self::BUSY, Ordering::Acquire, Ordering::Relaxed) {
                Ok(taken) => return Chain::reversed(taken),
                Err(now) => head = now,
            }
        }
    }

    /// For the runner: closes for good if no mail waits at this moment. `false`: there is some, nothing changed.
    pub fn close_if_empty(&self) -> bool {
        self.head.compare_exchange(Self::BUSY, Self::CLOSED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Closes for good; what waited is handed over, oldest first. A second call gets nothing.
    pub fn close(&self) -> Chain<T> {
        let head = self.head.swap(Self::CLOSED, Ordering::AcqRel);
        if head == Self::CLOSED || head == Self::BUSY || head == Self::IDLE {
            return Chain::new();
        }
        Chain::reversed(head)
    }

    /// True once closed. Never turns back.
    pub fn is_closed(&self) -> bool {
        self.head.load(Ordering::Acquire) == Self::CLOSED
    }

    /// True while the actor is on no queue. A hint for observers: it may change at once.
    pub fn is_idle(&self) -> bool {
        self.head.load(Ordering::Relaxed) == Self::IDLE
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        drop(self.close());
    }
}

// SAFETY: nodes are owned by exactly one side: the sender until the exchange, the word while published, the chain
// after. Items cross threads by value, so `T: Send` is all that is needed.
unsafe impl<T: Send> Send for Mailbox<T> {}
// SAFETY: as above; no method gives out a shared reference to an item.
unsafe impl<T: Send> Sync for Mailbox<T> {}

/// Mail that was taken: a ring of nodes owned by its holder. One pointer names the newest, behind which comes the oldest.
pub struct Chain<T> {
    last: *mut Node<T>,
}

impl<T> Chain<T> {
    /// No mail.
    pub const fn new() -> Self {
        Chain { last: ptr::null_mut() }
    }

    /// True when nothing is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.last.is_null()
    }

    /// The oldest item.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let node = self.take_oldest()?;
        // SAFETY: each node came from Box::into_raw, and this one has left the ring.
        Some(unsafe { Box::from_raw(node) }.item)
    }

    /// Moves the oldest item of `from` to the end of this chain, without copying it. `false`: there was none.
    /// `keep` looks at the item first; when it says no, the item is dropped instead (still `true`).
    pub fn shift(&mut self, from: &mut Chain<T>, keep: impl FnOnce(&T) -> bool) -> bool {
        if from.last.is_null() {
            return false;
        }
        // SAFETY: `from` owns its nodes alone, and the oldest stands behind the newest; the shared reference ends before
        // anything is moved.
        if !keep(unsafe { &(*(*from.last).next).item }) {
            drop(from.pop());
            return true;
        }
        let Some(node) = from.take_oldest() else { return false };
        // SAFETY: the node is in no ring, and `self.last`, if there is one, is a node this chain owns.
        unsafe {
            if self.last.is_null() {
                (*node).next = node;
            } else {
                (*node).next = (*self.last).next;
                (*self.last).next = node;
            }
        }
        self.last = node;
        true
    }

    /// Takes the oldest node out of the ring.
    #[inline]
    fn take_oldest(&mut self) -> Option<*mut Node<T>> {
        if self.last.is_null() {
            return None;
        }
        // SAFETY: a chain owns its nodes alone, and they are a ring.
        unsafe {
            let oldest = (*self.last).next;
            if oldest == self.last {
                self.last = ptr::null_mut();
            } else {
                (*self.last).next = (*oldest).next;
            }
            Some(oldest)
        }
    }

    /// Takes over a published stack (newest first, at least one), turns it round and closes the ring.
    fn reversed(newest: *mut Node<T>) -> Self {
        let (mut first, mut at) = (ptr::null_mut(), newest);
        while !at.is_null() {
            // SAFETY: the exchange that took the word made us the only owner of every node reachable from it, and
            // acquired the senders' writes.
            let next = unsafe { (*at).next };
            // SAFETY: as above.
            unsafe { (*at).next = first };
            first = at;
            at = next;
        }
        // SAFETY: as above; it is the last of the list, and there is one.
        unsafe { (*newest).next = first };
        Chain { last: newest }
    }
}

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

// SAFETY: a chain owns its nodes, so sending it sends the items.
unsafe impl<T: Send> Send for Chain<T> {}
// SAFETY: a shared chain only answers `is_empty`.
unsafe impl<T: Send> Sync for Chain<T> {}
