//! The newest events, with numbers without gaps: what a reader comes back to.

use super::event::Entry;
use std::collections::VecDeque;
use std::sync::Arc;

/// Bounded in bytes: the oldest go first.
pub struct Ring {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    bytes_max: usize,
    /// The number of the next event.
    next: u64,
}

/// The ring does not reach back to what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap;

impl Ring {
    /// Empty; the first event gets number 1.
    pub fn new(bytes_max: usize) -> Ring {
        Ring { entries: VecDeque::new(), bytes: 0, bytes_max, next: 1 }
    }

    /// The number that the next event gets.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes an event in, made with its number.
    pub fn push(&mut self, make: impl FnOnce(u64) -> Entry) -> Arc<Entry> {
        let entry = Arc::new(make(self.next));
        self.next += 1;
        self.bytes += entry.bytes();
        self.entries.push_back(entry.clone());
        while self.bytes > self.bytes_max {
            let Some(old) = self.entries.pop_front() else { break };
            self.bytes -= old.bytes();
        }
        entry
    }

    /// Forgets all. A number is left out, so that whoever knows the last one is told of a gap: from now on
    /// events may be missed.
    pub fn forget(&mut self) {
        *self = Ring { next: self.next + 1, ..Ring::new(self.bytes_max) };
    }

    /// The events after number `after`, oldest first, until they have so many bytes together; at least one
    /// if there is one.
    pub fn after(&self, after: u64, bytes_max: usize) -> Result<Vec<Arc<Entry>>, Gap> {
        let first = self.next - self.entries.len() as u64;
        if after + 1 < first || after >= self.next {
            return Err(Gap);
        }
        let skip = usize::try_from(after + 1 - first).map_err(|_| Gap)?;
        let mut bytes = 0;
        let room = |entry: &&Arc<Entry>| {
            let fits = bytes < bytes_max;
            bytes += entry.bytes();
            fits
        };
        Ok(self.entries.iter().skip(skip).take_while(room).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Kind;

    fn filled(events: u64, bytes_max: usize) -> Ring {
        let mut ring = Ring::new(bytes_max);
        for _ in 0..events {
            ring.push(|n| Entry::new(n, Kind::UserOnline, "alice", "0123456789".into()));
        }
        ring
    }

    fn numbers(ring: &Ring, after: u64) -> Result<Vec<u64>, Gap> {
        ring.after(after, usize::MAX).map(|entries| entries.iter().map(|e| e.n).collect())
    }

    #[test]
    fn numbers_go_on_and_the_oldest_go_first() {
        let size = filled(1, usize::MAX).bytes();
        let ring = filled(5, 3 * size);
        assert_eq!(numbers(&ring, 2), Ok(vec![3, 4, 5]));
        assert_eq!(numbers(&ring, 4), Ok(vec![5]));
        assert_eq!(numbers(&ring, 5), Ok(vec![]));
        assert_eq!(numbers(&ring, 1), Err(Gap), "2 is gone");
        assert_eq!(numbers(&ring, 6), Err(Gap), "6 was never given");
        assert_eq!(numbers(&ring, 0), Err(Gap));
        assert_eq!(numbers(&filled(0, size), 0), Ok(vec![]));
    }

    #[test]
    fn a_page_ends_with_its_bytes_and_has_one_event_at_least() {
        let size = filled(1, usize::MAX).bytes();
        let ring = filled(5, usize::MAX);
        let page = |bytes| ring.after(0, bytes).map(|page| page.len());
        assert_eq!((page(1), page(size), page(size + 1), page(usize::MAX)), (Ok(1), Ok(1), Ok(2), Ok(5)));
    }

    #[test]
    fn whoever_knows_the_last_event_before_all_was_forgotten_is_told() {
        let mut ring = filled(3, usize::MAX);
        ring.forget();
        assert_eq!(numbers(&ring, 3), Err(Gap));
        assert_eq!(numbers(&ring, ring.next() - 1), Ok(vec![]));
        ring.push(|n| Entry::new(n, Kind::UserOnline, "alice", "".into()));
        assert_eq!(numbers(&ring, 3), Err(Gap));
        assert_eq!(numbers(&ring, 4), Ok(vec![5]));
    }
}
