//! What the system allows: open files, and ports to connect from.

use anyhow::{Context, Result, bail, ensure};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Open files that a worker keeps for itself.
const FILES_RESERVED: u64 = 64;

/// Raises the limit of open files as far as it goes, and says where it is.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a whole rlimit that outlives them.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// How many worker processes hold `connections`, with that limit of open files.
pub fn workers(connections: u64, open_files: u64, wanted: Option<u32>) -> Result<u64> {
    let room = open_files.saturating_sub(FILES_RESERVED).max(1);
    let needed = connections.div_ceil(room).max(1);
    let Some(wanted) = wanted.map(u64::from) else { return Ok(needed) };
    ensure!(
        wanted >= needed,
        "{open_files} open files are allowed to a process, so {connections} connections need {needed} workers, \
         not {wanted}. Leave out --workers, or raise the limit: ulimit -n, LimitNOFILE= of systemd"
    );
    Ok(wanted)
}

/// Refuses more connections to one server than there are ports for.
pub fn check_ports(connections: u64, addresses: usize) -> Result<()> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
    let (Some(first), Some(last)) = (ends.next(), ends.next()) else { return Ok(()) };
    let ports = (last + 1).saturating_sub(first);
    let room = ports * addresses.max(1) as u64;
    if connections > room {
        bail!(
            "{connections} connections to one server need more than the {room} ports there are ({ports} for each \
             address to connect from). Widen the range: sysctl -w net.ipv4.ip_local_port_range='1024 65535'; or \
             connect from more addresses: --from 127.0.0.1-127.0.0.{} for a server on this machine",
            (connections / ports.max(1) + 1).min(254)
        );
    }
    Ok(())
}

/// Reads what `--from` says: addresses and ranges of them.
pub fn addresses(from: &[String]) -> Result<Vec<IpAddr>> {
    let mut all = Vec::new();
    for text in from {
        match text.split_once('-') {
            None => all.push(text.parse().with_context(|| format!("--from {text}: that is no address"))?),
            Some((first, last)) => {
                let end = |text: &str| -> Result<u32> { Ok(text.trim().parse::<Ipv4Addr>()?.into()) };
                let (first, last) = (end(first), end(last));
                let (first, last) = first.and_then(|first| Ok((first, last?))).with_context(|| {
                    format!("--from {text}: a range is two addresses of IPv4, such as 127.0.0.1-127.0.0.9")
                })?;
                ensure!(first <= last && last - first < 65_536, "--from {text}: the range is empty or too long");
                all.extend((first..=last).map(|address| IpAddr::from(Ipv4Addr::from(address))));
            }
        }
    }
    Ok(all)
}

/// What to do about a reason that many sessions failed for.
pub fn advice(reason: &str) -> Option<&'static str> {
    let known = [
        (
            "Connection refused",
            "nothing listens there: is the server running, and is --to its address for --transport?",
        ),
        (
            "Cannot assign requested address",
            "there are no more ports to connect from: see --from, or sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
        ),
        ("Too many open files", "raise the limit of open files (ulimit -n, LimitNOFILE=), or start more --workers"),
        ("not-authorized", "are --users, --password and --domain those of accounts on this server?"),
        ("UnknownIssuer", "name the server's certificate with --ca, or trust anybody with --insecure"),
        ("NotValidForName", "the certificate is for another name: --domain says which is asked for; or --insecure"),
        ("does not offer", "most servers offer PLAIN only over TLS; see --sasl and --transport"),
        ("HTTP 404", "the path is another one: give --to as a URL"),
        ("HTTP 405", "the path is another one: give --to as a URL"),
        ("HTTP 429", "the server limits how fast one address may come: see --rate, or exempt this address there"),
        (
            "policy-violation",
            "the server limits how fast one address may come: see --rate, or exempt this address there",
        ),
    ];
    known.into_iter().find(|(part, _)| reason.contains(part)).map(|(_, advice)| advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_workers_as_open_files_ask_for() {
        assert_eq!(workers(1000, 1024, None).ok(), Some(2));
        assert_eq!(workers(900, 1024, None).ok(), Some(1));
        assert_eq!(workers(900, 1024, Some(4)).ok(), Some(4));
        assert!(workers(1_000_000, 20_000, Some(4)).is_err());
    }

    #[test]
    fn ranges_of_addresses_are_read() {
        let read = |text: &str| addresses(&[text.to_owned()]).map(|all| all.len()).ok();
        assert_eq!(read("127.0.0.1"), Some(1));
        assert_eq!(read("127.0.0.250-127.0.1.5"), Some(12));
        assert_eq!(read("::1"), Some(1));
        assert_eq!(read("127.0.0.9-127.0.0.1"), None);
        assert_eq!(read("localhost"), None);
    }
}
