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
//! When a test panics, the journal is shown, its last lines last.

mod dice;
mod journal;
mod pass;

pub use dice::{Fate, Weather};

use dice::Dice;
use journal::Journal;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

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

    /// The next POST meets this fate, whatever the dice say.
    pub fn next(&self, fate: Fate) {
        self.path.dice.lock().expect("no panic under it").force(fate);
    }

    /// New connections go to this server.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.path.server.lock().expect("no panic under it") = server;
    }

    /// How many requests met this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.path.journal.count(fate)
    }

    /// Whether a request has passed whose text holds all of these.
    pub fn has_seen(&self, words: &[&str]) -> bool {
        self.path.journal.has_seen(words)
    }

    /// What came and what became of it, line by line.
    pub fn journal(&self) -> String {
        self.path.journal.text()
    }
}

impl Path {
    fn throw(&self) -> Fate {
        let mut dice = self.dice.lock().expect("no panic under it");
        if self.storm.load(Ordering::Relaxed) { dice.throw() } else { dice.forced().unwrap_or(Fate::Passes) }
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
            eprintln!("--- the network\n{}---", self.journal());
        }
    }
}
