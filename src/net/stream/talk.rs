//! Up: what comes from the client goes through the framing and the machine, and what they say becomes
//! bytes to be written and things to be waited for.

use super::{Fed, Framing, Input};
use crate::net::login::{self, Question};
use herald_session::Delivery;
use herald_xmpp::stream::c2s;
use herald_xmpp::{BareJid, Stanza};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Stanzas taken from one read before they are passed on; what came behind them waits.
const STANZAS_MAX: usize = 64;

/// The machines, and what they said that is not yet done.
pub(super) struct Talk<F> {
    pub framing: F,
    pub machine: c2s::Stream,
    /// What has to be waited for, in order.
    pub todo: VecDeque<Todo>,
    /// To be written before anything is waited for.
    pub out: Vec<u8>,
    pub ended: bool,
    /// The server has ended it, with an error.
    pub failed: bool,
    /// Are stanzas counted (XEP-0198)?
    pub managed: bool,
    /// Elements that came since they were last counted for shaping.
    pub came: u32,
}

/// What has to be waited for.
pub(super) enum Todo {
    Stanza(Arc<Stanza>),
    Reply(Stanza),
    Ask(Question),
    StartTls,
    /// XEP-0198.
    Enable(Option<u32>),
    Acked(u32),
    Resume(BareJid, String, u32),
}

impl<F: Framing> Talk<F> {
    pub fn new(framing: F, machine: c2s::Stream) -> Talk<F> {
        let (todo, out) = (VecDeque::new(), Vec::new());
        Talk { framing, machine, todo, out, ended: false, failed: false, managed: false, came: 0 }
    }

    /// Lets the machines take what came (or, without bytes, what was kept), up to the first thing
    /// that has to be dealt with before the next piece is looked at.
    pub fn take(&mut self, bytes: &[u8]) {
        let Talk { framing, machine, todo, out, came, .. } = self;
        let now = Instant::now();
        // The framing is busy with reading while the machine speaks: only stanzas are taken at once.
        let mut said = Vec::new();
        let mut carrier_says = Vec::new();
        let limits = *machine.limits();
        let fed = framing.feed(bytes, &limits, &mut carrier_says, &mut |piece| {
            *came += 1;
            machine.handle(
                now,
                match piece {
                    Input::Open(open) => c2s::Input::Open(open),
                    Input::Element(xml, scope) => c2s::Input::Element(xml, scope),
                    Input::Close => c2s::Input::Close,
                },
            );
            while let Some(output) = machine.poll() {
                match output {
                    c2s::Output::Stanza(stanza) if said.is_empty() => todo.push_back(Todo::Stanza(stanza.into())),
                    other => said.push(other),
                }
            }
            said.is_empty() && !machine.waiting() && todo.len() < STANZAS_MAX
        });
        out.append(&mut carrier_says);
        for output in said {
            self.put(output);
        }
        match fed {
            Ok(Fed::More) => {}
            Ok(Fed::Gone) => self.ended = true,
            Err(error) => self.tell(c2s::Input::Fail(error)),
        }
    }

    /// Something else happened to the machine.
    pub fn tell(&mut self, input: c2s::Input<'_>) {
        self.machine.handle(Instant::now(), input);
        while let Some(output) = self.machine.poll() {
            self.put(output);
        }
    }

    fn put(&mut self, output: c2s::Output) {
        if login::count(&output) {
            self.todo.push_back(Todo::Ask(Question::Failed));
        }
        let Talk { framing, out, todo, managed, failed, .. } = self;
        match output {
            c2s::Output::Open(open) => framing.write_open(&open, out),
            c2s::Output::Restart => framing.restart(),
            c2s::Output::Element(xml) => framing.write_xml(&xml, out),
            c2s::Output::Error(error) => {
                *failed = true;
                framing.write_error(&error, out);
            }
            c2s::Output::Close => framing.write_close(out),
            c2s::Output::StartTls => todo.push_back(Todo::StartTls),
            c2s::Output::Lookup(user, mechanism) => todo.push_back(Todo::Ask(Question::lookup(user, mechanism))),
            c2s::Output::CheckPlain(user, password) => {
                todo.push_back(Todo::Ask(Question::CheckPlain(user, password)));
            }
            c2s::Output::TakeToken(user, token) => todo.push_back(Todo::Ask(Question::TakeToken(user, token))),
            c2s::Output::CheckBearer(user, token) => todo.push_back(Todo::Ask(Question::CheckBearer(user, token))),
            c2s::Output::Bind(user, resource) => todo.push_back(Todo::Ask(Question::Bind(user, resource))),
            // A counted one stands in the queue with all others.
            c2s::Output::Reply(stanza) if *managed => todo.push_back(Todo::Reply(stanza)),
            c2s::Output::Reply(stanza) => framing.write_stanza(&Delivery::new(stanza), out),
            c2s::Output::Enable(secs) => todo.push_back(Todo::Enable(secs)),
            c2s::Output::Acked(h) => todo.push_back(Todo::Acked(h)),
            c2s::Output::Resume(user, previd, h) => todo.push_back(Todo::Resume(user, previd.into(), h)),
            c2s::Output::Stanza(stanza) => todo.push_back(Todo::Stanza(stanza.into())),
            c2s::Output::Ended => {
                framing.write_end(out);
                self.ended = true;
            }
        }
    }
}
