//! Sessions made on behalf of a user, by the operator's API: `{jid, sid, rid}` for a page to attach to.

use super::World;
use super::bosh::Live;
use super::http::Via;
use herald_xmpp::{BareJid, Resource, StanzaError};
use std::net::IpAddr;
use std::sync::Arc;

pub use super::bosh::Prebound;

/// Makes such sessions. Cloning shares it.
#[derive(Clone)]
pub struct Prebind {
    pub(super) world: Arc<World>,
}

impl Prebind {
    /// Binds a resource of `user`, which has an account, or one that the server names, to a BOSH session that
    /// waits `ttl_secs` for its first request. When none comes the resource is unbound; nobody has seen it, for
    /// no presence was sent. `peer` is who asked for it.
    ///
    /// Errors: as for a bind (RFC 6120 section 7), and `service-unavailable` while the server goes down.
    pub async fn session(
        &self,
        user: BareJid,
        resource: Option<Resource>,
        ttl_secs: u32,
        peer: IpAddr,
    ) -> Result<Prebound, StanzaError> {
        Live::prebind(&self.world, Via { secure: false, peer }, user, resource, ttl_secs).await
    }
}
