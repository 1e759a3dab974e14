//! What happens, told to operators as it happens: who comes and goes, which messages are kept, read, lost.
//!
//! The hub is the session crate's [`Observer`](herald_session::Observer). Whoever reads `GET /api/v1/events`
//! has a place in its ring; what must not be lost goes through an outbox in the database to a webhook or a broker.
//!
//! ```text
//! users' actors -> hub -> ring -----------------------------> readers (SSE, src/admin/events.rs)
//!                      -> intake -> outbox (store) -> sink -> webhook | AMQP | dead letters
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `kind.rs` | the types of events, and sets of them |
//! | `event.rs` | an event as JSON |
//! | `filter.rs` | which events somebody wants |
//! | `hub.rs` | the hub and its readers |
//! | `ring.rs` | the newest events, with numbers |
//! | `intake.rs` | from the hub into an outbox |
//! | `lanes.rs` | what goes out next, and what a failure means; no I/O |
//! | `sink.rs` | one way out: outbox, lanes, emitter, dead letters |
//! | `webhook.rs` | events posted to an address, signed |
//! | `amqp.rs` | events to a broker |
//! | `dead.rs` | the files of dead letters |
//! | `counts.rs` | how a way out is doing |

mod amqp;
mod counts;
mod dead;
mod event;
mod filter;
mod hub;
mod intake;
mod kind;
mod lanes;
mod ring;
mod sink;
mod webhook;

pub use event::moment;
pub use filter::Filter;
pub use hub::{Found, Hub, Reader, Resumed};
pub use intake::Intake;
pub use kind::{Kind, Kinds};

use crate::accounts;
use crate::config::{Config, Uids};
use amqp::Amqp;
use anyhow::{Context, Result, anyhow};
use dead::DeadLetters;
use herald_storage::Store;
use parking_lot::Mutex;
use sink::{Emitter, Sink};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use webhook::Webhook;

/// Random bytes in the name of a run.
const RUN_BYTES: usize = 6;
/// What is sent to a broker at a time, and then confirmed.
const AMQP_BATCH_BYTES: usize = 1 << 20;
/// How long the ways out get for what is left when the server stops; what is not out by then goes out after
/// the next start.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The hub and all ways out.
pub struct Events {
    hub: Arc<Hub>,
    intakes: Vec<Arc<Intake>>,
    tasks: Mutex<Tasks>,
    end: watch::Sender<bool>,
}

#[derive(Default)]
struct Tasks {
    intakes: Vec<JoinHandle<()>>,
    sinks: Vec<JoinHandle<()>>,
}

impl Events {
    /// Starts the ways out that the configuration names, inside the runtime that they run in. An error is a
    /// reason not to start the server.
    pub fn start(config: &Config, store: &Arc<dyn Store>) -> Result<Events> {
        let mut run = [0; RUN_BYTES];
        getrandom::fill(&mut run).map_err(|e| anyhow!("no randomness for the name of this run: {e}"))?;
        let run = run.iter().map(|b| format!("{b:02x}")).collect();
        let (end, ended) = watch::channel(false);
        let mut ways = Ways { config, store, ended, intakes: Vec::new(), tasks: Tasks::default() };
        for (name, webhook) in &config.webhook {
            let place = || format!("webhook.{name}");
            let emitter = Webhook::new(name, webhook, &config.data_dir).with_context(place)?;
            let settings = lanes::Settings {
                batch_events: webhook.batch_events as usize,
                batch_bytes: webhook.batch_bytes,
                tries_max: webhook.tries_max,
                backoff_max: Duration::from_secs(webhook.backoff_max_secs.into()),
                keep_ms: i64::from(webhook.keep_secs) * 1_000,
            };
            ways.open(format!("webhook-{name}"), emitter, settings, webhook.types, &webhook.uids)
                .with_context(place)?;
        }
        let amqp = &config.events_amqp;
        if let Some(url) = &amqp.url {
            let settings = lanes::Settings {
                batch_events: amqp.batch_events as usize,
                batch_bytes: AMQP_BATCH_BYTES,
                tries_max: u32::MAX, // a broker looks into nothing, so it refuses nothing
                backoff_max: Duration::from_secs(amqp.backoff_max_secs.into()),
                keep_ms: i64::from(amqp.keep_secs) * 1_000,
            };
            let emitter = Amqp::new(url.parsed(), amqp);
            ways.open("amqp".into(), emitter, settings, amqp.types, &amqp.uids).context("events.amqp")?;
        }
        let Ways { intakes, tasks, .. } = ways;
        let settings = hub::Settings {
            ring_bytes: config.events.ring_bytes,
            remember_ms: i64::from(config.events.remember_secs) * 1_000,
            readers_max: config.events.readers_max as usize,
        };
        let hub = Arc::new(Hub::new(run, settings, intakes.clone()));
        hub.started(jiff::Timestamp::now().as_millisecond(), &config.domain, store.epoch());
        Ok(Events { hub, intakes, tasks: Mutex::new(tasks), end })
    }

    /// The hub.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The ways out.
    pub fn ways_out(&self) -> &[Arc<Intake>] {
        &self.intakes
    }

    /// Nothing more happens: what did is with the store when this returns, and readers are told the end.
    pub async fn stop(&self) {
        self.hub.close();
        self.intakes.iter().for_each(|intake| intake.close());
        let Tasks { intakes, sinks } = std::mem::take(&mut *self.tasks.lock());
        for task in intakes {
            let _ = task.await; // a panic is logged where it happens
        }
        let _ = tokio::time::timeout(LAST_WORDS, self.all_out()).await;
        let _ = self.end.send(true);
        for task in sinks {
            let _ = task.await;
        }
    }

    async fn all_out(&self) {
        for intake in &self.intakes {
            while intake.counts.done_to.load(Ordering::Relaxed) < intake.counts.stored_to.load(Ordering::Relaxed) {
                tokio::time::sleep(LAST_WORDS / 20).await;
            }
        }
    }
}

/// The ways out, while they are opened.
struct Ways<'a> {
    config: &'a Config,
    store: &'a Arc<dyn Store>,
    ended: watch::Receiver<bool>,
    intakes: Vec<Arc<Intake>>,
    tasks: Tasks,
}

impl Ways<'_> {
    fn open(
        &mut self,
        sink: String,
        emitter: impl Emitter,
        settings: lanes::Settings,
        kinds: Kinds,
        uids: &Uids,
    ) -> Result<()> {
        let prepared = uids.0.iter().map(|uid| {
            let user = accounts::user(uid, &self.config.domain).map_err(|e| anyhow!("uids: {uid:?}: {e}"))?;
            Ok(user.local().unwrap_or_default().to_owned())
        });
        let filter = Filter::new(kinds, prepared.collect::<Result<Vec<String>>>()?);
        let events = &self.config.events;
        let folder = self.config.data_dir.join(dead::FOLDER);
        let letters = DeadLetters::new(folder, &sink, events.dead_letter_bytes_max as u64);
        let intake = Arc::new(Intake::new(sink, filter, events.intake_bytes_max));
        let out = Sink::new(emitter, settings, intake.clone(), self.store.clone(), letters);
        self.tasks.sinks.push(tokio::spawn(out.run(self.ended.clone())));
        let (taker, store) = (intake.clone(), self.store.clone());
        self.tasks.intakes.push(tokio::spawn(async move { taker.run(&store).await }));
        self.intakes.push(intake);
        Ok(())
    }
}
