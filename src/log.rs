//! The log, on standard error: readable on a terminal, JSON on request.

use crate::config::{Log, LogFormat};
use anyhow::{Result, anyhow};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts the log. RUST_LOG, when set, rules the level; what it says must be a filter.
pub fn start(log: &Log) -> Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => {
            EnvFilter::try_new(&text).map_err(|e| anyhow!("RUST_LOG: {text:?} is no filter: {e}"))?
        }
        // The operator's port tells its workers' starting and stopping at info: nobody asked. What breaks with a
        // broker is told by whoever uses it.
        _ => EnvFilter::try_new(format!("{0},actix_server=warn,actix_http=warn,lapin=off", log.level.as_str()))?,
    };
    let out = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => out.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => out.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|e| anyhow!("the log cannot be started: {e}"))
}
