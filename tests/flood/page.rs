//! A page over BOSH that pauses, and comes back.

use crate::bodies;
use crate::support::{Herald, PATIENCE};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub struct Page {
    address: SocketAddr,
    out: TcpStream,
    answers: BufReader<TcpStream>,
    sid: String,
    rid: u64,
}

impl Page {
    pub fn login(herald: &Herald, uid: &str, password: &str) -> Page {
        let address = herald.address("http");
        let (out, answers) = connect(address);
        let mut page = Page { address, out, answers, sid: String::new(), rid: 4_711 };
        let created = page.post("to='localhost' wait='50' hold='1' ver='1.6'", "");
        page.sid = created.split("sid='").nth(1).and_then(|rest| rest.split('\'').next()).expect("a sid").to_owned();
        let plain = BASE64_STANDARD.encode(format!("\0{uid}\0{password}"));
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>");
        page.talk("", &auth, "<success");
        page.talk("xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh' to='localhost'", "", "<bind");
        let bind =
            "<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        page.talk("", bind, "<jid>");
        let there = "<presence xmlns='jabber:client'/>\
                     <iq type='get' id='there' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>";
        page.talk("", there, "'there'");
        page
    }

    /// Asks for nothing until it comes back, for so many seconds at most.
    pub fn pause(&mut self, secs: u32) {
        self.post(&format!("pause='{secs}'"), "");
    }

    /// Goes on for so long that it must have had the answers from before.
    pub fn go_on(&mut self) {
        for n in 0..16 {
            let ping = format!("<iq type='get' id='on{n}' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>");
            self.talk("", &ping, &format!("'on{n}'"));
        }
    }

    /// Comes back on a new connection and reads until so many messages came; what it read it acknowledges by
    /// its next request.
    pub fn read(&mut self, messages: usize) -> Vec<String> {
        (self.out, self.answers) = connect(self.address);
        let mut came = Vec::new();
        while came.len() < messages {
            let answer = self.post("", "");
            assert!(!answer.contains("terminate"), "after {} messages: {answer}", came.len());
            came.extend(bodies(&answer));
        }
        came
    }

    fn talk(&mut self, attrs: &str, payload: &str, wanted: &str) {
        let mut said = self.post(attrs, payload);
        while !said.contains(wanted) {
            assert!(!said.contains("terminate"), "waited for {wanted}, got {said}");
            said = self.post("", "");
        }
    }

    fn post(&mut self, attrs: &str, payload: &str) -> String {
        let sid = if self.sid.is_empty() { String::new() } else { format!("sid='{}' ", self.sid) };
        let rid = self.rid;
        self.rid += 1;
        let body =
            format!("<body xmlns='http://jabber.org/protocol/httpbind' {sid}rid='{rid}' {attrs}>{payload}</body>");
        let head = format!("POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        self.out.write_all((head + &body).as_bytes()).expect("the server reads");
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.answers.read_line(&mut line).expect("an answer in time") > 0, "hung up");
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        self.answers.read_exact(&mut body).expect("a whole body");
        String::from_utf8(body).expect("UTF-8")
    }
}

fn connect(address: SocketAddr) -> (TcpStream, BufReader<TcpStream>) {
    let out = TcpStream::connect(address).expect("the listener accepts");
    out.set_nodelay(true).expect("no delay");
    out.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let answers = BufReader::new(out.try_clone().expect("a second handle"));
    (out, answers)
}
