//! What processes take, from Linux' /proc.

use std::collections::{HashMap, HashSet};
use std::fs;

/// What processes take, and have taken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// CPU of all of them since their start, in seconds.
    pub cpu_secs: f64,
}

/// What these processes and their descendants take; `None` when none of them is there.
pub fn usage(roots: &[u32]) -> Option<Usage> {
    let stats = stats();
    let mut wanted: HashSet<u32> = roots.iter().copied().collect();
    // A child is found when its parent is: as often as the tree is deep.
    loop {
        let children = stats.iter().filter(|(pid, stat)| !wanted.contains(*pid) && wanted.contains(&stat.parent));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        if children.is_empty() {
            break;
        }
        wanted.extend(children);
    }
    let found = wanted.iter().filter_map(|pid| stats.get(pid));
    found
        .map(|stat| stat.usage)
        .reduce(|sum, one| Usage { rss: sum.rss + one.rss, cpu_secs: sum.cpu_secs + one.cpu_secs })
}

struct Stat {
    parent: u32,
    usage: Usage,
}

fn stats() -> HashMap<u32, Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))).collect()
}

/// Reads a line of /proc/PID/stat (proc(5)). The second field is a name in brackets and may hold anything.
fn parse(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    // SAFETY: these calls only read a constant of the system.
    let (ticks, page) = unsafe { (libc::sysconf(libc::_SC_CLK_TCK), libc::sysconf(libc::_SC_PAGESIZE)) };
    let usage = Usage { rss: number(24)? * page as u64, cpu_secs: (number(14)? + number(15)?) as f64 / ticks as f64 };
    Some(Stat { parent: number(4)? as u32, usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_is_read() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 4 0 9 1000 20 18446744073709551615 1";
        let stat = parse(line).expect("it is whole");
        assert_eq!(stat.parent, 3);
        assert!((stat.usage.cpu_secs - 3.0).abs() < 0.1 && stat.usage.rss >= 20 * 4096, "{:?}", stat.usage);
        assert!(parse("7 (a) S 3").is_none());
    }

    #[test]
    fn we_are_there() {
        assert!(usage(&[std::process::id()]).is_some_and(|usage| usage.rss > 100_000));
        assert_eq!(usage(&[]), None);
    }
}
