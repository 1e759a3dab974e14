//! The frames of herald.v1, as JSON has them. One object is one frame; `t` says which. What a frame means is told
//! in `docs/page-protocol.md`; fields that are not known are passed over, so that either side may be the newer one.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Whom one `send` may be for.
pub(super) const RECIPIENTS_MAX: usize = 100;
/// A `ref`, bytes.
pub(super) const REF_BYTES_MAX: usize = 128;
/// Messages of one `history`.
pub(super) const HISTORY_MAX: u32 = 200;

/// A frame of the client.
#[derive(Debug)]
pub(super) enum Asked<'a> {
    Hello(Box<Hello>),
    Send(Box<Send<'a>>),
    Presence(Presence),
    Subscribe(Contact),
    Accept(Contact),
    Unsubscribe(Contact),
    Ack(Ack),
    History(History),
    Ping,
    Bye,
}

/// Who it is, and from where on it wants to go on.
#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    pub uid: Option<String>,
    pub token: String,
    pub since: Option<u64>,
    pub epoch: Option<String>,
    pub resource: Option<String>,
    #[serde(default)]
    pub presence: FirstPresence,
}

/// `false`: it wants to be seen by nobody.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum FirstPresence {
    Seen(bool),
    Is(Presence),
}

impl Default for FirstPresence {
    fn default() -> FirstPresence {
        FirstPresence::Seen(true)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Send<'a> {
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    pub to: Recipients,
    pub body: Option<String>,
    #[serde(borrow)]
    pub json: Option<&'a RawValue>,
    #[serde(default)]
    pub kind: MessageKind,
    pub state: Option<ChatState>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Recipients {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum MessageKind {
    #[default]
    Chat,
    Normal,
    Headline,
}

/// XEP-0085.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChatState {
    Active,
    Composing,
    Paused,
    Inactive,
    Gone,
}

impl ChatState {
    pub fn as_str(self) -> &'static str {
        match self {
            ChatState::Active => "active",
            ChatState::Composing => "composing",
            ChatState::Paused => "paused",
            ChatState::Inactive => "inactive",
            ChatState::Gone => "gone",
        }
    }

    pub fn of(name: &str) -> Option<ChatState> {
        use ChatState::*;
        [Active, Composing, Paused, Inactive, Gone].into_iter().find(|state| state.as_str() == name)
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Presence {
    pub show: Option<Show>,
    pub status: Option<String>,
    pub priority: Option<i8>,
    /// `false`: unavailable from now on, and still there.
    pub online: Option<bool>,
}

/// RFC 6121 section 4.7.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Show {
    Away,
    Chat,
    Dnd,
    Xa,
}

impl Show {
    pub fn as_str(self) -> &'static str {
        match self {
            Show::Away => "away",
            Show::Chat => "chat",
            Show::Dnd => "dnd",
            Show::Xa => "xa",
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Contact {
    pub to: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ack {
    pub id: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct History {
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    #[serde(default)]
    pub since: u64,
    pub before: Option<u64>,
    pub limit: Option<u32>,
    #[serde(default)]
    pub reverse: bool,
}

/// Why a frame cannot be read; with its `ref`, when there is one to be seen.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub reference: Option<String>,
    pub detail: String,
}

impl<'a> Asked<'a> {
    /// Reads one frame.
    pub fn read(text: &'a str) -> Result<Asked<'a>, Unreadable> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow)]
            t: Cow<'a, str>,
        }
        fn frame<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
            serde_json::from_str(text)
        }
        let read = || {
            Ok(Ok(match &*frame::<Tag>(text)?.t {
                "hello" => Asked::Hello(frame(text)?),
                "send" => Asked::Send(frame(text)?),
                "presence" => Asked::Presence(frame(text)?),
                "subscribe" => Asked::Subscribe(frame(text)?),
                "accept" => Asked::Accept(frame(text)?),
                "unsubscribe" => Asked::Unsubscribe(frame(text)?),
                "ack" => Asked::Ack(frame(text)?),
                "history" => Asked::History(frame(text)?),
                "ping" => Asked::Ping,
                "bye" => Asked::Bye,
                other => return Ok(Err(format!("there is no frame {:?}", clip(other)))),
            }))
        };
        let detail = match read() {
            Ok(Ok(asked)) => return Ok(asked),
            Ok(Err(detail)) => detail,
            Err(e) => {
                let e: serde_json::Error = e;
                clip(&e.to_string()).to_owned()
            }
        };
        Err(Unreadable { reference: reference(text), detail })
    }
}

/// The `ref` of a frame that cannot be read otherwise.
fn reference(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Ref {
        #[serde(rename = "ref")]
        reference: String,
    }
    serde_json::from_str(text).ok().map(|Ref { reference }| clip(&reference).to_owned())
}

/// The beginning of what a client wrote, to say it back.
fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(REF_BYTES_MAX)]
}

/// A frame of the server.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub(super) enum Said<'a> {
    Ready(Ready<'a>),
    Message(Message<'a>),
    Presence {
        from: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        uid: Option<&'a str>,
        online: bool,
        show: Option<Cow<'a, str>>,
        status: Option<Cow<'a, str>>,
    },
    Subscription {
        from: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        uid: Option<&'a str>,
        kind: &'static str,
    },
    /// `whole`: these are all contacts, and not only those that have changed.
    Roster {
        whole: bool,
        items: Vec<RosterItem<'a>>,
    },
    Gap {
        after: u64,
        before: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<&'a str>,
    },
    Sent {
        #[serde(rename = "ref")]
        reference: &'a str,
        results: Vec<SentTo<'a>>,
    },
    History {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        items: Vec<Box<RawValue>>,
        last: u64,
        removed_to: u64,
        complete: bool,
    },
    Pong,
    Error {
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<&'a str>,
        code: &'static str,
        detail: &'a str,
        retry: bool,
    },
    Close {
        code: &'static str,
        detail: &'a str,
        retry: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_secs: Option<u32>,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Ready<'a> {
    pub uid: &'a str,
    pub jid: &'a str,
    pub resource: &'a str,
    pub epoch: &'a str,
    /// The newest number given out.
    pub last: u64,
    /// What comes begins behind this number.
    pub since: u64,
    pub ticket: &'a str,
    pub ticket_expires: String,
    pub ping_secs: u32,
    pub inactivity_secs: u32,
    /// The largest frame that is taken, bytes.
    pub size_max: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    pub at: String,
    pub from: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<&'a str>,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ChatState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<&'a str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub payload: String,
}

/// A contact, as the roster has it (RFC 6121 section 2.1.2).
#[derive(Debug, Serialize)]
pub(super) struct RosterItem<'a> {
    pub jid: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// `none`, `to`, `from`, `both`, or `remove`: it is gone.
    pub subscription: Cow<'a, str>,
    /// We have asked, and were not answered.
    pub ask: bool,
}

/// What became of a message, for one of those it was for: as `sendto` of the operator's API says it.
#[derive(Debug, Serialize)]
pub(super) struct SentTo<'a> {
    pub uid: &'a str,
    pub state: &'static str,
    pub sessions: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

impl Said<'_> {
    /// As it goes out.
    pub fn json(&self) -> Box<str> {
        // Strings and numbers under fixed keys: this cannot fail.
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read() {
        let read = |text| Asked::read(text).expect(text);
        let Asked::Hello(hello) = read(r#"{"t":"hello","uid":"a","token":"x","new":[1]}"#) else { panic!("hello") };
        assert!(matches!(hello.presence, FirstPresence::Seen(true)) && hello.since.is_none());
        let Asked::Hello(hello) = read(r#"{"token":"x","presence":{"show":"dnd"},"t":"hello"}"#) else { panic!() };
        assert!(matches!(hello.presence, FirstPresence::Is(Presence { show: Some(Show::Dnd), .. })));
        let Asked::Send(send) = read(r#"{"t":"send","to":["a","b"],"json":{"n":12345678901234567890.5}}"#) else {
            panic!("send")
        };
        assert_eq!(send.json.map(RawValue::get), Some(r#"{"n":12345678901234567890.5}"#), "as it was written");
        assert!(matches!(read(r#"{"t":"send","to":"a","body":"\u0041\n"}"#), Asked::Send(_)));
        let Asked::Send(send) = read(r#"{"t":"send","to":"a","json":null,"state":"composing"}"#) else { panic!() };
        assert!(send.json.is_none() && send.state == Some(ChatState::Composing));
    }

    #[test]
    fn what_cannot_be_read_says_why_and_which_it_was() {
        for (text, reference, words) in [
            ("", None, "EOF"),
            ("[]", None, "invalid"),
            (r#"{"t":"jump","ref":"r1"}"#, Some("r1"), "jump"),
            (r#"{"t":"send","ref":"r1"}"#, Some("r1"), "to"),
            (r#"{"t":"send","ref":7,"to":"a"}"#, None, "invalid type"),
            (r#"{"t":"ack","id":-1}"#, None, "invalid value"),
            (r#"{"t":"presence","show":"happy"}"#, None, "happy"),
            (r#"{"t":"hello"}"#, None, "token"),
        ] {
            let Err(e) = Asked::read(text) else { panic!("{text} was read") };
            assert_eq!(e.reference.as_deref(), reference, "{text}");
            assert!(e.detail.contains(words), "{text}: {}", e.detail);
        }
    }

    #[test]
    fn what_is_said() {
        let error = Said::Error { reference: Some("r"), code: "invalid", detail: "x\"y", retry: false };
        assert_eq!(&*error.json(), r#"{"t":"error","ref":"r","code":"invalid","detail":"x\"y","retry":false}"#);
        assert_eq!(&*Said::Pong.json(), r#"{"t":"pong"}"#);
    }
}
