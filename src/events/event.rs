//! One event as JSON: the shape that all ways out share. docs/events.md describes it.

use super::kind::Kind;
use bytes::Bytes;
use herald_session::{Event, LinkInfo};
use herald_xmpp::{BareJid, FullJid};
use serde::Serialize;
use std::borrow::Cow;

/// A longer status is cut to this.
const STATUS_BYTES_MAX: usize = 1_024;

/// An event in the ring.
pub struct Entry {
    /// Its number in this run of the server.
    pub n: u64,
    /// Its type.
    pub kind: Kind,
    /// Whom it is about; "" when it is about all.
    pub uid: Box<str>,
    /// The whole of it: one JSON object.
    pub json: Bytes,
}

impl Entry {
    /// With its JSON.
    pub fn new(n: u64, kind: Kind, uid: &str, json: Bytes) -> Entry {
        Entry { n, kind, uid: uid.into(), json }
    }
    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Entry>() + 2 * size_of::<usize>() + self.uid.len() + self.json.len()
    }
}

/// What an event says beside its id.
#[derive(Serialize)]
pub struct Body<'e> {
    at: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    jid: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'e str>,
    #[serde(flatten)]
    link: Option<Link>,
    #[serde(flatten)]
    presence: Option<Presence<'e>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<u64>,
    #[serde(flatten)]
    started: Option<Started<'e>>,
}

#[derive(Serialize)]
struct Link {
    transport: &'static str,
    secure: bool,
    peer: String,
}

#[derive(Serialize)]
struct Presence<'e> {
    available: bool,
    priority: Option<i8>,
    show: Option<&'e str>,
    status: Option<&'e str>,
}

/// What a server that begins says of itself.
#[derive(Clone, Copy, Serialize)]
pub struct Started<'e> {
    /// What event ids begin with.
    pub run: &'e str,
    /// The store's.
    pub epoch: &'e str,
    /// The domain of the users.
    pub domain: &'e str,
    /// The program's.
    pub version: &'e str,
}

impl From<LinkInfo> for Link {
    fn from(link: LinkInfo) -> Link {
        Link { transport: link.transport.as_str(), secure: link.secure, peer: link.peer.to_string() }
    }
}

impl<'e> Body<'e> {
    fn new(at_ms: i64, kind: Kind, uid: &'e str) -> Body<'e> {
        Body {
            at: moment(at_ms),
            kind: kind.as_str(),
            uid,
            jid: None,
            resource: None,
            link: None,
            presence: None,
            message_id: None,
            started: None,
        }
    }

    fn session(at_ms: i64, kind: Kind, jid: &'e FullJid) -> Body<'e> {
        let body = Body::new(at_ms, kind, jid.local().unwrap_or_default());
        Body { jid: Some(jid.as_str()), resource: Some(jid.resource()), ..body }
    }

    fn message(at_ms: i64, kind: Kind, user: &'e BareJid, id: u64) -> Body<'e> {
        Body { message_id: Some(id), ..Body::new(at_ms, kind, uid(user)) }
    }

    /// A server begins.
    pub fn started(at_ms: i64, started: Started<'e>) -> Body<'e> {
        Body { started: Some(started), ..Body::new(at_ms, Kind::ServerStarted, "") }
    }

    /// The whole event, with its id.
    pub fn with_id(&self, run: &str, n: u64) -> Bytes {
        let body = serde_json::to_string(self).unwrap_or_default(); // plain strings and numbers: it cannot fail
        format!("{{\"id\":\"{run}-{n}\",{}", body.get(1..).unwrap_or("}")).into()
    }
}

/// Its type.
pub fn kind(event: &Event) -> Kind {
    match event {
        Event::SessionUp { .. } => Kind::SessionUp,
        Event::SessionDown { .. } => Kind::SessionDown,
        Event::Online { .. } => Kind::UserOnline,
        Event::Offline { .. } => Kind::UserOffline,
        Event::Presence { .. } => Kind::PresenceChanged,
        Event::Stored { .. } => Kind::MessageStored,
        Event::Delivered { .. } => Kind::MessageDelivered,
        Event::Expired { .. } => Kind::MessageExpired,
    }
}

/// What it says.
pub fn body(at_ms: i64, event: &Event) -> Body<'_> {
    let kind = kind(event);
    match event {
        Event::SessionUp { jid, link } | Event::SessionDown { jid, link } => {
            Body { link: Some((*link).into()), ..Body::session(at_ms, kind, jid) }
        }
        Event::Online { user } | Event::Offline { user } => Body::new(at_ms, kind, uid(user)),
        Event::Presence { from, available, priority, show, status } => {
            let (show, status) = (show.as_deref(), status.as_deref().map(cut));
            let presence = Presence { available: *available, priority: *priority, show, status };
            Body { presence: Some(presence), ..Body::session(at_ms, kind, from) }
        }
        Event::Stored { user, id } | Event::Delivered { user, id } | Event::Expired { user, id } => {
            Body::message(at_ms, kind, user, *id)
        }
    }
}

impl Body<'_> {
    /// Whom it is about; "" when it is about all.
    pub fn uid(&self) -> &str {
        self.uid
    }
}

/// Its beginning: an event is small, whatever a client says.
fn cut(status: &str) -> &str {
    &status[..status.floor_char_boundary(STATUS_BYTES_MAX)]
}

fn uid(user: &BareJid) -> &str {
    user.local().unwrap_or_default()
}

/// RFC 3339, in UTC, to the millisecond.
pub fn moment(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map(|t| format!("{t:.3}")).unwrap_or_default()
}

/// What a way out needs to know of an event that it reads back.
#[derive(serde::Deserialize)]
pub struct Head<'e> {
    /// `<run>-<n>`.
    #[serde(borrow)]
    pub id: Cow<'e, str>,
    /// When.
    #[serde(borrow)]
    pub at: Cow<'e, str>,
    /// Its type.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'e, str>,
    /// Whom it is about.
    #[serde(borrow, default)]
    pub uid: Cow<'e, str>,
}
