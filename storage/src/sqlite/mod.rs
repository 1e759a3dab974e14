//! The traits on SQLite: one file in write-ahead mode, one thread that writes, a few that read.
//!
//! Another process may have the same file open (`herald user add` while the server runs): nobody
//! holds it exclusively, and who finds it locked waits for [`Settings::busy_timeout`].

mod accounts;
mod activity;
mod cache;
mod fault;
mod file;
mod groups;
mod history;
mod keys;
mod messages;
mod outbox;
mod private;
mod queue;
mod reader;
mod rosters;
mod sweep;
mod writer;

use crate::StoreError;
use crate::traits::{
    Accounts, Beginning, Expired, Private, Put, Retention, Roster, RosterChange, RosterItem, Rosters, Stats, Store,
    Then,
};
use bytes::Bytes;
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::Credentials;
use parking_lot::Mutex;
use queue::Queue;
use reader::Read;
use rusqlite::Connection;
use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use sweep::Sweeper;
use writer::{Act, Write};

/// How to keep it. [`Settings::default`] is right for a server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When a commit counts as durable.
    pub synchronous: Synchronous,
    /// How many threads read, at least 1.
    pub readers: usize,
    /// So long an operation waits for another process before it fails with [`StoreError::Locked`].
    pub busy_timeout: Duration,
    /// A commit covers at most so many writes.
    pub batch_ops_max: usize,
    /// So many writes may wait, and so many reads; the next is refused with [`StoreError::Busy`].
    pub queue_ops_max: usize,
    /// So many bytes of waiting writes; the next is refused with [`StoreError::Busy`].
    pub queue_bytes_max: usize,
    /// How long delivered messages stay.
    pub history: Retention,
    /// Remove what is over: expired messages, history that is too old. One process of those that have the
    /// store open does it, the one that wants to be told (see [`Store::on_expired`]).
    pub sweeps: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            synchronous: Synchronous::Full,
            readers: 2,
            busy_timeout: Duration::from_secs(5),
            batch_ops_max: 512,
            queue_ops_max: 65_536,
            queue_bytes_max: 64 << 20,
            history: Retention::default(),
            sweeps: true,
        }
    }
}

/// SQLite's `PRAGMA synchronous`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// The disk has it before it is acknowledged: it outlives a power cut.
    #[default]
    Full,
    /// The operating system has it: it outlives the process, but a power cut may take the last
    /// acknowledged writes with it. Faster.
    Normal,
}

/// A store in a directory. The last drop closes it, and waits as [`Store::close`] does.
pub struct Sqlite {
    epoch: Box<str>,
    writes: Arc<Queue<Box<dyn Write>>>,
    reads: Arc<Queue<Box<dyn Read>>>,
    /// Each ends with its connection; the writer's is the last.
    threads: Mutex<Vec<JoinHandle<Connection>>>,
    counts: Arc<Counts>,
    history: Retention,
    expired: Arc<OnceLock<Expired>>,
}

#[derive(Default)]
struct Counts {
    writes: AtomicU64,
    commits: AtomicU64,
    commit_us: AtomicU64,
    reads: AtomicU64,
    failed: AtomicU64,
    busy: AtomicU64,
}

thread_local! {
    /// Whoever waited for the store on one of its own threads would wait forever.
    static ON_STORE_THREAD: Cell<bool> = const { Cell::new(false) };
}

impl Sqlite {
    /// Opens the store in `dir`, made with mode 0700 (its file 0600) when missing, and brings its
    /// schema up to date. Blocks.
    pub fn open(dir: &Path, settings: Settings) -> Result<Arc<dyn Store>, StoreError> {
        let (path, _opening) = file::make(dir)?;
        let conn = file::open_writer(&path, &settings)?;
        let epoch: String = conn.query_row("SELECT epoch FROM store", [], |row| row.get(0))?;
        let readers = (0..settings.readers.max(1))
            .map(|_| file::open_reader(&path, &settings))
            .collect::<Result<Vec<Connection>, StoreError>>()?;

        let store = Sqlite {
            epoch: epoch.into(),
            writes: Arc::new(Queue::new(settings.queue_ops_max, settings.queue_bytes_max)),
            reads: Arc::new(Queue::new(settings.queue_ops_max, usize::MAX)),
            threads: Mutex::default(),
            counts: Arc::default(),
            history: settings.history,
            expired: Arc::default(),
        };
        // Should one of these fail, the drop of `store` ends those before it.
        for conn in readers {
            let (queue, counts) = (store.reads.clone(), store.counts.clone());
            store.start("store-reader", queue, move |queue| {
                reader::run(&conn, queue, &counts);
                conn
            })?;
        }
        let (queue, counts) = (store.writes.clone(), store.counts.clone());
        let sweeper = settings.sweeps.then(|| Sweeper::new(settings.history, store.expired.clone()));
        store.start("store-writer", queue, move |queue| {
            writer::run(&conn, queue, &settings, &counts, sweeper);
            conn
        })?;
        Ok(Arc::new(store))
    }

    fn start<T: Send + 'static>(
        &self,
        name: &str,
        queue: Arc<Queue<T>>,
        run: impl FnOnce(&Queue<T>) -> Connection + Send + 'static,
    ) -> Result<(), StoreError> {
        let body = move || {
            ON_STORE_THREAD.set(true);
            let last_act = Abandon(queue);
            run(&last_act.0)
        };
        let thread = thread::Builder::new().name(name.into()).spawn(body);
        self.threads.lock().push(thread.map_err(|e| StoreError::Failed(e.to_string()))?);
        Ok(())
    }

    fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        then: Then<T>,
        act: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) {
        if let Err((write, e)) = self.writes.push(Box::new(Act::new(act, then)), bytes) {
            self.count_refused(&e);
            write.answer(Err(e));
        }
    }

    fn read<T: Send + 'static>(
        &self,
        then: Then<T>,
        act: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) {
        let read = reader::Ask::new(act, then);
        if let Err((read, e)) = self.reads.push(Box::new(read), 0) {
            self.count_refused(&e);
            read.refuse(e);
        }
    }

    fn count_refused(&self, e: &StoreError) {
        let count = if *e == StoreError::Busy { &self.counts.busy } else { &self.counts.failed };
        count.fetch_add(1, Relaxed);
    }
}

/// When a thread ends, however it ends, nobody waits for it any more.
struct Abandon<T>(Arc<Queue<T>>);

impl<T> Drop for Abandon<T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::error!(error = %e, "the store was not closed well");
        }
    }
}

impl Store for Sqlite {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn beginning(&self, user: &BareJid, then: Then<Option<Beginning>>) {
        let user = user.clone();
        self.read(then, move |c| {
            if !accounts::exists(c, &user)? {
                return Ok(None);
            }
            let (roster, pending) = (rosters::whole(c, &user)?, messages::pending_count(c, &user)?);
            Ok(Some(Beginning { roster, pending }))
        });
    }

    fn close(&self) -> Result<(), StoreError> {
        self.writes.close();
        self.reads.close();
        if ON_STORE_THREAD.get() {
            return Err(StoreError::Failed("a store cannot be waited for on its own thread".into()));
        }
        // Under the lock, so that a second caller waits too.
        let mut threads = self.threads.lock();
        // All have ended before the first connection is closed, and they are closed one after the other: two
        // that close at once would each take the other for one that stays, and leave the log behind.
        let ends: Vec<_> = threads.drain(..).map(JoinHandle::join).collect();
        if ends.iter().any(Result::is_err) {
            return Err(StoreError::Failed("a store thread panicked".into()));
        }
        Ok(())
    }

    fn on_expired(&self, tell: Expired) {
        if self.expired.set(tell).is_err() {
            tracing::error!("who is told of expired messages was said already");
        }
    }

    fn stats(&self) -> Stats {
        let c = &self.counts;
        Stats {
            writes: c.writes.load(Relaxed),
            commits: c.commits.load(Relaxed),
            commit_us: c.commit_us.load(Relaxed),
            reads: c.reads.load(Relaxed),
            failed: c.failed.load(Relaxed),
            busy: c.busy.load(Relaxed),
            writes_waiting: self.writes.len() as u64,
            reads_waiting: self.reads.len() as u64,
        }
    }
}

/// What a small write weighs in the queue: its boxes and its name.
const WRITE_BYTES: usize = 256;

/// What an account weighs in the queue.
const ACCOUNT_BYTES: usize = 384;

impl Accounts for Sqlite {
    fn account(&self, user: &BareJid, then: Then<Option<Credentials>>) {
        let user = user.clone();
        self.read(then, move |c| accounts::one(c, &user));
    }

    fn put_account(&self, user: &BareJid, keys: Credentials, how: Put, then: Then<bool>) {
        let user = user.clone();
        self.write(ACCOUNT_BYTES, then, move |c| accounts::put(c, &user, &keys, how));
    }

    fn import(&self, accounts: Vec<(BareJid, Credentials)>, then: Then<u64>) {
        let bytes = accounts.len() * ACCOUNT_BYTES;
        self.write(bytes, then, move |c| accounts::import(c, &accounts));
    }

    fn delete_account(&self, user: &BareJid, then: Then<bool>) {
        let user = user.clone();
        self.write(WRITE_BYTES, then, move |c| accounts::delete(c, &user));
    }

    fn accounts(&self, after: Option<BareJid>, limit: u32, then: Then<Vec<BareJid>>) {
        self.read(then, move |c| accounts::page(c, after.as_ref(), limit));
    }

    fn account_count(&self, then: Then<u64>) {
        self.read(then, accounts::count);
    }
}

impl Rosters for Sqlite {
    fn roster(&self, user: &BareJid, then: Then<Roster>) {
        let user = user.clone();
        self.read(then, move |c| rosters::whole(c, &user));
    }

    fn put_item(&self, user: &BareJid, item: RosterItem, then: Then<u64>) {
        let user = user.clone();
        let pending = item.pending_in.as_ref().map_or(0, Bytes::len);
        let groups: usize = item.groups.iter().map(|g| g.len() + 32).sum();
        self.write(WRITE_BYTES + pending + groups, then, move |c| rosters::put(c, &user, &item));
    }

    fn remove_item(&self, user: &BareJid, contact: &BareJid, then: Then<u64>) {
        let (user, contact) = (user.clone(), contact.clone());
        self.write(WRITE_BYTES, then, move |c| rosters::remove(c, &user, &contact));
    }

    fn roster_since(&self, user: &BareJid, version: u64, then: Then<Option<Vec<RosterChange>>>) {
        let user = user.clone();
        self.read(then, move |c| rosters::since(c, &user, version));
    }
}

impl Private for Sqlite {
    fn private(&self, user: &BareJid, space: &str, key: &str, then: Then<Option<Bytes>>) {
        let (user, space, key) = (user.clone(), space.to_owned(), key.to_owned());
        self.read(then, move |c| private::one(c, &user, &space, &key));
    }

    fn put_private(&self, user: &BareJid, space: &str, key: &str, value: Option<Bytes>, then: Then<()>) {
        let (user, space, key) = (user.clone(), space.to_owned(), key.to_owned());
        let bytes = WRITE_BYTES + value.as_ref().map_or(0, Bytes::len);
        self.write(bytes, then, move |c| private::put(c, &user, &space, &key, value.as_deref()));
    }
}
