//! What a stream machine asks on the way in, answered: keys from the store, passwords checked off the
//! workers, tokens taken, resources bound.

use super::shape::Shaper;
use crate::accounts;
use crate::config::Auth;
use crate::jwt::Jwt;
use crate::metrics::{self, Login};
use crate::tickets::Tickets;
use crate::tokens::Tokens;
use herald_session::{Close, Link, Seat, Sessions};
use herald_storage::{Put, Store, StoreError, ask};
use herald_xmpp::ns;
use herald_xmpp::sasl::{Credentials, Hash, Mechanism, Password, TokenId};
use herald_xmpp::stream::{Condition, StreamError, c2s};
use herald_xmpp::{BareJid, Resource};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// A question of a stream machine.
pub(crate) enum Question {
    Lookup(BareJid, Hash),
    CheckPlain(BareJid, Password),
    TakeToken(BareJid, TokenId),
    CheckBearer(Option<BareJid>, Password),
    /// No question: a login failed, which is remembered of the client's address.
    Failed,
    Bind(BareJid, Option<Resource>),
}

impl Question {
    /// Of a SCRAM.
    pub(crate) fn lookup(user: BareJid, mechanism: Mechanism) -> Question {
        Question::Lookup(user, mechanism.hash().unwrap_or(Hash::Sha256))
    }

    /// Is this one try to log in?
    fn tries(&self) -> bool {
        !matches!(self, Question::Failed | Question::Bind(..))
    }
}

/// The answer for the machine, and the seat when there is one.
pub(crate) struct Answered {
    pub(crate) input: c2s::Input<'static>,
    pub(crate) seat: Option<Seat>,
}

/// Why somebody does not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Too many logins from that address have failed.
    Barred,
    /// What was shown opens nothing.
    Wrong,
    /// It could not be checked.
    Failed,
}

/// Answers for all connections.
pub(crate) struct Logins {
    store: Arc<dyn Store>,
    sessions: Sessions,
    tokens: Arc<Tokens>,
    jwt: Option<Arc<Jwt>>,
    shaper: Arc<Shaper>,
    tickets: Tickets,
    /// So that unknown users have keys too, the same ones at each try.
    secret: [u8; 32],
    iterations: u32,
    /// Hashing a password takes a millisecond: it is done beside the workers, on as many threads as there are cores.
    hashing: Semaphore,
}

impl Logins {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        sessions: Sessions,
        tokens: Arc<Tokens>,
        jwt: Option<Arc<Jwt>>,
        shaper: Arc<Shaper>,
        secret: [u8; 32],
        auth: &Auth,
    ) -> Logins {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let hashing = Semaphore::new(cores);
        let (iterations, tickets) = (auth.scram_iterations, Tickets::new(&secret, auth.ticket_ttl_secs));
        Logins { store, sessions, tokens, jwt, shaper, tickets, secret, iterations, hashing }
    }

    /// Answers `question` for the connection behind `link`.
    pub(crate) async fn answer(&self, question: Question, link: Arc<dyn Link>) -> Answered {
        let peer = link.info().peer;
        if question.tries() && !self.shaper.may_log_in(peer, Instant::now()) {
            return Answered { input: c2s::Input::Barred, seat: None };
        }
        let input = match question {
            Question::Failed => {
                self.shaper.login_failed(peer, Instant::now());
                Ok(c2s::Input::Tick) // there is nothing to tell
            }
            Question::Lookup(user, hash) => self.lookup(&user, hash).await,
            Question::CheckPlain(user, password) => self.check_plain(&user, password).await.map(c2s::Input::Checked),
            Question::TakeToken(user, token) => {
                self.take(token, Some(&user)).await.map(|u| c2s::Input::Checked(u.is_some()))
            }
            Question::CheckBearer(user, token) => self.check_bearer(user, &token).await.map(c2s::Input::Bearer),
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
        let input = input.unwrap_or_else(|e| {
            warn!("login: {e}");
            metrics::login(Login::Failed);
            c2s::Input::StoreFailed
        });
        Answered { input, seat: None }
    }

    /// Lets somebody in who shows what goes where a password would go, over something that is no stream: says who that
    /// is. A password is looked at only where `passwords` may come; a token, a JWT and a ticket anywhere.
    pub(crate) async fn enter(
        &self,
        user: Option<BareJid>,
        secret: Password,
        passwords: bool,
        peer: IpAddr,
    ) -> Result<BareJid, Door> {
        if !self.shaper.may_log_in(peer, Instant::now()) {
            return Err(Door::Barred);
        }
        let checked = match user {
            Some(user) if passwords => self.check_plain(&user, secret).await.map(|right| right.then_some(user)),
            user => self.check_bearer(user, &secret).await,
        };
        match checked {
            Ok(Some(user)) => Ok(user),
            Ok(None) => {
                metrics::login(Login::Refused);
                self.shaper.login_failed(peer, Instant::now());
                Err(Door::Wrong)
            }
            Err(e) => {
                warn!("login: {e}");
                metrics::login(Login::Failed);
                Err(Door::Failed)
            }
        }
    }

    /// What `user`, who is logged in, may come back with, and when that ends, in milliseconds since 1970 UTC.
    pub(crate) async fn ticket(&self, user: &BareJid) -> Result<(String, i64), StoreError> {
        let account = self.account(user).await?.ok_or(StoreError::NoAccount)?;
        let (ticket, until) = self.tickets.issue(unix_secs(), user, &account);
        Ok((ticket, i64::try_from(until * 1_000).unwrap_or(i64::MAX)))
    }

    /// For SCRAM: the account's keys, and those of the tokens that are as good.
    async fn lookup(&self, user: &BareJid, hash: Hash) -> Result<c2s::Input<'static>, StoreError> {
        let account = self.account(user).await?;
        let tokens = account.as_ref().map(|account| self.tokens.beside(Instant::now(), user, account, hash));
        Ok(c2s::Input::Credentials(account, tokens.unwrap_or_default()))
    }

    /// A password may be a token. What is none is hashed in any case, also for a user there is not, so that
    /// the time it takes does not tell who exists.
    async fn check_plain(&self, user: &BareJid, password: Password) -> Result<bool, StoreError> {
        if self.check_bearer(Some(user.clone()), &password).await?.is_some() {
            return Ok(true);
        }
        let keys = self.account(user).await?;
        let keys = keys.unwrap_or_else(|| Credentials::decoy(user, &self.secret, self.iterations));
        self.verify(keys, password).await
    }

    /// Whose token this is: a ticket, a one-time token or a JWT.
    async fn check_bearer(&self, user: Option<BareJid>, token: &Password) -> Result<Option<BareJid>, StoreError> {
        if let Some(holder) = self.holder(user.as_ref(), token).await? {
            return Ok(Some(holder));
        }
        let taken = self.take(TokenId::of(token.as_str()), user.as_ref()).await?;
        match &self.jwt {
            Some(jwt) if taken.is_none() => self.check_jwt(jwt, user, token).await,
            _ => Ok(taken),
        }
    }

    /// Whose ticket this is.
    async fn holder(&self, user: Option<&BareJid>, token: &Password) -> Result<Option<BareJid>, StoreError> {
        let Some(shown) = Tickets::read(token.as_str()) else { return Ok(None) };
        let Some(holder) = self.sessions.jid_of(&shown.uid).filter(|of| user.is_none_or(|user| user == of)) else {
            return Ok(None);
        };
        let account = self.account(&holder).await?;
        let holds = account.is_some_and(|account| self.tickets.holds(unix_secs(), &shown, &holder, &account));
        Ok(holds.then_some(holder))
    }

    async fn check_jwt(
        &self,
        jwt: &Jwt,
        user: Option<BareJid>,
        token: &Password,
    ) -> Result<Option<BareJid>, StoreError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let of = match jwt.user(token.as_str(), now) {
            Ok(of) => of,
            Err(why) => {
                debug!("a JWT was refused: {why}");
                return Ok(None);
            }
        };
        if user.is_some_and(|user| user != of) {
            debug!(user = %of, "a JWT was refused: the client says that it is somebody else");
            return Ok(None);
        }
        if self.account(&of).await?.is_some() {
            return Ok(Some(of));
        }
        if !jwt.creates_users() {
            debug!(user = %of, "a JWT was refused: its user has no account");
            return Ok(None);
        }
        let keys = accounts::locked(self.iterations).map_err(|e| StoreError::Failed(format!("{e:#}")))?;
        ask(|then| self.store.put_account(&of, keys, Put::Create, then)).await?; // or somebody else just did
        Ok(Some(of))
    }

    /// Takes a one-time token, and says whose it was, unless the account has become another.
    async fn take(&self, id: TokenId, user: Option<&BareJid>) -> Result<Option<BareJid>, StoreError> {
        let Some(token) = self.tokens.take(Instant::now(), id, user) else { return Ok(None) };
        let account = self.account(&token.user).await?;
        Ok(account.filter(|account| token.keys.is_beside(account)).map(|_| token.user))
    }

    async fn account(&self, user: &BareJid) -> Result<Option<Credentials>, StoreError> {
        ask(|then| self.store.account(user, then)).await
    }

    async fn verify(&self, keys: Credentials, password: Password) -> Result<bool, StoreError> {
        let broken = |e: &dyn std::fmt::Display| StoreError::Failed(format!("a password could not be hashed: {e}"));
        let _turn = self.hashing.acquire().await.map_err(|e| broken(&e))?;
        tokio::task::spawn_blocking(move || keys.verify(password.as_str())).await.map_err(|e| broken(&e))
    }
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Counts what an element or an error of the machine says of a login; true when it was wrong, which is to be
/// remembered by [`Question::Failed`].
pub(crate) fn count(said: &c2s::Output) -> bool {
    match said {
        // The machine's own elements are few; TLS has one of that name too.
        c2s::Output::Element(xml) if xml.starts_with("<failure") && xml.contains(ns::SASL) => {
            metrics::login(Login::Refused);
            return xml.contains("<not-authorized");
        }
        c2s::Output::Error(e) if e.condition == Condition::ConnectionTimeout => metrics::login(Login::TimedOut),
        _ => {}
    }
    false
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
