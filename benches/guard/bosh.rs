//! A page over BOSH (XEP-0124) that lets one request be held, on two connections, as browsers do.

use crate::seed::PASSWORD;
use crate::support::{Herald, PATIENCE};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;

const BODY: &str = "<body xmlns='http://jabber.org/protocol/httpbind'";
const XBOSH: &str = "xmlns:xmpp='urn:xmpp:xbosh'";

/// One session.
pub struct Page {
    free: VecDeque<Conn>,
    /// With a request that is not answered, the oldest first.
    asked: VecDeque<Conn>,
    sid: String,
    rid: u64,
    /// What came and was not yet waited for.
    inbox: String,
}

struct Conn {
    socket: TcpStream,
    inbox: Vec<u8>,
}

impl Page {
    /// Logged in with PLAIN, bound and available; nothing is held.
    pub fn login(herald: &Herald, uid: &str) -> Page {
        let free = [0, 1].map(|_| Conn::open(herald)).into();
        let mut page = Page { free, asked: VecDeque::new(), sid: String::new(), rid: 1_000_000, inbox: String::new() };
        let plain = BASE64_STANDARD.encode(format!("\0{uid}\0{PASSWORD}"));
        page.ask(&format!(
            "{BODY} rid='{}' to='localhost' wait='600' hold='1' ver='1.6' xml:lang='en' xmpp:version='1.0' {XBOSH}/>",
            page.rid
        ));
        let created = page.expect("</stream:features>");
        let sid = created.split(" sid='").nth(1).and_then(|rest| rest.split('\'').next());
        page.sid = sid.unwrap_or_else(|| panic!("no sid in {created}")).to_owned();
        page.say(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"));
        page.expect("<success");
        page.rid += 1;
        page.ask(&format!("{BODY} rid='{}' sid='{}' to='localhost' xmpp:restart='true' {XBOSH}/>", page.rid, page.sid));
        page.expect("</stream:features>");
        page.say(
            "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        );
        page.expect("</jid>");
        page.say(
            "<presence xmlns='jabber:client'/>\
             <iq xmlns='jabber:client' type='get' id='there'><ping xmlns='urn:xmpp:ping'/></iq>",
        );
        page.expect("'there'");
        page
    }

    /// Says something; what was held is answered for it.
    pub fn say(&mut self, payload: &str) {
        self.rid += 1;
        self.ask(&format!("{BODY} rid='{}' sid='{}'>{payload}</body>", self.rid, self.sid));
    }

    /// Sees to it that a request is held.
    pub fn park(&mut self) {
        if self.asked.is_empty() {
            self.say("");
        }
    }

    /// Waits until this came; returns all up to its end.
    pub fn expect(&mut self, wanted: &str) -> String {
        loop {
            if let Some(at) = self.inbox.find(wanted) {
                let rest = self.inbox.split_off(at + wanted.len());
                return std::mem::replace(&mut self.inbox, rest);
            }
            self.park();
            self.take();
        }
    }

    fn ask(&mut self, body: &str) {
        let mut conn = self.free.pop_front().expect("one of two is held at most");
        let head = "POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml; charset=utf-8\r\n\
                    User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        conn.socket.write_all(request.as_bytes()).expect("the server reads");
        self.asked.push_back(conn);
        if self.free.is_empty() {
            self.take();
        }
    }

    /// The answer to the oldest request.
    fn take(&mut self) {
        let mut conn = self.asked.pop_front().expect("a request");
        let body = conn.answer();
        assert!(!body.contains("type='terminate'"), "the session ended: {body}");
        self.inbox += &body;
        self.free.push_back(conn);
    }
}

impl Conn {
    fn open(herald: &Herald) -> Conn {
        let socket = TcpStream::connect(herald.address("http")).expect("the listener accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("an option");
        Conn { socket, inbox: Vec::new() }
    }

    /// The body of the next answer.
    fn answer(&mut self) -> String {
        let head_end = loop {
            match self.inbox.windows(4).position(|w| w == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.fill(),
            }
        };
        let head = String::from_utf8(self.inbox[..head_end].to_vec()).expect("ASCII").to_lowercase();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        let length = head.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.and_then(|n| n.trim().parse().ok()).expect("a length");
        while self.inbox.len() < head_end + length {
            self.fill();
        }
        let body = String::from_utf8(self.inbox[head_end..head_end + length].to_vec()).expect("UTF-8");
        self.inbox.drain(..head_end + length);
        body
    }

    fn fill(&mut self) {
        let mut buf = [0; 4096];
        let n = self.socket.read(&mut buf).expect("the server answers");
        assert!(n > 0, "the server hung up; got {:?}", String::from_utf8_lossy(&self.inbox));
        self.inbox.extend_from_slice(&buf[..n]);
    }
}
