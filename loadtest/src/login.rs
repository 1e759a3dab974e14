//! Logging in, from the first features to being available (RFC 6120, RFC 6121), as a machine: it takes
//! elements and says what to do. It ends with a ping to the server, whose answer, whatever it is, comes
//! after the presence was handled.

use crate::sasl::{self, Mechanism, Scram};
use crate::xml::{Element, escape};

/// Who logs in, and how.
pub struct Who<'w> {
    /// The localpart.
    pub user: &'w str,
    /// The password, or what goes where it would go.
    pub password: &'w str,
    /// The server's domain.
    pub domain: &'w str,
    /// The resource to bind.
    pub resource: &'w str,
    /// The mechanism; without one the strongest that is offered.
    pub mechanism: Option<Mechanism>,
    /// Randomness for SCRAM.
    pub nonce: &'w str,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing: more will come.
    Wait,
    /// Send these, each by itself.
    Send(Vec<String>),
    /// Begin TLS, then a new stream.
    Secure,
    /// Begin a new stream.
    Restart,
    /// The session is up, under this address.
    Ready(String),
}

/// Why it failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// With the condition (RFC 6120 section 6.5), and the server's words.
    #[error("the login was refused: {0}")]
    Refused(String),
    /// The stream's own condition (RFC 6120 section 4.9.3).
    #[error("the server ended the stream: {0}")]
    Stream(String),
    /// None that we speak, or not the one that was asked for.
    #[error("the server does not offer {wanted}, only {offered}")]
    Mechanisms {
        /// What we would take.
        wanted: &'static str,
        /// What there is.
        offered: String,
    },
    /// A TCP server without TLS.
    #[error("the server does not offer STARTTLS")]
    NoTls,
    /// RFC 6120 section 7.
    #[error("no resource was bound: {0}")]
    Bind(String),
    /// SCRAM went wrong.
    #[error(transparent)]
    Sasl(#[from] sasl::Fault),
}

enum Step {
    /// The first features.
    Begun,
    Proceeding,
    Challenged(Box<Scram>),
    /// PLAIN was sent.
    Shown,
    /// The features behind the login.
    Inside,
    Binding {
        session: bool,
    },
    Opening,
    /// The ping was sent.
    Appearing,
}

/// One login under way.
pub struct Login {
    step: Step,
    /// TLS is still to be begun by `<starttls/>`.
    starttls: bool,
    jid: String,
}

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";

impl Login {
    /// Waits for features. `starttls` says that TLS must be begun first.
    pub fn new(starttls: bool) -> Login {
        Login { step: Step::Begun, starttls, jid: String::new() }
    }

    /// Takes an element of the stream.
    pub fn handle(&mut self, who: &Who<'_>, element: Element<'_>) -> Result<Act, Fault> {
        match (element.name(), &mut self.step) {
            ("error", _) => Err(Fault::Stream(condition(element))),
            ("features", Step::Begun) if self.starttls => {
                element.child("starttls").ok_or(Fault::NoTls)?;
                self.step = Step::Proceeding;
                Ok(send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned()))
            }
            ("proceed", Step::Proceeding) => {
                (self.step, self.starttls) = (Step::Begun, false);
                Ok(Act::Secure)
            }
            ("features", Step::Begun) => self.choose(who, element),
            ("challenge", Step::Challenged(scram)) => {
                let answer = scram.answer(&element.text(), who.password)?;
                Ok(send(format!("<response xmlns='{SASL}'>{answer}</response>")))
            }
            ("success", Step::Challenged(scram)) => {
                scram.finish(&element.text())?;
                self.step = Step::Inside;
                Ok(Act::Restart)
            }
            ("success", Step::Shown) => {
                self.step = Step::Inside;
                Ok(Act::Restart)
            }
            ("failure", _) => Err(Fault::Refused(condition(element))),
            ("features", Step::Inside) => {
                // A server of before RFC 6121 wants a session, too, unless it says that it is optional.
                let session = element.child("session").is_some_and(|s| s.child("optional").is_none());
                self.step = Step::Binding { session };
                let resource = escape(who.resource);
                Ok(send(format!(
                    "<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>"
                )))
            }
            ("iq", Step::Binding { session }) if element.attribute("id").as_deref() == Some("bind") => {
                let session = *session;
                let jid = element.child("bind").and_then(|bind| Some(bind.child("jid")?.text().into_owned()));
                self.jid =
                    jid.ok_or_else(|| Fault::Bind(element.child("error").map_or_else(String::new, condition)))?;
                self.step = if session { Step::Opening } else { Step::Appearing };
                Ok(Act::Send(match session {
                    true => vec![
                        "<iq type='set' id='open' xmlns='jabber:client'>\
                         <session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"
                            .to_owned(),
                    ],
                    false => appear(who.domain),
                }))
            }
            ("iq", Step::Opening) if element.attribute("id").as_deref() == Some("open") => {
                self.step = Step::Appearing;
                Ok(Act::Send(appear(who.domain)))
            }
            ("iq", Step::Appearing) if element.attribute("id").as_deref() == Some("there") => {
                Ok(Act::Ready(std::mem::take(&mut self.jid)))
            }
            _ => Ok(Act::Wait),
        }
    }

    fn choose(&mut self, who: &Who<'_>, features: Element<'_>) -> Result<Act, Fault> {
        let offered = features.child("mechanisms");
        let offered: Vec<_> = offered.iter().flat_map(Element::children).map(|m| m.text()).collect();
        let ours = [Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::Plain];
        let wanted = ours.into_iter().filter(|ours| who.mechanism.is_none_or(|wanted| wanted == *ours));
        let Some(mechanism) = wanted.into_iter().find(|ours| offered.iter().any(|m| m == ours.name())) else {
            let offered = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
            let wanted = who.mechanism.map_or("SCRAM or PLAIN", Mechanism::name);
            return Err(Fault::Mechanisms { wanted, offered });
        };
        let first = match mechanism {
            Mechanism::Plain => {
                self.step = Step::Shown;
                sasl::plain(who.user, who.password)
            }
            mechanism => {
                let scram = Scram::new(mechanism, who.user, who.nonce);
                let first = scram.first();
                self.step = Step::Challenged(Box::new(scram));
                first
            }
        };
        Ok(send(format!("<auth xmlns='{SASL}' mechanism='{}'>{first}</auth>", mechanism.name())))
    }
}

fn send(xml: String) -> Act {
    Act::Send(vec![xml])
}

fn appear(domain: &str) -> Vec<String> {
    let domain = escape(domain);
    let ping =
        format!("<iq type='get' id='there' to='{domain}' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>");
    vec!["<presence xmlns='jabber:client'/>".to_owned(), ping]
}

/// The condition in an error or a failure, and its words when there are any.
pub fn condition(error: Element<'_>) -> String {
    let name = error.children().map(|child| child.name()).find(|name| *name != "text").unwrap_or("no reason given");
    match error.child("text").map(|text| text.text().into_owned()).filter(|text| !text.is_empty()) {
        Some(text) => format!("{name} ({text})"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(mechanism: Option<Mechanism>) -> Who<'static> {
        Who { user: "u1", password: "p", domain: "d", resource: "load", mechanism, nonce: "n" }
    }

    // What comes, and the beginning of what is said to it.
    #[track_caller]
    fn check(mechanism: Option<Mechanism>, starttls: bool, script: &[(&str, &str)]) {
        let mut login = Login::new(starttls);
        for (comes, wanted) in script {
            let element = Element::parse(comes).expect("a whole element");
            let said = match login.handle(&who(mechanism), element) {
                Ok(Act::Send(stanzas)) => stanzas.concat(),
                Ok(other) => format!("{other:?}"),
                Err(fault) => fault.to_string(),
            };
            assert!(said.starts_with(wanted), "to {comes}: {said}");
        }
    }

    const OFFER: &str = "<stream:features><mechanisms><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-1</mechanism>\
                         </mechanisms></stream:features>";
    const BOUND: &str = "<iq type='result' id='bind'><bind><jid>u1@d/load</jid></bind></iq>";

    #[test]
    fn from_features_to_presence() {
        let script = [
            ("<features><starttls/></features>", "<starttls"),
            ("<proceed/>", "Secure"),
            (OFFER, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHUxAHA="),
            ("<success/>", "Restart"),
            ("<features><bind/><session/></features>", "<iq type='set' id='bind'"),
            (BOUND, "<iq type='set' id='open'"),
            ("<iq type='result' id='open'/>", "<presence"),
            ("<presence from='u1@d/load'/>", "Wait"),
            ("<iq type='error' id='there'/>", "Ready(\"u1@d/load\")"),
        ];
        check(Some(Mechanism::Plain), true, &script);
    }

    #[test]
    fn an_optional_session_is_not_asked_for() {
        let features = "<features><bind/><session><optional/></session></features>";
        let script = [(OFFER, "<auth"), ("<success/>", "Restart"), (features, "<iq"), (BOUND, "<presence")];
        check(Some(Mechanism::Plain), false, &script);
    }

    #[test]
    fn the_strongest_is_taken_unless_another_is_wanted() {
        check(None, false, &[(OFFER, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>")]);
        let missing = "the server does not offer SCRAM-SHA-256, only PLAIN, SCRAM-SHA-1";
        check(Some(Mechanism::ScramSha256), false, &[(OFFER, missing)]);
    }

    #[test]
    fn a_refusal_says_its_condition() {
        let failure = "<failure><not-authorized/><text>No</text></failure>";
        check(None, false, &[(OFFER, "<auth"), (failure, "the login was refused: not-authorized (No)")]);
        let error = "<stream:error><policy-violation/></stream:error>";
        check(None, false, &[(error, "the server ended the stream: policy-violation")]);
        check(None, true, &[("<features/>", "the server does not offer STARTTLS")]);
    }
}
