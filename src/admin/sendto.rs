//! `POST /api/v1/sendto`: a message to one user or many, and what became of it for each.

use super::input::{Json, OneOrMany};
use super::problem::{Code, Problem};
use super::status::State;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use herald_session::{Keep, Push, SendtoResult, Terms};
use herald_xmpp::xml::{self, Scope};
use herald_xmpp::{Jid, Kind, MessageType, Stanza};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// Users in one request; more are refused.
pub const UIDS_MAX: usize = 1_000;
/// The longest `ttl_secs`: ten years.
const TTL_SECS_MAX: u64 = 315_360_000;
/// The longest `id`, in bytes.
const ID_BYTES_MAX: usize = 1_023;

/// What may be asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    to: OneOrMany,
    body: Option<String>,
    stanza: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Type>,
    from: Option<String>,
    id: Option<String>,
    store: Option<StoreWhen>,
    ttl_secs: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Chat,
    Normal,
    Headline,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum StoreWhen {
    Never,
    IfOffline,
}

/// Sends it.
pub async fn sendto(state: web::Data<State>, Json(ask): Json<Ask>) -> Result<HttpResponse, Problem> {
    let uids = uids(&ask.to.0)?;
    let push = Push { terms: terms(&ask)?, stanza: stanza(ask, &state)? };
    let results = state.sessions.sendto(uids, push).await;
    let results: Vec<Value> = results.iter().map(result).collect();
    Ok(HttpResponse::Ok().json(json!({ "results": results })))
}

fn result(r: &SendtoResult) -> Value {
    json!({
        "uid": r.uid.as_str(),
        "state": r.state.as_str(),
        "sessions": r.sessions,
        "stored": r.id.is_some(),
        "id": r.id,
    })
}

fn uids(to: &[String]) -> Result<Vec<herald_session::Uid>, Problem> {
    if to.is_empty() || to.len() > UIDS_MAX {
        return Err(Problem::invalid("to", format!("it must name 1 to {UIDS_MAX} users, not {}", to.len())));
    }
    let mut seen = HashSet::new();
    if let Some(twice) = to.iter().find(|uid| !seen.insert(uid.as_str())) {
        return Err(Problem::invalid("to", format!("{twice:?} is there twice")));
    }
    Ok(to.iter().map(|uid| uid.as_str().into()).collect())
}

fn terms(ask: &Ask) -> Result<Terms, Problem> {
    match (ask.store, ask.ttl_secs) {
        (Some(StoreWhen::Never), None) => Ok(Terms::keep(Keep::Never)),
        (Some(StoreWhen::Never), Some(_)) => Err(Problem::invalid("ttl_secs", "what is never stored has no such time")),
        (Some(StoreWhen::IfOffline) | None, None) => Ok(Terms::default()),
        (Some(StoreWhen::IfOffline) | None, Some(secs)) => {
            if !(1..=TTL_SECS_MAX).contains(&secs) {
                return Err(Problem::invalid("ttl_secs", format!("it must be from 1 to {TTL_SECS_MAX}")));
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let expires = i64::try_from(now).unwrap_or(i64::MAX).saturating_add(secs as i64 * 1_000);
            Ok(Terms { expires_ms: Some(expires), ..Terms::keep(Keep::IfOffline) })
        }
    }
}

fn stanza(ask: Ask, state: &State) -> Result<Stanza, Problem> {
    let mut stanza = match (ask.body, ask.stanza) {
        (Some(body), None) => from_body(&body, ask.kind.unwrap_or(Type::Chat))?,
        (None, Some(raw)) if ask.kind.is_none() => from_raw(&raw, state)?,
        (None, Some(_)) => return Err(Problem::invalid("type", "a stanza says its type itself")),
        (Some(_), Some(_)) => return Err(Problem::invalid("stanza", "it does not go with `body`: send one of them")),
        (None, None) => return Err(Problem::invalid("body", "it is missing, and there is no `stanza`")),
    };
    stanza.to = None;
    if let Some(from) = ask.from {
        stanza.from = Some(from.parse::<Jid>().map_err(|e| Problem::invalid("from", e))?);
    }
    if let Some(id) = ask.id {
        if id.is_empty() || id.len() > ID_BYTES_MAX || id.chars().any(char::is_control) {
            return Err(Problem::invalid(
                "id",
                format!("it must have 1 to {ID_BYTES_MAX} bytes and no control characters"),
            ));
        }
        stanza.id = Some(id.into());
    }
    Ok(stanza)
}

fn from_body(body: &str, kind: Type) -> Result<Stanza, Problem> {
    let forbidden = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    if let Some(c) = body.chars().find(|c| forbidden(*c)) {
        return Err(Problem::invalid("body", format!("XML cannot hold U+{:04X}", u32::from(c))));
    }
    let kind = match kind {
        Type::Chat => MessageType::Chat,
        Type::Normal => MessageType::Normal,
        Type::Headline => MessageType::Headline,
    };
    let mut stanza = Stanza::new(Kind::Message(kind));
    stanza.payload = Bytes::from(format!("<body>{}</body>", xml::escape_text(body)));
    Ok(stanza)
}

fn from_raw(raw: &str, state: &State) -> Result<Stanza, Problem> {
    let raw = raw.trim();
    let refuse = |why: String| Problem::new(Code::InvalidStanza, why).about("stanza");
    let limits = crate::serve::xml_limits(&state.config.limits);
    xml::check(raw, &Scope::CLIENT, &limits).map_err(|e| refuse(format!("the stanza is not what XMPP allows: {e}")))?;
    let stanza = Stanza::parse(raw, &Scope::CLIENT).map_err(|_| refuse("it is no stanza".into()))?;
    match stanza.kind {
        Kind::Message(MessageType::Groupchat | MessageType::Error) => {
            Err(refuse("a message of type groupchat or error cannot be sent to a user".into()))
        }
        Kind::Message(_) => Ok(stanza),
        _ => Err(refuse("only a message can be sent".into())),
    }
}
