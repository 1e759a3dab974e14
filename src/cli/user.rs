//! `herald user add|passwd|del|list`: on the store itself, and a running server is told.

use super::operator::Operator;
use super::print;
use crate::accounts;
use crate::config::Config;
use crate::serve::open_store;
use anyhow::{Context, Result, bail};
use herald_storage::{Put, Store, wait};
use herald_xmpp::BareJid;
use serde_json::json;
use std::io::{BufRead, IsTerminal, Read};

/// How many uids `list` asks the store for at a time.
const LIST_PAGE: u32 = 1_000;

/// Makes an account.
pub fn add(config: &Config, uid: &str) -> Result<()> {
    let user = accounts::user(uid, &config.domain)?;
    let store = open_store(config)?;
    let password = password(uid)?;
    let keys = accounts::keys(&password, config.auth.scram_iterations)?;
    let made = wait(|then| store.put_account(&user, keys, Put::Create, then))?;
    store.close()?;
    if !made {
        bail!("{uid} has an account already (`herald user passwd {uid}` gives it a new password)");
    }
    Ok(())
}

/// Gives an account a new password.
pub fn passwd(config: &Config, uid: &str) -> Result<()> {
    let user = accounts::user(uid, &config.domain)?;
    let store = open_store(config)?;
    require(&*store, &user, uid)?;
    let password = password(uid)?;
    let keys = accounts::keys(&password, config.auth.scram_iterations)?;
    let changed = wait(|then| store.put_account(&user, keys, Put::Replace, then))?;
    store.close()?;
    if !changed {
        bail!("{uid} has no account");
    }
    let Some(operator) = Operator::find(config) else { return Ok(()) };
    operator
        .call("POST", "/api/v1/kick", Some(json!({ "uid": uid, "reason": "The password was changed" })))
        .context("the password is changed, but the running server did not end the user's sessions")?;
    Ok(())
}

/// Removes an account. A running server does it, so that it forgets the user too.
pub fn del(config: &Config, uid: &str) -> Result<()> {
    let user = accounts::user(uid, &config.domain)?;
    if let Some(operator) = Operator::find(config) {
        operator.call("DELETE", &format!("/api/v1/users/{}", super::operator::escaped(uid)), None)?;
        return Ok(());
    }
    let store = open_store(config)?;
    let there = wait(|then| store.delete_account(&user, then))?;
    store.close()?;
    if !there {
        bail!("{uid} has no account");
    }
    Ok(())
}

/// Prints every uid.
pub fn list(config: &Config) -> Result<()> {
    let store = open_store(config)?;
    let mut after = None;
    loop {
        let page = wait(|then| store.accounts(after, LIST_PAGE, then))?;
        let lines: String = page.iter().map(|user| format!("{}\n", shown(user, &config.domain))).collect();
        print(&lines)?;
        after = page.last().cloned();
        if after.is_none() {
            return Ok(store.close()?);
        }
    }
}

/// The uid; the whole address when it is of a domain that was configured earlier.
fn shown<'u>(user: &'u BareJid, domain: &str) -> &'u str {
    match user.local() {
        Some(uid) if user.domain() == domain => uid,
        _ => user.as_str(),
    }
}

fn require(store: &dyn Store, user: &BareJid, uid: &str) -> Result<()> {
    if wait(|then| store.account(user, then))?.is_none() {
        bail!("{uid} has no account (`herald user add {uid}` makes one)");
    }
    Ok(())
}

/// The password: prompted for twice on a terminal, else the first line of standard input.
fn password(uid: &str) -> Result<String> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let first = rpassword::prompt_password(format!("Password for {uid}: "))?;
        let second = rpassword::prompt_password("Once more: ")?;
        if first != second {
            bail!("the two are not the same");
        }
        return Ok(first);
    }
    let mut line = String::new();
    let limit = accounts::PASSWORD_BYTES_MAX as u64 + 2; // and its line end
    stdin.lock().take(limit).read_line(&mut line).context("the password on standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
