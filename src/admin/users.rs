//! `/api/v1/users`: accounts.

use super::input::{Json, limit, once, query, user};
use super::problem::{Code, Problem};
use super::status::State;
use crate::accounts;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use herald_storage::{Put, ask};
use herald_xmpp::BareJid;
use herald_xmpp::sasl::Credentials;
use serde::Deserialize;
use serde_json::{Value, json};

/// Accounts on one page, when nothing is said.
const PAGE_USUAL: u32 = 100;
/// Accounts on one page.
const PAGE_MAX: u32 = 1_000;

/// A new account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    uid: String,
    password: String,
}

/// A changed one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    password: String,
}

/// A page of accounts, in the order of their addresses; `next` goes on as `after`.
pub async fn list(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["after", "limit"])?;
    let limit = limit(&pairs, PAGE_USUAL, PAGE_MAX)?;
    let after = once(&pairs, "after")?.map(|uid| user(uid, &state)).transpose()?;
    let page = ask(|then| state.store.accounts(after, limit, then)).await?;
    let total = ask(|then| state.store.account_count(then)).await?;
    let next = page.last().filter(|_| page.len() == limit as usize).and_then(|last| last.local());
    let users: Vec<Value> = page.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "users": users, "next": next, "total": total })))
}

/// Makes an account.
pub async fn create(state: web::Data<State>, Json(new): Json<NewUser>) -> Result<HttpResponse, Problem> {
    let user = user(&new.uid, &state)?;
    let keys = keys(&state, new.password).await?;
    if !ask(|then| state.store.put_account(&user, keys, Put::Create, then)).await? {
        return Err(Problem::new(Code::UserExists, format!("{} has an account already", new.uid)).about("uid"));
    }
    let location = format!("/api/v1/users/{}", crate::cli::escaped(user.local().unwrap_or_default()));
    Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).json(shown(&user)))
}

/// One account.
pub async fn show(state: web::Data<State>, uid: web::Path<String>) -> Result<HttpResponse, Problem> {
    let user = user(&uid, &state)?;
    if ask(|then| state.store.account(&user, then)).await?.is_none() {
        return Err(Problem::no_such_user(&uid));
    }
    let waiting = ask(|then| state.store.pending_count(&user, then)).await?;
    let presence = state.sessions.presence(&[uid.as_str().into()]).await;
    let sessions = presence.first().map_or(0, |p| p.resources.len());
    let mut shown = shown(&user);
    shown["sessions"] = sessions.into();
    shown["messages_waiting"] = waiting.into();
    Ok(HttpResponse::Ok().json(shown))
}

/// Gives an account a new password, and ends its sessions.
pub async fn change(
    state: web::Data<State>,
    uid: web::Path<String>,
    Json(change): Json<Change>,
) -> Result<HttpResponse, Problem> {
    let user = user(&uid, &state)?;
    let keys = keys(&state, change.password).await?;
    if !ask(|then| state.store.put_account(&user, keys, Put::Replace, then)).await? {
        return Err(Problem::no_such_user(&uid));
    }
    let kicked = state.sessions.kick(&user, None, "The password was changed").await;
    let mut shown = shown(&user);
    shown["kicked"] = kicked.into();
    Ok(HttpResponse::Ok().json(shown))
}

/// Removes an account and all that is kept for it, and ends its sessions.
pub async fn delete(state: web::Data<State>, uid: web::Path<String>) -> Result<HttpResponse, Problem> {
    let user = user(&uid, &state)?;
    let was_there = ask(|then| state.store.delete_account(&user, then)).await?;
    state.sessions.account_deleted(&user).await; // also when a request before was cut off here
    if !was_there {
        return Err(Problem::no_such_user(&uid));
    }
    Ok(HttpResponse::NoContent().finish())
}

fn shown(user: &BareJid) -> Value {
    json!({ "uid": user.local(), "jid": user.as_str() })
}

/// Hashing takes milliseconds: not on the thread that serves.
async fn keys(state: &State, password: String) -> Result<Credentials, Problem> {
    let iterations = state.config.auth.scram_iterations;
    let hashed = web::block(move || accounts::keys(&password, iterations)).await;
    let hashed = hashed.map_err(|_| Problem::new(Code::Busy, "no thread was free to hash the password"))?;
    hashed.map_err(|e| Problem::invalid("password", format!("{e:#}")))
}
