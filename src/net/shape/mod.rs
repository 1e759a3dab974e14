//! Shaping: how fast clients may be, on every transport (`[shaping]` in the configuration).
//!
//! | file | what is in it |
//! |---|---|
//! | `bucket.rs` | a token bucket in one word, without a clock |
//! | `table.rs` | what each address has used; bounded |
//! | `origin.rs` | who the client is, when a proxy stands in between |
//!
//! Two kinds of rules. What **one connection** sends (of BOSH, one session) is paced: whoever is above the rate is
//! not read until its debt is paid, so that the pressure reaches the sender, and nobody else waits. What **one
//! address** begins is refused beyond the rate, as each protocol says it:
//!
//! | what | refusal |
//! |---|---|
//! | a connection | closed when it is accepted, without a word: nothing has been spent on it yet |
//! | a stream | stream error `policy-violation` (RFC 6120 section 4.9.3.14) |
//! | a WebSocket | 429 with `Retry-After` (RFC 6585 section 4) in answer to the handshake |
//! | a BOSH session | `terminate` with `policy-violation` (XEP-0124 section 17.2) |
//! | a login behind too many failed ones | `temporary-auth-failure` (RFC 6120 section 6.5.11), and the stream ends; the store is not asked |
//!
//! The bytes of one address are paced as those of one connection are, by all its connections together.

mod bucket;
mod origin;
mod table;

use crate::config::{Networks, Shaping};
use crate::metrics::{self, Shaped};
use bucket::{Bucket, Rate};
pub(crate) use origin::Forwarded;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use table::{ADDRESSES_MAX, Table, Used};

/// What an address begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    Connection,
    Session,
}

/// What one connection has sent lately: two words, and nothing to do for them while it rests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    bytes: Bucket,
    stanzas: Bucket,
}

/// See the module page.
pub(crate) struct Shaper {
    start: Instant,
    bytes: Rate,
    stanzas: Rate,
    ip_connections: Rate,
    ip_sessions: Rate,
    ip_failed_logins: Rate,
    ip_bytes: Rate,
    exempt: Networks,
    proxies: Networks,
    table: Mutex<Table>,
}

impl Shaper {
    pub(crate) fn new(config: &Shaping, start: Instant) -> Shaper {
        let each = |tokens, secs, burst| Rate::new(tokens, Duration::from_secs(secs), burst);
        // A connection that has no rate of its own must still be able to owe what its address owes.
        let pace = |tokens, burst| if tokens == 0 { each(u32::MAX, 1, u32::MAX) } else { each(tokens, 1, burst) };
        let c = config;
        Shaper {
            start,
            bytes: pace(c.bytes_per_sec, c.bytes_burst),
            stanzas: pace(c.stanzas_per_sec, c.stanzas_burst),
            ip_connections: each(c.ip_connections_per_sec, 1, c.ip_connections_burst),
            ip_sessions: each(c.ip_sessions_per_sec, 1, c.ip_sessions_burst),
            ip_failed_logins: each(c.ip_failed_logins_per_min, 60, c.ip_failed_logins_burst),
            ip_bytes: each(c.ip_bytes_per_sec, 1, c.ip_bytes_burst),
            exempt: c.exempt.clone(),
            proxies: c.trusted_proxies.clone(),
            table: Mutex::new(Table::new(ADDRESSES_MAX)),
        }
    }

    /// Who sent a request that came from `peer`, and did it come over TLS all the way?
    pub(crate) fn origin(&self, peer: IpAddr, secure: bool, forwarded: Option<&Forwarded>) -> (IpAddr, bool) {
        forwarded.map_or((peer, secure), |forwarded| forwarded.client(peer, secure, &self.proxies))
    }

    /// Is it a proxy that is believed when it names its clients?
    pub(crate) fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.contains(peer)
    }

    /// May this address begin one more? Else, how long until it may.
    pub(crate) fn admit(&self, what: Begin, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let (rate, shaped) = match what {
            Begin::Connection => (&self.ip_connections, Shaped::Connection),
            Begin::Session => (&self.ip_sessions, Shaped::Session),
        };
        if !rate.is_on() || !self.counts(peer) {
            return Ok(());
        }
        let now = self.nanos(now);
        let mut table = self.table.lock();
        let used = table.of(peer, now);
        let bucket = match what {
            Begin::Connection => &mut used.connections,
            Begin::Session => &mut used.sessions,
        };
        bucket.take(now, rate).inspect_err(|_| metrics::shaped(shaped))
    }

    /// Have few enough logins from there failed that one more may be tried?
    pub(crate) fn may_log_in(&self, peer: IpAddr, now: Instant) -> bool {
        if !self.ip_failed_logins.is_on() || !self.counts(peer) {
            return true;
        }
        let Used { failed_logins, .. } = self.table.lock().look(peer);
        let may = failed_logins.wait(self.nanos(now), &self.ip_failed_logins, 1).is_ok();
        if !may {
            metrics::shaped(Shaped::Login);
        }
        may
    }

    /// A login from there has failed.
    pub(crate) fn login_failed(&self, peer: IpAddr, now: Instant) {
        if self.ip_failed_logins.is_on() && self.counts(peer) {
            let now = self.nanos(now);
            self.table.lock().of(peer, now).failed_logins.spend(now, &self.ip_failed_logins, 1);
        }
    }

    /// A connection of that address has sent so much. When that was too much, until when it is not to be read.
    pub(crate) fn sent(
        &self,
        pace: &mut Pace,
        peer: IpAddr,
        bytes: usize,
        stanzas: u32,
        now: Instant,
    ) -> Option<Instant> {
        let owed = self.owes(peer, bytes, now);
        let own = self.paced(pace, bytes, stanzas, now);
        let Some(wait) = owed else { return own };
        pace.bytes.hold(self.nanos(now) + wait.as_nanos() as u64, &self.bytes);
        if own.is_none() {
            metrics::shaped(Shaped::Slowed);
        }
        self.slowed(pace, now)
    }

    /// The same for a connection alone, when its address has paid already.
    pub(crate) fn paced(&self, pace: &mut Pace, bytes: usize, stanzas: u32, now: Instant) -> Option<Instant> {
        let at = self.nanos(now);
        pace.bytes.spend(at, &self.bytes, bytes as u64);
        pace.stanzas.spend(at, &self.stanzas, stanzas.into());
        self.slowed(pace, now).inspect(|_| metrics::shaped(Shaped::Slowed))
    }

    /// An address has sent so much, over whatever. When that was too much, until when it is to wait.
    pub(crate) fn received(&self, peer: IpAddr, bytes: usize, now: Instant) -> Option<Instant> {
        let wait = self.owes(peer, bytes, now)?;
        metrics::shaped(Shaped::Slowed);
        Some(now + wait)
    }

    fn owes(&self, peer: IpAddr, bytes: usize, now: Instant) -> Option<Duration> {
        if !self.ip_bytes.is_on() || !self.counts(peer) {
            return None;
        }
        let at = self.nanos(now);
        let mut table = self.table.lock();
        let used = table.of(peer, at);
        used.bytes.spend(at, &self.ip_bytes, bytes as u64);
        used.bytes.wait(at, &self.ip_bytes, 0).err()
    }

    /// Until when this connection is not to be read; `None` when it may be.
    pub(crate) fn slowed(&self, pace: &Pace, now: Instant) -> Option<Instant> {
        let at = self.nanos(now);
        let waits = [pace.bytes.wait(at, &self.bytes, 0), pace.stanzas.wait(at, &self.stanzas, 0)];
        waits.into_iter().filter_map(Result::err).max().map(|wait| now + wait)
    }

    /// Do the rules for addresses apply to this one? What a proxy does is what many do.
    fn counts(&self, peer: IpAddr) -> bool {
        !self.exempt.contains(peer) && !self.is_proxy(peer)
    }

    fn nanos(&self, now: Instant) -> u64 {
        // One more, for 0 is a bucket that was never touched.
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    fn shaper(config: Shaping) -> (Shaper, Instant) {
        #[allow(clippy::disallowed_methods)] // any time will do
        let start = Instant::now();
        (Shaper::new(&config, start), start)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_flood_is_as_fast_as_the_rate_and_others_are_not_slowed() {
        let config = Shaping { stanzas_per_sec: 100, stanzas_burst: 50, ..Shaping::default() };
        let (shaper, start) = shaper(config);
        let (mut flood, mut quiet, mut now, mut passed) = (Pace::default(), Pace::default(), start, 0);
        while now < start + 10 * SEC {
            passed += 10;
            match shaper.sent(&mut flood, ip("192.0.2.1"), 1_000, 10, now) {
                Some(until) => now = until,
                None => now += Duration::from_micros(50),
            }
            assert_eq!(shaper.sent(&mut quiet, ip("192.0.2.1"), 0, 0, now), None);
        }
        assert!((1_040..=1_070).contains(&passed), "{passed} stanzas in ten seconds");
        assert_eq!(shaper.slowed(&flood, now + 2 * SEC), None);
    }

    #[test]
    fn the_connections_of_one_address_share_its_bytes() {
        let config = Shaping {
            bytes_per_sec: 0,
            ip_bytes_per_sec: 10_000,
            ip_bytes_burst: 10_000,
            exempt: Networks::parse(&["192.0.2.9"]).unwrap(),
            ..Shaping::default()
        };
        let (shaper, start) = shaper(config);
        let mut paces = [Pace::default(); 10];
        let last = paces.iter_mut().filter_map(|pace| shaper.sent(pace, ip("192.0.2.1"), 5_000, 1, start)).max();
        assert_eq!(last.map(|until| (until - start).as_millis()), Some(4_000));
        for other in ["192.0.2.2", "192.0.2.9", "127.0.0.1"] {
            assert_eq!(shaper.sent(&mut Pace::default(), ip(other), 9_000, 1, start), None, "{other}");
        }
        assert_eq!(shaper.sent(&mut Pace::default(), ip("192.0.2.9"), 1_000_000, 1, start), None, "exempt");
    }

    #[test]
    fn what_an_address_begins_is_counted_for_itself() {
        let config = Shaping { ip_sessions_per_sec: 1, ip_sessions_burst: 3, ..Shaping::default() };
        let (shaper, start) = shaper(config);
        let begin = |peer, now| shaper.admit(Begin::Session, ip(peer), now);
        for _ in 0..3 {
            assert_eq!(begin("192.0.2.1", start), Ok(()));
        }
        assert_eq!(begin("192.0.2.1", start), Err(SEC));
        assert_eq!(begin("192.0.2.2", start), Ok(()));
        assert_eq!(shaper.admit(Begin::Connection, ip("192.0.2.1"), start), Ok(()));
        assert_eq!(begin("192.0.2.1", start + SEC), Ok(()));
        for _ in 0..100 {
            assert_eq!(begin("127.0.0.1", start), Ok(()), "loopback is exempt");
        }
    }

    #[test]
    fn right_logins_cost_nothing_and_failed_ones_bar_the_next() {
        let config = Shaping { ip_failed_logins_per_min: 6, ip_failed_logins_burst: 2, ..Shaping::default() };
        let (shaper, start) = shaper(config);
        let peer = ip("2001:db8::1");
        for _ in 0..100 {
            assert!(shaper.may_log_in(peer, start));
        }
        for _ in 0..2 {
            shaper.login_failed(peer, start);
        }
        assert!(!shaper.may_log_in(peer, start + 9 * SEC));
        assert!(!shaper.may_log_in(ip("2001:db8::ffff"), start), "the same /64");
        assert!(shaper.may_log_in(ip("2001:db8:1::1"), start));
        assert!(shaper.may_log_in(peer, start + 10 * SEC));
    }

    #[test]
    fn the_defaults_do_not_slow_a_heavy_user() {
        let (shaper, start) = shaper(Shaping::default());
        let mut pace = Pace::default();
        for tick in 0..100u32 {
            let now = start + tick * SEC / 10;
            assert_eq!(shaper.sent(&mut pace, ip("192.0.2.1"), 100_000, 200, now), None);
        }
    }
}
