//! Pairs that write to each other, and the check that each message came exactly once, in order.
//!
//! A pair has so many messages under way all the time: who gets one sends the next. A body is
//! `PAIR.SIDE.NUMBER.NANOSECONDS` and padding; numbers run from 0 for each direction.

use crate::tally::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What pairs do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Length of a body, in bytes; it is longer where the numbers need it.
    pub body_bytes: usize,
    /// Messages of one pair under way.
    pub outstanding: u32,
}

/// What became of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Sent.
    pub sent: u64,
    /// That came, the first time.
    pub received: u64,
    /// That never came.
    pub lost: u64,
    /// That came again.
    pub doubled: u64,
    /// That came behind a later one.
    pub out_of_order: u64,
    /// That came to somebody else, or changed.
    pub foreign: u64,
}

impl Count {
    /// Each came once, in order.
    pub fn is_perfect(&self) -> bool {
        (self.lost, self.doubled, self.out_of_order, self.foreign) == (0, 0, 0, 0)
    }

    /// The sum of both.
    pub fn plus(&self, other: &Count) -> Count {
        Count {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            out_of_order: self.out_of_order + other.out_of_order,
            foreign: self.foreign + other.foreign,
        }
    }
}

/// One direction of a pair.
#[derive(Default)]
struct Way {
    sent: u64,
    /// Every number below came, but those that are missing.
    next: u64,
    missing: BTreeSet<u64>,
}

/// The pairs of one worker: the sessions 2p and 2p+1 are a pair.
pub struct Chat {
    plan: Plan,
    ways: Vec<[Way; 2]>,
    count: Count,
    /// Latencies since they were last taken.
    latencies: Histogram,
    stopped: bool,
}

impl Chat {
    /// So many pairs, who say nothing yet.
    pub fn new(plan: Plan, pairs: usize) -> Chat {
        let ways = std::iter::repeat_with(Default::default).take(pairs).collect();
        Chat { plan, ways, count: Count::default(), latencies: Histogram::default(), stopped: false }
    }

    /// Writes the next body that this session sends.
    pub fn write(&mut self, session: usize, now_ns: u64, body: &mut String) {
        let (pair, side) = (session / 2, session % 2);
        let way = &mut self.ways[pair][side];
        let began = body.len();
        let _ = write!(body, "{pair}.{side}.{}.{now_ns}.", way.sent); // a String takes everything
        while body.len() - began < self.plan.body_bytes {
            body.push('x');
        }
        way.sent += 1;
        self.count.sent += 1;
    }

    /// Takes a body that came to a session. True: it sends the next.
    pub fn receive(&mut self, session: usize, body: &str, now_ns: u64) -> bool {
        let mut numbers = body.splitn(5, '.').map(|part| part.parse::<u64>().ok());
        let mut number = || numbers.next().flatten();
        let (Some(pair), Some(side), Some(number), Some(sent_ns)) = (number(), number(), number(), number()) else {
            self.count.foreign += 1;
            return false;
        };
        let meant = pair == session as u64 / 2 && side == 1 - session as u64 % 2;
        let Some(way) = self.ways.get_mut(session / 2).map(|ways| &mut ways[1 - session % 2]) else { return false };
        if !meant || number >= way.sent || body.len() < self.plan.body_bytes {
            self.count.foreign += 1;
            return false;
        }
        if number < way.next {
            match way.missing.remove(&number) {
                true => self.count.out_of_order += 1,
                false => {
                    self.count.doubled += 1;
                    return false;
                }
            }
        } else {
            way.missing.extend(way.next..number);
            way.next = number + 1;
        }
        self.count.received += 1;
        self.latencies.record(now_ns.saturating_sub(sent_ns) / 1000);
        !self.stopped
    }

    /// From now on nobody answers.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// All that was sent has come.
    pub fn is_drained(&self) -> bool {
        self.count.received == self.count.sent
    }

    /// What became of the messages so far; those under way are not lost yet.
    pub fn count(&self) -> Count {
        self.count
    }

    /// What became of them in the end.
    pub fn end(&self) -> Count {
        Count { lost: self.count.sent - self.count.received, ..self.count }
    }

    /// The latencies since the last time.
    pub fn take_latencies(&mut self) -> Histogram {
        std::mem::take(&mut self.latencies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { body_bytes: 40, outstanding: 1 };

    // What session 0 sends, given to session 1 in this order, and what is said of it.
    #[track_caller]
    fn check(sent: u64, order: &[usize], wanted: Count) {
        let mut chat = Chat::new(PLAN, 1);
        let bodies: Vec<String> = (0..sent)
            .map(|now| {
                let mut body = String::new();
                chat.write(0, now, &mut body);
                assert_eq!(body.len(), PLAN.body_bytes);
                body
            })
            .collect();
        for at in order {
            chat.receive(1, &bodies[*at], 1_000_000);
        }
        assert_eq!(chat.end(), wanted, "{order:?}");
        assert_eq!(chat.take_latencies().count(), wanted.received);
    }

    #[test]
    fn every_fault_is_told_apart() {
        let count = Count { sent: 3, received: 3, ..Count::default() };
        check(3, &[0, 1, 2], count);
        check(3, &[0, 1, 1, 2], Count { doubled: 1, ..count });
        check(3, &[1, 0, 2], Count { out_of_order: 1, ..count });
        check(3, &[0, 2], Count { received: 2, lost: 1, ..count });
        check(3, &[0, 1], Count { received: 2, lost: 1, ..count });
        check(3, &[0, 2, 1, 1], Count { out_of_order: 1, doubled: 1, ..count });
    }

    #[test]
    fn what_is_for_somebody_else_is_foreign() {
        let mut chat = Chat::new(PLAN, 2);
        let mut body = String::new();
        chat.write(0, 0, &mut body);
        for (session, body) in [(0, body.as_str()), (2, &body), (1, "hello"), (1, "0.0.7.0.x"), (1, &body[..20])] {
            assert!(!chat.receive(session, body, 1), "{body}");
        }
        assert_eq!(chat.end().foreign, 5);
        assert!(!chat.end().is_perfect());
    }

    #[test]
    fn after_the_end_nobody_answers() {
        let mut chat = Chat::new(PLAN, 1);
        for wanted in [true, false] {
            let mut body = String::new();
            chat.write(1, 0, &mut body);
            assert!(!chat.is_drained());
            assert_eq!(chat.receive(0, &body, 1), wanted);
            assert!(chat.is_drained());
            chat.stop();
        }
    }
}
