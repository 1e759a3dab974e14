//! gzip, both ways (RFC 9110 section 8.4): answers for those who take it, requests of those who were told
//! that we do (XEP-0124 section 7.2, `accept`). Nothing of it stays when the request or the answer is done.

use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};

/// An answer with less than this goes as it is: it fits a packet or two anyway.
const BODY_BYTES_MIN: usize = 1_024;

/// Why there is no plain body; what came of it before.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Undecodable {
    /// It is longer than it may be: perhaps a bomb.
    TooLarge(Vec<u8>),
    /// It is no gzip, or broken.
    Broken(Vec<u8>),
}

/// The plain body. No more than `bytes_max` and one is ever made of it.
pub(super) fn gunzip(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecodable> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(packed).take(bytes_max as u64 + 1).read_to_end(&mut plain);
    match read {
        _ if plain.len() > bytes_max => Err(Undecodable::TooLarge(plain)),
        Ok(_) => Ok(plain),
        Err(_) => Err(Undecodable::Broken(plain)),
    }
}

/// The packed body, if packing it is worth it.
pub(super) fn gzip(plain: &[u8]) -> Option<Bytes> {
    if plain.len() < BODY_BYTES_MIN {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
    encoder.write_all(plain).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < plain.len()).then(|| packed.into())
}

/// Does whoever sent this `Accept-Encoding` take gzip (RFC 9110 section 12.5.3)?
pub(super) fn takes_gzip(field: &str) -> bool {
    let mut any = false;
    for item in field.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = parts.find_map(|p| p.strip_prefix("q=").or(p.strip_prefix("Q=")));
        let wanted = weight.is_none_or(|q| q.trim().parse().is_ok_and(|q: f32| q > 0.0));
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= coding == "*" && wanted;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let plain = "<message>hi</message>".repeat(500);
        let packed = gzip(plain.as_bytes()).expect("worth it");
        assert!(packed.len() < plain.len() / 10);
        assert_eq!(gunzip(&packed, plain.len()), Ok(plain.as_bytes().to_vec()));
        assert_eq!(gzip(&plain.as_bytes()[..BODY_BYTES_MIN - 1]), None);
    }

    #[test]
    fn a_bomb_goes_off_in_a_small_room() {
        let packed = gzip(&vec![b' '; 10_000_000]).expect("worth it");
        assert!(packed.len() < 100_000);
        let Err(Undecodable::TooLarge(plain)) = gunzip(&packed, 1_000) else { panic!("it is too large") };
        assert_eq!(plain.len(), 1_001);
    }

    #[test]
    fn what_is_cut_or_changed_is_broken() {
        let packed = gzip(&[b'x'; 2_000]).expect("worth it");
        for bad in [&packed[..packed.len() - 1], b"<body/>", b""] {
            assert!(matches!(gunzip(bad, 10_000), Err(Undecodable::Broken(_))), "{bad:?}");
        }
        let mut changed = packed.to_vec();
        *changed.last_mut().expect("a byte") ^= 1;
        assert!(matches!(gunzip(&changed, 10_000), Err(Undecodable::Broken(_))));
    }

    #[test]
    fn who_takes_gzip() {
        for (field, takes) in [
            ("gzip, deflate, br", true),
            ("deflate,GZIP;q=0.5", true),
            ("*", true),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("", false),
            ("identity", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*;q=0", false),
            ("gzip;q=loud", false),
        ] {
            assert_eq!(takes_gzip(field), takes, "{field:?}");
        }
    }
}
