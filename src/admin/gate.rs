//! What every request passes before it is looked at.

use super::comet;
use super::ejabberd;
use super::endpoints::{ENDPOINTS, Endpoint, Needs};
use super::problem::{Code, Problem};
use super::status::{Phase, State};
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of one request, from whoever asks or from us; the answer has it too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest such name that is taken, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Counts the request, and lets it pass or refuses it.
pub async fn gate(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return Err(Problem::new(Code::NotServing, "the server is starting").into());
    };
    let in_work = InWork::enter(&state);
    let id = request_id(&request);
    let mut response = match check(&request, &state, in_work.before) {
        Err(refusal) if is_ejabberds(&request) => request.into_response(ejabberd::refusal(&refusal)),
        Err(refusal) => request.into_response(refusal.error_response()),
        Ok(()) => next.call(request).await?,
    };
    response.headers_mut().insert(REQUEST_ID, id);
    state.counted(response.status());
    Ok(response)
}

fn check(request: &ServiceRequest, state: &State, in_work: u32) -> Result<(), Problem> {
    let needs = needs(request);
    if matches!(needs, Some(Needs::Nothing)) {
        return Ok(());
    }
    let caller = state.keyring.caller(request.headers(), is_ejabberds(request));
    let needs = match needs {
        Some(Needs::Command) => ejabberd::scope(request.match_info().as_str()).map(Needs::Key),
        needs => needs,
    };
    match (&caller, needs) {
        (Some(caller), Some(Needs::Key(scope) | Needs::KeyOrAddress(scope, _))) if !caller.scopes.allow(scope) => {
            let words = format!("this needs a key with the scope `{}`", scope.as_str());
            return Err(Problem::new(Code::Forbidden, words));
        }
        (None, Some(Needs::KeyOrAddress(_, lets_in))) if lets_in(&state.config, peer(request)) => {}
        (None, _) => {
            let words = "the header `Authorization: Bearer KEY` or `X-API-Key: KEY` must bring a key, or the token of \
                         admin.token in the data folder";
            return Err(Problem::new(Code::Unauthorized, words));
        }
        (Some(_), _) => {}
    }
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    if in_work >= state.config.admin.requests_max {
        return Err(Problem::new(Code::Busy, format!("{in_work} requests are in work: try again later")));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match state.phase.now() {
        Phase::Ready => Ok(()),
        _ if reads => Ok(()),
        phase => Err(Problem::new(Code::NotServing, format!("the server is {}", phase.as_str()))),
    }
}

/// What is asked needs; `None`: there is no such thing, and whoever has a key is told so.
fn needs(request: &ServiceRequest) -> Option<Needs> {
    let pattern = pattern(request)?;
    let asked = |e: &&Endpoint| {
        e.path == pattern
            && (e.method == *request.method() || e.method == Method::GET && *request.method() == Method::HEAD)
    };
    ENDPOINTS.iter().find(asked).map(|e| e.needs).or_else(|| comet::needs(pattern.as_ref()))
}

fn is_ejabberds(request: &ServiceRequest) -> bool {
    pattern(request).is_some_and(|pattern| ejabberd::is_ours(&pattern))
}

/// What the router is going to find. It looks at the path without %XX, and so do we: [`ServiceRequest::match_pattern`]
/// looks at it as it was written, and would find nothing to ask a key for at `/api/v1/key%73`.
fn pattern(request: &ServiceRequest) -> Option<String> {
    request.resource_map().match_pattern(request.match_info().as_str())
}

fn peer(request: &ServiceRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip())
}

/// As it came; one of ours when none came, or none that a log could hold.
fn request_id(request: &ServiceRequest) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID);
    let holds = |id: &&HeaderValue| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    given.filter(holds).cloned().unwrap_or_else(|| {
        static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = format!("{:016x}-{}", *START, NEXT.fetch_add(1, Ordering::Relaxed));
        HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
    })
}

/// One request in work, for as long as this lives.
struct InWork<'s> {
    state: &'s State,
    before: u32,
}

impl InWork<'_> {
    fn enter(state: &State) -> InWork<'_> {
        InWork { state, before: state.in_work.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for InWork<'_> {
    fn drop(&mut self) {
        self.state.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}
