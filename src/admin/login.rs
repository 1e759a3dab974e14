//! `/api/v1/token` and `/api/v1/prebind`: logging in a user who is known elsewhere, without a password.

use super::input::{Json, user};
use super::problem::{Code, Problem};
use super::status::State;
use crate::accounts;
use crate::net::{Comet, Prebind};
use crate::tokens::{Token, Tokens};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use herald_storage::{Put, ask};
use herald_xmpp::sasl::{Credentials, TokenId};
use herald_xmpp::stanza::Condition;
use herald_xmpp::{BareJid, Resource, StanzaError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest a token holds: a day.
const TOKEN_TTL_SECS_MAX: u32 = 86_400;
/// Random bytes in a token; it has 43 characters, none of which needs quoting anywhere.
const TOKEN_BYTES: usize = 32;

/// What lets somebody in without a password.
pub struct WaysIn {
    /// Tokens that go where the password would go.
    pub tokens: Arc<Tokens>,
    /// Sessions that are there already.
    pub prebind: Prebind,
    /// Tokens of iComet's kind, and all that goes with them.
    pub comet: Arc<Comet>,
}

/// Who is to log in with a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    uid: String,
    ttl: Option<u32>,
    #[serde(default)]
    create: bool,
}

/// Makes a one-time token.
pub async fn token(state: web::Data<State>, Json(new): Json<NewToken>) -> Result<HttpResponse, Problem> {
    let ttl = ttl(new.ttl, state.config.auth.token_ttl_secs, TOKEN_TTL_SECS_MAX)?;
    let (user, account) = account(&state, &new.uid, new.create).await?;
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(no_randomness)?;
    let text = BASE64.encode(random);
    let id = TokenId::of(&text);
    // As slow as a new password, and for the same reason not on the thread that serves.
    let (text, keys) = web::block(move || {
        let keys = account.derive_beside(&text);
        (text, keys)
    })
    .await
    .map_err(|_| Problem::new(Code::Busy, "no thread was free to hash the token"))?;
    let keys = keys.map_err(|e| Problem::new(Code::StoreFailed, format!("the token cannot be hashed: {e}")))?;
    let now = Instant::now();
    let kept = state.ways_in.tokens.put(now, id, Token { user: user.clone(), keys, until: now + ttl });
    kept.map_err(|_| {
        let words = format!("{} login tokens are outstanding: try again later", state.config.auth.tokens_max);
        Problem::new(Code::TooManyTokens, words)
    })?;
    Ok(secret(json!({ "token": text, "jid": user.as_str(), "expires": expires(ttl) })))
}

/// Who is to have a session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSession {
    uid: String,
    resource: Option<String>,
    ttl: Option<u32>,
    #[serde(default)]
    create: bool,
}

/// Makes a BOSH session that is bound already and waits for its client.
pub async fn prebind(
    state: web::Data<State>,
    request: HttpRequest,
    Json(new): Json<NewSession>,
) -> Result<HttpResponse, Problem> {
    let bosh = &state.config.bosh;
    let ttl = ttl(new.ttl, bosh.prebind_ttl_secs, bosh.prebind_ttl_max_secs)?;
    let resource = new.resource.as_deref().map(Resource::new).transpose();
    let resource = resource.map_err(|e| Problem::invalid("resource", e))?;
    let (user, _) = account(&state, &new.uid, new.create).await?;
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
    let bound = state.ways_in.prebind.session(user, resource, ttl.as_secs() as u32, peer).await;
    let bound = bound.map_err(|e| refused(&new.uid, &e))?;
    Ok(secret(json!({
        "jid": bound.jid.as_str(),
        "sid": bound.sid.to_string(),
        "rid": bound.rid.number(),
        "expires": expires(ttl),
    })))
}

/// What nobody between us and the page's backend may keep.
fn secret(answer: Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(answer)
}

/// A bind that went wrong, in the words of this API.
fn refused(uid: &str, e: &StanzaError) -> Problem {
    match e.condition {
        Condition::ResourceConstraint => {
            Problem::new(Code::TooManyResources, format!("{uid} has as many resources as one may have"))
        }
        Condition::NotAuthorized => Problem::no_such_user(uid), // it was deleted meanwhile
        Condition::ServiceUnavailable => Problem::new(Code::NotServing, "the session was ended while it was made"),
        _ => Problem::new(Code::StoreFailed, "the session could not be bound"),
    }
}

/// The account of a uid, made without a password when it is missing and `create` says so.
async fn account(state: &State, uid: &str, create: bool) -> Result<(BareJid, Credentials), Problem> {
    let user = user(uid, state)?;
    let mut account = ask(|then| state.store.account(&user, then)).await?;
    if account.is_none() && create {
        let keys = accounts::locked(state.config.auth.scram_iterations).map_err(no_randomness)?;
        ask(|then| state.store.put_account(&user, keys, Put::Create, then)).await?;
        account = ask(|then| state.store.account(&user, then)).await?; // ours, or who else made it meanwhile
    }
    account.map(|account| (user, account)).ok_or_else(|| Problem::no_such_user(uid))
}

fn ttl(asked: Option<u32>, usual: u32, max: u32) -> Result<Duration, Problem> {
    let secs = asked.unwrap_or(usual);
    if !(1..=max).contains(&secs) {
        return Err(Problem::invalid("ttl", format!("it must be a number of seconds from 1 to {max}")));
    }
    Ok(Duration::from_secs(secs.into()))
}

/// When that will be over.
fn expires(ttl: Duration) -> String {
    let end = jiff::Timestamp::now().as_millisecond() + ttl.as_millis() as i64; // a day at most
    jiff::Timestamp::from_millisecond(end).map(|end| end.to_string()).unwrap_or_default()
}

fn no_randomness(e: impl std::fmt::Display) -> Problem {
    Problem::new(Code::StoreFailed, format!("no token can be made: {e}"))
}
