//! Commands about who is connected.

use super::accounts::{named, node};
use super::answer::{Answer, Refused};
use super::arguments::Arguments;
use crate::admin::status::State;
use compact_str::CompactString;
use herald_session::{LinkInfo, SessionInfo, Transport};
use herald_storage::ask;
use herald_xmpp::{BareJid, Resource};
use serde_json::{Value, json};
use std::collections::HashMap;

/// What ejabberd shows as the priority of a session without presence.
const NO_PRIORITY: i8 = -1;
/// Users whose presence is asked for at a time.
const USERS_AT_A_TIME: usize = 1_000;

/// A session and its presence.
struct Seen {
    session: SessionInfo,
    show: &'static str,
    status: CompactString,
}

pub async fn num_resources(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    Ok(Answer::Number(sessions_of(state, with).await.len() as u64))
}

pub async fn user_resources(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let sessions = sessions_of(state, with).await;
    Ok(Answer::Strings(sessions.iter().map(|s| s.session.jid.resource().to_owned()).collect()))
}

pub async fn user_sessions_info(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    Ok(Answer::Objects(sessions_of(state, with).await.iter().map(|s| shown(s, state)).collect()))
}

pub async fn connected_users(state: &State) -> Result<Answer, Refused> {
    let all = state.sessions.sessions(None, u32::MAX).await;
    Ok(Answer::Strings(all.iter().map(|s| s.jid.to_string()).collect()))
}

pub async fn connected_users_info(state: &State) -> Result<Answer, Refused> {
    let with_jid = |seen: &Seen| {
        let mut members = vec![json!(seen.session.jid.as_str())];
        members.extend(shown(seen, state));
        members
    };
    Ok(Answer::Objects(everybody(state).await.iter().map(with_jid).collect()))
}

pub async fn status_num(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let status = with.text("status");
    let all = everybody(state).await;
    Ok(Answer::Number(all.iter().filter(|s| status == "all" || s.show == status).count() as u64))
}

pub async fn stats(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let n = match with.text("name") {
        "registeredusers" => ask(|then| state.store.account_count(then)).await?,
        "onlineusers" | "onlineusersnode" => state.sessions.stats().sessions.iter().sum(),
        "uptimeseconds" => state.started.elapsed().as_secs(),
        "processes" => state.system.len() as u64,
        _ => return Err(Refused::words(400, "unknown_statistic")),
    };
    Ok(Answer::Number(n))
}

pub async fn get_presence(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let sessions = sessions_of(state, with).await;
    let first = sessions.iter().max_by_key(|s| (s.session.priority, std::cmp::Reverse(s.session.jid.resource())));
    Ok(Answer::Object(match first {
        Some(seen) => vec![json!(seen.session.jid.as_str()), json!(seen.show), json!(seen.status.as_str())],
        None => {
            let jid = named(state, with).map_or_else(|| as_given(with), |user| user.to_string());
            vec![json!(jid), json!("unavailable"), json!("")]
        }
    }))
}

pub async fn get_last(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let now = jiff::Timestamp::now();
    let (at, status) = match named(state, with) {
        None => (now, "NOT FOUND"),
        Some(user) if !state.sessions.sessions_of(&user).await.is_empty() => (now, "ONLINE"),
        Some(user) => {
            let seen = ask(|then| state.store.last_seen(vec![user], then)).await?;
            let seen = seen.first().copied().flatten().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            seen.map_or((now, "NOT FOUND"), |at| (at, "")) // the words of the last presence are not kept
        }
    };
    Ok(Answer::Object(vec![json!(at.to_string()), json!(status)]))
}

/// Says yes whether there was one or not, as ejabberd does.
pub async fn kick_session(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    if let (Some(user), Ok(resource)) = (named(state, with), Resource::new(with.text("resource"))) {
        let reason: String = with.text("reason").chars().filter(|c| !c.is_control()).take(1_000).collect();
        state.sessions.kick(&user, Some(resource), &reason).await;
    }
    Ok(Answer::Code(true))
}

pub async fn kick_user(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let Some(user) = named(state, with) else { return Ok(Answer::Number(0)) };
    Ok(Answer::Number(state.sessions.kick(&user, None, "has been kicked").await.into()))
}

/// In the order of their resources.
async fn sessions_of(state: &State, with: &Arguments) -> Vec<Seen> {
    match named(state, with) {
        Some(user) => seen(state, state.sessions.sessions_of(&user).await).await,
        None => Vec::new(),
    }
}

async fn everybody(state: &State) -> Vec<Seen> {
    seen(state, state.sessions.sessions(None, u32::MAX).await).await
}

/// Asks for the presence of all these sessions.
async fn seen(state: &State, sessions: Vec<SessionInfo>) -> Vec<Seen> {
    let mut all = Vec::with_capacity(sessions.len());
    for some in sessions.chunks(USERS_AT_A_TIME) {
        let mut uids: Vec<_> = some.iter().map(|s| CompactString::from(s.jid.bare_str())).collect();
        uids.dedup();
        let mut presence = HashMap::new();
        for user in state.sessions.presence(&uids).await {
            for r in user.resources {
                let show = r.priority.map(|_| word(r.show.as_deref()));
                presence.insert((user.uid.clone(), r.resource), (show, r.status.unwrap_or_default()));
            }
        }
        all.extend(some.iter().map(|session| {
            let resource = Resource::new(session.jid.resource()).ok();
            let found = resource.and_then(|r| presence.remove(&(session.jid.bare_str().into(), r)));
            let (show, status) = found.unwrap_or_default();
            Seen { session: session.clone(), show: show.unwrap_or("unavailable"), status }
        }));
    }
    all
}

fn word(show: Option<&str>) -> &'static str {
    match show {
        Some("away") => "away",
        Some("chat") => "chat",
        Some("dnd") => "dnd",
        Some("xa") => "xa",
        _ => "available",
    }
}

/// The members of a session, in the order of the table.
fn shown(seen: &Seen, state: &State) -> Vec<Value> {
    let session = &seen.session;
    let uptime = jiff::Timestamp::now().as_millisecond().saturating_sub(session.since_ms).max(0) / 1_000;
    vec![
        json!(connection(&session.link)),
        json!(session.link.peer.to_string()),
        json!(0), // what port a client comes from is not kept
        json!(session.priority.unwrap_or(NO_PRIORITY)),
        json!(node(state)),
        json!(uptime),
        json!(seen.show),
        json!(session.jid.resource()),
        json!(seen.status.as_str()),
    ]
}

fn connection(link: &LinkInfo) -> &'static str {
    match link.transport {
        Transport::Tcp if link.secure => "c2s_tls",
        Transport::Tcp => "c2s",
        Transport::Bosh => "http_bind",
        other => other.as_str(),
    }
}

fn as_given(with: &Arguments) -> String {
    match BareJid::new(Some(with.text("user")), with.text("host")) {
        Ok(jid) => jid.to_string(),
        Err(_) => format!("{}@{}", with.text("user"), with.text("host")),
    }
}
