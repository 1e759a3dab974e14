//! The run queue: actors that have mail, and the workers that sleep when there are none.
//!
//! Waking a thread costs more than handling a message, so at most one is on its way at a time: a push wakes a sleeper
//! only if no worker is looking for work already; a worker that looked and found some wakes the next if more is there.
//!
//! A push reads who sleeps and who looks after the item is in; a worker looks for an item after it stopped looking
//! and lay down. The two fences make sure that one of them sees the other, so no item waits while every worker sleeps.

use crate::sync::{AtomicUsize, Mutex, Ordering, fence};
use std::task::{Context, Poll, Waker};

/// One worker asleep, in the `state` word. Below it: how many look for work.
const ASLEEP: usize = 1 << 16;
const LOOKING: usize = 1;

/// Items for any of several workers (fewer than 65,536), oldest first.
pub struct RunQueue<T> {
    items: Items<T>,
    /// How many workers sleep and how many look for work.
    state: AtomicUsize,
    beds: Mutex<Vec<(usize, Waker)>>,
}

/// A worker's own side of the queue.
pub struct Worker {
    id: usize,
    looking: bool,
    in_bed: bool,
}

impl Worker {
    /// Each of a queue's workers has its own number.
    pub fn new(id: usize) -> Self {
        Worker { id, looking: false, in_bed: false }
    }
}

impl<T> RunQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        RunQueue { items: Items::new(), state: AtomicUsize::new(0), beds: Mutex::new(Vec::new()) }
    }

    /// Puts an item at the end, and wakes a worker if one sleeps and none is looking.
    #[inline]
    pub fn push(&self, item: T) {
        self.items.push(item);
        fence(Ordering::SeqCst);
        let state = self.state.load(Ordering::Relaxed);
        if state >= ASLEEP && state.is_multiple_of(ASLEEP) {
            self.wake_one();
        }
    }

    /// The oldest item. A worker that finds none is looking from then on, until it finds one or sleeps.
    #[inline]
    pub fn pop(&self, worker: &mut Worker) -> Option<T> {
        let item = self.items.pop();
        if item.is_none() != worker.looking {
            self.turn(worker);
        }
        item
    }

    /// True when no item waits at this moment.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// For a worker that found nothing: ready as soon as it should look again.
    pub fn poll_sleep(&self, worker: &mut Worker, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut beds = self.beds.lock();
            let bed = beds.iter_mut().find(|(id, _)| *id == worker.id);
            match bed {
                Some((_, waker)) => {
                    waker.clone_from(cx.waker());
                    return Poll::Pending;
                }
                None if worker.in_bed => {
                    // Whoever took the bed away counted this worker as looking.
                    (worker.in_bed, worker.looking) = (false, true);
                    return Poll::Ready(());
                }
                None => beds.push((worker.id, cx.waker().clone())),
            }
            // One step from looking to asleep.
            let step = if worker.looking { ASLEEP - LOOKING } else { ASLEEP };
            self.state.fetch_add(step, Ordering::Relaxed);
            (worker.in_bed, worker.looking) = (true, false);
        }
        fence(Ordering::SeqCst);
        if self.is_empty() {
            return Poll::Pending;
        }
        // Not asleep after all; or somebody woke us in the same moment.
        let mut beds = self.beds.lock();
        if let Some(at) = beds.iter().position(|(id, _)| *id == worker.id) {
            beds.swap_remove(at);
            self.state.fetch_sub(ASLEEP - LOOKING, Ordering::Relaxed);
        }
        (worker.in_bed, worker.looking) = (false, true);
        Poll::Ready(())
    }

    /// Wakes every sleeping worker, as when the system ends.
    pub fn wake_all(&self) {
        let all = {
            let mut beds = self.beds.lock();
            self.state.fetch_sub(beds.len() * (ASLEEP - LOOKING), Ordering::Relaxed);
            std::mem::take(&mut *beds)
        };
        for (_, waker) in all {
            waker.wake();
        }
    }

    /// Starts or stops looking. The last one to stop, because it found something, hands the search on.
    #[cold]
    fn turn(&self, worker: &mut Worker) {
        worker.looking = !worker.looking;
        if worker.looking {
            self.state.fetch_add(LOOKING, Ordering::Relaxed);
            return;
        }
        let before = self.state.fetch_sub(LOOKING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if before >= ASLEEP && before % ASLEEP == LOOKING && !self.is_empty() {
            self.wake_one();
        }
    }

    #[cold]
    fn wake_one(&self) {
        let one = {
            let mut beds = self.beds.lock();
            let one = beds.pop();
            if one.is_some() {
                self.state.fetch_sub(ASLEEP - LOOKING, Ordering::Relaxed);
            }
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
