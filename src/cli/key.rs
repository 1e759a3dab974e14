//! `herald key add|list|remove`: keys of backends. A running server does it, so that it knows at once.

use super::operator::{Operator, escaped};
use super::print;
use crate::config::Config;
use crate::keys;
use crate::serve::open_store;
use anyhow::{Context, Result, bail};
use herald_storage::wait;
use serde_json::{Value, json};

/// Makes a key, and prints its secret: it is shown this once.
pub fn add(config: &Config, name: &str, scopes: &[String]) -> Result<()> {
    let checked = keys::scopes(scopes)?;
    if let Some(operator) = Operator::find(config) {
        let new = json!({ "name": name, "scopes": checked.words() });
        let made = operator.call("POST", "/api/v1/keys", Some(new))?;
        let secret = made["key"].as_str().context("the server's answer has no key")?;
        return print(&format!("{secret}\n"));
    }
    let (key, secret) = keys::make(name, checked)?;
    let store = open_store(config)?;
    if wait(|then| store.keys(then))?.iter().any(|k| k.name == key.name) {
        bail!("there is a key {name} already (`herald key remove {name}` removes it)");
    }
    wait(|then| store.put_key(key, then))?;
    store.close()?;
    print(&format!("{secret}\n"))
}

/// Prints every key's name and scopes.
pub fn list(config: &Config) -> Result<()> {
    let mut lines = String::new();
    if let Some(operator) = Operator::find(config) {
        let said = operator.call("GET", "/api/v1/keys", None)?;
        for key in said["keys"].as_array().into_iter().flatten() {
            let scopes: Vec<&str> = key["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            lines += &format!("{} {}\n", key["name"].as_str().unwrap_or("?"), scopes.join(","));
        }
        return print(&lines);
    }
    let store = open_store(config)?;
    for key in wait(|then| store.keys(then))? {
        lines += &format!("{} {}\n", key.name, key.scopes.join(","));
    }
    store.close()?;
    print(&lines)
}

/// Removes a key.
pub fn remove(config: &Config, name: &str) -> Result<()> {
    if let Some(operator) = Operator::find(config) {
        operator.call("DELETE", &format!("/api/v1/keys/{}", escaped(name)), None)?;
        return Ok(());
    }
    let store = open_store(config)?;
    let there = wait(|then| store.delete_key(name, then))?;
    store.close()?;
    if !there {
        bail!("there is no key {name}");
    }
    Ok(())
}
