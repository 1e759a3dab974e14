//! Who is to be told when an actor ends: monitors, links, waiting tasks, and a successor under the same key.

use crate::actor::{ActorId, Exit, MonitorId, Signal};
use crate::cell::{Erased, Notice};
use std::sync::{Arc, Weak};
use tokio::sync::oneshot;

/// Beside the room of a cell, under its lock; allocated only when something is in it.
#[derive(Default)]
pub(crate) struct Aside {
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) name: Option<Box<str>>,
}

pub(crate) enum Watcher {
    Monitor(MonitorId, Weak<dyn Erased>),
    Link(ActorId, Weak<dyn Erased>),
    Task(oneshot::Sender<Exit>),
    /// Starts when this one has ended: one actor per key at a time.
    Successor(Arc<dyn Erased>),
}

impl Watcher {
    pub(crate) fn tell(self, who: ActorId, why: &Exit) {
        match self {
            Watcher::Monitor(monitor, cell) => {
                if let Some(cell) = cell.upgrade() {
                    cell.post(Notice::Signal(Box::new(Signal::Down { monitor, who, why: why.clone() })));
                }
            }
            Watcher::Link(_, cell) => {
                if let Some(cell) = cell.upgrade() {
                    cell.exit(who, why.clone());
                }
            }
            // A task that no longer waits is no news.
            Watcher::Task(tx) => drop(tx.send(why.clone())),
            Watcher::Successor(cell) => cell.enqueue(),
        }
    }
}
