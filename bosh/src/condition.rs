//! Terminal binding conditions (XEP-0124 section 17.2) and the answers that need no session.

use crate::{Body, Sid};
use bytes::Bytes;
use std::sync::Arc;

/// The `Content-Type` of every answer of a session that did not ask for another (XEP-0124 section 7.1).
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// Why a session ends, or never began (XEP-0124 section 17.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the XEP's own names
pub enum Condition {
    BadRequest,
    HostGone,
    HostUnknown,
    ImproperAddressing,
    InternalServerError,
    ItemNotFound,
    OtherRequest,
    PolicyViolation,
    RemoteConnectionFailed,
    RemoteStreamError,
    SeeOtherUri,
    SystemShutdown,
    UndefinedCondition,
}

impl Condition {
    /// The value of the `condition` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::BadRequest => "bad-request",
            Condition::HostGone => "host-gone",
            Condition::HostUnknown => "host-unknown",
            Condition::ImproperAddressing => "improper-addressing",
            Condition::InternalServerError => "internal-server-error",
            Condition::ItemNotFound => "item-not-found",
            Condition::OtherRequest => "other-request",
            Condition::PolicyViolation => "policy-violation",
            Condition::RemoteConnectionFailed => "remote-connection-failed",
            Condition::RemoteStreamError => "remote-stream-error",
            Condition::SeeOtherUri => "see-other-uri",
            Condition::SystemShutdown => "system-shutdown",
            Condition::UndefinedCondition => "undefined-condition",
        }
    }

    /// The HTTP status it goes out with: always 200, but for the three conditions that a legacy
    /// client (one without `ver`) knows only as HTTP errors (section 17.1).
    pub fn status(self, legacy: bool) -> u16 {
        match self {
            Condition::BadRequest if legacy => 400,
            Condition::PolicyViolation if legacy => 403,
            Condition::ItemNotFound if legacy => 404,
            _ => 200,
        }
    }
}

/// One HTTP answer, ready to be written: every one carries a `<body/>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `<body/>`.
    pub body: Bytes,
    pub(crate) content: Option<Arc<str>>,
}

impl Answer {
    /// The `Content-Type`: what the session's creation asked for, or [`CONTENT_TYPE`].
    pub fn content_type(&self) -> &str {
        self.content.as_deref().unwrap_or(CONTENT_TYPE)
    }

    /// A creation turned down: `host-unknown`, `improper-addressing`, `system-shutdown`, `policy-violation` and the like.
    pub fn refuse(body: &Body, condition: Condition) -> Answer {
        let legacy = body.sid.is_none() && body.ver().is_none();
        Answer { content: body.content().map(Arc::from), ..Answer::terminal(condition, legacy) }
    }

    /// A request whose sid is no session of ours. Its version is not known, so it is no HTTP error
    /// (bosh.md case 64): a legacy client reads the body's `type` just as well.
    pub fn unknown_sid() -> Answer {
        Answer::terminal(Condition::ItemNotFound, false)
    }

    /// `see-other-uri` (section 17.2): this listener makes no sessions, that address does.
    pub fn see_other(uri: &str) -> Answer {
        let xml = crate::write::terminal(Condition::SeeOtherUri, &format!("<uri>{}</uri>", crate::write::escape(uri)));
        Answer { status: 200, body: xml.into(), content: None }
    }

    /// A request that could not be read and belongs to no session.
    pub(crate) fn terminal(condition: Condition, legacy: bool) -> Answer {
        let xml = crate::write::terminal(condition, "");
        Answer { status: condition.status(legacy), body: xml.into(), content: None }
    }
}

/// Why a request could not be read as a [`Body`], with what could be read of it all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .condition.as_str())]
pub struct Refused {
    /// `bad-request`, or `policy-violation` when it is too large.
    pub condition: Condition,
    /// The session it names: that one is to be ended ([`crate::Input::Broken`]).
    pub sid: Option<Sid>,
    /// It would have made a session, and has no `ver`.
    pub(crate) legacy: bool,
}

impl Refused {
    /// The answer when it names no session, or one we don't know.
    pub fn answer(&self) -> Answer {
        Answer::terminal(self.condition, self.legacy)
    }

    /// For a request that was not read at all because its head announced more than
    /// `body_bytes_max`: `start` is what came of its body, perhaps nothing.
    pub fn too_large(start: &[u8]) -> Refused {
        Refused { condition: Condition::PolicyViolation, sid: crate::body::peek_sid(start), legacy: false }
    }

    /// For a request whose content coding could not be undone: `start` is what came of its body before
    /// that was seen, perhaps nothing.
    pub fn undecodable(start: &[u8]) -> Refused {
        Refused { condition: Condition::BadRequest, ..Refused::too_large(start) }
    }
}
