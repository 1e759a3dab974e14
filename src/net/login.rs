//! What a stream machine asks on the way in, answered: keys from the store, passwords checked off the
//! workers, resources bound.

use crate::metrics::{self, Login};
use herald_session::{Close, Link, Seat, Sessions};
use herald_storage::{Store, StoreError, ask};
use herald_xmpp::ns;
use herald_xmpp::sasl::{Credentials, Password};
use herald_xmpp::stream::{Condition, StreamError, c2s};
use herald_xmpp::{BareJid, Resource};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tracing::warn;

/// A question of a stream machine.
pub(crate) enum Question {
    Lookup(BareJid),
    CheckPlain(BareJid, Password),
    Bind(BareJid, Option<Resource>),
}

/// The answer for the machine, and the seat when there is one.
pub(crate) struct Answered {
    pub(crate) input: c2s::Input<'static>,
    pub(crate) seat: Option<Seat>,
}

/// Answers for all connections.
pub(crate) struct Logins {
    store: Arc<dyn Store>,
    sessions: Sessions,
    /// So that unknown users have keys too, the same ones at each try.
    secret: [u8; 32],
    iterations: u32,
    /// Hashing a password takes a millisecond: it is done beside the workers, on as many threads as there are cores.
    hashing: Semaphore,
}

impl Logins {
    pub(crate) fn new(store: Arc<dyn Store>, sessions: Sessions, secret: [u8; 32], iterations: u32) -> Logins {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Logins { store, sessions, secret, iterations, hashing: Semaphore::new(cores) }
    }

    /// Answers `question` for the connection behind `link`.
    pub(crate) async fn answer(&self, question: Question, link: Arc<dyn Link>) -> Answered {
        let input = match question {
            Question::Lookup(user) => match ask(|then| self.store.account(&user, then)).await {
                Ok(keys) => c2s::Input::Credentials(keys),
                Err(e) => failed(&user, &e),
            },
            Question::CheckPlain(user, password) => match ask(|then| self.store.account(&user, then)).await {
                // A stranger gets keys as well, so that the time it takes does not tell who exists.
                Ok(keys) => {
                    let keys = keys.unwrap_or_else(|| Credentials::decoy(&user, &self.secret, self.iterations));
                    self.check(keys, password).await
                }
                Err(e) => failed(&user, &e),
            },
            Question::Bind(user, resource) => {
                return match self.sessions.bind(user, resource, link).await {
                    Ok(seat) => {
                        metrics::login(Login::Ok);
                        Answered { input: c2s::Input::Bound(Ok(seat.jid().clone())), seat: Some(seat) }
                    }
                    Err(e) => Answered { input: c2s::Input::Bound(Err(e)), seat: None },
                };
            }
        };
        Answered { input, seat: None }
    }

    async fn check(&self, keys: Credentials, password: Password) -> c2s::Input<'static> {
        let Ok(_turn) = self.hashing.acquire().await else { return c2s::Input::StoreFailed };
        match tokio::task::spawn_blocking(move || keys.verify(password.as_str())).await {
            Ok(right) => c2s::Input::Checked(right),
            Err(_) => c2s::Input::StoreFailed,
        }
    }
}

fn failed(user: &BareJid, e: &StoreError) -> c2s::Input<'static> {
    warn!(%user, "login: {e}");
    metrics::login(Login::Failed);
    c2s::Input::StoreFailed
}

/// Counts what an element or an error of the machine says of a login.
pub(crate) fn count(said: &c2s::Output) {
    match said {
        // The machine's own elements are few; TLS has one of that name too.
        c2s::Output::Element(xml) if xml.starts_with("<failure") && xml.contains(ns::SASL) => {
            metrics::login(Login::Refused);
        }
        c2s::Output::Error(e) if e.condition == Condition::ConnectionTimeout => metrics::login(Login::TimedOut),
        _ => {}
    }
}

/// What the client is told when the server ends its stream.
pub(crate) fn stream_error(why: &Close) -> StreamError {
    match why {
        Close::Conflict => StreamError::new(Condition::Conflict).with_text("the resource was bound again"),
        Close::Kicked(words) => StreamError::new(Condition::PolicyViolation).with_text(words.clone()),
        Close::Shutdown => StreamError::new(Condition::SystemShutdown),
        Close::ResourceFull => {
            StreamError::new(Condition::PolicyViolation).with_text("the connection did not take what it was sent")
        }
        Close::Internal => StreamError::new(Condition::InternalServerError),
    }
}
