//! Everything that can be asked, and what one must be allowed for it.

use super::scope::Scope;
use super::{
    batch, ejabberd, events, groups, history, keys, login, observer, presence, sendto, sessions, status, users,
};
use crate::config::Config;
use actix_web::http::Method;
use actix_web::{Route, web};
use std::net::IpAddr;

/// One thing that can be asked.
pub struct Endpoint {
    /// GET answers HEAD too.
    pub method: Method,
    /// With `{names}`.
    pub path: &'static str,
    /// Who may ask it.
    pub needs: Needs,
    pub(super) route: fn() -> Route,
}

/// Who may ask something.
#[derive(Clone, Copy, Debug)]
pub enum Needs {
    /// Everybody.
    Nothing,
    /// Who brings the operator's token, or a key with this scope.
    Key(Scope),
    /// What the command of ejabberd that the path names needs.
    Command,
    /// The same as [`Needs::Key`]; and whoever asks from an address for which the configuration says so.
    KeyOrAddress(Scope, fn(&Config, IpAddr) -> bool),
}

const fn get(path: &'static str, needs: Needs, route: fn() -> Route) -> Endpoint {
    Endpoint { method: Method::GET, path, needs, route }
}
const fn post(path: &'static str, needs: Needs, route: fn() -> Route) -> Endpoint {
    Endpoint { method: Method::POST, path, needs, route }
}
const fn put(path: &'static str, needs: Needs, route: fn() -> Route) -> Endpoint {
    Endpoint { method: Method::PUT, path, needs, route }
}
const fn delete(path: &'static str, needs: Needs, route: fn() -> Route) -> Endpoint {
    Endpoint { method: Method::DELETE, path, needs, route }
}

const PUSH: Needs = Needs::Key(Scope::Push);
const PRESENCE: Needs = Needs::Key(Scope::PresenceRead);
const HISTORY: Needs = Needs::Key(Scope::HistoryRead);
const EVENTS: Needs = Needs::Key(Scope::EventsRead);
const USERS: Needs = Needs::Key(Scope::Users);
const ADMIN: Needs = Needs::Key(Scope::Admin);

/// Everything that can be asked. Those of one path stand together.
pub const ENDPOINTS: &[Endpoint] = &[
    post("/api/v1/sendto", PUSH, || web::to(sendto::sendto)),
    post("/api/v1/batch", PUSH, || web::to(batch::batch)),
    get("/api/v1/history", HISTORY, || web::to(history::history)),
    get("/api/v1/groups", PUSH, || web::to(groups::list)),
    get("/api/v1/groups/{name}", PUSH, || web::to(groups::show)),
    put("/api/v1/groups/{name}", USERS, || web::to(groups::put)),
    delete("/api/v1/groups/{name}", USERS, || web::to(groups::delete)),
    post("/api/v1/groups/{name}/members", USERS, || web::to(groups::add)),
    delete("/api/v1/groups/{name}/members/{uid}", USERS, || web::to(groups::remove)),
    get("/api/v1/keys", ADMIN, || web::to(keys::list)),
    post("/api/v1/keys", ADMIN, || web::to(keys::create)),
    delete("/api/v1/keys/{name}", ADMIN, || web::to(keys::delete)),
    get("/api/v1/presence", PRESENCE, || web::to(presence::presence)),
    post("/api/v1/presence", PRESENCE, || web::to(presence::presence_of)),
    get("/api/v1/events", EVENTS, || web::to(events::events)),
    get("/api/v1/users", USERS, || web::to(users::list)),
    post("/api/v1/users", USERS, || web::to(users::create)),
    get("/api/v1/users/{uid}", USERS, || web::to(users::show)),
    put("/api/v1/users/{uid}", USERS, || web::to(users::change)),
    delete("/api/v1/users/{uid}", USERS, || web::to(users::delete)),
    post("/api/v1/token", USERS, || web::to(login::token)),
    post("/api/v1/prebind", USERS, || web::to(login::prebind)),
    get("/api/v1/sessions", PRESENCE, || web::to(sessions::list)),
    post("/api/v1/kick", USERS, || web::to(sessions::kick)),
    get("/api/v1/actors", ADMIN, || web::to(observer::actors)),
    get("/api/v1/status", ADMIN, || web::to(status::status)),
    post(ejabberd::PATH_VERSION, Needs::Command, || web::to(ejabberd::command)),
    get(ejabberd::PATH_VERSION, Needs::Command, || web::to(ejabberd::command)),
    post(ejabberd::PATH, Needs::Command, || web::to(ejabberd::command)),
    get(ejabberd::PATH, Needs::Command, || web::to(ejabberd::command)),
    get("/api/v1/openapi.json", Needs::Nothing, || web::to(status::openapi)),
    get("/healthz", Needs::Nothing, || web::to(status::healthz)),
    get("/metrics", Needs::Nothing, || web::to(status::metrics)),
];
