//! One session of herald.v1, without I/O: frames and deliveries go in, frames and things to be done come out.
//!
//! What is for the client stands in one line and becomes JSON when it is taken. Numbered messages are taken from the
//! log when there is room, so a client that reads slowly costs [`Settings::soft_bytes_max`]; what has no number has
//! [`Settings::hard_bytes_max`], and a client that lets it come so far is let go, to come back and read the log.

use super::compose::{self, Refused, Sending};
use super::frames::{Asked, HISTORY_MAX, History, Ready, Said, SentTo};
use super::render;
use crate::net::feed::{Feed, Item};
use herald_session::{Delivery, Receipt, SendtoResult};
use herald_storage::{Page, Slice};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{FullJid, IqType, Kind, PresenceType, Resource, Stanza, StanzaError, ns};
use std::collections::VecDeque;
use std::sync::Arc;

/// Messages of one page of the log.
const PAGE_MESSAGES: u32 = 200;
/// What an item of the line takes beside its text, in bytes.
const BESIDE_BYTES: usize = size_of::<Down>() + size_of::<Stanza>();
/// Things that are to be done for one client at a time. More, and it is let go: it does not wait for answers.
const UP_MAX: usize = 2_048;

/// What all sessions share.
#[derive(Debug)]
pub(super) struct Settings {
    pub domain: String,
    pub epoch: String,
    /// One frame, bytes.
    pub frame_bytes_max: usize,
    /// Messages of the log that wait for a client, bytes.
    pub soft_bytes_max: usize,
    /// All that waits for a client, bytes.
    pub hard_bytes_max: usize,
    pub ping_secs: u32,
    pub inactivity_secs: u32,
}

/// See the module page.
pub(super) struct Session {
    settings: Arc<Settings>,
    phase: Phase,
    /// The newest number that was handed over before the client was told that it is ready.
    early: u64,
    down: VecDeque<Down>,
    down_bytes: usize,
    up: VecDeque<Up>,
    /// What the last frame said, when that was `close`.
    end: Option<End>,
}

enum Phase {
    /// Has not said hello.
    Stranger,
    /// Has said it, and waits for the answer; with what it wants to be seen as.
    Entering(Option<Box<Stanza>>),
    In(Box<In>),
    Over,
}

struct In {
    jid: FullJid,
    resource: Resource,
    feed: Feed,
}

/// What is for the client.
enum Down {
    Said(Box<str>),
    Item(Item),
}

/// What is to be done, in order.
#[derive(Debug)]
pub(super) enum Up {
    Enter(Box<Entering>),
    Stanza(Box<Stanza>),
    Send(Box<Sending>),
    History(Option<String>, Slice),
    /// The client has all up to this number.
    ReadTo(u64),
    /// The client goes.
    Leave(End),
}

/// Who wants to come in.
#[derive(Debug)]
pub(super) struct Entering {
    pub uid: Option<String>,
    pub token: String,
    pub resource: Option<Resource>,
    pub since: Option<u64>,
    pub epoch: Option<String>,
}

/// How somebody came in.
pub(super) struct Entered {
    pub jid: FullJid,
    /// The newest number given out.
    pub last: u64,
    /// What comes begins behind this one.
    pub since: u64,
    /// What the client believed to have, and has not: that was another log.
    pub lost: Option<u64>,
    pub ticket: String,
    pub ticket_expires_ms: i64,
}

/// The last word, `close`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub code: Code,
    pub detail: Box<str>,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The client said so.
    Bye,
    Unauthorized,
    TlsRequired,
    TooManyResources,
    Conflict,
    Kicked,
    Shutdown,
    TooFast,
    Slow,
    TooLarge,
    Invalid,
    Timeout,
    UnknownSession,
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Bye => "bye",
            Code::Unauthorized => "unauthorized",
            Code::TlsRequired => "tls_required",
            Code::TooManyResources => "too_many_resources",
            Code::Conflict => "conflict",
            Code::Kicked => "kicked",
            Code::Shutdown => "shutdown",
            Code::TooFast => "too_fast",
            Code::Slow => "slow",
            Code::TooLarge => "too_large",
            Code::Invalid => "invalid",
            Code::Timeout => "timeout",
            Code::UnknownSession => "unknown_session",
            Code::Internal => "internal",
        }
    }

    /// The status of a WebSocket's close frame: what RFC 6455 section 7.4 and its registry have a word for, or a
    /// private one.
    pub fn websocket(self) -> u16 {
        match self {
            Code::Bye => 1000,
            Code::Shutdown => 1012,
            Code::Unauthorized => 4001,
            Code::Conflict => 4002,
            Code::Kicked => 4003,
            Code::TooFast => 4004,
            Code::TooLarge => 4005,
            Code::Invalid => 4006,
            Code::Timeout => 4007,
            Code::Slow => 4008,
            Code::Internal => 4009,
            Code::UnknownSession => 4010,
            Code::TooManyResources => 4011,
            Code::TlsRequired => 4012,
        }
    }

    /// May the client come back with the same words, and be better off?
    pub fn retry(self) -> bool {
        matches!(
            self,
            Code::Shutdown | Code::TooFast | Code::Slow | Code::Timeout | Code::UnknownSession | Code::Internal
        )
    }

    fn retry_after_secs(self) -> Option<u32> {
        (self == Code::TooFast).then_some(30)
    }
}

impl End {
    pub fn new(code: Code, detail: impl Into<Box<str>>) -> End {
        End { code, detail: detail.into() }
    }

    /// The frame.
    pub fn json(&self) -> Box<str> {
        let End { code, detail } = self;
        let (retry, retry_after_secs) = (code.retry(), code.retry_after_secs());
        Said::Close { code: code.as_str(), detail, retry, retry_after_secs }.json()
    }
}

/// A frame that is taken; the number of the message in it.
pub(super) struct Taken {
    pub text: Box<str>,
    pub id: Option<u64>,
}

impl Session {
    pub fn new(settings: Arc<Settings>) -> Session {
        Session {
            settings,
            phase: Phase::Stranger,
            early: 0,
            down: VecDeque::new(),
            down_bytes: 0,
            up: VecDeque::new(),
            end: None,
        }
    }

    /// A frame came.
    pub fn frame(&mut self, text: &str) {
        if matches!(self.phase, Phase::Over) {
            return;
        }
        if self.up.len() >= UP_MAX {
            return self.close(End::new(Code::TooFast, "more frames than can be carried out"));
        }
        let asked = match Asked::read(text) {
            Ok(asked) => asked,
            Err(e) => return self.error(e.reference.as_deref(), "invalid", &e.detail, false),
        };
        if matches!(self.phase, Phase::Stranger) && !matches!(asked, Asked::Hello(_) | Asked::Ping | Asked::Bye) {
            return self.error(None, "not_ready", "say hello first", true);
        }
        let domain = &self.settings.domain;
        let stanza = |stanza: Result<Stanza, Refused>| stanza.map(|stanza| Up::Stanza(stanza.into()));
        let mut reference = None;
        let up = match asked {
            Asked::Ping => return self.say(&Said::Pong),
            Asked::Bye => return self.leave(End::new(Code::Bye, "")),
            Asked::Hello(_) if !matches!(self.phase, Phase::Stranger) => {
                return self.error(None, "invalid", "hello was said", false);
            }
            Asked::Hello(hello) => {
                let resource = hello.resource.as_deref().map(Resource::new).transpose();
                let resource = match resource {
                    Ok(resource) => resource,
                    Err(e) => return self.error(None, "invalid", &format!("`resource` is none: {e}"), false),
                };
                match compose::first_presence(hello.presence) {
                    Ok(presence) => self.phase = Phase::Entering(presence.map(Box::new)),
                    Err(e) => return self.error(None, e.code, &e.detail, false),
                }
                let (uid, token, since, epoch) = (hello.uid, hello.token, hello.since, hello.epoch);
                Ok(Up::Enter(Entering { uid, token, resource, since, epoch }.into()))
            }
            Asked::Send(send) => {
                reference = send.reference.clone();
                compose::message(*send, self.settings.frame_bytes_max).map(|sending| Up::Send(sending.into()))
            }
            Asked::Presence(presence) => stanza(compose::presence(presence)),
            Asked::Subscribe(to) => stanza(compose::subscription(PresenceType::Subscribe, to, domain)),
            Asked::Accept(to) => stanza(compose::subscription(PresenceType::Subscribed, to, domain)),
            Asked::Unsubscribe(to) => stanza(compose::subscription(PresenceType::Unsubscribe, to, domain)),
            Asked::Ack(ack) => Ok(Up::ReadTo(ack.id)),
            Asked::History(asked) => {
                reference = asked.reference.clone();
                self.history_asked(asked)
            }
        };
        match up {
            Ok(up) => self.up.push_back(up),
            Err(e) => self.error(reference.as_deref(), e.code, &e.detail, false),
        }
    }

    fn history_asked(&self, asked: History) -> Result<Up, Refused> {
        compose::check_reference(asked.reference.as_deref())?;
        let slice = Slice {
            since: asked.since,
            before: asked.before,
            limit: asked.limit.unwrap_or(50).clamp(1, HISTORY_MAX),
            bytes_max: self.settings.soft_bytes_max,
            newest_first: asked.reverse,
        };
        Ok(Up::History(asked.reference, slice))
    }

    /// The client has come in, or not.
    pub fn entered(&mut self, entered: Result<Entered, End>) {
        let presence = match &mut self.phase {
            Phase::Entering(presence) => presence.take(),
            _ => return,
        };
        let entered = match entered {
            Ok(entered) => entered,
            Err(end) => return self.close(end),
        };
        let uid = entered.jid.local().unwrap_or_default();
        let mut feed = Feed::new(Some(entered.since), entered.last);
        feed.missed(self.early);
        if let Some(lost) = entered.lost {
            let gap = Said::Gap { after: lost, before: 1, epoch: Some(&self.settings.epoch) }.json();
            self.down_bytes += gap.len();
            self.down.push_front(Down::Said(gap));
        }
        let ready = Said::Ready(Ready {
            uid,
            jid: entered.jid.bare_str(),
            resource: entered.jid.resource(),
            epoch: &self.settings.epoch,
            last: entered.last,
            since: entered.since,
            ticket: &entered.ticket,
            ticket_expires: render::rfc3339(entered.ticket_expires_ms),
            ping_secs: self.settings.ping_secs,
            inactivity_secs: self.settings.inactivity_secs,
            size_max: self.settings.frame_bytes_max,
        })
        .json();
        self.down_bytes += ready.len();
        self.down.push_front(Down::Said(ready));
        // It is one, or nothing could be bound to it.
        let resource = Resource::new(entered.jid.resource());
        let Ok(resource) = resource else { return self.close(End::new(Code::Internal, "the resource is none")) };
        self.phase = Phase::In(In { jid: entered.jid, resource, feed }.into());
        // Before whatever the client has asked meanwhile.
        self.up.push_front(Up::Stanza(compose::roster().into()));
        if let Some(presence) = presence {
            self.up.push_front(Up::Stanza(presence));
        }
        self.up.push_front(Up::ReadTo(entered.since));
    }

    /// The user's actor hands this over. It comes back when it cannot be taken.
    pub fn deliver(&mut self, delivery: Delivery, now_ms: i64) -> Result<(), Delivery> {
        let full = self.down_bytes > self.settings.soft_bytes_max;
        if let Some(Receipt(id)) = delivery.receipt {
            match &mut self.phase {
                Phase::Over => return Err(delivery),
                Phase::In(me) if full => me.feed.missed(id),
                Phase::In(me) => {
                    let item = me.feed.live(delivery);
                    self.push(item, now_ms);
                }
                Phase::Stranger | Phase::Entering(_) => self.early = self.early.max(id),
            }
            return Ok(());
        }
        if matches!(self.phase, Phase::Over) {
            return Err(delivery);
        }
        if self.down_bytes > self.settings.hard_bytes_max {
            self.close(End::new(Code::Slow, "what was sent was not taken"));
            return Err(delivery);
        }
        if let Phase::In(me) = &self.phase {
            let stanza = &delivery.stanza;
            let ours = stanza.from.as_ref().is_none_or(|from| from.bare_str() == me.jid.bare_str());
            let echo = matches!(stanza.kind, Kind::Presence(_)) && stanza.from.as_ref() == Some(me.jid.as_jid());
            if let Kind::Iq(kind) = stanza.kind {
                self.up.extend(answer(kind, stanza, ours).map(|answer| Up::Stanza(answer.into())));
            }
            // A roster is what our own server says it is (RFC 6121 section 2.1.6).
            if echo || (matches!(stanza.kind, Kind::Iq(_)) && !ours) {
                return Ok(());
            }
        }
        self.push(Some(Item::Message { id: None, at_ms: None, stanza: delivery.stanza }), now_ms);
        Ok(())
    }

    fn push(&mut self, item: Option<Item>, now_ms: i64) {
        let Some(mut item) = item else { return };
        self.down_bytes += match &mut item {
            Item::Message { at_ms, stanza, .. } => {
                at_ms.get_or_insert(now_ms);
                stanza.bytes_len() + BESIDE_BYTES
            }
            Item::Gap { .. } => BESIDE_BYTES,
        };
        self.down.push_back(Down::Item(item));
    }

    /// What is to be read from the log; then [`Session::page`] or [`Session::page_failed`] is next.
    pub fn wants(&mut self) -> Option<Slice> {
        let room = self.settings.soft_bytes_max.saturating_sub(self.down_bytes);
        match &mut self.phase {
            Phase::In(me) => me.feed.wants(PAGE_MESSAGES, room),
            _ => None,
        }
    }

    pub fn page(&mut self, page: Page) {
        if let Phase::In(me) = &mut self.phase {
            let items = me.feed.page_for(Some(&me.resource), page);
            items.into_iter().for_each(|item| self.push(Some(item), 0)); // the log says when they came
        }
    }

    pub fn page_failed(&mut self) {
        if let Phase::In(me) = &mut self.phase {
            me.feed.failed();
        }
    }

    /// What became of a message of the client.
    pub fn sent(&mut self, reference: Option<&str>, results: &[SendtoResult]) {
        let Some(reference) = reference else { return };
        let results = results.iter().map(|r| SentTo {
            uid: &r.uid,
            state: r.state.as_str(),
            sessions: r.sessions,
            id: r.id,
            repeated: r.repeated,
        });
        self.say(&Said::Sent { reference, results: results.collect() });
    }

    /// What the client wanted to read; `None`: the store failed.
    pub fn history(&mut self, reference: Option<&str>, page: Option<Page>) {
        let Some(page) = page.filter(|_| !self.is_full()) else {
            return self.error(reference, "failed", "the history cannot be read now", true);
        };
        let (last, removed_to, complete) = (page.last, page.removed_to, !page.more);
        let items = page.items.iter().filter_map(|kept| Item::of_log(kept, None));
        let items = items.filter_map(|item| render::of_history(&item, &self.settings.domain)).collect();
        self.say(&Said::History { reference, items, last, removed_to, complete });
    }

    /// The session ends with this word, behind all that is in the line.
    pub fn close(&mut self, end: End) {
        if !matches!(self.phase, Phase::Over) {
            self.phase = Phase::Over;
            self.up = VecDeque::new();
            self.put(end.json());
            self.end = Some(end);
        }
    }

    /// The client goes: what it has said before is done first.
    pub fn leave(&mut self, end: End) {
        match self.is_in() && self.has_up() {
            true => self.up.push_back(Up::Leave(end)),
            false => self.close(end),
        }
    }

    /// What is to be done next.
    pub fn next_up(&mut self) -> Option<Up> {
        let up = self.up.pop_front()?;
        if self.up.is_empty() {
            self.up = VecDeque::new();
        }
        Some(match (up, &self.phase) {
            (Up::Send(sending), Phase::In(me)) => Up::Send(sending.of(me.jid.local().unwrap_or_default()).into()),
            // Nobody has what was not given out.
            (Up::ReadTo(id), Phase::In(me)) => Up::ReadTo(id.min(me.feed.cursor())),
            (up, _) => up,
        })
    }

    /// That cannot be done yet.
    pub fn put_back(&mut self, up: Up) {
        self.up.push_front(up);
    }

    /// The client has all up to this number.
    pub fn read_to(&mut self, id: u64) {
        if self.is_in() {
            self.up.push_back(Up::ReadTo(id));
        }
    }

    pub fn has_up(&self) -> bool {
        !self.up.is_empty()
    }

    /// The next frame for the client.
    pub fn take(&mut self) -> Option<Taken> {
        while let Some(down) = self.down.pop_front() {
            let (bytes, text, id) = match down {
                Down::Said(text) => (text.len(), Some(text), None),
                Down::Item(item) => {
                    let (bytes, id) = match &item {
                        Item::Message { stanza, id, .. } => (stanza.bytes_len() + BESIDE_BYTES, *id),
                        Item::Gap { .. } => (BESIDE_BYTES, None),
                    };
                    (bytes, render::item(&item, &self.settings.domain, 0), id)
                }
            };
            self.down_bytes = self.down_bytes.saturating_sub(bytes);
            if self.down.is_empty() {
                self.down = VecDeque::new();
            }
            if let Some(text) = text {
                return Some(Taken { text, id });
            }
        }
        None
    }

    pub fn has_down(&self) -> bool {
        !self.down.is_empty()
    }

    /// Too much waits for the client than that more should be asked for it.
    pub fn is_full(&self) -> bool {
        self.down_bytes > self.settings.hard_bytes_max
    }

    pub fn is_in(&self) -> bool {
        matches!(self.phase, Phase::In(_))
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    fn say(&mut self, said: &Said<'_>) {
        self.put(said.json());
    }

    fn error(&mut self, reference: Option<&str>, code: &'static str, detail: &str, retry: bool) {
        self.say(&Said::Error { reference, code, detail, retry });
    }

    fn put(&mut self, text: Box<str>) {
        self.down_bytes += text.len();
        self.down.push_back(Down::Said(text));
    }
}

/// What an iq is answered with: it must be answered with something (RFC 6120 section 8.2.3).
fn answer(kind: IqType, iq: &Stanza, ours: bool) -> Option<Stanza> {
    match kind {
        IqType::Get if iq.child("ping", ns::PING).is_some() => Some(iq.result("")),
        IqType::Set if ours && iq.child("query", ns::ROSTER).is_some() => Some(iq.result("")),
        IqType::Get | IqType::Set => iq.error(StanzaError::new(Condition::ServiceUnavailable)),
        IqType::Result | IqType::Error => None,
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
