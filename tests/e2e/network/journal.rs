//! What came, and what became of it: kept to be shown when a test fails.

use super::Fate;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Instant;

/// Characters of a request or response that are kept.
const CHARS_MAX: usize = 400;

/// The journal of one network.
pub struct Journal {
    began: Instant,
    lines: Mutex<Vec<String>>,
    counts: Mutex<HashMap<Fate, usize>>,
}

impl Default for Journal {
    fn default() -> Journal {
        #[allow(clippy::disallowed_methods)] // when something happened is for people to read
        Journal { began: Instant::now(), lines: Mutex::default(), counts: Mutex::default() }
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
    }

    pub fn count(&self, fate: Fate) -> usize {
        self.counts.lock().expect("no panic under it").get(&fate).copied().unwrap_or_default()
    }

    pub fn has_seen(&self, words: &[&str]) -> bool {
        self.lines.lock().expect("no panic under it").iter().any(|line| words.iter().all(|word| line.contains(word)))
    }

    pub fn text(&self) -> String {
        let lines = self.lines.lock().expect("no panic under it");
        lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }
}
