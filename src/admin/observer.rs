//! `GET /api/v1/actors`: every live actor, as it is now.

use super::input::{limit, once, query};
use super::problem::{Code, Problem};
use super::status::State;
use actix_web::{HttpRequest, HttpResponse, web};
use herald_actor::{Seen, System};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Actors shown, when nothing is said.
const SHOWN_USUAL: u32 = 100;
/// Actors shown.
const SHOWN_MAX: u32 = 10_000;

/// Those with the most mail waiting first, then those that have handled the most. With `name`: only
/// those whose name holds it.
pub async fn actors(state: web::Data<State>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let pairs = query(&request, &["limit", "name"])?;
    let limit = limit(&pairs, SHOWN_USUAL, SHOWN_MAX)? as usize;
    let name = once(&pairs, "name")?.unwrap_or_default().to_owned();
    let system = state.system.clone();
    // A million actors take a while to look at: not on the thread that serves.
    let (total, top) = web::block(move || busiest(&system, limit, &name))
        .await
        .map_err(|_| Problem::new(Code::Busy, "no thread was free to look"))?;
    let shown: Vec<Value> = top.iter().map(shown).collect();
    Ok(HttpResponse::Ok().json(json!({ "total": total, "actors": shown })))
}

/// How many there are, and the first of them.
fn busiest(system: &System, limit: usize, name: &str) -> (usize, Vec<Seen>) {
    let mut total = 0;
    // The least of those kept so far is on top, to make room.
    let mut kept: BinaryHeap<Reverse<Ranked>> = BinaryHeap::with_capacity(limit.min(1_000) + 1);
    for seen in system.observe() {
        total += 1;
        if !seen.name.as_deref().unwrap_or_default().contains(name) {
            continue;
        }
        kept.push(Reverse(Ranked(seen)));
        if kept.len() > limit {
            kept.pop();
        }
    }
    (total, kept.into_sorted_vec().into_iter().map(|Reverse(Ranked(seen))| seen).collect())
}

/// Ordered by what an operator looks for first.
struct Ranked(Seen);

impl Ranked {
    fn key(&self) -> (u32, u64, Reverse<&Option<String>>) {
        (self.0.depth, self.0.handled, Reverse(&self.0.name))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Ranked {}

fn shown(seen: &Seen) -> Value {
    json!({
        "id": seen.id.to_string(),
        "kind": seen.kind,
        "name": seen.name,
        "state": seen.state.as_str(),
        "mailbox": seen.depth,
        "mailbox_weight": seen.weight,
        "mailbox_weight_max": seen.weight_max,
        "handled": seen.handled,
        "restarts": seen.restarts,
    })
}
