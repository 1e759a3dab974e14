//! The login on a stream (RFC 6120 section 6).

use super::login::Stage;
use super::{Condition as StreamCondition, Output, State, Stream, StreamError, features};
use crate::jid::BareJid;
use crate::ns;
use crate::sasl::bearer::Bearer;
use crate::sasl::scram::{Exchange, First, Offer};
use crate::sasl::{Condition, Credentials, Failure, Hash, Identity, MESSAGE_BYTES_MAX, Mechanism, TokenKeys, plain};
use crate::xml::Element;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

/// A login under way.
pub(super) enum Talk {
    /// The client chose the mechanism and has still to send its first message.
    Begun(Mechanism),
    /// Awaits the keys.
    Keys(Box<First>, BareJid, Mechanism),
    /// The server's first message is sent.
    Proof(Box<Exchange>, BareJid),
    /// Awaits the verdict on a password, or on the token behind a proof: then with the server's last message.
    Verdict(BareJid, Option<String>),
    /// Awaits whose token it is.
    Owner,
    /// The client was told why its token is refused, and has still to say that it heard (RFC 7628 section 3.2.3).
    Refused,
}

impl Talk {
    pub fn waiting(&self) -> bool {
        matches!(self, Talk::Keys(..) | Talk::Verdict(..) | Talk::Owner)
    }
}

impl Stream {
    /// An element of the SASL namespace, from a client that is not logged in; no answer is awaited.
    pub(super) fn on_sasl(&mut self, element: &Element<'_>) {
        let result = match element.name() {
            "auth" => self.on_auth(element),
            "response" => self.on_response(element),
            "abort" => Err(Failure::new(Condition::Aborted, "Aborted.")),
            _ => return self.fail(StreamCondition::UnsupportedStanzaType),
        };
        if let Err(failure) = result {
            self.refuse(failure);
        }
    }

    fn on_auth(&mut self, element: &Element<'_>) -> Result<(), Failure> {
        let State::Login(login) = &mut self.state else { return Ok(()) };
        if matches!(login.stage, Stage::Talking(_)) {
            return Err(Failure::new(Condition::MalformedRequest, "A login is under way already."));
        }
        if login.tls_first(&self.settings) {
            return Err(Failure::new(Condition::EncryptionRequired, "TLS must come first."));
        }
        let name = element.attr("mechanism").unwrap_or_default();
        let known = Mechanism::of_name(&name).filter(|m| self.settings.mechanisms.contains(m));
        let mechanism = known.ok_or(Failure::new(Condition::InvalidMechanism, "This mechanism is not offered."))?;
        if !features::offered(&self.settings, login).any(|m| m == mechanism) {
            return Err(if mechanism.in_the_clear() {
                Failure::new(Condition::EncryptionRequired, "This mechanism is for encrypted streams only.")
            } else {
                Failure::new(Condition::InvalidMechanism, "This mechanism is not offered here.")
            });
        }
        let text = element.text();
        if text.is_empty() {
            // All our mechanisms let the client speak first; it asks us to ask (RFC 6120 section 6.4.2).
            login.stage = Stage::Talking(Talk::Begun(mechanism));
            self.push(Output::Element(format!("<challenge xmlns='{}'/>", ns::SASL)));
            return Ok(());
        }
        self.on_first(mechanism, &decode(&text)?)
    }

    fn on_response(&mut self, element: &Element<'_>) -> Result<(), Failure> {
        let message = decode(&element.text())?;
        let State::Login(login) = &mut self.state else { return Ok(()) };
        let none = Failure::new(Condition::MalformedRequest, "No login is under way.");
        match std::mem::replace(&mut login.stage, Stage::Stranger) {
            Stage::Talking(Talk::Begun(mechanism)) => self.on_first(mechanism, &message),
            Stage::Talking(Talk::Proof(exchange, user)) => {
                let last = exchange.finish(&message)?;
                match last.token {
                    None => self.admit(user, Some(&last.message)),
                    Some(token) => {
                        login.stage = Stage::Talking(Talk::Verdict(user.clone(), Some(last.message)));
                        self.push(Output::TakeToken(user, token));
                    }
                }
                Ok(())
            }
            // Whatever it says: a word is due, not a certain one.
            Stage::Talking(Talk::Refused) => Err(NO_TOKEN),
            _ => Err(none),
        }
    }

    /// The client's first message.
    fn on_first(&mut self, mechanism: Mechanism, message: &[u8]) -> Result<(), Failure> {
        let State::Login(login) = &mut self.state else { return Ok(()) };
        let domain = self.settings.domain.domain();
        if mechanism == Mechanism::Plain {
            let (identity, password) = plain::parse(message)?;
            let user = identity.account(domain)?;
            login.stage = Stage::Talking(Talk::Verdict(user.clone(), None));
            self.push(Output::CheckPlain(user, password));
            return Ok(());
        }
        if mechanism == Mechanism::OauthBearer {
            let bearer = Bearer::parse(message)?;
            let user = Identity::acting(&bearer.authzid, domain)?;
            login.stage = Stage::Talking(Talk::Owner);
            self.push(Output::CheckBearer(user, bearer.token));
            return Ok(());
        }
        let offer = if mechanism.plus() {
            Offer::Chosen
        } else if features::offered(&self.settings, login).any(Mechanism::plus) {
            Offer::Offered
        } else {
            Offer::Absent
        };
        let first = First::parse(message, offer)?;
        let user = first.identity().account(domain)?;
        login.stage = Stage::Talking(Talk::Keys(Box::new(first), user.clone(), mechanism));
        self.push(Output::Lookup(user, mechanism));
        Ok(())
    }

    pub(super) fn on_credentials(&mut self, found: Option<Credentials>, tokens: Vec<TokenKeys>) {
        let State::Login(login) = &mut self.state else { return };
        if !matches!(login.stage, Stage::Talking(Talk::Keys(..))) {
            return;
        }
        let stage = std::mem::replace(&mut login.stage, Stage::Stranger);
        let Stage::Talking(Talk::Keys(first, user, mechanism)) = stage else { return };
        let credentials = found
            .unwrap_or_else(|| Credentials::decoy(&user, &self.settings.server_secret, self.settings.scram_iterations));
        let hash = mechanism.hash().unwrap_or(Hash::Sha256);
        let nonce = login.draw();
        let exporter = if mechanism.plus() { login.exporter.as_ref() } else { None };
        let (exchange, reply) = Exchange::new(*first, hash, credentials.keys(hash), &nonce, exporter);
        login.stage = Stage::Talking(Talk::Proof(Box::new(exchange.or(tokens)), user));
        self.push(Output::Element(format!("<challenge xmlns='{}'>{}</challenge>", ns::SASL, BASE64.encode(reply))));
    }

    pub(super) fn on_checked(&mut self, right: bool) {
        let State::Login(login) = &mut self.state else { return };
        if !matches!(login.stage, Stage::Talking(Talk::Verdict(..))) {
            return;
        }
        let stage = std::mem::replace(&mut login.stage, Stage::Stranger);
        let Stage::Talking(Talk::Verdict(user, last)) = stage else { return };
        if right { self.admit(user, last.as_deref()) } else { self.refuse(Failure::NOT_AUTHORIZED) }
    }

    pub(super) fn on_bearer(&mut self, user: Option<BareJid>) {
        let State::Login(login) = &mut self.state else { return };
        if !matches!(login.stage, Stage::Talking(Talk::Owner)) {
            return;
        }
        let Some(user) = user else {
            login.stage = Stage::Talking(Talk::Refused);
            let why = BASE64.encode(&self.settings.bearer_refused);
            return self.push(Output::Element(format!("<challenge xmlns='{}'>{why}</challenge>", ns::SASL)));
        };
        self.admit(user, None);
    }

    pub(super) fn on_store_failed(&mut self) {
        let State::Login(login) = &self.state else { return };
        if matches!(&login.stage, Stage::Talking(talk) if talk.waiting()) {
            self.refuse(Failure::new(Condition::TemporaryAuthFailure, "Try again later."));
        }
    }

    /// RFC 6120 section 6.5.11, and the stream ends: another try on it would fare no better.
    pub(super) fn on_barred(&mut self) {
        let State::Login(login) = &self.state else { return };
        if matches!(&login.stage, Stage::Talking(talk) if talk.waiting()) {
            const WORDS: &str = "Too many logins from your address have failed. Try again later.";
            self.refuse(Failure::new(Condition::TemporaryAuthFailure, WORDS));
            self.fail(StreamError::new(StreamCondition::PolicyViolation).with_text(WORDS));
        }
    }

    /// Logged in: a new header is awaited.
    fn admit(&mut self, user: BareJid, last: Option<&str>) {
        let State::Login(login) = &mut self.state else { return };
        login.stage = Stage::Opening(Some(user));
        self.push(Output::Element(match last {
            Some(last) => format!("<success xmlns='{}'>{}</success>", ns::SASL, BASE64.encode(last)),
            None => format!("<success xmlns='{}'/>", ns::SASL),
        }));
        self.push(Output::Restart);
    }

    /// The login failed. Another may be tried, but not for ever: RFC 6120 section 6.4.5 wants 2 to 5
    /// retries and `policy-violation` behind the last. Every failure counts, whatever its condition and
    /// also our own, for each costs us work that a stranger asks for.
    fn refuse(&mut self, failure: Failure) {
        let State::Login(login) = &mut self.state else { return };
        login.stage = Stage::Stranger;
        login.failures += 1;
        let over = login.failures >= self.settings.sasl_tries_max;
        self.push(Output::Element(format!(
            "<failure xmlns='{}'><{}/><text xml:lang='en'>{}</text></failure>",
            ns::SASL,
            failure.condition.name(),
            failure.text,
        )));
        if over {
            let e = StreamError::new(StreamCondition::PolicyViolation);
            self.fail(e.with_text("Too many failed logins."));
        }
    }
}

const NO_TOKEN: Failure = Failure::new(Condition::NotAuthorized, "The token is not valid.");

/// The base64 of RFC 4648 section 4, where `=` stands for a message of no bytes (RFC 6120 section 6.4.2).
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if text.len() > MESSAGE_BYTES_MAX.div_ceil(3) * 4 {
        return Err(Failure::new(Condition::MalformedRequest, "The message is too long."));
    }
    if text == "=" {
        return Ok(Zeroizing::default());
    }
    BASE64
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| Failure::new(Condition::IncorrectEncoding, "The message is not base64."))
}
