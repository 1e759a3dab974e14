//! The server, put together: from a configuration to the ready banner, and down again.

use crate::admin::{Admin, Phase, State, Token, WaysIn, load_keys};
use crate::certificate::Certificate;
use crate::config::{Config, Limits};
use crate::events::Events;
use crate::files::{self, write_whole};
use crate::ingest::Ingest;
use crate::jwt::Jwt;
use crate::net::{Comet, Net, Setup};
use crate::tokens::Tokens;
use crate::{banner, log};
use anyhow::{Context, Result, bail};
use herald_session::{Observer, Sessions};
use herald_storage::sqlite::{self, Sqlite};
use herald_storage::{Retention, Store};
use herald_xmpp::xml;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Where a ready server says its addresses, within the data folder: `{"xmpp":"127.0.0.1:5222",..}`.
pub const ADDRESSES: &str = "addresses.json";
/// The operator's token, within the data folder.
pub const TOKEN: &str = "admin.token";
/// What strangers' decoy keys are made of, within the data folder: whoever asks twice for a user who
/// does not exist must be told the same salt, also after a restart.
const SECRET: &str = "server.secret";
/// Held by the server that runs on a data folder, within it.
const LOCK: &str = "herald.lock";
/// How long actors get to handle the mail they have once no client is left.
const ACTORS_STOP_MAX: Duration = Duration::from_millis(300);
/// From the first signal to the end of the process, whatever hangs.
const STOP_MAX: Duration = Duration::from_millis(9_700);

/// Open files that are not for clients: the database, the operator's API, the log. Without them, a server full of
/// clients could serve none.
const FILES_RESERVED: u64 = 256;

/// Serves until a signal ends it. An error is a reason not to start, in one line.
pub fn serve(config: Config, file: Option<PathBuf>) -> Result<()> {
    let started = Instant::now();
    log::start(&config.log)?;
    let (soft, hard) = raise_open_files().context("the limit of open files")?;
    tracing::debug!(soft, hard, "open files");
    let connections_max = places(soft, config.limits.connections_max);
    if connections_max < config.limits.connections_max as usize {
        tracing::info!("{soft} open files are allowed: that is for {connections_max} connections (`ulimit -Hn`)");
    }
    make_data_dir(&config.data_dir)?;
    let lock = lock_data_dir(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime")?;
    let served = runtime.block_on(run(Arc::new(config), file.as_deref(), started, connections_max));
    // What still runs has had its time; a thread that hangs must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    drop(lock);
    served
}

async fn run(config: Arc<Config>, file: Option<&Path>, started: Instant, connections_max: usize) -> Result<()> {
    // Before anything can be waited for: a signal during the start ends it too.
    let mut signals = Signals::new()?;
    let store = open_swept(&config, true)?;
    let token = Token::load(&config.data_dir.join(TOKEN))?;
    let certificate = Certificate::load(&config.tls, &config.domain, &config.data_dir)?;
    let jwt = Jwt::load(&config.jwt, &config.domain)?.map(Arc::new);
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let system = herald_actor::System::new(&tokio::runtime::Handle::current(), workers);
    let sessions = Sessions::new(
        system.clone(),
        store.clone(),
        herald_modules::standard(),
        session_settings(&config),
        Arc::new(herald_session::clock::SystemClock),
    );
    let events = Arc::new(Events::start(&config, &store)?);
    let tokens = Arc::new(Tokens::new(config.auth.tokens_max));
    let secret = files::secret(&config.data_dir.join(SECRET))?;
    let comet = Comet::new(&config, sessions.clone(), store.clone(), secret, started);
    let watchers: Vec<Arc<dyn Observer>> = vec![comet.clone(), events.hub().clone()];
    sessions.observe(Arc::new(watchers));
    let net = Net::start(Setup {
        config: config.clone(),
        connections_max,
        sessions: sessions.clone(),
        store: store.clone(),
        comet: comet.clone(),
        tls: certificate.tls.clone(),
        tokens: tokens.clone(),
        jwt: jwt.clone(),
        secret,
    })
    .await?;
    let state = Arc::new(State::new(
        config.clone(),
        sessions.clone(),
        store.clone(),
        WaysIn { tokens, prebind: net.prebind(), comet },
        system,
        token,
        events,
        started,
    ));
    load_keys(&state.keyring, &*store).await.context("the keys of backends")?;
    let mut addresses: BTreeMap<&'static str, SocketAddr> = net.addresses().iter().copied().collect();
    let admin = match config.listen.admin {
        Some(address) => {
            let listener = bind("admin", address)?;
            addresses.insert("admin", listener.local_addr()?);
            Some(Admin::start(listener, state.clone())?)
        }
        None => None,
    };
    let _ = state.addresses.set(addresses.clone());
    write_addresses(&config.data_dir, &addresses)?;
    let ingest = Ingest::start(&config, &sessions)?;
    state.phase.enter(Phase::Ready);
    print(&banner::banner(&config, file, &addresses, &certificate, started.elapsed()));

    while signals.next().await == Signalled::Reload {
        match certificate.reload() {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(e) => tracing::error!("the certificate stays as it was: {e:#}"),
        }
        match jwt.as_ref().map(|jwt| jwt.reload()) {
            Some(Ok(())) => tracing::info!("the keys for JWTs were read again"),
            Some(Err(e)) => tracing::error!("the keys for JWTs stay as they were: {e:#}"),
            None => {}
        }
    }
    state.phase.enter(Phase::Draining);
    tracing::info!("stopping: clients have {} s to take their leave", config.drain_secs);
    end_in_any_case();
    tokio::select! {
        ended = drain(&config, &net, &state, admin, ingest) => ended,
        () = signals.end() => {
            tracing::warn!("a second signal: ending at once");
            std::process::exit(1);
        }
    }
}

async fn drain(config: &Config, net: &Net, state: &State, admin: Option<Admin>, ingest: Ingest) -> Result<()> {
    net.drain();
    let drained = state.sessions.drain(Duration::from_secs(config.drain_secs.into()));
    let (left, ()) = tokio::join!(drained, ingest.stop());
    if left > 0 {
        tracing::warn!("{left} sessions did not end in time");
    }
    net.stop();
    // Actors may still have mail, and what they do with it must reach the store before that closes.
    state.system.shutdown(ACTORS_STOP_MAX).await;
    state.events.stop().await;
    if let Some(admin) = admin {
        admin.stop().await;
    }
    let _ = std::fs::remove_file(config.data_dir.join(ADDRESSES)); // it may have been removed already
    let store = state.store.clone();
    tokio::task::spawn_blocking(move || store.close()).await.context("closing the database")??;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the store of this configuration for a command, beside a server or not; makes the data folder when
/// it is missing.
pub fn open_store(config: &Config) -> Result<Arc<dyn Store>> {
    open_swept(config, false) // the server wants to know what expires
}

fn open_swept(config: &Config, sweeps: bool) -> Result<Arc<dyn Store>> {
    make_data_dir(&config.data_dir)?;
    let history = Retention { days: config.history.days, messages_max: config.history.messages_max };
    Sqlite::open(&config.data_dir, sqlite::Settings { history, sweeps, ..sqlite::Settings::default() })
        .with_context(|| format!("the database in {}", config.data_dir.display()))
}

/// How much XML is taken from a stranger.
pub fn xml_limits(limits: &Limits) -> xml::Limits {
    xml::Limits {
        bytes_max: limits.stanza_bytes_max,
        depth_max: limits.depth_max,
        attrs_max: limits.attributes_max,
        elements_max: limits.elements_max,
    }
}

/// Binds a listener; the error names its key and what to do.
pub fn bind(name: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|e| refused(name, address, &e))
}

/// A listener that cannot be opened, in words that name its key.
pub fn refused(name: &str, address: SocketAddr, e: &std::io::Error) -> anyhow::Error {
    let words = match e.kind() {
        std::io::ErrorKind::AddrInUse => "the port is in use by another program".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "permission denied: a port below 1024 needs CAP_NET_BIND_SERVICE".to_owned()
        }
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => e.to_string(),
    };
    anyhow::anyhow!("listen.{name} = \"{address}\": {words}")
}

fn session_settings(config: &Config) -> herald_session::Settings {
    herald_session::Settings {
        resources_max: config.limits.resources_max,
        roster_max: config.limits.roster_max,
        offline_max: config.offline.messages_max,
        offline_page: config.offline.page_messages,
        offline_page_bytes: config.offline.page_bytes,
        behind_secs: config.limits.behind_secs,
        idle_secs: config.limits.idle_secs,
        ..herald_session::Settings::new(&config.domain)
    }
}

fn make_data_dir(dir: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("data_dir = \"{}\": it cannot be made", dir.display()))
}

/// Two servers on one data folder would each believe to know who is online.
fn lock_data_dir(dir: &Path) -> Result<File> {
    let file = dir.join(LOCK);
    let open = File::options().create(true).truncate(false).write(true).open(&file);
    let lock = open.with_context(|| format!("{}: it cannot be opened", file.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("another herald serves on {}", dir.display()),
        Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("{}: it cannot be locked", file.display())),
    }
}

fn write_addresses(dir: &Path, addresses: &BTreeMap<&'static str, SocketAddr>) -> Result<()> {
    let text = serde_json::to_string(addresses)?;
    write_whole(&dir.join(ADDRESSES), format!("{text}\n").as_bytes(), 0o644)
}

/// How many connections there may be: what is configured, or what the open files allow.
fn places(open_files: u64, connections_max: u32) -> usize {
    let room = open_files - FILES_RESERVED.min(open_files / 4);
    usize::try_from(room.min(connections_max.into())).unwrap_or(usize::MAX)
}

/// Every connection is an open file.
fn raise_open_files() -> std::io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a pointer to a whole rlimit that outlives them.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Something that hangs must not keep the process: a supervisor would kill it, and say nothing.
fn end_in_any_case() {
    std::thread::spawn(|| {
        let (_keep, never) = std::sync::mpsc::channel::<()>();
        let _ = never.recv_timeout(STOP_MAX);
        tracing::error!("stopping took longer than {STOP_MAX:?}: ending at once");
        std::process::exit(1);
    });
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; the server serves all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// SIGTERM and SIGINT end the server; SIGHUP has it read again what can change while it runs.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

#[derive(PartialEq, Eq)]
enum Signalled {
    End,
    Reload,
}

impl Signals {
    fn new() -> Result<Signals> {
        let on = |kind| signal(kind).context("signals cannot be handled");
        Ok(Signals {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }
    async fn next(&mut self) -> Signalled {
        tokio::select! {
            _ = self.terminate.recv() => Signalled::End,
            _ = self.interrupt.recv() => Signalled::End,
            _ = self.hang_up.recv() => Signalled::Reload,
        }
    }
    async fn end(&mut self) {
        while self.next().await != Signalled::End {}
    }
}
