//! Files that are there whole or not at all.

use anyhow::{Context, Result, anyhow, bail};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
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

/// Reads 32 secret bytes that stay the same over restarts; makes them (mode 0600) when there are none.
pub fn secret(file: &Path) -> Result<[u8; 32]> {
    let name = file.display();
    let mut secret = [0; 32];
    match std::fs::read(file) {
        Ok(bytes) if bytes.len() == secret.len() => secret.copy_from_slice(&bytes),
        Ok(bytes) => bail!("{name}: it has {} bytes and must have 32 (remove it, and one is made)", bytes.len()),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            getrandom::fill(&mut secret).map_err(|e| anyhow!("no randomness for a secret: {e}"))?;
            write_private(file, &secret)?;
        }
        Err(e) => return Err(e).with_context(|| format!("{name}: it cannot be read")),
    }
    Ok(secret)
}
