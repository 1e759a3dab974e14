//! Lists of IP networks.

use super::schema::Bounds;
use super::value::Value;
use std::net::{IpAddr, Ipv6Addr};
use toml::de::DeValue;

/// Addresses, as networks: `10.0.0.0/8`, `::1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl Networks {
    /// No address.
    pub fn none() -> Networks {
        Networks(Vec::new())
    }

    /// 127.0.0.0/8 and ::1.
    pub fn loopback() -> Networks {
        let network = |address: [u8; 4], bits| Network { address: IpAddr::from(address), bits };
        Networks(vec![network([127, 0, 0, 0], 8), Network { address: IpAddr::from(Ipv6Addr::LOCALHOST), bits: 128 }])
    }

    /// From the words of a file; the error is the word that is no network.
    pub fn parse<'a>(words: &[&'a str]) -> Result<Networks, &'a str> {
        words.iter().map(|word| Network::parse(word).ok_or(*word)).collect::<Result<_, _>>().map(Networks)
    }

    /// Is the address in one of them? An IPv4 address that is written as IPv6 (`::ffff:1.2.3.4`) is itself.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(word: &str) -> Option<Network> {
        let (address, bits) = match word.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (word, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        Some(Network { address, bits: bits.unwrap_or(max) }).filter(|network| network.bits <= max)
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                (mine.to_bits() ^ other.to_bits()).checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                (mine.to_bits() ^ other.to_bits()).checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Value for Networks {
    fn read(value: &DeValue<'_>, bounds: &Bounds) -> Result<Networks, String> {
        let must = || format!("it must be {}", Networks::kind(bounds));
        let list = value.as_array().ok_or_else(|| format!("it is no list; {}", must()))?;
        let words = list
            .iter()
            .map(|word| word.get_ref().as_str().ok_or_else(|| format!("not all of it are strings; {}", must())));
        let words = words.collect::<Result<Vec<&str>, String>>()?;
        Networks::parse(&words).map_err(|word| format!("{word:?} is no network; {}", must()))
    }
    fn show(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|n| format!("\"{}/{}\"", n.address, n.bits)).collect();
        format!("[{}]", words.join(", "))
    }
    fn kind(_: &Bounds) -> String {
        "a list of networks such as [\"10.0.0.0/8\", \"::1/128\"]".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_it() {
        let networks = Networks::parse(&["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]).unwrap();
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("::ffff:10.1.2.3", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::1", true),
            ("::2", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert!(Networks::parse(&["0.0.0.0/0"]).unwrap().contains(IpAddr::from([8, 8, 8, 8])));
        assert!(!Networks::parse(&[]).unwrap().contains(IpAddr::from([127, 0, 0, 1])));
        for wrong in ["10.0.0.0/33", "::/129", "10.0.0/8", "localhost", "10.0.0.0/-1", ""] {
            assert_eq!(Networks::parse(&[wrong]), Err(wrong));
        }
    }
}
