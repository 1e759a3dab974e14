//! The network between a client and the server: cut, full of holes, or closed to WebSockets, as the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};

/// A head that is longer is none of ours.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A proxy on a port of its own. Dropped, it ends with all that passes through it.
pub struct Path {
    /// Where the clients connect.
    pub at: SocketAddr,
    way: Arc<Way>,
    runtime: Option<Runtime>,
}

struct Way {
    server: watch::Sender<SocketAddr>,
    cut: Notify,
    /// Nothing passes, and nobody is told.
    hole: watch::Sender<bool>,
    no_websockets: AtomicBool,
    websockets: AtomicUsize,
    refused: AtomicUsize,
    requests: AtomicUsize,
}

impl Path {
    /// Leads to `server`.
    pub fn to(server: SocketAddr) -> Path {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let way = Arc::new(Way {
            server: watch::channel(server).0,
            cut: Notify::new(),
            hole: watch::channel(false).0,
            no_websockets: AtomicBool::new(false),
            websockets: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&way);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let way = Arc::clone(&accepting);
                tokio::spawn(async move {
                    let cut = tokio::select! {
                        () = way.cut.notified() => true,
                        () = way.pass(&client) => false,
                    };
                    if cut {
                        reset(client);
                    }
                });
            }
        });
        Path { at, way, runtime: Some(runtime) }
    }

    /// New connections lead to this server.
    pub fn lead_to(&self, server: SocketAddr) {
        self.way.server.send_replace(server);
    }

    /// Resets all connections there are.
    pub fn cut(&self) {
        self.way.cut.notify_waiters();
    }

    /// From now on nothing passes, or all does again.
    pub fn hole(&self, on: bool) {
        self.way.hole.send_replace(on);
    }

    /// From now on WebSockets are refused, and those there are cut; or they pass again.
    pub fn block_websockets(&self, on: bool) {
        self.way.no_websockets.store(on, Ordering::Relaxed);
        if on {
            self.cut();
        }
    }

    /// WebSockets passed, WebSockets refused, other connections.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.way.websockets), count(&self.way.refused), count(&self.way.requests))
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Way {
    async fn pass(&self, client: &TcpStream) {
        let mut head = Vec::new();
        let mut buffer = [0; 16 * 1024];
        while !head.windows(4).any(|w| w == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
            match read(client, &mut buffer).await {
                Some(n) => head.extend_from_slice(&buffer[..n]),
                None => return,
            }
        }
        let websocket = String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket");
        if websocket && self.no_websockets.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            write(client, refusal).await;
            return;
        }
        let counter = if websocket { &self.websockets } else { &self.requests };
        counter.fetch_add(1, Ordering::Relaxed);
        let to = *self.server.borrow();
        let Ok(server) = TcpStream::connect(to).await else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true)); // a delay would only cost time
        self.through().await;
        write(&server, &head).await;
        tokio::select! {
            () = self.copy(client, &server) => {}
            () = self.copy(&server, client) => {}
        }
    }

    async fn copy(&self, from: &TcpStream, to: &TcpStream) {
        let mut buffer = [0; 16 * 1024];
        while let Some(n) = read(from, &mut buffer).await {
            self.through().await;
            write(to, &buffer[..n]).await;
        }
        self.through().await; // the end does not pass either
    }

    /// Waits while there is a hole.
    async fn through(&self) {
        let _ = self.hole.subscribe().wait_for(|hole| !hole).await; // the sender lives as long as we do
    }
}

async fn read(from: &TcpStream, buffer: &mut [u8]) -> Option<usize> {
    loop {
        from.readable().await.ok()?;
        match from.try_read(buffer) {
            Ok(0) => return None,
            Ok(n) => return Some(n),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

async fn write(to: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        if to.writable().await.is_err() {
            return;
        }
        match to.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn reset(stream: TcpStream) {
    // A reset, as from a network that is gone.
    let _ = socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO));
}
