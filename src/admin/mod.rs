//! The operator's API: HTTP on a port of its own, by actix-web, for backends, scripts and monitors.
//!
//! | file | what is in it |
//! |---|---|
//! | `endpoints.rs`, `scope.rs` | everything that can be asked, and what one must be allowed for it |
//! | `token.rs`, `keyring.rs` | who asks: the operator's token, made on first start, and named keys |
//! | `idempotent.rs` | requests that are carried out once, however often they are made |
//! | `ejabberd/` | the calls of ejabberd, under their own names |
//! | `gate.rs` | what every request passes: the key and its scopes, the bound on requests in work, draining |
//! | `problem.rs` | every refusal: problem+json (RFC 9457) with a stable code |
//! | `input.rs` | bodies and query strings, read strictly |
//! | `comet.rs` | the calls of backends written for iComet |
//! | `sendto.rs`, `batch.rs`, `groups.rs`, `history.rs`, `keys.rs`, `presence.rs`, `users.rs`, `login.rs`, `sessions.rs`, `observer.rs`, `status.rs` | the endpoints |
//! | `openapi.json` | the whole of it as OpenAPI 3.1; a test compares it with [`ENDPOINTS`] |

mod batch;
mod comet;
mod ejabberd;
mod endpoints;
mod events;
mod gate;
mod groups;
mod history;
mod idempotent;
mod input;
mod keyring;
mod keys;
mod login;
mod observer;
mod presence;
mod problem;
mod scope;
mod sendto;
mod sessions;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod users;

pub use endpoints::ENDPOINTS;
pub use keys::load as load_keys;
pub use login::WaysIn;
pub use scope::{Scope, Scopes};
pub use status::{Phase, State};
pub use token::Token;

use actix_web::dev::ServerHandle;
use actix_web::http::Method;
use actix_web::{App, HttpServer, middleware, rt, web};
use anyhow::{Context, Result, anyhow};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// One thread serves them all: an operator's API is no mass listener.
const WORKERS: usize = 1;
/// Open connections; more wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;
/// An idle connection is closed after so many seconds.
const KEEP_ALIVE_SECS: u64 = 75;
/// The head of a request must be there within so many seconds.
const HEAD_SECS: u64 = 10;
/// A connection whose other end takes nothing of what is sent to it is closed after so many seconds.
const DEAF_SECS: u64 = 30;
/// How long requests in work may take once the server stops.
const STOP_SECS: u64 = 1;

/// The running API.
pub struct Admin {
    handle: ServerHandle,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Serves on a listener that is bound already, in a thread of its own.
    pub fn start(listener: TcpListener, state: Arc<State>) -> Result<Admin> {
        let (tell, started) = mpsc::channel();
        let body = move || {
            let served = rt::System::new().block_on(async move {
                let server = HttpServer::new(move || app!(state.clone()))
                    .workers(WORKERS)
                    .max_connections(CONNECTIONS_MAX)
                    .keep_alive(Duration::from_secs(KEEP_ALIVE_SECS))
                    .client_request_timeout(Duration::from_secs(HEAD_SECS))
                    .shutdown_timeout(STOP_SECS)
                    .on_connect(|connection, _| give_up_on_the_deaf(connection))
                    .disable_signals()
                    .listen(listener)?
                    .run();
                let _ = tell.send(server.handle());
                server.await
            });
            if let Err(e) = served {
                tracing::error!("the operator's API has ended: {e}");
            }
        };
        let thread = std::thread::Builder::new().name("admin".into()).spawn(body).context("a thread")?;
        let handle = started.recv().map_err(|_| anyhow!("the operator's API did not start"))?;
        Ok(Admin { handle, thread })
    }

    /// Ends it, after the requests in work.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

/// A reader of the events that does not read holds a place: its connection ends when it has taken nothing for
/// so long.
fn give_up_on_the_deaf(connection: &dyn std::any::Any) {
    if let Some(stream) = connection.downcast_ref::<rt::net::TcpStream>() {
        let limit = Some(Duration::from_secs(DEAF_SECS));
        if let Err(e) = socket2::SockRef::from(stream).set_tcp_user_timeout(limit) {
            tracing::debug!("a connection of the operator's API has no limit: {e}");
        }
    }
}

/// The application: a macro, since its type cannot be written down.
macro_rules! app {
    ($state:expr) => {
        App::new()
            .app_data(web::Data::from($state))
            .configure(routes)
            .default_service(web::to(problem::not_found))
            .wrap(middleware::from_fn(gate::gate))
    };
}
use app;

fn routes(app: &mut web::ServiceConfig) {
    comet::routes(app);
    let mut paths: Vec<&str> = ENDPOINTS.iter().map(|e| e.path).collect();
    paths.dedup();
    for path in paths {
        let mut resource = web::resource(path).default_service(web::to(problem::method_not_allowed));
        for endpoint in ENDPOINTS.iter().filter(|e| e.path == path) {
            let mut route = (endpoint.route)();
            route = match endpoint.method {
                Method::GET => route.guard(actix_web::guard::Any(actix_web::guard::Get()).or(actix_web::guard::Head())),
                ref other => route.method(other.clone()),
            };
            resource = resource.route(route);
        }
        app.service(resource);
    }
}
