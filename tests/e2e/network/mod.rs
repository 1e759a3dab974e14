//! A bad network: a proxy that passes HTTP and WebSocket through, and kills some of what passes.
//!
//! ```ignore
//! let network = Network::bad(server.http, Weather::default().seed(7)); // a tenth of the responses
//! browser.login_at(bosh_url(network.at), ..);                         // as if it were the server
//! network.storm(false);                                               // from now on nothing is killed
//! println!("{}", network.journal());                                  // what came, what became of it
//! ```
//!
//! What is killed is thrown by dice with a seed, one throw for each request in the order in which they
//! come. A killed connection is reset, not closed: the browser sees an error, as after a lost link.
//! When a test panics, the end of the journal is shown.

mod dice;
mod journal;
mod pass;

pub use dice::{Fate, Weather};

use crate::clients::PATIENCE;
use dice::Dice;
use journal::Journal;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// What is shown of the journal when a test fails; all of it is in a file.
const LINES_SHOWN: usize = 30;
const CHARS_SHOWN: usize = 240;

/// The running proxy. Dropped, it resets whatever is open.
pub struct Network {
    /// Where the clients connect.
    pub at: SocketAddr,
    path: Arc<Path>,
    runtime: Option<Runtime>,
}

/// What the connections share.
struct Path {
    server: Mutex<SocketAddr>,
    dice: Mutex<Dice>,
    all: Mutex<Option<Fate>>,
    storm: AtomicBool,
    journal: Journal,
}

impl Network {
    /// A proxy in front of `server`, in this weather.
    pub fn bad(server: SocketAddr, weather: Weather) -> Network {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let at = listener.local_addr().expect("it is bound");
        let path = Arc::new(Path {
            server: Mutex::new(server),
            dice: Mutex::new(Dice::new(weather)),
            all: Mutex::new(None),
            storm: AtomicBool::new(true),
            journal: Journal::default(),
        });
        let accepting = Arc::clone(&path);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let path = Arc::clone(&accepting);
                tokio::spawn(async move { pass::pass(client, &path).await });
            }
        });
        Network { at, path, runtime: Some(runtime) }
    }

    /// A proxy that kills nothing, until told to.
    pub fn good(server: SocketAddr) -> Network {
        Network::bad(server, Weather::calm())
    }

    /// Does the weather rule? When not, nothing is killed and no dice are thrown.
    pub fn storm(&self, on: bool) {
        self.path.storm.store(on, Ordering::Relaxed);
    }

    /// From now on every POST meets this fate, whatever the dice would say; `None` lets them speak again.
    pub fn all(&self, fate: Option<Fate>) {
        *self.path.all.lock().expect("no panic under it") = fate;
    }

    /// New connections go to this server.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.path.server.lock().expect("no panic under it") = server;
    }

    /// How many requests met this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.path.journal.count(fate)
    }

    /// Waits until `count` lines of the journal hold all of these words.
    pub fn awaits(&self, count: usize, words: &[&str]) {
        let enough = |lines: &[String]| journal::with(lines, words) >= count;
        assert!(self.path.journal.awaits(enough, PATIENCE), "waited for {count} lines with {words:?}");
    }

    /// Waits for a request of this BOSH session with nothing in it, with this rid or a later one.
    pub fn awaits_poll(&self, sid: &str, rid: u64) {
        let rid_of = |line: &str| line.split_once("<body rid=\"")?.1.split('"').next()?.parse::<u64>().ok();
        let empty = |line: &str| line.contains(sid) && line.contains("httpbind\"/> | ");
        let fits = |line: &String| empty(line) && rid_of(line).is_some_and(|r| r >= rid);
        let enough = |lines: &[String]| lines.iter().any(fits);
        assert!(self.path.journal.awaits(enough, PATIENCE), "waited for a poll from {rid} on");
    }

    /// How many lines of the journal hold all of these words.
    pub fn count_lines(&self, words: &[&str]) -> usize {
        self.path.journal.lines_with(words)
    }

    /// What came and what became of it, line by line.
    pub fn journal(&self) -> String {
        self.path.journal.text()
    }
}

impl Path {
    fn throw(&self) -> Fate {
        if let Some(fate) = *self.all.lock().expect("no panic under it") {
            return fate;
        }
        let storm = self.storm.load(Ordering::Relaxed);
        if storm { self.dice.lock().expect("no panic under it").throw() } else { Fate::Passes }
    }

    async fn server(&self) -> std::io::Result<TcpStream> {
        let server = *self.server.lock().expect("no panic under it");
        TcpStream::connect(server).await
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if std::thread::panicking() {
            let (journal, all) =
                (self.journal(), std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("network.log"));
            let lines: Vec<String> = journal.lines().map(|l| l.chars().take(CHARS_SHOWN).collect()).collect();
            let last = lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n");
            let _ = std::fs::write(&all, &journal); // it would only be more to read
            eprintln!("--- the network ({})\n{last}\n---", all.display());
        }
    }
}
