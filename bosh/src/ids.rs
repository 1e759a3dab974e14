//! The names a session goes by: request ids, session ids, versions, and the driver's tickets.

use std::fmt;

/// A request id (XEP-0124 section 14.1): 1 to 2^53-1, one more with every new request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rid(u64);

impl Rid {
    /// 2^53-1: above it a client that counts in doubles would lose count. Refused as a bad request.
    pub const MAX: u64 = 9_007_199_254_740_991;

    /// From a number; `None` outside `1..=Rid::MAX`.
    pub fn new(n: u64) -> Option<Rid> {
        (1..=Rid::MAX).contains(&n).then_some(Rid(n))
    }

    /// From the attribute's text: ASCII digits only, in range.
    pub fn parse(text: &str) -> Option<Rid> {
        decimal(text).and_then(Rid::new)
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The rid `n` later. Not bounded: only for comparing.
    pub(crate) fn plus(self, n: u64) -> Rid {
        Rid(self.0 + n)
    }

    /// The rid before it.
    pub(crate) fn before(self) -> Rid {
        Rid(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A session id (XEP-0124 sections 7.2 and 19.3): 128 random bits, written as 32 hex digits.
///
/// Anything a client sends that could not be one of ours reads as [`Sid::NEVER`], which no session
/// has, so it is answered like every other unknown session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid([u8; 16]); // not a u128: its alignment would cost every session a word

impl Sid {
    /// The id that is never given out.
    pub const NEVER: Sid = Sid([0; 16]);

    /// From 16 bytes of a cryptographic random source.
    pub fn new(random: [u8; 16]) -> Sid {
        Sid(u128::from_be_bytes(random).max(1).to_be_bytes())
    }

    /// From the attribute's text.
    pub fn parse(text: &str) -> Sid {
        let digit = |d: u8| match d {
            b'0'..=b'9' => Some(d - b'0'),
            b'a'..=b'f' => Some(d - b'a' + 10),
            _ => None,
        };
        let mut sid = Sid::NEVER;
        if text.len() != 2 * sid.0.len() {
            return Sid::NEVER;
        }
        for (byte, pair) in sid.0.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return Sid::NEVER };
            *byte = high << 4 | low;
        }
        sid
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Sid {
    /// Six digits are enough to tell sessions apart in a log, and too few to take one over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sid({:02x}{:02x}{:02x}..)", self.0[0], self.0[1], self.0[2])
    }
}

/// The driver's name for one HTTP request that waits for its answer. Never reused within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// A BOSH version, `<major>.<minor>`, each an integer of its own (XEP-0124 section 7.1): 1.10 is above 1.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16);

impl Version {
    /// The highest we speak.
    pub const OURS: Version = Version(1, 11);

    /// From the attribute's text; `None` when it is not two numbers. Huge numbers saturate.
    pub fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        let part = |s| decimal(s).map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        Some(Version(part(major)?, part(minor)?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// ASCII digits as a number; saturates, since "more than any bound" is all a huge number can mean.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rids_are_bounded_by_what_a_double_can_count() {
        assert_eq!(Rid::parse("9007199254740991").map(Rid::number), Some(Rid::MAX));
        for bad in ["", "0", "abc", "-1", "+1", "1.0", " 1", "9007199254740992", "99999999999999999999999"] {
            assert_eq!(Rid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_sid_reads_back_as_itself_and_nothing_else_does() {
        let sid = Sid::new([0xab; 16]);
        assert_eq!(Sid::parse(&sid.to_string()), sid);
        for foreign in ["", "abab", "ABABABABABABABABABABABABABABABAB", "+babababababababababababababababa"] {
            assert_eq!(Sid::parse(foreign), Sid::NEVER, "{foreign}");
        }
        assert_ne!(Sid::new([0; 16]), Sid::NEVER);
    }

    #[test]
    fn versions_compare_as_pairs_of_integers() {
        let v = |s| Version::parse(s);
        assert!(v("1.9") < v("1.11") && v("1.11") < v("1.100") && v("1.100") < v("2.0"));
        for bad in ["", "1", "1.", ".6", "1.x", "-1.6", "1.6.1"] {
            assert_eq!(v(bad), None, "{bad}");
        }
    }
}
