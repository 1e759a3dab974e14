//! `GET` and `POST /api/v1/presence`: who is there, and since when, or when they were last.

use super::input::{Json, query, user};
use super::problem::Problem;
use super::sendto::UIDS_MAX;
use super::status::State;
use crate::events::moment;
use actix_web::{HttpRequest, HttpResponse, web};
use herald_session::{PresenceInfo, Uid};
use herald_storage::ask;
use herald_xmpp::BareJid;
use serde::Deserialize;
use serde_json::{Value, json};

/// `?uid=a&uid=b`. In the order of the question. A user without an account is simply not online.
pub async fn presence(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let uids = query(&request, &["uid"])?.into_iter().map(|(_, uid)| uid).collect();
    answer(&state, uids).await
}

/// Whom it is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    uid: Vec<String>,
}

/// The same for uids that do not fit into an address.
pub async fn presence_of(state: web::Data<State>, Json(who): Json<Who>) -> Result<HttpResponse, Problem> {
    answer(&state, who.uid).await
}

async fn answer(state: &State, uids: Vec<String>) -> Result<HttpResponse, Problem> {
    if uids.is_empty() || uids.len() > UIDS_MAX {
        return Err(Problem::invalid("uid", format!("it must be given 1 to {UIDS_MAX} times, not {}", uids.len())));
    }
    let users = uids.iter().map(|uid| user(uid, state)).collect::<Result<Vec<BareJid>, Problem>>()?;
    let uids: Vec<Uid> = uids.into_iter().map(Uid::from).collect();
    let there = state.sessions.presence(&uids).await;
    let seen = ask(|then| state.store.last_seen(users, then)).await?;
    let results: Vec<Value> = there.iter().zip(seen).map(|(info, seen)| with_last_seen(info, seen)).collect();
    Ok(HttpResponse::Ok().json(json!({ "results": results })))
}

fn with_last_seen(info: &PresenceInfo, seen_ms: Option<i64>) -> Value {
    let mut user = shown(info);
    // Who is online has not been seen last.
    user["last_seen"] = seen_ms.filter(|_| !info.online()).map(moment).into();
    user
}

/// A user and their resources.
pub fn shown(info: &PresenceInfo) -> Value {
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
    json!({
        "uid": info.uid.as_str(),
        "online": info.online(),
        "since": info.since_ms.map(moment),
        "resources": resources.collect::<Vec<_>>(),
    })
}
