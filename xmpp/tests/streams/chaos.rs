//! Anything in any order: what never may happen does not.

use crate::client::encode;
use crate::script::{Run, account, open, settings, token};
use herald_xmpp::sasl::Mechanism;
use herald_xmpp::stanza::{Condition as StanzaCondition, StanzaError};
use herald_xmpp::stream::c2s::{Channel, Input, Output, Settings, Stream, Transport, TransportKind};
use herald_xmpp::stream::sm::{Failed, Resumable};
use herald_xmpp::stream::{Condition, StreamError};
use herald_xmpp::xml::Scope;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const SM: &str = "xmlns='urn:xmpp:sm:3'";

#[derive(Clone, Debug)]
enum Step {
    Open(&'static str),
    Element(String),
    Close,
    Secured(bool),
    Credentials(bool),
    Checked(bool),
    Bearer(bool),
    StoreFailed,
    Bound(bool),
    Enabled(bool),
    Resumed(bool),
    Fail,
    Tick(u64),
}

/// Elements as a client might send them; the last ones were never checked.
fn elements() -> impl Strategy<Value = String> {
    let sasl = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
    let fixed = vec![
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(),
        format!("<abort {sasl}/>"),
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>".into(),
        "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>".into(),
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>".into(),
        "<iq/>".into(),
        "<message to='romeo@localhost'><body>hi</body></message>".into(),
        "<message from='juliet@localhost' to='romeo@localhost'/>".into(),
        "<presence from='romeo@localhost'/>".into(),
        "<presence/>".into(),
        "<stream:error/>".into(),
        "<x xmlns='urn:x'/>".into(),
        format!("<enable {SM} resume='true'/>"),
        format!("<enable {SM}/>"),
        format!("<resume {SM} previd='x' h='3'/>"),
        format!("<r {SM}/>"),
        format!("<a {SM} h='1'/>"),
        format!("<a {SM}/>"),
        "<r xmlns='urn:x'/>".into(),
    ];
    let message = prop_oneof![
        Just("\0juliet\0pencil".to_owned()),
        Just("n,,n=juliet,r=x".to_owned()),
        Just("n,a=juliet@localhost,\x01auth=Bearer t\x01\x01".to_owned()),
        Just("\x01".to_owned()),
        Just("p=tls-exporter,,n=juliet,r=x".to_owned()),
        Just("c=biws,r=x,p=AAAA".to_owned()),
        "\\PC{0,40}",
    ];
    prop_oneof![
        8 => prop::sample::select(fixed),
        6 => (prop::sample::select(Mechanism::ALL.to_vec()), message.clone()).prop_map(move |(m, text)| {
            format!("<auth {sasl} mechanism='{m}'>{}</auth>", encode(text))
        }),
        2 => message.prop_map(move |text| format!("<response {sasl}>{}</response>", encode(text))),
        1 => "<\\PC{0,60}",
        1 => "\\PC{0,20}",
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let headers = vec![
        "to='localhost' version='1.0'",
        "to='localhost' version='1.0' xml:lang='it' from='juliet@localhost'",
        "to='example.com' version='1.0'",
        "",
    ];
    prop_oneof![
        6 => prop::sample::select(headers).prop_map(Step::Open),
        16 => elements().prop_map(Step::Element),
        1 => Just(Step::Close),
        2 => any::<bool>().prop_map(Step::Secured),
        3 => any::<bool>().prop_map(Step::Credentials),
        4 => any::<bool>().prop_map(Step::Checked),
        2 => any::<bool>().prop_map(Step::Bearer),
        1 => Just(Step::StoreFailed),
        3 => any::<bool>().prop_map(Step::Bound),
        2 => any::<bool>().prop_map(Step::Enabled),
        2 => any::<bool>().prop_map(Step::Resumed),
        1 => Just(Step::Fail),
        2 => (0..10u64).prop_map(Step::Tick),
    ]
}

/// What must hold at every output.
#[derive(Default)]
struct Law {
    opened: bool,
    offered: bool,
    asked_to_bind: bool,
    asked_to_resume: bool,
    asked_to_enable: bool,
    managed: bool,
    bound: bool,
    ended: bool,
    errors: u32,
}

impl Law {
    fn output(&mut self, output: &Output, answer_was_ok: bool) {
        assert!(!self.ended, "{output:?} after the end");
        match output {
            Output::Open(_) => self.opened = true,
            Output::Ended => self.ended = true,
            _ => assert!(self.opened, "{output:?} before our header"),
        }
        match output {
            Output::Error(_) => self.errors += 1,
            Output::Close | Output::Ended | Output::Open(_) => {}
            _ => assert_eq!(self.errors, 0, "{output:?} after an error"),
        }
        match output {
            Output::Bind(user, _) => {
                assert_eq!(user.as_str(), "juliet@localhost");
                assert!(!self.bound);
                self.asked_to_bind = true;
            }
            Output::Stanza(stanza) => {
                assert!(self.bound, "a stanza before binding");
                assert_eq!(stanza.from.as_ref().map(|j| j.as_str()), Some("juliet@localhost/balcony"));
            }
            Output::Reply(stanza) => {
                let binds = stanza.to_bytes(true).windows(5).any(|w| w == b"<jid>");
                assert!(!binds || self.asked_to_bind && answer_was_ok, "bound without being asked");
                self.bound |= binds;
            }
            Output::Resume(user, previd, h) => {
                assert_eq!((user.as_str(), previd.as_str(), *h), ("juliet@localhost", "x", 3));
                assert!(!self.bound && self.offered);
                self.asked_to_resume = true;
            }
            Output::Enable(_) => {
                assert!(self.bound && self.offered && !self.managed);
                self.asked_to_enable = true;
            }
            // Nobody can guess a proof here, so it takes a word from outside to let somebody in.
            Output::Element(xml) if xml.starts_with("<success") => assert!(answer_was_ok, "let in unasked"),
            Output::Acked(h) => assert!(self.managed && *h == 1),
            Output::Element(xml) if xml.starts_with("<resumed") => {
                assert!(self.asked_to_resume && !self.bound && answer_was_ok);
                (self.bound, self.managed) = (true, true);
            }
            Output::Element(xml) if xml.starts_with("<enabled") => {
                assert!(self.asked_to_enable && !self.managed);
                self.managed = true;
            }
            Output::Element(xml) if xml.starts_with("<a ") => assert!(self.managed),
            _ => {}
        }
        assert!(self.errors <= 1);
    }
}

fn obey(kind: TransportKind, secure: bool, steps: &[Step]) {
    let mut now = crate::script::now();
    let mut stream = Stream::new(
        now,
        Arc::new(Settings { sm: true, ..settings() }),
        Transport { kind, secure, plain_allowed: false },
        [9; 32],
    );
    let scope = if kind == TransportKind::Tcp { Scope::CLIENT } else { Scope::HTTPBIND };
    let mut law = Law { offered: kind != TransportKind::Bosh, ..Law::default() };
    for step in steps {
        let balcony = || "juliet@localhost/balcony".parse().unwrap();
        let mut answer_was_ok = false;
        let input = match step {
            Step::Open(header) => Input::Open(open(header)),
            Step::Element(xml) => Input::Element(xml, &scope),
            Step::Close => Input::Close,
            Step::Secured(exporter) => Input::Secured(Channel { exporter: exporter.then_some([7; 32]) }),
            Step::Credentials(known) => Input::Credentials(known.then(account), vec![token("ticket")]),
            Step::Checked(right) => {
                answer_was_ok = *right;
                Input::Checked(*right)
            }
            Step::Bearer(known) => {
                answer_was_ok = *known;
                Input::Bearer(known.then(|| "juliet@localhost".parse().unwrap()))
            }
            Step::StoreFailed => Input::StoreFailed,
            Step::Bound(ok) => {
                answer_was_ok = *ok;
                Input::Bound(if *ok { Ok(balcony()) } else { Err(StanzaError::new(StanzaCondition::Conflict)) })
            }
            Step::Enabled(ok) => Input::Enabled(ok.then(|| Resumable { id: "x".into(), secs: 10 })),
            Step::Resumed(ok) => {
                answer_was_ok = *ok;
                let failed = Failed { condition: StanzaCondition::ItemNotFound, h: Some(5) };
                Input::Resumed(if *ok { Ok((balcony(), 7)) } else { Err(failed) })
            }
            Step::Fail => Input::Fail(StreamError::new(Condition::Reset)),
            Step::Tick(secs) => {
                now += Duration::from_secs(*secs);
                Input::Tick
            }
        };
        stream.handle(now, input);
        while let Some(output) = stream.poll() {
            law.output(&output, answer_was_ok);
        }
        assert_eq!(stream.ended(), law.ended);
        assert_eq!(stream.jid().is_some(), law.bound && !law.ended);
        assert_eq!(stream.handled().is_some(), law.managed);
        assert!(!(stream.ended() && (stream.waiting() || stream.deadline().is_some())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// From nothing.
    #[test]
    fn any_inputs_in_any_order(
        kind in prop::sample::select(vec![TransportKind::Tcp, TransportKind::WebSocket, TransportKind::Bosh]),
        secure in any::<bool>(),
        steps in prop::collection::vec(steps(), 0..30),
    ) {
        obey(kind, secure, &steps);
    }

    /// A login goes well as far as `cut`, then anything happens: the late states are reached often.
    #[test]
    fn any_inputs_on_the_way(cut in 0..8usize, steps in prop::collection::vec(steps(), 0..12)) {
        let open = || Step::Open("to='localhost' version='1.0'");
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>", encode("\0juliet\0pencil"));
        let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>".to_owned();
        let mut all = vec![open(), Step::Element(auth), Step::Checked(true), open(), Step::Element(bind), Step::Bound(true), Step::Element("<presence/>".into())];
        all.truncate(cut);
        all.extend(steps);
        obey(TransportKind::Tcp, true, &all);
    }

    /// The reader and the machine together, on bytes.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[<>/&;'\"!?\\[\\]= a:x]{0,60}") {
        use herald_xmpp::stream::tcp::{Piece, Reader};
        for rest in [bytes.as_slice(), text.as_bytes()] {
            for header in ["", "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>"] {
                let mut run = Run::new("tcp tls");
                let mut reader = Reader::new();
                let all = [header.as_bytes(), rest].concat();
                let mut new = all.as_slice();
                loop {
                    match reader.push(new, &run.stream.limits().clone()) {
                        Ok(None) => break,
                        Ok(Some((piece, used))) => {
                            match piece {
                                Piece::Open(open) => run.give(Input::Open(open)),
                                Piece::Element(xml, scope) => run.give(Input::Element(xml, scope)),
                                Piece::Close => run.give(Input::Close),
                            }
                            new = &new[used..];
                        }
                        Err(e) => {
                            run.give(Input::Fail(e));
                            break;
                        }
                    }
                }
                let ended = run.transcript.matches("ended").count();
                prop_assert_eq!(ended, usize::from(run.stream.ended()));
            }
        }
    }
}
