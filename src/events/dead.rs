//! Dead letters: events that could not be delivered, in a file for an operator to look at.

use super::lanes::Dead;
use super::{event::moment, lanes::Out};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, rename};
use std::io::{Result, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// Within the data folder.
pub const FOLDER: &str = "dead-letters";

/// One file, of one way out: a JSON object on each line.
#[derive(Clone)]
pub struct DeadLetters {
    sink: String,
    file: PathBuf,
    bytes_max: u64,
}

impl DeadLetters {
    /// `folder` is made when it is needed.
    pub fn new(folder: PathBuf, sink: &str, bytes_max: u64) -> DeadLetters {
        DeadLetters { sink: sink.to_owned(), file: folder.join(format!("{sink}.ndjson")), bytes_max }
    }

    /// The file.
    pub fn file(&self) -> &PathBuf {
        &self.file
    }

    /// Writes them behind the others; they are on the disk when this returns. Blocks.
    pub fn write(&self, dead: &[Dead], at_ms: i64) -> Result<()> {
        let mut text = String::new();
        for (event, why) in dead {
            text.push_str(&self.line(event, why, at_ms));
            text.push('\n');
        }
        let folder = self.file.parent().unwrap_or(&self.file);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let room = std::fs::metadata(&self.file).map_or(0, |file| file.len()) + text.len() as u64 <= self.bytes_max;
        if !room && self.file.exists() {
            rename(&self.file, self.file.with_extension("old.ndjson"))?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.file)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        File::open(folder)?.sync_all() // the name of a file that is new, too
    }

    fn line(&self, event: &Out, why: &str, at_ms: i64) -> String {
        let raw: Option<Value> = serde_json::from_slice(&event.json).ok();
        json!({ "at": moment(at_ms), "to": self.sink, "why": why, "event": raw }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn dead(seq: u64) -> Dead {
        let json = format!("{{\"id\":\"a-{seq}\",\"type\":\"user.online\",\"uid\":\"alice\"}}");
        let out =
            Out { seq, id: "a-1".into(), uid: "alice".into(), kind: "user.online".into(), at_ms: 0, json: json.into() };
        (Arc::new(out), "500 \"no\"".into())
    }

    #[test]
    fn letters_are_lines_of_json_and_the_file_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(dir.path().join(FOLDER), "webhook-crm", 200);
        letters.write(&[dead(1)], 1_000).unwrap();
        let text = std::fs::read_to_string(letters.file()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!(line["at"], "1970-01-01T00:00:01.000Z");
        assert_eq!((&line["to"], &line["why"]), (&json!("webhook-crm"), &json!("500 \"no\"")));
        assert_eq!(line["event"], json!({ "id": "a-1", "type": "user.online", "uid": "alice" }));
        letters.write(&[dead(2)], 1_000).unwrap();
        let older = std::fs::read_to_string(letters.file().with_extension("old.ndjson")).unwrap();
        assert!(older.contains("a-1"), "{older}");
        let newer = std::fs::read_to_string(letters.file()).unwrap();
        assert!(newer.contains("a-2") && !newer.contains("a-1"), "{newer}");
    }
}
