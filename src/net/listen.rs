//! Listeners: one socket, one loop that accepts, one task for each connection.

use super::wire::Wire;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections that the kernel finishes while we are busy: a storm of reconnects waits here.
const BACKLOG: i32 = 4096;
/// When nobody can be accepted (no file descriptor is left), the listener rests this long before it tries again.
const FAILED_PAUSE: Duration = Duration::from_millis(100);
/// The kernel asks a silent peer whether it is still there after this time, and then so often.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(120)).with_interval(Duration::from_secs(20)).with_retries(4);

/// A host that does not confirm what it was sent for so long is gone; the kernel alone would try for a
/// quarter of an hour.
const UNACKNOWLEDGED: Duration = Duration::from_secs(90);

/// How many connections there are, over all listeners.
pub(crate) struct Doors {
    open: AtomicUsize,
    max: usize,
}

/// One connection's share of the limit; given back when it is dropped.
pub(crate) struct Ticket(Arc<Doors>);

impl Doors {
    pub(crate) fn new(max: usize) -> Arc<Doors> {
        Arc::new(Doors { open: AtomicUsize::new(0), max })
    }

    fn admit(self: &Arc<Doors>) -> Option<Ticket> {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.max {
            return Some(Ticket(self.clone()));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens the socket; the error names the address and what is in the way.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until it is told to stop. A peer that is not `welcome` is closed at once, with nothing spent on it;
/// `serve` spawns a task for each other.
pub(crate) async fn accept(
    listener: TcpListener,
    doors: Arc<Doors>,
    stop: CancellationToken,
    welcome: impl Fn(IpAddr) -> bool,
    serve: impl Fn(Wire),
) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((io, peer)) => {
                failing = false;
                if !welcome(peer.ip()) {
                    debug!(%peer, "refused: shaping.ip_connections_per_sec");
                    continue;
                }
                let Some(ticket) = doors.admit() else {
                    debug!(%peer, "refused: limits.connections_max is reached");
                    continue;
                };
                prepare(&io);
                serve(Wire::new(io, ticket));
            }
            // The peer left before it was accepted.
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {
                debug!("accept: {e}");
            }
            // Out of files, or something that would not be better at once either.
            Err(e) => {
                if !std::mem::replace(&mut failing, true) {
                    warn!("no new connections for now: {e}");
                }
                tokio::time::sleep(FAILED_PAUSE).await;
            }
        }
    }
}

fn prepare(io: &TcpStream) {
    // A socket that refuses these options works without them.
    let _ = io.set_nodelay(true);
    let _ = SockRef::from(io).set_tcp_keepalive(&KEEPALIVE);
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(io).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
}
