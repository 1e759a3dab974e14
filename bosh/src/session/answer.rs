//! Answers: which are due, and what is in them.

use super::replay::{Resets, Said, Sent, Stays};
use super::{Edge, Item, Output, Phase, Session};
use crate::write::{self, Head, Inside, Text};
use crate::{Answer, Condition, Ticket};
use herald_xmpp::ns;
use herald_xmpp::xml::escape_attr;

/// Begins an item whose prefix has to be declared on the body.
const STREAM_PREFIX: &[u8] = b"<stream:";

/// A response being written.
pub(super) struct Filling<T> {
    pub inside: Inside,
    /// Something in it has the prefix `stream`.
    stream: bool,
    /// What was written.
    pub items: Vec<T>,
    /// Something in it is not among them.
    more: bool,
}

impl<T> Default for Filling<T> {
    fn default() -> Filling<T> {
        Filling { inside: Inside::default(), stream: false, items: Vec::new(), more: false }
    }
}

impl<T: Item> Session<T> {
    /// Answers, oldest first, every request whose time has come: there is something to say, it has
    /// waited long enough, or more are held than may be.
    pub(super) fn answer_due(&mut self) {
        while let Some(oldest) = self.window.held.first() {
            let surplus = self.window.surplus(self.terms.hold);
            if oldest.ticket().is_none() {
                // Nobody would read it. It is answered, into the replay, only when it stands in the way.
                if self.window.held.len() == 1 {
                    break;
                }
                self.answer_oldest(false);
                continue;
            }
            let settled = self.settle_until().is_none_or(|t| self.now() >= t);
            let waited = self.window.held_until().is_some_and(|t| self.now() >= t);
            let (queued, reports) =
                self.work.as_ref().map_or((false, false), |w| (!w.queue.is_empty(), w.report.is_some()));
            let due = queued || reports || waited || surplus && settled;
            if !due {
                break;
            }
            self.answer_oldest(true);
        }
        if let (Some(work), false) = (&mut self.work, self.window.surplus(self.terms.hold)) {
            work.settle_until = None;
        }
        self.note_idle();
    }

    /// Answers everything held with nothing in it, for a pause (section 10).
    pub(super) fn answer_all_empty(&mut self) {
        while !self.window.held.is_empty() {
            let pause = self.window.held.len() == 1; // the pause request is the newest
            self.answer_oldest_with(Filling::default(), pause);
        }
        self.note_idle();
    }

    /// Early requests have waited long enough for their elders: the client is asked to send those
    /// again (section 17.3). What they carry is kept for when the gap closes.
    pub(super) fn answer_overdue_early(&mut self) {
        let now = self.now();
        let overdue = self.window.early.iter_mut().filter(|e| now >= e.until && e.ticket.is_some());
        let tickets: Vec<_> = overdue
            .map(|e| {
                e.told = e.told.saturating_add(1);
                e.ticket.take()
            })
            .collect();
        for ticket in tickets {
            self.send(ticket, 200, write::SUPERSEDED);
        }
        self.note_idle();
    }

    fn answer_oldest(&mut self, with_items: bool) {
        let mut filling = Filling::default();
        if with_items {
            self.fill(&mut filling);
        }
        self.answer_oldest_with(filling, false);
    }

    /// Writes as much of the queue as a response takes.
    pub(super) fn fill(&mut self, filling: &mut Filling<T>) {
        let bytes_soft = self.settings.response_bytes_soft;
        let Some(work) = &mut self.work else { return };
        filling.items.reserve_exact(1); // one almost always, and kept for a while
        while let Some(item) = work.queue.front() {
            let (start, bytes) = (filling.inside.bytes().len(), item.bytes_len());
            if start > 0 && start + bytes > bytes_soft {
                return;
            }
            item.write(filling.inside.room(work.queue_bytes.min(bytes_soft)));
            filling.stream |= filling.inside.bytes()[start..].starts_with(STREAM_PREFIX);
            work.queue_bytes -= bytes;
            let written = work.queue.pop_front().filter(T::matters);
            filling.more |= written.is_none();
            filling.items.extend(written);
        }
    }

    fn answer_oldest_with(&mut self, filling: Filling<T>, pause: bool) {
        let Filling { inside, stream, items, more } = filling;
        let held = self.window.take_oldest();
        let (rid, ticket) = (held.rid, held.ticket());
        let mut head = self.creation_head();
        head.stream |= stream;
        let opening = matches!(self.phase.edge(), Some(Edge::Opening(_)));
        if self.terms.acks && (opening || self.window.last != rid) {
            head.attr("ack", self.window.last);
        }
        if let Some((report, ago)) = self.work.as_mut().and_then(|work| work.report.take()) {
            head.attr("report", report);
            head.attr("time", ago.as_millis());
        }
        self.phase = Phase::Live;
        if !inside.bytes().is_empty() {
            self.window.idle_poll_at = None;
        }
        let items = items.into_boxed_slice(); // they are kept for a while
        let body = head.body(inside);
        let bytes_max = if self.terms.acks { self.settings.replay_bytes_max } else { 0 };
        let stays = Stays { latest: self.terms.replayable(), acked: self.terms.acked(), bytes_max };
        let sent = if opening || more { Sent::Unknown } else { self.sent(ticket, &items) };
        let said = Said { at: self.terms.acks.then(|| self.now()), items, sent };
        for item in self.replay.keep(rid, Text::of(&head, &body), said, pause, stays) {
            self.say(Output::Acked(item));
        }
        self.send(ticket, 200, body);
    }

    /// What will be known of an answer's way. Of one that has more in it than can be put back, nothing; nor where
    /// the client says what it has, or lets more be held than one.
    fn sent(&mut self, ticket: Option<Ticket>, items: &[T]) -> Sent {
        let Some(ticket) = ticket.filter(|_| !items.is_empty() && !self.terms.acks && self.terms.requests == 2) else {
            return Sent::Unknown;
        };
        match self.resets {
            Resets::Tell => Sent::On(ticket),
            Resets::Heeded => {
                self.resets = Resets::Tell;
                Sent::Again(ticket)
            }
            Resets::Habit => Sent::Unknown,
        }
    }

    /// The attributes that only the first answer has (section 7.2; XEP-0206 section 4).
    fn creation_head(&self) -> Head {
        let mut head = Head::default();
        let Some(Edge::Opening(opening)) = self.phase.edge() else { return head };
        head.attr("sid", opening.sid);
        head.attr("wait", self.terms.wait_secs);
        head.attr("requests", self.terms.requests);
        head.attr("hold", self.terms.hold);
        head.attr("inactivity", self.inactivity_secs());
        if self.settings.overactivity {
            head.attr("polling", self.settings.polling_secs); // section 11: without it there is no limit
        }
        head.attr("maxpause", self.settings.maxpause_secs);
        if !self.settings.accept.is_empty() {
            head.attr("accept", self.settings.accept);
        }
        head.attr("from", escape_attr(&opening.from));
        if let Some(ver) = opening.version {
            head.attr("ver", ver);
        }
        head.attr("xmlns:xmpp", ns::XBOSH);
        head.attr("xmpp:version", "1.0");
        head.attr("xmpp:restartlogic", "true");
        head.stream = true;
        head
    }

    /// The answer with which the session ends, `error` the last thing in it.
    pub(super) fn last_word(&self, condition: Option<Condition>, mut filling: Filling<T>, error: &[u8]) -> Answer {
        let mut head = Head::default();
        head.attr("type", "terminate");
        if let Some(condition) = condition {
            head.attr("condition", condition.as_str());
        }
        head.stream = filling.stream || error.starts_with(STREAM_PREFIX);
        filling.inside.room(error.len()).extend_from_slice(error);
        let status = condition.map_or(200, |c| c.status(self.terms.legacy));
        Answer { status, body: head.body(filling.inside), content: self.terms.content() }
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.say(Output::Answer { ticket, answer });
    }
}
