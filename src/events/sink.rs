//! One way out: from its outbox to its receiver, whatever happens to either.

use super::dead::DeadLetters;
use super::event::Head;
use super::intake::Intake;
use super::lanes::{Dead, Lanes, Next, Out, Settings, Verdict};
use bytes::Bytes;
use herald_storage::{Store, ask};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Events in memory on their way to one receiver; the others stay in the outbox. A user whose event fails holds up
/// nobody until so many others are behind it.
const WINDOW: usize = 10_000;
/// Read from the outbox at a time.
const READ_MAX: u32 = 500;
/// How long the store is left alone when it refused.
const REFUSED: Duration = Duration::from_secs(1);

/// A way out of the server: what knows how to hand events to somebody.
pub trait Emitter: Send + 'static {
    /// Hands these out, in their order, and says what became of them. It may be dropped while it waits: the same
    /// events come again then.
    fn emit(&mut self, batch: &[Arc<Out>]) -> impl Future<Output = Verdict> + Send;
}

/// One emitter, with its outbox and its dead letters.
pub struct Sink<E> {
    emitter: E,
    intake: Arc<Intake>,
    store: Arc<dyn Store>,
    lanes: Lanes,
    letters: DeadLetters,
    /// There may be more in the outbox than was read.
    more: bool,
    /// All up to this number is gone from the outbox.
    done_to: u64,
    failing: bool,
}

impl<E: Emitter> Sink<E> {
    /// At the beginning of what is in its outbox.
    pub fn new(
        emitter: E,
        settings: Settings,
        intake: Arc<Intake>,
        store: Arc<dyn Store>,
        letters: DeadLetters,
    ) -> Self {
        let lanes = Lanes::new(settings);
        Sink { emitter, intake, store, lanes, letters, more: true, done_to: 0, failing: false }
    }

    /// Hands out until it is told to end; what is not out by then goes after the next start.
    pub async fn run(mut self, mut end: watch::Receiver<bool>) {
        let intake = self.intake.clone();
        while !*end.borrow() {
            if self.more && self.lanes.len() < WINDOW && !self.fill().await {
                tokio::select! {
                    () = tokio::time::sleep(REFUSED) => continue,
                    _ = end.changed() => return,
                }
            }
            let until = match self.lanes.next(Instant::now()) {
                Next::Send(batch) => {
                    tokio::select! {
                        verdict = self.emitter.emit(&batch) => self.settle(&batch, verdict).await,
                        _ = end.changed() => return,
                    }
                    continue;
                }
                Next::Idle if self.more => continue,
                Next::Idle => None,
                Next::Wait(until) => Some(until),
            };
            let timer = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = intake.stored.notified() => self.more = true,
                _ = end.changed() => return,
            }
        }
    }

    /// Reads on in the outbox; false when the store does not let it.
    async fn fill(&mut self) -> bool {
        let after = self.lanes.read_to();
        match ask(|then| self.store.out(&self.intake.sink, after, READ_MAX, then)).await {
            Ok(page) => {
                self.more = page.len() == READ_MAX as usize;
                self.lanes.add(page.into_iter().map(out));
                true
            }
            Err(e) => {
                tracing::warn!("{}: the outbox cannot be read: {e}", self.intake.sink);
                false
            }
        }
    }

    async fn settle(&mut self, batch: &[Arc<Out>], verdict: Verdict) {
        let counts = &self.intake.counts;
        match &verdict {
            Verdict::Taken => counts.taken.fetch_add(batch.len() as u64, Ordering::Relaxed),
            Verdict::Refused(_) | Verdict::Gone(_) => counts.refused.fetch_add(1, Ordering::Relaxed),
            Verdict::Unreachable(..) => counts.unreachable.fetch_add(1, Ordering::Relaxed),
        };
        self.tell(&verdict);
        let (now, at_ms) = (Instant::now(), jiff::Timestamp::now().as_millisecond());
        let dice = &mut || getrandom::u64().unwrap_or(u64::MAX / 2);
        let dead = self.lanes.settle(batch, verdict, now, at_ms, dice);
        if !dead.is_empty() {
            self.bury(dead, at_ms).await;
        }
        let counts = &self.intake.counts;
        counts.held.store(self.lanes.held() as u64, Ordering::Relaxed);
        let done_to = self.lanes.done_to();
        if done_to > self.done_to {
            self.done_to = done_to;
            counts.done_to.store(done_to, Ordering::Relaxed);
            // When this is lost, they go out again, under the same ids.
            self.store.done_out(&self.intake.sink, done_to, Box::new(|_| {}));
        }
    }

    /// The log has a line when it begins to fail, and when that is over.
    fn tell(&mut self, verdict: &Verdict) {
        let sink = &self.intake.sink;
        match verdict {
            Verdict::Taken if self.failing => tracing::info!("{sink}: events are taken again"),
            Verdict::Taken => {}
            Verdict::Gone(why) | Verdict::Refused(why) | Verdict::Unreachable(why, _) if self.failing => {
                tracing::debug!("{sink}: {why}");
            }
            Verdict::Gone(why) => tracing::warn!("{sink}: events are not wanted: {why}"),
            Verdict::Refused(why) | Verdict::Unreachable(why, _) => {
                tracing::warn!("{sink}: events wait, and are tried again: {why}");
            }
        }
        self.failing = *verdict != Verdict::Taken;
    }

    async fn bury(&mut self, dead: Vec<Dead>, at_ms: i64) {
        let letters = self.letters.clone();
        let written = tokio::task::spawn_blocking(move || (letters.write(&dead, at_ms), dead)).await;
        let sink = &self.intake.sink;
        match written {
            Ok((Ok(()), dead)) => {
                self.intake.counts.dead.fetch_add(dead.len() as u64, Ordering::Relaxed);
                let (file, why) = (self.letters.file().display(), dead.first().map_or("", |(_, why)| why));
                tracing::warn!("{sink}: {} events were given up, see {file}: {why}", dead.len());
            }
            Ok((Err(e), dead)) => {
                tracing::error!("{sink}: {}: cannot be written: {e}", self.letters.file().display());
                self.lanes.take_back(dead, Instant::now());
            }
            Err(e) => tracing::error!("{sink}: {e}"), // the runtime ends; they are in the outbox
        }
    }
}

fn out((seq, json): (u64, Bytes)) -> Out {
    let head: Option<Head<'_>> = serde_json::from_slice(&json).ok();
    let (id, uid, kind, at_ms) = match &head {
        Some(head) => {
            let at = head.at.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond());
            (head.id.as_ref().into(), head.uid.as_ref().into(), head.kind.as_ref().into(), at)
        }
        // It was put there by another version: it goes out as it is.
        None => Default::default(),
    };
    Out { seq, id, uid, kind, at_ms, json }
}
