//! A session: from its first byte to its end.

use super::requests::Requests;
use super::{NONE, REASONS_MAX, Worker, line};
use crate::clock::{monotonic_ns, unix_secs};
use crate::login::{self, Act, Login, Who};
use crate::target::{Carrier, Transport};
use crate::xml::{Element, escape};
use crate::{frame, http, talk, xml};
use std::fmt::Write as _;
use std::io;

/// How far a session is.
pub enum Stage {
    LoggingIn(Box<Login>),
    Ready,
    Leaving,
    Gone,
}

/// One of a worker's sessions.
pub struct Session {
    pub stage: Stage,
    /// Keys of its connections; BOSH has two at times.
    pub lines: [u32; 2],
    pub dirty: bool,
    /// When its login began, in milliseconds of the worker's life.
    began_ms: u32,
    pub requests: Option<Box<Requests>>,
    /// Its address, where somebody writes to it.
    jid: Box<str>,
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server answered with HTTP {0}")]
    Status(u16),
    #[error("the server answered what was not asked")]
    Unasked,
    #[error("the server ended the BOSH session: {0}")]
    Terminated(String),
    #[error("the login took longer than {0} s")]
    Slow(u64),
    #[error(transparent)]
    Xml(#[from] xml::Malformed),
    #[error(transparent)]
    Http(#[from] http::Fault),
    #[error(transparent)]
    Frame(#[from] frame::Malformed),
    #[error(transparent)]
    Login(#[from] login::Fault),
}

impl Trouble {
    /// What rustls says.
    pub fn tls(e: impl std::fmt::Display) -> Trouble {
        Trouble::Tls(e.to_string())
    }
}

impl Worker {
    /// Begins the next session.
    pub fn begin_session(&mut self) {
        let session = self.sessions.len() as u32;
        let requests = match self.setup.transport.carrier() {
            Carrier::Requests => Some(Box::new(Requests::new(self.random()))),
            _ => None,
        };
        let is_requests = requests.is_some();
        self.sessions.push(Session {
            stage: Stage::LoggingIn(Box::new(Login::new(self.setup.transport == Transport::Starttls))),
            lines: [NONE; 2],
            dirty: false,
            began_ms: self.millis(),
            requests,
            jid: Box::default(),
        });
        self.status.under_way += 1;
        if is_requests {
            self.mark(session);
        } else if let Err(trouble) = self.connect(session, 0) {
            self.fail(session, &trouble);
        }
    }

    /// An element came for a session.
    pub fn element(&mut self, session: u32, element: Element<'_>) -> Result<(), Trouble> {
        match &self.sessions[session as usize].stage {
            Stage::LoggingIn(_) if element.name() == "close" => Err(Trouble::Closed),
            Stage::LoggingIn(_) => self.go_on(session, element),
            Stage::Ready => match element.name() {
                "message" => {
                    self.message(session, element);
                    Ok(())
                }
                "iq" => {
                    self.answer_iq(session, element);
                    Ok(())
                }
                "error" => Err(login::Fault::Stream(login::condition(element)).into()),
                "close" => Err(Trouble::Closed),
                _ => Ok(()),
            },
            Stage::Leaving if element.name() == "close" => Err(Trouble::Closed),
            Stage::Leaving | Stage::Gone => Ok(()),
        }
    }

    fn go_on(&mut self, session: u32, element: Element<'_>) -> Result<(), Trouble> {
        let nonce = format!("{:016x}{:016x}", self.random(), self.random());
        let number = self.setup.first + session;
        let user = self.setup.users.name(number);
        // Only these two look at the password, and a JWT is not for nothing.
        let password = match element.name() {
            "features" | "challenge" => self.setup.users.secret(number, unix_secs()),
            _ => String::new(),
        };
        let who = Who {
            user: &user,
            password: &password,
            domain: &self.setup.domain,
            resource: &self.setup.resource,
            mechanism: self.setup.mechanism,
            nonce: &nonce,
        };
        let this = &mut self.sessions[session as usize];
        let Stage::LoggingIn(login) = &mut this.stage else { return Ok(()) };
        match login.handle(&who, element)? {
            Act::Wait => {}
            Act::Send(stanzas) => stanzas.iter().for_each(|xml| self.send(session, xml)),
            Act::Secure => {
                let key = this.lines[0] as usize;
                self.secure(key)?;
                self.open_stream(key);
                self.mark(session);
            }
            Act::Restart => {
                match &mut this.requests {
                    Some(requests) => requests.restart = true,
                    None => {
                        let key = this.lines[0] as usize;
                        self.open_stream(key);
                    }
                }
                self.mark(session);
            }
            Act::Ready(jid) => {
                this.stage = Stage::Ready;
                if self.setup.chat.is_some() {
                    this.jid = jid.into();
                }
                let took = self.millis() - self.sessions[session as usize].began_ms;
                self.status.under_way -= 1;
                self.status.ready += 1;
                self.status.logins.record(u64::from(took) * 1000);
            }
        }
        Ok(())
    }

    fn message(&mut self, session: u32, message: Element<'_>) {
        if message.attribute("type").is_some_and(|kind| kind == "error") {
            let condition = message.child("error").map_or_else(String::new, login::condition);
            return self.note(format!("a message came back: {condition}"));
        }
        let Some(body) = message.child("body").map(|body| body.text()) else { return };
        let at_ns = monotonic_ns();
        if self.setup.tell_messages {
            let user = self.setup.first + session;
            line::tell_message(talk::Message { user, at_ns, body: body.into_owned() });
        } else if self.chat.as_mut().is_some_and(|chat| chat.receive(session as usize, &body, at_ns)) {
            self.write(session as usize);
        }
    }

    /// Writes the next message of a session to the other one of its pair.
    pub fn write(&mut self, session: usize) {
        let mut xml = "<message type='chat' xmlns='jabber:client' to='".to_owned();
        xml += &escape(&self.sessions[session ^ 1].jid);
        xml += "'><body>";
        if let Some(chat) = &mut self.chat {
            chat.write(session, monotonic_ns(), &mut xml);
        }
        xml += "</body></message>";
        self.send(session as u32, &xml);
    }

    /// Every request has an answer (RFC 6120 section 8.2.3): a ping a good one.
    fn answer_iq(&mut self, session: u32, iq: Element<'_>) {
        if !iq.attribute("type").is_some_and(|kind| kind == "get" || kind == "set") {
            return;
        }
        let mut answer = String::from("<iq xmlns='jabber:client'");
        for (ours, theirs) in [("id", "id"), ("to", "from")] {
            if let Some(value) = iq.attribute(theirs) {
                let _ = write!(answer, " {ours}='{}'", escape(&value)); // a String takes everything
            }
        }
        answer += match iq.child("ping") {
            Some(_) => " type='result'/>",
            None => {
                " type='error'><error type='cancel'>\
                 <service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            }
        };
        self.send(session, &answer);
    }

    fn send(&mut self, session: u32, xml: &str) {
        let this = &mut self.sessions[session as usize];
        match (&mut this.requests, this.lines[0]) {
            (Some(requests), _) => requests.queue.extend_from_slice(xml.as_bytes()),
            (None, NONE) => return, // it has just ended
            (None, key) => self.put(key as usize, xml),
        }
        self.mark(session);
    }

    /// Has a session flushed when what comes now is seen to.
    pub fn mark(&mut self, session: u32) {
        let this = &mut self.sessions[session as usize];
        if !this.dirty {
            this.dirty = true;
            self.dirty.push(session);
        }
    }

    /// Sends what a session has to say.
    pub fn flush(&mut self, session: u32) -> Result<(), Trouble> {
        let this = &self.sessions[session as usize];
        if matches!(this.stage, Stage::Gone) {
            return Ok(());
        }
        if this.requests.is_some() {
            return self.post(session);
        }
        match this.lines[0] {
            NONE => Ok(()),
            key => self.flush_line(key as usize),
        }
    }

    /// Has a session take its leave.
    pub fn begin_leaving(&mut self, session: u32) {
        let this = &mut self.sessions[session as usize];
        if !matches!(this.stage, Stage::Ready) {
            return;
        }
        this.stage = Stage::Leaving;
        self.leaving += 1;
        if let Some(requests) = &mut this.requests {
            requests.ending = true;
            return self.mark(session);
        }
        match self.setup.transport.carrier() {
            Carrier::Frames => self.send(session, "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"),
            _ => self.send(session, "</stream:stream>"),
        }
    }

    /// A session has ended.
    pub fn fail(&mut self, session: u32, trouble: &Trouble) {
        for key in self.sessions[session as usize].lines.into_iter().filter(|key| *key != NONE) {
            self.lines[key as usize].reset();
            self.drop_line(key as usize);
        }
        let this = &mut self.sessions[session as usize];
        this.requests = None;
        match std::mem::replace(&mut this.stage, Stage::Gone) {
            Stage::LoggingIn(_) => {
                self.status.under_way -= 1;
                self.status.failed += 1;
            }
            Stage::Ready => {
                self.status.ready -= 1;
                self.status.lost += 1;
            }
            Stage::Leaving => {
                self.leaving -= 1;
                return;
            }
            Stage::Gone => return,
        }
        self.note(trouble.to_string());
    }

    /// Counts a reason.
    fn note(&mut self, reason: String) {
        let reasons = &mut self.status.reasons;
        let others = reasons.len() >= REASONS_MAX && !reasons.contains_key(&reason);
        *reasons.entry(if others { "other reasons".to_owned() } else { reason }).or_default() += 1;
    }

    /// Gives up logins that take too long.
    pub fn end_slow_logins(&mut self) {
        let (now, limit) = (self.millis(), self.setup.login_secs);
        for session in 0..self.sessions.len() {
            let this = &self.sessions[session];
            if matches!(this.stage, Stage::LoggingIn(_)) && u64::from(now - this.began_ms) > limit * 1000 {
                self.fail(session as u32, &Trouble::Slow(limit));
            }
        }
    }

    fn millis(&self) -> u32 {
        ((monotonic_ns() - self.began_ns) / 1_000_000) as u32
    }
}
