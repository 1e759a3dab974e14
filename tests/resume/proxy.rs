//! A line that is cut: bytes go through until so many have, then both ends lose it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::thread;

/// See the module page. The lengths of its lines come from a seed.
pub struct Proxy {
    pub address: SocketAddr,
    cuts: Arc<AtomicU32>,
}

impl Proxy {
    /// In front of `server`; each connection lives for `least` bytes or up to `spread` more, both directions
    /// together. After `cuts_max` of them the next one lives on.
    pub fn start(server: SocketAddr, seed: u64, least: u64, spread: u64, cuts_max: u32) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let cuts = Arc::new(AtomicU32::new(0));
        let counted = cuts.clone();
        let mut random = seed;
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { return };
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let length = least + (random >> 33) % spread;
                let length = if counted.load(Ordering::SeqCst) < cuts_max { length as i64 } else { i64::MAX };
                let left = Arc::new(AtomicI64::new(length));
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                    let (left, counted) = (left.clone(), counted.clone());
                    thread::spawn(move || carry(from, to, &left, &counted));
                }
            }
        });
        Proxy { address, cuts }
    }

    /// How often a line was cut.
    pub fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Carries one direction until the end of either, or until the length of the line is used up: what is beyond
/// it is lost in the middle of whatever it is.
fn carry(mut from: TcpStream, mut to: TcpStream, left: &AtomicI64, cuts: &AtomicU32) {
    let mut buf = [0; 2048];
    while let Ok(n @ 1..) = from.read(&mut buf) {
        let before = left.fetch_sub(n as i64, Ordering::SeqCst);
        let through = before.clamp(0, n as i64) as usize;
        let carried = to.write_all(&buf[..through]);
        if before > 0 && through < n {
            cuts.fetch_add(1, Ordering::SeqCst);
        }
        if through < n || carried.is_err() {
            break;
        }
    }
    for end in [&from, &to] {
        let _ = end.shutdown(Shutdown::Both); // it may be gone already
    }
}
