//! The latest responses, kept byte for byte for a client that lost one (XEP-0124 section 14.3).
//!
//! Section 14.3 has `requests` of them kept. We keep more, and one that is asked for again longer:
//! Strophe.js, when the younger of two requests is answered first, asks again for the answer to the
//! older, some seconds later, and goes on with new requests beside it. How far it goes depends on what it
//! believes `requests` to be; in a session it was attached to that is [`RUNS_AHEAD`].
//!
//! [`RUNS_AHEAD`]: super::window::RUNS_AHEAD

use crate::time::Time;
use crate::write::Text;
use crate::{Rid, Ticket};
use bytes::Bytes;
use smallvec::SmallVec;

/// How often asking for a response again makes it stay. Bounds what a client can make us keep.
const STAYS_MAX: u16 = 4;

/// The responses that may be asked for again, and the items in them that the client may not have.
pub(super) struct Replay<T> {
    kept: SmallVec<[Kept<T>; 1]>, // by rid
}

impl<T> Default for Replay<T> {
    fn default() -> Replay<T> {
        Replay { kept: SmallVec::new() }
    }
}

/// What is kept.
#[derive(Clone, Copy)]
pub(super) struct Stays {
    /// So many of the latest.
    pub latest: u8,
    /// Of a client that acknowledges: up to here it has said it has everything; 0 at first.
    pub acked: u64,
    /// Of such a client: what it has not acknowledged, so many bytes of it with the latest.
    pub bytes_max: usize,
}

/// One response.
pub(super) struct Kept<T> {
    pub rid: Rid,
    text: Text,
    said: Option<Box<Said<T>>>, // `None`: nothing that matters any more; what an idle session keeps is small
    /// How often it was asked for again.
    pub repeats: u16,
    /// How many requests had followed when it was last asked for again.
    followed: u16,
    /// It answered a pause request: kept as long as it is among the latest, but not counted.
    pub pause: bool,
}

/// What matters of a response until its client is known to have it.
pub(super) struct Said<T> {
    /// When it was given, where the client acknowledges.
    pub at: Option<Time>,
    /// What is in it that the client may not have.
    pub items: Box<[T]>,
    pub sent: Sent,
}

/// What is known of a response's way to the client, until a younger request comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It went out on the connection of that request.
    On(Ticket),
    /// So did this one, and what is in it went out before, on a connection that ended unread.
    Again(Ticket),
    /// Its connection ended before the client had read it.
    Unread,
    /// Nothing, or it does not matter any more.
    Unknown,
}

/// What it means that a connection ended before its response was read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Resets {
    /// The client has not got it.
    Tell,
    /// So it was taken: what was in the response is in the queue again.
    Heeded,
    /// Nothing: it happened to the same items again, so it is how this client ends its connections.
    Habit,
}

impl<T> Said<T> {
    fn matters(&self) -> bool {
        !self.items.is_empty() || self.at.is_some()
    }
}

impl<T> Kept<T> {
    /// It was asked for again, when `last` was the newest request, and goes out with that ticket.
    pub fn asked_again(&mut self, last: Rid, ticket: Ticket) {
        if let Some(said) = &mut self.said {
            // Whoever asks again may have read it the first time.
            said.sent = if said.sent == Sent::Unread { Sent::On(ticket) } else { Sent::Unknown };
        }
        self.repeats += 1;
        if self.repeats <= STAYS_MAX {
            self.followed = u16::try_from(last.number() - self.rid.number()).unwrap_or(u16::MAX);
        }
    }

    /// Whether so many requests have followed, up to `newest`, that the client must have it.
    fn outlived(&self, newest: Rid, count: u8) -> bool {
        newest >= self.rid.plus(u64::from(self.followed) + u64::from(count))
    }

    pub fn body(&self) -> Bytes {
        self.text.body()
    }

    /// What it takes, about: its items are as large as what was written of them.
    fn bytes(&self) -> usize {
        let (empty, items) = (self.text.is_empty() && self.said.is_none(), self.items().is_empty());
        self.text.len()
            * if empty {
                0
            } else if items {
                1
            } else {
                2
            }
    }

    /// What is in it that the client may not have.
    fn items(&self) -> &[T] {
        self.said.as_ref().map_or(&[], |said| &said.items)
    }

    /// When it was given, where the client acknowledges.
    pub fn at(&self) -> Option<Time> {
        self.said.as_ref()?.at
    }

    /// Takes what is in it that the client may not have.
    fn take_items(&mut self) -> Vec<T> {
        let Some(said) = &mut self.said else { return Vec::new() };
        let items = std::mem::take(&mut said.items);
        self.said.take_if(|said| !said.matters());
        items.into_vec()
    }
}

impl<T> Replay<T> {
    /// The response to that request, if it is still kept.
    pub fn find(&mut self, rid: Rid) -> Option<&mut Kept<T>> {
        self.kept.iter_mut().find(|k| k.rid == rid)
    }

    /// The first response above `rid`, if it is still kept.
    pub fn after(&self, rid: u64) -> Option<&Kept<T>> {
        self.kept.iter().find(|k| k.rid.number() == rid.saturating_add(1))
    }

    /// Keeps a response. Gives the items of those that go.
    pub fn keep(&mut self, rid: Rid, text: Text, said: Said<T>, pause: bool, stays: Stays) -> Vec<T> {
        let said = said.matters().then(|| Box::new(said));
        let kept = Kept { rid, text, said, repeats: 0, followed: 0, pause };
        let counted = |kept: &[Kept<T>]| kept.iter().filter(|k| !k.pause).count() + usize::from(!pause);
        let latest = usize::from(stays.latest);
        let mut outlived = Vec::new();
        while let Some(oldest) = self.kept.first() {
            let enough = counted(&self.kept) > latest || self.kept.len() >= 2 * latest;
            let wanted = !oldest.outlived(rid, stays.latest);
            let unacked = oldest.rid.number() > stays.acked;
            if !enough || wanted || unacked && self.bytes() + kept.bytes() <= stays.bytes_max {
                break;
            }
            outlived.extend(self.kept.remove(0).said.into_iter().flat_map(|s| s.items));
        }
        self.kept.reserve_exact(1); // few, and for long: no room for more
        self.kept.push(kept);
        outlived
    }

    /// The client has every response up to `rid`: gives their items. It may still ask for them again.
    pub fn cover(&mut self, rid: u64) -> Vec<T> {
        self.take(|k| k.rid.number() <= rid)
    }

    /// The client has the responses that `newest` shows it to have, since it never has so many requests
    /// open, not even with the one more to pause or terminate. They go; gives their items.
    pub fn forget_outlived(&mut self, newest: Rid, count: u8) -> Vec<T> {
        let items = self.take(|k| k.outlived(newest, count));
        self.retain(|k| !k.outlived(newest, count));
        items
    }

    fn take(&mut self, covered: impl Fn(&Kept<T>) -> bool) -> Vec<T> {
        self.kept.iter_mut().filter(|k| covered(k)).flat_map(Kept::take_items).collect()
    }

    /// The client said that it has them: none up to `rid` will be asked for again. Cover them first.
    pub fn forget(&mut self, rid: u64) {
        self.retain(|k| k.rid.number() > rid);
    }

    /// What the client did shows that it has them all; the one to `rid` stays all the same, for a page that
    /// was reloaded and does not know what it had.
    pub fn forget_all_but(&mut self, rid: u64) {
        self.retain(|k| k.rid.number() == rid);
    }

    /// Only these stay. A single one needs no room elsewhere; several are on their way out, and others in.
    fn retain(&mut self, stays: impl Fn(&Kept<T>) -> bool) {
        self.kept.retain(|k| stays(k));
        if self.kept.len() <= 1 {
            self.kept.shrink_to_fit();
        }
    }

    /// Whether something is in the response on that ticket that would go out once more if it was not read.
    pub fn may_put_back(&self, ticket: Ticket) -> bool {
        let mut said = self.kept.iter().filter_map(|k| k.said.as_ref());
        said.any(|s| s.sent == Sent::On(ticket) && !s.items.is_empty())
    }

    /// The connection of that request ended before the client had read its response. Gives whether that happened
    /// to what is in it before.
    pub fn unread(&mut self, ticket: Ticket) -> bool {
        let mut said = self.kept.iter_mut().filter_map(|k| k.said.as_mut());
        let known = [Sent::On(ticket), Sent::Again(ticket)];
        let Some(said) = said.find(|s| known.contains(&s.sent) && !s.items.is_empty()) else { return false };
        let again = said.sent == Sent::Again(ticket);
        said.sent = if again { Sent::Unknown } else { Sent::Unread };
        again
    }

    /// A younger request came, which is not one of these again: gives what its client has not read, in order. It
    /// is not given any more to whoever asks for those responses. What came before something that was read
    /// stays where it is: it would come too late.
    pub fn take_unread(&mut self) -> Vec<T> {
        let mut unread = Vec::new();
        let mut in_order = true;
        for kept in self.kept.iter_mut().rev() {
            let Some(said) = &mut kept.said else { continue };
            let was_read = std::mem::replace(&mut said.sent, Sent::Unknown) != Sent::Unread;
            in_order &= said.items.is_empty() || !was_read;
            if in_order && !was_read {
                kept.text = Text::default();
                let younger = std::mem::replace(&mut unread, kept.take_items());
                unread.extend(younger);
            }
        }
        unread
    }

    /// Everything the client may not have.
    pub fn take_uncovered(&mut self) -> Vec<T> {
        self.kept.drain(..).filter_map(|k| k.said).flat_map(|s| s.items).collect()
    }

    /// How many items the client may not have.
    pub fn items(&self) -> usize {
        self.kept.iter().map(|k| k.items().len()).sum()
    }

    pub fn bytes(&self) -> usize {
        self.kept.iter().map(Kept::bytes).sum()
    }
}
