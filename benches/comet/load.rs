//! The client: subscribers and pushers on one epoll.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

/// What is measured, and where it is.
#[derive(Clone, Copy)]
pub struct Plan {
    pub front: SocketAddr,
    pub admin: SocketAddr,
    pub pid: u32,
    pub shape: Shape,
    /// Of one message.
    pub bytes: usize,
    /// Subscribers send the header fields that browsers send.
    pub browser: bool,
}

/// How subscribers take messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Poll,
    Stream,
}

/// One round, for each push.
pub struct Round {
    pub cpu_us: f64,
    pub user_us: f64,
    pub wall_us: f64,
}

/// See the module page.
pub struct Load {
    plan: Plan,
    epoll: i32,
    subscribers: Vec<Subscriber>,
    pushers: Vec<Pusher>,
    content: String,
}

struct Subscriber {
    socket: TcpStream,
    inbox: Vec<u8>,
    next: u64,
    /// Messages it has got.
    got: usize,
    parked: bool,
}

struct Pusher {
    socket: TcpStream,
    inbox: Vec<u8>,
    busy: bool,
}

const PLAIN: &str = "User-Agent: cload\r\nAccept: */*\r\n";
const BROWSER: &str = "Connection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"142\", \"Not?A_Brand\";v=\"8\"\r\n\
sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
Accept: */*\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n\
Referer: https://www.shop.example/account/orders\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
Accept-Language: en-US,en;q=0.9\r\n\
Cookie: session=0f8fad5b-d9cb-469f-a165-70867728950e; consent=yes; theme=dark; visits=17\r\n";

impl Load {
    /// So many subscribers, each on a channel of its own and parked, and so many pushers.
    pub fn connect(plan: Plan, channels: usize, pushers: usize) -> Load {
        // SAFETY: it takes no pointer.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        assert!(epoll >= 0, "epoll: {}", std::io::Error::last_os_error());
        let content = "0123456789abcdef".repeat(plan.bytes.div_ceil(16))[..plan.bytes].to_owned();
        let mut load = Load { plan, epoll, subscribers: Vec::new(), pushers: Vec::new(), content };
        load.more(channels);
        for at in 0..pushers {
            let socket = load.open(plan.admin, (1 << 32) + at as u64);
            load.pushers.push(Pusher { socket, inbox: Vec::new(), busy: false });
        }
        load
    }

    /// Subscribers are added until there are so many, and all are parked.
    pub fn more(&mut self, channels: usize) {
        const AT_A_TIME: usize = 500;
        while self.subscribers.len() < channels {
            for at in self.subscribers.len()..channels.min(self.subscribers.len() + AT_A_TIME) {
                let socket = self.open(self.plan.front, at as u64);
                let one = Subscriber { socket, inbox: Vec::new(), next: 0, got: 0, parked: false };
                self.subscribers.push(one);
                self.subscribe(at);
            }
            while self.subscribers.iter().any(|s| !s.parked) {
                self.turn();
            }
        }
        self.quiet();
    }

    /// One message to each.
    #[allow(clippy::disallowed_methods)] // the time it takes is measured
    pub fn round(&mut self) -> Round {
        let goals: Vec<usize> = self.subscribers.iter().map(|s| s.got + 1).collect();
        let (cpu, started) = (self.cpu(), SystemTime::now());
        let mut next = 0;
        loop {
            for at in 0..self.pushers.len() {
                if !self.pushers[at].busy && next < goals.len() {
                    self.push(at, next);
                    next += 1;
                }
            }
            let waits = next < goals.len() || self.pushers.iter().any(|p| p.busy);
            if !waits && self.subscribers.iter().zip(&goals).all(|(s, goal)| s.got >= *goal) {
                break;
            }
            self.turn();
        }
        let wall = started.elapsed().unwrap_or_default();
        self.quiet();
        let after = self.cpu();
        let each = |us: f64| us / goals.len() as f64;
        Round {
            cpu_us: each(after.0 - cpu.0 + after.1 - cpu.1),
            user_us: each(after.0 - cpu.0),
            wall_us: each(wall.as_micros() as f64),
        }
    }

    /// Waits until the server has done what it had to, such as parking the last polls.
    fn quiet(&mut self) {
        let mut before = self.cpu();
        loop {
            let _ = self.wait(Duration::from_millis(50));
            let now = self.cpu();
            if now == before {
                return;
            }
            before = now;
        }
    }

    /// Resident memory of the server.
    pub fn rss_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.plan.pid)).expect("the server runs");
        statm.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 4_096
    }

    /// The server's CPU so far in microseconds, user and system.
    fn cpu(&self) -> (f64, f64) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.plan.pid)).expect("the server runs");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().expect("a number") * 10_000.0;
        (ticks(11), ticks(12))
    }

    fn open(&self, to: SocketAddr, token: u64) -> TcpStream {
        let socket = TcpStream::connect(to).expect("the server accepts");
        socket.set_nodelay(true).expect("an option");
        socket.set_nonblocking(true).expect("an option");
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the event is whole and outlives the call.
        let done = unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &raw mut event) };
        assert_eq!(done, 0, "epoll: {}", std::io::Error::last_os_error());
        socket
    }

    fn subscribe(&mut self, at: usize) {
        let path = if self.plan.shape == Shape::Poll { "poll" } else { "stream" };
        let fields = if self.plan.browser { BROWSER } else { PLAIN };
        let one = &mut self.subscribers[at];
        let request = format!("GET /{path}?cname=c{at}&seq={} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n", one.next);
        one.parked = one.next > 0;
        one.socket.write_all(request.as_bytes()).expect("the server reads");
    }

    fn push(&mut self, at: usize, channel: usize) {
        let content = &self.content;
        let request =
            format!("GET /push?cname=c{channel}&content={content} HTTP/1.1\r\nHost: localhost\r\n{PLAIN}\r\n");
        let pusher = &mut self.pushers[at];
        pusher.busy = true;
        pusher.socket.write_all(request.as_bytes()).expect("the server reads");
    }

    fn turn(&mut self) {
        let ready = self.wait(Duration::from_secs(30));
        assert!(!ready.is_empty(), "nothing came for 30 s");
        for token in ready {
            match usize::try_from(token).ok().filter(|at| *at < 1 << 32) {
                Some(at) => self.heard(at),
                None => {
                    let pusher = &mut self.pushers[(token - (1 << 32)) as usize];
                    read(&mut pusher.socket, &mut pusher.inbox);
                    if pusher.inbox.ends_with(b"{\"type\":\"ok\"}\n") {
                        pusher.inbox.clear();
                        pusher.busy = false;
                    }
                }
            }
        }
    }

    fn heard(&mut self, at: usize) {
        let one = &mut self.subscribers[at];
        read(&mut one.socket, &mut one.inbox);
        let whole: &[u8] = if self.plan.shape == Shape::Poll { b"\r\n0\r\n\r\n" } else { b"\"}\n\r\n" };
        if !one.inbox.ends_with(whole) {
            return;
        }
        let text = String::from_utf8_lossy(&one.inbox).into_owned();
        one.inbox.clear();
        let seq = text.rsplit("\"seq\":").next().and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
        let seq = seq.expect("a number");
        let messages = text.matches("\"type\":\"data\"").count();
        one.got += messages;
        one.parked = true;
        one.next = if messages > 0 { seq + 1 } else { seq };
        if self.plan.shape == Shape::Poll {
            self.subscribe(at);
        }
    }

    fn wait(&self, within: Duration) -> Vec<u64> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        let ms = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most as many events as there is room for.
        let n = unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), events.len() as i32, ms) };
        events[..usize::try_from(n).unwrap_or(0)].iter().map(|event| event.u64).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // SAFETY: it is ours, and nobody uses it afterwards.
        unsafe { libc::close(self.epoll) };
    }
}

fn read(socket: &mut TcpStream, inbox: &mut Vec<u8>) {
    let mut room = [0; 4_096];
    match socket.read(&mut room) {
        Ok(0) => panic!("the server has hung up after {:?}", String::from_utf8_lossy(inbox)),
        Ok(n) => inbox.extend_from_slice(&room[..n]),
        Err(e) if e.kind() == ErrorKind::WouldBlock => {}
        Err(e) => panic!("{e}"),
    }
}
