//! What every request passes before it is looked at.

use super::problem::{Code, Problem};
use super::status::{Phase, State};
use super::{ENDPOINTS, problem};
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};
use std::sync::atomic::Ordering;

/// Counts the request, and lets it pass or refuses it.
pub async fn gate(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else {
        return Err(Problem::new(Code::NotServing, "the server is starting").into());
    };
    let in_work = InWork::enter(&state);
    let response = match check(&request, &state, in_work.before) {
        Err(refusal) => request.into_response(refusal.error_response()),
        Ok(()) => next.call(request).await?,
    };
    state.counted(response.status());
    Ok(response)
}

fn check(request: &ServiceRequest, state: &State, in_work: u32) -> Result<(), problem::Problem> {
    let open = ENDPOINTS.iter().any(|e| e.open && e.path == request.path());
    if open {
        return Ok(());
    }
    let header = request.headers().get(header::AUTHORIZATION);
    if !header.is_some_and(|h| state.token.is_in(h.as_bytes())) {
        let words = "the header `Authorization: Bearer TOKEN` must bring the token of admin.token in the data folder";
        return Err(Problem::new(Code::Unauthorized, words));
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
