//! The run queue: actors that have mail, and the workers that sleep when there are none.
//!
//! A push looks for a sleeper after the item is in; a worker looks for an item after it lay down. The two fences make
//! sure that one of them sees the other, so no item waits while every worker sleeps.

use crate::sync::{AtomicUsize, Mutex, Ordering, fence};
use std::task::{Context, Poll, Waker};

/// Items for any of several workers, oldest first.
pub struct RunQueue<T> {
    items: Items<T>,
    /// How many workers are in `beds`; read without the lock.
    asleep: AtomicUsize,
    beds: Mutex<Vec<(usize, Waker)>>,
}

impl<T> RunQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        RunQueue { items: Items::new(), asleep: AtomicUsize::new(0), beds: Mutex::new(Vec::new()) }
    }

    /// Puts an item at the end and wakes one worker if one sleeps.
    #[inline]
    pub fn push(&self, item: T) {
        self.items.push(item);
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) > 0 {
            self.wake_one();
        }
    }

    /// The oldest item.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.items.pop()
    }

    /// True when no item waits at this moment.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// For worker `me` that found nothing: ready as soon as it should look again.
    pub fn poll_sleep(&self, me: usize, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut beds = self.beds.lock();
            beds.retain(|(id, _)| *id != me);
            beds.push((me, cx.waker().clone()));
            self.asleep.store(beds.len(), Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return Poll::Pending;
        }
        self.get_up(me);
        Poll::Ready(())
    }

    /// For worker `me` after a sleep, whoever woke it.
    pub fn get_up(&self, me: usize) {
        let mut beds = self.beds.lock();
        beds.retain(|(id, _)| *id != me);
        self.asleep.store(beds.len(), Ordering::Relaxed);
    }

    /// Wakes every sleeping worker, as when the system ends.
    pub fn wake_all(&self) {
        let all = {
            let mut beds = self.beds.lock();
            self.asleep.store(0, Ordering::Relaxed);
            std::mem::take(&mut *beds)
        };
        for (_, waker) in all {
            waker.wake();
        }
    }

    #[cold]
    fn wake_one(&self) {
        let one = {
            let mut beds = self.beds.lock();
            let one = beds.pop();
            self.asleep.store(beds.len(), Ordering::Relaxed);
            one
        };
        if let Some((_, waker)) = one {
            waker.wake();
        }
    }
}

impl<T> Default for RunQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(loom))]
type Items<T> = crossbeam_queue::SegQueue<T>;

/// loom knows nothing of `crossbeam`'s queue, which has its own tests. This stands in for it and promises less: like
/// the real one, `is_empty` takes no lock, so nothing but the two fences orders it against `asleep`.
#[cfg(loom)]
struct Items<T> {
    items: Mutex<std::collections::VecDeque<T>>,
    len: AtomicUsize,
}

#[cfg(loom)]
impl<T> Items<T> {
    fn new() -> Self {
        Items { items: Mutex::new(std::collections::VecDeque::new()), len: AtomicUsize::new(0) }
    }

    fn push(&self, item: T) {
        let mut items = self.items.lock();
        items.push_back(item);
        self.len.fetch_add(1, Ordering::Release);
    }

    fn pop(&self) -> Option<T> {
        let mut items = self.items.lock();
        let item = items.pop_front()?;
        self.len.fetch_sub(1, Ordering::Release);
        Some(item)
    }

    fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }
}
