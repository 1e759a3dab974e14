//! What a message that came says, and carrying it out.

use super::source::{Content, Item};
use super::stats::{Kind, What};
use super::{Fate, Lane};
use crate::sendto::{self, Done, Sendto, Target, Undelivered};
use herald_session::{Keep, SendtoState, Sessions, Uid};
use herald_xmpp::xml;
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt::Write;
use std::sync::Arc;

/// The longest reason that goes beside a message that cannot be carried out.
const REASON_BYTES_MAX: usize = 1_000;

/// Users who are remembered for having had no room; more are waited for each time.
const GIVEN_UP_MAX: usize = 100_000;

/// Where messages are read and carried out.
#[derive(Clone)]
pub struct Desk {
    pub sessions: Sessions,
    pub limits: xml::Limits,
    pub kind: Kind,
    /// A larger one cannot be carried out.
    pub bytes_max: usize,
    /// How often a message is tried for a user whose store of messages is full.
    pub tries_max: u32,
    /// Users for whom a message was given up because there was no room: the next one is not waited with again, or
    /// one user who never comes would hold up all others.
    pub given_up: Arc<Mutex<HashSet<Uid>>>,
}

/// A message that was read: nothing is wrong with it.
pub struct Order(Arc<Sendto>);

/// How one try went.
pub enum Tried {
    /// It is finished.
    Finished(Fate),
    /// There was no room, or no store: later again.
    Later,
}

impl Desk {
    /// Reads it; the error is for people.
    pub fn read<T>(&self, item: &Item<T>) -> Result<Order, String> {
        let mut sendto = match item.content.as_ref().map_err(Clone::clone)? {
            Content::Command(bytes) => {
                self.fits(bytes.len())?;
                let mut sendto = sendto::parse(bytes, &self.limits).map_err(|e| e.to_string())?;
                if !says_how_to_store(bytes) {
                    sendto.push.terms.keep = Keep::Always;
                }
                sendto
            }
            Content::Text(to, bytes) => {
                self.fits(bytes.len())?;
                let text = str::from_utf8(bytes).map_err(|_| "the payload is not UTF-8")?;
                self.made(json!({ "to": to, "body": text, "store": "always" }).to_string())?
            }
            Content::Json(to, bytes) => {
                self.fits(bytes.len())?;
                let raw: &RawValue =
                    serde_json::from_slice(bytes).map_err(|e| format!("the payload is no JSON: {e}"))?;
                self.made(format!("{{\"to\":{},\"json\":{raw},\"store\":\"always\"}}", json!(to)))?
            }
        };
        // Whoever names the request knows best what would be the same one; else its name at its source.
        let once = sendto.key.as_ref().map(|key| format!("{}:key:{key}", self.kind.as_str())).or(item.name.clone());
        // Without any name it gets one here: it may have to be tried again for one receiver of many.
        let ours = || getrandom::u64().ok().map(|n| format!("{}:try:{n:016x}", self.kind.as_str()));
        sendto.push.terms.once = once.or_else(ours).map(Into::into);
        Ok(Order(Arc::new(sendto)))
    }

    /// Whom it is for.
    pub fn lane(&self, order: &Order) -> Lane<String> {
        let uids = match &order.0.to {
            Target::User(uid) => std::slice::from_ref(uid),
            Target::Users(uids) => uids,
            Target::Group(_) | Target::Online | Target::Accounts => return Lane::Everybody,
        };
        let name = |uid: &Uid| {
            let uid = uid.split('/').next().unwrap_or_default(); // it may be a full JID
            self.sessions.jid_of(uid).map_or(uid.to_owned(), |jid| jid.as_str().to_owned())
        };
        Lane::Of(uids.iter().map(name).collect())
    }

    /// Carries it out, once; `tries`: how often there was no room for it before.
    pub async fn carry_out(&self, order: &Order, tries: u32) -> Tried {
        let tried = match sendto::deliver(&self.sessions, Sendto::clone(&order.0)).await {
            Ok(done) => self.judge(&order.0, &done, tries),
            Err(Undelivered::NoSuchGroup(group)) => Tried::Finished(Fate::Dead(format!("there is no group {group:?}"))),
            Err(Undelivered::Store(_)) => Tried::Later,
        };
        self.kind.count(match &tried {
            Tried::Finished(Fate::Done) => What::Done,
            Tried::Finished(Fate::Dead(_)) => What::Dead,
            Tried::Later => What::Retried,
        });
        tried
    }

    fn judge(&self, sendto: &Sendto, done: &Done, tries: u32) -> Tried {
        let to = &sendto.to;
        // What is not kept has no memory of who has it: of many, the full ones are not waited for.
        let may_wait = matches!(to, Target::User(_)) || sendto.push.terms.keep != Keep::Never;
        if done.results.iter().any(|r| r.repeated) {
            self.kind.count(What::Repeated);
        }
        let any = |state| done.counts.iter().any(|(s, _)| *s == state);
        let full = any(SendtoState::Full);
        if any(SendtoState::Failed) || (full && may_wait && tries + 1 < self.tries_max && !self.is_given_up(done)) {
            return Tried::Later;
        }
        self.note(done);
        let mut reason = String::new();
        for result in done.results.iter().filter(|r| is_dead(to, r.state)) {
            let comma = if reason.is_empty() { "" } else { ", " };
            let _ = write!(reason, "{comma}{} for {:?}", result.state.as_str(), result.uid.as_str());
            if reason.len() > REASON_BYTES_MAX {
                reason.push_str(", and so on");
                break;
            }
        }
        Tried::Finished(if reason.is_empty() { Fate::Done } else { Fate::Dead(reason) })
    }

    /// Is there still no room for somebody for whom there was none before?
    fn is_given_up(&self, done: &Done) -> bool {
        let given_up = self.given_up.lock();
        done.results.iter().any(|r| r.state == SendtoState::Full && given_up.contains(&r.uid))
    }

    /// A message is finished: for whom was there no room, and for whom again?
    fn note(&self, done: &Done) {
        let mut given_up = self.given_up.lock();
        for result in &done.results {
            match result.state {
                SendtoState::Full if given_up.len() < GIVEN_UP_MAX => {
                    given_up.insert(result.uid.clone());
                }
                SendtoState::Full => {}
                _ => {
                    given_up.remove(&result.uid);
                }
            }
        }
    }

    fn made(&self, json: String) -> Result<Sendto, String> {
        sendto::parse(json.as_bytes(), &self.limits).map_err(|e| e.to_string())
    }

    fn fits(&self, bytes: usize) -> Result<(), String> {
        if bytes > self.bytes_max {
            return Err(format!("it has {bytes} bytes; at most {} are taken", self.bytes_max));
        }
        Ok(())
    }
}

/// Will it never get there? That a group has a member without an account is nothing to look at.
fn is_dead(to: &Target, state: SendtoState) -> bool {
    match state {
        SendtoState::Full | SendtoState::Invalid => true,
        SendtoState::NoSuchUser | SendtoState::Refused => matches!(to, Target::User(_) | Target::Users(_)),
        SendtoState::Delivered | SendtoState::Stored | SendtoState::Skipped | SendtoState::Dropped => false,
        SendtoState::Failed => false, // that is for later
    }
}

/// Does a request say how it is to be stored? A headline says so by its type.
fn says_how_to_store(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head<'a> {
        store: Option<IgnoredAny>,
        #[serde(rename = "type", borrow)]
        kind: Option<std::borrow::Cow<'a, str>>,
    }
    serde_json::from_slice::<Head<'_>>(json).is_ok_and(|h| h.store.is_some() || h.kind.as_deref() == Some("headline"))
}
