//! What is shown while it runs: one line on a terminal, a line now and then elsewhere.

use crate::report::{Sample, bytes};
use crate::talk::Status;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Seconds between two lines where there is no terminal.
const LINE_SECS: f64 = 10.0;

/// The line that is shown.
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    shown: f64,
    doing: String,
}

impl Progress {
    /// `quiet` shows nothing at all.
    pub fn new(quiet: bool, sessions: u32) -> Progress {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {prefix} {wide_bar} {msg}");
            let bar = ProgressBar::new(sessions.into()).with_style(style.expect("the template is ours"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Progress { bar, quiet, shown: f64::NEG_INFINITY, doing: String::new() }
    }

    /// Shows how it stands.
    pub fn show(&mut self, what: &str, status: &Status, samples: &[Sample]) {
        let [.., before, now] = samples else { return };
        let per_sec = |newer: f64, older: f64| (newer - older) / (now.secs - before.secs).max(0.001);
        let mut words = format!("{} up", status.ready);
        if status.failed + status.lost > 0 {
            words += &format!(", {} failed, {} lost", status.failed, status.lost);
        }
        if now.received > before.received {
            words += &format!(", {:.0} messages/s", per_sec(now.received as f64, before.received as f64));
        } else if now.ready > before.ready {
            words += &format!(", {:.0} logins/s", per_sec(now.ready.into(), before.ready.into()));
        }
        if let Some(server) = now.server_bytes {
            words += &format!(", server {}", bytes(server as f64));
        }
        if let Some(bar) = &self.bar {
            bar.set_prefix(what.to_owned());
            bar.set_position(status.ready.into());
            return bar.set_message(words);
        }
        if !self.quiet && (now.secs - self.shown >= LINE_SECS || self.doing != what) {
            (self.shown, self.doing) = (now.secs, what.to_owned());
            eprintln!("{:6.0} s  {what}: {words}", now.secs);
        }
    }

    /// Says what is being done, when nothing is counted.
    pub fn say(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_prefix(what.to_owned());
        }
    }

    /// Takes the line away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
