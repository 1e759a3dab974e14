//! SIGTERM: everybody is told, what was acknowledged stays, and the process is gone in time.

mod support;

use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use support::client::Client;
use support::{Herald, PATIENCE};

#[test]
fn sigterm_tells_every_client_and_loses_nothing_acknowledged() {
    let mut herald = Herald::start();
    herald.user("alice", "secret");
    herald.user("bob", "secret");
    let mut alice = Client::login(&herald, "alice", "secret", "desk");
    let mut guest = Client::connect(&herald);
    guest.open();
    let (sid, creation) = bosh_session(&herald);
    assert!(creation.contains("<stream:features"), "{creation}");
    let mut held =
        post(&herald, &format!("<body xmlns='http://jabber.org/protocol/httpbind' sid='{sid}' rid='1001'/>"));
    let held = thread::spawn(move || body_of(&mut held));
    let said = herald.api("POST", "/api/v1/sendto", Some(json!({ "to": "bob", "body": "kept" })));
    assert_eq!(said.json["results"][0]["state"], "stored", "{}", said.text);

    let status = herald.terminate();
    assert_eq!(status.code(), Some(0));
    for told in [alice.expect_end(), guest.expect_end()] {
        assert!(told.contains("<system-shutdown") && told.ends_with("</stream:stream>"), "{told}");
    }
    let told = held.join().expect("the held request is answered");
    assert!(told.contains("type='terminate'") && told.contains("system-shutdown"), "{told}");

    herald.restart();
    let mut bob = Client::bind(&herald, "bob", "secret", "phone");
    bob.send("<presence/>");
    bob.expect("<body>kept</body>");
}

/// A session that has not logged in: its sid, and the answer that made it.
fn bosh_session(herald: &Herald) -> (String, String) {
    let mut socket = post(
        herald,
        "<body xmlns='http://jabber.org/protocol/httpbind' to='localhost' rid='1000' wait='60' hold='1' ver='1.11' \
         xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0'/>",
    );
    let answer = body_of(&mut socket);
    let sid = answer.split("sid='").nth(1).and_then(|rest| rest.split('\'').next());
    (sid.unwrap_or_else(|| panic!("no sid in {answer}")).to_owned(), answer)
}

fn post(herald: &Herald, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(herald.address("http")).expect("the listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!("POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all(format!("{head}{body}").as_bytes()).expect("the peer reads");
    socket
}

/// The body of the answer.
fn body_of(socket: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        if text.contains("</body>") || text.contains("httpbind'/>") {
            return text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or(text);
        }
        let mut buf = [0; 4096];
        match socket.read(&mut buf) {
            Ok(n) if n > 0 => text += std::str::from_utf8(&buf[..n]).expect("ASCII in this test"),
            end => panic!("got {text:?} and then {end:?}"),
        }
    }
}
