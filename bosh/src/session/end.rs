//! The ends of a session: by the client, by the stream above, by a broken rule, by silence.

use super::answer::Filling;
use super::{Close, Edge, Item, Output, Phase, Session};
use crate::{Condition, Ticket, write};

impl<T: Item> Session<T> {
    /// The client terminates (section 13): the oldest request that waits is told so, the others get
    /// an empty body, this one too if it is not alone.
    pub(super) fn terminated(&mut self) {
        self.say(Output::PeerClosed);
        let mut waiting = self.window.take_waiting().into_iter();
        self.send(waiting.next(), 200, write::TERMINATE);
        for ticket in waiting {
            self.send(Some(ticket), 200, write::EMPTY);
        }
        self.finish();
    }

    /// The stream above ends. Whoever waits is told; if nobody does, whoever comes next is.
    pub(super) fn close(&mut self, close: Close) {
        if !self.is_open() {
            return;
        }
        let (condition, error) = match close {
            Close::StreamError(xml) => (Some(Condition::RemoteStreamError), xml),
            Close::Condition(condition) => (Some(condition), Default::default()),
            Close::Stream => (None, Default::default()),
        };
        let mut waiting = self.window.take_waiting().into_iter();
        let Some(oldest) = waiting.next() else {
            let last_word = self.last_word(condition, Filling::default(), &error);
            self.end();
            let now = self.now();
            self.idle_since.get_or_insert(now);
            self.phase = Phase::at(Edge::Closing(last_word));
            return;
        };
        // XEP-0206 section 6: stanzas, then the error. They still count as undelivered: nothing the
        // client sends can say any more that it has them.
        let mut filling = Filling::default();
        if condition != Some(Condition::SystemShutdown) {
            self.fill(&mut filling);
        }
        let written = std::mem::take(&mut filling.items);
        let answer = self.last_word(condition, filling, &error);
        self.answer(oldest, answer);
        for ticket in waiting {
            let answer = self.last_word(condition, Filling::default(), &error);
            self.answer(ticket, answer);
        }
        for item in written.into_iter().rev() {
            self.work().queue.push_front(item);
        }
        self.finish();
    }

    /// A request that could not be read. Where keys are in use (section 15) it ends nothing: its key could
    /// not be read either, and whoever knows a sid must not end a session that way.
    pub(super) fn broken(&mut self, ticket: Ticket, condition: Condition) {
        if self.is_open() && self.terms.keys().is_none() {
            return self.violated(Some(ticket), condition);
        }
        let answer = self.last_word(Some(condition), Filling::default(), &[]);
        self.answer(ticket, answer);
    }

    /// The client broke a rule: `ticket` is told which, everyone else that it was another request.
    pub(super) fn violated(&mut self, ticket: Option<Ticket>, condition: Condition) {
        for waiting in self.window.take_waiting() {
            let answer = self.last_word(Some(Condition::OtherRequest), Filling::default(), &[]);
            self.answer(waiting, answer);
        }
        if let Some(ticket) = ticket {
            let answer = self.last_word(Some(condition), Filling::default(), &[]);
            self.answer(ticket, answer);
        }
        self.finish();
    }

    /// The end, and nobody left to tell.
    pub(super) fn finish(&mut self) {
        if self.is_open() {
            self.end();
        }
        self.forget();
    }

    /// The sid is free.
    pub(super) fn forget(&mut self) {
        self.phase = Phase::at(Edge::Gone);
        self.idle_since = None;
        self.say(Output::Gone);
    }

    /// Gives back what the client may not have.
    fn end(&mut self) {
        let mut undelivered = self.replay.take_uncovered();
        let work = self.work();
        undelivered.extend(std::mem::take(&mut work.queue));
        work.queue_bytes = 0;
        self.say(Output::Ended { undelivered });
    }
}
