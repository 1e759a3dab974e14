//! `/api/v1/keys`: named keys of backends.

use super::input::Json;
use super::keyring::Keyring;
use super::problem::{Code, Problem};
use super::scope::{Scope, Scopes};
use super::status::State;
use crate::keys;
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use herald_storage::{ApiKey, Store, StoreError, ask};
use serde::Deserialize;
use serde_json::{Value, json};

/// A new key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    name: String,
    scopes: Vec<String>,
}

/// Reads the keys from the store: at the start, and whenever one was changed.
pub async fn load(keyring: &Keyring, store: &dyn Store) -> Result<(), StoreError> {
    let keys = ask(|then| store.keys(then)).await?;
    keyring.replace(keys.into_iter().map(|key| (key.hash, key.name.as_str().into(), scopes(&key))));
    Ok(())
}

/// All of them, without their secrets, which nobody has.
pub async fn list(state: web::Data<State>) -> Result<HttpResponse, Problem> {
    let keys = ask(|then| state.store.keys(then)).await?;
    Ok(HttpResponse::Ok().json(json!({ "keys": keys.iter().map(shown).collect::<Vec<_>>() })))
}

/// Makes one. Its secret is in this answer and nowhere else.
pub async fn create(state: web::Data<State>, Json(new): Json<NewKey>) -> Result<HttpResponse, Problem> {
    let scopes = keys::scopes(&new.scopes).map_err(|e| Problem::invalid("scopes", e))?;
    let (key, secret) = keys::make(&new.name, scopes).map_err(|e| Problem::invalid("name", e))?;
    let _one_at_a_time = state.keys_change.lock().await;
    let there = ask(|then| state.store.keys(then)).await?;
    if there.iter().any(|k| k.name == key.name) {
        return Err(Problem::new(Code::KeyExists, format!("there is a key {} already", key.name)).about("name"));
    }
    if there.len() >= keys::KEYS_MAX {
        return Err(Problem::invalid("name", format!("there are {} keys: that is as many as may be", there.len())));
    }
    let mut answer = shown(&key);
    answer["key"] = secret.into();
    ask(|then| state.store.put_key(key, then)).await?;
    load(&state.keyring, &*state.store).await?;
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(answer))
}

/// Removes one: it opens nothing from now on.
pub async fn delete(state: web::Data<State>, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let _one_at_a_time = state.keys_change.lock().await;
    let there = ask(|then| state.store.delete_key(&name, then)).await?;
    load(&state.keyring, &*state.store).await?;
    match there {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::new(Code::NoSuchKey, format!("there is no key {name}")).about("name")),
    }
}

/// Words that this version does not know open nothing.
fn scopes(key: &ApiKey) -> Scopes {
    Scopes::of(key.scopes.iter().filter_map(|word| Scope::parse(word)))
}

fn shown(key: &ApiKey) -> Value {
    let created = jiff::Timestamp::from_millisecond(key.created_ms).map(|t| t.to_string()).unwrap_or_default();
    let scopes: Vec<&str> = key.scopes.iter().map(|s| s.as_str()).collect();
    json!({ "name": key.name.as_str(), "scopes": scopes, "created": created })
}
