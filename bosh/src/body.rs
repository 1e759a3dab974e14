//! The `<body/>` of a request, read once (XEP-0124 section 6).

use crate::ids::decimal;
use crate::usual::Usual;
use crate::{Condition, Refused, Rid, Sid, Version};
use compact_str::CompactString;
use herald_xmpp::ns;
use herald_xmpp::xml::{self, Element, Limits, Node, Scope, XmlError, escape_attr};

/// The longest `content` value taken, in bytes; a longer one is a bad request.
const CONTENT_BYTES_MAX: usize = 128;

/// What a request asks for besides carrying its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ask {
    /// Nothing: send and receive.
    #[default]
    Exchange,
    /// `type='terminate'` (XEP-0124 section 13).
    Terminate,
    /// `pause`, in seconds (section 10).
    Pause(u32),
    /// `xmpp:restart='true'` (XEP-0206 section 5).
    Restart,
}

/// One request. Its XML was checked to the last byte; attributes are typed, payload is kept as it came.
#[derive(Clone, Debug)]
pub struct Body {
    /// The session; `None` asks for a new one.
    pub sid: Option<Sid>,
    /// Its place in the session's order.
    pub rid: Rid,
    /// What it asks for.
    pub ask: Ask,
    /// At creation: 1, the client will acknowledge. Later: the highest rid up to which it has every answer.
    pub ack: Option<u64>,
    /// The payload.
    pub payload: Payload,
    rare: Option<Box<Rare>>, // most requests have none of it
}

/// Attributes of creations, restarts and the protected few.
#[derive(Clone, Debug, Default)]
struct Rare {
    to: Option<CompactString>,
    from: Option<CompactString>,
    lang: Option<CompactString>,
    ver: Option<Version>,
    wait: Option<u32>,
    hold: Option<u32>,
    content: Option<CompactString>,
    key: Option<CompactString>,
    newkey: Option<CompactString>,
    xmpp_version: Option<CompactString>,
}

macro_rules! rare {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $read:expr;)*) => {
        impl Body { $($(#[$doc])* pub fn $name(&self) -> Option<$type> { self.rare.as_ref().and_then($read) })* }
    };
}

rare! {
    /// The domain of the stream, as it came; not empty.
    to: &str = |r| r.to.as_deref();
    /// Who the client says it is. Nothing rests on it.
    from: &str = |r| r.from.as_deref();
    /// `xml:lang`.
    lang: &str = |r| r.lang.as_deref();
    /// The highest BOSH version the client speaks; a client without it is a legacy one.
    ver: Version = |r| r.ver;
    /// The longest it lets a request be held, in seconds.
    wait: u32 = |r| r.wait;
    /// How many requests it lets be held.
    hold: u32 = |r| r.hold;
    /// The `Content-Type` it wants, safe for an HTTP header.
    content: &str = |r| r.content.as_deref();
    /// The next key of its sequence (section 15).
    key: &str = |r| r.key.as_deref();
    /// The first key of a new sequence.
    newkey: &str = |r| r.newkey.as_deref();
    /// `xmpp:version`.
    xmpp_version: &str = |r| r.xmpp_version.as_deref();
}

impl Body {
    /// Reads a whole request body.
    ///
    /// Refused with `policy-violation` over [`Limits::bytes_max`] and its sisters, with `bad-request`
    /// for everything else: XML that is not strict, another root, text beside the payload, a rid, a
    /// number or a boolean out of range.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Body, Refused> {
        Body::read(bytes, limits).map_err(|(condition, legacy)| Refused { condition, sid: peek_sid(bytes), legacy })
    }

    /// Whether it only asks.
    pub(crate) fn is_empty(&self) -> bool {
        self.ask == Ask::Exchange && self.payload.is_empty()
    }

    fn read(bytes: &[u8], limits: &Limits) -> Result<Body, (Condition, bool)> {
        let text = match std::str::from_utf8(bytes) {
            _ if bytes.len() > limits.bytes_max => return Err((Condition::PolicyViolation, false)),
            Ok(text) => text.trim_matches(is_space),
            Err(_) => return Err((Condition::BadRequest, false)),
        };
        Body::usual(text, limits).map_or_else(|| Body::unusual(text, limits), Ok)
    }

    /// `None`: it is to be read as any other XML.
    fn usual(text: &str, limits: &Limits) -> Option<Body> {
        let usual = Usual::read(text, limits)?;
        let mut read = Attributes::default();
        for (name, value) in usual.attrs {
            if name != "xmlns" {
                read.plain(name, value)?;
            }
        }
        Body::of(read, Payload::of_one(usual.inside, usual.name))
    }

    fn unusual(text: &str, limits: &Limits) -> Result<Body, (Condition, bool)> {
        let unread = |e: XmlError| (condition_of(e), false);
        xml::check(text, &Scope::NONE, limits).map_err(unread)?;
        let root = Element::parse(text, &Scope::NONE).map_err(unread)?;
        if !root.is("body", ns::HTTPBIND) {
            return Err((Condition::BadRequest, false));
        }
        Body::of_element(&root).ok_or_else(|| {
            let legacy = root.attr("sid").is_none() && root.attr("ver").is_none();
            (Condition::BadRequest, legacy)
        })
    }

    /// `None` is a bad request.
    fn of_element(root: &Element<'_>) -> Option<Body> {
        let mut read = Attributes::default();
        for (space, name, value) in root.attrs() {
            match space {
                "" => read.plain(name, &value)?,
                ns::XML | ns::XBOSH => read.qualified(space, name, &value)?,
                _ => {}
            }
        }
        Body::of(read, Payload::of_element(root)?)
    }

    /// `None` is a bad request.
    fn of(read: Attributes, payload: Payload) -> Option<Body> {
        let ask = match read.pause {
            _ if read.terminate => Ask::Terminate,
            _ if read.restart => Ask::Restart,
            Some(secs) => Ask::Pause(secs),
            None => Ask::Exchange,
        };
        Some(Body {
            sid: read.sid,
            rid: read.rid?,
            ask,
            ack: read.ack,
            payload,
            rare: read.any_rare.then(|| Box::new(read.rare)),
        })
    }
}

/// The start tag, attribute by attribute. What we don't know means nothing (section 16.3: `stream` too).
#[derive(Default)]
struct Attributes {
    sid: Option<Sid>,
    rid: Option<Rid>,
    ack: Option<u64>,
    pause: Option<u32>,
    terminate: bool,
    restart: bool,
    rare: Rare,
    any_rare: bool,
}

impl Attributes {
    /// `None` is a bad request.
    fn plain(&mut self, name: &str, value: &str) -> Option<()> {
        let word = || Some(CompactString::from(value)).filter(|w| !w.is_empty());
        match name {
            "sid" => self.sid = Some(Sid::parse(value)),
            "rid" => self.rid = Some(Rid::parse(value)?),
            "ack" => self.ack = Some(decimal(value)?),
            "pause" => self.pause = Some(number(value)?),
            "type" => self.terminate = value == "terminate",
            _ => {
                let rare = &mut self.rare;
                match name {
                    "to" => rare.to = word(),
                    "from" => rare.from = word(),
                    "ver" => rare.ver = Some(Version::parse(value)?),
                    "wait" => rare.wait = Some(number(value)?),
                    "hold" => rare.hold = Some(number(value)?),
                    "content" if !is_header_value(value) => return None,
                    "content" => rare.content = word(),
                    "key" => rare.key = Some(value.into()),
                    "newkey" => rare.newkey = Some(value.into()),
                    _ => return Some(()),
                }
                self.any_rare = true;
            }
        }
        Some(())
    }

    /// Those with a prefix, whatever it is. `None` is a bad request.
    fn qualified(&mut self, space: &str, name: &str, value: &str) -> Option<()> {
        match (space, name) {
            (ns::XML, "lang") => self.rare.lang = Some(value.into()),
            (ns::XBOSH, "version") if !value.is_empty() => self.rare.xmpp_version = Some(value.into()),
            (ns::XBOSH, "restart") => {
                self.restart = boolean(value)?;
                return Some(());
            }
            _ => return Some(()),
        }
        self.any_rare = true;
        Some(())
    }
}

/// The children of a `<body/>`, each the bytes it came in, with the namespaces around them.
///
/// A stanza that declares no namespace of its own, and so would be in BOSH's, reads as
/// `jabber:client` (XEP-0206 section 2, Note): the scope says so.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    text: Box<str>,   // the children, end to end
    ends: Box<[u32]>, // where each but the last ends
    scope: Scope,
    asks: bool,
}

impl Payload {
    /// One child in the body's own namespace, without a prefix, of that name; or nothing.
    fn of_one(child: &str, name: &str) -> Payload {
        if child.is_empty() {
            return Payload::default();
        }
        Payload { text: child.into(), ends: Box::default(), scope: Scope::CLIENT, asks: asks(name) }
    }

    fn of_element(root: &Element<'_>) -> Option<Payload> {
        let (mut text, mut ends, mut any_asks) = (String::new(), Vec::new(), false);
        for node in root.nodes() {
            let child = match node {
                Node::Element(child) => child,
                Node::Text(between) if between.chars().all(is_space) => continue,
                Node::Text(_) => return None, // section 6: no character data beside the payload
            };
            if text.is_empty() {
                text.reserve_exact(root.inner().len()); // and no more than that, almost always
            } else {
                ends.push(u32::try_from(text.len()).ok()?);
            }
            text.push_str(child.raw());
            any_asks |= asks(child.name());
        }
        if text.is_empty() {
            return Some(Payload::default());
        }
        Some(Payload { text: text.into(), ends: ends.into(), scope: client_scope(&root.scope())?, asks: any_asks })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Its bytes.
    pub fn bytes_len(&self) -> usize {
        self.text.len()
    }

    /// Whether something in it waits for an answer: an iq, a step of SASL.
    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    /// The children, in order, each a whole checked element.
    pub fn elements(&self) -> impl Iterator<Item = (&str, &Scope)> {
        let count = if self.is_empty() { 0 } else { self.ends.len() + 1 };
        let edge = move |i: usize| match i {
            0 => 0,
            i if i == count => self.text.len(),
            i => self.ends[i - 1] as usize,
        };
        (0..count).map(move |i| (&self.text[edge(i)..edge(i + 1)], &self.scope))
    }
}

/// Whether a child of that name waits for an answer.
fn asks(name: &str) -> bool {
    !matches!(name, "message" | "presence")
}

/// The bindings inside the body, its own namespace as the default replaced by `jabber:client`.
fn client_scope(inside: &Scope) -> Option<Scope> {
    if *inside == Scope::HTTPBIND || *inside == Scope::CLIENT {
        return Some(Scope::CLIENT);
    }
    let mut tag = String::from("<body");
    for (prefix, bound) in inside.bindings() {
        let bound = if prefix.is_empty() && bound == ns::HTTPBIND { ns::CLIENT } else { bound };
        let colon = if prefix.is_empty() { "" } else { ":" };
        tag.push_str(&format!(" xmlns{colon}{prefix}='{}'", escape_attr(bound)));
    }
    tag.push('>');
    Scope::NONE.of_start_tag(&tag).ok()
}

/// Over a limit is against our policy, all else is against the XEP.
fn condition_of(error: XmlError) -> Condition {
    match error {
        XmlError::TooLarge | XmlError::TooDeep | XmlError::TooMany(_) => Condition::PolicyViolation,
        _ => Condition::BadRequest,
    }
}

/// A count of seconds or requests; saturates.
fn number(text: &str) -> Option<u32> {
    decimal(text).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// A boolean (XML Schema: `true`, `1`, `false`, `0`).
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// Only what can stand in an HTTP header, so that no client writes headers of ours.
fn is_header_value(text: &str) -> bool {
    text.len() <= CONTENT_BYTES_MAX && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// The sid in the start tag of a request that is too broken or too large to be read: a plain look
/// for the attribute, no more. A wrong guess names no session.
pub(crate) fn peek_sid(bytes: &[u8]) -> Option<Sid> {
    const START_TAG_BYTES_MAX: usize = 4_096;
    let head = &bytes[..bytes.len().min(START_TAG_BYTES_MAX)];
    let head = &head[..head.iter().position(|&b| b == b'>').unwrap_or(head.len())];
    let at = head.windows(4).position(|w| w == b"sid=")?;
    let after_space = at.checked_sub(1).is_some_and(|i| head[i].is_ascii_whitespace());
    let (&quote, rest) = head[at + 4..].split_first()?;
    let value = &rest[..rest.iter().position(|&b| b == quote)?];
    (after_space && matches!(quote, b'"' | b'\'')).then(|| std::str::from_utf8(value).map_or(Sid::NEVER, Sid::parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NS: [&str; 4] = [
        "",
        " xmlns='http://jabber.org/protocol/httpbind'",
        " xmlns=\"http://jabber.org/protocol/httpbind\" ",
        " xmlns='jabber:client'",
    ];

    /// Pieces that start tags are made of, and that spoil them.
    const ATTRS: [&str; 25] = [
        "",
        " ",
        "\n",
        "x",
        "'",
        " rid='7'",
        " rid=\"8\"",
        "rid='7'",
        " rid ='7'",
        " rid='7' ",
        " Rid='7'",
        " sid='a'",
        " sid='&amp;'",
        " sid='>'",
        " sid='\u{e9}'",
        " sid=\"'\"",
        " ack='1'",
        " pause='3'",
        " type='terminate'",
        " to='x y'",
        " xml:lang='en'",
        " xmlfoo='1'",
        " xmlns:p='q'",
        ">",
        "<",
    ];

    const ENDS: [&str; 24] = [
        "",
        "/>",
        " />",
        "/ >",
        "/></body>",
        ">",
        "></body>",
        "></body ></body>",
        "> </body>",
        ">text</body>",
        "><message/></body>",
        "><message/> </body>",
        "><message/></body><body></body>",
        "><message/><message/></body>",
        "><message></body>",
        "></message></body>",
        "><message to=\"x\">&lt;<a>b<c/></a></message></body>",
        "><presence xmlns='jabber:client'><body>\u{20ac}</body></presence></body>",
        "><iq type='get'><p:q/></iq></body>",
        "><p:message/></body>",
        "><!-- c --></body>",
        "><?x y?></body>",
        "><?xml version='1.0'?><iq/></body>",
        "><![CDATA[x]]></body>",
    ];

    /// Whether it is usual; if so it is read as if it was not.
    fn is_usual(text: &str, limits: &Limits) -> bool {
        let text = text.trim_matches(is_space);
        let Some(usual) = Body::usual(text, limits) else { return false };
        let by_the_book = Body::unusual(text, limits).map(|body| format!("{body:?}"));
        assert_eq!(Ok(format!("{usual:?}")), by_the_book, "{text}");
        true
    }

    #[test]
    fn what_is_usual_reads_as_everything_else() {
        let narrow = Limits { depth_max: 3, attrs_max: 3, elements_max: 3, ..Limits::DEFAULT };
        let mut usual = 0;
        for (ns, first) in NS.iter().flat_map(|ns| ATTRS.map(|attr| (ns, attr))) {
            for (second, end) in ATTRS.iter().flat_map(|attr| ENDS.map(|end| (attr, end))) {
                let text = format!("<body{ns}{first}{second}{end}");
                usual += u32::from(is_usual(&text, &Limits::DEFAULT)) + u32::from(is_usual(&text, &narrow));
            }
        }
        assert!((500..20_000).contains(&usual), "{usual} were");
    }

    #[test]
    fn what_clients_send_is_usual() {
        let start = "<body rid='7' xmlns='http://jabber.org/protocol/httpbind' sid='00000000000000000000000000000007'";
        for rest in [
            "/>",
            " />",
            "></body>",
            " ack='3' key='f'/>",
            " type='terminate'><presence type='unavailable'/></body>",
            "><message to='a@b'><body>&lt;\u{20ac}\n</body></message></body>",
            "><iq type=\"get\"/></body>",
        ] {
            assert!(is_usual(&format!("{start}{rest}"), &Limits::DEFAULT), "{rest}");
        }
    }
}
