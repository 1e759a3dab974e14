//! What we build on: every licence is one that deny.toml allows. Known weaknesses are looked up where
//! cargo-deny and its database are at hand.

use crate::step::cargo;
use crate::tree::root;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::process::Command;

/// Reads every dependency's licence, and fails on one that is not allowed.
pub fn licences() -> Result<String> {
    let deny: toml::Table = std::fs::read_to_string(root().join("deny.toml")).context("deny.toml")?.parse()?;
    let allowed = deny["licenses"]["allow"].as_array().context("deny.toml allows licences")?;
    let allowed: Vec<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    let out = cargo(["metadata", "--format-version", "1", "--locked"]).output()?;
    ensure!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout)?;
    let packages = metadata["packages"].as_array().context("metadata has packages")?;
    let mut faults = String::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none named");
        if !allows(&allowed, licence) {
            let _ = writeln!(faults, "{} {}: {licence}", package["name"], package["version"]);
        }
    }
    if faults.is_empty() {
        Ok(format!("{} packages", packages.len()))
    } else {
        bail!("not allowed by deny.toml:\n{faults}")
    }
}

/// Looks up known weaknesses with cargo-deny; without it, or without its database, says so.
pub fn advisories() -> Result<String> {
    if !cargo(["deny", "--version"]).output().is_ok_and(|out| out.status.success()) {
        return Ok("NOT CHECKED: cargo-deny is not installed".to_owned());
    }
    let fetched = cargo(["deny", "fetch", "db"]).output().is_ok_and(|out| out.status.success());
    if !fetched {
        return Ok("NOT CHECKED: the database of advisories is out of reach".to_owned());
    }
    let out = Command::output(&mut cargo(["deny", "check", "advisories"]))?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(String::new())
}

/// Does an SPDX expression leave a choice that is wholly allowed? OR binds more loosely than AND.
fn allows(allowed: &[&str], expression: &str) -> bool {
    // `MIT/Apache-2.0` is how old crates write OR.
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let (fits, rest) = any_of(allowed, &words);
    fits && rest.is_empty()
}

fn any_of<'w>(allowed: &[&str], words: &'w [&'w str]) -> (bool, &'w [&'w str]) {
    let (mut fits, mut rest) = all_of(allowed, words);
    while let ["OR", more @ ..] = rest {
        let (other, after) = all_of(allowed, more);
        (fits, rest) = (fits || other, after);
    }
    (fits, rest)
}

fn all_of<'w>(allowed: &[&str], words: &'w [&'w str]) -> (bool, &'w [&'w str]) {
    let (mut fits, mut rest) = one(allowed, words);
    while let ["AND", more @ ..] = rest {
        let (other, after) = one(allowed, more);
        (fits, rest) = (fits && other, after);
    }
    (fits, rest)
}

fn one<'w>(allowed: &[&str], words: &'w [&'w str]) -> (bool, &'w [&'w str]) {
    match words {
        ["(", inner @ ..] => match any_of(allowed, inner) {
            (fits, [")", rest @ ..]) => (fits, rest),
            (_, rest) => (false, rest),
        },
        // An exception only adds to what is permitted.
        [licence, "WITH", _, rest @ ..] | [licence, rest @ ..] => (allowed.contains(licence), rest),
        [] => (false, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_needs_one_choice_that_is_allowed() {
        let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"];
        for fine in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        ] {
            assert!(allows(&allowed, fine), "{fine}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "none named", "", "(MIT", "(MIT OR Apache-2.0) AND GPL-3.0"] {
            assert!(!allows(&allowed, bad), "{bad}");
        }
    }
}
