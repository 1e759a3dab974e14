//! Key sequencing (XEP-0124 section 15): protects a session in the clear from injected requests.

use crate::{Body, Rid};
use compact_str::CompactString;
use sha1::{Digest, Sha1};
use std::collections::VecDeque;

/// A session's place in its client's key sequence.
pub(crate) struct Keys {
    next: CompactString,                    // what the hash of the next key must be
    recent: VecDeque<(Rid, CompactString)>, // the keys of the latest requests, for their repeats
    recent_max: usize,
}

impl Keys {
    /// From the creation's `newkey`. `recent_max`: of how many requests a repeat may still come.
    pub fn new(newkey: &str, recent_max: usize) -> Keys {
        Keys { next: newkey.into(), recent: VecDeque::new(), recent_max }
    }

    /// Whether this new request is the client's; if so the sequence moves on.
    pub fn admit(&mut self, body: &Body) -> bool {
        let Some(key) = body.key() else { return false };
        if !hex(&Sha1::digest(key.as_bytes())).eq_ignore_ascii_case(&self.next) {
            return false;
        }
        self.next = body.newkey().unwrap_or(key).into();
        if self.recent.len() >= self.recent_max {
            self.recent.pop_front();
        }
        self.recent.push_back((body.rid, key.into()));
        true
    }

    /// Whether this repeated request is the client's: it has the key its first copy had. `None`: it came too
    /// long ago to tell.
    pub fn knows(&self, body: &Body) -> Option<bool> {
        let (_, key) = self.recent.iter().find(|(rid, _)| *rid == body.rid)?;
        Some(body.key().is_some_and(|k| k.eq_ignore_ascii_case(key)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
