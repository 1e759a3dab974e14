//! The PROXY protocol, versions 1 and 2: a proxy that passes a connection through says whose it is.
//!
//! The header comes first, before TLS and before XMPP, and only from proxies that are trusted: for anybody else
//! these would be bytes of a stream, and no good ones. Its end is found without reading past it, so that nothing
//! has to be kept for what is spoken behind it.

use super::wire::Wire;
use ppp::{HeaderResult, v1, v2};
use std::io;
use std::net::IpAddr;

/// The longest line of version 1, with its end, bytes.
const LINE_BYTES_MAX: usize = 107;
/// What a header of version 2 may have behind its first 16 bytes: addresses and some extensions.
const V2_BYTES_MAX: usize = 2_048;
/// How version 2 begins; its length stands behind two more bytes.
const V2_BEGIN: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Reads the header; who the client is, or `None` when the proxy speaks for itself (a health check) or does not know.
pub(super) async fn read_header(wire: &mut Wire) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; V2_BEGIN.len()];
    wire.read_raw(&mut header).await?;
    if header == V2_BEGIN {
        header.resize(16, 0);
        wire.read_raw(&mut header[12..]).await?;
        let len = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if len > V2_BYTES_MAX {
            return Err(bad("a PROXY header that is too long"));
        }
        header.resize(16 + len, 0);
        wire.read_raw(&mut header[16..]).await?;
    } else if header.starts_with(b"PROXY ") {
        while !header.ends_with(b"\n") {
            if header.len() == LINE_BYTES_MAX {
                return Err(bad("a PROXY line that does not end"));
            }
            header.push(0);
            let at = header.len() - 1;
            wire.read_raw(&mut header[at..]).await?;
        }
    } else {
        return Err(bad("no PROXY header from a proxy"));
    }
    client(&header)
}

fn client(header: &[u8]) -> io::Result<Option<IpAddr>> {
    Ok(match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Tcp4(a) => Some(a.source_address.into()),
            v1::Addresses::Tcp6(a) => Some(a.source_address.into()),
            v1::Addresses::Unknown => None,
        },
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Proxy => match header.addresses {
            v2::Addresses::IPv4(a) => Some(a.source_address.into()),
            v2::Addresses::IPv6(a) => Some(a.source_address.into()),
            v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
        },
        HeaderResult::V2(Ok(_)) => None,
        HeaderResult::V1(Err(e)) => return Err(bad(e)),
        HeaderResult::V2(Err(e)) => return Err(bad(e)),
    })
}

fn bad(e: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, e)
}
