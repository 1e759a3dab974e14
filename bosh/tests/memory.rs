//! What a session owns while nothing happens, and what it owns at most.

use herald_bosh::*;
use herald_xmpp::xml::Limits;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Counts what this thread has allocated and not freed, in bytes.
struct Counting;

thread_local! {
    static OWNED: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: usize, sign: isize) {
    // Fails only while the thread is torn down, when nobody reads it any more.
    let _ = OWNED.try_with(|owned| owned.set(owned.get() + sign * isize::try_from(bytes).unwrap_or(isize::MAX)));
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Text(Arc<str>);

impl Item for Text {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
    fn bytes_len(&self) -> usize {
        self.0.len()
    }
}

const SID: [u8; 16] = [3; 16];

fn owned() -> isize {
    OWNED.with(Cell::get)
}

fn body(rid: u64, attrs: &str, payload: &str) -> Body {
    let sid = if rid == 1 { String::new() } else { format!("sid='{}'", Sid::new(SID)) };
    let xml = format!("<body rid='{rid}' {sid} {attrs} xmlns='http://jabber.org/protocol/httpbind'>{payload}</body>");
    Body::parse(xml.as_bytes(), &Limits::DEFAULT).expect("a body")
}

fn drain(session: &mut Session<Text>) {
    while session.poll().is_some() {}
}

/// A session whose creation was answered.
#[allow(clippy::disallowed_methods)] // any instant will do
fn live(attrs: &str) -> (Session<Text>, Instant) {
    let now = Instant::now();
    let attrs = format!("to='example.com' ver='1.6' wait='55' hold='1' {attrs}");
    let settings = Arc::new(Settings { overactivity: false, ..Settings::default() });
    let mut session = Session::new(now, settings, Sid::new(SID), "example.com", body(1, &attrs, ""), Ticket(1));
    drain(&mut session);
    assert!(session.down(now, Text("<stream:features/>".into())).is_ok());
    drain(&mut session);
    (session, now)
}

/// bosh.md's case 85 at this level: an idle session with one request held, its latest answers empty.
#[test]
fn an_idle_session_owns_little() {
    let before = owned();
    let (mut session, now) = live("");
    for rid in 2..12 {
        let now = now + Duration::from_secs(60 * rid);
        session.handle(now, Input::Post { ticket: Ticket(rid), body: body(rid, "", "") });
        drain(&mut session);
    }
    let shared = size_of::<Settings>() + 16; // one for all sessions of a listener
    let owned = usize::try_from(owned() - before).expect("more than before") - shared;
    let all = owned + size_of::<Session<Text>>();
    assert!(size_of::<Session<Text>>() <= 168, "{} bytes inline", size_of::<Session<Text>>());
    println!("{all} bytes, {} of them inline", size_of::<Session<Text>>());
    assert!(all <= 168, "{all} bytes with the heap");
}

/// bosh.md's case 51: a client that says it acknowledges and never does.
#[test]
fn case_51_what_is_never_acknowledged_is_bounded() {
    let before = owned();
    let (mut session, now) = live("ack='1'");
    for rid in 2..10_002 {
        let text: Arc<str> = format!("<message xmlns='jabber:client'>{}</message>", "x".repeat(400)).into();
        session.handle(now, Input::Post { ticket: Ticket(rid), body: body(rid, "ack='1'", "<message/>") });
        drain(&mut session);
        assert!(session.down(now, Text(text)).is_ok());
        drain(&mut session);
        let owned = owned() - before;
        assert!(owned < 512 * 1024, "{owned} bytes after {rid} requests");
    }
}

/// bosh.md's case 82: ten thousand pushes to a client that has paused.
#[test]
fn case_82_the_queue_is_bounded() {
    let (mut session, now) = live("");
    session.handle(now, Input::Post { ticket: Ticket(2), body: body(2, "pause='100'", "") });
    drain(&mut session);
    let before = owned();
    let full = (0..10_000).filter(|_| session.down(now, Text("x".repeat(400).into())).is_err()).count();
    drain(&mut session);
    assert!(full > 7_000 && session.queued_bytes() <= 1_048_576, "{full} handed back");
    assert!(owned() - before < 2 * 1_048_576);
}
