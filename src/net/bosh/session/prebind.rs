//! A session that begins bound, for a client that has still to come: whoever knows its sid and rid is the user.

use super::{Live, Standing, bosh, info};
use crate::net::World;
use crate::net::http::Via;
use crate::net::login::Question;
use bosh::{Rid, Sid};
use herald_session::Link;
use herald_xmpp::stanza::Condition;
use herald_xmpp::stream::c2s;
use herald_xmpp::{BareJid, FullJid, Resource, StanzaError};
use std::sync::Arc;
use std::time::Instant;

/// What an attaching client is told.
pub struct Prebound {
    /// The address that is bound.
    pub jid: FullJid,
    /// The name of the session.
    pub sid: Sid,
    /// The id of its first request.
    pub rid: Rid,
}

impl Live {
    /// Binds a resource of `user` to a new session, which waits `ttl_secs` for its first request. It may
    /// come over http or https: the session began on neither. The errors are those of a bind.
    pub(crate) async fn prebind(
        world: &Arc<World>,
        via: Via,
        user: BareJid,
        resource: Option<Resource>,
        ttl_secs: u32,
    ) -> Result<Prebound, StanzaError> {
        let broken = || StanzaError::new(Condition::InternalServerError);
        let (sid, created) = draw().ok_or_else(broken)?;
        let now = Instant::now();
        // Of nobody yet: what the resource is bound to must be there before it is.
        let stream = world.stream(now, info(via)).ok_or_else(broken)?;
        let (machine, rid) = bosh::Session::prebound(now, world.bosh.settings.clone(), created, ttl_secs);
        let live = Live::assemble(world, via, sid, machine, stream);
        let link: Arc<dyn Link> = live.clone();
        let answered = world.logins.answer(Question::Bind(user, resource), link).await;
        let Some(seat) = answered.seat else {
            return Err(match answered.input {
                c2s::Input::Bound(Err(e)) => e,
                _ => broken(),
            });
        };
        let jid = seat.jid().clone();
        let mut state = live.state.lock();
        if state.gone || !state.machine.is_open() {
            // It was closed already: another bind of the resource, or the end of the server.
            return Err(StanzaError::new(Condition::ServiceUnavailable));
        }
        state.stream = c2s::Stream::bound(world.plain.clone(), jid.clone());
        state.standing = Standing::Seated(seat);
        world.bosh.table.insert(live.clone());
        let after = live.turn(&mut state, Instant::now());
        live.finish(state, after);
        Ok(Prebound { jid, sid, rid })
    }
}

/// A sid, and a rid that no creation request had.
fn draw() -> Option<(Sid, Rid)> {
    let (mut sid, mut rid) = ([0; 16], [0; 4]);
    getrandom::fill(&mut sid).ok()?;
    getrandom::fill(&mut rid).ok()?;
    Some((Sid::new(sid), Rid::new(u64::from(u32::from_be_bytes(rid)).max(1))?))
}
