//! A client that says what it is told to, over plain TCP, and waits for what it expects.

use super::{Herald, PATIENCE};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One stream. It reads no XML: it looks for the text that a test waits for.
pub struct Client {
    socket: TcpStream,
    /// What came and was not yet waited for.
    inbox: String,
    /// The full JID, once bound.
    pub jid: String,
}

impl Client {
    /// Connects and says nothing.
    pub fn connect(herald: &Herald) -> Client {
        Client::connect_to(herald.address("xmpp"))
    }

    /// The same to any server.
    pub fn connect_to(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).expect("the listener accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client { socket, inbox: String::new(), jid: String::new() }
    }

    /// Logs in with PLAIN, binds the resource and sends initial presence.
    pub fn login(herald: &Herald, uid: &str, password: &str, resource: &str) -> Client {
        let mut client = Client::connect(herald);
        client.log_in(uid, password, resource);
        client
    }

    /// The same on a connection that is open already.
    pub fn log_in(&mut self, uid: &str, password: &str, resource: &str) {
        self.bind_as(uid, password, resource);
        self.send("<presence/><iq type='get' id='there'><ping xmlns='urn:xmpp:ping'/></iq>");
        // The answer comes after the presence was handled: a sender's stanzas keep their order.
        self.fill_until("'there'"); // kept messages come before it, and a test may wait for them
    }

    /// Logs in with PLAIN and binds the resource; it is not available yet.
    pub fn bind(herald: &Herald, uid: &str, password: &str, resource: &str) -> Client {
        let mut client = Client::connect(herald);
        client.bind_as(uid, password, resource);
        client
    }

    fn bind_as(&mut self, uid: &str, password: &str, resource: &str) {
        let plain = BASE64_STANDARD.encode(format!("\0{uid}\0{password}"));
        self.open();
        self.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"));
        self.expect("<success");
        self.open();
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ));
        let answer = self.expect("</iq>");
        let jid = answer.split("<jid>").nth(1).and_then(|rest| rest.split("</jid>").next());
        self.jid = jid.unwrap_or_else(|| panic!("no JID in {answer}")).to_owned();
    }

    /// Sends a stream header and waits for the features.
    pub fn open(&mut self) {
        self.send(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
             to='localhost' version='1.0'>",
        );
        self.expect("</stream:features>");
    }

    /// A second handle of the socket, to send bytes of any kind while the first one reads.
    pub fn socket(&self) -> TcpStream {
        self.socket.try_clone().expect("a second handle")
    }

    /// Sends text as it is.
    pub fn send(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).expect("the peer reads");
    }

    /// Waits until this came; returns all up to its end, and forgets it.
    pub fn expect(&mut self, wanted: &str) -> String {
        let end = self.fill_until(wanted);
        let rest = self.inbox.split_off(end);
        std::mem::replace(&mut self.inbox, rest)
    }

    /// Waits until one of these came; returns all up to its end, and forgets it.
    pub fn expect_one_of(&mut self, wanted: &[&str]) -> String {
        let end = self.fill_until_one_of(wanted);
        let rest = self.inbox.split_off(end);
        std::mem::replace(&mut self.inbox, rest)
    }

    /// Waits until this came, and forgets nothing; returns where it ends.
    fn fill_until(&mut self, wanted: &str) -> usize {
        self.fill_until_one_of(&[wanted])
    }

    fn fill_until_one_of(&mut self, wanted: &[&str]) -> usize {
        loop {
            let ends = wanted.iter().filter_map(|w| self.inbox.find(w).map(|at| at + w.len()));
            if let Some(end) = ends.min() {
                return end;
            }
            let mut buf = [0; 4096];
            match self.socket.read(&mut buf) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(n) if n > 0 => self.inbox += std::str::from_utf8(&buf[..n]).expect("ASCII in these tests"),
                end => panic!("waited for {wanted:?}; got {:?} and then {end:?}", self.inbox),
            }
        }
    }

    /// Waits for the end; returns all that came before it.
    pub fn expect_end(&mut self) -> String {
        let rest = super::read_all(&mut self.socket);
        std::mem::take(&mut self.inbox) + &rest
    }
}
