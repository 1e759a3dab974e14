//! From a source to the users: connects, takes no more than may be in work, keeps the order for each user, tells the
//! source what is finished, and begins anew when the connection breaks.

use super::backoff::Backoff;
use super::desk::{Desk, Order, Tried};
use super::lanes::{Lanes, Place};
use super::source::{Fate, Item, Link, Source};
use super::stats::What;
use anyhow::{Result, anyhow};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long a connection may take to be made, and to be told what is finished.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long messages in work may take once the server stops.
const STOP_MAX: Duration = Duration::from_millis(1_000);
/// How long taking one's leave may take.
const CLOSE_MAX: Duration = Duration::from_millis(300);

/// One source, being emptied.
pub struct Pump<S: Source> {
    pub source: S,
    pub desk: Desk,
    /// Messages taken and not finished; the next ones wait at their source.
    pub in_flight_max: usize,
    /// When the server stops.
    pub stop: CancellationToken,
}

/// Why a connection was given up.
enum End {
    Stopped,
    Broken(anyhow::Error),
}

/// What was taken by one connection and is not finished.
struct Work<L: Link> {
    lanes: Lanes<String>,
    waiting: HashMap<Place, (Order, L::Ticket)>,
    running: FuturesUnordered<BoxFuture<'static, (Place, L::Ticket, Fate)>>,
    desk: Desk,
}

impl<S: Source> Pump<S> {
    /// Runs until the server stops.
    pub async fn run(self) {
        let (kind, place) = (self.source.kind(), self.source.place());
        let name = kind.as_str();
        let (mut backoff, mut told) = (Backoff::default(), String::new());
        while !self.stop.is_cancelled() {
            let opened = tokio::select! {
                opened = timeout(ANSWER_MAX, self.source.open()) => opened,
                () = self.stop.cancelled() => break,
            };
            let why = match opened.unwrap_or_else(|_| Err(anyhow!("no answer in time"))) {
                Ok(link) => {
                    tracing::info!("ingest.{name}: connected to {place}");
                    kind.connected(true);
                    let end = self.serve(link, &mut backoff).await;
                    kind.connected(false);
                    kind.in_flight(0);
                    told.clear();
                    match end {
                        End::Stopped => break,
                        End::Broken(why) => why,
                    }
                }
                Err(why) => why,
            };
            let why = in_words(&why);
            // Once for each reason: a broker that is down for a night must not fill a disk.
            if why == told {
                tracing::debug!("ingest.{name}: {place}: {why}");
            } else {
                tracing::warn!("ingest.{name}: {place}: {why}; trying again");
            }
            told = why;
            tokio::select! {
                () = sleep(backoff.next()) => {}
                () = self.stop.cancelled() => break,
            }
        }
        tracing::debug!("ingest.{name}: stopped");
    }

    async fn serve(&self, mut link: S::Link, backoff: &mut Backoff) -> End {
        let mut work: Work<S::Link> = Work::new(self.desk.clone());
        let broken = loop {
            self.desk.kind.in_flight(work.len());
            let room = self.in_flight_max - work.len();
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break None,
                Some(finished) = work.running.next(), if !work.running.is_empty() => {
                    if let Err(e) = settle(&mut link, work.finish(finished)).await {
                        break Some(e);
                    }
                    backoff.reset();
                }
                // Not for every single place that gets free: a source is asked for some at a time.
                items = link.next(room), if room * 8 >= self.in_flight_max => match items {
                    Ok(items) => {
                        let dead = items.into_iter().filter_map(|item| work.take(item)).collect();
                        if let Err(e) = settle(&mut link, dead).await {
                            break Some(e);
                        }
                    }
                    Err(e) => break Some(e),
                },
            }
        };
        // What is under way is finished first, so that nothing is made twice by two tries side by side.
        work.waiting.clear();
        let finished = async {
            let mut all = Vec::new();
            while let Some((_, ticket, fate)) = work.running.next().await {
                all.push((ticket, fate));
                if broken.is_none() {
                    while let Some(Some((_, ticket, fate))) = work.running.next().now_or_never() {
                        all.push((ticket, fate));
                    }
                    settle(&mut link, std::mem::take(&mut all)).await?;
                }
            }
            anyhow::Ok(())
        };
        let finished = timeout(STOP_MAX, finished).await;
        match broken {
            Some(why) => End::Broken(why),
            None => {
                if !matches!(finished, Ok(Ok(()))) {
                    tracing::info!("ingest.{}: what was not finished comes again", self.desk.kind.as_str());
                }
                let _ = timeout(CLOSE_MAX, link.close()).await; // the source sees that we are gone
                End::Stopped
            }
        }
    }
}

impl<L: Link> Work<L> {
    fn new(desk: Desk) -> Work<L> {
        Work { lanes: Lanes::new(), waiting: HashMap::new(), running: FuturesUnordered::new(), desk }
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// One more; given back at once when it cannot be carried out.
    fn take(&mut self, item: Item<L::Ticket>) -> Option<(L::Ticket, Fate)> {
        self.desk.kind.count(What::Received);
        let order = match self.desk.read(&item) {
            Ok(order) => order,
            Err(reason) => {
                self.desk.kind.count(What::Dead);
                return Some((item.ticket, Fate::Dead(reason)));
            }
        };
        let (place, now) = self.lanes.enter(self.desk.lane(&order));
        if now {
            self.start(place, order, item.ticket);
        } else {
            self.waiting.insert(place, (order, item.ticket));
        }
        None
    }

    fn start(&mut self, place: Place, order: Order, ticket: L::Ticket) {
        let desk = self.desk.clone();
        let carried_out = async move {
            let (mut tries, mut backoff) = (0, Backoff::default());
            loop {
                match desk.carry_out(&order, tries).await {
                    Tried::Finished(fate) => return (place, ticket, fate),
                    Tried::Later => sleep(backoff.next()).await,
                }
                tries += 1;
            }
        };
        self.running.push(carried_out.boxed());
    }

    /// This one and all others that are finished by now; those behind them begin.
    fn finish(&mut self, first: (Place, L::Ticket, Fate)) -> Vec<(L::Ticket, Fate)> {
        let (mut finished, mut next) = (Vec::new(), Some(first));
        while let Some((place, ticket, fate)) = next {
            finished.push((ticket, fate));
            for free in self.lanes.leave(place) {
                if let Some((order, ticket)) = self.waiting.remove(&free) {
                    self.start(free, order, ticket);
                }
            }
            next = self.running.next().now_or_never().flatten();
        }
        finished
    }
}

/// An error with its causes, in one line; libraries like to repeat the cause in the words of the error.
fn in_words(why: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in why.chain().map(|cause| cause.to_string().replace('\n', "; ")) {
        if !words.contains(&cause) {
            words.push_str(if words.is_empty() { "" } else { ": " });
            words.push_str(&cause);
        }
    }
    words
}

async fn settle<L: Link>(link: &mut L, finished: Vec<(L::Ticket, Fate)>) -> Result<()> {
    if finished.is_empty() {
        return Ok(());
    }
    for (_, fate) in &finished {
        if let Fate::Dead(reason) = fate {
            tracing::warn!("ingest: a message cannot be carried out: {reason}");
        }
    }
    timeout(ANSWER_MAX, link.settle(finished)).await.unwrap_or_else(|_| Err(anyhow!("no answer in time")))
}
