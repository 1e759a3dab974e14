//! A client's stream, the server's side, as a machine: from the header over TLS, login and resource
//! binding to stanzas (RFC 6120 sections 4 to 8). It knows no framing and does no I/O.
//!
//! ```text
//! driver --Input--> handle(now, ..) | poll() until None | deadline() --Output--> driver
//! ```
//!
//! What the driver owes the machine:
//! - after every [`handle`](Stream::handle), [`poll`](Stream::poll) until `None` and act in that order;
//! - while [`waiting`](Stream::waiting), hold back what the client sends until the answer is in
//!   ([`Input::Close`], [`Input::Fail`] and [`Input::Tick`] may come at any time). An element or header
//!   that comes all the same ends the stream with `policy-violation`; nothing worse happens;
//! - read with [`limits`](Stream::limits), which are tighter before the login;
//! - check elements ([`xml::check`](crate::xml::check)) before giving them in: the framings do.
//!
//! Stanzas *to* the client do not pass here: once bound, the driver writes them itself, and keeps them
//! in a [`Queue`](super::sm::Queue) where the client has asked for stream management (XEP-0198).

mod bound;
mod features;
mod login;
mod managed;
mod sasl;

use super::sm;
use super::{Condition, Open, StreamError};
use crate::jid::{BareJid, FullJid, Resource};
use crate::ns;
use crate::sasl::{Credentials, Mechanism, Password, TokenId, TokenKeys, bearer};
use crate::stanza::{Stanza, StanzaError};
use crate::xml::{Element, Limits, Scope};
use bound::Bound;
pub use bound::PING_ID;
use compact_str::CompactString;
use login::Login;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all streams of a listener have in common.
#[derive(Clone)]
pub struct Settings {
    /// The host we serve: an address without a localpart.
    pub domain: BareJid,
    /// The mechanisms to offer, where the transport allows them, in this order.
    pub mechanisms: Vec<Mechanism>,
    /// What to do about TLS on TCP streams that begin without.
    pub starttls: StartTls,
    /// What is taken from a client that is logged in.
    pub limits: Limits,
    /// What is taken from a stranger.
    pub limits_login: Limits,
    /// From the first byte to a bound resource; then the stream ends with `connection-timeout`.
    pub login_secs: u32,
    /// Failed logins on one stream; after the last one the stream ends with `policy-violation`.
    /// RFC 6120 section 6.4.5 wants 2 to 5 retries, which makes 3 to 6 tries.
    pub sasl_tries_max: u32,
    /// Rounds of PBKDF2 that new accounts get: what a stranger is told of a user there is not.
    pub scram_iterations: u32,
    /// From which the keys of users there are not are made. Random, and kept as long as the accounts:
    /// one that changes tells which users there are not.
    pub server_secret: [u8; 32],
    /// What a client is told whose OAUTHBEARER token is refused: JSON (RFC 7628 section 3.2.2).
    pub bearer_refused: String,
    /// Offer roster versions (RFC 6121 section 2.6)?
    pub roster_versions: bool,
    /// Offer to approve subscriptions beforehand (RFC 6121 section 3.4)?
    pub preapproval: bool,
    /// Offer stream management (XEP-0198)? Over BOSH it is not offered in any case.
    pub sm: bool,
    /// More features for a client that is logged in: XML that stands by itself.
    pub features_bound: String,
}

/// TLS on TCP streams that begin without it (RFC 6120 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// Not offered.
    Off,
    /// Offered; a client may also log in without.
    Offered,
    /// Nothing else is offered before it.
    Required,
}

/// What carries the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The kind of framing.
    pub kind: TransportKind,
    /// Is it inside TLS from its first byte? [`Input::Secured`] makes it so later.
    pub secure: bool,
    /// May passwords go through it although it is not secure?
    pub plain_allowed: bool,
}

/// The framings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// RFC 6120.
    Tcp,
    /// RFC 7395.
    WebSocket,
    /// XEP-0206. A stream is not one connection there, so nothing is ever bound to a TLS channel.
    Bosh,
}

/// A TLS connection that is up.
#[derive(Clone, Default)]
pub struct Channel {
    /// Its exporter keying material (RFC 9266: label `EXPORTER-Channel-Binding`, no context); `None` when
    /// TLS 1.2 runs without the extended master secret, or nobody asked.
    pub exporter: Option<[u8; 32]>,
}

/// One thing happened.
pub enum Input<'a> {
    /// The client sent a header; a first one, or one for a restart.
    Open(Open),
    /// The client sent a first-level element, which was checked, standing in that scope.
    Element(&'a str, &'a Scope),
    /// The client ended its stream.
    Close,
    /// TLS is up: answers [`Output::StartTls`]; or before the first header, where TLS comes first.
    Secured(Channel),
    /// Answers [`Output::Lookup`]; `None` when there is no such account. The tokens that may be used
    /// instead of its password are few: each is tried.
    Credentials(Option<Credentials>, Vec<TokenKeys>),
    /// Answers [`Output::CheckPlain`] and [`Output::TakeToken`].
    Checked(bool),
    /// Answers [`Output::CheckBearer`]: whose token it is.
    Bearer(Option<BareJid>),
    /// Answers any of these: the store could not say.
    StoreFailed,
    /// Answers any of them: too many logins have failed where the client comes from, so that nobody looked.
    Barred,
    /// Answers [`Output::Bind`].
    Bound(Result<FullJid, StanzaError>),
    /// Answers [`Output::Enable`]: managed from now on; `None` when it cannot be resumed.
    Enabled(Option<sm::Resumable>),
    /// Answers [`Output::Resume`]: the address, and how many stanzas came in before.
    Resumed(Result<(FullJid, u32), sm::Failed>),
    /// We end the stream: conflict, shutdown, a fault of the framing...
    Fail(StreamError),
    /// The [`deadline`](Stream::deadline) has come.
    Tick,
}

/// One thing to do.
#[derive(Debug)]
pub enum Output {
    /// Send our header.
    Open(Open),
    /// Send this element. It declares all its namespaces, so every framing can carry it.
    Element(String),
    /// Send this stream error; [`Close`](Output::Close) and [`Ended`](Output::Ended) follow.
    Error(StreamError),
    /// Send our end of the stream.
    Close,
    /// `<proceed/>` is sent: begin TLS, restart the framing, then say [`Input::Secured`].
    StartTls,
    /// The login succeeded: restart a TCP framing, for the client sends a new header.
    Restart,
    /// Fetch the keys of this account; answer with [`Input::Credentials`] or [`Input::StoreFailed`].
    Lookup(BareJid, Mechanism),
    /// Is this the password? Answer with [`Input::Checked`] or [`Input::StoreFailed`]. For a user there is
    /// not, verify against [`Credentials::decoy`], which takes as long.
    CheckPlain(BareJid, Password),
    /// The client proved to know this token of the user's: take it, so that nobody can use it again. Answer
    /// with [`Input::Checked`], whether it was there to be taken, or [`Input::StoreFailed`].
    TakeToken(BareJid, TokenId),
    /// Whose token is this? Of this user, where the client names one: another's is not taken. Answer with
    /// [`Input::Bearer`] or [`Input::StoreFailed`].
    CheckBearer(Option<BareJid>, Password),
    /// Bind this resource, or one you choose; answer with [`Input::Bound`].
    Bind(BareJid, Option<Resource>),
    /// Manage the stream; answer with [`Input::Enabled`]. With how long it is to be resumable at most, in
    /// seconds, when it is. What is sent behind the answer is counted.
    Enable(Option<u32>),
    /// Resume the stream of that user and name, of which the client has handled so much; answer with
    /// [`Input::Resumed`], or [`Input::Fail`] when that is more than was sent.
    Resume(BareJid, CompactString, u32),
    /// The client has handled all up to this one.
    Acked(u32),
    /// Send this stanza: it is counted, as those are that do not come from here.
    Reply(Stanza),
    /// A stanza of the client. Its `from` is the full JID; without `to` it is for the client's own account.
    Stanza(Stanza),
    /// It is over; the last output. Close the connection.
    Ended,
}

/// The machine. 48 bytes; what only the login needs is dropped with it.
pub struct Stream {
    settings: Arc<Settings>,
    state: State,
    outputs: Outputs,
}

enum State {
    Login(Box<Login>),
    Bound(Bound),
    /// How many stanzas were handled, where they were counted.
    Over(Option<u32>),
}

/// What is to be done, in order. There is hardly ever more than one thing, and mostly none.
struct Outputs(Option<Box<Pending>>);

struct Pending {
    output: Output,
    then: Option<Box<Pending>>,
}

impl Settings {
    /// Bytes of one element from a stranger: [`Settings::limits_login`] unless changed.
    pub const LOGIN_BYTES_MAX: usize = 16 * 1024;

    /// For that host, with the values that suit most.
    pub fn new(domain: BareJid, server_secret: [u8; 32]) -> Settings {
        Settings {
            domain,
            mechanisms: Mechanism::ALL.to_vec(),
            starttls: StartTls::Required,
            limits: Limits::DEFAULT,
            limits_login: Limits {
                bytes_max: Settings::LOGIN_BYTES_MAX,
                depth_max: 8,
                attrs_max: 32,
                elements_max: 64,
            },
            login_secs: 30,
            sasl_tries_max: 4,
            scram_iterations: 4096,
            server_secret,
            bearer_refused: bearer::REFUSED.into(),
            roster_versions: true,
            preapproval: true,
            sm: true,
            features_bound: String::new(),
        }
    }
}

impl Stream {
    /// A stream about to begin. `entropy` is fresh and secret: ids and nonces are made from it.
    pub fn new(now: Instant, settings: Arc<Settings>, transport: Transport, entropy: [u8; 32]) -> Stream {
        let deadline = now + Duration::from_secs(settings.login_secs.into());
        let login = Login::new(transport, entropy, deadline);
        Stream { settings, state: State::Login(Box::new(login)), outputs: Outputs(None) }
    }

    /// A stream that is bound already: its client logged in elsewhere. There is no header, and no deadline.
    pub fn bound(settings: Arc<Settings>, jid: FullJid) -> Stream {
        Stream { settings, state: State::Bound(Bound { jid, lang: None, managed: None }), outputs: Outputs(None) }
    }

    /// One thing happened. After [`Output::Ended`] nothing does.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.take(now, input);
        if let State::Login(login) = &mut self.state {
            login.mind_the_time(now);
        }
    }

    fn take(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Open(open) => self.on_open(open),
            Input::Element(xml, scope) => self.on_element(xml, scope),
            Input::Close => self.close(),
            Input::Fail(e) => self.fail(e),
            Input::Tick => {
                if self.deadline().is_some_and(|deadline| deadline <= now) {
                    let e = StreamError::new(Condition::ConnectionTimeout);
                    self.fail(e.with_text("The login took too long."));
                }
            }
            Input::Secured(channel) => self.on_secured(channel),
            Input::Credentials(found, tokens) => self.on_credentials(found, tokens),
            Input::Checked(right) => self.on_checked(right),
            Input::Bearer(user) => self.on_bearer(user),
            Input::StoreFailed => self.on_store_failed(),
            Input::Barred => self.on_barred(),
            Input::Bound(result) => self.on_bound(result),
            Input::Enabled(resumable) => self.on_enabled(resumable),
            Input::Resumed(result) => self.on_resumed(result),
        }
    }

    /// The next thing to do; drain to `None` before the next [`handle`](Self::handle).
    pub fn poll(&mut self) -> Option<Output> {
        let next = self.outputs.0.take()?;
        self.outputs.0 = next.then;
        Some(next.output)
    }

    /// When [`Input::Tick`] is due; none once a resource is bound, nor while we look into the store, hash or bind:
    /// when many come at once that takes its time, which is not their fault.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Login(login) => login.deadline(),
            State::Bound(_) | State::Over(_) => None,
        }
    }

    /// Is an answer of the driver awaited? Until it is in, no header and no element may come.
    pub fn waiting(&self) -> bool {
        match &self.state {
            State::Login(login) => login.waiting(),
            State::Bound(bound) => bound.waiting(),
            State::Over(_) => false,
        }
    }

    /// How many stanzas of the client were handled, when it is counted.
    pub fn handled(&self) -> Option<u32> {
        match &self.state {
            State::Bound(bound) => bound.handled(),
            State::Over(handled) => *handled,
            State::Login(_) => None,
        }
    }

    /// What the framing may take now.
    pub fn limits(&self) -> &Limits {
        match &self.state {
            State::Login(login) if login.user().is_none() => &self.settings.limits_login,
            _ => &self.settings.limits,
        }
    }

    /// The address that is bound.
    pub fn jid(&self) -> Option<&FullJid> {
        match &self.state {
            State::Bound(bound) => Some(&bound.jid),
            State::Login(_) | State::Over(_) => None,
        }
    }

    /// Has it ended? Then there is nothing more to do once the outputs are drained.
    pub fn ended(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    fn on_element(&mut self, xml: &str, scope: &Scope) {
        let is_error = |e: &Element<'_>| e.is("error", ns::STREAM);
        match &self.state {
            State::Over(_) => {}
            _ if self.waiting() => self.out_of_turn(),
            // The client's stream error: it ends the stream, and an error is not answered with an error.
            _ if memchr::memmem::find(first_tag(xml), b"error").is_some()
                && Element::parse(xml, scope).is_ok_and(|e| is_error(&e)) =>
            {
                self.close();
            }
            State::Login(_) => self.on_login_element(xml, scope),
            State::Bound(_) => self.on_bound_element(xml, scope),
        }
    }

    /// The client ended the stream: so do we.
    fn close(&mut self) {
        if self.is_open() {
            self.push(Output::Close);
        }
        self.over();
    }

    /// We end the stream. Our header comes before everything, also before an error (RFC 6120 section 4.9.1.2).
    fn fail(&mut self, e: impl Into<StreamError>) {
        if self.ended() {
            return;
        }
        if !self.is_open() {
            self.push_open(None);
        }
        self.push(Output::Error(e.into()));
        self.push(Output::Close);
        self.over();
    }

    /// A header or an element where none may come.
    fn out_of_turn(&mut self) {
        self.fail(StreamError::new(Condition::PolicyViolation).with_text("Wait for the answer."));
    }

    fn over(&mut self) {
        if !self.ended() {
            self.state = State::Over(self.handled());
            self.push(Output::Ended);
        }
    }

    /// Is our header out, and not our end?
    fn is_open(&self) -> bool {
        match &self.state {
            State::Login(login) => login.is_open(),
            State::Bound(_) => true,
            State::Over(_) => false,
        }
    }

    fn push(&mut self, output: Output) {
        let mut end = &mut self.outputs.0;
        while let Some(one) = end {
            end = &mut one.then;
        }
        *end = Some(Box::new(Pending { output, then: None }));
    }
}

/// The bytes of the tag an element begins with, or a little less.
fn first_tag(xml: &str) -> &[u8] {
    let end = xml.bytes().position(|b| b == b'>' || b == b' ').unwrap_or(xml.len());
    &xml.as_bytes()[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_stream_is_small() {
        assert!(size_of::<Stream>() <= 48, "{}", size_of::<Stream>());
    }
}
