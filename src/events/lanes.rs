//! What is on its way to one receiver: which batch is next, and what a failure means. No I/O, no clock.
//!
//! Events go out in their order, one batch at a time, so that nothing overtakes anything. When a batch is refused,
//! the fault may be that of one event: its users are halved, and halved again, until those are alone whose events
//! are refused; everybody else goes on. So a user's events stay in order, a user whose event fails holds up
//! nobody else, and an event goes to the dead letters only when it was refused alone. When the receiver cannot be
//! reached, everything waits. Waits grow from [`BACKOFF_MS`] and are random below that ("full jitter").

use bytes::Bytes;
use compact_str::CompactString;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first wait is at most this; each further one at most twice the one before.
pub const BACKOFF_MS: u64 = 500;

/// An event on its way out.
#[derive(Debug, PartialEq, Eq)]
pub struct Out {
    /// Its number in the outbox.
    pub seq: u64,
    /// Its id.
    pub id: CompactString,
    /// Whom it is about.
    pub uid: CompactString,
    /// Its type.
    pub kind: CompactString,
    /// When it happened, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The whole of it.
    pub json: Bytes,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Taken,
    /// The receiver does not want it, now or later.
    Gone(String),
    /// The receiver refused it, or did not answer in time: it may be the fault of what is in it.
    Refused(String),
    /// The receiver was not reached, or is too busy: it is the fault of nothing in it. It may say how
    /// long to wait.
    Unreachable(String, Option<Duration>),
}

/// How it is done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Events in a batch.
    pub batch_events: usize,
    /// A batch ends with the event that brings it to this.
    pub batch_bytes: usize,
    /// Refusals of one event.
    pub tries_max: u32,
    /// The longest wait.
    pub backoff_max: Duration,
    /// How old an event may be that could not be delivered.
    pub keep_ms: i64,
}

/// Events on their way to one receiver.
pub struct Lanes {
    settings: Settings,
    /// Read from the outbox and not settled, by their numbers.
    waiting: BTreeMap<u64, Arc<Out>>,
    /// The outbox is read up to this number.
    read_to: u64,
    /// Users whose events failed.
    holds: HashMap<CompactString, Hold>,
    /// Nothing goes out before.
    pause: Option<Instant>,
    failures_in_row: u32,
    groups: u64,
}

/// A user whose events are tried apart from others'.
#[derive(Clone, Debug)]
struct Hold {
    /// Tried together with these.
    group: u64,
    until: Instant,
    tries: u32,
    /// Events in one batch.
    events_max: usize,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Hand this out, and tell [`Lanes::settle`].
    Send(Vec<Arc<Out>>),
    /// Nothing before this moment.
    Wait(Instant),
    /// Nothing is there.
    Idle,
}

/// An event that is given up, and why.
pub type Dead = (Arc<Out>, String);

impl Lanes {
    /// Nothing is on its way.
    pub fn new(settings: Settings) -> Lanes {
        Lanes {
            settings,
            waiting: BTreeMap::new(),
            read_to: 0,
            holds: HashMap::new(),
            pause: None,
            failures_in_row: 0,
            groups: 0,
        }
    }

    /// These follow in the outbox.
    pub fn add(&mut self, events: impl IntoIterator<Item = Out>) {
        for event in events {
            self.read_to = self.read_to.max(event.seq);
            self.waiting.insert(event.seq, Arc::new(event));
        }
    }

    /// The outbox is read up to this number.
    pub fn read_to(&self) -> u64 {
        self.read_to
    }

    /// How many wait here.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Users whose events are tried apart.
    pub fn held(&self) -> usize {
        self.holds.len()
    }

    /// Everything up to this number is settled.
    pub fn done_to(&self) -> u64 {
        self.waiting.first_key_value().map_or(self.read_to, |(seq, _)| seq - 1)
    }

    /// What to do now.
    pub fn next(&self, now: Instant) -> Next {
        if self.waiting.is_empty() {
            return Next::Idle;
        }
        if let Some(pause) = self.pause.filter(|pause| *pause > now) {
            return Next::Wait(pause);
        }
        let mut soonest: Option<Instant> = None;
        for event in self.waiting.values() {
            match self.holds.get(&event.uid) {
                Some(hold) if hold.until > now => soonest = Some(soonest.map_or(hold.until, |s| s.min(hold.until))),
                hold => return Next::Send(self.batch(event.seq, hold)),
            }
        }
        soonest.map_or(Next::Idle, Next::Wait)
    }

    /// From this event on, those who are tried together with its user.
    fn batch(&self, from: u64, first: Option<&Hold>) -> Vec<Arc<Out>> {
        let group = first.map(|hold| hold.group);
        let events_max = first.map_or(self.settings.batch_events, |hold| hold.events_max);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for event in self.waiting.range(from..).map(|(_, event)| event) {
            if self.holds.get(&event.uid).map(|hold| hold.group) != group {
                continue;
            }
            bytes += event.json.len();
            batch.push(event.clone());
            if batch.len() >= events_max || bytes >= self.settings.batch_bytes {
                break;
            }
        }
        batch
    }

    /// What became of a batch. Answers what is given up. `dice` is random, `at_ms` the time since 1970 UTC.
    pub fn settle(
        &mut self,
        batch: &[Arc<Out>],
        verdict: Verdict,
        now: Instant,
        at_ms: i64,
        dice: &mut impl FnMut() -> u64,
    ) -> Vec<Dead> {
        match verdict {
            Verdict::Taken => {
                self.succeeded();
                for event in batch {
                    self.waiting.remove(&event.seq);
                    self.holds.remove(&event.uid);
                }
                Vec::new()
            }
            Verdict::Gone(why) => {
                self.succeeded();
                batch.iter().filter_map(|event| self.give_up(event.seq, &why)).collect()
            }
            Verdict::Unreachable(why, wait) => {
                self.failed(now, wait, dice());
                self.too_old(at_ms, &why)
            }
            Verdict::Refused(why) => {
                self.failed(now, None, dice());
                let mut dead = self.refused(batch, &why, now, dice);
                dead.append(&mut self.too_old(at_ms, &why));
                dead
            }
        }
    }

    fn succeeded(&mut self) {
        self.failures_in_row = 0;
        self.pause = None;
    }

    fn failed(&mut self, now: Instant, wait: Option<Duration>, dice: u64) {
        self.failures_in_row += 1;
        let wait = wait.map(|wait| wait.min(self.settings.backoff_max));
        self.pause = Some(now + wait.unwrap_or_else(|| self.backoff(self.failures_in_row, dice)));
    }

    fn refused(&mut self, batch: &[Arc<Out>], why: &str, now: Instant, dice: &mut impl FnMut() -> u64) -> Vec<Dead> {
        let mut seen = HashSet::new();
        let users: Vec<&CompactString> = batch.iter().map(|e| &e.uid).filter(|uid| seen.insert(*uid)).collect();
        if let [user] = users[..] {
            return self.refused_alone(user, batch, why, now, dice()).into_iter().collect();
        }
        for half in users.chunks(users.len().div_ceil(2)) {
            self.groups += 1;
            for user in half {
                let tries = self.holds.get(*user).map_or(0, |hold| hold.tries) + 1;
                let events_max = self.settings.batch_events;
                // The pause of all comes before.
                self.holds.insert((*user).clone(), Hold { group: self.groups, until: now, tries, events_max });
            }
        }
        Vec::new()
    }

    fn refused_alone(
        &mut self,
        user: &CompactString,
        batch: &[Arc<Out>],
        why: &str,
        now: Instant,
        dice: u64,
    ) -> Option<Dead> {
        let tries = self.holds.get(user).map_or(0, |hold| hold.tries) + 1;
        if let ([event], true) = (batch, tries >= self.settings.tries_max) {
            return self.give_up(event.seq, why);
        }
        self.groups += 1;
        let until = now + self.backoff(tries, dice);
        let events_max = (batch.len() / 2).max(1);
        self.holds.insert(user.clone(), Hold { group: self.groups, until, tries, events_max });
        None
    }

    /// Its user's next event begins anew.
    fn give_up(&mut self, seq: u64, why: &str) -> Option<Dead> {
        let event = self.waiting.remove(&seq)?;
        self.holds.remove(&event.uid);
        Some((event, why.to_owned()))
    }

    fn too_old(&mut self, at_ms: i64, why: &str) -> Vec<Dead> {
        let old = |event: &&Arc<Out>| at_ms.saturating_sub(event.at_ms) > self.settings.keep_ms;
        let old: Vec<u64> = self.waiting.values().take_while(old).map(|event| event.seq).collect();
        old.into_iter().filter_map(|seq| self.give_up(seq, why)).collect()
    }

    /// They could not be given up: they are tried again, after the longest wait.
    pub fn take_back(&mut self, dead: Vec<Dead>, now: Instant) {
        self.pause = Some(now + self.settings.backoff_max);
        for (event, _) in dead {
            self.waiting.insert(event.seq, event);
        }
    }

    fn backoff(&self, failures: u32, dice: u64) -> Duration {
        let doubled = BACKOFF_MS.saturating_mul(1 << failures.saturating_sub(1).min(30));
        let most = doubled.min(u64::try_from(self.settings.backoff_max.as_millis()).unwrap_or(u64::MAX));
        Duration::from_millis(dice % (most + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> Settings {
        Settings { batch_events: 8, batch_bytes: 1_000, tries_max: 3, backoff_max: 4 * SECOND, keep_ms: 1_000_000 }
    }

    fn out(seq: u64, uid: &str) -> Out {
        Out {
            seq,
            id: CompactString::default(),
            uid: uid.into(),
            kind: "user.online".into(),
            at_ms: 0,
            json: "{}".into(),
        }
    }

    fn sent(next: &Next) -> Vec<u64> {
        match next {
            Next::Send(batch) => batch.iter().map(|e| e.seq).collect(),
            other => panic!("nothing to send: {other:?}"),
        }
    }

    fn numbers(dead: &[Dead]) -> Vec<u64> {
        dead.iter().map(|(event, _)| event.seq).collect()
    }

    /// A receiver that takes everything but batches with one of these users.
    struct Script {
        lanes: Lanes,
        now: Instant,
        poison: &'static str,
        taken: Vec<u64>,
        dead: Vec<u64>,
    }

    impl Script {
        /// One batch; what was in it.
        fn step(&mut self) -> Vec<u64> {
            let batch = loop {
                match self.lanes.next(self.now) {
                    Next::Send(batch) => break batch,
                    Next::Wait(until) => self.now = until,
                    Next::Idle => return Vec::new(),
                }
            };
            let numbers_of: Vec<u64> = batch.iter().map(|e| e.seq).collect();
            let refused = batch.iter().any(|e| e.uid == self.poison);
            let verdict = if refused { Verdict::Refused("500".into()) } else { Verdict::Taken };
            if !refused {
                self.taken.extend(&numbers_of);
            }
            self.dead.extend(numbers(&self.lanes.settle(&batch, verdict, self.now, 0, &mut || u64::MAX / 2)));
            numbers_of
        }
    }

    #[test]
    fn a_user_whose_event_is_refused_is_found_and_holds_up_nobody() {
        let mut lanes = Lanes::new(settings());
        lanes.add((1..=8).map(|seq| out(seq, ["a", "b", "c", "d"][seq as usize % 4])));
        let mut script = Script { lanes, now: Instant::now(), poison: "c", taken: vec![], dead: vec![] };
        assert_eq!(script.step(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(script.step(), [1, 2, 5, 6], "b and c");
        assert_eq!(script.step(), [1, 5], "b alone");
        assert_eq!(script.step(), [2, 6], "c alone");
        assert_eq!(script.step(), [3, 4, 7, 8], "d and a, while c waits");
        assert_eq!(script.taken, [1, 5, 3, 4, 7, 8]);
        assert_eq!(script.lanes.done_to(), 1);
        script.lanes.add([out(9, "c"), out(10, "a")]);
        assert_eq!(script.step(), [10], "what comes now is not held up either");
        assert_eq!(script.step(), [2], "c's first, alone");
        assert_eq!(script.dead, [2], "after three refusals, the last of them alone");
        while !script.step().is_empty() {}
        assert_eq!(script.dead, [2, 6, 9]);
        assert_eq!((script.lanes.done_to(), script.lanes.len(), script.lanes.held()), (10, 0, 0));
    }

    #[test]
    fn who_cannot_be_reached_is_waited_for_longer_each_time_and_loses_nothing() {
        let (mut lanes, mut now) = (Lanes::new(settings()), Instant::now());
        lanes.add([out(1, "a"), out(2, "b")]);
        let mut waits = Vec::new();
        for _ in 0..6 {
            let batch = [Arc::new(out(1, "a"))];
            assert_eq!(sent(&lanes.next(now)), [1, 2]);
            let down = Verdict::Unreachable("refused".into(), None);
            // The dice show the longest wait.
            let most = [500, 1_000, 2_000, 4_000, 4_000, 4_000][waits.len()];
            assert_eq!(lanes.settle(&batch, down, now, 0, &mut || most), []);
            let Next::Wait(until) = lanes.next(now) else { panic!("it goes on at once") };
            waits.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        let said = Verdict::Unreachable("503".into(), Some(2 * SECOND));
        lanes.settle(&[], said, now, 0, &mut || 0);
        assert_eq!(lanes.next(now), Next::Wait(now + 2 * SECOND), "it said how long");
        let late = Verdict::Unreachable("refused".into(), None);
        assert_eq!(numbers(&lanes.settle(&[], late, now, 1_000_001, &mut || 0)), [1, 2], "too old");
        assert_eq!(lanes.next(now + SECOND * 10), Next::Idle);
    }

    #[test]
    fn what_a_receiver_never_wants_is_given_up_at_once() {
        let (mut lanes, now) = (Lanes::new(settings()), Instant::now());
        lanes.add([out(1, "a"), out(2, "b"), out(3, "a")]);
        let Next::Send(batch) = lanes.next(now) else { panic!("nothing to send") };
        let dead = lanes.settle(&batch, Verdict::Gone("410".into()), now, 0, &mut || 0);
        assert_eq!(numbers(&dead), [1, 2, 3]);
        lanes.take_back(dead, now);
        assert_eq!(lanes.next(now), Next::Wait(now + 4 * SECOND), "the file could not be written");
        assert_eq!(sent(&lanes.next(now + 4 * SECOND)), [1, 2, 3]);
    }

    #[test]
    fn a_batch_ends_with_its_bytes_too() {
        let (mut lanes, now) = (Lanes::new(Settings { batch_bytes: 3, ..settings() }), Instant::now());
        lanes.add((1..5).map(|seq| out(seq, "a")));
        assert_eq!(sent(&lanes.next(now)), [1, 2]);
    }

    /// Whatever the receiver does, each user's events reach it in order, and what does not is a dead letter that
    /// was refused alone.
    #[test]
    fn order_holds_with_any_receiver() {
        for seed in 0..300u64 {
            let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut dice = move || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state
            };
            let (mut lanes, mut now, mut added) = (Lanes::new(settings()), Instant::now(), 0);
            let (mut taken, mut dead): (Vec<Arc<Out>>, Vec<u64>) = (Vec::new(), Vec::new());
            let poison = |event: &Out| event.seq % 13 == 5;
            for turn in 0.. {
                assert!(turn < 20_000, "seed {seed}: it does not end");
                if added < 200 && dice() % 3 == 0 {
                    for _ in 0..dice() % 20 {
                        added += 1;
                        lanes.add([out(added, &format!("user{}", dice() % 9))]);
                    }
                }
                let batch = match lanes.next(now) {
                    Next::Send(batch) => batch,
                    Next::Wait(until) => {
                        assert!(until > now && until <= now + 4 * SECOND, "seed {seed}");
                        now = until;
                        continue;
                    }
                    Next::Idle if added >= 200 => break,
                    Next::Idle => continue,
                };
                let verdict = match dice() % 10 {
                    0 => Verdict::Unreachable("down".into(), None),
                    _ if batch.iter().any(|e| poison(e)) => Verdict::Refused("500".into()),
                    _ => Verdict::Taken,
                };
                if verdict == Verdict::Taken {
                    taken.extend(batch.iter().cloned());
                }
                dead.extend(numbers(&lanes.settle(&batch, verdict, now, 0, &mut dice)));
            }
            assert!(dead.iter().all(|seq| seq % 13 == 5), "seed {seed}: {dead:?}");
            assert_eq!(taken.len() + dead.len(), added as usize, "seed {seed}: each once");
            let mut last: HashMap<&str, u64> = HashMap::new();
            for event in &taken {
                let before = last.insert(&event.uid, event.seq).unwrap_or(0);
                assert!(before < event.seq, "seed {seed}: {} came after {before}", event.seq);
            }
        }
    }
}
