//! Stream management (XEP-0198) on a client's stream: its commands, and the count of what came in.

use super::bound::Bound;
use super::login::{BIND_TRIES_MAX, Stage};
use super::sm::{self, Command, Failed, Resumable, Wrong};
use super::{Condition, Output, State, Stream, StreamError};
use crate::jid::FullJid;
use crate::ns;
use crate::stanza::Condition as StanzaCondition;
use crate::xml::{Element, Scope};

/// How far it is on a bound stream.
#[derive(Clone, Copy)]
pub(super) enum Managed {
    /// The client has not asked for it.
    Off,
    /// It has, and the driver has not answered: nothing may come in.
    Enabling,
    /// So many came in since it has asked.
    On(u32),
}

impl Bound {
    /// One more stanza came in, whatever becomes of it.
    pub fn count(&mut self) {
        if let Some(Managed::On(h)) = &mut self.managed {
            *h = h.wrapping_add(1);
        }
    }

    pub fn handled(&self) -> Option<u32> {
        match self.managed {
            Some(Managed::On(h)) => Some(h),
            _ => None,
        }
    }

    pub fn waiting(&self) -> bool {
        matches!(self.managed, Some(Managed::Enabling))
    }
}

impl Stream {
    /// Before a resource is bound, only an old stream can be resumed (sections 3 and 5).
    pub(super) fn on_early_command(&mut self, element: &Element<'_>) {
        let State::Login(login) = &mut self.state else { return };
        let command = Command::read(element);
        match (&login.stage, command) {
            (Stage::Opening(_), _) => {
                self.fail(StreamError::new(Condition::BadFormat).with_text("A stream begins with its header."));
            }
            (_, Err(Wrong::Unknown)) => self.fail(Condition::UnsupportedStanzaType),
            (Stage::Unbound(user, tries), Ok(Command::Resume { previd, h })) => {
                let (user, tries) = (user.clone(), tries + 1);
                if tries > BIND_TRIES_MAX {
                    return self.too_many_tries();
                }
                login.stage = Stage::Resuming(user.clone(), previd.clone(), tries);
                self.push(Output::Resume(user, previd, h));
            }
            (Stage::Unbound(..), Err(Wrong::Request)) => self.push_failed(StanzaCondition::BadRequest),
            _ => self.push_failed(StanzaCondition::UnexpectedRequest),
        }
    }

    pub(super) fn on_resumed(&mut self, result: Result<(FullJid, u32), Failed>) {
        let State::Login(login) = &mut self.state else { return };
        if !matches!(login.stage, Stage::Resuming(..)) {
            return;
        }
        let Stage::Resuming(user, previd, tries) = std::mem::replace(&mut login.stage, Stage::Stranger) else { return };
        match result {
            Ok((jid, h)) => {
                let lang = login.lang.take().map(|lang| lang.as_str().into());
                self.state = State::Bound(Bound { jid, lang, managed: Some(Managed::On(h)) });
                self.push(Output::Element(sm::resumed(&previd, h)));
            }
            Err(failed) => {
                login.stage = Stage::Unbound(user, tries);
                self.push(Output::Element(failed.to_xml()));
            }
        }
    }

    /// Something that may be a command. False when it is none.
    pub(super) fn on_command(&mut self, xml: &str, scope: &Scope) -> bool {
        let State::Bound(Bound { managed: Some(managed), .. }) = &mut self.state else { return false };
        let Ok(element) = Element::parse(xml, scope) else { return false };
        if element.ns() != ns::SM {
            return false;
        }
        match (Command::read(&element), *managed) {
            (Ok(Command::Enable { resume, max_secs }), Managed::Off) => {
                *managed = Managed::Enabling;
                self.push(Output::Enable(resume.then_some(max_secs.unwrap_or(u32::MAX))));
            }
            (Ok(Command::Ask), Managed::On(h)) => self.push(Output::Element(sm::answer(h))),
            (Ok(Command::Ack(h)), Managed::On(_)) => self.push(Output::Acked(h)),
            (Err(Wrong::Ack), _) => {
                let e = StreamError::new(Condition::BadFormat);
                self.fail(e.with_text("An acknowledgement says how many: h, from 0 to 4294967295."));
            }
            (Err(Wrong::Request), _) => self.push_failed(StanzaCondition::BadRequest),
            (Err(Wrong::Unknown), _) => return false,
            _ => self.push_failed(StanzaCondition::UnexpectedRequest),
        }
        true
    }

    pub(super) fn on_enabled(&mut self, resumable: Option<Resumable>) {
        let State::Bound(Bound { managed: Some(managed), .. }) = &mut self.state else { return };
        if matches!(managed, Managed::Enabling) {
            *managed = Managed::On(0);
            self.push(Output::Element(sm::enabled(resumable.as_ref())));
        }
    }

    fn push_failed(&mut self, condition: StanzaCondition) {
        self.push(Output::Element(Failed::new(condition).to_xml()));
    }
}
