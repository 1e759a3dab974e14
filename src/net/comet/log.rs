//! The numbered messages of one channel, as far as they are in memory. A machine: no clock, no store, no lock.
//!
//! Two kinds of messages share the numbers of their user. One that is **kept** has got its number from the store. One
//! that is **not** takes the next of a block that was set aside there ([`Log::reserved`]), so that numbers never begin
//! again, whatever restarts. A block that a kept message has passed is of no use any more.
//!
//! Everything with a number above `floor` is here; what is older may be in the store.

use std::collections::VecDeque;
use std::sync::Arc;

/// Messages that wait for a number; when there is one more, the oldest is let go.
const WAITING_MAX: usize = 1_024;
/// What a message takes beside its text, in bytes.
const BESIDE_BYTES: usize = 64;

/// What a message is to subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Broadcast,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub seq: u64,
    pub kind: Kind,
    /// As it stands within a JSON string.
    pub content: Arc<str>,
}

/// See the module page.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The newest number that was given to a message.
    last: u64,
    floor: u64,
    /// Numbers set aside and not given: from the first, to before the second.
    block: (u64, u64),
    /// Boxed: a channel on which nothing is said owns none.
    window: Option<Box<Window>>,
}

#[derive(Debug, Default)]
struct Window {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Without a number yet.
    waiting: VecDeque<(Kind, Arc<str>)>,
    asked: bool,
    /// Others may have been given numbers between those of two blocks.
    gap: bool,
}

/// What became of a message that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    Yes,
    /// It waits: have a block set aside.
    Ask,
    /// It waits, and a block was asked for.
    Waits,
}

impl Log {
    /// A log whose newest number is `last`, with nothing in memory.
    pub(super) fn new(last: u64) -> Log {
        Log { last, floor: last, ..Log::default() }
    }

    /// The newest number.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The number that the next message will have at least.
    pub(super) fn next(&self) -> u64 {
        if self.has_number() { self.block.0 } else { self.last + 1 }
    }

    /// Everything above this number is in memory.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    fn has_number(&self) -> bool {
        self.block.0 < self.block.1 && self.block.0 > self.last
    }

    /// The store says that its newest number is this. What is older is read from there, but for what took numbers of
    /// our own block, which is the last it gave.
    pub(super) fn known(&mut self, last: u64) {
        let ours = last + 1 == self.block.1 && self.window.as_ref().is_none_or(|window| !window.gap);
        if last > self.last && !ours {
            self.last = last;
            self.floor = last;
            self.forget();
        }
    }

    /// A kept message; without content when there is nothing in it for subscribers. False: it is known already.
    pub(super) fn kept(&mut self, seq: u64, said: Option<(Kind, Arc<str>)>) -> bool {
        if seq <= self.last {
            return false;
        }
        // Behind a block the numbers go on after it.
        let expected = self.last + 1;
        let behind_block = self.has_number() && self.block.1 == seq;
        if seq != expected && !behind_block {
            // There may be others in between, which the store has.
            self.floor = seq - 1;
            self.forget();
        }
        self.last = seq;
        if let Some((kind, content)) = said {
            self.push(Line { seq, kind, content });
        }
        true
    }

    /// A message that is not kept.
    pub(super) fn said(&mut self, kind: Kind, content: Arc<str>) -> Numbered {
        if self.has_number() && self.window.as_ref().is_none_or(|w| w.waiting.is_empty()) {
            self.give(kind, content);
            return Numbered::Yes;
        }
        let window = self.window.get_or_insert_default();
        if window.waiting.len() == WAITING_MAX {
            window.waiting.pop_front();
        }
        window.waiting.push_back((kind, content));
        if std::mem::replace(&mut window.asked, true) { Numbered::Waits } else { Numbered::Ask }
    }

    /// A block was set aside; false: another is needed. `None`: there was none to be had, and what waited is let go.
    pub(super) fn reserved(&mut self, block: Option<(u64, u32)>) -> bool {
        let Some(window) = &mut self.window else { return true };
        window.asked = false;
        let Some((first, count)) = block else {
            window.waiting.clear();
            return true;
        };
        if !window.lines.is_empty() && first != self.block.1 && first != self.last + 1 {
            window.gap = true;
        }
        self.block = (first.max(self.last + 1), first + u64::from(count));
        while self.has_number() {
            let Some((kind, content)) = self.window.as_mut().and_then(|w| w.waiting.pop_front()) else { return true };
            self.give(kind, content);
        }
        let window = self.window.get_or_insert_default();
        window.asked = !window.waiting.is_empty();
        !window.asked
    }

    fn give(&mut self, kind: Kind, content: Arc<str>) {
        let seq = self.block.0;
        self.block.0 += 1;
        if seq != self.last + 1 && self.window.as_ref().is_none_or(|w| w.lines.is_empty()) {
            self.floor = seq - 1; // nothing has the numbers between
        }
        self.last = seq;
        self.push(Line { seq, kind, content });
    }

    fn push(&mut self, line: Line) {
        let window = self.window.get_or_insert_default();
        window.bytes += line.bytes();
        window.lines.push_back(line);
    }

    /// The store has nothing to show between these two, if nothing was let go meanwhile.
    pub(super) fn nothing_between(&mut self, since: u64, floor: u64) {
        if self.floor == floor && since < floor {
            self.floor = since;
        }
    }

    /// Those from `want` on, oldest first; the caller has looked at [`Log::floor`].
    pub(super) fn lines(&self, want: u64) -> impl Iterator<Item = &Line> {
        let lines = self.window.as_ref().map(|w| &w.lines);
        let from = lines.map_or(0, |lines| lines.partition_point(|line| line.seq < want));
        lines.into_iter().flat_map(move |lines| lines.range(from..))
    }

    /// Lets go of all but the newest `keep`, as far as nobody wants them (`wanted` is the lowest number that
    /// somebody does), and when they take more than `bytes_max` even so.
    pub(super) fn trim(&mut self, keep: usize, wanted: u64, bytes_max: usize) {
        let Some(window) = &mut self.window else { return };
        while let Some(line) = window.lines.front() {
            let spare = window.lines.len() > keep && (line.seq < wanted || window.bytes > bytes_max);
            if !spare {
                break;
            }
            window.bytes -= line.bytes();
            self.floor = line.seq;
            window.lines.pop_front();
        }
        if window.lines.is_empty() && window.waiting.is_empty() && !window.asked {
            self.window = None;
        }
    }

    /// Nothing that was said is given to anybody any more.
    pub(super) fn clear(&mut self) {
        self.floor = self.last;
        self.forget();
    }

    fn forget(&mut self) {
        if let Some(window) = &mut self.window {
            window.lines.clear();
            window.bytes = 0;
            window.gap = false;
        }
    }
}

impl Line {
    fn bytes(&self) -> usize {
        self.content.len() + BESIDE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: u64) -> (Kind, Arc<str>) {
        (Kind::Data, n.to_string().into())
    }

    fn said(log: &mut Log, n: u64) -> Numbered {
        let (kind, content) = text(n);
        log.said(kind, content)
    }

    fn seqs(log: &Log, want: u64) -> Vec<u64> {
        log.lines(want).map(|line| line.seq).collect()
    }

    #[test]
    fn kept_ones_bring_their_numbers() {
        let mut log = Log::new(6);
        assert_eq!((log.next(), log.floor()), (7, 6));
        for seq in [7, 8, 8, 6, 9] {
            log.kept(seq, Some(text(seq)));
        }
        assert_eq!((seqs(&log, 0), seqs(&log, 9), log.floor()), (vec![7, 8, 9], vec![9], 6));
        // 10 and 11 were missed: the store has them.
        log.kept(12, Some(text(12)));
        assert_eq!((seqs(&log, 0), log.floor(), log.next()), (vec![12], 11, 13));
        // One with nothing to show has its number all the same.
        log.kept(13, None);
        assert_eq!((seqs(&log, 0), log.next()), (vec![12], 14));
    }

    #[test]
    fn what_is_not_kept_takes_numbers_set_aside() {
        let mut log = Log::new(0);
        assert_eq!((said(&mut log, 1), said(&mut log, 2)), (Numbered::Ask, Numbered::Waits));
        assert!(log.reserved(Some((1, 3))));
        assert_eq!((seqs(&log, 0), log.next()), (vec![1, 2], 3));
        assert_eq!((said(&mut log, 3), said(&mut log, 4)), (Numbered::Yes, Numbered::Ask));
        // Kept ones came meanwhile and passed it: what was set aside is of no use.
        log.kept(4, Some(text(4)));
        log.kept(100, Some(text(100)));
        assert!(!log.reserved(Some((5, 3))));
        assert!(log.reserved(Some((101, 3))));
        assert_eq!((seqs(&log, 0), log.next(), log.floor()), (vec![100, 101], 102, 99));
    }

    #[test]
    fn behind_a_block_the_numbers_go_on() {
        let mut log = Log::new(0);
        said(&mut log, 1);
        log.reserved(Some((1, 1_000)));
        log.kept(1_001, Some(text(0)));
        assert_eq!((seqs(&log, 0), log.floor(), log.next()), (vec![1, 1_001], 0, 1_002));
    }

    #[test]
    fn after_a_restart_the_numbers_leave_a_gap_and_nothing_is_looked_for_in_it() {
        let mut log = Log::new(1_000);
        said(&mut log, 1);
        log.reserved(Some((1_001, 10)));
        assert_eq!((seqs(&log, 0), log.floor()), (vec![1_001], 1_000));
    }

    #[test]
    fn a_block_that_was_set_aside_is_no_news_from_the_store() {
        let mut log = Log::new(1_000);
        said(&mut log, 1);
        log.reserved(Some((1_001, 10)));
        // Its newest number is that of the block's end.
        log.known(1_010);
        assert_eq!((seqs(&log, 0), log.floor(), log.next()), (vec![1_001], 1_000, 1_002));
        // A message was kept behind it.
        log.known(1_011);
        assert_eq!((seqs(&log, 0), log.floor(), log.next()), (vec![], 1_011, 1_012));
        // Or between two blocks.
        said(&mut log, 2);
        log.reserved(Some((1_012, 1)));
        said(&mut log, 3);
        log.reserved(Some((1_014, 10)));
        assert_eq!(seqs(&log, 0), [1_012, 1_014]);
        log.known(1_023);
        assert_eq!((seqs(&log, 0), log.floor()), (vec![], 1_023));
    }

    #[test]
    fn no_more_is_held_than_is_wanted_or_allowed() {
        let mut log = Log::new(0);
        for seq in 1..=20 {
            log.kept(seq, Some(text(seq)));
            log.trim(5, u64::MAX, usize::MAX);
        }
        assert_eq!((seqs(&log, 0), log.floor()), ((16..=20).collect(), 15));
        for seq in 21..=40 {
            log.kept(seq, Some(text(seq)));
            log.trim(5, 18, usize::MAX);
        }
        assert_eq!((seqs(&log, 0).len(), log.floor()), (23, 17));
        log.trim(5, 18, 10 * (BESIDE_BYTES + 2));
        assert_eq!((seqs(&log, 0).len(), log.floor()), (10, 30));
        log.clear();
        assert_eq!((seqs(&log, 0).len(), log.floor(), log.next()), (0, 40, 41));
    }

    #[test]
    fn a_flood_without_numbers_is_bounded() {
        let mut log = Log::new(0);
        for n in 0..2 * WAITING_MAX as u64 {
            said(&mut log, n);
        }
        log.reserved(Some((1, 10_000)));
        assert_eq!(log.lines(0).count(), WAITING_MAX);
        assert_eq!(&*log.lines(0).next().unwrap().content, "1024");
        said(&mut log, 0);
        assert!(log.reserved(None));
    }

    #[test]
    fn a_silent_channel_owns_little() {
        assert!(size_of::<Log>() <= 40, "{}", size_of::<Log>());
    }
}
