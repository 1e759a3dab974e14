//! What waits for a store thread: bounded in number and in bytes, and never made to wait itself.

use crate::StoreError;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::time::Instant;

pub(super) struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    filled: Condvar,
    ops_max: usize,
    bytes_max: usize,
}

struct Waiting<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

/// What [`Queue::take`] came back with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// At least one item.
    Some,
    /// The time is over and nothing came.
    Nothing,
    /// Closed, and everything was taken.
    End,
}

impl<T> Queue<T> {
    pub(super) fn new(ops_max: usize, bytes_max: usize) -> Queue<T> {
        let waiting = Waiting { items: VecDeque::new(), bytes: 0, closed: false };
        Queue { waiting: Mutex::new(waiting), filled: Condvar::new(), ops_max, bytes_max }
    }

    /// Puts it at the end, or gives it back at once. A single item larger than the bound passes when
    /// nothing else waits, or it never could.
    pub(super) fn push(&self, item: T, bytes: usize) -> Result<(), (T, StoreError)> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err((item, StoreError::Closed));
        }
        let too_large = !waiting.items.is_empty() && waiting.bytes + bytes > self.bytes_max;
        if waiting.items.len() >= self.ops_max || too_large {
            return Err((item, StoreError::Busy));
        }
        waiting.items.push_back((item, bytes));
        waiting.bytes += bytes;
        drop(waiting);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for the first item, then takes what is there: at most `ops_max`, and no more once
    /// `bytes_max` is reached.
    pub(super) fn take(&self, into: &mut Vec<T>, ops_max: usize, bytes_max: usize, until: Option<Instant>) -> Taken {
        let mut waiting = self.waiting.lock();
        while waiting.items.is_empty() {
            if waiting.closed {
                return Taken::End;
            }
            match until {
                None => self.filled.wait(&mut waiting),
                Some(until) => {
                    if self.filled.wait_until(&mut waiting, until).timed_out() {
                        break;
                    }
                }
            }
        }
        let mut bytes = 0;
        let before = into.len();
        while into.len() - before < ops_max && bytes < bytes_max {
            let Some((item, size)) = waiting.items.pop_front() else { break };
            waiting.bytes -= size;
            bytes += size;
            into.push(item);
        }
        if into.len() > before { Taken::Some } else { Taken::Nothing }
    }

    /// Nothing new comes in; what waits is still taken.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.filled.notify_all();
    }

    /// Closes, and drops what waits: there is nobody left to take it.
    pub(super) fn abandon(&self) {
        let left = {
            let mut waiting = self.waiting.lock();
            waiting.closed = true;
            waiting.bytes = 0;
            std::mem::take(&mut waiting.items)
        };
        drop(left); // outside the lock: dropping runs foreign code
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.lock().items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_in_number() {
        let q = Queue::new(2, 100);
        assert_eq!(q.push(1, 1), Ok(()));
        assert_eq!(q.push(2, 1), Ok(()));
        assert_eq!(q.push(3, 1), Err((3, StoreError::Busy)));
        let mut out = Vec::new();
        assert_eq!(q.take(&mut out, 1, 100, None), Taken::Some);
        assert_eq!((out, q.len()), (vec![1], 1));
        assert_eq!(q.push(3, 1), Ok(()));
    }

    #[test]
    fn full_in_bytes() {
        let q = Queue::new(10, 100);
        assert_eq!(q.push('a', 500), Ok(()), "alone, anything passes");
        assert_eq!(q.push('b', 1), Err(('b', StoreError::Busy)));
        let mut out = Vec::new();
        assert_eq!(q.take(&mut out, 10, 10, None), Taken::Some);
        assert_eq!(q.push('c', 60), Ok(()));
        assert_eq!(q.push('d', 60), Err(('d', StoreError::Busy)));
        assert_eq!(q.push('e', 40), Ok(()));
        assert_eq!(q.take(&mut out, 10, 60, None), Taken::Some);
        assert_eq!(out, vec!['a', 'c'], "no more once the bytes are reached");
    }

    #[test]
    fn closed_is_drained_first() {
        let q = Queue::new(10, 100);
        assert_eq!(q.push(1, 1), Ok(()));
        q.close();
        assert_eq!(q.push(2, 1), Err((2, StoreError::Closed)));
        let mut out = Vec::new();
        assert_eq!(q.take(&mut out, 10, 100, None), Taken::Some);
        assert_eq!(q.take(&mut out, 10, 100, None), Taken::End);
        assert_eq!(out, vec![1]);
    }
}
