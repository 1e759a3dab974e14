//! Anything in any order: what holds whatever a client, its network and the stream above do.
//!
//! Every request is answered exactly once, unless its connection died; every item comes back exactly
//! once; the end comes once; no deadline lies in the past; and a session that is left alone ends.

use herald_bosh::*;
use herald_xmpp::xml::Limits;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
enum Act {
    Post { rid: u64, attrs: &'static str, payload: &'static str },
    Broken,
    Lost(u64),
    Down,
    Close(u8),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let attrs = prop_oneof![
        12 => Just(""),
        2 => Just("ack='1000001'"),
        1 => Just("ack='1000004'"),
        1 => Just("pause='7'"),
        1 => Just("type='terminate'"),
        1 => Just("xmlns:x='urn:xmpp:xbosh' x:restart='true'"),
        1 => Just("key='a' newkey='b'"),
    ];
    let payload = prop_oneof![Just(""), Just("<message/>"), Just("<iq/>")];
    prop_oneof![
        20 => (0u64..14, attrs, payload).prop_map(|(rid, attrs, payload)| Act::Post { rid, attrs, payload }),
        1 => Just(Act::Broken),
        5 => (0u64..30).prop_map(Act::Lost),
        10 => Just(Act::Down),
        1 => (0u8..3).prop_map(Act::Close),
        10 => prop_oneof![0u64..20, 0u64..4_000, 0u64..70_000].prop_map(Act::Pass),
    ]
}

struct Count(u32);

impl Item for Count {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("<d n='{}'/>", self.0).as_bytes());
    }
    fn bytes_len(&self) -> usize {
        12
    }
}

struct Check {
    session: Session<Count>,
    now: Instant,
    /// Requests that wait.
    waiting: HashSet<u64>,
    given: u32,
    back: HashSet<u32>,
    ended: bool,
    gone: bool,
}

impl Check {
    fn handle(&mut self, input: Input) {
        self.session.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            assert!(!self.gone || matches!(output, Output::Answer { .. }), "something after the end of all");
            match output {
                Output::Answer { ticket, .. } => {
                    assert!(self.waiting.remove(&ticket.0), "{ticket:?} does not wait");
                }
                Output::Acked(item) => {
                    assert!(!self.ended);
                    assert!(self.back.insert(item.0), "{} came back before", item.0);
                }
                Output::Ended { undelivered } => {
                    assert!(!self.ended, "two ends");
                    self.ended = true;
                    for item in undelivered {
                        assert!(self.back.insert(item.0), "{} came back before", item.0);
                    }
                }
                Output::Gone => {
                    assert!(self.ended, "gone without an end");
                    self.gone = true;
                }
                Output::Open { .. } | Output::Restart { .. } | Output::Payload(_) | Output::PeerClosed => {
                    assert!(!self.ended, "something goes up after the end");
                }
            }
        }
        let deadline = self.session.deadline();
        assert!(deadline.is_none_or(|d| d > self.now), "a deadline in the past");
        assert_eq!(deadline.is_none(), self.gone, "a session that is never looked at again");
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.session.deadline().filter(|d| *d <= end) {
            self.now = due;
            self.handle(Input::Tick);
        }
        self.now = end;
    }
}

#[allow(clippy::disallowed_methods)] // any instant will do for a start; from there on time is counted by hand
fn play(terms: &str, acts: Vec<Act>) {
    let parse = |xml: String| Body::parse(xml.as_bytes(), &Limits::DEFAULT).expect("a body");
    let (now, sid) = (Instant::now(), Sid::new([5; 16]));
    let httpbind = "xmlns='http://jabber.org/protocol/httpbind'";
    let creation = parse(format!("<body rid='1000000' to='example.com' ver='1.6' {terms} {httpbind}/>"));
    let settings = Arc::new(Settings { queue_bytes_max: 200, response_bytes_soft: 30, ..Settings::default() });
    let session = Session::new(now, settings, sid, "example.com", creation, Ticket(0));
    let (waiting, back) = (HashSet::from([0]), HashSet::new());
    let mut check = Check { session, now, waiting, given: 0, back, ended: false, gone: false };
    check.drain();
    let mut ticket = 0;
    for act in acts {
        match act {
            Act::Post { rid, attrs, payload } => {
                ticket += 1;
                check.waiting.insert(ticket);
                let rid = 1_000_000 + rid;
                let body = parse(format!("<body sid='{sid}' rid='{rid}' {attrs} {httpbind}>{payload}</body>"));
                check.handle(Input::Post { ticket: Ticket(ticket), body });
            }
            Act::Broken => {
                ticket += 1;
                check.waiting.insert(ticket);
                check.handle(Input::Broken { ticket: Ticket(ticket), condition: Condition::BadRequest });
            }
            Act::Lost(n) => {
                check.waiting.remove(&n);
                check.handle(Input::Lost(Ticket(n)));
            }
            Act::Down => {
                check.given += 1;
                if let Err(item) = check.session.down(check.now, Count(check.given)) {
                    check.back.insert(item.0);
                }
                check.drain();
            }
            Act::Close(0) => check.handle(Input::Close(Close::Stream)),
            Act::Close(1) => check.handle(Input::Close(Close::Condition(Condition::SystemShutdown))),
            Act::Close(_) => {
                check.handle(Input::Close(Close::StreamError(bytes::Bytes::from_static(b"<stream:error/>"))))
            }
            Act::Pass(ms) => check.pass(ms),
        }
    }
    check.pass(400_000);
    assert!(check.gone, "a session that is left alone ends");
    assert!(check.waiting.is_empty(), "never answered: {:?}", check.waiting);
    assert_eq!(check.back.len(), check.given as usize, "every item comes back");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn whatever_happens(
        terms in prop_oneof![
            Just("wait='10' hold='1'"),
            Just("wait='10' hold='1' ack='1'"),
            Just("wait='0' hold='1'"),
            Just("wait='10' hold='4'"),
            Just("wait='10' hold='1' newkey='86f7e437faa5a7fce15d1ddcb9eaeaea377667b8'"),
        ],
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        play(terms, acts);
    }
}
