//! Where a server is, and over what it is talked to.

use serde::{Deserialize, Serialize};

/// Over what sessions are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// XMPP over TCP, in the clear.
    Tcp,
    /// XMPP over TCP, TLS after `<starttls/>`.
    Starttls,
    /// XMPP over TLS from the first byte (XEP-0368).
    Tls,
    /// WebSocket (RFC 7395).
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// BOSH (XEP-0124, XEP-0206).
    Bosh,
    /// BOSH over https.
    Boshs,
}

/// How XMPP is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// A stream of its own.
    Stream,
    /// WebSocket's frames.
    Frames,
    /// BOSH's requests.
    Requests,
}

impl Transport {
    /// How XMPP is carried.
    pub fn carrier(self) -> Carrier {
        match self {
            Transport::Tcp | Transport::Starttls | Transport::Tls => Carrier::Stream,
            Transport::Ws | Transport::Wss => Carrier::Frames,
            Transport::Bosh | Transport::Boshs => Carrier::Requests,
        }
    }

    /// TLS from the first byte?
    pub fn tls_at_once(self) -> bool {
        matches!(self, Transport::Tls | Transport::Wss | Transport::Boshs)
    }

    /// TLS at all?
    pub fn tls(self) -> bool {
        self.tls_at_once() || self == Transport::Starttls
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Starttls => "starttls",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
            Transport::Bosh => "bosh",
            Transport::Boshs => "boshs",
        }
    }

    fn port(self) -> u16 {
        match self {
            Transport::Tcp | Transport::Starttls => 5222,
            Transport::Tls => 5223,
            Transport::Ws | Transport::Bosh => 5280,
            Transport::Wss | Transport::Boshs => 5443,
        }
    }

    fn schemes(self) -> &'static [&'static str] {
        match self.carrier() {
            Carrier::Stream => &["xmpp", "xmpps"],
            Carrier::Frames => &["ws", "wss"],
            Carrier::Requests => &["http", "https"],
        }
    }

    fn path(self) -> &'static str {
        match self.carrier() {
            Carrier::Stream => "",
            Carrier::Frames => "/ws",
            Carrier::Requests => "/http-bind",
        }
    }
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path of WebSocket or BOSH; empty for a stream.
    pub path: String,
}

/// Why a text names no server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Such as ws:// for BOSH.
    #[error("{0}:// does not go with --transport {1}, which takes HOST:PORT or {2}://")]
    Scheme(String, &'static str, &'static str),
    /// No host, or no number for a port.
    #[error("{0:?} is not HOST, HOST:PORT or a URL")]
    Unreadable(String),
}

impl Target {
    /// Reads `HOST`, `HOST:PORT` or a URL of the transport.
    pub fn parse(text: &str, transport: Transport) -> Result<Target, Fault> {
        let unreadable = || Fault::Unreadable(text.to_owned());
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) => {
                let secure = usize::from(transport.tls_at_once());
                let own = transport.schemes()[secure];
                if scheme != own && transport.carrier() != Carrier::Stream {
                    return Err(Fault::Scheme(scheme.to_owned(), transport.name(), own));
                }
                rest
            }
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, transport.path()),
        };
        let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, after)) => (host, Some(after.strip_prefix(':').ok_or_else(unreadable)?)),
            None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(transport.port()), |port| port.parse().map_err(|_| unreadable()))?;
        if host.is_empty() {
            return Err(unreadable());
        }
        Ok(Target { host: host.to_owned(), port, path: path.to_owned() })
    }

    /// Host and port, as a URL or a `Host` field has them.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, transport: Transport, wanted: Option<(&str, u16, &str)>) {
        let found = Target::parse(text, transport).ok();
        let found = found.as_ref().map(|t| (t.host.as_str(), t.port, t.path.as_str()));
        assert_eq!(found, wanted, "{text}");
    }

    #[test]
    fn targets_are_read() {
        check("chat.example", Transport::Starttls, Some(("chat.example", 5222, "")));
        check("[::1]:99", Transport::Tls, Some(("::1", 99, "")));
        check("127.0.0.1:80", Transport::Ws, Some(("127.0.0.1", 80, "/ws")));
        check("wss://a:1/xmpp-websocket", Transport::Wss, Some(("a", 1, "/xmpp-websocket")));
        check("http://a/bind?x", Transport::Bosh, Some(("a", 5280, "/bind?x")));
    }

    #[test]
    fn what_names_no_server_is_refused() {
        check("", Transport::Tcp, None);
        check("a:b", Transport::Tcp, None);
        check("ws://a", Transport::Wss, None);
        check("https://a", Transport::Bosh, None);
        check("[::1]x", Transport::Tcp, None);
    }
}
