//! What came, and what became of it: kept to be shown when a test fails.

use super::Fate;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Characters of a request or response that are kept.
const CHARS_MAX: usize = 900;

/// The journal of one network.
pub struct Journal {
    began: Instant,
    lines: Mutex<Vec<String>>,
    noted: Condvar,
    counts: Mutex<HashMap<Fate, usize>>,
}

impl Default for Journal {
    fn default() -> Journal {
        #[allow(clippy::disallowed_methods)] // when something happened is for people to read
        Journal { began: Instant::now(), lines: Mutex::default(), noted: Condvar::new(), counts: Mutex::default() }
    }
}

impl Journal {
    /// One request came, and this will become of it.
    pub fn request(&self, number: usize, fate: Fate, text: &[u8]) {
        *self.counts.lock().expect("no panic under it").entry(fate).or_default() += 1;
        self.note(number, &format!("-> {fate:?}"), text);
    }

    /// Something happened to the request of this number.
    pub fn note(&self, number: usize, what: &str, text: &[u8]) {
        let text: String = String::from_utf8_lossy(text).chars().take(CHARS_MAX).collect();
        let ms = self.began.elapsed().as_millis();
        let line = format!("{ms:6} ms #{number} {what} {}", text.trim());
        self.lines.lock().expect("no panic under it").push(line);
        self.noted.notify_all();
    }

    /// Waits until there is enough in it; false when it does not come in time.
    pub fn awaits(&self, enough: impl Fn(&[String]) -> bool, patience: Duration) -> bool {
        let short = |lines: &mut Vec<String>| !enough(lines);
        let lines = self.lines.lock().expect("no panic under it");
        !self.noted.wait_timeout_while(lines, patience, short).expect("no panic under it").1.timed_out()
    }

    pub fn count(&self, fate: Fate) -> usize {
        self.counts.lock().expect("no panic under it").get(&fate).copied().unwrap_or_default()
    }

    pub fn lines_with(&self, words: &[&str]) -> usize {
        with(&self.lines.lock().expect("no panic under it"), words)
    }

    pub fn text(&self) -> String {
        let lines = self.lines.lock().expect("no panic under it");
        lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }
}

/// How many of the lines hold all of these words.
pub fn with(lines: &[String], words: &[&str]) -> usize {
    lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).count()
}
