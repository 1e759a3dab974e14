//! What each address has used: a table that is bounded and forgets who is at rest.

use super::bucket::Bucket;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Addresses remembered at a time. A flood of more pushes out those that used least of theirs.
pub(crate) const ADDRESSES_MAX: usize = 65_536;
/// Below this many the table is not looked through for those at rest.
const SWEEP_MIN: usize = 1_024;

/// The buckets of one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) connections: Bucket,
    pub(crate) sessions: Bucket,
    pub(crate) failed_logins: Bucket,
    pub(crate) bytes: Bucket,
}

impl Used {
    /// When all of it will be full again.
    fn full_at(&self) -> u64 {
        let Used { connections, sessions, failed_logins, bytes } = self;
        [connections, sessions, failed_logins, bytes].map(Bucket::full_at).into_iter().max().unwrap_or(0)
    }
}

/// See the module page.
pub(crate) struct Table {
    used: HashMap<IpAddr, Used>,
    max: usize,
    /// With so many entries it is time to look for those at rest.
    sweep_at: usize,
}

impl Table {
    pub(crate) fn new(max: usize) -> Table {
        Table { used: HashMap::new(), max, sweep_at: SWEEP_MIN.min(max) }
    }

    /// What this address has used; nothing, when nothing is known.
    pub(crate) fn look(&self, address: IpAddr) -> Used {
        self.used.get(&network(address)).copied().unwrap_or_default()
    }

    /// The same, to be changed. Makes room when there is none.
    pub(crate) fn of(&mut self, address: IpAddr, now: u64) -> &mut Used {
        let address = network(address);
        if self.used.len() >= self.sweep_at && !self.used.contains_key(&address) {
            self.make_room(now);
        }
        self.used.entry(address).or_default()
    }

    /// Forgets those at rest, and when that is not enough, the quarter that used least: whoever guesses passwords
    /// cannot have himself forgotten by sending strangers in.
    fn make_room(&mut self, now: u64) {
        self.used.retain(|_, used| used.full_at() > now);
        if self.used.len() >= self.max {
            let mut times: Vec<u64> = self.used.values().map(Used::full_at).collect();
            let (_, &mut cut, _) = times.select_nth_unstable(self.max / 4);
            self.used.retain(|_, used| used.full_at() > cut);
        }
        // Looked through again when it has doubled: so each entry pays for two at most.
        self.sweep_at = (self.used.len() * 2).clamp(SWEEP_MIN.min(self.max), self.max);
        self.used.shrink_to(self.sweep_at);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.used.len()
    }
}

/// Who counts as one: an IPv4 address; of IPv6 the /64, which is what one customer is given.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bucket::Rate;
    use super::*;
    use std::time::Duration;

    const SEC: u64 = 1_000_000_000;

    fn rate() -> Rate {
        Rate::new(1, Duration::from_secs(1), 10)
    }

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn one_customer_is_one() {
        let mut table = Table::new(10);
        for (a, b, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            table.of(a, 0).sessions.spend(0, &rate(), 5);
            assert_eq!(table.look(a) == table.look(b), same, "{a} {b}");
            table = Table::new(10);
        }
    }

    #[test]
    fn who_is_at_rest_is_forgotten() {
        let mut table = Table::new(ADDRESSES_MAX);
        // A minute of strangers, a thousand each second, each at rest ten seconds later.
        for n in 0..60_000u32 {
            let now = u64::from(n) * SEC / 1_000;
            table.of(address(n), now).sessions.spend(now, &rate(), 10);
            assert!(table.len() <= 2 * 10_001, "{} at {n}", table.len());
        }
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_forgets_those_who_used_least() {
        let mut table = Table::new(4_096);
        let guesser = address(7);
        table.of(guesser, 0).failed_logins.spend(0, &rate(), 1_000);
        for n in 100..200_000u32 {
            table.of(address(n), 1).connections.spend(1, &rate(), u64::from(n % 500));
            assert!(table.len() <= 4_096);
        }
        assert!(table.look(guesser).failed_logins.take(2, &rate()).is_err(), "he is still known");
    }

    #[test]
    fn a_flood_that_all_used_the_same_is_bounded_too() {
        let mut table = Table::new(2_000);
        for n in 0..10_000u32 {
            table.of(address(n), 1).connections.spend(1, &rate(), 5);
            assert!(table.len() <= 2_000);
        }
    }

    #[test]
    fn looking_leaves_nothing_behind() {
        let mut table = Table::new(100);
        assert_eq!(table.look(address(1)), Used::default());
        assert_eq!(table.len(), 0);
        table.of(address(1), 5).bytes.spend(5, &rate(), 1);
        assert_ne!(table.look(address(1)), Used::default());
    }
}
