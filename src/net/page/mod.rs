//! herald.v1, the protocol of `herald.js`: JSON frames over WebSocket or, where that does not get through, over
//! requests. `docs/page-protocol.md` says what the frames mean.
//!
//! A page is one more resource of its user, a follower: it has a cursor in the user's log (see
//! [`feed`](super::feed)) and goes on behind it on whatever connection it comes back. So there is no session to be
//! resumed and nothing to be kept for a client that is gone: what is kept is the log.
//!
//! | file | what is in it |
//! |---|---|
//! | `frames.rs` | the frames, as JSON has them |
//! | `compose.rs`, `render.rs` | from frames to stanzas, and back |
//! | `session.rs` | one session, without I/O |
//! | `live.rs` | a session with the seat of its user, its deadlines, and whoever does what it waits for |
//! | `door.rs` | coming in |
//! | `ws.rs`, `poll.rs` | what brings frames: a WebSocket, or `POST /herald` |
//! | `files.rs`, `demo.rs` | `herald.js`, the demo page, and the calls that it makes |
//!
//! The WebSocket's path is the one of the requests. A page of any origin may connect: nothing is granted by where a
//! page came from, or by a cookie, but by the token in `hello`, so there is nothing that another site could borrow
//! (RFC 6455 section 10.2).

mod compose;
pub(crate) mod demo;
mod door;
pub(crate) mod files;
mod frames;
mod live;
mod poll;
mod render;
mod session;
mod ws;

pub(crate) use poll::{Waiting, post};
pub(crate) use ws::{PROTOCOL, spawn};

use super::World;
use super::deadlines::{Deadlines, SLOT};
use crate::config::Config;
use dashmap::DashMap;
use live::Live;
use session::Settings;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// So often the demo's accounts are looked at.
const DEMO_LOOK: Duration = Duration::from_secs(1_800);

/// Where pages connect.
pub(crate) fn is_path(path: &str) -> bool {
    matches!(path, "/herald" | "/herald/")
}

/// Does it matter for this path whom a request is for, and whose page asks?
pub(crate) fn wants_named(path: &str) -> bool {
    files::is_path(path) || demo::is_path(path)
}

/// What all sessions of herald.v1 share, and those over requests by their name.
pub(crate) struct Pages {
    settings: Arc<Settings>,
    table: DashMap<u128, Arc<Live>>,
    deadlines: Deadlines<Live>,
    visitors: demo::Visitors,
}

impl Pages {
    pub(crate) fn new(config: &Config, epoch: &str, now: Instant) -> Pages {
        let settings = Settings {
            domain: config.domain.to_string(),
            epoch: epoch.into(),
            frame_bytes_max: config.herald.frame_bytes_max,
            soft_bytes_max: config.herald.page_bytes,
            hard_bytes_max: config.limits.outbox_bytes_max,
            ping_secs: config.herald.ping_secs,
            inactivity_secs: config.herald.inactivity_secs,
        };
        let (settings, visitors) = (Arc::new(settings), demo::Visitors::default());
        Pages { settings, table: DashMap::new(), deadlines: Deadlines::new(now), visitors }
    }

    /// Looks at the sessions whose deadline has come, until it is told to stop.
    pub(crate) async fn tick(world: Arc<World>, stop: CancellationToken) {
        let mut slots = tokio::time::interval(SLOT);
        slots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut hours = tokio::time::interval(DEMO_LOOK);
        loop {
            tokio::select! {
                now = slots.tick() => {
                    let now = now.into_std();
                    for live in world.page.deadlines.due(now) {
                        live.tick(now);
                    }
                }
                _ = hours.tick() => {
                    let world = world.clone();
                    tokio::spawn(async move { demo::clean_up(&world).await });
                }
                () = stop.cancelled() => return,
            }
        }
    }

    fn find(&self, sid: u128) -> Option<Arc<Live>> {
        self.table.get(&sid).map(|live| live.clone())
    }

    fn insert(&self, sid: u128, live: Arc<Live>) {
        self.table.insert(sid, live);
    }

    fn forget(&self, sid: u128) {
        self.table.remove(&sid);
    }
}
