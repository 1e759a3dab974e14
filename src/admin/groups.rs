//! `/api/v1/groups`: teams, rooms, whoever is sent the same.

use super::input::{Json, limit, once, query, user};
use super::problem::Problem;
use super::status::State;
use crate::sendto::UIDS_MAX;
use actix_web::{HttpRequest, HttpResponse, web};
use compact_str::CompactString;
use herald_storage::{StoreError, ask};
use herald_xmpp::BareJid;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Groups or members on one page, when nothing is said.
const PAGE_USUAL: u32 = 100;
/// Groups or members on one page.
const PAGE_MAX: u32 = 1_000;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Who is to be in a group.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    #[serde(default)]
    members: Vec<String>,
}

/// A page of groups, in the order of their names; `next` goes on as `after`.
pub async fn list(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["after", "limit"])?;
    let limit = limit(&pairs, PAGE_USUAL, PAGE_MAX)?;
    let after = once(&pairs, "after")?.map(CompactString::from);
    let page = ask(|then| state.store.groups(after, limit, then)).await?;
    let next = page.last().filter(|_| page.len() == limit as usize).map(|(name, _)| name.to_string());
    let groups: Vec<Value> = page.iter().map(|(name, n)| json!({ "name": name.as_str(), "members": n })).collect();
    Ok(HttpResponse::Ok().json(json!({ "groups": groups, "next": next })))
}

/// A page of a group's members.
pub async fn show(
    state: web::Data<State>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["after", "limit"])?;
    let limit = limit(&pairs, PAGE_USUAL, PAGE_MAX)?;
    let after = once(&pairs, "after")?.map(|uid| user(uid, &state)).transpose()?;
    let page = ask(|then| state.store.members(&name, after, limit, then)).await?;
    let page = page.ok_or_else(|| Problem::no_such_group(&name))?;
    let next = page.last().filter(|_| page.len() == limit as usize).and_then(|last| last.local());
    let members: Vec<_> = page.iter().map(|user| user.local()).collect();
    Ok(HttpResponse::Ok().json(json!({ "name": *name, "members": members, "next": next })))
}

/// The group has exactly these members from now on; it is made when it is not there.
pub async fn put(
    state: web::Data<State>,
    name: web::Path<String>,
    Json(new): Json<Members>,
) -> Result<HttpResponse, Problem> {
    let wanted = members(&state, &new.members)?;
    let joined = join(&state, &name, wanted.clone()).await?;
    let wanted: HashSet<BareJid> = wanted.into_iter().collect();
    let (mut after, mut left) = (None, 0);
    loop {
        let page = ask(|then| state.store.members(&name, after, PAGE_MAX, then)).await?.unwrap_or_default();
        after = page.last().cloned();
        let last = page.len() < PAGE_MAX as usize;
        let gone: Vec<BareJid> = page.into_iter().filter(|user| !wanted.contains(user)).collect();
        if !gone.is_empty() {
            left += ask(|then| state.store.leave(&name, gone, then)).await?;
        }
        if last {
            break;
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "name": *name, "joined": joined, "left": left })))
}

/// Removes the group; its members stay who they are.
pub async fn delete(state: web::Data<State>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    match ask(|then| state.store.delete_group(&name, then)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::no_such_group(&name)),
    }
}

/// These become members, too; the group is made when it is not there.
pub async fn add(
    state: web::Data<State>,
    name: web::Path<String>,
    Json(new): Json<Members>,
) -> Result<HttpResponse, Problem> {
    let joined = join(&state, &name, members(&state, &new.members)?).await?;
    Ok(HttpResponse::Ok().json(json!({ "name": *name, "joined": joined })))
}

/// One is a member no more.
pub async fn remove(state: web::Data<State>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (name, uid) = path.into_inner();
    let user = user(&uid, &state)?;
    if ask(|then| state.store.members(&name, None, 1, then)).await?.is_none() {
        return Err(Problem::no_such_group(&name));
    }
    let left = ask(|then| state.store.leave(&name, vec![user], then)).await?;
    Ok(HttpResponse::Ok().json(json!({ "name": name, "left": left })))
}

fn members(state: &State, uids: &[String]) -> Result<Vec<BareJid>, Problem> {
    if uids.len() > UIDS_MAX {
        let words = format!("{} are too many for one request: add {UIDS_MAX} at a time", uids.len());
        return Err(Problem::invalid("members", words));
    }
    uids.iter().map(|uid| user(uid, state)).collect::<Result<_, _>>().map_err(|p| p.about("members"))
}

async fn join(state: &State, name: &str, users: Vec<BareJid>) -> Result<u64, Problem> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let words = format!("it must have 1 to {NAME_BYTES_MAX} bytes and no control characters");
        return Err(Problem::invalid("name", words));
    }
    match ask(|then| state.store.join(name, users.clone(), then)).await {
        Err(StoreError::NoAccount) => {
            for user in users {
                if ask(|then| state.store.account(&user, then)).await?.is_none() {
                    return Err(Problem::no_such_user(user.local().unwrap_or_default()).about("members"));
                }
            }
            Err(Problem::no_such_user("one of them").about("members")) // and has one again by now
        }
        joined => Ok(joined?),
    }
}
