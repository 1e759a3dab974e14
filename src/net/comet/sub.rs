//! One subscriber: a request that waits, or a stream. It owns no message and no buffer, only the word that there is
//! something to look for in its channels.

use super::Comet;
use super::channel::{Channel, Found, Item};
use super::text::{self, Form, Message};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::ops::Deref;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// So many messages go out in one piece; a poll gets the rest when it comes again.
pub(super) const PIECE_MESSAGES_MAX: usize = 100;
/// A piece ends with the message that brings it to this.
pub(super) const PIECE_BYTES_MAX: usize = 256 * 1024;

/// See the module page.
pub(super) struct Sub {
    pub form: Form,
    /// Not there for one channel that is asked for by its uid.
    several: Option<Box<Several>>,
    pub channels: Channels,
    state: Mutex<State>,
}

struct State {
    waker: Option<Waker>,
    /// There may be something to say.
    ready: bool,
    /// A stream's head has been written.
    begun: bool,
    /// When it came, nothing was there for it.
    parked: bool,
    /// Nothing was said for so long that something is to be.
    silent: bool,
    over: Option<Over>,
    /// The answer is chunked: not in HTTP/1.0.
    chunked: bool,
    noop: i32,
    /// When it has been silent for too long, in seconds since the start.
    due: u32,
}

/// One, almost always.
pub(super) enum Channels {
    One([Arc<Channel>; 1]),
    #[allow(clippy::box_collection)] // what is rare is not to take room from what is not
    Many(Box<Vec<Arc<Channel>>>),
}

impl Channels {
    fn new(mut channels: SmallVec<[Arc<Channel>; 1]>) -> Channels {
        match channels.len() {
            1 => Channels::One([channels.remove(0)]),
            _ => Channels::Many(Box::new(channels.into_vec())),
        }
    }
}

impl Deref for Channels {
    type Target = [Arc<Channel>];
    fn deref(&self) -> &[Arc<Channel>] {
        match self {
            Channels::One(one) => one,
            Channels::Many(many) => many,
        }
    }
}

/// What a subscriber of several channels has besides, or one that names its channel in another way.
pub(super) struct Several {
    /// The channels' names as they were asked for, within a JSON string.
    names: Vec<Box<str>>,
    /// The numbers that its client has of each.
    has: Mutex<Vec<u64>>,
}

/// Why a subscriber ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Its channel was closed.
    Closed,
    /// The server goes down: the client is to come again.
    Again,
    /// It does not take what it is sent.
    Cut,
}

/// What is written next.
pub(crate) struct Piece {
    pub bytes: Vec<u8>,
    /// The answer goes on.
    pub more: bool,
}

/// Where a subscriber begins.
pub(super) struct Begin {
    pub form: Form,
    pub chunked: bool,
    /// The channels' names as they were asked for.
    pub names: Vec<Box<str>>,
    pub channels: SmallVec<[Arc<Channel>; 1]>,
    pub noop: i32,
    pub due: u32,
}

impl Sub {
    pub(super) fn new(begin: Begin) -> Arc<Sub> {
        let Begin { form, chunked, names, channels, noop, due } = begin;
        let state = State {
            waker: None,
            ready: form.streams(), // its head goes out at once
            begun: false,
            parked: false,
            silent: false,
            over: None,
            chunked,
            noop,
            due,
        };
        let plain = channels.len() == 1 && names.iter().zip(&channels).all(|(name, channel)| **name == *channel.uid());
        let several = (!plain).then(|| Box::new(Several { names, has: Mutex::new(vec![0; channels.len()]) }));
        let channels = Channels::new(channels);
        Arc::new(Sub { form, several, channels, state: Mutex::new(state) })
    }

    /// Of one of its channels, the client has everything up to this number.
    pub(super) fn has(&self, place: usize, seq: u64) {
        if let Some(several) = &self.several {
            several.has.lock()[place] = seq;
        }
    }

    /// There is something in a channel; whom to wake.
    pub(super) fn look(&self) -> Option<Waker> {
        let mut state = self.state.lock();
        state.ready = true;
        state.waker.take()
    }

    /// It ends; whom to wake.
    pub(super) fn end(&self, why: Over) -> Option<Waker> {
        let mut state = self.state.lock();
        state.over.get_or_insert(why);
        state.ready = true;
        state.waker.take()
    }

    /// It has its places. What comes from now on is not what was there already.
    pub(super) fn settled(&self) {
        let mut state = self.state.lock();
        state.parked = !state.ready;
    }

    /// Is it due? Then it is told, by its first channel alone.
    pub(super) fn tick(&self, channel: &Channel, now: u32) -> Option<Waker> {
        let is_first = self.channels.first().is_some_and(|first| std::ptr::eq(&raw const **first, channel));
        let mut state = self.state.lock();
        if !is_first || state.due > now || state.silent {
            return None;
        }
        state.silent = true;
        state.ready = true;
        state.waker.take()
    }

    fn is_chunked(&self) -> bool {
        self.state.lock().chunked
    }

    /// When it is due, in seconds since the start.
    pub(super) fn due(&self) -> u32 {
        self.state.lock().due
    }

    pub(super) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.ready {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Ready when it is to end whatever was written.
    pub(super) fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.over.is_some() {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// What there is to write; `None`: nothing.
    pub(super) async fn piece(self: &Arc<Sub>, comet: &Comet) -> Option<Piece> {
        let (over, silent, parked) = {
            let mut state = self.state.lock();
            state.ready = false;
            (state.over, std::mem::take(&mut state.silent), state.parked)
        };
        let mut items = Vec::new();
        let mut over = over;
        for (place, channel) in self.channels.iter().enumerate() {
            match channel.gather(comet, self, place, &mut items).await {
                Found::All => {}
                Found::More => drop(self.look()),
                Found::Failed => over = over.or(Some(Over::Cut)),
            }
        }
        if let (Some(Over::Closed), Some(channel)) = (over, self.channels.first()) {
            items.push(Item::word("close", 0, channel.next() as i64));
        }
        let says_noop = items.is_empty() && (silent || over == Some(Over::Again)) && over != Some(Over::Cut);
        let mut state = self.state.lock();
        if says_noop {
            items.push(Item::word("noop", 0, state.noop.into()));
            state.noop = state.noop.wrapping_add(1);
        }
        if !items.is_empty() {
            state.due = comet.due();
        }
        let begun = std::mem::replace(&mut state.begun, true);
        state.parked = true;
        drop(state);
        if self.form.streams() {
            return self.stream_piece(begun, &items, over.is_some());
        }
        match (items.is_empty(), over) {
            (true, None) => return None,
            (true, Some(_)) => return Some(Piece { bytes: Vec::new(), more: false }),
            (false, _) => {}
        }
        self.leave();
        Some(Piece { bytes: self.answer(&items, parked), more: false })
    }

    /// The whole answer to a poll.
    fn answer(&self, items: &[Item], parked: bool) -> Vec<u8> {
        let mut messages: Vec<Message<'_>> = items.iter().map(|item| self.message(item)).collect();
        let is_message = |m: &Message<'_>| matches!(m.kind, "data" | "broadcast");
        if self.form.one_at_a_time() {
            messages.truncate(1);
        } else if let Some(last) = messages.last().filter(|m| m.kind == "broadcast") {
            messages.push(Message { kind: "next_seq", content: "", seq: last.seq + 1, ..*last });
        }
        let array = messages.len() > 1 || !parked && messages.iter().any(is_message) && !self.form.one_at_a_time();
        whole(&self.form, self.is_chunked(), &messages, array)
    }

    fn stream_piece(&self, begun: bool, items: &[Item], over: bool) -> Option<Piece> {
        if begun && items.is_empty() && !over {
            return None;
        }
        let mut bytes = Vec::new();
        let chunked = self.is_chunked();
        let chunk = |body: &[u8], out: &mut Vec<u8>| if chunked { text::chunk(body, out) } else { out.extend(body) };
        if !begun {
            text::head(&self.form, chunked, &mut bytes);
            chunk(text::preamble(&self.form).as_bytes(), &mut bytes);
        }
        let mut body = Vec::new();
        for item in items {
            body.clear();
            let message = self.message(item);
            let id = if self.form == Form::Sse { self.event_id(item) } else { String::new() };
            self.form.one(message, &id, &mut body);
            chunk(&body, &mut bytes);
            if message.kind == "broadcast" {
                body.clear();
                let next = Message { kind: "next_seq", content: "", seq: message.seq + 1, ..message };
                self.form.one(next, &id, &mut body);
                chunk(&body, &mut bytes);
            }
        }
        if over && chunked {
            bytes.extend_from_slice(text::LAST_CHUNK);
        }
        Some(Piece { bytes, more: !over })
    }

    /// What a browser says when it comes again: the number it has, or `uid:number` of each channel. A uid has no colon
    /// (RFC 7622 section 3.3.1).
    fn event_id(&self, item: &Item) -> String {
        let has = match item.kind {
            "data" | "broadcast" => item.seq,
            "next_seq" => item.seq - 1,
            _ => return String::new(),
        };
        let Some(several) = self.several.as_ref().filter(|_| self.channels.len() > 1) else { return has.to_string() };
        let mut of_each = several.has.lock();
        of_each[item.place] = u64::try_from(has).unwrap_or(0);
        let each = self.channels.iter().zip(of_each.iter());
        each.map(|(channel, has)| format!("{}:{has}", channel.uid())).collect::<Vec<_>>().join(":")
    }

    fn message<'a>(&'a self, item: &'a Item) -> Message<'a> {
        let cname = match &self.several {
            Some(several) => &several.names[item.place],
            None => self.channels[item.place].uid(),
        };
        Message { kind: item.kind, cname, seq: item.seq, content: item.content.as_deref().unwrap_or_default() }
    }

    /// A stream's piece was written: its messages count as delivered.
    pub(super) fn written(self: &Arc<Sub>) {
        if self.form.streams() {
            for channel in self.channels.iter() {
                channel.read_by(self);
            }
        }
    }

    /// Nothing is looked for any more.
    pub(super) fn leave(self: &Arc<Sub>) {
        for channel in self.channels.iter() {
            channel.leave(self);
        }
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

/// A whole answer with these messages.
pub(super) fn whole(form: &Form, chunked: bool, messages: &[Message<'_>], array: bool) -> Vec<u8> {
    let (mut bytes, mut body) = (Vec::new(), Vec::new());
    text::head(form, chunked, &mut bytes);
    if form.streams() {
        body.extend_from_slice(text::preamble(form).as_bytes());
        messages.iter().for_each(|m| form.one(*m, "", &mut body));
    } else {
        form.poll(messages, array, &mut body);
    }
    if chunked {
        text::chunk(&body, &mut bytes);
        bytes.extend_from_slice(text::LAST_CHUNK);
    } else {
        bytes.extend_from_slice(&body);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one for each poll that waits.
    #[test]
    fn a_subscriber_is_small() {
        let counts = 2 * size_of::<usize>();
        assert!(size_of::<Sub>() + counts <= 96, "{}", size_of::<Sub>() + counts);
    }
}
