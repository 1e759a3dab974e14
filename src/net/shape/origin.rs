//! Who a request comes from when a proxy stands in between: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Anybody can write such a field, so it is believed as far as it was written by proxies we trust: from the right,
//! each trusted hop vouches for the one before it, and the first that is not trusted is the client. A proxy has to
//! set or to append to the field; one that lets `X-Forwarded-For` through as it came must not be trusted.

use crate::config::Networks;
use std::net::{IpAddr, SocketAddr};

/// What the fields of one request say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    /// From the client to the last proxy; `None` for a hop that has no address (`unknown`, or a pseudonym).
    hops: Vec<Option<IpAddr>>,
    /// The hops are of `X-Forwarded-For`, which goes before `Forwarded`: a proxy that writes only the first would
    /// let a client write the other.
    x: bool,
    /// Did the client reach the first proxy over TLS?
    https: Option<bool>,
    /// The same by `X-Forwarded-Proto`.
    x_https: Option<bool>,
}

impl Forwarded {
    /// Takes a field of the request's head; several of one name are one list.
    pub(crate) fn note(slot: &mut Option<Box<Forwarded>>, name: &str, value: &str) {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is("x-forwarded-for") {
            let forwarded = slot.get_or_insert_default();
            if !std::mem::replace(&mut forwarded.x, true) {
                forwarded.hops.clear();
            }
            forwarded.hops.extend(value.split(',').map(address));
        } else if is("x-forwarded-proto") {
            let last = value.rsplit(',').next().unwrap_or_default().trim();
            slot.get_or_insert_default().x_https = Some(last.eq_ignore_ascii_case("https"));
        } else if is("forwarded") {
            slot.get_or_insert_default().take_forwarded(value);
        }
    }

    /// One element for each hop, of which `for` and `proto` matter here (RFC 7239 section 4).
    fn take_forwarded(&mut self, value: &str) {
        for element in value.split(',') {
            let mut hop = None;
            for (name, value) in element.split(';').filter_map(|pair| pair.split_once('=')) {
                let value = value.trim().trim_matches('"');
                if name.trim().eq_ignore_ascii_case("for") {
                    hop = address(value);
                } else if name.trim().eq_ignore_ascii_case("proto") {
                    self.https = Some(value.eq_ignore_ascii_case("https"));
                }
            }
            if !self.x {
                self.hops.push(hop);
            }
        }
    }

    /// The client behind `peer`, and whether TLS was there all the way (`secure` says it of the last hop).
    pub(crate) fn client(&self, peer: IpAddr, secure: bool, trusted: &Networks) -> (IpAddr, bool) {
        if !trusted.contains(peer) {
            return (peer, secure);
        }
        let mut client = peer;
        for hop in self.hops.iter().rev() {
            let Some(hop) = hop else { break };
            client = *hop;
            if !trusted.contains(client) {
                break;
            }
        }
        (client, self.x_https.or(self.https).unwrap_or(secure))
    }
}

/// With or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    parsed.map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, fields: &[(&str, &str)]) -> (String, bool) {
        let trusted = Networks::parse(&["127.0.0.0/8", "10.0.0.0/8", "::1"]).unwrap();
        let mut forwarded = None;
        for (name, value) in fields {
            Forwarded::note(&mut forwarded, name, value);
        }
        let (ip, secure) = forwarded.unwrap_or_default().client(peer.parse().unwrap(), false, &trusted);
        (ip.to_string(), secure)
    }

    #[test]
    fn the_rightmost_that_is_not_trusted() {
        for (peer, fields, wanted) in [
            ("192.0.2.1", &[("X-Forwarded-For", "198.51.100.7")][..], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &[("x-forwarded-for", "198.51.100.7")], "198.51.100.7"),
            ("127.0.0.1", &[("X-Forwarded-For", "203.0.113.9, 198.51.100.7, 10.0.0.3")], "198.51.100.7"),
            ("127.0.0.1", &[("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "198.51.100.7")], "198.51.100.7"),
            ("::1", &[("X-Forwarded-For", "10.0.0.1, 10.0.0.2")], "10.0.0.1"),
            ("127.0.0.1", &[("X-Forwarded-For", "198.51.100.7, unknown")], "127.0.0.1"),
            ("127.0.0.1", &[("X-Forwarded-For", "198.51.100.7, <script>, 10.0.0.2")], "10.0.0.2"),
            ("127.0.0.1", &[("X-Forwarded-For", "[2001:db8::1]:4711")], "2001:db8::1"),
            ("127.0.0.1", &[("X-Forwarded-For", "2001:db8::1")], "2001:db8::1"),
            ("127.0.0.1", &[("X-Forwarded-For", "::ffff:198.51.100.7")], "198.51.100.7"),
            ("127.0.0.1", &[("X-Forwarded-For", "198.51.100.7:4711")], "198.51.100.7"),
            ("127.0.0.1", &[("Forwarded", "for=198.51.100.7;proto=https, for=10.0.0.1")], "198.51.100.7"),
            ("127.0.0.1", &[("Forwarded", "For=\"[2001:db8::1]:4711\"")], "2001:db8::1"),
            ("127.0.0.1", &[("Forwarded", "for=203.0.113.9"), ("X-Forwarded-For", "198.51.100.7")], "198.51.100.7"),
            ("127.0.0.1", &[("X-Forwarded-For", "198.51.100.7"), ("Forwarded", "for=203.0.113.9")], "198.51.100.7"),
        ] {
            assert_eq!(client(peer, fields).0, wanted, "{peer} {fields:?}");
        }
    }

    #[test]
    fn tls_is_what_the_trusted_proxy_says() {
        for (peer, fields, wanted) in [
            ("127.0.0.1", &[("X-Forwarded-Proto", "https")][..], true),
            ("127.0.0.1", &[("X-Forwarded-Proto", "http")], false),
            ("127.0.0.1", &[("X-Forwarded-Proto", "https, http")], false),
            ("127.0.0.1", &[("Forwarded", "for=198.51.100.7;proto=https")], true),
            ("192.0.2.1", &[("X-Forwarded-Proto", "https")], false),
        ] {
            assert_eq!(client(peer, fields).1, wanted, "{peer} {fields:?}");
        }
    }
}
