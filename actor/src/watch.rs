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
    /// How often it was restarted.
    pub(crate) restarts: u32,
}

pub(crate) enum Watcher {
    Monitor(MonitorId, Weak<dyn Erased>),
    Link(ActorId, Weak<dyn Erased>),
    Task(oneshot::Sender<Exit>),
    /// Starts when this one has ended: one actor per key at a time.
    Successor(Arc<dyn Erased>),
}

impl Watcher {
    /// Whether it would hear of it.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Watcher::Monitor(_, cell) | Watcher::Link(_, cell) => cell.strong_count() > 0,
            Watcher::Task(tx) => !tx.is_closed(),
            Watcher::Successor(_) => true,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Cell;
    use crate::{Actor, Ctx, System};

    struct Watched;

    impl Actor for Watched {
        type Msg = ();
        type Key = std::convert::Infallible;
        type Common = ();
        const MAILBOX_MAX: u32 = 1;
        fn handle(&mut self, (): (), _: &mut Ctx<Self>) {}
    }

    #[test]
    fn watchers_that_ended_are_not_kept_for_ever() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let watched = System::new(runtime.handle(), 1).spawn(Watched);
        let there = watched.clone();
        for n in 0..1_000 {
            let ended: Weak<Cell<Watched>> = Weak::new();
            let alive: Weak<Cell<Watched>> = Arc::downgrade(&there.cell);
            let weak: Weak<dyn Erased> = if n % 100 == 0 { alive } else { ended };
            assert!(watched.cell.watch(Watcher::Monitor(MonitorId(n), weak)).is_ok());
        }
        let aside = watched.cell.room.aside();
        let kept = aside.as_ref().map_or(&[][..], |aside| &aside.rest.watchers);
        assert_eq!(kept.iter().filter(|watcher| watcher.is_there()).count(), 10);
        assert!(kept.len() <= 32, "{} are kept", kept.len());
    }
}
