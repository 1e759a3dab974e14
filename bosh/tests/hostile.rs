//! Bodies as a stranger would write them: good ones, changed here and there, from fixed seeds.
//!
//! Whatever comes is read or refused. What is read is what the framer and the XML check say it is, cut wherever; its
//! payload is whole elements that are read again by themselves. And a session takes all of it: every request is
//! answered, and what ends is ended once. `HERALD_SEED=n cargo test -p herald-bosh --test hostile` plays one round.

use herald_bosh::*;
use herald_xmpp::xml::{Element, Framer, Limits, PieceKind, check};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[path = "simulation/random.rs"]
mod random;
use random::Random;

const ROUNDS: u64 = 3_000;
/// Bodies in a round.
const BODIES: u32 = 12;
const LIMITS: Limits = Limits { bytes_max: 600, depth_max: 6, attrs_max: 12, elements_max: 20 };

const GOOD: [&str; 9] = [
    "<body rid='R' sid='S' xmlns='http://jabber.org/protocol/httpbind'/>",
    "<body rid='R' sid='S' xmlns='http://jabber.org/protocol/httpbind'><message to='a@b'><body>hi &amp; ho</body></message><iq/></body>",
    "<body rid='R' sid='S' pause='10' xmlns='http://jabber.org/protocol/httpbind'></body>",
    "<body rid='R' sid='S' ack='R' xmlns='http://jabber.org/protocol/httpbind'><presence xmlns='jabber:client'/></body>",
    "<body type='terminate' rid='R' sid='S' xmlns='http://jabber.org/protocol/httpbind'><presence type='unavailable'/></body>",
    "<body rid='R' sid='S' key='b' newkey='a' xmlns='http://jabber.org/protocol/httpbind' xmlns:x='urn:xmpp:xbosh' x:restart='true' to='b'/>",
    "<body rid='R' to='b' ver='1.6' wait='10' hold='1' content='text/xml' xml:lang='en' xmlns='http://jabber.org/protocol/httpbind'/>",
    "<h:body xmlns:h='http://jabber.org/protocol/httpbind' rid='R' sid='S' xmlns='jabber:client'><message><x xmlns='y'><![CDATA[<&]]></x></message></h:body>",
    " <body rid=\"R\" sid=\"S\" stream='q' xmlns=\"http://jabber.org/protocol/httpbind\"><a:b xmlns:a='c'/> \n</body> ",
];

/// What is put into them.
const ODD: [&str; 24] = [
    "<",
    ">",
    "/>",
    "'",
    "\"",
    "&",
    "&lt;",
    "&#0;",
    "&#x10ffff;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x?>",
    "<!DOCTYPE a>",
    " xmlns=''",
    " xmlns:a='b'",
    "</body>",
    "<body>",
    " rid='1'",
    "9007199254740993",
    "\u{0}",
    "\u{feff}",
    "é",
];

struct Text(String);

impl Item for Text {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
    fn bytes_len(&self) -> usize {
        self.0.len()
    }
}

#[test]
fn whatever_is_sent() {
    if let Some(seed) = std::env::var("HERALD_SEED").ok().and_then(|s| s.parse().ok()) {
        round(seed);
        return;
    }
    let mut read = 0;
    for seed in 0..ROUNDS {
        match std::panic::catch_unwind(|| round(seed)) {
            Ok(n) => read += n,
            Err(_) => panic!("HERALD_SEED={seed} cargo test -p herald-bosh --test hostile"),
        }
    }
    let all = ROUNDS * u64::from(BODIES);
    assert!(read > all / 5 && read < all * 9 / 10, "{read} of {all} were read: that tests little");
}

#[allow(clippy::disallowed_methods)] // any instant will do for a start
fn round(seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let (mut now, sid) = (Instant::now(), Sid::new([5; 16]));
    let settings = Arc::new(Settings { body_bytes_max: 600, ..Settings::default() });
    let created = Rid::new(100).expect("a rid");
    let (mut session, _) = Session::prebound(now, settings, created, 60);
    let (mut read, mut waiting, mut ends) = (0, 0, 0);
    for ticket in 1..=BODIES {
        let bytes = body(&mut random, sid);
        let ticket = Ticket(ticket.into());
        waiting += 1;
        match Body::parse(&bytes, &LIMITS) {
            Ok(body) => {
                is_what_it_says(&mut random, std::str::from_utf8(&bytes).expect("what is read is UTF-8"), &body);
                read += 1;
                session.handle(now, Input::Post { ticket, body });
            }
            Err(refused) => {
                assert!(matches!(refused.condition, Condition::BadRequest | Condition::PolicyViolation));
                let _ = refused.answer();
                if random.percent(10) {
                    session.handle(now, Input::Broken { ticket, condition: refused.condition });
                } else {
                    waiting -= 1;
                }
            }
        }
        if random.percent(40) {
            let _ = session.down(now, Text("<m xmlns='jabber:client'/>".into()));
        }
        drain(&mut session, &mut waiting, &mut ends);
        now += Duration::from_millis(random.below(4_000));
    }
    while let Some(due) = session.deadline() {
        now = now.max(due);
        session.handle(now, Input::Tick);
        drain(&mut session, &mut waiting, &mut ends);
    }
    assert_eq!((waiting, ends), (0, 1), "requests that wait, and ends");
    read
}

fn drain(session: &mut Session<Text>, waiting: &mut u32, ends: &mut u32) {
    while let Some(output) = session.poll() {
        match output {
            Output::Answer { answer, .. } => {
                *waiting -= 1;
                let body = std::str::from_utf8(&answer.body).expect("UTF-8");
                assert!(Element::parse(body, &herald_xmpp::xml::Scope::NONE).is_ok(), "{body}");
            }
            Output::Ended { .. } => *ends += 1,
            _ => {}
        }
    }
}

/// A good one, changed a few times.
fn body(random: &mut Random, sid: Sid) -> Vec<u8> {
    let rid = (100 + random.below(8)).to_string();
    let mut bytes = random.pick(&GOOD).replace('R', &rid).replace('S', &sid.to_string()).into_bytes();
    for _ in 0..random.pick(&[0u32, 0, 1, 1, 2, 4]) {
        let at = usize::try_from(random.below(bytes.len() as u64 + 1)).expect("an index");
        let end = bytes.len().min(at + usize::try_from(random.below(12)).expect("few"));
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.splice(at..at, random.pick(&ODD).bytes()).for_each(drop),
            3 => bytes.extend_from_within(at..end),
            4 => bytes.splice(at..at, bytes[at..end].to_vec().repeat(3)).for_each(drop),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

fn is_what_it_says(random: &mut Random, text: &str, body: &Body) {
    assert!(text.len() <= LIMITS.bytes_max && body.rid.number() <= Rid::MAX);
    assert!(body.payload.bytes_len() <= text.len());
    assert_eq!(body.payload.is_empty(), body.payload.elements().count() == 0);
    is_one_element(random, text.trim_matches([' ', '\t', '\n', '\r']));
    for (xml, scope) in body.payload.elements() {
        assert_eq!(check(xml, scope, &LIMITS), Ok(()), "{xml}");
        is_one_element(random, xml);
    }
}

/// The framer finds exactly one, however the bytes are portioned.
fn is_one_element(random: &mut Random, text: &str) {
    let (mut framer, mut rest) = (Framer::elements(), text.as_bytes());
    while !rest.is_empty() {
        let portion = &rest[..rest.len().min(1 + usize::try_from(random.below(40)).expect("few"))];
        match framer.scan(portion, &LIMITS) {
            Ok(Some(piece)) => {
                assert_eq!((piece.kind, piece.end), (PieceKind::Element, rest.len()), "{text}");
                return;
            }
            Ok(None) => rest = &rest[portion.len()..],
            Err(e) => panic!("{e}: {text}"),
        }
    }
    panic!("no end: {text}");
}
