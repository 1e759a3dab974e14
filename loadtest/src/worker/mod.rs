//! One process with one epoll loop, which holds its share of the sessions.
//!
//! | file | what is in it |
//! |---|---|
//! | `mod.rs` | the loop: orders, pacing, status |
//! | `session.rs` | a session: logging in, what comes for it, its end |
//! | `line.rs` | a connection: bytes in, bytes out, TLS, frames |
//! | `requests.rs` | BOSH: which request is where, and what comes next |
//!
//! A session at rest is a few words and no buffer: what is incomplete is kept only while it is.

mod line;
mod requests;
mod session;

use crate::chat::Chat;
use crate::clock::monotonic_ns;
use crate::talk::{Order, Report, Setup, Status};
use crate::tls::Handshakes;
use anyhow::{Context, Result};
use line::Line;
use mio::{Events, Poll, Token, Waker};
use session::{Session, Stage};
use slab::Slab;
use std::io::{self, BufRead, Write};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

const WAKE: Token = Token(usize::MAX);
const NONE: u32 = u32::MAX;
const SCRATCH_BYTES: usize = 64 << 10;
const EVENTS_MAX: usize = 1024; // of one look at the kernel; more are got by the next
const STATUS_NS: u64 = 1_000_000_000;
/// How often the pace is looked at while sessions are opened, and otherwise.
const TICK_OPENING: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_millis(250);
/// Sessions that take their leave at a time: a BOSH session needs a second connection for it.
const LEAVING_MAX: u32 = 200;
/// When nobody has left for so long, the others are left behind.
const LEAVE_NS: u64 = 5_000_000_000;
/// Different reasons that are told; more are summed up as others.
const REASONS_MAX: usize = 20;

/// What the loop works on.
pub struct Worker {
    setup: Setup,
    tls: Option<Handshakes>,
    poll: Poll,
    lines: Slab<Line>,
    sessions: Vec<Session>,
    /// Sessions that have something to send.
    dirty: Vec<u32>,
    scratch: Vec<u8>,
    plain: Vec<u8>,
    status: Status,
    began_ns: u64,
    random: u64,
    chat: Option<Chat>,
    /// Stop was ordered; the end of the chat is still to be told.
    stopping: bool,
    leaving: u32,
    /// It was told that all logins have ended, one way or the other.
    told_opened: bool,
}

/// Runs a worker to its end, on standard input and output.
pub fn main() -> Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let setup: Setup = serde_json::from_str(&line).context("the setup cannot be read")?;
    if let Err(e) = crate::lead::limits::raise_open_files() {
        say(&Report::Broken(format!("the limit of open files cannot be read: {e}")));
    }
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let (tell, orders) = mpsc::channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(order) = serde_json::from_str::<Order>(&line) else { break };
            if tell.send(order).is_err() {
                return;
            }
            let _ = waker.wake(); // the loop looks by itself a little later
        }
        drop(tell); // whoever leads is gone
        let _ = waker.wake();
    });
    match Worker::new(setup, poll) {
        Ok(worker) => worker.run(&orders),
        Err(e) => {
            say(&Report::Broken(format!("{e:#}")));
            Ok(())
        }
    }
}

fn say(report: &Report) {
    let mut line = serde_json::to_vec(report).expect("plain data");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush()); // whoever leads may be gone: the input says so
}

impl Worker {
    fn new(setup: Setup, poll: Poll) -> Result<Worker> {
        let protocol = if setup.target.path.is_empty() { "xmpp-client" } else { "http/1.1" };
        let tls = match setup.transport.tls() {
            true => Some(Handshakes::new(&setup.trust, &setup.tls_name, protocol)?),
            false => None,
        };
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        let sessions = setup.sessions as usize;
        Ok(Worker {
            tls,
            poll,
            lines: Slab::with_capacity(sessions),
            sessions: Vec::with_capacity(sessions),
            dirty: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            plain: Vec::new(),
            status: Status::default(),
            began_ns: monotonic_ns(),
            random: u64::from_le_bytes(seed) | 1,
            chat: None,
            stopping: false,
            leaving: 0,
            told_opened: false,
            setup,
        })
    }

    fn run(mut self, orders: &Receiver<Order>) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut told_ns = monotonic_ns();
        loop {
            match orders.try_recv() {
                Ok(Order::Tell) => self.tell_status(true),
                Ok(Order::Chat) => self.begin_chat(),
                Ok(Order::Stop) => self.stop_chat(),
                Ok(Order::Leave) | Err(TryRecvError::Disconnected) => return self.leave(&mut events),
                Err(TryRecvError::Empty) => {}
            }
            let opening = self.open_more();
            self.turn(&mut events, if opening { TICK_OPENING } else { TICK })?;
            if self.stopping && self.chat.as_ref().is_some_and(Chat::is_drained) {
                self.tell_end();
            }
            let opened = !opening && self.status.under_way == 0 && !self.told_opened;
            self.told_opened |= opened;
            if opened || monotonic_ns() - told_ns >= STATUS_NS {
                told_ns = monotonic_ns();
                self.end_slow_logins();
                self.tell_status(false);
            }
        }
    }

    /// Waits for something to happen, and sees to it.
    fn turn(&mut self, events: &mut Events, at_most: Duration) -> Result<()> {
        match self.poll.poll(events, Some(at_most)) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in events.iter().filter(|event| event.token() != WAKE) {
            let key = event.token().0;
            // An event may be about a connection that was dropped a moment ago.
            let Some(session) = self.lines.get(key).map(|line| line.session) else { continue };
            let ends = event.is_read_closed() || event.is_error();
            if let Err(trouble) = self.on_line(key, event.is_writable(), event.is_readable() || ends, ends) {
                self.fail(session, &trouble);
            }
            self.flush_dirty();
        }
        Ok(())
    }

    /// Begins as many logins as the pace allows; true while there are more to begin.
    fn open_more(&mut self) -> bool {
        let elapsed = (monotonic_ns() - self.began_ns) as f64 / 1e9;
        let due = if self.setup.rate > 0.0 { (elapsed * self.setup.rate) as usize + 1 } else { usize::MAX };
        let wanted = (self.setup.sessions as usize).min(due);
        while self.sessions.len() < wanted && self.status.under_way < self.setup.in_flight {
            self.begin_session();
        }
        self.flush_dirty();
        self.sessions.len() < self.setup.sessions as usize
    }

    fn flush_dirty(&mut self) {
        while let Some(session) = self.dirty.pop() {
            self.sessions[session as usize].dirty = false;
            if let Err(trouble) = self.flush(session) {
                self.fail(session, &trouble);
            }
        }
    }

    fn begin_chat(&mut self) {
        let Some(plan) = self.setup.chat else { return };
        let pairs = self.sessions.len() / 2;
        self.chat = Some(Chat::new(plan, pairs));
        for pair in 0..pairs {
            let both = [2 * pair, 2 * pair + 1];
            if both.iter().all(|s| matches!(self.sessions[*s].stage, Stage::Ready)) {
                for _ in 0..plan.outstanding {
                    self.write(both[0]);
                }
            }
        }
        self.flush_dirty();
    }

    fn stop_chat(&mut self) {
        if let Some(chat) = &mut self.chat {
            chat.stop();
            self.stopping = true;
        }
    }

    fn tell_end(&mut self) {
        self.stopping = false;
        self.tell_status(false); // with the last latencies
        if let Some(chat) = &self.chat {
            say(&Report::Ended(chat.end()));
        }
    }

    fn tell_status(&mut self, asked: bool) {
        self.status.asked = asked;
        if let Some(chat) = &mut self.chat {
            self.status.count = chat.count();
            self.status.latencies = chat.take_latencies();
        }
        say(&Report::Status(Box::new(self.status.clone())));
        self.status.logins = Default::default();
    }

    /// Takes leave on every session, some at a time, and ends when the server has answered.
    fn leave(mut self, events: &mut Events) -> Result<()> {
        if let Some(chat) = self.chat.as_ref().filter(|_| self.stopping) {
            say(&Report::Ended(chat.end())); // what has not come by now never did
        }
        let (mut next, mut progress_ns) = (0, monotonic_ns());
        while monotonic_ns() - progress_ns < LEAVE_NS {
            while next < self.sessions.len() && self.leaving < LEAVING_MAX {
                self.begin_leaving(next as u32);
                next += 1;
            }
            self.flush_dirty();
            if self.leaving == 0 && next == self.sessions.len() {
                break;
            }
            let before = self.leaving;
            self.turn(events, TICK)?;
            if self.leaving < before {
                progress_ns = monotonic_ns();
            }
        }
        for (_, line) in &self.lines {
            line.reset();
        }
        Ok(())
    }

    /// A number that need not be secret.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}
