//! What the system must allow, and how to have it so.

use super::servers::Plan;
use anyhow::{Result, ensure};
use std::fmt;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};

/// Open files of everybody else on the machine.
const FILES_OF_OTHERS: u64 = 20_000;
/// A session at rest holds no buffers in the kernel; the pages are for those that say something.
const SESSIONS_PER_PAGE: u64 = 4;
/// Logins that may wait for a server to accept them.
const BACKLOG: u64 = 1024;
/// What one session takes: server, client, and two sockets in the kernel.
const SESSION_BYTES: u64 = 3_100 + 800 + 10_000;
/// What a server and its client process take without sessions.
const PROCESS_BYTES: u64 = 28 << 20;

/// A limit of the system, and what is needed of it.
pub struct Finding {
    name: &'static str,
    found: u64,
    needed: u64,
    remedy: String,
}

impl Finding {
    /// Is there as much as is needed?
    pub fn is_enough(&self) -> bool {
        self.found >= self.needed
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { name, found, needed, remedy } = self;
        match self.is_enough() {
            true => write!(f, "{name:<36} {found:>12}  enough ({needed} needed)"),
            false => write!(f, "{name:<36} {found:>12}  TOO SMALL: {needed} needed. {remedy}"),
        }
    }
}

/// Looks at everything that a run needs.
pub fn check(plan: &Plan) -> Vec<Finding> {
    let sessions = u64::from(plan.sessions);
    let used = numbers("/proc/sys/fs/file-nr").first().copied().unwrap_or_default();
    let files = 2 * sessions + used + FILES_OF_OTHERS;
    let mut findings = Vec::new();
    let mut add = |name, found: Option<u64>, needed, remedy: String| {
        findings.extend(found.map(|found| Finding { name, found, needed, remedy }));
    };
    let sysctl = |name: &str, value: String| format!("sysctl -w {name}='{value}'");

    add("fs.file-max", last("/proc/sys/fs/file-max"), files, sysctl("fs.file-max", files.to_string()));
    let each = u64::from(plan.each()) + 1024;
    add("fs.nr_open", last("/proc/sys/fs/nr_open"), each, sysctl("fs.nr_open", each.to_string()));
    let range = numbers("/proc/sys/net/ipv4/ip_local_port_range");
    let ports = range.get(1).map(|last| last + 1 - range[0].min(last + 1));
    let ports_needed = u64::from(plan.each()).div_ceil(u64::from(plan.addresses()));
    let remedy = sysctl("net.ipv4.ip_local_port_range", "1024 65535".to_owned());
    add("ports in ip_local_port_range", ports, ports_needed, remedy);
    let pages = numbers("/proc/sys/net/ipv4/tcp_mem");
    let needed = sessions / SESSIONS_PER_PAGE;
    let remedy = sysctl("net.ipv4.tcp_mem", format!("{} {} {needed}", needed / 2, needed * 3 / 4));
    add("pages in net.ipv4.tcp_mem", pages.last().copied(), needed, remedy);
    if connections_are_tracked() {
        let needed = sessions + sessions / 20;
        let remedy = sysctl("net.netfilter.nf_conntrack_max", needed.to_string());
        add("nf_conntrack_max", last("/proc/sys/net/netfilter/nf_conntrack_max"), needed, remedy);
    }
    let backlog = sysctl("net.core.somaxconn", BACKLOG.to_string());
    add("net.core.somaxconn", last("/proc/sys/net/core/somaxconn"), BACKLOG, backlog);
    let memory = (sessions * SESSION_BYTES + u64::from(plan.servers) * PROCESS_BYTES) >> 20;
    let available = super::memory::meminfo("MemAvailable").map(|bytes| bytes >> 20);
    add("available memory, MiB", available, memory, "End what else runs, or ask for fewer --sessions".to_owned());
    findings
}

/// Raises the limit of open files as far as it goes; a server raises its own as far.
pub fn raise_open_files() -> Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a whole rlimit that outlives them.
    let raised = unsafe {
        let read = libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        read == 0 && libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) == 0
    };
    ensure!(raised, "the limit of open files cannot be raised: {}", io::Error::last_os_error());
    Ok(limit.rlim_cur)
}

/// Does the kernel keep an entry for a connection on this machine? The module may be there and not in use.
fn connections_are_tracked() -> bool {
    let count = || last("/proc/sys/net/netfilter/nf_conntrack_count");
    let Some(before) = count() else { return false };
    let Ok(listener) = TcpListener::bind("127.0.0.1:0") else { return true };
    let connected = listener.local_addr().and_then(TcpStream::connect);
    connected.is_err() || count().is_none_or(|after| after > before)
}

fn last(path: &str) -> Option<u64> {
    numbers(path).last().copied()
}

fn numbers(path: &str) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_small_says_how_to_raise_it() {
        let finding = |found| Finding { name: "fs.file-max", found, needed: 10, remedy: "sysctl".into() };
        assert!(finding(10).is_enough() && finding(10).to_string().contains("enough"));
        assert!(!finding(9).is_enough() && finding(9).to_string().ends_with("TOO SMALL: 10 needed. sysctl"));
    }

    #[test]
    fn a_small_run_fits_on_this_machine() {
        let findings = check(&Plan::new(10, 1024, None));
        let wanting: Vec<_> = findings.iter().filter(|finding| !finding.is_enough()).map(Finding::to_string).collect();
        assert!(findings.len() >= 5 && wanting.is_empty(), "{wanting:?}");
    }
}
