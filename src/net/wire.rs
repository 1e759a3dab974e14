//! A socket, in the clear or under TLS, that owns no buffer while nothing is under way.
//!
//! Reading happens in a scratch buffer of the worker thread: whoever reads is lent the bytes for the
//! length of one call and keeps only what is incomplete.

use super::listen::Ticket;
use super::tls::{Progress, Tls};
use rustls::ServerConfig;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// One read takes at most this much from a socket.
const READ_BYTES_MAX: usize = 16 * 1024;
/// The scratch for plaintext is given back to the allocator above this.
const PLAIN_BYTES_KEEP: usize = 64 * 1024;
/// A peer that takes nothing for this long is gone.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// After our last word we read on for so long, or so much, that the peer can read it:
/// closing on unread input would send a reset that destroys what we wrote.
const LINGER_SECS: u64 = 2;
const LINGER_BYTES_MAX: usize = 4 * 1024 * 1024;

struct Scratch {
    raw: Box<[u8]>,
    plain: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        RefCell::new(Scratch { raw: vec![0; READ_BYTES_MAX].into(), plain: Vec::new() });
}

/// The socket of one client.
pub(crate) struct Wire {
    io: TcpStream,
    tls: Option<Box<Tls>>,
    /// What is still to be sent; empty, and without capacity, almost always.
    out: Vec<u8>,
    peer_closed: bool,
    /// Who a proxy says it is; boxed, for it is rare.
    named: Option<Box<IpAddr>>,
    ticket: Ticket,
}

/// A socket of a connection at rest: nobody reads it, and the runtime does not know it.
pub(crate) struct Still {
    io: std::net::TcpStream,
    tls: Option<Box<Tls>>,
    named: Option<Box<IpAddr>>,
    ticket: Ticket,
}

impl Still {
    /// Back into the runtime. The error is the system's, which has no room for it.
    pub(crate) fn into_wire(self) -> io::Result<Wire> {
        let Still { io, tls, named, ticket } = self;
        let io = TcpStream::from_std(io)?;
        Ok(Wire { io, tls, out: Vec::new(), peer_closed: false, named, ticket })
    }
}

impl AsRawFd for Still {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl Wire {
    pub(crate) fn new(io: TcpStream, ticket: Ticket) -> Wire {
        Wire { io, tls: None, out: Vec::new(), peer_closed: false, named: None, ticket }
    }

    /// Is nothing under way?
    pub(crate) fn is_still(&self) -> bool {
        self.out.is_empty() && !self.peer_closed && self.tls.as_ref().is_none_or(|tls| tls.early.is_empty())
    }

    /// Out of the runtime; only of one that [is still](Wire::is_still).
    pub(crate) fn into_still(self) -> io::Result<Still> {
        let Wire { io, tls, named, ticket, .. } = self;
        Ok(Still { io: io.into_std()?, tls, named, ticket })
    }

    /// From now on the peer speaks TLS; its ClientHello has not been read yet.
    pub(crate) fn start_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        self.tls = Some(Box::new(Tls::new(config).map_err(io::Error::other)?));
        Ok(())
    }

    /// Completes the handshake that [`Wire::start_tls`] began.
    pub(crate) async fn shake_hands(&mut self) -> io::Result<()> {
        loop {
            let turn = poll_fn(|cx| self.poll_turn(cx, |plain, progress| (progress, plain.to_vec()))).await?;
            match turn {
                Some((Some(Progress::Open), early)) => {
                    // What came in one read with the end of the handshake is read first.
                    if let Some(tls) = &mut self.tls {
                        tls.early = early;
                    }
                    return self.flush().await;
                }
                Some((Some(Progress::Handshaking), _)) => {}
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Is the connection under TLS?
    pub(crate) fn secure(&self) -> bool {
        self.tls.is_some()
    }

    /// What binds SASL to this channel; see [`Tls::exporter`].
    pub(crate) fn exporter(&self) -> Option<[u8; 32]> {
        self.tls.as_ref().and_then(|tls| tls.exporter())
    }

    /// The login is over: nobody will ask for the exporter again.
    pub(crate) fn forget_exporter(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.forget_exporter();
        }
    }

    /// Reads exactly so many bytes, before anything else is read or TLS begins.
    pub(crate) async fn read_raw(&mut self, room: &mut [u8]) -> io::Result<()> {
        self.io.read_exact(room).await.map(drop)
    }

    /// A proxy says whose connection this is.
    pub(crate) fn set_peer(&mut self, peer: IpAddr) {
        self.named = Some(Box::new(peer.to_canonical()));
    }

    /// Whose connection it is: the other end, or whom that is a proxy for.
    pub(crate) fn peer(&self) -> IpAddr {
        if let Some(named) = &self.named {
            return **named;
        }
        self.io.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |a: SocketAddr| a.ip())
    }

    /// Reads once and lends the bytes to `f`; `None` at the end of the stream. Bytes that are to be
    /// sent are sent meanwhile. `f` sees at least one byte and must not read from any wire itself.
    pub(crate) fn poll_read<R>(
        &mut self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Poll<io::Result<Option<R>>> {
        let mut f = Some(f);
        loop {
            let turn = ready!(
                self.poll_turn(cx, |plain, _| { (!plain.is_empty()).then(|| f.take().map(|f| f(plain))).flatten() })
            )?;
            match turn {
                None => return Poll::Ready(Ok(None)),
                Some(Some(r)) => return Poll::Ready(Ok(Some(r))),
                Some(None) => {} // TLS took something that was no data: a ticket, a handshake
            }
        }
    }

    /// Sends `data`, what the socket does not take at once as soon as it can.
    pub(crate) async fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        if self.write_now(data)? { Ok(()) } else { Box::pin(self.flush()).await }
    }

    /// Sends what the socket takes now and keeps the rest; true when there is none.
    pub(crate) fn write_now(&mut self, data: &[u8]) -> io::Result<bool> {
        let mut rest = data;
        match &mut self.tls {
            Some(tls) => {
                tls.encrypt(data, &mut self.out).map_err(io::Error::other)?;
                rest = &[];
            }
            None if self.out.is_empty() => {
                while !rest.is_empty() {
                    match self.io.try_write(rest) {
                        Ok(n) => rest = &rest[n..],
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                        Err(e) => return Err(e),
                    }
                }
            }
            None => {}
        }
        self.out.extend_from_slice(rest);
        self.flush_now()
    }

    /// The peer has closed its side: closes ours, and waits whether it refuses what we sent last.
    pub(crate) async fn is_reset_within(&mut self, time: Duration) -> bool {
        let refused = async {
            poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
            self.io.ready(Interest::ERROR).await
        };
        tokio::time::timeout(time, refused).await.is_ok()
    }

    /// Says good-bye and lets the peer read our last words before the socket goes. `heard` is given what still
    /// comes, first nothing, until it says that nothing is awaited any more.
    pub(crate) async fn finish(&mut self, heard: impl FnMut(&[u8]) -> bool) {
        // A peer that has no last word, or never closes its side, is left when the time is up.
        let linger = Duration::from_secs(LINGER_SECS);
        if tokio::time::timeout(linger, self.hear(heard)).await.is_ok_and(|heard| heard.is_err()) {
            return;
        }
        let _ = tokio::time::timeout(linger, self.hang_up()).await;
    }

    /// Flushes, and reads until `heard` has heard enough.
    async fn hear(&mut self, mut heard: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        self.flush().await?;
        let mut enough = heard(&[]);
        while !enough {
            enough = poll_fn(|cx| self.poll_read(cx, &mut heard)).await?.unwrap_or(true);
        }
        Ok(())
    }

    /// Closes our side, and waits for theirs.
    async fn hang_up(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.close(&mut self.out);
        }
        self.flush().await?;
        poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
        let mut seen = 0;
        while seen < LINGER_BYTES_MAX {
            match poll_fn(|cx| self.poll_discard(cx)).await? {
                0 => break,
                n => seen += n,
            }
        }
        Ok(())
    }

    /// Waits until everything is handed to the kernel.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.flush_within(WRITE_STALL).await
    }

    /// The same for a peer that may take nothing for so long, or as long as any other.
    pub(crate) async fn flush_within(&mut self, stall: Duration) -> io::Result<()> {
        if self.flush_now()? {
            return Ok(());
        }
        loop {
            let had = self.out.len();
            let writable = tokio::time::timeout(stall.max(WRITE_STALL), self.io.writable());
            writable.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if self.flush_now()? {
                return Ok(());
            }
            debug_assert!(self.out.len() <= had);
        }
    }

    /// One read from the socket. `f` gets the plaintext (perhaps none) and, under TLS, how it stands.
    fn poll_turn<R>(
        &mut self,
        cx: &mut Context<'_>,
        f: impl FnOnce(&[u8], Option<Progress>) -> R,
    ) -> Poll<io::Result<Option<R>>> {
        if !self.out.is_empty() && !self.flush_now()? {
            // Whoever waits for input is woken for room as well.
            let _ = self.io.poll_write_ready(cx)?;
        }
        if let Some(early) = self.tls.as_mut().map(|tls| std::mem::take(&mut tls.early)).filter(|e| !e.is_empty()) {
            return Poll::Ready(Ok(Some(f(&early, Some(Progress::Open)))));
        }
        if self.peer_closed {
            return Poll::Ready(Ok(None));
        }
        SCRATCH.with(|scratch| {
            let Scratch { raw, plain } = &mut *scratch.borrow_mut();
            let mut buf = ReadBuf::new(raw);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            let got = buf.filled_mut();
            if got.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(Some(f(got, None)))) };
            plain.clear();
            let progress = tls.take(got, plain, &mut self.out);
            if !self.out.is_empty() {
                flush_some(&self.io, &mut self.out)?;
            }
            let progress = progress.map_err(io::Error::other)?;
            self.peer_closed = progress == Progress::Closed;
            let r = f(plain, Some(progress));
            if plain.capacity() > PLAIN_BYTES_KEEP {
                *plain = Vec::new();
            }
            Poll::Ready(Ok(Some(r)))
        })
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with(|scratch| {
            let raw = &mut scratch.borrow_mut().raw;
            let mut buf = ReadBuf::new(raw);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
            Poll::Ready(Ok(buf.filled().len()))
        })
    }

    /// Sends what the socket takes now; true when nothing is left.
    pub(crate) fn flush_now(&mut self) -> io::Result<bool> {
        flush_some(&self.io, &mut self.out)
    }
}

/// Sends what the socket takes now; true when nothing is left.
fn flush_some(io: &TcpStream, out: &mut Vec<u8>) -> io::Result<bool> {
    let mut sent = 0;
    while sent < out.len() {
        match io.try_write(&out[sent..]) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                out.drain(..sent);
                return Ok(false);
            }
            Err(e) => return Err(e),
        }
    }
    *out = Vec::new();
    Ok(true)
}
