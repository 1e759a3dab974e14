//! Between frames and stanzas: what SEND means, and how a message stands in MESSAGE.

use super::codec::Frame;
use crate::payload;
use herald_session::{Keep, Push, SendtoResult, Terms, Uid};
use herald_xmpp::xml::{Element, escape_attr};
use herald_xmpp::{Jid, Kind, MessageType, PresenceType, Stanza, ns};
use serde::Deserialize;
use serde_json::value::RawValue;

/// XEP-0085.
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// XEP-0359.
const STANZA_IDS: &str = "urn:xmpp:sid:0";
/// Users that one SEND to `/app/msg` may name.
const RECIPIENTS_MAX: usize = 1_000;
/// A `ref`, bytes.
const REFERENCE_BYTES_MAX: usize = 128;

/// Why a frame is not carried out: a word, and more of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub code: &'static str,
    pub detail: String,
}

pub(super) fn invalid(detail: impl Into<String>) -> Refused {
    Refused { code: "invalid", detail: detail.into() }
}

/// A message, and whom it is for.
#[derive(Debug)]
pub(super) struct Letter {
    pub to: Vec<Uid>,
    pub push: Push,
}

/// What the body of a SEND to `/app/msg` says.
#[derive(Deserialize)]
struct Written<'a> {
    to: Recipients,
    body: Option<String>,
    #[serde(borrow)]
    json: Option<&'a RawValue>,
    kind: Option<String>,
    state: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Recipients {
    One(String),
    Many(Vec<String>),
}

/// What a SEND of `sender` sends; of at most `bytes_max` bytes.
pub(super) fn letter(frame: &Frame, sender: &str, bytes_max: usize) -> Result<Letter, Refused> {
    let destination = frame.header("destination").ok_or_else(|| invalid("SEND needs a destination"))?;
    let text = std::str::from_utf8(&frame.body).map_err(|_| invalid("the body is not UTF-8"))?;
    let raw;
    let written = if destination == "/app/msg" {
        serde_json::from_str(text).map_err(|e| invalid(format!("the body is not what /app/msg takes: {e}")))?
    } else {
        let uid = destination.strip_prefix("/user/").and_then(|rest| rest.strip_suffix("/queue/push").or(Some(rest)));
        let uid = uid.filter(|uid| !uid.is_empty() && !uid.contains('/'));
        let Some(uid) = uid else {
            let detail = format!("{destination} is no destination: SEND goes to /user/UID or /app/msg");
            return Err(Refused { code: "no_such_destination", detail });
        };
        let media = frame.header("content-type").and_then(|kind| kind.split(';').next()).unwrap_or_default();
        let is_json = media.trim().eq_ignore_ascii_case("application/json");
        let mut written = Written {
            to: Recipients::One(uid.to_owned()),
            body: (!is_json && !text.is_empty()).then(|| text.to_owned()),
            json: None,
            kind: None,
            state: None,
            reference: None,
        };
        if is_json {
            raw = serde_json::from_str::<&RawValue>(text).map_err(|e| invalid(format!("the body is not JSON: {e}")))?;
            written.json = Some(raw);
        }
        written
    };
    compose(frame, written, sender, bytes_max)
}

/// What is not in the body may be in the headers.
fn compose(frame: &Frame, written: Written<'_>, sender: &str, bytes_max: usize) -> Result<Letter, Refused> {
    let Written { to, body, json, kind, state, reference } = written;
    let to: Vec<Uid> = match to {
        Recipients::One(to) => vec![to.into()],
        Recipients::Many(to) => to.into_iter().map(Into::into).collect(),
    };
    if to.is_empty() || to.len() > RECIPIENTS_MAX {
        return Err(invalid(format!("`to` must name 1 to {RECIPIENTS_MAX} users")));
    }
    let said = |value: Option<String>, header| value.or_else(|| frame.header(header).map(str::to_owned));
    let kind = match said(kind, "type").as_deref() {
        None | Some("chat") => MessageType::Chat,
        Some("normal") => MessageType::Normal,
        Some("headline") => MessageType::Headline,
        Some(other) => return Err(invalid(format!("type must be chat, normal or headline, not {other:?}"))),
    };
    let mut xml = String::new();
    if let Some(body) = &body {
        if let Some(c) = payload::forbidden(body) {
            return Err(invalid(format!("the body has U+{:04X}, which XML cannot hold", u32::from(c))));
        }
        xml += &payload::body(body);
    }
    if let Some(json) = json {
        xml += &payload::json(json);
    }
    match said(state, "state").as_deref() {
        None => {}
        Some(state @ ("active" | "composing" | "paused" | "inactive" | "gone")) => {
            xml += &format!("<{state} xmlns='{CHAT_STATES}'/>");
        }
        Some(other) => return Err(invalid(format!("{other:?} is no state"))),
    }
    if xml.is_empty() {
        return Err(invalid("there is nothing to be sent: a body or a state is needed"));
    }
    let content = body.is_some() || json.is_some();
    let mut stanza = Stanza::new(Kind::Message(kind));
    let reference = said(reference, "ref");
    let mut terms = Terms::keep(keep(frame, content && kind != MessageType::Headline, reference.is_some())?);
    if let Some(reference) = reference {
        let fits = !reference.is_empty() && reference.len() <= REFERENCE_BYTES_MAX;
        if !fits || reference.contains(char::is_control) || payload::forbidden(&reference).is_some() {
            let most = REFERENCE_BYTES_MAX;
            return Err(invalid(format!("`ref` must have 1 to {most} bytes and no control characters")));
        }
        xml += &format!("<origin-id xmlns='{STANZA_IDS}' id='{}'/>", escape_attr(&reference));
        if terms.keep == Keep::Always {
            terms.once = Some(format!("ref:{sender}:{reference}").into());
        }
        stanza.id = Some(reference.into());
    }
    stanza.payload = xml.into();
    if stanza.bytes_len() > bytes_max {
        return Err(Refused { code: "too_large", detail: format!("the message has more than {bytes_max} bytes") });
    }
    Ok(Letter { to, push: Push { stanza, terms } })
}

/// Who asks for a receipt, or may say it again, wants it to be durable.
fn keep(frame: &Frame, keepable: bool, again: bool) -> Result<Keep, Refused> {
    Ok(match frame.header("store") {
        Some("never") => Keep::Never,
        Some("if_offline") => Keep::IfOffline,
        Some("always") => Keep::Always,
        Some(other) => return Err(invalid(format!("store must be never, if_offline or always, not {other:?}"))),
        None if !keepable => Keep::Never,
        None if again || frame.header("receipt").is_some() => Keep::Always,
        None => Keep::IfOffline,
    })
}

/// Was everybody reached, or is it kept for them? Else what a client is told.
pub(super) fn outcome(results: &[SendtoResult]) -> Result<(), Refused> {
    use herald_session::SendtoState::{Delivered, Dropped, Skipped, Stored};
    let failed = results.iter().find(|r| !matches!(r.state, Delivered | Stored | Dropped | Skipped));
    match failed {
        None => Ok(()),
        Some(failed) => {
            Err(Refused { code: failed.state.as_str(), detail: format!("{}: {}", failed.uid, failed.state.as_str()) })
        }
    }
}

/// A stanza as MESSAGE has it: headers and a body.
pub(super) struct Shown {
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

/// A message; `None` when it is none. `at_ms` is when it came, in milliseconds since 1970 UTC. Users of `domain` have
/// their localpart for a uid.
pub(super) fn message(stanza: &Stanza, at_ms: i64, domain: &str) -> Option<Shown> {
    let Kind::Message(kind) = stanza.kind else { return None };
    let kind = match kind {
        MessageType::Normal => "normal",
        MessageType::Chat => "chat",
        MessageType::Groupchat => "groupchat",
        MessageType::Headline => "headline",
        MessageType::Error => "error",
    };
    let mut shown = Shown { headers: vec![("type", kind.into())], body: String::new() };
    let mut put = |name, value: String| shown.headers.push((name, value));
    if let Some(from) = &stanza.from {
        put("from", from.as_str().to_owned());
        if let Some(uid) = uid(from, domain) {
            put("uid", uid.to_owned());
        }
    }
    if let Some(id) = &stanza.id {
        put("id", id.to_string());
    }
    if let Some(error) = stanza.stanza_error() {
        put("error", error.condition.name().to_owned());
    }
    let (mut text, mut at) = (None, rfc3339(at_ms));
    for child in stanza.children() {
        match (child.name(), child.ns()) {
            ("body", ns::CLIENT) if text.is_none() => text = Some(child.text().into_owned()),
            (state, CHAT_STATES) => put("state", state.to_owned()),
            ("delay", ns::DELAY) => at = stamp(&child).unwrap_or(at),
            _ => {}
        }
    }
    put("at", at);
    match (payload::json_of(stanza), text) {
        (Some(json), text) => {
            put("content-type", "application/json".to_owned());
            if let Some(text) = text {
                put("text", text);
            }
            shown.body = json.get().to_owned();
        }
        (None, text) => {
            put("content-type", "text/plain".to_owned());
            shown.body = text.unwrap_or_default();
        }
    }
    Some(shown)
}

/// A presence; `None` when it is none that says whether somebody is there.
pub(super) fn presence(stanza: &Stanza, domain: &str) -> Option<Shown> {
    let Kind::Presence(kind @ (PresenceType::Available | PresenceType::Unavailable)) = stanza.kind else { return None };
    let from = stanza.from.as_ref()?;
    let text = |name| stanza.child(name, ns::CLIENT).map(|child| child.text().into_owned());
    let body = serde_json::json!({
        "from": from.as_str(), "uid": uid(from, domain), "online": kind == PresenceType::Available,
        "show": text("show"), "status": text("status"),
    });
    Some(Shown { headers: vec![("content-type", "application/json".to_owned())], body: body.to_string() })
}

/// What a user of ours is called; `None` for the server itself.
fn uid<'a>(jid: &'a Jid, domain: &str) -> Option<&'a str> {
    match jid.local() {
        Some(local) if jid.domain() == domain => Some(local),
        Some(_) => Some(jid.bare_str()),
        None => None,
    }
}

/// When it was sent first (XEP-0203).
fn stamp(delay: &Element<'_>) -> Option<String> {
    let stamp: jiff::Timestamp = delay.attr("stamp")?.parse().ok()?;
    Some(stamp.to_string())
}

fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default()
}
