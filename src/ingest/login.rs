//! The password for a source: in a file, in the environment, or in the URL, whichever is there first. It is
//! read for every connection, so that another one counts from the next on, and is never shown.

use anyhow::{Context, Result};
use std::path::PathBuf;

/// Where a password may be.
#[derive(Clone, Debug)]
pub struct Login {
    /// The configuration's section, for the words of errors.
    pub section: &'static str,
    /// The file.
    pub file: Option<PathBuf>,
    /// The environment variable.
    pub variable: &'static str,
}

impl Login {
    /// The password; `None` when only the URL may have one.
    pub fn password(&self) -> Result<Option<String>> {
        if let Some(file) = &self.file {
            let name = || format!("{}.password_file = \"{}\"", self.section, file.display());
            let text = std::fs::read_to_string(file).with_context(|| format!("{}: it cannot be read", name()))?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()));
        }
        Ok(std::env::var(self.variable).ok().filter(|text| !text.is_empty()))
    }
}
