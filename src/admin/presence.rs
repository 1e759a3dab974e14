//! `GET /api/v1/presence?uid=a&uid=b`: who is there.

use super::input::{query, user};
use super::problem::Problem;
use super::sendto::UIDS_MAX;
use super::status::State;
use actix_web::{HttpRequest, HttpResponse, web};
use herald_session::{PresenceInfo, Uid};
use serde_json::{Value, json};

/// In the order of the question. A user without an account is simply not online.
pub async fn presence(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let uids: Vec<Uid> = query(&request, &["uid"])?.into_iter().map(|(_, uid)| uid.into()).collect();
    if uids.is_empty() || uids.len() > UIDS_MAX {
        return Err(Problem::invalid("uid", format!("it must be given 1 to {UIDS_MAX} times, not {}", uids.len())));
    }
    for uid in &uids {
        user(uid, &state)?;
    }
    let results: Vec<Value> = state.sessions.presence(&uids).await.iter().map(one).collect();
    Ok(HttpResponse::Ok().json(json!({ "results": results })))
}

fn one(info: &PresenceInfo) -> Value {
    let resources = info.resources.iter().map(|r| {
        json!({
            "resource": r.resource.as_str(),
            "available": r.priority.is_some(),
            "priority": r.priority,
            "show": r.show.as_deref(),
            "status": r.status.as_deref(),
            "transport": r.link.transport.as_str(),
            "secure": r.link.secure,
            "peer": r.link.peer.to_string(),
        })
    });
    json!({ "uid": info.uid.as_str(), "online": info.online(), "resources": resources.collect::<Vec<_>>() })
}
