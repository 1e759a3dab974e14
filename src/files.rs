//! Files that are there whole or not at all.

use anyhow::{Context, Result};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(file: &Path, content: &[u8]) -> Result<()> {
    write_whole(file, content, 0o600)
}

/// Writes a file, whole or not at all.
pub fn write_whole(file: &Path, content: &[u8], mode: u32) -> Result<()> {
    let draft = file.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&draft); // left by a crash, maybe with other rights
        let mut out = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        out.write_all(content)?;
        out.sync_all()?;
        std::fs::rename(&draft, file)
    };
    write().with_context(|| format!("{}: cannot be written", file.display()))
}
