//! A client over any transport of streams, that counts what comes (XEP-0198) and can be cut off.

use super::websocket::{CLOSE, FRAMING, PING, PONG, TEXT, WebSocket, frame, under_tls};
use super::{Herald, PATIENCE};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io::{Read, Write};
use std::net::TcpStream;

/// How it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Tcp,
    /// TLS from the first byte.
    Tls,
    Websocket,
    /// The same over TLS.
    SecureWebsocket,
}

impl Via {
    pub const ALL: [Via; 4] = [Via::Tcp, Via::Tls, Via::Websocket, Via::SecureWebsocket];

    /// What the operator sees.
    pub fn transport(self) -> &'static str {
        if matches!(self, Via::Tcp | Via::Tls) { "tcp" } else { "websocket" }
    }
}

/// One stream. Dropped, it is cut: no stream is closed, no close frame is sent.
pub struct Peer {
    carrier: Carrier,
    /// What came and was not yet waited for.
    inbox: String,
    /// How many stanzas came since the stream is managed, in what was waited for.
    pub handled: u32,
    /// For ids.
    fences: u32,
    /// WebSocket pings that came, each answered.
    pub pings: u32,
}

enum Carrier {
    Bytes(Box<dyn Io>),
    Frames(WebSocket),
}

trait Io: Read + Write + Send {}
impl<T: Read + Write + Send> Io for T {}

impl Peer {
    /// Logged in with PLAIN; no resource is bound.
    pub fn login(herald: &Herald, via: Via, uid: &str) -> Peer {
        let socket = |listener| {
            let socket = TcpStream::connect(herald.address(listener)).expect("the listener accepts");
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            socket.set_nodelay(true).expect("an option");
            socket
        };
        let carrier = match via {
            Via::Tcp => Carrier::Bytes(Box::new(socket("xmpp"))),
            Via::Tls => Carrier::Bytes(Box::new(under_tls(herald, socket("xmpps")))),
            Via::Websocket => Carrier::Frames(WebSocket::upgrade(herald, "http", "")),
            Via::SecureWebsocket => Carrier::Frames(WebSocket::upgrade(herald, "https", "")),
        };
        let mut peer = Peer { carrier, inbox: String::new(), handled: 0, fences: 0, pings: 0 };
        let plain = BASE64_STANDARD.encode(format!("\0{uid}\0secret"));
        peer.open();
        peer.send(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"));
        peer.expect("<success");
        peer.expect(">");
        peer.open();
        peer
    }

    /// Logged in and bound.
    pub fn bind(herald: &Herald, via: Via, uid: &str, resource: &str) -> Peer {
        let mut peer = Peer::login(herald, via, uid);
        peer.bind_here(resource);
        peer
    }

    /// Binds on this stream.
    pub fn bind_here(&mut self, resource: &str) {
        self.send(&format!(
            "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ));
        self.expect("</jid></bind></iq>");
    }

    /// Bound, managed, to be resumed within `max` seconds, and available. The name of its stream.
    pub fn managed(herald: &Herald, via: Via, uid: &str, resource: &str, max: u32) -> (Peer, String) {
        let mut peer = Peer::bind(herald, via, uid, resource);
        peer.send(&format!("<enable xmlns='urn:xmpp:sm:3' resume='true' max='{max}'/>"));
        let enabled = peer.expect("/>");
        peer.handled = 0;
        let id = enabled.split(" id='").nth(1).and_then(|rest| rest.split('\'').next());
        let id = id.unwrap_or_else(|| panic!("no id in {enabled}")).to_owned();
        assert!(enabled.contains("resume='true'") && enabled.contains(&format!("max='{max}'")), "{enabled}");
        peer.send("<presence xmlns='jabber:client'/>");
        peer.fence();
        (peer, id)
    }

    /// Logs in and resumes; the server's answer is up to the caller.
    pub fn resume(herald: &Herald, via: Via, uid: &str, id: &str, h: u32) -> Peer {
        let mut peer = Peer::login(herald, via, uid);
        peer.send(&format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>"));
        peer.handled = h;
        peer
    }

    fn open(&mut self) {
        match &mut self.carrier {
            Carrier::Frames(ws) => drop(ws.open()),
            Carrier::Bytes(_) => {
                self.send(
                    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                     to='localhost' version='1.0'>",
                );
                self.expect("</stream:features>");
            }
        }
    }

    /// Sends one element. It names its namespace itself, for WebSocket needs it.
    pub fn send(&mut self, xml: &str) {
        match &mut self.carrier {
            Carrier::Frames(ws) => ws.say(xml),
            Carrier::Bytes(io) => io.write_all(xml.as_bytes()).and_then(|()| io.flush()).expect("the peer reads"),
        }
    }

    pub fn message(&mut self, to: &str, body: &str) {
        self.send(&format!("<message xmlns='jabber:client' type='chat' to='{to}'><body>{body}</body></message>"));
    }

    /// Says what it has handled.
    pub fn acknowledge(&mut self) {
        self.send(&format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled));
    }

    /// Ends the stream in order.
    pub fn close(&mut self) {
        match &self.carrier {
            Carrier::Frames(_) => self.send(&format!("<close xmlns='{FRAMING}'/>")),
            Carrier::Bytes(_) => self.send("</stream:stream>"),
        }
    }

    /// Waits until this came; returns all up to its end, and forgets it.
    #[track_caller]
    pub fn expect(&mut self, wanted: &str) -> String {
        loop {
            if let Some(at) = self.inbox.find(wanted) {
                let rest = self.inbox.split_off(at + wanted.len());
                let text = std::mem::replace(&mut self.inbox, rest);
                self.count(&text);
                return text;
            }
            assert!(self.fill(), "waited for {wanted:?}; got {:?} and then the end", self.inbox);
        }
    }

    /// Waits for a message with this body; returns all up to its end.
    #[track_caller]
    pub fn expect_body(&mut self, body: &str) -> String {
        self.expect(&format!("<body>{body}</body>")) + &self.expect("</message>")
    }

    /// What came before the answer to a question that is asked now: everything the server had for us.
    #[track_caller]
    pub fn fence(&mut self) -> String {
        self.fences += 1;
        let id = format!("fence{}-{}", self.fences, self.handled);
        self.send(&format!("<iq xmlns='jabber:client' type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"));
        let text = self.expect(&id);
        text + &self.expect("/>")
    }

    /// Everything until the server closes the connection.
    pub fn rest(&mut self) -> String {
        while self.fill() {}
        let text = std::mem::take(&mut self.inbox);
        self.count(&text);
        text
    }

    /// Waits until something came; false at the end.
    pub fn fill(&mut self) -> bool {
        match &mut self.carrier {
            Carrier::Bytes(io) => {
                let mut buf = [0; 16 * 1024];
                match io.read(&mut buf) {
                    Ok(n) => {
                        self.inbox += std::str::from_utf8(&buf[..n]).expect("ASCII in these tests");
                        n > 0
                    }
                    // Under TLS a cut is an error.
                    Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came: {:?}", self.inbox),
                    Err(_) => false,
                }
            }
            Carrier::Frames(ws) => match ws.next() {
                Some(got) => {
                    match got.first {
                        TEXT => self.inbox += got.text(),
                        PING => {
                            self.pings += 1;
                            ws.send_raw(&frame(PONG, &got.payload));
                        }
                        CLOSE => ws.send_raw(&frame(CLOSE, &got.payload)),
                        other => panic!("a frame of kind {other}"),
                    }
                    true
                }
                None => false,
            },
        }
    }

    fn count(&mut self, text: &str) {
        let stanzas = ["<message ", "<presence ", "<iq "].map(|name| text.matches(name).count());
        self.handled = self.handled.wrapping_add(stanzas.iter().sum::<usize>() as u32);
    }
}
