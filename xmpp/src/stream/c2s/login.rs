//! From the first header to a bound resource.

use super::managed::Managed;
use super::sasl::Talk;
use super::{
    Bound, Channel, Condition, Open, Output, Settings, StartTls, State, Stream, StreamError, Transport, TransportKind,
    features,
};
use crate::jid::{BareJid, FullJid, Jid, Resource};
use crate::ns;
use crate::sasl::Hash;
use crate::stanza::{Condition as StanzaCondition, IqType, Kind, Stanza, StanzaError};
use crate::xml::{Element, Scope, push_text};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use compact_str::CompactString;
use std::time::Instant;

/// Tries to bind a resource on one stream, or to resume another. One more ends it with `policy-violation`.
pub const BIND_TRIES_MAX: u32 = 8;

/// The longest language tag that is remembered, in bytes (RFC 5646 section 4.4.1). A longer one is ignored.
pub const LANG_BYTES_MAX: usize = 35;

/// What only a login needs.
pub(super) struct Login {
    pub transport: Transport,
    pub exporter: Option<[u8; 32]>,
    /// Not while it is our turn: then there is `ours_since`.
    deadline: Instant,
    ours_since: Option<Instant>,
    pub failures: u32, // of logins
    pub stage: Stage,
    entropy: [u8; 32],
    drawn: u32, // ids and nonces made so far
    pub lang: Option<CompactString>,
}

/// How far it is. The answers that are awaited are named last.
pub(super) enum Stage {
    /// No header yet. After a login: of whom.
    Opening(Option<BareJid>),
    /// Features are sent: TLS or a login is awaited.
    Stranger,
    /// A login is under way.
    Talking(Talk),
    /// Logged in: binding a resource is awaited. How often it was tried.
    Unbound(BareJid, u32),
    /// `<proceed/>` is sent. Awaits that TLS is up.
    Securing,
    /// Awaits the address, for the iq of that id.
    Binding(BareJid, CompactString, u32),
    /// Awaits the stream of that name.
    Resuming(BareJid, CompactString, u32),
}

impl Login {
    pub fn new(transport: Transport, entropy: [u8; 32], deadline: Instant) -> Login {
        Login {
            transport,
            exporter: None,
            deadline,
            ours_since: None,
            failures: 0,
            stage: Stage::Opening(None),
            entropy,
            drawn: 0,
            lang: None,
        }
    }

    pub fn waiting(&self) -> bool {
        match &self.stage {
            Stage::Securing | Stage::Binding(..) | Stage::Resuming(..) => true,
            Stage::Talking(talk) => talk.waiting(),
            Stage::Opening(_) | Stage::Stranger | Stage::Unbound(..) => false,
        }
    }

    /// How long the client may take; while it is our turn, there is no such time.
    pub fn deadline(&self) -> Option<Instant> {
        self.ours_since.is_none().then_some(self.deadline)
    }

    /// What we take for an answer is added to the client's time.
    pub fn mind_the_time(&mut self, now: Instant) {
        let ours = self.waiting() && !matches!(self.stage, Stage::Securing);
        match self.ours_since {
            None if ours => self.ours_since = Some(now),
            Some(since) if !ours => {
                self.deadline += now.saturating_duration_since(since);
                self.ours_since = None;
            }
            _ => {}
        }
    }

    pub fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Opening(_))
    }

    /// Who is logged in.
    pub fn user(&self) -> Option<&BareJid> {
        match &self.stage {
            Stage::Opening(user) => user.as_ref(),
            Stage::Unbound(user, _) | Stage::Binding(user, ..) | Stage::Resuming(user, ..) => Some(user),
            Stage::Stranger | Stage::Talking(_) | Stage::Securing => None,
        }
    }

    /// Must TLS come before all else?
    pub fn tls_first(&self, settings: &Settings) -> bool {
        self.starttls_offered(settings) && settings.starttls == StartTls::Required
    }

    /// May the stream be managed (XEP-0198)? BOSH keeps a promise of its own.
    pub fn manageable(&self, settings: &Settings) -> bool {
        settings.sm && self.transport.kind != TransportKind::Bosh
    }

    pub fn starttls_offered(&self, settings: &Settings) -> bool {
        self.transport.kind == TransportKind::Tcp && !self.transport.secure && settings.starttls != StartTls::Off
    }

    /// A fresh id or nonce: 24 characters, printable, no comma. Who sees one can tell no other.
    pub fn draw(&mut self) -> String {
        self.drawn += 1;
        let bytes = Hash::Sha256.hmac(&self.entropy, &self.drawn.to_be_bytes());
        BASE64.encode(&bytes[..18])
    }
}

impl Stream {
    pub(super) fn on_open(&mut self, open: Open) {
        let (user, tries) = match &mut self.state {
            State::Over(_) => return,
            State::Bound(_) => return self.out_of_turn(),
            State::Login(login) => {
                let bosh = login.transport.kind == TransportKind::Bosh;
                match &mut login.stage {
                    Stage::Opening(user) => (user.take(), 0),
                    // XEP-0206 section 5: its client may ask for the stream anew at any time.
                    Stage::Stranger if bosh => (None, 0),
                    Stage::Talking(talk) if bosh && !talk.waiting() => (None, 0),
                    Stage::Unbound(user, tries) if bosh => (Some(user.clone()), *tries),
                    _ => return self.out_of_turn(),
                }
            }
        };
        let refused = self.check_open(&open, user.is_some()).err();
        self.push_open(open.from.as_deref());
        let State::Login(login) = &mut self.state else { return };
        login.lang = open.lang.filter(|lang| lang_ok(lang));
        login.stage = match user {
            Some(user) => Stage::Unbound(user, tries),
            None => Stage::Stranger,
        };
        if let Some(e) = refused {
            return self.fail(e);
        }
        let features = match &login.stage {
            Stage::Unbound(..) => features::of_user(&self.settings, login.manageable(&self.settings)),
            _ => features::of_stranger(&self.settings, login),
        };
        self.push(Output::Element(features));
    }

    /// RFC 6120 sections 4.7 and 4.8. A `from` is not looked at: who it is, the login tells.
    fn check_open(&self, open: &Open, restart: bool) -> Result<(), StreamError> {
        let State::Login(login) = &self.state else { return Ok(()) };
        // Whoever makes another namespace the default has to name ours in every stanza; none is no fault,
        // nor is the stream's own (section 4.8.2). The server's namespace is.
        if !matches!(open.xmlns.as_str(), ns::CLIENT | ns::STREAM | "") {
            return Err(Condition::InvalidNamespace.into());
        }
        // A `<body/>` may leave the version and, on a restart, the host out (XEP-0206 sections 2 and 4).
        let bosh = login.transport.kind == TransportKind::Bosh;
        match open.version {
            Some((major, _)) if major >= 1 => {}
            None if bosh => {}
            _ => return Err(StreamError::new(Condition::UnsupportedVersion).with_text("This is XMPP 1.0.")),
        }
        let Some(to) = open.to.as_deref() else {
            let known = bosh || restart;
            return if known { Ok(()) } else { Err(Condition::ImproperAddressing.into()) };
        };
        let to: Jid = to.parse().map_err(|_| Condition::ImproperAddressing)?;
        if to.as_str() == self.settings.domain.as_str() { Ok(()) } else { Err(Condition::HostUnknown.into()) }
    }

    /// Our header, under a new id. `from` is what the client called itself, given back to it if it is an
    /// account's address here (RFC 6120 section 4.7.2).
    pub(super) fn push_open(&mut self, from: Option<&str>) {
        let State::Login(login) = &mut self.state else { return };
        let id = login.draw();
        let domain = self.settings.domain.domain();
        let to = from.and_then(|from| from.parse::<BareJid>().ok());
        let to = to.filter(|to| to.local().is_some() && to.domain() == domain);
        let open = Open {
            to: to.map(|to| to.as_str().into()),
            from: Some(domain.into()),
            id: Some(id.into()),
            lang: Some("en".into()), // the language of our own texts
            version: Some((1, 0)),
            xmlns: ns::CLIENT.into(),
        };
        self.push(Output::Open(open));
    }

    pub(super) fn on_login_element(&mut self, xml: &str, scope: &Scope) {
        let element = match Element::parse(xml, scope) {
            Ok(element) => element,
            Err(e) => return self.fail(e),
        };
        let State::Login(login) = &self.state else { return };
        let stanza = matches!(element.name(), "message" | "presence" | "iq")
            && matches!(element.ns(), ns::CLIENT | ns::HTTPBIND);
        if element.ns() == ns::SM && login.manageable(&self.settings) {
            return self.on_early_command(&element);
        }
        match (&login.stage, element.ns()) {
            (Stage::Opening(_), _) => {
                self.fail(StreamError::new(Condition::BadFormat).with_text("A stream begins with its header."));
            }
            (Stage::Unbound(..), _) if stanza => self.on_unbound_stanza(xml, scope),
            (Stage::Stranger | Stage::Talking(_), ns::SASL) => self.on_sasl(&element),
            (Stage::Stranger | Stage::Talking(_), ns::TLS) if element.name() == "starttls" => self.on_starttls(),
            _ if stanza && login.tls_first(&self.settings) => {
                self.fail(StreamError::new(Condition::PolicyViolation).with_text("TLS must come first."));
            }
            _ if stanza => self.fail(StreamError::new(Condition::NotAuthorized).with_text("Log in first.")),
            _ => self.fail(Condition::UnsupportedStanzaType),
        }
    }

    /// RFC 6120 section 5.4.2.
    fn on_starttls(&mut self) {
        let State::Login(login) = &mut self.state else { return };
        if !login.starttls_offered(&self.settings) || !matches!(login.stage, Stage::Stranger) {
            self.push(Output::Element(format!("<failure xmlns='{}'/>", ns::TLS)));
            return self.close();
        }
        login.stage = Stage::Securing;
        self.push(Output::Element(format!("<proceed xmlns='{}'/>", ns::TLS)));
        self.push(Output::StartTls);
    }

    pub(super) fn on_secured(&mut self, channel: Channel) {
        let State::Login(login) = &mut self.state else { return };
        if !matches!(login.stage, Stage::Securing | Stage::Opening(None)) {
            return;
        }
        login.transport.secure = true;
        login.exporter = channel.exporter;
        login.stage = Stage::Opening(None);
    }

    /// Only an iq that binds a resource may come (RFC 6120 section 7).
    fn on_unbound_stanza(&mut self, xml: &str, scope: &Scope) {
        let stanza = match Stanza::parse(xml, scope) {
            Ok(stanza) => stanza,
            Err(refusal) => return self.on_refusal(refusal),
        };
        let bind = if matches!(stanza.kind, Kind::Iq(IqType::Set)) { stanza.child("bind", ns::BIND) } else { None };
        let Some(bind) = bind else {
            return self.fail(StreamError::new(Condition::NotAuthorized).with_text("Bind a resource first."));
        };
        let wanted = bind.child("resource", ns::BIND).map(|r| r.text()).filter(|text| !text.is_empty());
        let wanted = match wanted.map(|text| Resource::new(&text)).transpose() {
            Ok(wanted) => wanted,
            Err(e) => {
                let error = StanzaError::new(StanzaCondition::BadRequest);
                return self.push_error(&stanza, error.with_text(compact_str::format_compact!("{e}")));
            }
        };
        let State::Login(login) = &mut self.state else { return };
        let Stage::Unbound(user, tries) = &login.stage else { return };
        let (user, tries) = (user.clone(), tries + 1);
        if tries > BIND_TRIES_MAX {
            return self.too_many_tries();
        }
        login.stage = Stage::Binding(user.clone(), stanza.id.clone().unwrap_or_default(), tries);
        self.push(Output::Bind(user, wanted));
    }

    pub(super) fn too_many_tries(&mut self) {
        self.fail(StreamError::new(Condition::PolicyViolation).with_text("Too many tries to bind."));
    }

    pub(super) fn on_bound(&mut self, result: Result<FullJid, StanzaError>) {
        let State::Login(login) = &mut self.state else { return };
        if !matches!(login.stage, Stage::Binding(..)) {
            return;
        }
        let Stage::Binding(user, id, tries) = std::mem::replace(&mut login.stage, Stage::Stranger) else { return };
        let iq = Stanza::new(Kind::Iq(IqType::Set)).id(id);
        match result {
            Ok(jid) => {
                let lang = login.lang.take().map(|lang| lang.as_str().into());
                let managed = login.manageable(&self.settings).then_some(Managed::Off);
                self.push(Output::Reply(iq.result(bind_payload(&jid))));
                self.state = State::Bound(Bound { jid, lang, managed });
            }
            Err(e) => {
                login.stage = Stage::Unbound(user, tries);
                self.push_error(&iq, e);
            }
        }
    }

    pub(super) fn push_error(&mut self, stanza: &Stanza, e: StanzaError) {
        if let Some(mut reply) = stanza.error(e) {
            // From the account itself, to the stream's end: neither needs saying.
            (reply.from, reply.to) = (None, None);
            self.push(Output::Reply(reply));
        }
    }
}

fn bind_payload(jid: &FullJid) -> Vec<u8> {
    let mut out = format!("<bind xmlns='{}'><jid>", ns::BIND).into_bytes();
    push_text(&mut out, jid.as_str());
    out.extend_from_slice(b"</jid></bind>");
    out
}

/// Letters, digits and hyphens, of a sane length. What is no tag is nobody's language.
fn lang_ok(lang: &str) -> bool {
    (1..=LANG_BYTES_MAX).contains(&lang.len()) && lang.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
