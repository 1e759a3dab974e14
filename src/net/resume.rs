//! Streams that can be resumed on another connection (XEP-0198 section 5).
//!
//! What a stream holds ([`Held`]) belongs to the task of its connection and, when that is gone, to a small task
//! that waits for the first of three: another connection claims it, the user ends it, or the time is up. (What
//! finds no room meanwhile is kept in the store, and comes after the resumption.) Whoever resumes a stream asks
//! the task that has it, over the outbox, and does not care whether that still has a connection. There is no lock
//! around a stream, and at any time one owner, who gives everything back when it ends.

use super::World;
use super::outbox::{Mail, Outbox};
use super::stream::{Held, Resumable};
use crate::metrics;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use dashmap::DashMap;
use herald_xmpp::stanza::Condition;
use herald_xmpp::stream::sm::Failed;
use herald_xmpp::{BareJid, FullJid};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;

/// Streams that were there and are no more, of which is known how much was handled. The oldest are forgotten.
const ENDED_MAX: usize = 16_384;
/// Whoever has a stream is asked for it for so long.
const CLAIM_SECS: u64 = 10;

/// Where the one who claims a stream waits for it.
pub(crate) type Claim = oneshot::Sender<Held>;

/// The name of a stream: 128 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SmId([u8; 16]);

impl SmId {
    fn read(text: &str) -> Option<SmId> {
        BASE64.decode(text).ok()?.try_into().ok().map(SmId)
    }
    /// As the client sees it.
    pub(crate) fn text(self) -> String {
        BASE64.encode(self.0)
    }
}

/// All of them.
pub(crate) struct Resumables {
    /// How long a stream can be resumed after its end; 0: never.
    secs_max: u32,
    /// What is kept for one, written and not acknowledged, or waiting.
    bytes_max: usize,
    here: DashMap<SmId, Place>,
    ended: Mutex<Ended>,
}

struct Place {
    user: BareJid,
    outbox: Weak<Outbox>,
}

#[derive(Default)]
struct Ended {
    handled: HashMap<SmId, (BareJid, u32)>,
    order: VecDeque<SmId>,
}

impl Resumables {
    pub(crate) fn new(secs_max: u32, bytes_max: usize) -> Resumables {
        Resumables { secs_max, bytes_max, here: DashMap::new(), ended: Mutex::default() }
    }

    /// What is kept for one stream, in bytes.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// From now on this user's stream can be resumed, for so long at most as the client wants. None when no
    /// stream can be, or there is no randomness.
    pub(crate) fn enable(self: &Arc<Self>, user: BareJid, outbox: &Arc<Outbox>, secs: u32) -> Option<Resumable> {
        let secs = secs.min(self.secs_max);
        let mut id = SmId([0; 16]);
        if secs == 0 || getrandom::fill(&mut id.0).is_err() {
            return None;
        }
        self.here.insert(id, Place { user, outbox: Arc::downgrade(outbox) });
        Some(Resumable { id, secs, table: self.clone(), closed: false })
    }

    /// Takes a stream from whoever has it.
    pub(crate) async fn claim(&self, user: &BareJid, previd: &str) -> Result<Held, Failed> {
        if self.secs_max == 0 {
            return Err(Failed::new(Condition::FeatureNotImplemented));
        }
        let unknown = Failed::new(Condition::ItemNotFound);
        let id = SmId::read(previd).ok_or(unknown)?;
        let outbox = self.here.get(&id).filter(|place| place.user == *user).and_then(|place| place.outbox.upgrade());
        if let Some(outbox) = outbox {
            let (claim, held) = oneshot::channel();
            if outbox.claim(claim)
                && let Ok(Ok(held)) = tokio::time::timeout(Duration::from_secs(CLAIM_SECS), held).await
            {
                return Ok(held);
            }
        }
        let ended = self.ended.lock();
        let h = ended.handled.get(&id).filter(|(owner, _)| owner == user).map(|(_, h)| *h);
        Err(Failed { h, ..unknown })
    }

    /// This one cannot be resumed any more.
    pub(crate) fn end(&self, resumable: &Resumable, jid: &FullJid, handled: u32) {
        self.here.remove(&resumable.id);
        if resumable.closed {
            return;
        }
        let mut ended = self.ended.lock();
        ended.handled.insert(resumable.id, (jid.to_bare(), handled));
        ended.order.push_back(resumable.id);
        if ended.order.len() > ENDED_MAX
            && let Some(oldest) = ended.order.pop_front()
        {
            ended.handled.remove(&oldest);
        }
    }
}

/// Keeps a stream whose connection is gone for as long as it can be resumed. One that cannot is given back.
pub(crate) fn keep(world: &World, held: Held) {
    let mut held = held;
    let kept = held.kept_bytes();
    let Some(resumable) = held.managed().and_then(|m| m.resumable.as_ref()) else { return };
    let time = Duration::from_secs(resumable.secs.into());
    let room = resumable.table.bytes_max.saturating_sub(kept);
    held.outbox.leave(room);
    world.runtime.spawn(async move {
        let _counted = metrics::Resumable::count();
        let until = tokio::time::sleep(time);
        tokio::pin!(until);
        loop {
            let mail = poll_fn(|cx| held.outbox.poll_mail(cx, 0));
            tokio::select! {
                mail = mail => match mail {
                    Mail::Claim(claim) => match claim.send(held) {
                        Ok(()) => return,
                        // Whoever wanted it is gone already.
                        Err(back) => held = back,
                    },
                    Mail::Close(_) => return,
                    Mail::Look(_) | Mail::Deliveries(..) => {}
                },
                () = &mut until => return,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let id = SmId([0xfb; 16]);
        assert_eq!(SmId::read(&id.text()), Some(id));
        for wrong in ["", "AAAA", &"A".repeat(23), "AAAAAAAAAAAAAAAAAAAAA=", "\u{e9}AAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(SmId::read(wrong), None, "{wrong}");
        }
    }
}
