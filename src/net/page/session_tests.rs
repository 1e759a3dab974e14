//! The machine alone: what a slow client costs, and what is never given out.

use super::*;
use bytes::Bytes;
use herald_storage::Kept;
use herald_xmpp::{BareJid, MessageType};

const SOFT: usize = 2_000;
const HARD: usize = 20_000;

fn session() -> Session {
    Session::new(Arc::new(Settings {
        domain: "localhost".into(),
        epoch: "e".into(),
        frame_bytes_max: 1_000,
        soft_bytes_max: SOFT,
        hard_bytes_max: HARD,
        ping_secs: 25,
        inactivity_secs: 60,
    }))
}

/// One that came in, where the log stands at `last`; what it was told and what was to be done for that are gone.
fn in_at(since: u64, last: u64) -> Session {
    let mut session = session();
    session.frame(r#"{"t":"hello","uid":"bob","token":"t"}"#);
    assert!(matches!(session.next_up(), Some(Up::Enter(_))));
    let jid = BareJid::new(Some("bob"), "localhost").expect("a uid").with(&Resource::new("page").expect("a name"));
    let (ticket, ticket_expires_ms) = (String::new(), 0);
    session.entered(Ok(Entered { jid, last, since, lost: None, ticket, ticket_expires_ms }));
    while session.next_up().is_some() {}
    assert!(session.take().is_some_and(|ready| ready.text.starts_with(r#"{"t":"ready""#)));
    session
}

fn delivery(id: Option<u64>, kind: Kind) -> Delivery {
    let stanza = Stanza::new(kind).payload(Bytes::from("<body>x</body>"));
    Delivery { receipt: id.map(Receipt), ..Delivery::new(stanza) }
}

fn chat(id: Option<u64>) -> Delivery {
    delivery(id, Kind::Message(MessageType::Chat))
}

fn ids(session: &mut Session) -> Vec<u64> {
    std::iter::from_fn(|| session.take()).filter_map(|frame| frame.id).collect()
}

#[test]
fn a_client_that_takes_nothing_costs_what_it_may_and_misses_nothing() {
    let mut session = in_at(0, 0);
    for id in 1..=1_000 {
        session.deliver(chat(Some(id)), 7).expect("what has a number is never refused");
    }
    assert!(session.down_bytes < SOFT + 1_000 && session.end().is_none());
    let had = ids(&mut session);
    let first = had.len() as u64;
    assert!(first > 1 && had == (1..=first).collect::<Vec<_>>());
    let slice = session.wants().expect("there is room, and more in the log");
    assert_eq!((slice.since, slice.limit), (first, PAGE_MESSAGES));
    let stanza = chat(None).stanza.to_bytes(true);
    let kept = |id| Kept { id, at_ms: 1, stanza: stanza.clone() };
    let items = (first + 1..=first + 3).map(kept).collect();
    session.page(Page { items, last: 1_000, removed_to: 0, more: true });
    assert_eq!(ids(&mut session), (first + 1..=first + 3).collect::<Vec<_>>());
}

#[test]
fn what_has_no_number_is_waited_for_up_to_a_bound() {
    let mut session = in_at(0, 0);
    let refused = (0..1_000).position(|_| session.deliver(chat(None), 7).is_err()).expect("there is a bound");
    assert!(refused > 10 && session.down_bytes < HARD + 1_000);
    assert_eq!(session.end().map(|end| end.code), Some(Code::Slow));
    let last = std::iter::from_fn(|| session.take()).last().expect("a last word");
    assert!(last.text.contains(r#""code":"slow""#) && last.text.contains(r#""retry":true"#), "{}", last.text);
    assert!(session.deliver(chat(Some(1)), 7).is_err(), "it is over");
}

#[test]
fn nobody_acknowledges_what_was_not_given_out() {
    let mut session = in_at(3, 3);
    session.frame(r#"{"t":"ack","id":99}"#);
    assert!(matches!(session.next_up(), Some(Up::ReadTo(3))));
}

#[test]
fn what_was_said_before_goodbye_is_carried_out() {
    for leave in [|s: &mut Session| s.frame(r#"{"t":"bye"}"#), |s: &mut Session| s.leave(End::new(Code::Bye, ""))] {
        let mut session = in_at(0, 0);
        session.frame(r#"{"t":"send","to":"eve","body":"one more"}"#);
        leave(&mut session);
        assert!(matches!(session.next_up(), Some(Up::Send(_))));
        assert!(session.end().is_none());
        let Some(Up::Leave(end)) = session.next_up() else { panic!("then it goes") };
        session.close(end);
        assert_eq!(session.end().map(|end| end.code), Some(Code::Bye));
        // With nothing to do it goes at once.
        let mut session = in_at(0, 0);
        leave(&mut session);
        assert!(session.end().is_some());
    }
}

#[test]
fn what_comes_before_ready_is_read_from_the_log() {
    let mut session = session();
    session.frame(r#"{"t":"hello","uid":"bob","token":"t"}"#);
    session.deliver(chat(Some(8)), 7).expect("it has a number");
    let jid = BareJid::new(Some("bob"), "localhost").expect("a uid").with(&Resource::new("page").expect("a name"));
    let (ticket, ticket_expires_ms) = (String::new(), 0);
    session.entered(Ok(Entered { jid, last: 7, since: 7, lost: None, ticket, ticket_expires_ms }));
    assert_eq!(session.wants().map(|slice| slice.since), Some(7));
}

#[test]
fn iqs_of_others_are_answered_and_their_rosters_not_believed() {
    let mut session = in_at(0, 0);
    let eve: herald_xmpp::Jid = "eve@localhost/x".parse().expect("a JID");
    let push = |from: Option<herald_xmpp::Jid>| {
        let query = "<query xmlns='jabber:iq:roster'><item jid='eve@localhost'/></query>";
        let stanza = Stanza { from, ..Stanza::new(Kind::Iq(IqType::Set)).id("1").payload(query) };
        Delivery::new(stanza)
    };
    let mut answer = |delivery: Delivery| {
        session.deliver(delivery, 7).expect("there is room");
        let Some(Up::Stanza(answer)) = session.next_up() else { panic!("an iq is answered") };
        (answer.kind, session.take().map(|frame| frame.text))
    };
    assert_eq!(answer(push(Some(eve))), (Kind::Iq(IqType::Error), None));
    let (kind, told) = answer(push(None));
    assert!(kind == Kind::Iq(IqType::Result) && told.is_some_and(|told| told.contains("eve")));
}

#[test]
fn a_flood_of_frames_ends_the_session() {
    let mut session = in_at(0, 0);
    for _ in 0..=UP_MAX {
        session.frame(r#"{"t":"presence"}"#);
    }
    assert_eq!(session.end().map(|end| end.code), Some(Code::TooFast));
    assert!(!session.has_up(), "and nothing of it is done");
}
