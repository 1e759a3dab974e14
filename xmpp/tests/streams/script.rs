//! The verb of the stream tests: `check(script, expect![transcript])`.
//!
//! The first line says the transport and may change settings; each further line is one input:
//!
//! | line | input |
//! |---|---|
//! | `open to='localhost' version='1.0'` | the client's header |
//! | `<..>` | an element, as the transport frames it |
//! | `first X`, `last X` | `<auth/>` of the mechanism given with `mechanism M` before, `<response/>` with the text X |
//! | `login M USER PASSWORD` | a whole SCRAM or PLAIN login; `pencil` is everybody's password, `nobody` has no account |
//! | `login OAUTHBEARER USER TOKEN` | the same with a token, of which `pencil` is everybody's and lets in again and again |
//! | `scram SECRET ANSWER` | juliet's SCRAM-SHA-256 login, its lookup answered by the line ANSWER |
//! | `account-or TOKEN` | the account's keys, and those of a token |
//! | `owner USER`, `nobodys` | whose token it is |
//! | `close`, `secured`, `exporter`, `store-failed`, `tick SECS` | what they say (`exporter` is `secured` with one) |
//! | `bound JID`, `refused CONDITION`, `fail CONDITION` | answers to Bind, and [`Input::Fail`] |
//! | `enabled ID SECS`, `enabled`, `resumed JID H`, `not-resumed CONDITION H` | answers to Enable and Resume |
//!
//! The transcript has the outputs, base64 read where it is text.

use crate::client::{Client, decode, encode};
use expect_test::Expect;
use herald_xmpp::sasl::{Credentials, Hash, Mechanism, TokenId, TokenKeys};
use herald_xmpp::stanza::{Condition as StanzaCondition, StanzaError};
use herald_xmpp::stream::c2s::{Channel, Input, Output, Settings, StartTls, Stream, Transport, TransportKind};
use herald_xmpp::stream::sm::{Failed, Resumable};
use herald_xmpp::stream::{Condition, Open, StreamError};
use herald_xmpp::xml::{Scope, check as check_xml};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const EXPORTER: [u8; 32] = [7; 32];

pub fn check(script: &str, transcript: Expect) {
    let mut lines = script.lines().map(str::trim).filter(|l| !l.is_empty());
    let mut run = Run::new(lines.next().expect("a first line"));
    lines.for_each(|line| run.line(line));
    transcript.assert_eq(&run.transcript);
}

/// A stream and what was seen of it.
pub struct Run {
    pub stream: Stream,
    pub now: Instant,
    pub transcript: String,
    scope: Scope,
    last_element: String,
}

pub fn settings() -> Settings {
    let mut settings = Settings::new("localhost".parse().unwrap(), [3; 32]);
    settings.scram_iterations = 16;
    settings.sm = false;
    settings
}

pub fn account() -> Credentials {
    Credentials::derive("pencil", *b"0123456789abcdef", 16).unwrap()
}

/// What SCRAM-SHA-256 needs of a token of that account.
pub fn token(text: &str) -> TokenKeys {
    let keys = account().derive_beside(text).unwrap();
    TokenKeys { id: TokenId::of(text), keys: keys.keys(Hash::Sha256).clone() }
}

/// Tests take their time from here; nothing waits for it.
#[allow(clippy::disallowed_methods)] // the one place that reads a clock: an Instant cannot be made otherwise
pub fn now() -> Instant {
    Instant::now()
}

impl Run {
    pub fn new(first_line: &str) -> Run {
        let mut settings = settings();
        let mut transport = Transport { kind: TransportKind::Tcp, secure: false, plain_allowed: false };
        for word in first_line.split_whitespace() {
            match word {
                "tcp" => {}
                "bosh" => transport.kind = TransportKind::Bosh,
                "ws" => transport.kind = TransportKind::WebSocket,
                "tls" => transport.secure = true,
                "loopback" => transport.plain_allowed = true,
                "starttls-offered" => settings.starttls = StartTls::Offered,
                "starttls-off" => settings.starttls = StartTls::Off,
                "no-extras" => (settings.roster_versions, settings.preapproval) = (false, false),
                "sm" => settings.sm = true,
                "more" => settings.features_bound = "<c xmlns='urn:c'/>".into(),
                "sha256-only" => settings.mechanisms = vec![Mechanism::ScramSha256],
                other => panic!("unknown word {other}"),
            }
        }
        let scope = match transport.kind {
            TransportKind::Tcp => Scope::CLIENT,
            TransportKind::WebSocket => Scope::NONE,
            TransportKind::Bosh => Scope::HTTPBIND,
        };
        let now = now();
        let stream = Stream::new(now, Arc::new(settings), transport, [5; 32]);
        Run { stream, now, transcript: String::new(), scope, last_element: String::new() }
    }

    pub fn line(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "open" => self.give(Input::Open(open(rest))),
            "close" => self.give(Input::Close),
            "secured" => self.give(Input::Secured(Channel::default())),
            "exporter" => self.give(Input::Secured(Channel { exporter: Some(EXPORTER) })),
            "account" => self.give(Input::Credentials(Some(account()), Vec::new())),
            "account-or" => self.give(Input::Credentials(Some(account()), vec![token(rest)])),
            "owner" => self.give(Input::Bearer(Some(rest.parse().unwrap()))),
            "nobodys" => self.give(Input::Bearer(None)),
            "no-account" => self.give(Input::Credentials(None, Vec::new())),
            "right" => self.give(Input::Checked(true)),
            "wrong" => self.give(Input::Checked(false)),
            "store-failed" => self.give(Input::StoreFailed),
            "bound" => self.give(Input::Bound(Ok(rest.parse().unwrap()))),
            "refused" => {
                let condition = StanzaCondition::of_name(rest).expect("a condition");
                self.give(Input::Bound(Err(StanzaError::new(condition))));
            }
            "enabled" => {
                let resumable = rest.split_once(' ');
                let resumable = resumable.map(|(id, secs)| Resumable { id: id.into(), secs: secs.parse().unwrap() });
                self.give(Input::Enabled(resumable));
            }
            "resumed" => {
                let (jid, h) = rest.split_once(' ').expect("a JID and a count");
                self.give(Input::Resumed(Ok((jid.parse().unwrap(), h.parse().unwrap()))));
            }
            "not-resumed" => {
                let (condition, h) = rest.split_once(' ').map_or((rest, None), |(c, h)| (c, h.parse().ok()));
                let condition = StanzaCondition::of_name(condition).expect("a condition");
                self.give(Input::Resumed(Err(Failed { condition, h })));
            }
            "fail" => {
                let condition = *Condition::ALL.iter().find(|c| c.name() == rest).expect("a condition");
                self.give(Input::Fail(StreamError::new(condition)));
            }
            "tick" => {
                self.now += Duration::from_secs(rest.parse().unwrap());
                self.give(Input::Tick);
            }
            "auth" => {
                let (mechanism, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let text = encode(text.replace("\\0", "\0").replace("^A", "\x01"));
                self.element(&format!(
                    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>"
                ));
            }
            "response" => {
                self.element(&format!(
                    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>",
                    encode(rest.replace("^A", "\x01"))
                ));
            }
            "login" => self.login(rest),
            "scram" => {
                let (secret, answer) = rest.split_once(' ').expect("a secret, then the answer to the lookup");
                self.scram(Mechanism::ScramSha256, Hash::Sha256, "juliet", secret, answer);
            }
            _ if line.starts_with('<') => self.element(line),
            _ => panic!("unknown line {line}"),
        }
    }

    pub fn element(&mut self, xml: &str) {
        let scope = self.scope.clone();
        check_xml(xml, &scope, self.stream.limits()).unwrap_or_else(|e| panic!("{e}: {xml}"));
        self.give(Input::Element(xml, &scope));
    }

    /// One input; all its outputs go to the transcript.
    pub fn give(&mut self, input: Input<'_>) {
        self.stream.handle(self.now, input);
        while let Some(output) = self.stream.poll() {
            let line = match output {
                Output::Open(open) => format!("open {}", attributes(&open)),
                Output::Element(xml) => {
                    check_xml(&xml, &Scope::NONE, &Default::default()).unwrap_or_else(|e| panic!("{e}: {xml}"));
                    self.last_element = xml;
                    readable(&self.last_element)
                }
                Output::Error(e) => format!("error {e}"),
                Output::Reply(stanza) => String::from_utf8(stanza.to_bytes(true).to_vec()).unwrap(),
                Output::Enable(secs) => format!("enable {secs:?}"),
                Output::Resume(user, previd, h) => format!("resume {user} {previd} {h}"),
                Output::Acked(h) => format!("acked {h}"),
                Output::Stanza(stanza) => String::from_utf8(stanza.to_bytes(false).to_vec()).unwrap(),
                Output::Bind(user, resource) => {
                    format!("bind {user} {}", resource.as_ref().map_or("(any)", |r| r.as_str()))
                }
                Output::Lookup(user, mechanism) => format!("lookup {user} {mechanism}"),
                Output::CheckPlain(user, password) => format!("check {user} {}", password.as_str()),
                Output::TakeToken(user, id) => {
                    let name = ["ticket", "pass"].into_iter().find(|name| id == TokenId::of(name));
                    format!("take {} {user}", name.unwrap_or("another"))
                }
                Output::CheckBearer(user, token) => {
                    format!("whose {} {}", token.as_str(), user.map_or("(any)".into(), |u| u.to_string()))
                }
                Output::Close => "close".into(),
                Output::StartTls => "start tls".into(),
                Output::Restart => "restart".into(),
                Output::Ended => "ended".into(),
            };
            self.transcript.push_str(&line);
            self.transcript.push('\n');
        }
    }

    /// A login in one line of the transcript, and what the server says at the end.
    fn login(&mut self, words: &str) {
        let mut words = words.split(' ');
        let mut word = || words.next().expect("mechanism, user, password");
        let (mechanism, user, password) = (Mechanism::of_name(word()).expect("a mechanism"), word(), word());
        let (known, right) = (user != "nobody", password == "pencil");
        if mechanism == Mechanism::OauthBearer {
            self.line(&format!("auth OAUTHBEARER n,a={user}@localhost,^Aauth=Bearer {password}^A^A"));
            return self.give(Input::Bearer((known && right).then(|| format!("{user}@localhost").parse().unwrap())));
        }
        let Some(hash) = mechanism.hash() else {
            self.line(&format!("auth PLAIN \\0{user}\\0{password}"));
            return self.give(Input::Checked(known && right));
        };
        self.scram(mechanism, hash, user, password, if known { "account" } else { "no-account" });
    }

    /// `answer` is the line that answers the lookup.
    fn scram(&mut self, mechanism: Mechanism, hash: Hash, user: &str, password: &str, answer: &str) {
        let (header, channel) = if mechanism.plus() { ("p=tls-exporter,,", &EXPORTER[..]) } else { ("n,,", &b""[..]) };
        let mut client = Client::new(hash, user, password, "cnonce", header, channel);
        self.line(&format!("auth {mechanism} {}", client.first()));
        self.line(answer);
        let challenge = inner_text(&self.last_element);
        let last = client.last(std::str::from_utf8(&decode(challenge)).unwrap());
        self.line(&format!("response {last}"));
        if self.last_element.starts_with("<success") {
            let signature = decode(inner_text(&self.last_element));
            assert!(client.trusts(std::str::from_utf8(&signature).unwrap()), "the server's signature");
        }
    }
}

fn inner_text(xml: &str) -> &str {
    let from = xml.find('>').map_or(0, |at| at + 1);
    &xml[from..xml.rfind("</").unwrap_or(xml.len()).max(from)]
}

/// Base64 in SASL elements is read.
fn readable(xml: &str) -> String {
    let sasl = xml.starts_with("<challenge") || xml.starts_with("<success");
    let inner = inner_text(xml);
    if sasl && !inner.is_empty() {
        return xml.replace(inner, &format!("[{}]", String::from_utf8(decode(inner)).unwrap()));
    }
    xml.to_owned()
}

pub fn open(attributes: &str) -> Open {
    let mut open = Open { xmlns: "jabber:client".into(), ..Open::default() };
    for attribute in attributes.split_whitespace() {
        let (name, value) = attribute.split_once('=').expect("name='value'");
        let value = value.trim_matches('\'').into();
        match name {
            "to" => open.to = Some(value),
            "from" => open.from = Some(value),
            "xml:lang" => open.lang = Some(value),
            "xmlns" => open.xmlns = value,
            "version" => {
                let (major, minor) = value.split_once('.').expect("major.minor");
                open.version = Some((major.parse().unwrap(), minor.parse().unwrap()));
            }
            other => panic!("unknown attribute {other}"),
        }
    }
    open
}

fn attributes(open: &Open) -> String {
    let mut out = String::new();
    for (name, value) in [("from", &open.from), ("to", &open.to), ("id", &open.id), ("lang", &open.lang)] {
        if let Some(value) = value {
            out.push_str(&format!("{name}={value} "));
        }
    }
    let (major, minor) = open.version.unwrap_or_default();
    out + &format!("version={major}.{minor}")
}
