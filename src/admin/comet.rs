//! The calls of backends written for iComet, at iComet's paths: `src/net/comet/operator.rs` does what they ask.
//!
//! They are no part of the API that the OpenAPI document tells of: another project has made them up, and
//! `docs/icomet.md` says what they are.

use super::endpoints::Needs;
use super::scope::Scope;
use super::status::State;
use crate::net::CometCall;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, guard, web};
use bytes::Bytes;
use std::net::IpAddr;

const PSUB: &str = "/psub";
const PATHS: [&str; 9] = [PSUB, "/push", "/pub", "/broadcast", "/sign", "/close", "/clear", "/info", "/check"];

/// Who may ask them: holders of a key for what they are, and whoever asks from an address of `comet.operators`. With
/// what `/sign` gives, all of a user's messages can be read, as with a login token.
pub fn needs(pattern: &str) -> Option<Needs> {
    let scope = match pattern {
        "/push" | "/pub" | "/broadcast" => Scope::Push,
        "/sign" | "/close" | "/clear" => Scope::Users,
        PSUB | "/info" | "/check" => Scope::PresenceRead,
        _ => return None,
    };
    Some(Needs::KeyOrAddress(scope, |config, peer| config.comet.operators.contains(peer)))
}

/// All of them, by GET and POST.
pub fn routes(app: &mut web::ServiceConfig) {
    for path in PATHS {
        let asked = || guard::Any(guard::Get()).or(guard::Post());
        let route = if path == PSUB { web::to(psub) } else { web::to(call) };
        let resource = web::resource(path).default_service(web::to(super::problem::method_not_allowed));
        app.service(resource.route(route.guard(asked())));
    }
}

async fn call(state: web::Data<State>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let Some(call) = CometCall::at(request.path()) else { return HttpResponse::NotFound().finish() };
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
    let said = state.ways_in.comet.call(call, request.query_string(), &body, peer).await;
    HttpResponse::build(StatusCode::from_u16(said.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .insert_header(("content-type", said.content_type))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header(("access-control-allow-origin", "*"))
        .body(said.body.into_owned())
}

/// Who is there, as it changes, without end.
async fn psub(state: web::Data<State>) -> HttpResponse {
    let lines = futures_util::stream::unfold(state.ways_in.comet.psub(), |mut psub| async move {
        let lines = psub.next().await?;
        Some((Ok::<_, actix_web::Error>(lines), psub))
    });
    HttpResponse::Ok().insert_header(("content-type", "text/plain; charset=utf-8")).streaming(lines)
}
