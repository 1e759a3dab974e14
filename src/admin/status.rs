//! `/healthz`, `/metrics`, `/api/v1/status`, `/api/v1/openapi.json`: how the server is.

use super::idempotent::InFlight;
use super::keyring::Keyring;
use super::login::WaysIn;
use super::problem::{Code, Problem};
use super::token::Token;
use crate::config::Config;
use crate::events::Events;
use crate::metrics;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use herald_session::{Sessions, Transport};
use herald_storage::{Store, ask};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Instant;

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not all listeners are open.
    Starting,
    /// Everything works.
    Ready,
    /// Clients are told to go; nothing new is taken.
    Draining,
}

impl Phase {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        }
    }
}

/// A [`Phase`] that all threads see.
pub struct PhaseCell(AtomicU8);

impl PhaseCell {
    /// The phase now.
    pub fn now(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }
    /// The next phase.
    pub fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Release);
    }
}

/// What the endpoints need to know.
pub struct State {
    pub config: Arc<Config>,
    pub sessions: Sessions,
    pub store: Arc<dyn Store>,
    pub ways_in: WaysIn,
    pub system: herald_actor::System,
    pub keyring: Keyring,
    pub events: Arc<Events>,
    pub phase: PhaseCell,
    pub started: Instant,
    pub addresses: OnceLock<BTreeMap<&'static str, SocketAddr>>,
    pub(super) in_work: AtomicU32,
    pub(super) in_flight: InFlight,
    /// Held by whoever changes the keys.
    pub(super) keys_change: tokio::sync::Mutex<()>,
    /// Answers by the first digit of their status, from 1.
    answers: [AtomicU64; 5],
}

impl State {
    /// In [`Phase::Starting`].
    #[allow(clippy::too_many_arguments)] // each is a part of the server
    pub fn new(
        config: Arc<Config>,
        sessions: Sessions,
        store: Arc<dyn Store>,
        ways_in: WaysIn,
        system: herald_actor::System,
        token: Token,
        events: Arc<Events>,
        started: Instant,
    ) -> State {
        State {
            config,
            sessions,
            store,
            ways_in,
            system,
            keyring: Keyring::new(token),
            events,
            phase: PhaseCell(AtomicU8::new(Phase::Starting as u8)),
            started,
            addresses: OnceLock::new(),
            in_work: AtomicU32::new(0),
            in_flight: InFlight::default(),
            keys_change: tokio::sync::Mutex::new(()),
            answers: Default::default(),
        }
    }
    pub(super) fn counted(&self, status: StatusCode) {
        if let Some(count) = self.answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// 200 when ready, else 503.
pub async fn healthz(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    match state.phase.now() {
        Phase::Ready => Ok(HttpResponse::Ok().json(json!({ "state": "ready" }))),
        phase => Err(Problem::new(Code::NotServing, format!("the server is {}", phase.as_str()))),
    }
}

/// For people and scripts; [`metrics()`] is for monitors.
pub async fn status(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let accounts = ask(|then| state.store.account_count(then)).await?;
    let stats = state.sessions.stats();
    let sessions: Map<String, Value> =
        Transport::ALL.iter().zip(stats.sessions).map(|(t, n)| (t.as_str().into(), n.into())).collect();
    Ok(HttpResponse::Ok().json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "state": state.phase.now().as_str(),
        "domain": state.config.domain.as_str(),
        "uptime_secs": state.started.elapsed().as_secs(),
        "sessions": sessions,
        "resumable": metrics::resumable(),
        "actors": state.system.len(),
        "accounts": accounts,
        "memory_bytes": metrics::resident_bytes(),
        "addresses": state.addresses.get(),
    })))
}

/// Prometheus' text format, version 0.0.4.
pub async fn metrics(state: web::Data<State>) -> HttpResponse {
    let answers = state.answers.each_ref().map(|n| n.load(Ordering::Relaxed));
    let text = metrics::render(&metrics::Sources {
        sessions: &state.sessions.stats(),
        actors: state.system.len(),
        store: &state.store.stats(),
        tokens: state.ways_in.tokens.outstanding(Instant::now()),
        uptime: state.started.elapsed(),
        ready: state.phase.now() == Phase::Ready,
        api_answers: answers,
        api_in_work: state.in_work.load(Ordering::Relaxed),
        events: &state.events,
    });
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// The description of all this.
pub async fn openapi() -> HttpResponse {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());
    HttpResponse::Ok().content_type("application/json").body(DOCUMENT.as_str())
}

/// What is written by hand, and the commands of ejabberd from their table.
pub fn document() -> Value {
    let mut document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap_or_default(); // a test reads it
    if let Some(paths) = document["paths"].as_object_mut() {
        paths.extend(super::ejabberd::paths());
    }
    document
}
