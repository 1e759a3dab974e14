//! `/psub`: who is there, as it changes. A line for each: `1 UID` when the first resource of a user became available, of
//! whatever transport, `0 UID` when the last one went. It begins with those who are there.

use super::Comet;
use bytes::Bytes;
use herald_session::{Event, Observer};
use herald_xmpp::{BareJid, FullJid};
use parking_lot::Mutex;
use std::fmt::Write;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

/// What waits for one reader; when it is more, the reader is cut, and may come again.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// So many sessions are looked through at a time for those who are there.
const PAGE_SESSIONS: u32 = 1_000;

/// Everybody who reads.
#[derive(Default)]
pub(super) struct Hub(Mutex<Vec<Weak<Reader>>>);

#[derive(Default)]
struct Reader(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    text: String,
    cut: bool,
    waker: Option<Waker>,
}

/// One who reads.
pub struct Psub {
    comet: Arc<Comet>,
    reader: Arc<Reader>,
    /// Those behind this one have not been named yet; `None`: all have.
    named: Option<Option<FullJid>>,
    last: Option<BareJid>,
}

impl Hub {
    fn tell(&self, user: &BareJid, there: bool) {
        let Some(uid) = user.local() else { return };
        self.0.lock().retain(|reader| reader.upgrade().is_some_and(|reader| reader.tell(uid, there)));
    }
}

impl Reader {
    /// False when it reads no more.
    fn tell(&self, uid: &str, there: bool) -> bool {
        let mut lines = self.0.lock();
        line(&mut lines.text, uid, there);
        lines.cut = lines.text.len() > WAITING_BYTES_MAX;
        let (waker, cut) = (lines.waker.take(), lines.cut);
        drop(lines);
        if let Some(waker) = waker {
            waker.wake();
        }
        !cut
    }
}

impl Comet {
    /// Somebody wants to know who is there.
    pub fn psub(self: &Arc<Comet>) -> Psub {
        let reader = Arc::new(Reader::default());
        self.psub.0.lock().push(Arc::downgrade(&reader));
        Psub { comet: self.clone(), reader, named: Some(None), last: None }
    }
}

impl Psub {
    /// The next lines; `None`: the reader is too slow.
    pub async fn next(&mut self) -> Option<Bytes> {
        while let Some(after) = self.named.take() {
            let page = self.comet.sessions.sessions(after, PAGE_SESSIONS).await;
            let mut text = String::new();
            for session in page.iter().filter(|session| session.priority.is_some()) {
                let user = session.jid.to_bare();
                if self.last.as_ref() != Some(&user) {
                    line(&mut text, user.local().unwrap_or_default(), true);
                    self.last = Some(user);
                }
            }
            let full = page.len() as u32 == PAGE_SESSIONS;
            self.named = page.last().filter(|_| full).map(|session| Some(session.jid.clone()));
            if !text.is_empty() {
                return Some(text.into());
            }
        }
        poll_fn(|cx| {
            let mut lines = self.reader.0.lock();
            if lines.cut {
                return Poll::Ready(None);
            }
            if !lines.text.is_empty() {
                return Poll::Ready(Some(std::mem::take(&mut lines.text).into()));
            }
            lines.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

impl Observer for Comet {
    fn event(&self, _at_ms: i64, event: Event) {
        match event {
            Event::Online { user } => self.psub.tell(&user, true),
            Event::Offline { user } => self.psub.tell(&user, false),
            _ => {}
        }
    }
}

fn line(text: &mut String, uid: &str, there: bool) {
    let _ = writeln!(text, "{} {uid}", u8::from(there)); // into a string, which cannot fail
}
