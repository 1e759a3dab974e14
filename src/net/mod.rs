//! Everything a client can connect to.
//!
//! | file | what is in it |
//! |---|---|
//! | `listen.rs` | sockets that accept |
//! | `wire.rs`, `tls.rs` | one connection, in the clear or under TLS, without buffers while idle |
//! | `stream/` | the driver of a connection that is one stream; `tcp.rs` and `ws.rs` are its framings |
//! | `proxy.rs` | the PROXY protocol |
//! | `frame.rs` | WebSocket frames (RFC 6455) |
//! | `http/` | the lean HTTP/1.1 loop |
//! | `bosh/` | BOSH sessions; `deadlines.rs` is their wheel |
//! | `feed.rs` | a follower's cursor in the log of its user |
//! | `page/` | herald.v1, the protocol of `herald.js` |
//! | `stomp/` | STOMP over WebSocket |
//! | `comet/` | iComet's calls |
//! | `shape/` | token buckets: how fast clients may be |
//! | `outbox.rs` | what waits to be written to a stream |
//! | `resume.rs` | streams that go on on another connection (XEP-0198) |
//! | `silence.rs` | clients that say nothing: asked, and let go |
//! | `lot.rs` | connections at rest, without a task |
//! | `timer.rs` | the time that a connection has |
//! | `login.rs` | what a stream asks on the way in |
//! | `prebind.rs` | BOSH sessions that the operator's API makes for a user |
//! | `lobby.rs` | who is connected and has not logged in |

mod bosh;
mod comet;
mod deadlines;
mod feed;
mod frame;
mod http;
mod listen;
mod lobby;
mod login;
mod lot;
mod outbox;
mod page;
mod prebind;
mod proxy;
mod resume;
mod shape;
mod silence;
mod stomp;
mod stream;
mod tcp;
mod timer;
mod tls;
mod wire;
mod ws;

use crate::config::{Config, PlainWithoutTls};
use crate::jwt::{self, Jwt};
use crate::serve;
use crate::tokens::Tokens;
use anyhow::{Context, Result};
pub use comet::{Call as CometCall, Comet};
use herald_session::{LinkInfo, Sessions, Transport};
use herald_storage::Store;
use herald_xmpp::BareJid;
use herald_xmpp::stream::c2s;
use herald_xmpp::xml::Limits;
use http::Serves;
use listen::Doors;
use lobby::Lobby;
use login::Logins;
use lot::Lot;
pub use prebind::Prebind;
use resume::Resumables;
use rustls::ServerConfig;
use shape::{Begin, Shaper};
use silence::Silence;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use wire::Wire;

/// What the listeners need.
pub struct Setup {
    pub config: Arc<Config>,
    /// Connections there may be: `limits.connections_max`, or fewer when the system allows no more.
    pub connections_max: usize,
    pub sessions: Sessions,
    pub store: Arc<dyn Store>,
    pub comet: Arc<Comet>,
    pub tls: Arc<ServerConfig>,
    pub tokens: Arc<Tokens>,
    pub jwt: Option<Arc<Jwt>>,
    /// 32 bytes that stay the same over restarts: what strangers' decoy keys are made of.
    pub secret: [u8; 32],
}

/// The running listeners.
pub struct Net {
    world: Arc<World>,
    addresses: Vec<(&'static str, SocketAddr)>,
    stop: CancellationToken,
}

/// What every connection shares.
pub(crate) struct World {
    config: Arc<Config>,
    domain: BareJid,
    runtime: Handle,
    sessions: Sessions,
    bosh: bosh::Sessions,
    page: page::Pages,
    comet: Arc<Comet>,
    stomp: Arc<stomp::Settings>,
    logins: Logins,
    lobby: Arc<Lobby>,
    resumables: Arc<Resumables>,
    silence: Silence,
    lot: Arc<Lot>,
    shaper: Arc<Shaper>,
    /// For XMPP: TLS that tells its exporter.
    tls_xmpp: Arc<ServerConfig>,
    tls_https: Arc<ServerConfig>,
    /// Stream settings: with STARTTLS, and where TLS is there already or cannot come.
    starttls: Arc<c2s::Settings>,
    plain: Arc<c2s::Settings>,
    http_port: Option<u16>,
    https_port: Option<u16>,
    draining: AtomicBool,
}

impl Net {
    /// Opens the listeners of the configuration and serves them from now on.
    pub async fn start(setup: Setup) -> Result<Net> {
        let config = setup.config.clone();
        let listen = &config.listen;
        let open = |name: &'static str, address: Option<SocketAddr>| -> Result<Option<TcpListener>> {
            let Some(address) = address else { return Ok(None) };
            let listener = listen::bind(address).map_err(|e| serve::refused(name, address, &e))?;
            Ok(Some(listener))
        };
        let listeners = [
            ("xmpp", open("xmpp", listen.xmpp)?),
            ("xmpps", open("xmpps", listen.xmpps)?),
            ("http", open("http", listen.http)?),
            ("https", open("https", listen.https)?),
            ("push", open("push", listen.push)?),
        ];
        let mut addresses = Vec::new();
        for (name, listener) in &listeners {
            if let Some(listener) = listener {
                addresses.push((*name, listener.local_addr().context("a listener without an address")?));
            }
        }
        let doors = Doors::new(setup.connections_max);
        let (lot, sockets) = Lot::new(Instant::now()).context("no poll for connections at rest")?;
        let world = Arc::new(World::new(setup, &addresses, lot.clone())?);
        let stop = CancellationToken::new();

        for (name, listener) in listeners {
            let Some(listener) = listener else { continue };
            let proxied = |door| if listen.proxy_protocol { Door::Proxied(Box::new(door)) } else { door };
            let door = match name {
                "xmpp" => proxied(Door::Xmpp),
                "xmpps" => proxied(Door::Tls(Door::Xmpp.into(), world.tls_xmpp.clone())),
                "http" => Door::Http,
                "push" => Door::Push,
                _ => Door::Tls(Door::Http.into(), world.tls_https.clone()),
            };
            let (world, doors, stop) = (world.clone(), doors.clone(), stop.clone());
            let shaper = world.shaper.clone();
            let welcome = move |peer| shaper.admit(Begin::Connection, peer, Instant::now()).is_ok();
            let serve = move |wire| serve_one(&world, door.clone(), wire);
            tokio::spawn(listen::accept(listener, doors, stop, welcome, serve));
        }
        tokio::spawn(lot.drive(sockets, stop.clone()));
        tokio::spawn(bosh::Sessions::tick(world.clone(), stop.clone()));
        tokio::spawn(page::Pages::tick(world.clone(), stop.clone()));
        tokio::spawn(world.comet.clone().tick(stop.clone()));
        tokio::spawn(Silence::tick(world.clone(), stop.clone()));
        Ok(Net { world, addresses, stop })
    }

    /// The listeners and the addresses they really have.
    pub fn addresses(&self) -> &[(&'static str, SocketAddr)] {
        &self.addresses
    }

    /// Makes sessions that wait for their client.
    pub fn prebind(&self) -> Prebind {
        Prebind { world: self.world.clone() }
    }

    /// No new connections and sessions from now on; those that have not logged in are told to go. The
    /// bound ones are the session manager's to close. Deadlines are kept until [`Net::stop`].
    pub fn drain(&self) {
        self.world.draining.store(true, Ordering::Relaxed);
        self.world.lobby.close();
    }

    /// The end: nobody is accepted and no deadline is kept any more.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

/// Serves a connection with a task of its own, no larger than this kind of connection needs.
fn serve_one(world: &Arc<World>, door: Door, wire: Wire) {
    let world = world.clone();
    match door {
        Door::Xmpp => tcp::spawn(world, wire),
        Door::Http => http::spawn(world, wire, Serves::Clients),
        Door::Push => http::spawn(world, wire, Serves::Operators),
        Door::Proxied(beyond) if !world.shaper.is_proxy(wire.peer()) => serve_one(&world, *beyond, wire),
        Door::Proxied(beyond) => drop(tokio::spawn(async move {
            let mut wire = wire;
            match named_by_proxy(&world, &mut wire).await {
                Ok(true) => serve_one(&world, *beyond, wire),
                Ok(false) => tracing::debug!(peer = %wire.peer(), "refused: shaping.ip_connections_per_sec"),
                Err(e) => tracing::debug!(peer = %wire.peer(), "PROXY: {e}"),
            }
        })),
        Door::Tls(beyond, tls) => drop(tokio::spawn(async move {
            let mut wire = wire;
            match shake_hands(&mut wire, tls, world.handshake_time()).await {
                Ok(()) => serve_one(&world, *beyond, wire),
                Err(e) => tracing::debug!(peer = %wire.peer(), "TLS: {e}"),
            }
        })),
    }
}

/// What is spoken at a listener.
#[derive(Clone)]
enum Door {
    Xmpp,
    Http,
    /// HTTP too, for the operator's backends.
    Push,
    /// From proxies, a header first that names the client.
    Proxied(Box<Door>),
    /// TLS first, and within it something else.
    Tls(Box<Door>, Arc<ServerConfig>),
}

/// Reads the header of the PROXY protocol; false when its client has made too many connections.
async fn named_by_proxy(world: &World, wire: &mut Wire) -> io::Result<bool> {
    let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "the header took too long");
    let client = tokio::time::timeout(world.handshake_time(), proxy::read_header(wire)).await.map_err(timed_out)??;
    let Some(client) = client else { return Ok(true) };
    wire.set_peer(client);
    Ok(world.shaper.admit(Begin::Connection, client, Instant::now()).is_ok())
}

async fn shake_hands(wire: &mut Wire, tls: Arc<ServerConfig>, within: Duration) -> io::Result<()> {
    wire.start_tls(tls)?;
    let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long");
    tokio::time::timeout(within, wire.shake_hands()).await.map_err(timed_out)?
}

impl World {
    fn new(setup: Setup, addresses: &[(&'static str, SocketAddr)], lot: Arc<Lot>) -> Result<World> {
        let Setup { config, sessions, store, comet, tls, tokens, jwt, secret, .. } = setup;
        let port = |name| addresses.iter().find(|(n, _)| *n == name).map(|(_, a)| a.port());
        let limits = serve::xml_limits(&config.limits);
        let domain = BareJid::new(None, &config.domain).context("domain")?;
        let settings = |starttls| {
            Arc::new(c2s::Settings {
                starttls,
                limits,
                login_secs: config.auth.login_secs,
                sasl_tries_max: config.auth.tries_max,
                scram_iterations: config.auth.scram_iterations,
                bearer_refused: jwt::refusal(&config.jwt),
                ..c2s::Settings::new(domain.clone(), secret)
            })
        };
        let bosh_limits = Limits { bytes_max: config.bosh.body_bytes_max, depth_max: limits.depth_max + 1, ..limits };
        let shaper = Arc::new(Shaper::new(&config.shaping, Instant::now()));
        Ok(World {
            runtime: Handle::current(),
            bosh: bosh::Sessions::new(bosh_settings(&config), bosh_limits, Instant::now()),
            page: page::Pages::new(&config, store.epoch(), Instant::now()),
            stomp: Arc::new(stomp::Settings::new(&config, store.epoch())),
            sessions: sessions.clone(),
            comet,
            logins: Logins::new(store, sessions, tokens, jwt, shaper.clone(), secret, &config.auth),
            shaper,
            lobby: Lobby::new(config.limits.unauthenticated_max as usize),
            resumables: Arc::new(Resumables::new(
                config.stream_management.resume_secs,
                config.stream_management.unacked_bytes_max,
            )),
            silence: Silence::new(Instant::now(), config.ping.after_secs, config.ping.timeout_secs),
            lot,
            tls_xmpp: tls::with_exporter(&tls),
            tls_https: https(&tls),
            starttls: settings(c2s::StartTls::Offered),
            plain: settings(c2s::StartTls::Off),
            http_port: port("http"),
            https_port: port("https"),
            draining: AtomicBool::new(false),
            domain,
            config,
        })
    }

    /// A stream machine for a new connection; `None` when the system has no randomness to give.
    fn stream(&self, now: Instant, link: LinkInfo) -> Option<c2s::Stream> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).ok()?;
        let kind = match link.transport {
            Transport::Tcp => c2s::TransportKind::Tcp,
            Transport::Websocket => c2s::TransportKind::WebSocket,
            Transport::Bosh => c2s::TransportKind::Bosh,
            Transport::Comet | Transport::Stomp | Transport::Herald => return None, // no streams of XMPP
        };
        let plain_allowed = self.config.auth.plain_without_tls == PlainWithoutTls::Loopback && link.peer.is_loopback();
        let transport = c2s::Transport { kind, secure: link.secure, plain_allowed };
        let settings = if link.transport == Transport::Tcp { &self.starttls } else { &self.plain };
        Some(c2s::Stream::new(now, settings.clone(), transport, entropy))
    }

    /// Is this the domain of our users, as a client may write it?
    fn is_ours(&self, domain: &str) -> bool {
        BareJid::new(None, domain).is_ok_and(|d| d == self.domain)
    }

    /// Where our HTTP over TLS is, without the path; `scheme` is `https` or `wss`.
    fn https(&self, scheme: &str) -> Option<String> {
        if let Some(public) = &self.config.http.public_https {
            return Some(format!("{scheme}://{}", public.authority()));
        }
        self.https_port.map(|port| format!("{scheme}://{}:{port}", self.config.domain))
    }

    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn handshake_time(&self) -> Duration {
        Duration::from_secs(self.config.limits.head_secs.into())
    }
}

fn bosh_settings(config: &Config) -> herald_bosh::Settings {
    let bosh = &config.bosh;
    herald_bosh::Settings {
        wait_max_secs: bosh.wait_max_secs,
        hold_max: bosh.hold_max.min(u8::MAX.into()) as u8,
        inactivity_secs: bosh.inactivity_secs,
        polling_secs: bosh.polling_secs,
        maxpause_secs: bosh.maxpause_secs,
        body_bytes_max: bosh.body_bytes_max,
        queue_bytes_max: bosh.queue_bytes_max,
        accept: "gzip",
        overactivity: bosh.overactivity,
        ..herald_bosh::Settings::default()
    }
}

/// The same certificate, and the word that HTTP/1.1 is spoken here.
fn https(tls: &ServerConfig) -> Arc<ServerConfig> {
    let mut tls = tls.clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(tls)
}
