//! What is said in the end.

use super::Options;
use super::client::Client;
use super::memory::{Kernel, text};
use super::pushes::Pushed;
use super::servers::{Plan, Servers};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// Refusals that are shown.
const REFUSALS_SHOWN: usize = 3;

/// Everything that was found.
pub struct Results {
    sessions: u32,
    transport: &'static str,
    servers: u32,
    /// When all were logged in, and how many were up at the end.
    login_secs: f64,
    ready: u32,
    failed: u32,
    lost: u32,
    /// Resident memory of the servers without sessions and with them.
    empty: u64,
    full: u64,
    client: u64,
    /// What the kernel took more than before.
    sockets: u64,
    tcp: u64,
    slab: u64,
    /// By how much the available memory shrank: all of it together.
    taken: u64,
    pushed: Pushed,
}

impl Results {
    /// Nothing is known yet but what empty servers take.
    pub fn new(options: &Options, plan: &Plan, empty: u64) -> Results {
        Results {
            sessions: plan.sessions,
            transport: options.transport.name(),
            servers: plan.servers,
            login_secs: 0.0,
            ready: 0,
            failed: 0,
            lost: 0,
            empty,
            full: 0,
            client: 0,
            sockets: 0,
            tcp: 0,
            slab: 0,
            taken: 0,
            pushed: Pushed::default(),
        }
    }

    /// All are there.
    pub fn logged_in(&mut self, took: Duration) {
        self.login_secs = took.as_secs_f64();
    }

    /// Memory was read with all sessions at rest.
    pub fn measured(&mut self, servers: &Servers, client: &Client, before: &Kernel, now: &Kernel) {
        (self.full, self.client) = (servers.bytes(), client.status().bytes);
        self.sockets = now.sockets.saturating_sub(before.sockets);
        self.tcp = now.tcp_bytes.saturating_sub(before.tcp_bytes);
        self.slab = now.slab_bytes.saturating_sub(before.slab_bytes);
        self.taken = before.available_bytes.saturating_sub(now.available_bytes);
    }

    /// The pushes are through.
    pub fn pushed(&mut self, pushed: Pushed, client: &Client) {
        let status = client.status();
        (self.ready, self.failed, self.lost) = (status.ready, status.failed, status.lost);
        self.pushed = pushed;
    }

    /// Everybody was there to the end, and each push came once.
    pub fn is_good(&self) -> bool {
        let Pushed { pushes, delivered, arrived, wrong, .. } = self.pushed;
        self.ready == self.sessions && (delivered, arrived, wrong) == (pushes, pushes, 0)
    }

    fn each(&self, bytes: u64) -> f64 {
        bytes as f64 / f64::from(self.ready.max(1))
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut said = String::from("\n");
        let mut row = |name: &str, words: String| {
            let _ = writeln!(said, "  {name:<18}{words}"); // a String takes everything
        };
        let memory = |bytes: u64| format!("{:>10}  {:>6.0} bytes for a session", text(bytes as f64), self.each(bytes));
        row(
            "sessions",
            format!("{} of {} over {}, on {} servers", self.ready, self.sessions, self.transport, self.servers),
        );
        if self.failed + self.lost > 0 {
            row("", format!("{} logins failed, {} sessions lost", self.failed, self.lost));
        }
        let rate = f64::from(self.ready) / self.login_secs.max(0.001);
        row("logins", format!("{:.0} s, {rate:.0} a second", self.login_secs));
        row("servers", memory(self.full));
        row("  over empty ones", memory(self.full.saturating_sub(self.empty)));
        row("client", memory(self.client));
        row("kernel, slab", memory(self.slab));
        row("kernel, buffers", memory(self.tcp));
        row("kernel, sockets", format!("{:>10}", self.sockets));
        row("all together", format!("{} (what became of the available memory)", memory(self.taken)));
        let Pushed { pushes, delivered, arrived, wrong, refusals, .. } = &self.pushed;
        let verdict = if self.is_good() { "each came once" } else { "NOT EACH CAME ONCE" };
        row("pushes", format!("{pushes}, {delivered} delivered, {arrived} arrived, {wrong} wrong: {verdict}"));
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| self.pushed.quantile(share));
        row("push to client", format!("p50 {p50:.2} ms, p99 {p99:.2} ms, at most {max:.2} ms"));
        for refusal in refusals.iter().take(REFUSALS_SHOWN) {
            row("refused", refusal.clone());
        }
        said
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let Pushed { pushes, delivered, arrived, wrong, .. } = &self.pushed;
        json!({
            "sessions": self.sessions, "transport": self.transport, "servers": self.servers, "good": self.is_good(),
            "ready": self.ready, "failed": self.failed, "lost": self.lost, "login_secs": self.login_secs,
            "servers_bytes": self.full, "servers_bytes_empty": self.empty, "client_bytes": self.client,
            "slab_bytes": self.slab, "tcp_bytes": self.tcp, "sockets": self.sockets, "taken_bytes": self.taken,
            "pushes": pushes, "delivered": delivered, "arrived": arrived, "wrong": wrong,
            "push_ms": { "p50": self.pushed.quantile(0.5), "p99": self.pushed.quantile(0.99), "max": self.pushed.quantile(1.0) },
        })
    }
}
