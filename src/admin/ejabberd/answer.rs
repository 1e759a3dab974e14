//! Results and errors in ejabberd's shapes.

use super::commands::{Command, Member, Shape};
use crate::admin::problem::{Code, Problem};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use herald_storage::StoreError;
use serde_json::{Map, Value, json};

/// What a command found or did.
pub enum Answer {
    /// Did it go well?
    Code(bool),
    /// Words.
    Text(String),
    /// A number.
    Number(u64),
    /// Strings.
    Strings(Vec<String>),
    /// The members of objects, in the order of the command's [`Shape`].
    Objects(Vec<Vec<Value>>),
    /// The members of one.
    Object(Vec<Value>),
}

impl Answer {
    /// As the command says it in this version of ejabberd's API.
    pub fn response(self, command: &Command, version: u32) -> HttpResponse {
        HttpResponse::Ok().json(self.json(command.result, version))
    }

    /// See [`Shape`].
    pub fn json(self, shape: Shape, version: u32) -> Value {
        match (self, shape) {
            (Answer::Code(good), _) => Value::from(u8::from(!good)),
            (Answer::Text(words), _) => words.into(),
            (Answer::Number(n), Shape::Number(name) | Shape::Kicked(name)) if version == 0 => json!({ name: n }),
            (Answer::Number(n), Shape::Kicked(_)) if version > 1 => format!("Kicked sessions: {n}").into(),
            (Answer::Number(n), _) => n.into(),
            (Answer::Strings(all), _) => all.into(),
            (Answer::Objects(all), Shape::Objects(names)) => {
                all.into_iter().map(|members| object(names, members)).collect()
            }
            (Answer::Object(members), Shape::Object(names)) => object(names, members),
            (Answer::Objects(_) | Answer::Object(_), _) => Value::Null, // no command answers so: see the test
        }
    }
}

fn object(names: &[(&str, Member)], members: Vec<Value>) -> Value {
    let named = names.iter().map(|(name, _)| (*name).to_owned()).zip(members);
    Value::Object(named.collect::<Map<_, _>>())
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum Refused {
    /// A status, and words: the answer is a JSON string.
    Words(u16, String),
    /// A status, ejabberd's number for it, and words.
    Coded(u16, u32, String),
    /// As of any of our calls.
    Problem(Problem),
}

impl Refused {
    /// See [`Refused::Words`].
    pub fn words(status: u16, words: impl Into<String>) -> Refused {
        Refused::Words(status, words.into())
    }

    /// As ejabberd has it.
    pub fn response(&self) -> HttpResponse {
        match self {
            Refused::Words(code, words) => HttpResponse::build(status(*code)).json(words),
            Refused::Coded(status, code, words) => error(*status, *code, words),
            Refused::Problem(problem) => refusal(problem),
        }
    }
}

impl From<StoreError> for Refused {
    fn from(e: StoreError) -> Refused {
        Refused::Problem(e.into())
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Refused::Problem(problem)
    }
}

/// `{"status":"error",..}`.
pub fn error(code: u16, number: u32, words: &str) -> HttpResponse {
    HttpResponse::build(status(code)).json(json!({ "status": "error", "code": number, "message": words }))
}

/// A refusal that all our calls know, in ejabberd's shape and with its number where it has one.
pub fn refusal(problem: &Problem) -> HttpResponse {
    let (number, words) = match problem.code() {
        Code::Unauthorized => (10, "You are not authorized to call this command."),
        Code::Forbidden => (32, "AccessRules: Account does not have the right to perform the operation."),
        _ => (0, problem.detail()),
    };
    let own = problem.error_response();
    let mut response = error(own.status().as_u16(), number, words);
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = own.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}
