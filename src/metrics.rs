//! Counters of this process, and all of them as Prometheus reads them.

use crate::events::{Events, Intake, Kind};
use herald_session::{Stats, Transport};
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Login {
    /// A resource is bound.
    Ok,
    /// A wrong name or password, or a mechanism that is not offered.
    Refused,
    /// The store failed.
    Failed,
    /// The client did not finish in time.
    TimedOut,
}

const LOGINS: [&str; 4] = ["ok", "refused", "failed", "timed_out"];
static LOGIN_COUNTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Counts a login.
pub fn login(result: Login) {
    LOGIN_COUNTS[result as usize].fetch_add(1, Ordering::Relaxed);
}

static RESUMABLE: AtomicU64 = AtomicU64::new(0);

/// A session without a connection that can be resumed (XEP-0198); counted until it is dropped.
pub struct Resumable(());

impl Resumable {
    /// One more.
    pub fn count() -> Resumable {
        RESUMABLE.fetch_add(1, Ordering::Relaxed);
        Resumable(())
    }
}

impl Drop for Resumable {
    fn drop(&mut self) {
        RESUMABLE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many there are.
pub fn resumable() -> u64 {
    RESUMABLE.load(Ordering::Relaxed)
}

static PARKED: AtomicU64 = AtomicU64::new(0);

/// A connection came to rest.
pub fn parked() {
    PARKED.fetch_add(1, Ordering::Relaxed);
}

/// It goes on.
pub fn unparked() {
    PARKED.fetch_sub(1, Ordering::Relaxed);
}

/// What token buckets did (`[shaping]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Shaped {
    /// A connection was not read for a while.
    Slowed,
    /// An address made too many connections.
    Connection,
    /// An address began too many streams or BOSH sessions.
    Session,
    /// Too many logins had failed there.
    Login,
}

const SHAPED: [&str; 4] = ["slowed", "connection_refused", "session_refused", "login_refused"];
static SHAPED_COUNTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Counts it.
pub fn shaped(what: Shaped) {
    SHAPED_COUNTS[what as usize].fetch_add(1, Ordering::Relaxed);
}

/// Where the numbers come from.
pub struct Sources<'a> {
    pub sessions: &'a Stats,
    pub actors: usize,
    pub store: &'a herald_storage::Stats,
    /// One-time login tokens that are outstanding.
    pub tokens: usize,
    pub uptime: Duration,
    pub ready: bool,
    /// Answers of the operator's API by the first digit of their status, from 1.
    pub api_answers: [u64; 5],
    /// Its requests in work.
    pub api_in_work: u32,
    /// What happens, and who is told.
    pub events: &'a Events,
}

/// Everything, in Prometheus' text format.
pub fn render(from: &Sources<'_>) -> String {
    let mut page = Page(String::new());
    let (s, store) = (from.sessions, from.store);
    let version = env!("CARGO_PKG_VERSION");
    page.metric("herald_build_info", "gauge", "What was built.", &[(&[("version", version)], 1)]);
    page.metric("herald_ready", "gauge", "1 when clients are served.", &[(&[], u64::from(from.ready))]);
    page.metric("herald_uptime_seconds", "gauge", "Since the start.", &[(&[], from.uptime.as_secs())]);
    let transports = Transport::ALL.map(|t| [("transport", t.as_str())]);
    let sessions: Vec<_> = transports.iter().zip(s.sessions).map(|(l, n)| (&l[..], n)).collect();
    page.metric("herald_sessions", "gauge", "Bound resources.", &sessions);
    page.metric(
        "herald_sessions_resumable",
        "gauge",
        "Bound resources without a connection (XEP-0198).",
        &[(&[], resumable())],
    );
    page.metric(
        "herald_connections_parked",
        "gauge",
        "Client connections at rest: without a task until something happens.",
        &[(&[], PARKED.load(Ordering::Relaxed))],
    );
    page.metric("herald_actors", "gauge", "Live actors.", &[(&[], from.actors)]);
    page.metric("herald_actor_panics_total", "counter", "User actors that broke.", &[(&[], s.panics)]);
    page.metric("herald_binds_total", "counter", "Resources bound.", &[(&[], s.binds)]);
    page.metric(
        "herald_stanzas_total",
        "counter",
        "Stanzas: sent by clients, routed between users, delivered to connections, stored, bounced.",
        &[
            (&[("what", "sent")], s.sent),
            (&[("what", "routed")], s.routed),
            (&[("what", "delivered")], s.delivered),
            (&[("what", "stored")], s.stored),
            (&[("what", "bounced")], s.bounced),
        ],
    );
    let behind = "Connections that were full, so that messages went to the store instead.";
    page.metric("herald_behind_total", "counter", behind, &[(&[], s.behind)]);
    page.metric("herald_slow_resources_total", "counter", "Resources that did not keep up.", &[(&[], s.detached)]);
    page.metric("herald_login_tokens", "gauge", "One-time tokens that are outstanding.", &[(&[], from.tokens)]);
    let results = LOGINS.map(|word| [("result", word)]);
    let logins: Vec<_> = results.iter().zip(&LOGIN_COUNTS).map(|(l, n)| (&l[..], n.load(Ordering::Relaxed))).collect();
    page.metric("herald_logins_total", "counter", "Logins by how they ended.", &logins);
    let what = SHAPED.map(|word| [("what", word)]);
    let shaped: Vec<_> = what.iter().zip(&SHAPED_COUNTS).map(|(l, n)| (&l[..], n.load(Ordering::Relaxed))).collect();
    page.metric("herald_shaped_total", "counter", "What token buckets slowed and refused.", &shaped);
    page.metric(
        "herald_store_waiting",
        "gauge",
        "Calls that wait for the store.",
        &[(&[("what", "writes")], store.writes_waiting), (&[("what", "reads")], store.reads_waiting)],
    );
    page.metric("herald_store_writes_total", "counter", "Writes that are durable.", &[(&[], store.writes)]);
    page.metric("herald_store_reads_total", "counter", "Reads answered.", &[(&[], store.reads)]);
    page.metric("herald_store_commits_total", "counter", "Commits.", &[(&[], store.commits)]);
    page.metric(
        "herald_store_commit_seconds_total",
        "counter",
        "Time all commits took.",
        &[(&[], store.commit_us as f64 / 1e6)],
    );
    page.metric("herald_store_failed_total", "counter", "Calls answered with an error.", &[(&[], store.failed)]);
    page.metric("herald_store_busy_total", "counter", "Calls refused: too many waited.", &[(&[], store.busy)]);
    let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|class| [("class", class)]);
    let answers: Vec<_> = classes.iter().zip(from.api_answers).map(|(l, n)| (&l[..], n)).collect();
    page.metric("herald_api_answers_total", "counter", "Answers of the operator's API.", &answers);
    page.metric("herald_api_requests_in_work", "gauge", "Requests it works on.", &[(&[], from.api_in_work)]);
    ingest(&mut page);
    events(&mut page, from.events);
    #[cfg(feature = "guard")]
    page.metric("herald_heap_bytes", "gauge", "What is allocated.", &[(&[], crate::heap::bytes())]);
    page.metric("process_resident_memory_bytes", "gauge", "Resident memory.", &[(&[], resident_bytes())]);
    page.metric("process_open_fds", "gauge", "Open files.", &[(&[], open_files())]);
    page.0
}

/// What came in by other ways than HTTP.
fn ingest(page: &mut Page) {
    use crate::ingest::Kind;
    let sources = Kind::ALL.map(|kind| [("source", kind.as_str())]);
    let states = Kind::ALL.map(Kind::state);
    let each = |pick: fn(&(u64, u64, u64)) -> u64| -> Vec<_> {
        sources.iter().zip(&states).map(|(l, state)| (&l[..], pick(state))).collect()
    };
    page.metric("herald_ingest_connected", "gauge", "1 while there is a connection.", &each(|s| s.0));
    page.metric("herald_ingest_connects_total", "counter", "Connections made.", &each(|s| s.1));
    page.metric("herald_ingest_in_flight", "gauge", "Messages taken and not finished.", &each(|s| s.2));
    let counts = Kind::ALL.map(|kind| kind.counts().map(|(what, n)| ([("source", kind.as_str()), ("what", what)], n)));
    let counts: Vec<_> = counts.iter().flatten().map(|(labels, n)| (&labels[..], *n)).collect();
    let words = "Messages: received, done, found to be done already, tried again, not to be carried out.";
    page.metric("herald_ingest_messages_total", "counter", words, &counts);
}

fn events(page: &mut Page, events: &Events) {
    let hub = events.hub().counts();
    let types = Kind::ALL.map(|kind| [("type", kind.as_str())]);
    let counted: Vec<_> = types.iter().zip(hub.events).map(|(l, n)| (&l[..], n)).collect();
    page.metric("herald_events_total", "counter", "Events while somebody listens, by type.", &counted);
    page.metric("herald_events_readers", "gauge", "Readers of the stream of events.", &[(&[], hub.readers)]);
    page.metric("herald_events_gaps_total", "counter", "Readers told that they have missed some.", &[(&[], hub.gaps)]);
    ways_out(page, events);
    page.metric("herald_events_ring_bytes", "gauge", "Events kept for readers.", &[(&[], hub.ring_bytes)]);
}

fn ways_out(page: &mut Page, events: &Events) {
    let now = |n: &AtomicU64| n.load(Ordering::Relaxed);
    let of: Vec<_> = events.ways_out().iter().map(|way| (way, [("to", way.sink.as_str())])).collect();
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Intake) -> u64| {
        let values: Vec<_> = of.iter().map(|(way, label)| (&label[..], value(way))).collect();
        page.metric(name, kind, help, &values);
    };
    each("herald_events_out_waiting", "gauge", "Events on their way out, durable.", &|way| {
        now(&way.counts.stored_to).saturating_sub(now(&way.counts.done_to))
    });
    each("herald_events_out_unstored_bytes", "gauge", "Events that wait for the store.", &|way| way.bytes() as u64);
    each("herald_events_out_held_users", "gauge", "Users whose events failed and are tried apart.", &|way| {
        now(&way.counts.held)
    });
    each("herald_events_out_taken_total", "counter", "Events that the receiver has.", &|way| now(&way.counts.taken));
    each("herald_events_out_refused_total", "counter", "Batches that were refused or not answered.", &|way| {
        now(&way.counts.refused)
    });
    each("herald_events_out_unreachable_total", "counter", "Batches that did not reach the receiver.", &|way| {
        now(&way.counts.unreachable)
    });
    each("herald_events_out_dead_total", "counter", "Events in the file of dead letters.", &|way| {
        now(&way.counts.dead)
    });
    each("herald_events_out_lost_total", "counter", "Events that are nowhere.", &|way| now(&way.counts.lost));
}

/// Resident memory of this process; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    // SAFETY: sysconf takes no pointer.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages * u64::try_from(page).unwrap_or(4096)
}

fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

struct Page(String);

impl Page {
    /// Label values here are words of our own: nothing to escape.
    fn metric<V: Display>(&mut self, name: &str, kind: &str, help: &str, values: &[(&[(&str, &str)], V)]) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in values {
            let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(self.0, "{name}{labels} {value}");
        }
    }
}
