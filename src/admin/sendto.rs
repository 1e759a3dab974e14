//! `POST /api/v1/sendto`: a message to one user, many, a group or all, and what became of it for each.

use super::idempotent::{self, Carried};
use super::input::{is_json, read};
use super::keyring::Caller;
use super::problem::{Code, Problem};
use super::status::State;
use crate::sendto::{self, Done, Sendto, Target};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use herald_session::{SendtoResult, SendtoState};
use serde_json::{Map, Value, json};

pub use crate::sendto::UIDS_MAX;

/// Sends it.
pub async fn sendto(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Problem> {
    is_json(&request)?;
    let body = read(body.into_inner(), state.config.admin.body_bytes_max).await?;
    let header = idempotent::header(&request)?;
    let caller = request.extensions().get::<Caller>().cloned();
    let carried = one(&state, caller.as_ref(), &body, header.as_deref()).await?;
    Ok(carried.response())
}

/// One request, however it came: under a name, once.
pub async fn one(
    state: &State,
    caller: Option<&Caller>,
    body: &[u8],
    header: Option<&str>,
) -> Result<Carried, Problem> {
    let limits = crate::serve::xml_limits(&state.config.limits);
    let mut what = sendto::parse(body, &limits)?;
    let key = match (what.key.take(), header) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("key", "the header Idempotency-Key names the request already"));
        }
        (key, header) => key.or_else(|| header.map(Into::into)),
    };
    let Some(key) = key else { return Ok(Carried::new(carry_out(state, what).await?)) };
    let key = idempotent::key(caller, &key);
    idempotent::once(state, &key, body, async {
        what.push.terms.once = Some(key.as_str().into());
        carry_out_once(state, what).await
    })
    .await
}

/// The answer, and whether it is the last word.
async fn carry_out_once(state: &State, what: Sendto) -> Result<(Value, bool), Problem> {
    let single = matches!(what.to, Target::User(_));
    let named = matches!(what.to, Target::User(_) | Target::Users(_));
    let done = sendto::deliver(&state.sessions, what).await?;
    let settled = done.is_settled();
    Ok((answer(&done, single, named)?, settled))
}

async fn carry_out(state: &State, what: Sendto) -> Result<Value, Problem> {
    carry_out_once(state, what).await.map(|(answer, _)| answer)
}

/// Where one user was meant, the status says it too.
fn answer(done: &Done, single: bool, named: bool) -> Result<Value, Problem> {
    let results: Value = done.results.iter().map(result).collect();
    if single && let [only] = &done.results[..] {
        let refused = match only.state {
            SendtoState::NoSuchUser => Some(Problem::no_such_user(&only.uid)),
            SendtoState::Full => {
                let words = format!("as many messages wait for {} as may, or its mailbox is full", only.uid);
                Some(Problem::new(Code::Full, words))
            }
            SendtoState::Failed => Some(Problem::new(Code::StoreFailed, "it may or may not be kept")),
            _ => None,
        };
        if let Some(refused) = refused {
            return Err(refused.with_results(results));
        }
    }
    let mut answer = json!({ "results": results });
    if !named {
        let counts: Map<_, _> = done.counts.iter().map(|(state, n)| (state.as_str().to_owned(), json!(n))).collect();
        answer["total"] = done.total.into();
        answer["counts"] = counts.into();
        answer["complete"] = done.is_complete().into();
    }
    Ok(answer)
}

fn result(r: &SendtoResult) -> Value {
    json!({
        "uid": r.uid.as_str(),
        "state": r.state.as_str(),
        "sessions": r.sessions,
        "stored": r.id.is_some(),
        "id": r.id,
        "repeated": r.repeated,
    })
}
