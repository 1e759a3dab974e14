//! From the hub into the outbox of one way out: what happens is durable from its commit on.
//!
//! The hub must not wait, the store may. So there is a bounded queue between them, and one task that gives all
//! that has gathered to the store in one go; one task, so that the order stays.

use super::counts::Counts;
use super::filter::Filter;
use bytes::Bytes;
use herald_storage::{Store, ask};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// Events that are given to the store at a time.
const AT_ONCE_MAX: usize = 1_000;
/// How long the store is left alone when it refused.
const REFUSED_MS: u64 = 100;

/// The queue before one outbox.
pub struct Intake {
    /// What the outbox is called in the store.
    pub sink: String,
    /// What goes in.
    pub filter: Filter,
    /// How it is going.
    pub counts: Arc<Counts>,
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    news: Notify,
    /// Told when more is in the outbox.
    pub stored: Notify,
}

#[derive(Default)]
struct Waiting {
    items: Vec<Bytes>,
    bytes: usize,
    full: bool,
    closed: bool,
}

impl Intake {
    /// Empty.
    pub fn new(sink: String, filter: Filter, bytes_max: usize) -> Intake {
        Intake {
            sink,
            filter,
            counts: Arc::default(),
            bytes_max,
            waiting: Mutex::default(),
            news: Notify::new(),
            stored: Notify::new(),
        }
    }

    /// One more. Never waits: when the store is so slow that there is no room, it is lost, and counted.
    pub fn offer(&self, item: Bytes) {
        let mut waiting = self.waiting.lock();
        if waiting.closed || waiting.bytes + item.len() > self.bytes_max {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            if !waiting.full {
                waiting.full = true;
                tracing::error!("{}: the database does not keep up, events are lost", self.sink);
            }
            return;
        }
        waiting.bytes += item.len();
        waiting.items.push(item);
        drop(waiting);
        self.news.notify_one();
    }

    /// Nothing more comes: what is here goes to the store, then [`Intake::run`] ends.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.news.notify_one();
    }

    /// Carries it to the store until it is closed and empty.
    pub async fn run(&self, store: &Arc<dyn Store>) {
        loop {
            let (items, closed) = self.take();
            if items.is_empty() {
                if closed {
                    return;
                }
                self.news.notified().await;
                continue;
            }
            let (count, bytes) = (items.len() as u64, items.iter().map(Bytes::len).sum::<usize>());
            // What the store does not say, it may have kept: it goes out twice then, under the same id.
            loop {
                match ask(|then| store.put_out(&self.sink, items.clone(), then)).await {
                    Ok(last) => {
                        self.counts.stored_to.store(last, Ordering::Release);
                        break;
                    }
                    Err(herald_storage::StoreError::Closed) => {
                        self.counts.lost.fetch_add(count, Ordering::Relaxed);
                        return;
                    }
                    Err(e) => {
                        tracing::warn!("{}: events wait for the database: {e}", self.sink);
                        tokio::time::sleep(Duration::from_millis(REFUSED_MS)).await;
                    }
                }
            }
            let mut waiting = self.waiting.lock();
            waiting.bytes -= bytes;
            waiting.full = false;
            drop(waiting);
            self.stored.notify_one();
        }
    }

    fn take(&self) -> (Vec<Bytes>, bool) {
        let mut waiting = self.waiting.lock();
        let items = if waiting.items.len() <= AT_ONCE_MAX {
            std::mem::take(&mut waiting.items)
        } else {
            waiting.items.drain(..AT_ONCE_MAX).collect()
        };
        (items, waiting.closed)
    }

    /// What waits for the store, in bytes.
    pub fn bytes(&self) -> usize {
        self.waiting.lock().bytes
    }
}
