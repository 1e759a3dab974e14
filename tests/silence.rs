//! Clients that say nothing: who answers stays, who does not is let go within the configured time.

mod support;

use support::Herald;
use support::peer::{Peer, Via};

const SOON: &str = "[ping]\nafter_secs = 1\ntimeout_secs = 1\n[stream_management]\nresume_secs = 1";

fn server() -> Herald {
    let herald = Herald::start_with(SOON);
    herald.user("alice", "secret");
    herald
}

fn available(herald: &Herald, via: Via) -> Peer {
    let mut peer = Peer::bind(herald, via, "alice", "desk");
    peer.send("<presence xmlns='jabber:client'/>");
    peer.fence();
    peer
}

fn sessions(herald: &Herald) -> usize {
    let sessions = herald.api("GET", "/api/v1/sessions?uid=alice", None).json["sessions"].clone();
    sessions.as_array().map(Vec::len).expect("sessions")
}

#[test]
fn over_tcp_an_iq_asks_and_any_answer_will_do() {
    let herald = server();
    let mut alice = available(&herald, Via::Tls);
    for answer in ["type='result'/>", "type='error'><error type='cancel'/></iq>", ""] {
        let ping = alice.expect("</iq>");
        let at = "<iq from='localhost' to='alice@localhost/desk' id='herald-ping' type='get'>";
        assert!(ping.contains(at) && ping.contains("<ping xmlns='urn:xmpp:ping'/>"), "{ping}");
        match answer {
            "" => alice.send(" "), // any byte is life
            answer => alice.send(&format!("<iq to='localhost' id='herald-ping' {answer}")),
        }
    }
    alice.expect("</iq>");
    let end = alice.rest();
    assert!(end.contains("<connection-timeout ") && end.ends_with("</stream:stream>"), "{end}");
    assert_eq!(sessions(&herald), 0);
}

#[test]
fn who_answers_nothing_is_gone() {
    let herald = server();
    let mut alice = available(&herald, Via::Tcp);
    let end = alice.rest();
    assert_eq!(end.matches("herald-ping").count(), 1, "it is asked once: {end}");
    assert!(end.contains("<connection-timeout ") && end.ends_with("</stream:stream>"), "{end}");
    assert_eq!(sessions(&herald), 0);
}

#[test]
fn a_websocket_is_asked_by_a_frame_that_browsers_answer() {
    let herald = server();
    let mut alice = available(&herald, Via::Websocket);
    while alice.pings < 3 {
        assert!(alice.fill(), "it stays");
    }
    assert!(!alice.fence().contains("herald-ping"));
    assert_eq!(sessions(&herald), 1);
}

#[test]
fn a_managed_stream_is_asked_what_it_has_handled_and_may_come_back() {
    let herald = server();
    let (mut alice, _) = Peer::managed(&herald, Via::Tcp, "alice", "desk", 1);
    alice.expect("<r xmlns='urn:xmpp:sm:3'/>");
    alice.acknowledge();
    alice.expect("<r xmlns='urn:xmpp:sm:3'/>"); // there is nothing to acknowledge: it is asked whether it is there
    let end = alice.rest();
    assert_eq!(end, "", "its stream is not ended, only its connection");
    let mut again = available(&herald, Via::Tcp); // the same resource
    again.fence();
    assert_eq!(sessions(&herald), 1);
}
