//! Commands about accounts.

use super::answer::{Answer, Refused};
use super::arguments::Arguments;
use crate::accounts;
use crate::admin::problem::{Code, Problem};
use crate::admin::status::State;
use actix_web::web;
use herald_storage::{Put, ask};
use herald_xmpp::BareJid;
use herald_xmpp::sasl::Credentials;

/// ejabberd's number for "it cannot be registered".
const CANNOT_REGISTER: u32 = 10_001;
/// ejabberd's number for "it is registered already".
const CONFLICT: u32 = 10_090;

/// The user that `user` and `host` name; `None` when the host is not ours or there can be no such user.
pub fn named(state: &State, with: &Arguments) -> Option<BareJid> {
    if !is_ours(state, with) {
        return None;
    }
    BareJid::new(Some(with.text("user")), &state.config.domain).ok()
}

fn is_ours(state: &State, with: &Arguments) -> bool {
    BareJid::new(None, with.text("host")).is_ok_and(|host| host.domain() == state.config.domain.as_str())
}

async fn there(state: &State, user: Option<&BareJid>) -> Result<bool, Refused> {
    match user {
        Some(user) => Ok(ask(|then| state.store.account(user, then)).await?.is_some()),
        None => Ok(false),
    }
}

pub async fn register(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let (user, host) = (with.text("user"), with.text("host"));
    let cannot = |why: String| Refused::Coded(400, CANNOT_REGISTER, why);
    if !is_ours(state, with) {
        return Err(cannot("Unknown virtual host".into()));
    }
    let because = |why: &str| cannot(format!("Can't register user {user}@{host} at node {}: {why}", node(state)));
    let jid = BareJid::new(Some(user), &state.config.domain).map_err(|_| because("Malformed username"))?;
    let keys = keys(state, with.text("password")).await?;
    let keys = keys.ok_or_else(|| because("The password contains unacceptable characters"))?;
    if !ask(|then| state.store.put_account(&jid, keys, Put::Create, then)).await? {
        return Err(Refused::Coded(409, CONFLICT, format!("User {user}@{host} already registered")));
    }
    Ok(Answer::Text(format!("User {user}@{host} successfully registered")))
}

pub async fn unregister(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    if !is_ours(state, with) {
        return Err(Refused::words(400, "Unknown virtual host"));
    }
    if let Some(user) = named(state, with) {
        ask(|then| state.store.delete_account(&user, then)).await?;
        state.sessions.account_deleted(&user).await;
    }
    Ok(Answer::Text(String::new()))
}

pub async fn check_account(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    Ok(Answer::Code(there(state, named(state, with).as_ref()).await?))
}

pub async fn change_password(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let unknown = || Refused::words(404, "unknown_user");
    let user = named(state, with).ok_or_else(unknown)?;
    if !there(state, Some(&user)).await? {
        return Err(unknown());
    }
    let keys = keys(state, with.text("newpass")).await?.ok_or_else(|| Refused::words(400, "invalid_password"))?;
    if !ask(|then| state.store.put_account(&user, keys, Put::Replace, then)).await? {
        return Err(unknown());
    }
    state.sessions.kick(&user, None, "The password was changed").await;
    Ok(Answer::Code(true))
}

pub async fn get_offline_count(state: &State, with: &Arguments) -> Result<Answer, Refused> {
    let Some(user) = named(state, with) else { return Ok(Answer::Number(0)) };
    Ok(Answer::Number(ask(|then| state.store.pending_count(&user, then)).await?))
}

/// What ejabberd calls the node.
pub fn node(state: &State) -> String {
    format!("herald@{}", state.config.domain)
}

/// Hashing takes milliseconds: not on the thread that serves. `None`: it can be no password.
async fn keys(state: &State, password: &str) -> Result<Option<Credentials>, Refused> {
    let (iterations, password) = (state.config.auth.scram_iterations, password.to_owned());
    let hashed = web::block(move || accounts::keys(&password, iterations)).await;
    let hashed = hashed.map_err(|_| Problem::new(Code::Busy, "no thread was free to hash the password"))?;
    Ok(hashed.ok())
}
