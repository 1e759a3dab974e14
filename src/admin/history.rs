//! `GET /api/v1/history`: the numbered log of a user, in both directions.

use super::input::{limit, once, query, user};
use super::problem::Problem;
use super::status::State;
use crate::payload;
use actix_web::{HttpRequest, HttpResponse, web};
use herald_session::log::{self, Entry};
use herald_storage::{Kept, Slice, ask};
use herald_xmpp::{BareJid, Kind, MessageType};
use serde_json::{Value, json};

/// Messages on one page, when nothing is said.
const PAGE_USUAL: u32 = 50;
/// Messages on one page.
const PAGE_MAX: u32 = 1_000;
/// A page ends with the message that brings it to so many bytes.
const PAGE_BYTES_MAX: usize = 1_048_576;

/// The messages with `since` < id < `before`, oldest first or, with `reverse`, newest first.
pub async fn history(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["uid", "since", "before", "limit", "reverse"])?;
    let uid = once(&pairs, "uid")?.ok_or_else(|| Problem::invalid("uid", "it is missing"))?;
    let owner = user(uid, &state)?;
    let limit = limit(&pairs, PAGE_USUAL, PAGE_MAX)?;
    let since = number(&pairs, "since")?.unwrap_or(0);
    let before = number(&pairs, "before")?;
    let newest_first = match once(&pairs, "reverse")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::invalid("reverse", "it must be true or false")),
    };
    if ask(|then| state.store.account(&owner, then)).await?.is_none() {
        return Err(Problem::no_such_user(uid));
    }
    let slice = Slice { since, before, limit, bytes_max: PAGE_BYTES_MAX, newest_first };
    let page = ask(|then| state.store.history(&owner, slice, then)).await?;
    let edge = page.items.last().filter(|_| page.more).map(|kept| kept.id);
    // All numbers above this one were asked for and are on this page, but for what retention took.
    let lowest = edge.filter(|_| newest_first).map_or(since, |id| id - 1);
    Ok(HttpResponse::Ok().json(json!({
        "uid": owner.local(),
        "epoch": state.store.epoch(),
        "items": page.items.iter().map(|kept| item(kept, &owner)).collect::<Vec<_>>(),
        "last": page.last,
        "removed_to": page.removed_to,
        "complete": lowest >= page.removed_to,
        "next": edge,
    })))
}

fn number(pairs: &[(String, String)], name: &str) -> Result<Option<u64>, Problem> {
    let Some(text) = once(pairs, name)? else { return Ok(None) };
    // The store counts in 63 bits.
    let n = text.parse().ok().filter(|n| i64::try_from(*n).is_ok());
    n.map(Some).ok_or_else(|| Problem::invalid(name, "it must be the number of a message"))
}

/// A message as a page shows it. What a stanza does not have is null.
fn item(kept: &Kept, owner: &BareJid) -> Value {
    let at = jiff::Timestamp::from_millisecond(kept.at_ms).map(|t| t.to_string()).unwrap_or_default();
    let mut item = json!({
        "id": kept.id, "at": at, "from": null, "type": null, "body": null, "json": null, "stanza": null,
    });
    let Entry::Message(stanza) = log::read(&kept.stanza, None) else { return item };
    let to = stanza.to.clone().unwrap_or_else(|| owner.clone().into()); // one that many got names none of them
    item["from"] = stanza.from.as_ref().map(|from| from.as_str()).into();
    item["type"] = match stanza.kind {
        Kind::Message(MessageType::Normal) => "normal".into(), // RFC 6121 section 5.2.2: it need not be written
        kind => kind.type_attr().into(),
    };
    item["body"] = stanza.child("body", "jabber:client").map(|body| body.text().into_owned()).into();
    item["json"] = payload::json_of(&stanza).and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    item["stanza"] = String::from_utf8_lossy(&stanza.to(to).to_bytes(true)).into();
    item
}
