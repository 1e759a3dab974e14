//! The demo's own calls: `POST /demo/start` makes two people who know each other, `POST /demo/sendto` sends to one of
//! them, as a backend would with the operator's API.
//!
//! Nobody logs in to ask, so they are for whoever sits at this machine (`http.demo`): connections from loopback, a
//! `Host` that names this machine (a name of somebody else's that leads here is refused: DNS rebinding), an `Origin`
//! that is the same, and no word of a proxy in between, whose clients are anybody
//! (HTTP/1.0 is such a word: no browser speaks it, and nginx does by default). What is made is marked, removed
//! after a day, and never more than [`ACCOUNTS_MAX`]; nobody else's account can be sent to.

use crate::accounts;
use crate::config::Demo;
use crate::net::World;
use crate::net::http::{Head, Method, Response, Via};
use crate::payload;
use herald_session::{Keep, Push, SendtoResult, Terms};
use herald_storage::{Put, RosterItem, StoreError, Subscription, ask};
use herald_xmpp::{BareJid, Kind, MessageType, Stanza};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// Accounts of the demo at a time. Two more, and the oldest go.
const ACCOUNTS_MAX: usize = 1_000;
/// How long they are there.
const ACCOUNT_MS: i64 = 24 * 3_600 * 1_000;
/// Where such an account has its mark, the time it was made at: in what it keeps for itself.
const MARK: (&str, &str) = ("herald", "demo");
/// The two, as people call them and as their names begin.
const PEOPLE: [(&str, &str); 2] = [("Ada", "ada-"), ("Ben", "ben-")];
/// A text to send, bytes.
const BODY_BYTES_MAX: usize = 10_000;
/// Accounts that are looked at together.
const LOOK: u32 = 256;

/// Is this one of the demo's calls?
pub(crate) fn is_path(path: &str) -> bool {
    path.starts_with("/demo/")
}

/// Makes and removes accounts for visitors.
#[derive(Default)]
pub(super) struct Visitors {
    /// One at a time, for there is a bound on all of them.
    turn: tokio::sync::Mutex<()>,
}

/// Answers one of the demo's calls.
pub(crate) async fn call(world: &World, via: Via, head: &Head, body: &[u8]) -> Response {
    if let Err(why) = guard(world.config.http.demo, via, head) {
        return error(403, why);
    }
    let answer = match (head.method, &*head.path) {
        (Method::Post, "/demo/start") => start(world).await,
        (Method::Post, "/demo/sendto") => sendto(world, body).await,
        (_, "/demo/start" | "/demo/sendto") => return Response::not_allowed("Allow: POST\r\n"),
        _ => return error(404, "there is no such call"),
    };
    answer.unwrap_or_else(|refused| match refused {
        Refused::Asked(why) => error(400, &why),
        Refused::Store(e) => {
            tracing::warn!("the demo: {e}");
            error(503, "the store did not do it")
        }
    })
}

/// Why a call is not answered.
enum Refused {
    Asked(String),
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(e: StoreError) -> Refused {
        Refused::Store(e)
    }
}

/// See the module page.
fn guard(demo: Demo, via: Via, head: &Head) -> Result<(), &'static str> {
    let named = head.named.as_deref().ok_or("the demo wants to know what it is called")?;
    if demo == Demo::Off {
        return Err("the demo is off (http.demo)");
    }
    if !via.peer.is_loopback() || head.proxied || !head.http_1_1 {
        return Err("the demo is for connections from this machine only, with no proxy in between");
    }
    let host = named.host.as_deref().filter(|host| is_here(host));
    let host = host.ok_or("the demo answers to localhost, 127.0.0.1 and [::1] only")?;
    let origin = named.origin.as_deref().and_then(|origin| origin.split_once("://"));
    match origin {
        Some(("http" | "https", of)) if of.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err("the demo is for its own page only"),
    }
}

/// Does this `Host` name this machine, with any port?
fn is_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|here| here.eq_ignore_ascii_case(name))
}

async fn start(world: &World) -> Result<Response, Refused> {
    let _turn = world.page.visitors.turn.lock().await;
    make_room(world, 2).await?;
    let store = world.sessions.store();
    let broken = |e: &dyn std::fmt::Display| StoreError::Failed(e.to_string());
    // Names are drawn until they are nobody's.
    let pair = loop {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|e| broken(&e))?;
        let tail = format!("{:08x}", u32::from_be_bytes(random));
        let pair = PEOPLE.map(|(_, begin)| BareJid::new(Some(&format!("{begin}{tail}")), &world.config.domain));
        let [Ok(ada), Ok(ben)] = pair else { return Err(broken(&"the demo's names are none here").into()) };
        if make(world, &ada).await? && make(world, &ben).await? {
            break [ada, ben];
        }
    };
    let mut people = Vec::new();
    for (who, other) in [(0, 1), (1, 0)] {
        let contact = RosterItem {
            name: Some(PEOPLE[other].0.into()),
            subscription: Subscription::Both,
            ..RosterItem::new(pair[other].clone())
        };
        ask(|then| store.put_item(&pair[who], contact, then)).await?;
        let (token, _) = world.logins.ticket(&pair[who]).await?;
        people.push(json!({ "uid": pair[who].local(), "name": PEOPLE[who].0, "token": token }));
    }
    let admin = world.config.listen.admin.filter(|admin| admin.port() > 0).map(|admin| format!("http://{admin}"));
    Ok(answer(200, &json!({ "people": people, "admin": admin })))
}

/// An account that nothing but its ticket opens; false when somebody has that name.
async fn make(world: &World, user: &BareJid) -> Result<bool, StoreError> {
    let store = world.sessions.store();
    let keys = accounts::locked(world.config.auth.scram_iterations).map_err(|e| StoreError::Failed(e.to_string()))?;
    if !ask(|then| store.put_account(user, keys, Put::Create, then)).await? {
        return Ok(false);
    }
    let mark = now_ms().to_string().into();
    ask(|then| store.put_private(user, MARK.0, MARK.1, Some(mark), then)).await?;
    Ok(true)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    uid: String,
    body: String,
}

async fn sendto(world: &World, body: &[u8]) -> Result<Response, Refused> {
    let Message { uid, body } = serde_json::from_slice(body).map_err(|e| Refused::Asked(e.to_string()))?;
    if body.is_empty() || body.len() > BODY_BYTES_MAX || payload::forbidden(&body).is_some() {
        return Err(Refused::Asked(format!("`body` must be a text of 1 to {BODY_BYTES_MAX} bytes")));
    }
    let user = accounts::user(&uid, &world.config.domain).map_err(|e| Refused::Asked(e.to_string()))?;
    if made_ms(world, &user).await?.is_none() {
        return Err(Refused::Asked(format!("{uid:?} is nobody of the demo")));
    }
    let stanza = Stanza::new(Kind::Message(MessageType::Chat)).payload(payload::body(&body));
    let push = Push { stanza, terms: Terms::keep(Keep::Always) };
    let results = world.sessions.sendto(vec![uid.into()], push).await;
    let results: Vec<Value> = results.iter().map(result).collect();
    Ok(answer(200, &json!({ "results": results })))
}

/// As the operator's API says it.
fn result(r: &SendtoResult) -> Value {
    let stored = r.id.is_some();
    json!({ "uid": r.uid.as_str(), "state": r.state.as_str(), "sessions": r.sessions, "stored": stored, "id": r.id })
}

/// Removes those whose day is over, and the oldest, until so many more may be made.
async fn make_room(world: &World, more: usize) -> Result<(), StoreError> {
    let mut made = Vec::new();
    for (_, begin) in PEOPLE {
        let mut after = BareJid::new(Some(begin), &world.config.domain).ok();
        loop {
            let page = ask(|then| world.sessions.store().accounts(after.clone(), LOOK, then)).await?;
            let last = page.last().cloned();
            let of_these = page.into_iter().filter(|user| user.local().is_some_and(|local| local.starts_with(begin)));
            let before = made.len();
            let mut seen = 0;
            for user in of_these {
                seen += 1;
                made.extend(made_ms(world, &user).await?.map(|at_ms| (at_ms, user)));
            }
            debug_assert!(made.len() - before <= seen);
            if seen < LOOK as usize {
                break;
            }
            after = last;
        }
    }
    made.sort_by_key(|(at_ms, _)| *at_ms);
    let too_many = (made.len() + more).saturating_sub(ACCOUNTS_MAX);
    let over = now_ms() - ACCOUNT_MS;
    for (at, (at_ms, user)) in made.iter().enumerate() {
        if at < too_many || *at_ms <= over {
            ask(|then| world.sessions.store().delete_account(user, then)).await?;
            world.sessions.account_deleted(user).await;
        }
    }
    Ok(())
}

/// When the demo made this account, in milliseconds since 1970 UTC; `None`: it is somebody's own.
async fn made_ms(world: &World, user: &BareJid) -> Result<Option<i64>, StoreError> {
    let mark = ask(|then| world.sessions.store().private(user, MARK.0, MARK.1, then)).await?;
    Ok(mark.and_then(|mark| std::str::from_utf8(&mark).ok()?.parse().ok()))
}

/// Removes those whose day is over, now and then.
pub(super) async fn clean_up(world: &World) {
    let _turn = world.page.visitors.turn.lock().await;
    if let Err(e) = make_room(world, 0).await {
        tracing::warn!("accounts of the demo stay: {e}");
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

fn answer(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json", body.to_string())
}

fn error(status: u16, why: &str) -> Response {
    answer(status, &json!({ "error": why }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_this_machine() {
        for host in ["localhost", "LocalHost:5280", "127.0.0.1:80", "[::1]", "[::1]:5280"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["", "localhost.example.com", "127.0.0.1.nip.io:5280", "[::2]", "::1", "a@localhost", "localhost:x"]
        {
            assert!(!is_here(host), "{host}");
        }
    }
}
