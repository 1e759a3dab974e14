//! `POST /api/v1/sendto`: a message to one user, many, a group or all, and what became of it for each.

use super::idempotent::{self, Begun, Carried, Ticket};
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
    let carried = match prepare(&state, caller.as_ref(), &body, header.as_deref()).await? {
        Ready::Again(answer) => Carried { answer, replayed: true },
        Ready::Go(prepared) => Carried { answer: finish(&state, *prepared).await?, replayed: false },
    };
    Ok(carried.response())
}

/// A request that was checked, and nothing is sent yet.
pub enum Ready<'s> {
    /// It was carried out before, and this is its answer.
    Again(Value),
    /// To be carried out.
    Go(Box<Prepared<'s>>),
}

/// See [`Ready::Go`].
pub struct Prepared<'s> {
    what: Sendto,
    ticket: Option<Ticket<'s>>,
}

impl Prepared<'_> {
    /// Is it for users who are named, not for a group or all?
    pub fn is_to_named(&self) -> bool {
        matches!(self.what.to, Target::User(_) | Target::Users(_))
    }
}

/// Checks a request, however it came. One that has a name may have been carried out before.
pub async fn prepare<'s>(
    state: &'s State,
    caller: Option<&Caller>,
    body: &[u8],
    header: Option<&str>,
) -> Result<Ready<'s>, Problem> {
    let limits = crate::serve::xml_limits(&state.config.limits);
    let mut what = sendto::parse(body, &limits)?;
    let name = match (what.key.take(), header) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("key", "the header Idempotency-Key names the request already"));
        }
        (key, header) => key.or_else(|| header.map(Into::into)),
    };
    let Some(name) = name else { return Ok(Ready::Go(Box::new(Prepared { what, ticket: None }))) };
    match idempotent::begin(state, idempotent::key(caller, &name), body).await? {
        Begun::Again(answer) => Ok(Ready::Again(answer)),
        Begun::First(ticket) => {
            what.push.terms.once = Some(ticket.key().into());
            Ok(Ready::Go(Box::new(Prepared { what, ticket: Some(ticket) })))
        }
    }
}

/// Carries it out. To users who are named it is in their mailboxes when this was polled once.
pub async fn finish(state: &State, prepared: Prepared<'_>) -> Result<Value, Problem> {
    let Prepared { what, ticket } = prepared;
    let single = matches!(what.to, Target::User(_));
    let named = matches!(what.to, Target::User(_) | Target::Users(_));
    let done = sendto::deliver(&state.sessions, what).await?;
    let answer = answer(&done, single, named)?;
    if let Some(ticket) = ticket
        && done.is_settled()
    {
        ticket.keep(state, &answer).await;
    }
    Ok(answer)
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
