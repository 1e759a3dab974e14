//! `/api/v1/sessions` and `/api/v1/kick`: who is connected, and ending it.

use super::input::{Json, limit, once, query, user};
use super::problem::Problem;
use super::status::State;
use actix_web::{HttpRequest, HttpResponse, web};
use herald_session::SessionInfo;
use herald_xmpp::{FullJid, Resource};
use serde::Deserialize;
use serde_json::{Value, json};

/// Sessions on one page, when nothing is said.
const PAGE_USUAL: u32 = 100;
/// Sessions on one page.
const PAGE_MAX: u32 = 1_000;
/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_000;

/// A page of sessions, in the order of their addresses; `next` goes on as `after`. With `uid`: that
/// user's sessions.
pub async fn list(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["after", "limit", "uid"])?;
    let limit = limit(&pairs, PAGE_USUAL, PAGE_MAX)?;
    let after = once(&pairs, "after")?.map(str::parse::<FullJid>).transpose();
    let after = after.map_err(|e| Problem::invalid("after", e))?;
    let of = once(&pairs, "uid")?.map(|uid| user(uid, &state)).transpose()?;
    let page = match of {
        None => state.sessions.sessions(after, limit).await,
        Some(user) => {
            let place = |jid: &FullJid| (jid.bare_str().to_owned(), jid.resource().to_owned());
            let mut page = state.sessions.sessions_of(&user).await;
            page.retain(|s| after.as_ref().is_none_or(|after| place(&s.jid) > place(after)));
            page.truncate(limit as usize);
            page
        }
    };
    let next = page.last().filter(|_| page.len() == limit as usize).map(|s| s.jid.to_string());
    let shown: Vec<Value> = page.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "sessions": shown, "next": next })))
}

fn shown(session: &SessionInfo) -> Value {
    let since = jiff::Timestamp::from_millisecond(session.since_ms).map(|t| t.to_string()).unwrap_or_default();
    json!({
        "uid": session.jid.local(),
        "jid": session.jid.as_str(),
        "resource": session.jid.resource(),
        "transport": session.link.transport.as_str(),
        "secure": session.link.secure,
        "peer": session.link.peer.to_string(),
        "priority": session.priority,
        "since": since,
    })
}

/// Whose session to end.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kick {
    uid: String,
    resource: Option<String>,
    reason: Option<String>,
}

/// Ends one session of a user or all, and says how many there were.
pub async fn kick(state: web::Data<State>, Json(ask): Json<Kick>) -> Result<HttpResponse, Problem> {
    let user = user(&ask.uid, &state)?;
    let resource = ask.resource.as_deref().map(Resource::new).transpose();
    let resource = resource.map_err(|e| Problem::invalid("resource", e))?;
    let reason = ask.reason.unwrap_or_else(|| "An operator ended this session".into());
    if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
        let words = format!("it must have at most {REASON_BYTES_MAX} bytes and no control characters");
        return Err(Problem::invalid("reason", words));
    }
    let kicked = state.sessions.kick(&user, resource, &reason).await;
    Ok(HttpResponse::Ok().json(json!({ "kicked": kicked })))
}
