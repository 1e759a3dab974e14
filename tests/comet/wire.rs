//! HTTP as it comes over the wire.

use crate::support::{Herald, PATIENCE};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One connection, to the public listener unless it is said.
pub struct Conn {
    pub socket: TcpStream,
    inbox: Vec<u8>,
}

impl Conn {
    pub fn to(herald: &Herald) -> Conn {
        Conn::at(herald.address("http"))
    }

    pub fn at(address: SocketAddr) -> Conn {
        let socket = TcpStream::connect(address).expect("the listener accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Conn { socket, inbox: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server reads");
    }

    /// Sends a GET.
    pub fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    }

    /// Sends a GET, and reads a whole answer: its head and its body.
    pub fn ask(&mut self, path: &str) -> (String, String) {
        self.get(path);
        self.answer()
    }

    /// The body of the answer to a GET.
    pub fn body(&mut self, path: &str) -> String {
        self.ask(path).1
    }

    /// A whole answer: head, and the body of all chunks or of the length.
    pub fn answer(&mut self) -> (String, String) {
        let head = self.head();
        if head.contains("Transfer-Encoding: chunked") {
            let mut body = String::new();
            while let Some(chunk) = self.chunk() {
                body += &chunk;
            }
            return (head, body);
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.expect("a length").parse().expect("a number");
        let body = self.take(length);
        (head, body)
    }

    /// The head of an answer.
    pub fn head(&mut self) -> String {
        self.until(b"\r\n\r\n")
    }

    /// The next chunk; none when it is the last.
    pub fn chunk(&mut self) -> Option<String> {
        let line = self.until(b"\r\n");
        let length = usize::from_str_radix(line.trim_end(), 16).expect("the length of a chunk");
        let chunk = self.take(length + 2);
        (length > 0).then(|| chunk.strip_suffix("\r\n").expect("the end of a chunk").to_owned())
    }

    /// Reads to the end of the connection.
    pub fn rest(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.inbox);
        // A reset ends it as well.
        let _ = self.socket.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }

    fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.inbox.windows(end.len()).position(|w| w == end) {
                return self.take(at + end.len());
            }
            self.read();
        }
    }

    fn take(&mut self, length: usize) -> String {
        while self.inbox.len() < length {
            self.read();
        }
        let rest = self.inbox.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.inbox, rest)).expect("UTF-8")
    }

    fn read(&mut self) {
        let mut buf = [0; 65_536];
        match self.socket.read(&mut buf) {
            Ok(n) if n > 0 => self.inbox.extend_from_slice(&buf[..n]),
            end => panic!("after {:?} came {end:?}", String::from_utf8_lossy(&self.inbox)),
        }
    }
}

/// A head without the time and what is ours alone, to be compared with iComet's.
pub fn as_icomet(head: &str) -> String {
    const OURS: [&str; 2] = ["Access-Control-Allow-Origin: *", "X-Content-Type-Options: nosniff"];
    let lines = head.lines().filter(|line| !OURS.contains(line));
    lines.map(|line| if line.starts_with("Date: ") { "Date: then\n".into() } else { format!("{line}\n") }).collect()
}
