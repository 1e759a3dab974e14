//! `POST /api/v1/batch`: many requests of `sendto` in one, as an array or as a stream of lines.
//!
//! Those for one user are carried out in their order; those for different users wait for no other. What goes to a
//! group or to all is carried out alone, after all that stood before it.

use super::input::{is_json, is_kind, read};
use super::keyring::Caller;
use super::problem::{Code, Problem};
use super::sendto::{Prepared, Ready, finish, prepare};
use super::status::{Phase, State};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::convert::Infallible;

/// Requests in one array; more are refused.
const ITEMS_MAX: usize = 1_000;
/// Lines of a stream that are in work at a time.
const LINES_AT_A_TIME: usize = 100;

/// Carries out all of them.
pub async fn batch(state: web::Data<State>, request: HttpRequest, body: web::Payload) -> Result<HttpResponse, Problem> {
    let caller = request.extensions().get::<Caller>().cloned();
    if is_kind(&request, "application/x-ndjson") {
        return Ok(lines(state, caller, body));
    }
    is_json(&request)?;
    let body = read(body.into_inner(), state.config.admin.body_bytes_max).await?;
    let items: Vec<&RawValue> = serde_json::from_slice(&body).map_err(|e| crate::sendto::Refusal::of(&e))?;
    if items.len() > ITEMS_MAX {
        let words = format!("a batch has at most {ITEMS_MAX} requests, not {}", items.len());
        return Err(Problem::new(Code::Invalid, words));
    }
    let items: Vec<&[u8]> = items.iter().map(|item| item.get().as_bytes()).collect();
    let results = carry_out(&state, caller.as_ref(), &items).await;
    Ok(HttpResponse::Ok().json(json!({ "results": results })))
}

/// Each answered as alone, in their order.
async fn carry_out(state: &State, caller: Option<&Caller>, items: &[&[u8]]) -> Vec<Value> {
    let prepared = join_all(items.iter().map(|item| prepare(state, caller, item, None))).await;
    let mut answers = vec![Value::Null; items.len()];
    let mut in_work: Vec<(usize, BoxFuture<'_, Result<Value, Problem>>)> = Vec::new();
    for (at, ready) in prepared.into_iter().enumerate() {
        match ready {
            Err(problem) => answers[at] = problem.json(),
            Ok(Ready::Again(answer)) => {
                answers[at] = answered(answer);
                answers[at]["replayed"] = true.into();
            }
            Ok(Ready::Go(prepared)) => {
                let alone = !prepared.is_to_named();
                if alone {
                    wait(&mut in_work, &mut answers).await;
                }
                let mut work = going(state, *prepared);
                // The first step puts it into the mailboxes: so the order of the requests is that of the mailboxes.
                match (&mut work).now_or_never() {
                    Some(done) => answers[at] = said(done),
                    None => in_work.push((at, work)),
                }
                if alone {
                    wait(&mut in_work, &mut answers).await;
                }
            }
        }
    }
    wait(&mut in_work, &mut answers).await;
    answers
}

fn going<'s>(state: &'s State, prepared: Prepared<'s>) -> BoxFuture<'s, Result<Value, Problem>> {
    finish(state, prepared).boxed()
}

async fn wait(in_work: &mut Vec<(usize, BoxFuture<'_, Result<Value, Problem>>)>, answers: &mut [Value]) {
    let (places, work): (Vec<usize>, Vec<_>) = in_work.drain(..).unzip();
    for (at, done) in places.into_iter().zip(join_all(work).await) {
        answers[at] = said(done);
    }
}

fn said(done: Result<Value, Problem>) -> Value {
    match done {
        Ok(answer) => answered(answer),
        Err(problem) => problem.json(),
    }
}

fn answered(mut answer: Value) -> Value {
    answer["status"] = 200.into();
    answer
}

/// A stream being read and answered.
struct Lines {
    state: web::Data<State>,
    caller: Option<Caller>,
    body: web::Payload,
    /// What came and has no line end yet.
    rest: BytesMut,
    /// Lines that were answered.
    answered: u64,
    over: bool,
}

/// One line of answer for each line, as they come.
fn lines(state: web::Data<State>, caller: Option<Caller>, body: web::Payload) -> HttpResponse {
    let lines = Lines { state, caller, body, rest: BytesMut::new(), answered: 0, over: false };
    let out = stream::unfold(lines, |mut lines| async move {
        let out = lines.next().await?;
        Some((Ok::<Bytes, Infallible>(out), lines))
    });
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(out)
}

impl Lines {
    /// Answers to the next lines that are there.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let lines = self.take();
            if !lines.is_empty() {
                return Some(self.answer(&lines).await);
            }
            if self.over {
                return None;
            }
            if self.rest.len() > self.state.config.admin.body_bytes_max {
                return Some(self.end(Code::TooLarge, "a line is larger than `admin.body_bytes_max`"));
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.rest.extend_from_slice(&piece),
                Some(Err(e)) => return Some(self.end(Code::Malformed, &format!("the body cannot be read: {e}"))),
                None => {
                    self.over = true;
                    self.rest.extend_from_slice(b"\n"); // the last line may have no end
                }
            }
        }
    }

    /// Whole lines, as many as may be in work. Empty ones are passed over.
    fn take(&mut self) -> Vec<Bytes> {
        let mut lines = Vec::new();
        while lines.len() < LINES_AT_A_TIME
            && let Some(end) = memchr::memchr(b'\n', &self.rest)
        {
            let line = self.rest.split_to(end + 1).freeze();
            if !line.trim_ascii().is_empty() {
                lines.push(line);
            }
        }
        lines
    }

    async fn answer(&mut self, lines: &[Bytes]) -> Bytes {
        if self.state.phase.now() != Phase::Ready {
            return self.end(Code::NotServing, "the server is going down: this line and what follows is not sent");
        }
        let items: Vec<&[u8]> = lines.iter().map(|line| line.trim_ascii()).collect();
        let mut out = Vec::new();
        for mut answer in carry_out(&self.state, self.caller.as_ref(), &items).await {
            self.answered += 1;
            answer["line"] = self.answered.into();
            out.extend_from_slice(answer.to_string().as_bytes());
            out.push(b'\n');
        }
        out.into()
    }

    /// The last line: nothing more is read.
    fn end(&mut self, code: Code, words: &str) -> Bytes {
        self.over = true;
        self.rest.clear();
        let mut answer = Problem::new(code, words).json();
        answer["line"] = (self.answered + 1).into();
        format!("{answer}\n").into()
    }
}
