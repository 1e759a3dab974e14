//! ejabberd's most used calls, as `/api/<command>`: a backend that was written for it changes the address.
//!
//! | file | what is in it |
//! |---|---|
//! | `commands.rs` | the table: names, arguments, results, scopes |
//! | `arguments.rs` | what a request brings, checked against the table in ejabberd's order and words |
//! | `answer.rs` | results and errors in ejabberd's shapes |
//! | `accounts.rs`, `online.rs`, `sending.rs` | what the commands do |
//! | `document.rs` | their part of the OpenAPI document, made from the table |
//!
//! Shapes and words are those that ejabberd 23.01 answered with, and the command specifications of later
//! versions where they differ by API version. Where it answers 500 to a wrong argument we answer 400, and where
//! it says "sent" without knowing we say what happened; docs/ejabberd.md lists both.

mod accounts;
mod answer;
mod arguments;
mod commands;
mod document;
mod online;
mod sending;

pub use answer::refusal;
pub use commands::COMMANDS;
pub use document::paths;

use super::problem::{Code, Problem};
use super::scope::Scope;
use super::status::State;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use answer::{Answer, Refused};
use arguments::Arguments;
use commands::{Call, Command};

/// The path of a command in the default version.
pub const PATH: &str = "/api/{command}";
/// The path that says a version.
pub const PATH_VERSION: &str = "/api/{command}/v{version:[0-9]}";

/// Is this one of ejabberd's paths?
pub fn is_ours(pattern: &str) -> bool {
    pattern == PATH || pattern == PATH_VERSION
}

/// What the command of this path needs; `None`: there is no such command.
pub fn scope(path: &str) -> Option<Scope> {
    let name = path.strip_prefix("/api/")?.split('/').next()?;
    find(name).map(|command| command.scope)
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Carries out a command.
pub async fn command(state: web::Data<State>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let version = request.match_info().get("version").and_then(|v| v.parse().ok());
    let version = version.unwrap_or(state.config.admin.ejabberd_version);
    let Some(command) = request.match_info().get("command").and_then(find) else {
        return answer::error(404, 40, "Endpoint not found.");
    };
    let arguments = match *request.method() {
        Method::POST => match super::input::read(body.into_inner(), state.config.admin.body_bytes_max).await {
            Ok(body) => Arguments::of_body(&body),
            Err(problem) => return refusal(&problem),
        },
        _ if command.reads => Arguments::of_query(request.query_string()),
        _ => {
            let words = format!("{} changes something: it is for POST", command.name);
            return refusal(&Problem::new(Code::MethodNotAllowed, words));
        }
    };
    let done = match arguments.and_then(|arguments| arguments.checked(command)) {
        Ok(arguments) => carry_out(&state, command.call, &arguments).await,
        Err(refused) => Err(refused),
    };
    match done {
        Ok(done) => done.response(command, version),
        Err(refused) => refused.response(),
    }
}

async fn carry_out(state: &State, call: Call, with: &Arguments) -> Result<Answer, Refused> {
    match call {
        Call::Register => accounts::register(state, with).await,
        Call::Unregister => accounts::unregister(state, with).await,
        Call::CheckAccount => accounts::check_account(state, with).await,
        Call::ChangePassword => accounts::change_password(state, with).await,
        Call::GetOfflineCount => accounts::get_offline_count(state, with).await,
        Call::GetLast => online::get_last(state, with).await,
        Call::GetPresence => online::get_presence(state, with).await,
        Call::NumResources => online::num_resources(state, with).await,
        Call::UserResources => online::user_resources(state, with).await,
        Call::UserSessionsInfo => online::user_sessions_info(state, with).await,
        Call::ConnectedUsers => online::connected_users(state).await,
        Call::ConnectedUsersInfo => online::connected_users_info(state).await,
        Call::StatusNum => online::status_num(state, with).await,
        Call::Stats => online::stats(state, with).await,
        Call::KickSession => online::kick_session(state, with).await,
        Call::KickUser => online::kick_user(state, with).await,
        Call::SendMessage => sending::send_message(state, with).await,
        Call::SendStanza => sending::send_stanza(state, with).await,
    }
}
