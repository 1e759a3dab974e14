//! A client's key sequence (XEP-0124 section 15).

use sha1::{Digest, Sha1};

/// How many keys a sequence has.
const LENGTH: usize = 12;

pub struct Keys {
    left: Vec<String>, // the next is the last
    sequences: u32,
}

impl Keys {
    /// A sequence, and the attribute that begins it.
    pub fn new() -> (Keys, String) {
        let mut keys = Keys { left: Vec::new(), sequences: 0 };
        let newkey = keys.begin();
        (keys, newkey)
    }

    /// The attributes of the next request.
    pub fn next(&mut self) -> String {
        let key = self.left.pop().expect("a key");
        let newkey = if self.left.is_empty() { self.begin() } else { String::new() };
        format!(" key='{key}'{newkey}")
    }

    fn begin(&mut self) -> String {
        self.sequences += 1;
        let mut key = format!("seed {}", self.sequences);
        for _ in 0..LENGTH {
            key = Sha1::digest(key.as_bytes()).iter().map(|b| format!("{b:02X}")).collect();
            self.left.push(key.clone());
        }
        let newest = self.left.pop().expect("a key");
        format!(" newkey='{newest}'")
    }
}
