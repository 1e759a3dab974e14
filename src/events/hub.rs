//! The hub: hears what happens to every user, numbers it, and keeps the newest for those who read along.
//!
//! It is called on the turns of the users' actors, so it does little: while nobody listens it looks at one
//! flag and returns. Else it writes the event down once, as JSON, puts it into the ring and hands it to the ways
//! out whose filter takes it. Readers have no queue: each is a place in the ring, so a slow one costs nothing
//! and is told of a gap when the ring has passed it.

use super::event::{self, Body, Entry, Started};
use super::filter::Filter;
use super::intake::Intake;
use super::kind::Kind;
use super::ring::{Gap, Ring};
use herald_session::{Event, Observer};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// What the hub is told when it is made.
pub struct Settings {
    /// What the ring may hold.
    pub ring_bytes: usize,
    /// How long it is kept once nobody reads.
    pub remember_ms: i64,
    /// Readers at a time.
    pub readers_max: usize,
}

/// The hub. There is one.
pub struct Hub {
    /// What event ids of this run begin with: no two runs have the same.
    run: String,
    settings: Settings,
    /// Does anybody listen, or may a reader come back?
    awake: AtomicBool,
    ring: Mutex<Ring>,
    readers: Mutex<Readers>,
    intakes: Vec<Arc<Intake>>,
    /// Told when there is something new to read, and at the end.
    news: Notify,
    closed: AtomicBool,
    counts: [AtomicU64; Kind::ALL.len()],
    gaps: AtomicU64,
}

#[derive(Default)]
struct Readers {
    now: usize,
    /// When the last one left; it is looked at only while there is none.
    left_ms: i64,
}

/// Counters, for the metrics.
pub struct Counts {
    /// Events by their type, in the order of [`Kind::ALL`].
    pub events: [u64; Kind::ALL.len()],
    /// Readers now.
    pub readers: u64,
    /// Readers that were told of a gap.
    pub gaps: u64,
    /// What the ring holds.
    pub ring_bytes: u64,
}

/// As many read as may.
#[derive(Debug)]
pub struct TooMany(pub usize);

impl Hub {
    /// With these ways out; `run` is a word that no other run has.
    pub fn new(run: String, settings: Settings, intakes: Vec<Arc<Intake>>) -> Hub {
        Hub {
            run,
            awake: AtomicBool::new(!intakes.is_empty()),
            ring: Mutex::new(Ring::new(settings.ring_bytes)),
            settings,
            readers: Mutex::default(),
            intakes,
            news: Notify::new(),
            closed: AtomicBool::new(false),
            counts: Default::default(),
            gaps: AtomicU64::new(0),
        }
    }

    /// What event ids of this run begin with.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The server begins: whoever was online before is not any more. For the ways out that last.
    pub fn started(&self, at_ms: i64, domain: &str, epoch: &str) {
        if self.awake.load(Ordering::Relaxed) {
            let started = Started { run: &self.run, epoch, domain, version: env!("CARGO_PKG_VERSION") };
            self.record(Kind::ServerStarted, &Body::started(at_ms, started));
        }
    }

    fn record(&self, kind: Kind, body: &Body<'_>) {
        self.counts[kind as usize].fetch_add(1, Ordering::Relaxed);
        let entry = self.ring.lock().push(|n| Entry::new(n, kind, body.uid(), body.with_id(&self.run, n)));
        // Behind the lock: the events of one user come one after the other, and only their order counts.
        for intake in self.intakes.iter().filter(|intake| intake.filter.takes(kind, &entry.uid)) {
            intake.offer(entry.json.clone());
        }
        self.news.notify_waiters();
    }

    /// Nobody reads, and no reader was here for long: nothing is kept any more.
    fn sleep(&self, at_ms: i64) -> bool {
        let readers = self.readers.lock();
        let sleeps = readers.now == 0 && at_ms.saturating_sub(readers.left_ms) > self.settings.remember_ms;
        if sleeps {
            self.awake.store(false, Ordering::Relaxed);
            self.ring.lock().forget();
        }
        sleeps
    }

    /// Somebody reads along, from after the event `after` if it says so and the ring reaches back to it.
    pub fn reader(self: &Arc<Hub>, filter: Filter, after: Option<&str>) -> Result<(Reader, Resumed), TooMany> {
        let mut readers = self.readers.lock();
        if readers.now >= self.settings.readers_max {
            return Err(TooMany(readers.now));
        }
        readers.now += 1;
        self.awake.store(true, Ordering::Relaxed);
        drop(readers);
        let known = after.and_then(|after| after.strip_prefix(&self.run)?.strip_prefix('-')?.parse().ok());
        let mut reader = Reader { hub: self.clone(), filter, place: self.last() };
        let resumed = match (after, known) {
            (None | Some(""), _) => Resumed::Fresh,
            (Some(_), None) => Resumed::AnotherRun,
            (Some(_), Some(n)) if self.ring.lock().after(n, 0).is_err() => Resumed::TooOld,
            (Some(_), Some(n)) => {
                reader.place = n;
                Resumed::There
            }
        };
        if matches!(resumed, Resumed::AnotherRun | Resumed::TooOld) {
            self.gaps.fetch_add(1, Ordering::Relaxed);
        }
        Ok((reader, resumed))
    }

    fn last(&self) -> u64 {
        self.ring.lock().next() - 1
    }

    /// Nothing more happens: readers get what there is, then their end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.news.notify_waiters();
    }

    /// Counters.
    pub fn counts(&self) -> Counts {
        Counts {
            events: self.counts.each_ref().map(|n| n.load(Ordering::Relaxed)),
            readers: self.readers.lock().now as u64,
            gaps: self.gaps.load(Ordering::Relaxed),
            ring_bytes: self.ring.lock().bytes() as u64,
        }
    }
}

impl Observer for Hub {
    fn event(&self, at_ms: i64, event: Event) {
        if !self.awake.load(Ordering::Relaxed) || self.intakes.is_empty() && self.sleep(at_ms) {
            return;
        }
        self.record(event::kind(&event), &event::body(at_ms, &event));
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It named no event.
    Fresh,
    /// Right behind the event that it named.
    There,
    /// What followed the event that it named is gone.
    TooOld,
    /// The event that it named is of another run of the server, or no event.
    AnotherRun,
}

/// A place in the ring.
pub struct Reader {
    hub: Arc<Hub>,
    filter: Filter,
    place: u64,
}

/// What a reader finds.
pub enum Found {
    /// These happened; none: nothing new that its filter takes.
    Events(Vec<Arc<Entry>>),
    /// Some that happened are gone. It goes on with what happens from now on.
    Gap,
    /// Nothing will happen any more.
    End,
}

impl Reader {
    /// Whose events it wants, and which.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// The id of the last event that it has passed.
    pub fn id(&self) -> String {
        format!("{}-{}", self.hub.run, self.place)
    }

    /// What is next, about so many bytes of it. Never waits.
    pub fn read(&mut self, bytes_max: usize) -> Found {
        let closed = self.hub.closed.load(Ordering::Acquire);
        loop {
            let page = self.hub.ring.lock().after(self.place, bytes_max);
            match page {
                Err(Gap) => {
                    self.place = self.hub.last();
                    self.hub.gaps.fetch_add(1, Ordering::Relaxed);
                    return Found::Gap;
                }
                Ok(page) => {
                    let Some(last) = page.last() else {
                        return if closed { Found::End } else { Found::Events(page) };
                    };
                    self.place = last.n;
                    let page: Vec<_> = page.into_iter().filter(|e| self.filter.takes(e.kind, &e.uid)).collect();
                    if !page.is_empty() {
                        return Found::Events(page);
                    }
                }
            }
        }
    }

    /// Waits for something new. It may return too soon, never too late.
    pub async fn news(&self) {
        let news = self.hub.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        if self.hub.last() == self.place && !self.hub.closed.load(Ordering::Acquire) {
            news.await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut readers = self.hub.readers.lock();
        readers.now -= 1;
        readers.left_ms = jiff::Timestamp::now().as_millisecond();
    }
}
