//! Bodies and query strings, read strictly: what is not known is refused by its name.

use super::problem::{Code, Problem};
use super::status::State;
use crate::accounts;
use crate::sendto::Refusal;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use bytes::BytesMut;
use futures_util::StreamExt;
use herald_xmpp::BareJid;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::Pin;

/// A body, checked to be JSON of this shape and no larger than the configuration says.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Json<T>, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = is_json(request);
        let limit = request.app_data::<web::Data<State>>().map_or(0, |s| s.config.admin.body_bytes_max);
        let payload = payload.take();
        Box::pin(async move {
            checked?;
            let body = read(payload, limit).await?;
            serde_json::from_slice(&body).map(Json).map_err(|e| Refusal::of(&e).into())
        })
    }
}

/// Does the body say that it is JSON?
pub fn is_json(request: &HttpRequest) -> Result<(), Problem> {
    if is_kind(request, "application/json") {
        return Ok(());
    }
    Err(Problem::new(Code::NotJson, "the body must be JSON, and say so: `Content-Type: application/json`"))
}

/// Does the body say that it is of this type?
pub fn is_kind(request: &HttpRequest, wanted: &str) -> bool {
    let said = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let kind = said.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case(wanted)
}

/// A whole body of at most `limit` bytes.
pub async fn read(mut payload: Payload, limit: usize) -> Result<BytesMut, Problem> {
    let mut body = BytesMut::new();
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|e| Problem::new(Code::Malformed, format!("the body cannot be read: {e}")))?;
        if body.len() + piece.len() > limit {
            return Err(Problem::new(Code::TooLarge, format!("a body has at most {limit} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A query string, taken apart; a name that is not among `known` is refused.
pub fn query(request: &HttpRequest, known: &[&str]) -> Result<Vec<(String, String)>, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|e| Problem::new(Code::Malformed, format!("the query string cannot be read: {e}")))?
        .into_inner();
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        let words = format!("unknown parameter `{name}`, expected one of {}", known.join(", "));
        return Err(Problem::new(Code::UnknownField, words).about(name));
    }
    Ok(pairs)
}

/// The value of a parameter that may be given once.
pub fn once<'q>(pairs: &'q [(String, String)], name: &str) -> Result<Option<&'q str>, Problem> {
    let mut values = pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Problem::invalid(name, "it may be given once")),
        (value, None) => Ok(value),
    }
}

/// How many are asked for: 1 to `max`, or `usual` when nothing is said.
pub fn limit(pairs: &[(String, String)], usual: u32, max: u32) -> Result<u32, Problem> {
    let Some(text) = once(pairs, "limit")? else { return Ok(usual) };
    let n = text.parse().ok().filter(|n| (1..=max).contains(n));
    n.ok_or_else(|| Problem::invalid("limit", format!("it must be a number from 1 to {max}")))
}

/// The address of a uid.
pub fn user(uid: &str, state: &State) -> Result<BareJid, Problem> {
    accounts::user(uid, &state.config.domain).map_err(|e| Problem::invalid("uid", e))
}
