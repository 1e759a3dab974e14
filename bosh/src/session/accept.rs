//! Requests coming in: their place in the order, and what they ask for.

use super::replay::{Replay, Resets};
use super::window::{Early, Held};
use super::{Edge, Item, Output, Session};
use crate::time::Time;
use crate::{Answer, Ask, Body, Condition, Ticket, write};
use std::time::Duration;

/// How long a request that came before its elders waits for them, in seconds. Then its client is asked to
/// send them again: what takes longer is lost, and a browser would not notice it for longer than `wait`.
const EARLY_SECS: u64 = 10;

/// How often a request that came before its elders is told to repeat them: who has not done so by then never will,
/// and when it comes once more the session ends.
const TOLD_MAX: u8 = 8;

impl<T: Item> Session<T> {
    /// The creation request goes up.
    pub(super) fn open(&mut self, mut body: Body, ticket: Ticket) {
        let payload = std::mem::take(&mut body.payload);
        self.say(Output::Open {
            to: body.to().map(Into::into),
            from: body.from().map(Into::into),
            lang: body.lang().map(Into::into),
            version: body.xmpp_version().unwrap_or("1.0").into(),
        });
        if !payload.is_empty() {
            self.say(Output::Payload(payload));
        }
        let until = self.now() + Duration::from_millis(self.settings.features_ms.into());
        self.window.held.push(Held::new(body.rid, Some(ticket), until));
    }

    /// A request for this session.
    pub(super) fn post(&mut self, ticket: Ticket, body: Body) {
        match self.phase.edge() {
            Some(Edge::Gone) => return self.answer(ticket, Answer::unknown_sid()),
            Some(Edge::Closing(last_word)) => {
                let answer = last_word.clone();
                self.answer(ticket, answer);
                return self.forget();
            }
            Some(Edge::Opening(_)) | None => {}
        }
        if body.rid <= self.window.last {
            self.repeated(ticket, &body);
        } else if body.rid > self.window.highest(&self.terms, body.ask).plus(self.leaves_the_gap(&body).into()) {
            self.violated(Some(ticket), Condition::ItemNotFound); // section 14.2
        } else if body.rid == self.window.last.plus(1) {
            self.alive();
            self.accept(Some(ticket), body, false);
            self.accept_early();
        } else {
            self.alive();
            self.early(ticket, body);
        }
        if self.is_open() {
            self.note_idle();
        }
    }

    /// The client is there.
    fn alive(&mut self) {
        self.idle_since = None;
        self.terms.paused(None); // section 10: back to normal with the next request
    }

    /// Those that waited for the one just accepted.
    fn accept_early(&mut self) {
        while self.is_open()
            && let Some(early) = self.window.take_next_early()
        {
            self.accept(early.ticket, early.body, true);
        }
    }

    /// The next request in order. `was_early`: it has waited for its elders.
    fn accept(&mut self, ticket: Option<Ticket>, mut body: Body, was_early: bool) {
        if self.terms.keys_mut().is_some_and(|k| !k.admit(&body)) {
            return self.violated(ticket, Condition::ItemNotFound); // section 15.4: not processed
        }
        if let (None, Some(newkey)) = (self.terms.keys(), body.newkey()) {
            self.terms.begin_keys(newkey);
        }
        self.put_back_unread();
        self.covered_by(&body, was_early);
        if matches!(body.ask, Ask::Pause(secs) if secs > self.settings.maxpause_secs) {
            return self.violated(ticket, Condition::PolicyViolation);
        }
        if !was_early && self.too_active(body.is_empty()) {
            return self.violated(ticket, Condition::PolicyViolation);
        }
        self.terms.paused(None); // of a pause that this request overtook
        self.window.idle_poll_at = body.is_empty().then_some(self.now());
        self.window.last = body.rid;
        self.stale = 0;

        let payload = std::mem::take(&mut body.payload);
        let asks = payload.asks() || body.ask == Ask::Restart;
        if body.ask == Ask::Restart {
            // XEP-0206 section 5: a payload SHOULD be ignored.
            let (to, from, lang) = (body.to(), body.from(), body.lang());
            let restart =
                Output::Restart { to: to.map(Into::into), from: from.map(Into::into), lang: lang.map(Into::into) };
            self.say(restart);
        } else if !payload.is_empty() {
            self.say(Output::Payload(payload));
        }
        self.hold(ticket, &body, asks);
        match body.ask {
            Ask::Terminate => self.terminated(),
            Ask::Pause(secs) => {
                self.answer_all_empty();
                self.terms.paused(Some(secs).filter(|s| *s > 0));
            }
            Ask::Exchange | Ask::Restart => {}
        }
    }

    /// Puts an accepted request among those that wait.
    fn hold(&mut self, ticket: Option<Ticket>, body: &Body, asks: bool) {
        let settle = self.now() + Duration::from_millis(self.settings.settle_ms.into());
        let others_wait = !self.window.held.is_empty();
        self.work().settle_until = (asks && others_wait).then_some(settle);
        let until = match self.terms.polls() {
            true if asks => settle,
            true => self.now(),
            false => self.wait_over(),
        };
        self.window.held.push(Held::new(body.rid, ticket, until));
    }

    fn wait_over(&self) -> Time {
        self.now() + Duration::from_secs(self.terms.wait_secs.into())
    }

    /// A request that came before its elders.
    fn early(&mut self, ticket: Ticket, body: Body) {
        let now = self.now();
        let until = now + Duration::from_secs(EARLY_SECS);
        let Some(first) = self.window.early.iter_mut().find(|e| e.body.rid == body.rid) else {
            if self.window.early_bytes() + body.payload.bytes_len() > self.settings.body_bytes_max {
                return self.violated(Some(ticket), Condition::PolicyViolation);
            }
            let gap_stays = self.leaves_the_gap(&body);
            self.window.early.push(Early { body, ticket: Some(ticket), until, repeats: 0, told: 0 });
            if gap_stays {
                self.window.skip_gap();
                self.accept_early();
            }
            return;
        };
        if first.body.key() != body.key() || first.told >= TOLD_MAX {
            return self.violated(Some(ticket), Condition::ItemNotFound);
        }
        let older = first.ticket.replace(ticket);
        if now >= first.until {
            first.until = until;
        }
        first.repeats += 1;
        let too_often = first.repeats > self.settings.repeats_max;
        self.send(older, 200, write::SUPERSEDED);
        if too_often {
            self.repeated_too_often(ticket);
        }
    }

    /// Whether nobody is going to close the gap: a younger request was told to repeat its elders
    /// (section 17.3), and what its client does instead is to ask with nothing to say, as one does that waits
    /// for no answer. So does a page that was loaded anew and never knew of the request that is missing.
    fn leaves_the_gap(&self, body: &Body) -> bool {
        let told = self.window.early.iter().any(|e| e.ticket.is_none() && e.told > 0 && e.body.rid < body.rid);
        told && self.asks_only_when_answered(body) && self.terms.keys().is_none()
    }

    /// Section 10: a client that has one request held and nothing to send asks again because it was
    /// answered. (One that lets two be held asks again for the sake of the second.)
    fn asks_only_when_answered(&self, body: &Body) -> bool {
        body.is_empty() && self.terms.requests == 2
    }

    /// A request whose rid came before (section 14.3): its payload is not looked at again.
    fn repeated(&mut self, ticket: Ticket, body: &Body) {
        let is_kept = self.window.held.iter().any(|h| h.rid == body.rid) || self.replay.find(body.rid).is_some();
        match self.terms.keys().map_or(Some(true), |k| k.knows(body)) {
            Some(true) if is_kept => self.alive(),
            Some(false) => return self.violated(Some(ticket), Condition::ItemNotFound),
            _ => return self.too_old(ticket),
        }
        let until = if self.terms.polls() { self.now() } else { self.wait_over() };
        let often = self.settings.repeats_max;
        if let Some(held) = self.window.held.iter_mut().find(|h| h.rid == body.rid) {
            held.repeats += 1;
            held.until = until;
            let too_often = held.repeats > often;
            let older = held.moved(ticket);
            self.send(older, 200, write::SUPERSEDED);
            if too_often {
                self.repeated_too_often(ticket);
            }
        } else if let Some(kept) = self.replay.find(body.rid) {
            kept.asked_again(self.window.last, ticket);
            if kept.repeats > often {
                return self.violated(Some(ticket), Condition::PolicyViolation);
            }
            let copy = kept.body();
            self.send(Some(ticket), 200, copy);
        }
    }

    /// A request that is too old to be answered again. Whoever asks is told that the session is
    /// over, but it goes on for the client that has the current rids: a request that the network
    /// delayed, or a second page with an old rid, ends nothing. Nor is it a sign of life.
    fn too_old(&mut self, ticket: Ticket) {
        self.stale += 1;
        if self.stale > self.settings.repeats_max {
            return self.violated(Some(ticket), Condition::PolicyViolation);
        }
        let status = Condition::ItemNotFound.status(self.terms.legacy);
        self.send(Some(ticket), status, write::terminal(Condition::ItemNotFound, ""));
    }

    fn repeated_too_often(&mut self, ticket: Ticket) {
        self.window.lose(ticket); // it is the offender: told the reason, not "another request"
        self.violated(Some(ticket), Condition::PolicyViolation);
    }

    /// Sections 11 and 12: empty requests more often than `polling` allows.
    fn too_active(&self, empty: bool) -> bool {
        if !self.settings.overactivity || !empty {
            return false;
        }
        // Half of it, because the network may bring requests closer together than they were sent.
        let polling = Duration::from_secs(self.settings.polling_secs.into()) / 2;
        let soon_after = |t: Time| self.now() < t + polling;
        // Nor does it keep them in order: this one is the last only if no younger one is there.
        let soon = self.window.idle_poll_at.is_some_and(soon_after) && self.window.early.is_empty();
        // Section 11 counts any two requests of which the last is empty. Here both have to be, so that
        // a client that sends and then asks at once goes on.
        soon && (self.terms.polls() || self.window.waiting() + 1 >= self.terms.requests.into())
    }

    /// What went out on connections that ended unread goes out with the next answer instead: the client goes on
    /// without asking for it again, as a page does that was loaded anew.
    fn put_back_unread(&mut self) {
        let unread = self.replay.take_unread();
        if !unread.is_empty() {
            self.resets = Resets::Heeded;
        }
        for item in unread.into_iter().rev() {
            let work = self.work();
            work.queue_bytes += item.bytes_len();
            work.queue.push_front(item);
        }
    }

    /// What this request says about the answers its client has.
    fn covered_by(&mut self, body: &Body, was_early: bool) {
        let before = body.rid.number() - 1;
        match body.ack {
            Some(ack) if self.terms.acks => {
                let acked = ack.min(before);
                let report = self.replay.after(acked).and_then(|k| Some((k.rid, self.now() - k.at()?)));
                self.work().report = report;
                self.terms.note_acked(acked);
                self.acked(|replay| replay.cover(acked));
                self.replay.forget(acked);
            }
            // Section 9.2: no ack means that there is nothing it waits for.
            None if self.terms.acks => {
                self.terms.note_acked(before);
                self.acked(|replay| replay.cover(before));
            }
            _ if !was_early && self.asks_only_when_answered(body) => {
                self.acked(|replay| replay.cover(before));
                self.replay.forget_all_but(before);
            }
            _ => {
                let count = self.terms.replayable();
                self.acked(|replay| replay.forget_outlived(body.rid, count));
            }
        }
    }

    fn acked(&mut self, covered: impl FnOnce(&mut Replay<T>) -> Vec<T>) {
        for item in covered(&mut self.replay) {
            self.say(Output::Acked(item));
        }
    }
}
