//! The configuration: read once, checked whole, handed down in parts. Only this folder knows TOML.
//!
//! | file | what is in it |
//! |---|---|
//! | `keys.rs` | every key: its type, default, bounds and words; the structs are made from it |
//! | `value.rs` | how one value is read from TOML and shown as TOML |
//! | `schema.rs` | the macro that turns `keys.rs` into structs and a table |
//! | `network.rs` | lists of IP networks |
//! | `words.rs` | lists of types of events and of uids; web addresses |
//! | `remote.rs` | URLs of brokers and databases, names of tables |
//! | `read.rs` | a file against the table: unknown keys, wrong types, bounds, each with its place |
//! | `reference.rs` | `etc/herald.toml` and `docs/config.md` from the table |

mod keys;
mod network;
mod read;
mod reference;
mod remote;
mod schema;
#[cfg(test)]
mod tests;
mod value;
mod words;

pub use keys::{
    Auth, Comet, Config, EventsAmqp, IngestAmqp, IngestPostgres, IngestRedis, Jwt, Limits, Log, Shaping, Tls, Webhook,
};
pub use network::Networks;
pub use read::Problem;
pub use reference::commented;
pub use value::{CometAuth, CometStore, Demo, Domain, LogFormat, PlainWithoutTls};
pub use words::Uids;

use std::fmt;
use std::path::{Path, PathBuf};

/// The file that is used when none is named and it is there.
pub const FILE_DEFAULT: &str = "herald.toml";

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// The file says something that cannot be; in the order of the file, at least one.
    Wrong(PathBuf, Vec<Problem>),
}

impl ConfigError {
    /// One line for each thing that is wrong: `file:line:column: what`.
    pub fn lines(&self) -> Vec<String> {
        match self {
            ConfigError::Unreadable(file, e) => vec![format!("{}: {e}", file.display())],
            ConfigError::Wrong(file, problems) => problems.iter().map(|p| format!("{}:{p}", file.display())).collect(),
        }
    }
}

impl fmt::Display for ConfigError {
    /// One line: the first problem, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines();
        if let Some(first) = lines.first() {
            f.write_str(first)?;
        }
        match lines.len() {
            0 | 1 => Ok(()),
            n => write!(f, " (and {} more: see `herald check-config`)", n - 1),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the named file; without a name `./herald.toml` when it is there, else the defaults.
    /// The second value is the file that was read.
    pub fn load(named: Option<&Path>) -> Result<(Config, Option<PathBuf>), ConfigError> {
        let file = match named {
            Some(file) => file,
            None if Path::new(FILE_DEFAULT).exists() => Path::new(FILE_DEFAULT),
            None => return Ok((Config::default(), None)),
        };
        let text = std::fs::read_to_string(file).map_err(|e| ConfigError::Unreadable(file.to_owned(), e))?;
        match read::read(&text) {
            Ok(config) => Ok((config, Some(file.to_owned()))),
            Err(problems) => Err(ConfigError::Wrong(file.to_owned(), problems)),
        }
    }
}
