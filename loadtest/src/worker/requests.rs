//! BOSH (XEP-0124, XEP-0206): at most two requests at a time, one of which the server holds.

use super::line::Line;
use super::session::{Stage, Trouble};
use super::{NONE, Worker};
use crate::http::Answer;
use crate::xml::{Element, escape};
use std::mem::take;

const SLOTS: usize = 2;
/// So often in a row a request is made again before the session is given up.
const REPEATS_MAX: u8 = 3;
const RID_MAX: u64 = 1 << 40; // where a session begins at most: far below 2^53

/// The BOSH half of a session.
pub struct Requests {
    /// Of the last request.
    rid: u64,
    /// Empty until the session is made.
    sid: Box<str>,
    /// Stanzas that wait for a request.
    pub queue: Vec<u8>,
    posted: [Option<Posted>; SLOTS],
    /// The answer of the later request, which came first.
    early: Option<Box<[u8]>>,
    pub restart: bool,
    begun: bool,
    pub ending: bool,
    ended: bool,
    repeats: u8,
}

/// A request that is not answered.
struct Posted {
    rid: u64,
    /// The whole of it, to be made again; nothing for one that carried nothing.
    body: Box<[u8]>,
}

impl Requests {
    /// A session that is still to be made.
    pub fn new(random: u64) -> Requests {
        Requests {
            rid: random % RID_MAX + 1,
            sid: Box::default(),
            queue: Vec::new(),
            posted: [None, None],
            early: None,
            restart: false,
            begun: false,
            ending: false,
            ended: false,
            repeats: 0,
        }
    }

    fn empty(&self, rid: u64) -> String {
        format!("<body rid='{rid}' sid='{}' xmlns='http://jabber.org/protocol/httpbind'/>", escape(&self.sid))
    }

    /// What is to be posted now, if anything; `first` is what makes the session.
    fn next(&mut self, first: impl FnOnce(u64) -> String, domain: &str) -> Option<Posted> {
        let waiting = self.posted.iter().flatten().count();
        if self.ended || waiting == SLOTS || (waiting > 0 && self.sid.is_empty()) {
            return None;
        }
        let rid = self.rid + 1;
        let body = if !self.begun {
            self.begun = true;
            first(rid)
        } else if self.restart {
            self.restart = false;
            let sid = escape(&self.sid);
            format!(
                "<body rid='{rid}' sid='{sid}' to='{}' xmlns='http://jabber.org/protocol/httpbind' \
                 xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true'/>",
                escape(domain)
            )
        } else if self.ending {
            self.ended = true;
            let sid = escape(&self.sid);
            format!("<body rid='{rid}' sid='{sid}' type='terminate' xmlns='http://jabber.org/protocol/httpbind'/>")
        } else if !self.queue.is_empty() {
            let stanzas = String::from_utf8(take(&mut self.queue)).expect("we wrote it");
            let sid = escape(&self.sid);
            format!("<body rid='{rid}' sid='{sid}' xmlns='http://jabber.org/protocol/httpbind'>{stanzas}</body>")
        } else if waiting == 0 {
            String::new()
        } else {
            return None;
        };
        self.rid = rid;
        Some(Posted { rid, body: body.into_bytes().into() })
    }
}

impl Worker {
    /// Posts what a session has to say, or an empty request when the server holds none.
    pub fn post(&mut self, session: u32) -> Result<(), Trouble> {
        loop {
            let this = &mut self.sessions[session as usize];
            let lines = this.lines;
            let Some(requests) = &mut this.requests else { return Ok(()) };
            let (domain, wait) = (self.setup.domain.as_str(), self.setup.wait_secs);
            let first = |rid| {
                format!(
                    "<body content='text/xml; charset=utf-8' hold='1' rid='{rid}' to='{}' ver='1.6' wait='{wait}' \
                     xml:lang='en' xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' \
                     xmpp:version='1.0'/>",
                    escape(domain)
                )
            };
            let Some(posted) = requests.next(first, domain) else { return Ok(()) };
            // A connection that is there already comes first.
            let free = |slot: &usize| requests.posted[*slot].is_none();
            let open = (0..SLOTS).filter(free).find(|slot| lines[*slot] != NONE);
            let slot = open.or_else(|| (0..SLOTS).find(free)).unwrap_or_default();
            requests.posted[slot] = Some(posted);
            self.post_in(session, slot)?;
        }
    }

    /// Writes the request of a slot, on a new connection when there is none.
    fn post_in(&mut self, session: u32, slot: usize) -> Result<(), Trouble> {
        let key = match self.sessions[session as usize].lines[slot] {
            NONE => self.connect(session, slot as u8)?,
            key => key as usize,
        };
        let Some(requests) = &self.sessions[session as usize].requests else { return Ok(()) };
        let Some(posted) = &requests.posted[slot] else { return Ok(()) };
        let empty = requests.empty(posted.rid);
        let body = if posted.body.is_empty() { empty.as_bytes() } else { &posted.body };
        let (path, host) = (&self.setup.target.path, self.setup.target.authority());
        let out = &mut self.lines[key].outbox;
        out.extend_from_slice(
            format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml; charset=utf-8\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            )
            .as_bytes(),
        );
        out.extend_from_slice(body);
        self.flush_line(key)
    }

    /// Takes an answer; that of a later request waits for those before it.
    pub fn answered(&mut self, key: usize, answer: Answer) -> Result<(), Trouble> {
        let Some(Line { session, slot, .. }) = self.lines.get(key) else { return Ok(()) };
        let (session, slot) = (*session, usize::from(*slot));
        if answer.status != 200 {
            return Err(Trouble::Status(answer.status));
        }
        if answer.closes {
            self.drop_line(key);
        }
        let Some(requests) = &mut self.sessions[session as usize].requests else { return Ok(()) };
        let Some(posted) = requests.posted[slot].take() else { return Err(Trouble::Unasked) };
        requests.repeats = 0;
        if requests.posted[1 - slot].as_ref().is_some_and(|other| other.rid < posted.rid) {
            requests.early = Some(answer.body.into());
            return Ok(());
        }
        self.answer(session, &answer.body)?;
        let requests = self.sessions[session as usize].requests.as_mut();
        if let Some(early) = requests.and_then(|requests| requests.early.take()) {
            self.answer(session, &early)?;
        }
        self.mark(session);
        Ok(())
    }

    fn answer(&mut self, session: u32, body: &[u8]) -> Result<(), Trouble> {
        let text = std::str::from_utf8(body).map_err(|_| crate::xml::Malformed)?;
        let body = Element::parse(text).filter(|body| body.name() == "body").ok_or(crate::xml::Malformed)?;
        if let Some(requests) = &mut self.sessions[session as usize].requests
            && let Some(sid) = body.attribute("sid").filter(|_| requests.sid.is_empty())
        {
            requests.sid = sid.into();
        }
        for element in body.children() {
            self.element(session, element)?;
        }
        if body.attribute("type").is_some_and(|kind| kind == "terminate") {
            let condition = body.attribute("condition").map_or_else(|| "no condition".into(), |c| c.into_owned());
            return Err(Trouble::Terminated(condition));
        }
        Ok(())
    }

    /// A connection has ended. What was asked on it and not answered is asked again.
    pub fn line_ended(&mut self, key: usize) -> Result<(), Trouble> {
        let Some(Line { session, slot, .. }) = self.lines.get(key) else { return Ok(()) };
        let (session, slot) = (*session, usize::from(*slot));
        self.drop_line(key);
        let this = &mut self.sessions[session as usize];
        let Some(requests) = this.requests.as_mut().filter(|requests| requests.posted[slot].is_some()) else {
            return Ok(());
        };
        requests.repeats += 1;
        if requests.repeats > REPEATS_MAX || matches!(this.stage, Stage::Leaving) {
            return Err(Trouble::Closed);
        }
        self.status.repeated += 1;
        self.post_in(session, slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // What is posted, in words: its rid and what is in it.
    #[track_caller]
    fn check(requests: &mut Requests, wanted: Option<(u64, &str)>) {
        let posted = requests.next(|_| "made".to_owned(), "d");
        let said = posted.as_ref().map(|posted| (posted.rid, String::from_utf8_lossy(&posted.body).into_owned()));
        match (&said, wanted) {
            (Some((rid, body)), Some((wanted_rid, part))) => {
                assert!(*rid == wanted_rid && body.contains(part), "{said:?}")
            }
            (None, None) => {}
            _ => panic!("{said:?}, not {wanted:?}"),
        }
        if let Some(free) = requests.posted.iter_mut().find(|slot| slot.is_none()) {
            *free = posted;
        }
    }

    #[test]
    fn one_request_is_held_and_another_carries_what_there_is() {
        let mut requests = Requests::new(9);
        check(&mut requests, Some((11, "made")));
        check(&mut requests, None); // there is no session yet
        requests.sid = "s".into();
        requests.posted = [None, None];
        requests.restart = true;
        check(&mut requests, Some((12, "xmpp:restart='true'")));
        requests.queue.extend_from_slice(b"<presence/>");
        check(&mut requests, Some((13, "<presence/>")));
        requests.queue.extend_from_slice(b"<message/>");
        check(&mut requests, None); // both are out
        requests.posted[0] = None;
        check(&mut requests, Some((14, "<message/>")));
        requests.posted = [None, None];
        check(&mut requests, Some((15, "")));
        check(&mut requests, None);
        requests.ending = true;
        check(&mut requests, Some((16, "type='terminate'")));
        requests.posted = [None, None];
        check(&mut requests, None);
    }
}
