//! What processes and the kernel take, from /proc.

use std::fs;

/// What the kernel takes for sockets and files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel {
    /// TCP sockets.
    pub sockets: u64,
    /// Buffers of TCP, in bytes.
    pub tcp_bytes: u64,
    /// The slab: sockets, files, inodes and all else that the kernel keeps of them, in bytes.
    pub slab_bytes: u64,
    /// Memory that is left, in bytes.
    pub available_bytes: u64,
}

impl Kernel {
    /// As it is now.
    pub fn read() -> Kernel {
        let sockstat = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
        let (sockets, pages) = tcp(&sockstat);
        Kernel {
            sockets,
            tcp_bytes: pages * page_bytes(),
            slab_bytes: meminfo("Slab").unwrap_or_default(),
            available_bytes: meminfo("MemAvailable").unwrap_or_default(),
        }
    }
}

/// A line of /proc/meminfo, in bytes.
pub fn meminfo(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Resident memory of a process, in bytes; 0 when it is gone.
pub fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * page_bytes()
}

/// Bytes, for people.
pub fn text(bytes: f64) -> String {
    match bytes / f64::from(1 << 20) {
        mib if mib >= 1024.0 => format!("{:.2} GiB", mib / 1024.0),
        mib => format!("{mib:.1} MiB"),
    }
}

/// Sockets and pages of the line `TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 1`.
fn tcp(sockstat: &str) -> (u64, u64) {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:")).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let value = |name: &str| words.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1)?.parse().ok());
    (value("alloc").unwrap_or_default(), value("mem").unwrap_or_default())
}

fn page_bytes() -> u64 {
    // SAFETY: this only reads a constant of the system.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_tables_are_read() {
        assert_eq!(tcp("sockets: used 9\nTCP: inuse 5 orphan 0 tw 3 alloc 7 mem 2\nUDP: inuse 1"), (7, 2));
        assert_eq!(tcp(""), (0, 0));
        assert!(meminfo("MemAvailable").is_some_and(|bytes| bytes > 1 << 20));
        assert!(resident(std::process::id()) > 1 << 20);
        assert_eq!((text(1.5e9), text(3e6)), ("1.40 GiB".to_owned(), "2.9 MiB".to_owned()));
    }
}
