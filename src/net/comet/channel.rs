//! One channel: a uid as comet clients see it. All its subscribers share it, and one resource of its user.
//!
//! It is a value behind a lock, found by the uid, with no task of its own. Tasks of requests work on it, the user's
//! actor does when it delivers ([`Link`]), the operator's calls do, and the wheel of deadlines. Nobody waits while
//! holding the lock, and nobody is woken under it.
//!
//! What a subscriber is given it fetches itself ([`Channel::gather`]): from memory, or from the store what is not there.

mod state;

use super::log::{Kind, Numbered};
use super::sub::{Over, PIECE_BYTES_MAX, PIECE_MESSAGES_MAX, Sub};
use super::{Comet, said};
use crate::net::deadlines::Slot;
use crate::net::http::Via;
use herald_session::{Close, Delivery, Link, LinkInfo, Seat, Transport};
use herald_storage::{Slice, ask};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, Kind as StanzaKind, PresenceType, Stanza, StanzaError};
use parking_lot::Mutex;
use smallvec::SmallVec;
use state::{Looked, State};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// So many numbers are set aside at a time for messages that are not kept.
const BLOCK: u32 = 1_000;

/// Whom to wake when the lock is free again.
pub(super) type Wakers = SmallVec<[Waker; 4]>;

/// See the module page.
pub(super) struct Channel {
    user: BareJid,
    comet: Arc<Comet>,
    via: Via,
    state: Mutex<State>,
}

/// One thing for a subscriber.
#[derive(Debug)]
pub(super) struct Item {
    pub kind: &'static str,
    /// Which of the subscriber's channels.
    pub place: usize,
    pub seq: i64,
    pub content: Option<Arc<str>>,
}

impl Item {
    /// One without content.
    pub(super) fn word(kind: &'static str, place: usize, seq: i64) -> Item {
        Item { kind, place, seq, content: None }
    }
}

/// What a subscriber has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All there is.
    All,
    /// There may be more at once.
    More,
    /// The store did not answer.
    Failed,
}

/// Why there is no place for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The channel has just ended: there is another one, or can be.
    Gone,
    /// As many are there as may be.
    Full,
}

impl Channel {
    /// One without a resource; it is not in the table yet.
    pub(super) fn new(comet: &Arc<Comet>, user: BareJid, via: Via) -> Arc<Channel> {
        let state = Mutex::new(State::new(comet.now_secs()));
        let comet = comet.clone();
        Arc::new(Channel { user, comet, via, state })
    }

    pub(super) fn uid(&self) -> &str {
        self.user.local().unwrap_or_default()
    }

    pub(super) fn user(&self) -> &BareJid {
        &self.user
    }

    /// Has it a resource?
    pub(super) fn is_bound(&self) -> bool {
        let state = self.state.lock();
        state.seat.is_some() && !state.gone
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state.lock().gone
    }

    /// It has a resource; false when it has ended meanwhile.
    pub(super) fn seated(&self, seat: Seat) -> bool {
        let mut state = self.state.lock();
        if !state.gone {
            state.seat = Some(seat);
        }
        !state.gone
    }

    /// All resources that its user had then have shown themselves: whether there are others is known from now on.
    pub(super) fn knows_others(&self) {
        self.state.lock().knows_others = true;
    }

    /// Is there any other resource, as far as it is known?
    pub(super) fn is_alone(&self) -> bool {
        let state = self.state.lock();
        state.seat.is_some() && state.knows_others && state.others.none()
    }

    /// The store's newest number.
    pub(super) fn known(&self, last: u64) {
        let mut state = self.state.lock();
        state.unread = state.unread.max(last);
        state.log.known(last);
    }

    /// The number the next message will have at least.
    pub(super) fn next(&self) -> u64 {
        self.state.lock().log.next()
    }

    /// Everything up to this number was acknowledged; the store is told in a moment.
    pub(super) fn acked(&self) -> u64 {
        self.state.lock().acked
    }

    pub(super) fn subscribers(&self) -> usize {
        self.state.lock().subs.len()
    }

    /// May there be something in the store that nobody has acknowledged?
    pub(super) fn may_have_unread(&self) -> bool {
        self.state.lock().has_unread()
    }

    /// A subscriber comes, who wants this number next. `oldest`: the oldest that nobody has acknowledged, for one that
    /// does not know what to want.
    pub(super) fn attach(self: &Arc<Channel>, sub: &Arc<Sub>, seq: i64, oldest: Option<u64>) -> Result<u64, NoPlace> {
        let max = self.comet.config.subscribers_max as usize;
        let mut state = self.state.lock();
        if state.gone {
            return Err(NoPlace::Gone);
        }
        if state.subs.len() >= max {
            return Err(NoPlace::Full);
        }
        let (want, news) = state.begin(sub, seq, oldest);
        let armed = state.armed;
        self.arm(&mut state, armed, self.comet.polling_timeout());
        drop(state);
        if news && let Some(waker) = sub.look() {
            waker.wake();
        }
        Ok(want)
    }

    /// A subscriber goes.
    pub(super) fn leave(self: &Arc<Channel>, sub: &Arc<Sub>) {
        let mut state = self.state.lock();
        if state.leave(sub) && state.subs.is_empty() && !state.gone {
            state.idle_since = self.comet.now_secs();
            let armed = state.armed;
            self.arm(&mut state, armed, self.comet.channel_timeout());
        }
    }

    /// Collects what a subscriber wants, and moves on what it wants next.
    pub(super) async fn gather(&self, comet: &Comet, sub: &Arc<Sub>, place: usize, items: &mut Vec<Item>) -> Found {
        loop {
            let (since, floor) = match self.state.lock().look(sub, place, items) {
                Looked::Found(found) => return found,
                Looked::Old { since, floor } => (since, floor),
            };
            let slice = Slice {
                since,
                before: None,
                limit: PIECE_MESSAGES_MAX as u32,
                bytes_max: PIECE_BYTES_MAX,
                newest_first: false,
            };
            let page = match ask(|then| comet.store.history(&self.user, slice, then)).await {
                Ok(page) => page,
                Err(e) => {
                    tracing::warn!(user = %self.user, "the log could not be read: {e}");
                    return Found::Failed;
                }
            };
            let found = self.state.lock().read(sub, place, (since, floor), &page, items);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// A stream has written all that it gathered.
    pub(super) fn read_by(&self, sub: &Arc<Sub>) {
        let mut state = self.state.lock();
        if let Some(want) = state.want_of(sub) {
            state.read_to(want.saturating_sub(1));
        }
    }

    /// Says something that is not kept.
    pub(super) fn say(&self, kind: Kind, content: Arc<str>) {
        let mut state = self.state.lock();
        if state.subs.is_empty() {
            state.idle_since = self.comet.now_secs();
        }
        let numbered = state.log.said(kind, content);
        let wakers = if numbered == Numbered::Yes { self.news(&mut state) } else { Wakers::new() };
        drop(state);
        wake(wakers);
        if numbered == Numbered::Ask {
            self.ask_block();
        }
    }

    fn ask_block(&self) {
        let there = self.comet.find(&self.user).filter(|there| std::ptr::eq(&raw const **there, self));
        let Some(me) = there else {
            // It is not in the table yet, or not any more: nobody waits for it.
            self.state.lock().log.reserved(None);
            return;
        };
        let then = move |first: Result<u64, _>| {
            let mut state = me.state.lock();
            let enough = state.log.reserved(first.ok().map(|first| (first, BLOCK)));
            let wakers = me.news(&mut state);
            drop(state);
            wake(wakers);
            if !enough {
                me.ask_block();
            }
        };
        self.comet.store.reserve(&self.user, BLOCK, Box::new(then));
    }

    /// Something new is there: everybody looks.
    fn news(&self, state: &mut State) -> Wakers {
        state.news(self.comet.config.buffer_messages as usize, self.comet.backlog_bytes_max)
    }

    /// What was said up to now is given to nobody any more; the number of the next message.
    pub(super) fn clear(&self) -> u64 {
        let mut state = self.state.lock();
        state.log.clear();
        state.read_to(u64::MAX);
        let next = state.log.next();
        for entry in state.subs.iter_mut() {
            entry.want = entry.want.max(next);
        }
        next
    }

    /// It ends: subscribers are told, the resource goes.
    pub(super) fn end(&self, shutdown: bool) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.gone, true) {
            return;
        }
        let over = if shutdown { Over::Again } else { Over::Closed };
        let wakers: Wakers = state.subs.iter().filter_map(|entry| entry.sub.end(over)).collect();
        let seat = state.seat.take();
        drop(state);
        self.comet.forget(self.uid(), self);
        if let Some(seat) = seat {
            seat.unbind(Vec::new());
        }
        wake(wakers);
    }

    /// The time has come to look.
    pub(super) fn tick(self: &Arc<Channel>, now: u32) {
        let mut state = self.state.lock();
        state.armed = None;
        if state.gone {
            return;
        }
        if state.subs.is_empty() && state.idle_since + self.comet.config.channel_timeout_secs <= now {
            drop(state);
            return self.end(false);
        }
        let wakers: Wakers = state.subs.iter().filter_map(|entry| entry.sub.tick(self, now)).collect();
        let next = match state.subs.iter().map(|entry| entry.sub.due()).min() {
            Some(due) => due.max(now + 1),
            None => state.idle_since + self.comet.config.channel_timeout_secs,
        };
        self.arm(&mut state, None, Duration::from_secs((next - now).into()));
        drop(state);
        wake(wakers);
    }

    /// It is in the table from now on.
    pub(super) fn begin(self: &Arc<Channel>) {
        let mut state = self.state.lock();
        self.arm(&mut state, None, self.comet.channel_timeout());
    }

    /// Stands in the wheel for then, unless it does so for an earlier time.
    fn arm(self: &Arc<Channel>, state: &mut State, armed: Option<Slot>, within: Duration) {
        let at = Instant::now() + within;
        if armed.is_none_or(|armed| armed > self.comet.deadlines.slot(at)) {
            state.armed = Some(self.comet.deadlines.put(at, self));
        }
    }

    /// Somebody of our user became available, or unavailable.
    fn presence(&self, stanza: &Stanza) {
        let Some(from) = stanza.from.as_ref().filter(|from| from.bare_str() == self.user.as_str()) else { return };
        let Some(resource) = from.resource().filter(|resource| *resource != super::RESOURCE) else { return };
        let others = &mut self.state.lock().others;
        match stanza.kind {
            StanzaKind::Presence(PresenceType::Available) => others.came(resource),
            StanzaKind::Presence(PresenceType::Unavailable) => others.went(resource),
            _ => {}
        }
    }

    /// A request is answered (RFC 6120 section 8.2.3): there is nobody here who would.
    fn refuse(&self, stanza: &Stanza) {
        let error = stanza.error(StanzaError::new(Condition::ServiceUnavailable));
        let state = self.state.lock();
        if let (Some(error), Some(seat)) = (error, &state.seat) {
            let _ = seat.try_send(error.from(seat.jid().clone())); // a full mailbox has other worries
        }
    }
}

impl Link for Channel {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let stanza = &delivery.stanza;
        match (stanza.kind, delivery.receipt) {
            (StanzaKind::Message(_), Some(receipt)) => {
                let said = said::of(stanza);
                let mut state = self.state.lock();
                state.unread = state.unread.max(receipt.0);
                let wakers = if state.log.kept(receipt.0, said) { self.news(&mut state) } else { Wakers::new() };
                drop(state);
                wake(wakers);
            }
            (StanzaKind::Message(_), None) => {
                if let Some((kind, content)) = said::of(stanza) {
                    self.say(kind, content);
                }
            }
            (StanzaKind::Presence(_), _) => self.presence(stanza),
            (StanzaKind::Iq(_), _) if stanza.is_request() => self.refuse(stanza),
            (StanzaKind::Iq(_), _) => {}
        }
        Ok(())
    }

    fn close(&self, why: Close) {
        self.end(why == Close::Shutdown);
    }

    fn info(&self) -> LinkInfo {
        LinkInfo { transport: Transport::Comet, secure: self.via.secure, peer: self.via.peer }
    }

    fn waiting(&self) -> u32 {
        0 // it gives nothing back
    }

    fn taken(&self) -> Option<u32> {
        None
    }
}

fn wake(wakers: Wakers) {
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each uid that somebody subscribes.
    #[test]
    fn a_channel_is_small() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Channel>() + counts <= 256, "{}", size_of::<Channel>() + counts);
    }
}
