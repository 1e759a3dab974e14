//! The system: workers on a tokio runtime, and what all actors share.

use crate::actor::{Actor, ActorId};
use crate::addr::Addr;
use crate::cell::{Cell, Erased, Kin};
use crate::clock::Clock;
use crate::observe::{Directory, Seen};
use crate::queue::{RunQueue, Worker};
use crate::supervise::{Alone, Family, Once, Policy};
use crate::timer::{Purpose, TimerId, Wheel};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::Notify;

/// Turns a worker runs before it lets tokio look at sockets and timers.
const TURNS_BEFORE_YIELD: u32 = 32;

/// How often a worker that has run out of work looks again, sockets in between, before it sleeps.
const LOOKS_BEFORE_SLEEP: u32 = 3;

/// Actors an observer looks at under one lock.
const PAGE_ACTORS: usize = 256;

/// Where actors live. Cheap to clone.
#[derive(Clone)]
pub struct System(Arc<Inner>);

struct Inner {
    queue: RunQueue<Arc<dyn Erased>>,
    directory: Directory,
    wheel: Arc<Wheel>,
    clock: Clock,
    monitors: AtomicU64,
    over: AtomicBool,
    /// Told when an actor ended while the system shuts down, and when it is over.
    ended: Notify,
}

impl System {
    /// A system with `workers` worker tasks (at least one) on this runtime; one per runtime thread is right.
    pub fn new(runtime: &Handle, workers: usize) -> System {
        System::with_clock(runtime, workers, Clock::real())
    }

    /// The same on a clock of the caller's.
    pub fn with_clock(runtime: &Handle, workers: usize, clock: Clock) -> System {
        let wheel = Arc::new(Wheel::new(clock.now()));
        clock.turn(&wheel);
        let system = System(Arc::new(Inner {
            queue: RunQueue::new(),
            directory: Directory::new(),
            wheel,
            clock,
            monitors: AtomicU64::new(0),
            over: AtomicBool::new(false),
            ended: Notify::new(),
        }));
        for me in 0..workers.max(1) {
            runtime.spawn(worker(system.0.clone(), me));
        }
        if !system.0.clock.is_manual() {
            runtime.spawn(turn_wheel(system.0.clone()));
        }
        system
    }

    /// Starts an actor. A panic in it ends it.
    pub fn spawn<A: Actor<Common = ()>>(&self, actor: A) -> Addr<A> {
        self.start(Some(actor), Box::new(Once))
    }

    /// Starts an actor that is rebuilt by `factory` when it panics, as `policy` says: same address, mail kept.
    /// For many of a kind use a [`Registry`](crate::Registry), which keeps one factory for all.
    pub fn supervise<A: Actor<Common = ()>>(&self, policy: Policy, factory: impl Fn() -> A + Send + Sync + 'static) -> Addr<A> {
        self.start(None, Box::new(Alone { policy, factory }))
    }

    /// Now, by this system's clock.
    pub fn now(&self) -> Instant {
        self.0.clock.now()
    }

    /// This system's clock.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How many actors live.
    pub fn len(&self) -> usize {
        self.0.directory.len()
    }

    /// True when no actor lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many timers are set.
    pub fn timers(&self) -> usize {
        self.0.wheel.len()
    }

    /// Up to `limit` live actors, from the one after `after` on (it need not live any more); `None` starts. An actor
    /// that lives throughout is seen exactly once.
    pub fn actors(&self, after: Option<ActorId>, limit: usize) -> Vec<Seen> {
        self.0.directory.page(after, limit).iter().map(|cell| cell.look()).collect()
    }

    /// Every live actor, page by page.
    pub fn observe(&self) -> impl Iterator<Item = Seen> + '_ {
        let mut page = self.actors(None, PAGE_ACTORS).into_iter();
        let mut last = None;
        std::iter::from_fn(move || {
            let seen = match page.next() {
                Some(seen) => seen,
                None => {
                    page = self.actors(Some(last?), PAGE_ACTORS).into_iter();
                    page.next()?
                }
            };
            last = Some(seen.id);
            Some(seen)
        })
    }

    /// Stops every actor after its mail, waits up to `grace` (real time) for the last, kills what is left, and ends
    /// the workers. Nothing runs in this system after. Returns how many had to be killed.
    pub async fn shutdown(&self, grace: Duration) -> usize {
        for cell in self.0.directory.page(None, usize::MAX) {
            cell.stop(true);
        }
        // Out of time is an outcome here, not an error.
        let _ = tokio::time::timeout(grace, self.all_ended()).await;
        let left = self.0.directory.page(None, usize::MAX);
        let killed = left.len();
        for cell in left {
            cell.kill();
        }
        let _ = tokio::time::timeout(grace, self.all_ended()).await;
        self.0.over.store(true, Ordering::Release);
        self.0.queue.wake_all();
        self.0.wheel.earlier.notify_one();
        killed
    }

    /// One of no registry.
    fn start<A: Actor<Common = ()>>(&self, state: Option<A>, family: Box<dyn Family<A>>) -> Addr<A> {
        let kin = Arc::new(Kin { system: self.clone(), family, common: () });
        let addr = Addr { cell: Cell::new(state, kin, None) };
        self.enqueue(addr.cell.clone());
        addr
    }

    async fn all_ended(&self) {
        loop {
            let ended = self.0.ended.notified();
            if self.is_empty() {
                return;
            }
            ended.await;
        }
    }

    #[inline]
    pub(crate) fn enqueue(&self, cell: Arc<dyn Erased>) {
        self.0.queue.push(cell);
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.0.directory
    }

    /// After an actor left the directory.
    pub(crate) fn note_end(&self) {
        if self.is_empty() {
            self.0.ended.notify_waiters();
        }
    }

    pub(crate) fn wheel(&self) -> &Wheel {
        &self.0.wheel
    }

    pub(crate) fn set_timer<A: Actor>(&self, at: Instant, cell: &Arc<Cell<A>>, purpose: Purpose) -> TimerId {
        let weak: Weak<Cell<A>> = Arc::downgrade(cell);
        self.0.wheel.set(at, weak, purpose)
    }

    pub(crate) fn next_monitor(&self) -> u64 {
        self.0.monitors.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System({} actors, {} timers)", self.len(), self.timers())
    }
}

/// One worker: runs what is queued, looks a little longer when nothing is, then sleeps.
async fn worker(system: Arc<Inner>, id: usize) {
    let mut me = Worker::new(id);
    let (mut turns, mut looks) = (0, 0);
    while !system.over.load(Ordering::Acquire) {
        if let Some(cell) = system.queue.pop(&mut me) {
            cell.run();
            looks = 0;
            turns += 1;
            if turns == TURNS_BEFORE_YIELD {
                turns = 0;
                tokio::task::yield_now().await;
            }
        } else if looks < LOOKS_BEFORE_SLEEP {
            looks += 1;
            tokio::task::yield_now().await;
        } else {
            looks = 0;
            std::future::poll_fn(|cx| {
                let asleep = system.queue.poll_sleep(&mut me, cx);
                // After lying down: who ends the system wakes those who lie.
                if system.over.load(Ordering::Acquire) { Poll::Ready(()) } else { asleep }
            })
            .await;
        }
    }
    // What was queued too late is dropped, and with it the last addresses.
    while system.queue.pop(&mut me).is_some() {}
}

/// Sleeps until the wheel has something to do, and turns it.
async fn turn_wheel(system: Arc<Inner>) {
    while !system.over.load(Ordering::Acquire) {
        system.wheel.turn_to(system.clock.now());
        let earlier = system.wheel.earlier.notified();
        match system.wheel.next() {
            None => earlier.await,
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = earlier => {}
                }
            }
        }
    }
}
