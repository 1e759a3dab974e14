//! Every refusal: problem+json (RFC 9457) with a stable code.

use super::ENDPOINTS;
use crate::sendto::{Refusal, Undelivered, Why};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde_json::{Value, json};
use std::fmt;

/// What a caller may branch on: these words never change their meaning.
macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $word:literal $status:ident;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($(#[doc = $doc])* $name,)+ }
        impl Code {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &'static [Code] = &[$(Code::$name),+];
            /// As the answer has it.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $word,)+ }
            }
            /// Its HTTP status.
            pub fn status(self) -> StatusCode {
                match self { $(Code::$name => StatusCode::$status,)+ }
            }
        }
    };
}
codes! {
    /// The body is no JSON, or the query string is none.
    Malformed = "malformed" BAD_REQUEST;
    /// No token, or not the server's.
    Unauthorized = "unauthorized" UNAUTHORIZED;
    /// The key is known, and not for this.
    Forbidden = "forbidden" FORBIDDEN;
    /// There is nothing at this path.
    NotFound = "not_found" NOT_FOUND;
    /// There is no such account.
    NoSuchUser = "no_such_user" NOT_FOUND;
    /// There is no such group.
    NoSuchGroup = "no_such_group" NOT_FOUND;
    /// There is no such key.
    NoSuchKey = "no_such_key" NOT_FOUND;
    /// The path is right, the method is not.
    MethodNotAllowed = "method_not_allowed" METHOD_NOT_ALLOWED;
    /// The account is there already.
    UserExists = "user_exists" CONFLICT;
    /// The user has as many resources as one may have.
    TooManyResources = "too_many_resources" CONFLICT;
    /// There is a key of that name already.
    KeyExists = "key_exists" CONFLICT;
    /// A request with the same Idempotency-Key is in work.
    InFlight = "in_flight" CONFLICT;
    /// The body is too large.
    TooLarge = "too_large" PAYLOAD_TOO_LARGE;
    /// The body is not said to be JSON.
    NotJson = "not_json" UNSUPPORTED_MEDIA_TYPE;
    /// A field or a parameter that is not known here.
    UnknownField = "unknown_field" UNPROCESSABLE_ENTITY;
    /// A field is missing, of the wrong type, out of range or does not go with the others.
    Invalid = "invalid" UNPROCESSABLE_ENTITY;
    /// The stanza is no message that can be sent.
    InvalidStanza = "invalid_stanza" UNPROCESSABLE_ENTITY;
    /// Another request came with the same Idempotency-Key.
    IdempotencyMismatch = "idempotency_mismatch" UNPROCESSABLE_ENTITY;
    /// As many messages wait for the user as may.
    Full = "full" TOO_MANY_REQUESTS;
    /// Too many requests are in work.
    Busy = "busy" TOO_MANY_REQUESTS;
    /// There are as many login tokens as there may be.
    TooManyTokens = "too_many_tokens" TOO_MANY_REQUESTS;
    /// The store did not do it.
    StoreFailed = "store_failed" SERVICE_UNAVAILABLE;
    /// The server is not ready yet, or is going down.
    NotServing = "not_serving" SERVICE_UNAVAILABLE;
}

/// A refusal.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    field: Option<String>,
    results: Option<Value>,
}

impl Problem {
    /// With words for a human.
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        Problem { code, detail: detail.into(), field: None, results: None }
    }
    /// A field that is wrong.
    pub fn invalid(field: &str, detail: impl fmt::Display) -> Problem {
        Problem::new(Code::Invalid, format!("`{field}`: {detail}")).about(field)
    }
    /// Names the field it is about.
    pub fn about(self, field: impl Into<String>) -> Problem {
        Problem { field: Some(field.into()), ..self }
    }
    /// With what became of it for each.
    pub fn with_results(self, results: Value) -> Problem {
        Problem { results: Some(results), ..self }
    }
    /// Why.
    pub fn code(&self) -> Code {
        self.code
    }
    /// In words.
    pub fn detail(&self) -> &str {
        &self.detail
    }
    /// There is no such group.
    pub fn no_such_group(name: &str) -> Problem {
        Problem::new(Code::NoSuchGroup, format!("there is no group {name}")).about("group")
    }
    /// As the answer has it.
    pub fn json(&self) -> Value {
        let status = self.code.status();
        let mut body = json!({
            "type": "about:blank", // RFC 9457 section 4.2.1: the status says the kind, the code the rest
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "detail": self.detail,
            "code": self.code.as_str(),
        });
        if let Some(field) = &self.field {
            body["field"] = field.as_str().into();
        }
        if let Some(results) = &self.results {
            body["results"] = results.clone();
        }
        body
    }
    /// There is no such account.
    pub fn no_such_user(uid: &str) -> Problem {
        Problem::new(Code::NoSuchUser, format!("{uid} has no account")).about("uid")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }
    fn error_response(&self) -> HttpResponse {
        let status = self.code.status();
        let mut response = HttpResponse::build(status);
        response.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        let more = match self.code {
            Code::Unauthorized => Some((header::WWW_AUTHENTICATE, "Bearer realm=\"herald\"")),
            Code::Busy | Code::Full | Code::InFlight | Code::TooManyTokens | Code::StoreFailed | Code::NotServing => {
                Some((header::RETRY_AFTER, "1"))
            }
            _ => None,
        };
        if let Some(more) = more {
            response.insert_header(more);
        }
        response.body(self.json().to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let code = match refusal.why {
            Why::Malformed => Code::Malformed,
            Why::UnknownField => Code::UnknownField,
            Why::Invalid => Code::Invalid,
            Why::InvalidStanza => Code::InvalidStanza,
        };
        Problem { code, detail: refusal.words, field: refusal.field, results: None }
    }
}

impl From<Undelivered> for Problem {
    fn from(why: Undelivered) -> Problem {
        match why {
            Undelivered::NoSuchGroup(group) => Problem::no_such_group(&group),
            Undelivered::Store(e) => e.into(),
        }
    }
}

impl From<herald_storage::StoreError> for Problem {
    fn from(e: herald_storage::StoreError) -> Problem {
        match e {
            herald_storage::StoreError::Invalid(why) => Problem::new(Code::Invalid, why),
            e => {
                tracing::warn!("a request of the operator failed: {e}");
                Problem::new(Code::StoreFailed, e.to_string())
            }
        }
    }
}

/// For a path that is none of ours.
pub async fn not_found(request: HttpRequest) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing at {}", request.path()))
}

/// For a method that a path does not have; says which it has.
pub async fn method_not_allowed(request: HttpRequest) -> HttpResponse {
    let pattern = request.match_pattern().unwrap_or_default();
    let mut allowed: Vec<&str> = ENDPOINTS.iter().filter(|e| e.path == pattern).map(|e| e.method.as_str()).collect();
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    let allowed = allowed.join(", ");
    let problem = Problem::new(
        Code::MethodNotAllowed,
        format!("{} is not for {} here; it takes {allowed}", request.path(), request.method()),
    );
    let mut response = problem.error_response();
    if let Ok(value) = header::HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

impl actix_web::Responder for Problem {
    type Body = actix_web::body::BoxBody;
    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}
