//! A conversation with a session, as text. Time jumps; nothing sleeps.
//!
//! The driver's lines (input), R being the rid of the creation:
//! ```text
//! > a R+1 attr='x' | <payload/>   request "a" comes
//! ~ a ...                         as >, but it cannot be read: a policy-violation (too large)
//! ! a                             the connection of "a" dies
//! v <item/>                       an item goes down; vv: and more is said in the same turn
//! x <stream:error/> | condition | .   the stream above ends: with an error, a condition, in order
//! + 10s | + 50ms                  time passes; the deadlines on the way are kept
//! ```
//! What comes of each (output), checked to the letter:
//! ```text
//! ^ ..    goes up          < a ..   "a" is answered       = ..   acknowledged
//! # ..    undelivered, the session is at its end          # gone: the sid is free
//! v full  the item was handed back
//! ```
//! An answer is shown as its body with `<body xmlns=BOSH` as `<b`, the `stream` declaration as `+stream`, the
//! sid as SID, rids as R+n, a status other than 200 and another content type in front.

use bytes::Bytes;
use expect_test::Expect;
use herald_bosh::*;
use herald_xmpp::xml::Limits;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

const R: u64 = 1_573_741_820;

#[derive(Debug)]
struct Xml(String);

impl Item for Xml {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }
    fn bytes_len(&self) -> usize {
        self.0.len()
    }
}

/// The bounds the cases of the acceptance page are written for.
pub fn settings() -> Settings {
    Settings { inactivity_secs: 5, maxpause_secs: 20, ..Settings::default() }
}

/// Plays the input lines of `script` from the creation on, and compares all lines.
pub fn play(settings: Settings, script: Expect) {
    Play::new(settings).script(script);
}

/// Plays in a session that is there already: R was answered, wait 10, hold 1, ver 1.6.
pub fn live(script: Expect) {
    live_with(settings(), "wait='10' hold='1' ver='1.6'", script);
}

/// Plays in a session that is there already, with those terms.
pub fn live_with(settings: Settings, terms: &str, script: Expect) {
    let mut play = Play::new(settings);
    play.line(&format!("> r R to='example.com' {terms}"));
    play.line("v <stream:features/>");
    assert!(play.out.contains("< r"), "the creation was not answered: {}", play.out);
    play.out.clear();
    play.script(script);
}

/// Plays in a session that was made without a creation request, R its rid, and that waits 60 s for the first.
pub fn prebound(settings: Settings, script: Expect) {
    let mut play = Play::new(settings);
    let created = Rid::new(R).expect("a rid");
    let (session, first) = Session::prebound(play.now, play.settings.clone(), created, 60);
    assert_eq!(first.number(), R + 1);
    play.session = Some(session);
    play.drain();
    play.script(script);
}

struct Play {
    now: Instant,
    settings: Arc<Settings>,
    sid: Sid,
    session: Option<Session<Xml>>,
    out: String,
}

impl Play {
    #[allow(clippy::disallowed_methods)] // any instant will do for a start; from there on time is counted by hand
    fn new(settings: Settings) -> Play {
        let sid = Sid::new([7; 16]);
        Play { now: Instant::now(), settings: Arc::new(settings), sid, session: None, out: String::new() }
    }

    fn script(mut self, script: Expect) {
        let lines: Vec<String> = script.data().lines().map(|l| l.trim().to_owned()).collect();
        let is_input = |l: &&String| l.starts_with(['>', '~', '!', 'v', 'x', '+']) && *l != "v full";
        for line in lines.iter().filter(is_input) {
            let _ = writeln!(self.out, "{line}");
            self.line(line);
        }
        script.assert_eq(&self.out);
    }

    fn line(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            ">" => self.post(rest),
            "~" => {
                let ticket = self.ticket(rest);
                self.handle(Input::Broken { ticket, condition: Condition::PolicyViolation });
            }
            "!" => {
                let ticket = self.ticket(rest);
                self.handle(Input::Lost(ticket));
            }
            "v" | "vv" => {
                let now = self.now;
                let session = self.session.as_mut().expect("a session");
                if session.down(now, Xml(rest.to_owned())).is_err() {
                    self.out.push_str("v full\n");
                }
                if verb == "v" {
                    self.drain();
                }
            }
            "x" => self.handle(Input::Close(match rest {
                "." => Close::Stream,
                "system-shutdown" => Close::Condition(Condition::SystemShutdown),
                xml => Close::StreamError(Bytes::copy_from_slice(xml.as_bytes())),
            })),
            "+" => self.pass(rest),
            other => panic!("{other}?"),
        }
    }

    fn ticket(&self, rest: &str) -> Ticket {
        let name = rest.bytes().next().expect("a ticket's letter");
        Ticket(name.into())
    }

    fn post(&mut self, rest: &str) {
        let ticket = self.ticket(rest);
        let (head, payload) = rest[2..].split_once(" | ").unwrap_or((&rest[2..], ""));
        let (rid, attrs) = head.split_once(' ').unwrap_or((head, ""));
        let rid = R + rid.strip_prefix("R+").map_or(0, |n| n.parse().expect("R+n"));
        let sid = self.session.as_ref().map_or(String::new(), |_| format!(" sid='{}'", self.sid));
        let body = format!(
            "<body rid='{rid}'{sid} {} xmlns='http://jabber.org/protocol/httpbind'>{payload}</body>",
            resolve_rids(attrs),
        );
        match Body::parse(body.as_bytes(), &Limits::DEFAULT) {
            Ok(body) if self.session.is_none() => {
                let settings = self.settings.clone();
                self.session = Some(Session::new(self.now, settings, self.sid, "example.com", body, ticket));
                self.drain();
            }
            Ok(body) => self.handle(Input::Post { ticket, body }),
            Err(refused) if self.session.is_none() => self.answered(ticket, &refused.answer()),
            Err(refused) => self.handle(Input::Broken { ticket, condition: refused.condition }),
        }
    }

    fn pass(&mut self, time: &str) {
        let ms = match time.strip_suffix("ms") {
            Some(ms) => ms.parse().expect("milliseconds"),
            None => 1_000 * time.strip_suffix('s').expect("s or ms").parse::<u64>().expect("seconds"),
        };
        let end = self.now + Duration::from_millis(ms);
        let start = self.now;
        while let Some(due) = self.session.as_ref().and_then(|s| s.deadline()).filter(|d| *d <= end) {
            assert!(due >= self.now, "a deadline in the past");
            self.now = due;
            let before = self.out.len();
            self.handle(Input::Tick);
            assert!(self.out.len() > before, "a deadline at which nothing happens");
            let at = format!("  @{}ms\n", (due - start).as_millis());
            let _ = self.out.pop();
            self.out.push_str(&at);
        }
        self.now = end;
    }

    fn handle(&mut self, input: Input) {
        let now = self.now;
        self.session.as_mut().expect("a session").handle(now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.as_mut().and_then(Session::poll) {
            let list = |items: &[Xml]| items.iter().map(|x| x.0.as_str()).collect::<Vec<_>>().join("");
            let _ = match &output {
                Output::Open { to, from, lang, version } => {
                    writeln!(self.out, "^ open to={to:?} from={from:?} lang={lang:?} version={version}")
                }
                Output::Restart { to, lang, .. } => writeln!(self.out, "^ restart to={to:?} lang={lang:?}"),
                Output::Payload(p) => {
                    let all: Vec<&str> = p.elements().map(|(xml, _)| xml).collect();
                    writeln!(self.out, "^ {}", all.join(" "))
                }
                Output::PeerClosed => writeln!(self.out, "^ closed"),
                Output::Answer { ticket, answer } => {
                    self.answered(*ticket, answer);
                    Ok(())
                }
                Output::Acked(Xml(xml)) => writeln!(self.out, "= {xml}"),
                Output::Ended { undelivered } => writeln!(self.out, "# [{}]", list(undelivered)),
                Output::Gone => writeln!(self.out, "# gone"),
            };
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: &Answer) {
        let name = char::from(u8::try_from(ticket.0).expect("a letter"));
        let body = std::str::from_utf8(&answer.body).expect("UTF-8");
        assert!(
            Body::parse(
                format!("<body rid='1' xmlns='http://jabber.org/protocol/httpbind'>{body}</body>").as_bytes(),
                &Limits::DEFAULT
            )
            .is_ok(),
            "an answer that is not well-formed: {body}"
        );
        let mut shown = body
            .replace(" xmlns='http://jabber.org/protocol/httpbind'", "")
            .replace(" xmlns:stream='http://etherx.jabber.org/streams'", " +stream")
            .replace("<body", "<b")
            .replace("</body>", "</b>")
            .replace(&self.sid.to_string(), "SID");
        for n in 0..100 {
            shown = shown.replace(&(R + n).to_string(), &format!("R+{n}"));
        }
        let status = if answer.status == 200 { String::new() } else { format!("{} ", answer.status) };
        let other =
            Some(answer.content_type()).filter(|c| *c != CONTENT_TYPE).map_or(String::new(), |c| format!("[{c}] "));
        let _ = writeln!(self.out, "< {name} {status}{other}{shown}");
    }
}

/// `R+3` within an attribute, as the number.
fn resolve_rids(body: &str) -> String {
    let mut out = String::new();
    let mut parts = body.split("R+");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let n: u64 = part[..digits].parse().expect("R+n");
        let _ = write!(out, "{}{}", R + n, &part[digits..]);
    }
    out
}
