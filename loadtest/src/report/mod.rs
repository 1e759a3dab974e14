//! What came of a run: for people as a table, for programs as JSON, for looking at as a page with plots.

mod page;
mod plot;
mod table;

pub use page::html;
pub use table::{bytes, table};

use crate::chat::Count;
use crate::options::Run;
use crate::talk::Setup;
use crate::tally::Histogram;
use serde::Serialize;

/// Everything that is told of a run. Fields that were not measured are null.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub title: String,
    pub version: &'static str,
    /// When it began, in UTC.
    pub began: String,
    pub transport: &'static str,
    pub targets: Vec<String>,
    /// Sessions that were wanted.
    pub sessions: u32,
    pub workers: usize,
    /// Sessions that were up when all logins were done, and at the end.
    pub peak: u32,
    pub ready: u32,
    pub failed: u32,
    pub lost: u32,
    /// BOSH requests that were made again, because their connection ended.
    pub repeated_requests: u64,
    /// Why sessions failed, and how often.
    pub reasons: Vec<(String, u64)>,
    /// Ctrl-C ended it.
    pub interrupted: bool,
    pub logins_secs: f64,
    pub logins_per_sec: f64,
    pub login: Option<Latency>,
    /// CPU of the server meanwhile.
    pub login_cpu_secs: Option<f64>,
    pub server_bytes_before: Option<u64>,
    pub server_bytes_after: Option<u64>,
    /// All processes of this tool.
    pub client_bytes: Option<u64>,
    /// From the last login to the end.
    pub held_secs: f64,
    pub held_cpu_secs: Option<f64>,
    pub pairs: Option<u32>,
    pub body_bytes: Option<usize>,
    pub outstanding: Option<u32>,
    /// While it was measured.
    pub chat_secs: f64,
    pub messages: u64,
    pub chat_cpu_secs: Option<f64>,
    pub latency: Option<Latency>,
    /// From the first message to the last.
    pub count: Option<Count>,
    pub samples: Vec<Sample>,
}

/// How it stood at one moment; latencies are those since the sample before.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Since the begin.
    pub secs: f64,
    pub ready: u32,
    /// Messages that have come.
    pub received: u64,
    pub server_bytes: Option<u64>,
    pub server_cpu_secs: Option<f64>,
    pub client_bytes: u64,
    pub login: Option<Latency>,
    pub latency: Option<Latency>,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Latency {
    /// Of what was counted; `None` when that is nothing.
    pub fn of(histogram: &Histogram) -> Option<Latency> {
        Some(Latency { p50: histogram.quantile_ms(0.5)?, p99: histogram.quantile_ms(0.99)?, max: histogram.max_ms()? })
    }
}

/// What is known before the run.
pub fn begin(run: &Run, setups: &[Setup], server_bytes: Option<u64>) -> Summary {
    let sessions = setups.iter().map(|setup| setup.sessions).sum();
    let chat = setups.first().and_then(|setup| setup.chat);
    let what = match chat {
        None => format!("{sessions} sessions over {}", run.transport.name()),
        Some(_) => format!("{} pairs over {}", sessions / 2, run.transport.name()),
    };
    Summary {
        title: run.title.clone().unwrap_or(what),
        version: env!("CARGO_PKG_VERSION"),
        began: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        transport: run.transport.name(),
        targets: run.to.clone(),
        sessions,
        workers: setups.len(),
        server_bytes_before: server_bytes,
        pairs: chat.map(|_| sessions / 2),
        body_bytes: chat.map(|plan| plan.body_bytes),
        outstanding: chat.map(|plan| plan.outstanding),
        ..Summary::default()
    }
}

impl Summary {
    /// Everybody was there to the end, and every message came once, in order.
    pub fn is_good(&self) -> bool {
        let all_there = self.failed == 0 && self.lost == 0 && self.peak == self.sessions;
        let all_came = self.pairs.is_none() || self.count.is_some_and(|count| count.is_perfect());
        all_there && all_came && !self.interrupted
    }

    /// What one session takes of the server's memory.
    pub fn bytes_per_session(&self) -> Option<f64> {
        let grown = self.server_bytes_after?.saturating_sub(self.server_bytes_before?);
        (self.ready > 0).then(|| grown as f64 / f64::from(self.ready))
    }
}
