//! Requests that are carried out once, however often they are made.
//!
//! A request under a name (`Idempotency-Key`, or `key` in the body) leaves its answer in the store for
//! [`HOLDS_MS`]. The same request again is answered with that; another one under the same name is refused. Who asks
//! twice at the same time is told to wait. Should the server die between sending and keeping the answer, the name
//! also went down to each receiver's log ([`Terms::once`](herald_session::Terms::once)): nothing is kept twice.
//!
//! An answer that says that something failed is not kept: asking again is then the way to have it done.

use super::keyring::Caller;
use super::problem::{Code, Problem};
use super::status::State;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use herald_storage::{KeptResult, ask};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::Mutex;

/// A name is remembered for a day.
pub const HOLDS_MS: i64 = 24 * 60 * 60 * 1_000;
/// The longest name, in bytes.
const KEY_BYTES_MAX: usize = 255;
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The names of requests in work.
#[derive(Default)]
pub struct InFlight(Mutex<HashSet<String>>);

/// An answer, and whether it was given before.
pub struct Carried {
    /// The body.
    pub answer: Value,
    /// Is it the first one's again?
    pub replayed: bool,
}

impl Carried {
    /// As HTTP has it.
    pub fn response(self) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        if self.replayed {
            response.insert_header((REPLAYED, HeaderValue::from_static("true")));
        }
        response.json(self.answer)
    }
}

/// The name in the header: as it is, or as the string of a structured field (RFC 8941), which has quotation marks.
pub fn header(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let name = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    if name.is_empty() || name.len() > KEY_BYTES_MAX || !name.bytes().all(|b| matches!(b, b' '..=b'~')) {
        let words = format!("the header must have 1 to {KEY_BYTES_MAX} visible ASCII characters");
        return Err(Problem::invalid("Idempotency-Key", words));
    }
    Ok(Some(name.to_owned()))
}

/// A name within the space of whoever asks, so that nobody meets another's.
pub fn key(caller: Option<&Caller>, name: &str) -> String {
    let of = caller.and_then(|c| c.name.as_deref()).unwrap_or_default();
    format!("api:{of}:{name}")
}

/// What there is to do for a request under a name.
pub enum Begun<'f> {
    /// Nothing: this was answered the first time.
    Again(Value),
    /// To carry it out.
    First(Ticket<'f>),
}

/// The name of a request in work; nobody else may carry it out while this lives.
pub struct Ticket<'f> {
    flight: Flight<'f>,
    request_hash: [u8; 32],
}

/// Looks whether the request was carried out before.
pub async fn begin<'s>(state: &'s State, key: String, body: &[u8]) -> Result<Begun<'s>, Problem> {
    let Some(flight) = Flight::begin(&state.in_flight, key) else {
        return Err(Problem::new(Code::InFlight, "a request with the same key is in work: its answer will come"));
    };
    let request_hash: [u8; 32] = Sha256::digest(body).into();
    let Some(first) = ask(|then| state.store.result(&flight.key, then)).await? else {
        return Ok(Begun::First(Ticket { flight, request_hash }));
    };
    if first.request_hash != request_hash {
        let words = "another request came with the same key within 24 hours";
        return Err(Problem::new(Code::IdempotencyMismatch, words));
    }
    Ok(Begun::Again(serde_json::from_slice(&first.answer).unwrap_or(Value::Null)))
}

impl Ticket<'_> {
    /// The name.
    pub fn key(&self) -> &str {
        &self.flight.key
    }

    /// Keeps the answer for repetitions.
    pub async fn keep(self, state: &State, answer: &Value) {
        let expires_ms = jiff::Timestamp::now().as_millisecond() + HOLDS_MS;
        let kept = KeptResult { request_hash: self.request_hash, answer: answer.to_string().into(), expires_ms };
        // It is done, and saying otherwise would have it done again; who asks again meets `Terms::once`.
        if let Err(e) = ask(|then| state.store.put_result(self.key(), kept, then)).await {
            tracing::warn!("an answer was not kept for repetitions: {e}");
        }
    }
}

/// One name in work, for as long as this lives.
struct Flight<'f> {
    all: &'f InFlight,
    key: String,
}

impl Flight<'_> {
    fn begin(all: &InFlight, key: String) -> Option<Flight<'_>> {
        let mut names = all.0.lock().unwrap_or_else(|e| e.into_inner());
        names.insert(key.clone()).then(|| Flight { all, key })
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(|e| e.into_inner()).remove(&self.key);
    }
}
