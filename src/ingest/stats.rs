//! Counters of what comes in, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Where messages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// AMQP 0.9.1.
    Amqp,
    /// A table in PostgreSQL.
    Postgres,
    /// Redis Streams.
    Redis,
}

/// What is counted of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum What {
    /// It came.
    Received,
    /// It was carried out.
    Done,
    /// It had been carried out before.
    Repeated,
    /// Its user or the store had no room, and it was tried again.
    Retried,
    /// It cannot be carried out.
    Dead,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Amqp, Kind::Postgres, Kind::Redis];
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        ["amqp", "postgres", "redis"][self as usize]
    }
    /// Counts a message.
    pub fn count(self, what: What) {
        COUNTS[self as usize][what as usize].fetch_add(1, Ordering::Relaxed);
    }
    /// Whether there is a connection to it.
    pub fn connected(self, yes: bool) {
        CONNECTED[self as usize].store(yes.into(), Ordering::Relaxed);
        if yes {
            CONNECTS[self as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
    /// How many are in work.
    pub fn in_flight(self, n: usize) {
        IN_FLIGHT[self as usize].store(n as u64, Ordering::Relaxed);
    }
    /// What was counted, by its word.
    pub fn counts(self) -> [(&'static str, u64); 5] {
        let counts = &COUNTS[self as usize];
        let words = ["received", "done", "repeated", "retried", "dead"];
        std::array::from_fn(|i| (words[i], counts[i].load(Ordering::Relaxed)))
    }
    /// 1 when there is a connection; how many there have been; messages in work.
    pub fn state(self) -> (u64, u64, u64) {
        let i = self as usize;
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        (load(&CONNECTED[i]), load(&CONNECTS[i]), load(&IN_FLIGHT[i]))
    }
}

static COUNTS: [[AtomicU64; 5]; 3] = [const { [const { AtomicU64::new(0) }; 5] }; 3];
static CONNECTED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
static CONNECTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
static IN_FLIGHT: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
