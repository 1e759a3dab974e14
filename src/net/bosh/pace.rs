//! A request of a session that sends too fast waits before it is handled; see `net/shape/`.

use super::session::Live;
use std::sync::Arc;
use std::time::Instant;

/// Requests of one session that wait at a time. No client has so many under way that obeys its `requests`; one more
/// ends the session, for else they would pile up.
pub(super) const DELAYED_MAX: u8 = 8;

/// The wait of one request.
pub(crate) struct Delay {
    pub(super) live: Arc<Live>,
    pub(super) until: Instant,
}

impl Delay {
    pub(super) async fn wait(self) {
        tokio::time::sleep_until(self.until.into()).await;
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.live.no_longer_delayed();
    }
}
