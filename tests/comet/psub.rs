//! Who is there, as it changes.

use crate::support::client::Client;
use crate::support::{Herald, PATIENCE};
use crate::{open, park};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

struct Psub(BufReader<TcpStream>);

impl Psub {
    fn to(herald: &Herald) -> Psub {
        let mut socket = TcpStream::connect(herald.address("admin")).expect("the listener accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.write_all(b"GET /psub HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it is sent");
        let mut psub = Psub(BufReader::new(socket));
        while psub.raw() != "\r\n" {}
        psub
    }

    /// The next line that says who came or went.
    fn line(&mut self) -> String {
        loop {
            let line = self.raw();
            if line.starts_with("1 ") || line.starts_with("0 ") {
                return line;
            }
        }
    }

    fn raw(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "the stream has ended");
        line
    }
}

#[test]
fn people_of_every_transport() {
    let herald = open("channel_timeout_secs = 1\n");
    herald.user("ann", "secret");
    let desk = Client::login(&herald, "ann", "secret", "desk");
    let mut psub = Psub::to(&herald);
    assert_eq!(psub.line(), "1 ann\n", "who is there already");
    let poll = park(&herald, "ben", 1);
    assert_eq!(psub.line(), "1 ben\n");
    // A second resource is no news, nor is the end of the first.
    let annas = park(&herald, "ann", 1);
    drop(desk);
    drop(poll);
    assert_eq!(psub.line(), "0 ben\n");
    drop(annas);
    assert_eq!(psub.line(), "0 ann\n");
    // Between two polls nobody goes.
    let mut poll = park(&herald, "cem", 1);
    assert_eq!(psub.line(), "1 cem\n");
    for n in 1..=3 {
        crate::push(&herald, "cem", "x");
        poll.answer();
        poll.get(&format!("/poll?cname=cem&seq={}", n + 1));
        crate::subscribed(&herald, "cem", 1);
    }
    drop(poll);
    assert_eq!(psub.line(), "0 cem\n");
}
