//! BOSH: requests find their session, sessions keep their deadlines.
//!
//! A session is a [`session::Live`] value behind a lock, found by its sid. It has no task: a request's
//! own task works on it, the user's actor does when it delivers, and [`Sessions::tick`] when a deadline
//! is due. See `session.rs` for how these keep out of each other's way.

mod pace;
mod session;
mod table;

use super::World;
use super::deadlines::{Deadlines, SLOT};
use super::http::{Reply, Response, Via};
use super::shape::Begin;
use herald_bosh::{Answer, Body, Condition, Refused, Sid, Ticket};
use herald_xmpp::xml::Limits;
use session::Posted;
pub use session::Prebound;
pub(crate) use session::{Given, Live, Waiting};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use table::Table;
use tokio_util::sync::CancellationToken;

/// All BOSH sessions of the server.
pub(crate) struct Sessions {
    table: Table,
    deadlines: Deadlines<Live>,
    settings: Arc<herald_bosh::Settings>,
    limits: Limits,
    tickets: AtomicU64,
}

impl Sessions {
    pub(crate) fn new(settings: herald_bosh::Settings, limits: Limits, now: Instant) -> Sessions {
        Sessions {
            table: Table::default(),
            deadlines: Deadlines::new(now),
            settings: Arc::new(settings),
            limits,
            tickets: AtomicU64::new(1),
        }
    }

    /// Looks at the sessions whose deadline has come, until it is told to stop.
    pub(crate) async fn tick(world: Arc<World>, stop: CancellationToken) {
        let mut slots = tokio::time::interval(SLOT);
        slots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                now = slots.tick() => {
                    let now = now.into_std();
                    for live in world.bosh.deadlines.due(now) {
                        live.tick(now);
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }
}

/// One POST to `/http-bind`.
pub(crate) async fn post(world: &Arc<World>, via: Via, body: Vec<u8>) -> Reply {
    let bosh = &world.bosh;
    let len = body.len();
    let body = match Body::parse(&body, &bosh.limits) {
        Ok(body) => body,
        Err(refused) => return broken(world, via, &refused),
    };
    let ticket = bosh.ticket();
    let Some(sid) = body.sid else { return create(world, via, body, ticket).await };
    let Some(live) = bosh.table.find(sid) else { return now(Answer::unknown_sid()) };
    if live.secure() && !via.secure {
        // XEP-0124 section 19.1: somebody who read a sid off the wire must not end the session with it.
        return Reply::Never;
    }
    let waiting = match live.post(len, ticket, body) {
        Posted::Waits(waiting) => waiting,
        // Nothing is read meanwhile: what is behind it on this connection waits too.
        Posted::Later(delay, body) => {
            Box::pin(delay.wait()).await;
            live.take(ticket, body)
        }
        Posted::TooMany => {
            let waiting = live.expect(ticket);
            live.broken(ticket, Condition::PolicyViolation);
            return Reply::Later(waiting);
        }
    };
    live.drained().await;
    Reply::Later(waiting)
}

/// A request too large to be read at all; `start` is what came of its body.
pub(crate) fn too_large(world: &Arc<World>, via: Via, start: &[u8]) -> Reply {
    broken(world, via, &Refused::too_large(start))
}

/// A request whose content coding cannot be undone; `start` is what came of its body before that was seen.
pub(crate) fn undecodable(world: &Arc<World>, via: Via, start: &[u8]) -> Reply {
    broken(world, via, &Refused::undecodable(start))
}

async fn create(world: &Arc<World>, via: Via, body: Body, ticket: Ticket) -> Reply {
    let refuse = |condition| now(Answer::refuse(&body, condition));
    if world.config.bosh.https_only && !via.secure {
        return now(Answer::see_other(&format!("{}/http-bind", world.https("https").unwrap_or_default())));
    }
    match body.to() {
        None => return refuse(Condition::ImproperAddressing),
        Some(to) if !world.is_ours(to) => return refuse(Condition::HostUnknown),
        Some(_) if world.draining() => return refuse(Condition::SystemShutdown),
        Some(_) if world.shaper.admit(Begin::Session, via.peer, Instant::now()).is_err() => {
            return refuse(Condition::PolicyViolation);
        }
        Some(_) => {}
    }
    let mut random = [0; 16];
    if getrandom::fill(&mut random).is_err() {
        return refuse(Condition::InternalServerError);
    }
    let sid = Sid::new(random);
    let Some(live) = Live::create(world, via, sid, body, ticket) else {
        return now(Answer::unknown_sid());
    };
    let waiting = live.expect(ticket);
    world.bosh.table.insert(live.clone());
    live.begin();
    live.drained().await;
    Reply::Later(waiting)
}

/// A request that could not be read ends the session it names, when that is not somebody else's.
fn broken(world: &Arc<World>, via: Via, refused: &Refused) -> Reply {
    let Some(live) = refused.sid.and_then(|sid| world.bosh.table.find(sid)) else { return now(refused.answer()) };
    if live.secure() && !via.secure {
        return Reply::Never;
    }
    let ticket = world.bosh.ticket();
    let waiting = live.expect(ticket);
    live.broken(ticket, refused.condition);
    Reply::Later(waiting)
}

fn now(answer: Answer) -> Reply {
    Reply::Now(Box::new(response(answer)))
}

fn response(answer: Answer) -> Response {
    let content_type: Cow<'static, str> = match answer.content_type() {
        herald_bosh::CONTENT_TYPE => Cow::Borrowed(herald_bosh::CONTENT_TYPE),
        asked => Cow::Owned(asked.to_owned()),
    };
    Response::new(answer.status, content_type, answer.body)
}
