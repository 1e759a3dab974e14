//! Stream management (XEP-0198): what is said, and what was sent and is not acknowledged yet. Without I/O.
//!
//! The two directions do not know each other. What *comes in* is counted by the machine of the stream
//! ([`c2s`](super::c2s)), which answers `<r/>` by itself. What *goes out* stands in a [`Queue`] of whoever
//! writes it, from the moment it is to be sent until the peer says that it has handled it:
//!
//! ```text
//! push -> [ waits | on the wire ] -> ack(h)         rewind(): a new connection, all of it waits again
//! ```
//!
//! Both counts wrap at 2^32 (section 4). Only stanzas are counted.

use crate::ns;
use crate::stanza::Condition as StanzaCondition;
use crate::stream::{Condition, StreamError};
use crate::xml::{Element, escape_attr};
use compact_str::{CompactString, format_compact};
use std::collections::VecDeque;

/// So many stanzas are on the wire, and the peer is asked what it has handled.
pub const ASK_STANZAS: u32 = 8;
/// The same in bytes.
pub const ASK_BYTES: usize = 32 * 1024;
/// A longer name of a stream is nobody's, in bytes.
pub const PREVID_BYTES_MAX: usize = 128;

/// What may be sent.
pub trait Item {
    /// What it takes, in bytes.
    fn bytes(&self) -> usize;
}

/// What was sent and is not acknowledged, in order.
#[derive(Debug)]
pub struct Queue<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// The last `h` of the peer.
    handled: u32,
    /// How many of the items, from the first, are on the wire.
    written: u32,
    /// Written since the peer was asked.
    unasked: u32,
    unasked_bytes: usize,
    /// Was the peer asked, and has not answered?
    asked: bool,
}

/// The peer says that it has handled more than it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooHigh {
    /// What it says.
    pub h: u32,
    /// What it was sent.
    pub sent: u32,
}

impl<T: Item> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue::counting_from(0)
    }
}

impl<T: Item> Queue<T> {
    /// An empty one; the peer has handled so many before.
    pub fn counting_from(h: u32) -> Queue<T> {
        Queue { items: VecDeque::new(), bytes: 0, handled: h, written: 0, unasked: 0, unasked_bytes: 0, asked: false }
    }

    /// One more to send.
    pub fn push(&mut self, item: T) {
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    /// The next one that is not on the wire; from now on it is.
    pub fn next_to_write(&mut self) -> Option<&T> {
        let item = self.items.get(self.written as usize)?;
        self.written += 1;
        self.unasked += 1;
        self.unasked_bytes += item.bytes();
        Some(item)
    }

    /// Is everything on the wire?
    pub fn all_written(&self) -> bool {
        self.written as usize == self.items.len()
    }

    /// The peer has handled all up to `h`: gives back what is done with, oldest first.
    ///
    /// An `h` that was there before changes nothing. One that is too high is an error, and changes
    /// nothing either.
    pub fn ack(&mut self, h: u32) -> Result<std::collections::vec_deque::Drain<'_, T>, TooHigh> {
        let new = h.wrapping_sub(self.handled);
        let new = if new <= self.written {
            new
        } else if self.is_lower(h) {
            0
        } else {
            return Err(TooHigh { h, sent: self.sent() });
        };
        self.asked = false;
        Ok(self.drop_first(new))
    }

    /// Has the peer said a higher `h` before?
    pub fn is_lower(&self, h: u32) -> bool {
        (1..1 << 31).contains(&self.handled.wrapping_sub(h))
    }

    /// All that is on the wire is done with, whatever the peer says: it has no stream management.
    pub fn settle(&mut self) -> std::collections::vec_deque::Drain<'_, T> {
        self.unasked = 0;
        self.unasked_bytes = 0;
        self.drop_first(self.written)
    }

    /// The connection is a new one: nothing that is still here is on its wire.
    pub fn rewind(&mut self) {
        self.written = 0;
        self.unasked = 0;
        self.unasked_bytes = 0;
        self.asked = false;
    }

    /// Should the peer be asked now? When the stream has come to rest (`idle`), anything is reason enough.
    /// A peer that has not answered is not asked again.
    pub fn should_ask(&self, idle: bool) -> bool {
        let many = self.unasked >= ASK_STANZAS || self.unasked_bytes >= ASK_BYTES;
        !self.asked && (many || idle && self.unasked > 0)
    }

    /// The peer was asked.
    pub fn asked(&mut self) {
        self.asked = true;
        self.unasked = 0;
        self.unasked_bytes = 0;
    }

    /// How many were sent, as the peer should count them.
    pub fn sent(&self) -> u32 {
        self.handled.wrapping_add(self.written)
    }

    /// What is kept, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Is nothing kept?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes out what was not acknowledged, written or not, oldest first.
    pub fn take(&mut self) -> VecDeque<T> {
        self.rewind();
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }

    /// An empty queue owns no buffer.
    pub fn shrink(&mut self) {
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
    }

    fn drop_first(&mut self, n: u32) -> std::collections::vec_deque::Drain<'_, T> {
        self.handled = self.handled.wrapping_add(n);
        self.written -= n;
        // Only what is unasked can be more than what is left.
        self.unasked = self.unasked.min(self.written);
        if self.unasked == 0 {
            self.unasked_bytes = 0;
        }
        self.bytes -= self.items.iter().take(n as usize).map(Item::bytes).sum::<usize>();
        self.items.drain(..n as usize)
    }
}

impl From<TooHigh> for StreamError {
    /// Section 6.
    fn from(e: TooHigh) -> StreamError {
        let detail =
            format_compact!("<handled-count-too-high xmlns='{}' h='{}' send-count='{}'/>", ns::SM, e.h, e.sent);
        let text = format_compact!("You acknowledged {} stanzas, but only {} were sent.", e.h, e.sent);
        StreamError::new(Condition::UndefinedCondition).with_text(text).with_detail(detail.as_str())
    }
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Enable { resume: bool, max_secs: Option<u32> },
    Resume { previd: CompactString, h: u32 },
    Ask,
    Ack(u32),
}

/// What it says wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// To be answered with `<failed/>`.
    Request,
    /// Not to be answered: the counts would not mean anything any more.
    Ack,
    /// It is nothing that a client says.
    Unknown,
}

impl Command {
    /// Reads an element of our namespace.
    pub(super) fn read(element: &Element<'_>) -> Result<Command, Wrong> {
        let h = || element.attr("h").and_then(|h| h.trim().parse().ok());
        match element.name() {
            "r" => Ok(Command::Ask),
            "a" => h().map(Command::Ack).ok_or(Wrong::Ack),
            "enable" => {
                let resume = match element.attr("resume").as_deref() {
                    None | Some("false" | "0") => false,
                    Some("true" | "1") => true,
                    Some(_) => return Err(Wrong::Request),
                };
                let max_secs = match element.attr("max") {
                    // xs:positiveInteger has no upper end.
                    Some(max) if max.bytes().all(|b| b.is_ascii_digit()) && max.bytes().any(|b| b != b'0') => {
                        Some(max.parse().unwrap_or(u32::MAX))
                    }
                    Some(_) => return Err(Wrong::Request),
                    None => None,
                };
                Ok(Command::Enable { resume, max_secs })
            }
            "resume" => {
                let previd = element.attr("previd").ok_or(Wrong::Request)?;
                let h = h().ok_or(Wrong::Request)?;
                let previd = if previd.len() <= PREVID_BYTES_MAX { previd.into() } else { CompactString::default() };
                Ok(Command::Resume { previd, h })
            }
            _ => Err(Wrong::Unknown),
        }
    }

    /// Could an element with this tag be one of these? Cheap, and sure when it says no.
    pub(super) fn may_be(tag: &[u8]) -> bool {
        let name = match memchr::memrchr(b':', tag) {
            Some(colon) => &tag[colon + 1..],
            None => tag.strip_prefix(b"<").unwrap_or(tag),
        };
        let name = name.strip_suffix(b"/").unwrap_or(name);
        matches!(name.trim_ascii(), b"r" | b"a" | b"enable" | b"resume")
    }
}

/// A stream that may be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// Its name: nobody else can guess it.
    pub id: CompactString,
    /// How long after its end, in seconds.
    pub secs: u32,
}

/// Why a stream is not resumed, or not managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What is wrong.
    pub condition: StanzaCondition,
    /// What was handled of a stream that was there and is no more.
    pub h: Option<u32>,
}

impl Failed {
    /// Without a count.
    pub const fn new(condition: StanzaCondition) -> Failed {
        Failed { condition, h: None }
    }
    pub(super) fn to_xml(self) -> String {
        let h = self.h.map(|h| format!(" h='{h}'")).unwrap_or_default();
        let condition = self.condition.name();
        format!("<failed xmlns='{}'{h}><{condition} xmlns='{}'/></failed>", ns::SM, ns::STANZA_ERRORS)
    }
}

/// `<r/>`: what the one who writes sends to ask.
pub fn ask() -> String {
    format!("<r xmlns='{}'/>", ns::SM)
}

pub(super) fn answer(h: u32) -> String {
    format!("<a xmlns='{}' h='{h}'/>", ns::SM)
}

pub(super) fn enabled(resumable: Option<&Resumable>) -> String {
    match resumable {
        Some(Resumable { id, secs }) => {
            format!("<enabled xmlns='{}' id='{}' resume='true' max='{secs}'/>", ns::SM, escape_attr(id))
        }
        None => format!("<enabled xmlns='{}'/>", ns::SM),
    }
}

pub(super) fn resumed(previd: &str, h: u32) -> String {
    format!("<resumed xmlns='{}' h='{h}' previd='{}'/>", ns::SM, escape_attr(previd))
}
