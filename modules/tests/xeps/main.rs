//! Every XEP in a town of user machines, by script: what a client sends, and what it is handed then.

#[path = "../../../session/tests/town/mod.rs"]
mod town;

mod disco;
mod messages;
mod page;
mod small;
mod storage;

use herald_session::Settings;
use town::{Client, DOMAIN, Town};

/// The standard modules; these users have accounts.
fn town(users: &[&str]) -> Town {
    Town::with(users, Settings::new(DOMAIN), herald_modules::standard())
}

/// Asks, and has one answer; its addresses, id and type are looked at, the rest is returned.
fn iq(town: &mut Town, client: &Client, kind: &str, to: &str, payload: &str) -> Result<String, String> {
    let to_attr = if to.is_empty() { String::new() } else { format!(" to='{to}'") };
    let got = town.ask(client, &format!("<iq type='{kind}' id='q'{to_attr}>{payload}</iq>"));
    let [answer] = &got[..] else { panic!("{kind} {payload} to {to:?}: {got:?}") };
    let from = if to.is_empty() { String::new() } else { format!(" from='{to}'") };
    let head = |kind: &str| format!("<iq{from} to='{}' id='q' type='{kind}'", client.jid);
    let inner = |rest: &str| match rest.strip_prefix('>') {
        Some(rest) => rest.trim_end_matches("</iq>").to_owned(),
        None => String::new(),
    };
    match (answer.strip_prefix(&head("result")), answer.strip_prefix(&head("error"))) {
        (Some(rest), _) => Ok(inner(rest)),
        (_, Some(rest)) => Err(condition(rest)),
        _ => panic!("not an answer from {to:?}: {answer}"),
    }
}

/// An error's type and condition: `cancel item-not-found`.
fn condition(error: &str) -> String {
    let kind = error.split("<error type='").nth(1).and_then(|rest| rest.split('\'').next());
    let name = error.split("'><").nth(1).and_then(|rest| rest.split(' ').next());
    format!("{} {}", kind.expect("a type"), name.expect("a condition"))
}

fn refused(what: &str) -> Result<String, String> {
    Err(what.to_owned())
}
