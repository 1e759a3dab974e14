//! What must be true, whatever happens.
//!
//! - An item goes out under one rid only, and the same rid is always answered with the same bytes: so nothing is
//!   doubled within the session for a client that keeps the rids apart, as every client does.
//! - Answers are first given in the order of the rids.
//! - Every item taken is given back once: as acknowledged, or at the end as undelivered, these in order.
//! - An item is acknowledged only if the client has seen it. (A page that was closed, or one of two with the same
//!   session, may have been sent something that it did not live to see.)
//! - An item that the client is proved to have is acknowledged, and not given to the store as well. Proof is a request
//!   with a higher rid that came in order: any that acknowledges it; of a client with one request held, one with
//!   nothing to say; else the fifth.
//! - What the client has not read because its connection ended, which the server is told before the next request
//!   comes, goes out once more, under a rid of its own, and then counts as if it had never gone out before.
//! - What comes up comes in order and once; a gap is only what a closed page did not know to have arrived.
//! - Each ticket is answered once, within `wait`, unless its connection was lost.
//! - The end is told once, with everything, and by silence only after the time agreed.

use crate::client::numbers;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// An answer with nothing in it.
const EMPTY: &str = "<body xmlns='http://jabber.org/protocol/httpbind'/>";

#[derive(Default)]
pub struct Oracle {
    /// Items taken: 1 to this.
    pub taken: u32,
    /// Items acknowledged.
    pub acked: BTreeSet<u32>,
    pub undelivered: Option<Vec<u32>>,
    /// The rid under which an item went out.
    carrier: HashMap<u32, u64>,
    /// The answer first given to a rid.
    answer_of: HashMap<u64, String>,
    first_answered: u64,
    /// The highest rid whose answer the client is proved to have.
    proved: u64,
    /// Rids that were asked for again: they are kept for longer.
    asked_again: BTreeSet<u64>,
    /// Rids that came; every one up to `last` did.
    came: BTreeSet<u64>,
    pub last: u64,
    /// What came up.
    pub up: Vec<u32>,
    /// What may be missing of it.
    pub abandoned: BTreeSet<u32>,
    disturbed: bool,
    /// How often a rid was given up that never came.
    pub skipped: u32,
    /// Answers given to pages that are closed: what they carry may be unseen.
    pub told_the_dead: BTreeSet<u32>,
    /// Answers given since the latest request, by rid: on which ticket, what is in them, whether the server was
    /// told that they were not read.
    given: BTreeMap<u64, Given>,
    /// What went out twice.
    pub put_back: BTreeSet<u32>,
}

struct Given {
    ticket: u64,
    items: Vec<u32>,
    unread: bool,
}

/// What the oracle has to know of a request.
pub struct Seen<'a> {
    pub rid: u64,
    pub body: &'a str,
    pub acks: bool,
    pub requests: usize,
    pub replayable: u64,
}

impl Oracle {
    pub fn new(last: u64) -> Oracle {
        Oracle { last, first_answered: last, ..Oracle::default() }
    }

    /// A request came, before the server handles it.
    pub fn request(&mut self, seen: &Seen<'_>) {
        let Seen { rid, body, .. } = *seen;
        if rid <= self.last || self.came.contains(&rid) {
            self.asked_again.insert(rid);
            return;
        }
        if rid == self.last + 1 {
            self.put_back();
            let plain = !body.contains("type=") && !body.contains("pause=");
            let empty = body.ends_with("/httpbind'></body>") && plain;
            let ack = body.split(" ack='").nth(1).map(|a| a[..a.find('\'').expect("a quote")].parse().expect("a rid"));
            let proved = match ack {
                _ if seen.acks => ack.unwrap_or(rid - 1),
                _ if empty && seen.requests == 2 => rid - 1,
                _ => rid.saturating_sub(seen.replayable),
            };
            self.proved = self.proved.max(proved);
        }
        self.came.insert(rid);
        self.follow();
    }

    /// The creation's answer is received: no later one tells of it.
    pub fn creation(&mut self) {
        self.first_answered = self.last - 1;
    }

    /// Somebody else sent something: whose the rids are is not known any more, nor what they prove.
    pub fn disturb(&mut self) {
        self.disturbed = true;
    }

    /// Nobody has read the answer on that ticket: is the server to be told? Not twice of one item, of which it would
    /// conclude something else. What it may not make use of it is told all the same.
    pub fn unread(&mut self, ticket: u64) -> bool {
        let Some(given) = self.given.values_mut().find(|g| g.ticket == ticket) else { return true };
        given.unread = !given.items.iter().any(|n| self.put_back.contains(n));
        given.unread
    }

    /// The next request has come: what is known not to be read has not gone out, unless something after it was read.
    fn put_back(&mut self) {
        for (rid, given) in std::mem::take(&mut self.given).into_iter().rev() {
            if !given.unread {
                break;
            }
            self.answer_of.insert(rid, EMPTY.into());
            for n in given.items {
                self.carrier.remove(&n);
                self.told_the_dead.remove(&n);
                self.put_back.insert(n);
            }
        }
    }

    /// Whether that request came and was not answered.
    pub fn is_unanswered(&self, rid: u64) -> bool {
        (rid <= self.last || self.came.contains(&rid)) && !self.answer_of.contains_key(&rid)
    }

    /// Whether requests came whose elder is missing.
    pub fn gap(&self) -> bool {
        !self.came.is_empty()
    }

    fn follow(&mut self) {
        while self.came.remove(&(self.last + 1)) {
            self.last += 1;
        }
    }

    /// `of_page`: whether it is of the page that said `n`. Of two with the same session each has its own order.
    pub fn came_up(&mut self, n: u32, of_page: impl Fn(u32) -> bool) {
        let before = self.up.iter().rev().copied().find(|b| of_page(*b)).unwrap_or(0);
        assert!(n > before, "up: {n} after {before}");
        for missing in before + 1..n {
            assert!(
                !of_page(missing) || self.disturbed || self.abandoned.contains(&missing),
                "up: {missing} is missing before {n}"
            );
        }
        self.up.push(n);
    }

    pub fn answer(&mut self, rid: u64, ticket: u64, body: &str) {
        if body.starts_with("<body type=") {
            return; // an error; or the end, whose items count as undelivered
        }
        if let Some(before) = self.answer_of.get(&rid) {
            assert_eq!(before, body, "another answer for {rid}");
            if let Some(given) = self.given.get_mut(&rid) {
                // Asked for again by a client of which is not known that it did not read it, it may have been read.
                let ticket = if given.unread { ticket } else { u64::MAX };
                (given.ticket, given.unread) = (ticket, false);
            }
            return;
        }
        // One whose connection died is answered, for its repetition, before younger ones: with nothing.
        let items = numbers(body, "<d n='");
        assert!(rid > self.first_answered || items.is_empty(), "{rid} is answered after {}", self.first_answered);
        self.first_answered = self.first_answered.max(rid);
        if rid > self.last {
            self.put_back();
            self.skipped += 1; // it gave up waiting for what is missing
            self.last = rid;
            self.came.retain(|r| *r > rid);
            self.follow();
        }
        if !items.is_empty() {
            self.given.insert(rid, Given { ticket, items: items.clone(), unread: false });
        }
        for n in items {
            assert_eq!(self.carrier.insert(n, rid), None, "{n} goes out twice");
        }
        self.answer_of.insert(rid, body.to_owned());
    }

    pub fn acked(&mut self, n: u32, seen: impl Fn(u32) -> bool) {
        assert!(self.undelivered.is_none(), "{n} is acknowledged after the end");
        assert!(self.acked.insert(n), "{n} is acknowledged twice");
        assert!(self.carrier.contains_key(&n), "{n} is acknowledged and never went out");
        assert!(seen(n) || self.disturbed || self.told_the_dead.contains(&n), "{n} is acknowledged and was not seen");
    }

    pub fn ended(&mut self, undelivered: Vec<u32>) {
        assert!(self.undelivered.is_none(), "two ends");
        assert!(undelivered.is_sorted(), "undelivered out of order: {undelivered:?}");
        for n in &undelivered {
            assert!(!self.acked.contains(n), "{n} is acknowledged and undelivered");
            let proved = self.carrier.get(n).is_some_and(|r| *r <= self.proved && !self.asked_again.contains(r));
            assert!(!proved || self.disturbed, "{n} is undelivered, although the client is proved to have it");
        }
        let all = self.acked.len() + undelivered.iter().collect::<BTreeSet<_>>().len();
        assert_eq!(all, self.taken as usize, "items were lost: {undelivered:?} and {:?} of {}", self.acked, self.taken);
        self.undelivered = Some(undelivered);
    }

    /// What one page saw, in the order it saw it; it is alone with what pages `before` it saw.
    pub fn page(&self, seen: &[u32], before: Option<&HashSet<u32>>) {
        assert!(seen.is_sorted_by(|a, b| a < b), "down, out of order or doubled: {seen:?}");
        let (Some(before), Some(last)) = (before, seen.last()) else { return };
        let mut seen = seen.iter().copied().peekable();
        for n in 1..=*last {
            if seen.next_if_eq(&n).is_none() {
                assert!(before.contains(&n) || self.told_the_dead.contains(&n), "down: {n} is missing");
            }
        }
    }
}

/// How often things happened, over all seeds: a simulation in which they do not shows nothing.
#[derive(Default, Debug)]
pub struct Tally(pub BTreeMap<&'static str, u64>);

impl Tally {
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Tally) {
        for (what, n) in &other.0 {
            *self.0.entry(what).or_default() += n;
        }
    }
}
