//! From stanzas to frames.

use super::compose::{CHAT_STATES, STANZA_IDS};
use super::frames::{ChatState, Message, RosterItem, Said};
use crate::net::feed::Item;
use crate::payload;
use herald_xmpp::xml::Element;
use herald_xmpp::{Jid, Kind, MessageType, PresenceType, Stanza, ns};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What the client is told of an item; `None` for what is not for it. `now_ms` is the time of what comes live, in
/// milliseconds since 1970 UTC; users of `domain` have their localpart for a uid.
pub(super) fn item(item: &Item, domain: &str, now_ms: i64) -> Option<Box<str>> {
    match item {
        Item::Gap { after, before } => Some(Said::Gap { after: *after, before: *before, epoch: None }.json()),
        Item::Message { id, at_ms, stanza } => match stanza.kind {
            Kind::Message(kind) => message(*id, at_ms.unwrap_or(now_ms), kind, stanza, domain),
            Kind::Presence(kind) => presence(kind, stanza, domain),
            Kind::Iq(_) => roster(stanza, domain),
        },
    }
}

/// A message of the log, as `history` has it.
pub(super) fn of_history(item: &Item, domain: &str) -> Option<Box<RawValue>> {
    let text = self::item(item, domain, 0)?;
    RawValue::from_string(text.into_string()).ok()
}

/// A time as RFC 3339 has it.
pub(super) fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map(|at| at.to_string()).unwrap_or_default()
}

/// What a user of ours is called; `None` for the server itself.
fn uid<'a>(jid: &'a Jid, domain: &str) -> Option<&'a str> {
    match jid.local() {
        Some(local) if jid.domain() == domain => Some(local),
        Some(_) => Some(jid.bare_str()),
        None => None,
    }
}

fn message(id: Option<u64>, at_ms: i64, kind: MessageType, stanza: &Stanza, domain: &str) -> Option<Box<str>> {
    let from = stanza.from.as_ref();
    let mut message = Message {
        id,
        at: String::new(),
        from: from.map_or(domain, Jid::as_str),
        uid: from.and_then(|from| uid(from, domain)),
        kind: match kind {
            MessageType::Error => return bounced(stanza),
            MessageType::Normal => "normal",
            MessageType::Groupchat => "groupchat",
            MessageType::Chat => "chat",
            MessageType::Headline => "headline",
        },
        body: None,
        json: payload::json_of(stanza),
        state: None,
        mid: stanza.id.as_deref(),
        payload: String::new(),
    };
    for child in stanza.children() {
        match (child.name(), child.ns()) {
            ("body", ns::CLIENT) if message.body.is_none() => message.body = Some(child.text().into_owned().into()),
            ("json", payload::JSON) => {}
            (state, CHAT_STATES) => message.state = ChatState::of(state),
            ("stanza-id" | "origin-id", STANZA_IDS) => {}
            ("delay", ns::DELAY) if id.is_none() => message.at = stamp(&child).unwrap_or_default(),
            ("delay", ns::DELAY) => {}
            _ => message.payload += child.raw(),
        }
    }
    if message.at.is_empty() {
        message.at = rfc3339(at_ms);
    }
    Some(Said::Message(message).json())
}

/// When it was sent first (XEP-0203).
fn stamp(delay: &Element<'_>) -> Option<String> {
    let stamp: jiff::Timestamp = delay.attr("stamp")?.parse().ok()?;
    Some(stamp.to_string())
}

/// A message of ours came back.
fn bounced(stanza: &Stanza) -> Option<Box<str>> {
    let error = stanza.stanza_error()?;
    let detail = format!("it came back: {}", error.condition.name());
    Some(Said::Error { reference: stanza.id.as_deref(), code: "bounced", detail: &detail, retry: false }.json())
}

fn presence(kind: PresenceType, stanza: &Stanza, domain: &str) -> Option<Box<str>> {
    let from = stanza.from.as_ref()?;
    let uid = uid(from, domain);
    let kind = match kind {
        PresenceType::Available | PresenceType::Unavailable => {
            let text = |name| stanza.child(name, ns::CLIENT).map(|child| Cow::Owned(child.text().into_owned()));
            let online = kind == PresenceType::Available;
            let said = Said::Presence { from: from.as_str(), uid, online, show: text("show"), status: text("status") };
            return Some(said.json());
        }
        PresenceType::Subscribe => "subscribe",
        PresenceType::Subscribed => "subscribed",
        PresenceType::Unsubscribe => "unsubscribe",
        PresenceType::Unsubscribed => "unsubscribed",
        PresenceType::Probe | PresenceType::Error => return None,
    };
    Some(Said::Subscription { from: from.bare_str(), uid, kind }.json())
}

/// The roster, or a change of it.
fn roster(stanza: &Stanza, domain: &str) -> Option<Box<str>> {
    let query = stanza.child("query", ns::ROSTER)?;
    let items = query.children().filter(|child| child.is("item", ns::ROSTER)).filter_map(|item| {
        let jid = item.attr("jid")?;
        Some(RosterItem {
            uid: jid.parse().ok().and_then(|jid: Jid| uid(&jid, domain).map(str::to_owned)),
            jid,
            name: item.attr("name"),
            subscription: item.attr("subscription").unwrap_or(Cow::Borrowed("none")),
            ask: item.attr("ask").is_some(),
        })
    });
    let whole = stanza.kind == Kind::Iq(herald_xmpp::IqType::Result);
    Some(Said::Roster { whole, items: items.collect() }.json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use herald_xmpp::xml::Scope;
    use std::sync::Arc;

    fn rendered(id: Option<u64>, xml: &str) -> Option<Box<str>> {
        let stanza = Arc::new(Stanza::parse(xml, &Scope::CLIENT).expect(xml));
        item(&Item::Message { id, at_ms: id.map(|_| 1_500), stanza }, "localhost", 2_000)
    }

    #[test]
    fn what_a_client_is_told() {
        for (id, xml, frame) in [
            (
                Some(17),
                "<message from='bob@localhost/x' type='chat' id='m1'><body>a&lt;b</body>\
                 <json xmlns='urn:xmpp:json:0'>{\"n\":[1, 2]}</json>\
                 <stanza-id xmlns='urn:xmpp:sid:0' by='a@localhost' id='17'/><thread>t</thread>\
                 <delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></message>",
                r#"{"t":"message","id":17,"at":"1970-01-01T00:00:01.5Z","from":"bob@localhost/x","uid":"bob","kind":"chat","body":"a<b","json":{"n":[1, 2]},"mid":"m1","payload":"<thread>t</thread>"}"#,
            ),
            (
                None,
                "<message from='localhost' type='headline'><delay xmlns='urn:xmpp:delay' \
                 stamp='2026-01-01T00:00:00Z'/></message>",
                r#"{"t":"message","at":"2026-01-01T00:00:00Z","from":"localhost","kind":"headline"}"#,
            ),
            (
                None,
                "<message from='bob@else.where/x' type='chat'><composing \
                 xmlns='http://jabber.org/protocol/chatstates'/></message>",
                r#"{"t":"message","at":"1970-01-01T00:00:02Z","from":"bob@else.where/x","uid":"bob@else.where","kind":"chat","state":"composing"}"#,
            ),
            (
                None,
                "<presence from='bob@localhost/x'><show>away</show></presence>",
                r#"{"t":"presence","from":"bob@localhost/x","uid":"bob","online":true,"show":"away","status":null}"#,
            ),
            (
                None,
                "<presence from='bob@localhost' type='subscribe'/>",
                r#"{"t":"subscription","from":"bob@localhost","uid":"bob","kind":"subscribe"}"#,
            ),
            (
                None,
                "<iq type='result' id='roster'><query xmlns='jabber:iq:roster'><item jid='bob@localhost' \
                 subscription='both'/></query></iq>",
                r#"{"t":"roster","whole":true,"items":[{"jid":"bob@localhost","uid":"bob","subscription":"both","ask":false}]}"#,
            ),
            (
                None,
                "<message from='bob@localhost' type='error' id='c1'><error type='cancel'><service-unavailable \
                 xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
                r#"{"t":"error","ref":"c1","code":"bounced","detail":"it came back: service-unavailable","retry":false}"#,
            ),
        ] {
            assert_eq!(rendered(id, xml).as_deref(), Some(frame));
        }
    }

    #[test]
    fn what_is_not_for_it() {
        for xml in ["<iq type='result' id='x'/>", "<presence from='a@localhost' type='error'/>"] {
            assert_eq!(rendered(None, xml), None, "{xml}");
        }
    }
}
