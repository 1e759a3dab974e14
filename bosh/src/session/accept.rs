//! Requests coming in: their place in the order, and what they ask for.

use super::window::{Early, Held};
use super::{Item, Output, Phase, Session};
use crate::{Answer, Ask, Body, Condition, Ticket, write};
use std::time::{Duration, Instant};

/// The least time a request that came before its elders waits for them, in seconds: as long as it
/// may be held, but in a session that polls nothing is.
const EARLY_SECS_MIN: u32 = 10;

impl<T: Item> Session<T> {
    /// The creation request goes up.
    pub(super) fn open(&mut self, mut body: Body, ticket: Ticket) {
        let payload = std::mem::take(&mut body.payload);
        self.outputs.push_back(Output::Open {
            to: body.to().map(Into::into),
            from: body.from().map(Into::into),
            lang: body.lang().map(Into::into),
            version: body.xmpp_version().unwrap_or("1.0").into(),
        });
        if !payload.is_empty() {
            self.outputs.push_back(Output::Payload(payload));
        }
        let until = self.now + Duration::from_millis(self.settings.features_ms.into());
        self.window.held.reserve_exact(1); // few, and for long: no room for more
        self.window.held.push(Held { rid: body.rid, ticket: Some(ticket), until, repeats: 0 });
    }

    /// A request for this session.
    pub(super) fn post(&mut self, ticket: Ticket, body: Body) {
        match &self.phase {
            Phase::Gone => {
                let answer = Answer::unknown_sid();
                return self.outputs.push_back(Output::Answer { ticket, answer });
            }
            Phase::Closing(last_word) => {
                let answer = Answer::clone(last_word);
                self.outputs.push_back(Output::Answer { ticket, answer });
                return self.forget();
            }
            Phase::Opening(_) | Phase::Live => {}
        }
        self.idle_since = None;
        self.terms.pause_secs = None; // section 10: back to normal with the next request
        let extra = u8::from(matches!(body.ask, Ask::Terminate | Ask::Pause(_)));
        if body.rid <= self.window.last {
            self.repeated(ticket, &body);
        } else if !body.rid.within(self.window.last, self.terms.requests + extra) {
            self.violated(Some(ticket), Condition::ItemNotFound); // section 14.2
        } else if body.rid == self.window.last.plus(1) {
            self.accept(Some(ticket), body, false);
            while self.is_open()
                && let Some(early) = self.window.take_next_early()
            {
                self.accept(early.ticket, early.body, true);
            }
        } else {
            self.early(ticket, body);
        }
        if self.is_open() {
            self.note_idle();
        }
    }

    /// The next request in order. `was_early`: it has waited for its elders.
    fn accept(&mut self, ticket: Option<Ticket>, mut body: Body, was_early: bool) {
        if self.terms.keys.as_mut().is_some_and(|k| !k.admit(&body)) {
            return self.violated(ticket, Condition::ItemNotFound); // section 15.4: not processed
        }
        if let (None, Some(newkey)) = (&self.terms.keys, body.newkey()) {
            self.terms.keys = Some(Box::new(crate::keys::Keys::new(newkey, usize::from(self.terms.requests) * 2)));
        }
        if matches!(body.ask, Ask::Pause(secs) if secs > self.settings.maxpause_secs) {
            return self.violated(ticket, Condition::PolicyViolation);
        }
        let empty = body.ask == Ask::Exchange && body.payload.is_empty();
        if !was_early && self.too_active(empty) {
            return self.violated(ticket, Condition::PolicyViolation);
        }
        self.window.idle_poll_at = empty.then_some(self.now);
        self.window.last = body.rid;
        self.window.stale = 0;
        self.covered_by(&body, empty, was_early);

        let payload = std::mem::take(&mut body.payload);
        let asks = payload.asks() || body.ask == Ask::Restart;
        if body.ask == Ask::Restart {
            // XEP-0206 section 5: a payload SHOULD be ignored.
            let (to, from, lang) = (body.to(), body.from(), body.lang());
            let restart =
                Output::Restart { to: to.map(Into::into), from: from.map(Into::into), lang: lang.map(Into::into) };
            self.outputs.push_back(restart);
        } else if !payload.is_empty() {
            self.outputs.push_back(Output::Payload(payload));
        }
        self.hold(ticket, &body, asks);
        match body.ask {
            Ask::Terminate => self.terminated(),
            Ask::Pause(secs) => {
                self.answer_all_empty();
                self.terms.pause_secs = Some(secs).filter(|s| *s > 0);
            }
            Ask::Exchange | Ask::Restart => {}
        }
    }

    /// Puts an accepted request among those that wait.
    fn hold(&mut self, ticket: Option<Ticket>, body: &Body, asks: bool) {
        let settle = self.now + Duration::from_millis(self.settings.settle_ms.into());
        let others_wait = !self.window.held.is_empty();
        self.settle_until = (asks && others_wait).then_some(settle);
        let until = match self.terms.polls() {
            true if asks => settle,
            true => self.now,
            false => self.wait_over(),
        };
        self.window.held.reserve_exact(1); // few, and for long: no room for more
        self.window.held.push(Held { rid: body.rid, ticket, until, repeats: 0 });
    }

    fn wait_over(&self) -> Instant {
        self.now + Duration::from_secs(self.terms.wait_secs.into())
    }

    /// A request that came before its elders.
    fn early(&mut self, ticket: Ticket, body: Body) {
        let until = self.now + Duration::from_secs(self.terms.wait_secs.max(EARLY_SECS_MIN).into());
        let Some(first) = self.window.early.iter_mut().find(|e| e.body.rid == body.rid) else {
            if self.window.early_bytes() + body.payload.bytes_len() > self.settings.body_bytes_max {
                return self.violated(Some(ticket), Condition::PolicyViolation);
            }
            return self.window.early.push(Early { body, ticket: Some(ticket), until, repeats: 0 });
        };
        if first.body.key() != body.key() {
            return self.violated(Some(ticket), Condition::ItemNotFound);
        }
        let older = first.ticket.replace(ticket);
        first.until = until;
        first.repeats += 1;
        if first.repeats > self.settings.repeats_max {
            self.send(older, 200, write::SUPERSEDED);
            return self.repeated_too_often(ticket);
        }
        self.send(older, 200, write::SUPERSEDED);
    }

    /// A request whose rid came before (section 14.3): its payload is not looked at again.
    fn repeated(&mut self, ticket: Ticket, body: &Body) {
        if self.terms.keys.as_ref().is_some_and(|k| !k.knows(body)) {
            return self.violated(Some(ticket), Condition::ItemNotFound);
        }
        let until = if self.terms.polls() { self.now } else { self.wait_over() };
        let often = self.settings.repeats_max;
        if let Some(held) = self.window.held.iter_mut().find(|h| h.rid == body.rid) {
            held.repeats += 1;
            held.until = until;
            let too_often = held.repeats > often;
            let older = held.ticket.replace(ticket);
            self.send(older, 200, write::SUPERSEDED);
            if too_often {
                self.repeated_too_often(ticket);
            }
        } else if let Some(kept) = self.replay.find(body.rid) {
            kept.asked_again(self.window.last);
            if kept.repeats > often {
                return self.violated(Some(ticket), Condition::PolicyViolation);
            }
            let copy = kept.body();
            self.send(Some(ticket), 200, copy);
        } else {
            self.too_old(ticket);
        }
    }

    /// A request that is too old to be answered again. Whoever asks is told that the session is
    /// over, but it goes on for the client that has the current rids: a request that the network
    /// delayed, or a second page with an old rid, ends nothing.
    fn too_old(&mut self, ticket: Ticket) {
        self.window.stale += 1;
        if self.window.stale > self.settings.repeats_max {
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
        let soon_after = |t: Instant| self.now < t + polling;
        let soon = self.window.idle_poll_at.is_some_and(soon_after);
        // Section 11 counts any two requests of which the last is empty. Here both have to be, so that
        // a client that sends and then asks at once goes on.
        soon && (self.terms.polls() || self.window.waiting() + 1 >= self.terms.requests.into())
    }

    /// What this request says about the answers its client has.
    fn covered_by(&mut self, body: &Body, empty: bool, was_early: bool) {
        let before = body.rid.number() - 1;
        let mut covered = 0;
        let mut latest_only = false;
        match body.ack {
            Some(ack) if self.terms.acks => {
                covered = ack.min(before);
                self.report = self.replay.after(covered).and_then(|k| Some((k.rid, self.now - k.at()?)));
            }
            // Section 9.2: no ack means that there is nothing it waits for.
            None if self.terms.acks => {
                covered = before;
                self.replay.acknowledge(before);
            }
            // Section 10: a client that has one request held and nothing to send asks again because
            // it was answered. (One that lets two be held asks again for the sake of the second.)
            _ if empty && !was_early && self.terms.requests == 2 => {
                covered = before;
                latest_only = true;
            }
            _ => {}
        }
        let items = self.replay.cover(covered, body.rid);
        self.outputs.extend(items.into_iter().map(Output::Acked));
        if latest_only {
            self.replay.forget_all_but(before);
        }
        if let (true, Some(ack)) = (self.terms.acks, body.ack) {
            self.replay.forget(ack.min(before));
        }
    }
}
