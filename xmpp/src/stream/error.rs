//! Stream errors (RFC 6120 section 4.9).

use crate::ns;
use crate::stanza::StreamFault;
use crate::xml::{XmlError, push_text};
use compact_str::CompactString;
use std::fmt;

/// Why a stream ends. It cannot be recovered from: the sender closes the stream behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// One of the defined conditions.
    pub condition: Condition,
    /// Words for a human, in English.
    pub text: Option<CompactString>,
    /// Where to go instead: `host` or `host:port`, with `see-other-host` only.
    pub host: Option<CompactString>,
    /// An element of another namespace that says more (section 4.9.4): XML that stands by itself.
    pub detail: Option<Box<str>>,
}

/// Makes the conditions and their names on the wire from one table.
macro_rules! conditions {
    ($($condition:ident $name:literal),* $(,)?) => {
        /// The defined conditions (RFC 6120 section 4.9.3).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // the names of the RFC
        pub enum Condition { $($condition),* }

        impl Condition {
            /// All of them, in the order of the RFC.
            pub const ALL: &[Condition] = &[$(Condition::$condition),*];

            /// The name of its element.
            pub fn name(self) -> &'static str {
                match self { $(Condition::$condition => $name),* }
            }
        }
    };
}

conditions! {
    BadFormat "bad-format",
    BadNamespacePrefix "bad-namespace-prefix",
    Conflict "conflict",
    ConnectionTimeout "connection-timeout",
    HostGone "host-gone",
    HostUnknown "host-unknown",
    ImproperAddressing "improper-addressing",
    InternalServerError "internal-server-error",
    InvalidFrom "invalid-from",
    InvalidNamespace "invalid-namespace",
    InvalidXml "invalid-xml",
    NotAuthorized "not-authorized",
    NotWellFormed "not-well-formed",
    PolicyViolation "policy-violation",
    RemoteConnectionFailed "remote-connection-failed",
    Reset "reset",
    ResourceConstraint "resource-constraint",
    RestrictedXml "restricted-xml",
    SeeOtherHost "see-other-host",
    SystemShutdown "system-shutdown",
    UndefinedCondition "undefined-condition",
    UnsupportedEncoding "unsupported-encoding",
    UnsupportedFeature "unsupported-feature",
    UnsupportedStanzaType "unsupported-stanza-type",
    UnsupportedVersion "unsupported-version",
}

impl StreamError {
    /// That condition without text.
    pub fn new(condition: Condition) -> StreamError {
        StreamError { condition, text: None, host: None, detail: None }
    }

    /// The same with words for a human.
    pub fn with_text(mut self, text: impl Into<CompactString>) -> StreamError {
        self.text = Some(text.into());
        self
    }

    /// The same with an element of another namespace: XML that stands by itself.
    pub fn with_detail(mut self, xml: impl Into<Box<str>>) -> StreamError {
        self.detail = Some(xml.into());
        self
    }

    /// `see-other-host`: go there instead, `host` or `host:port`.
    pub fn see_other_host(host: impl Into<CompactString>) -> StreamError {
        StreamError { host: Some(host.into()), ..StreamError::new(Condition::SeeOtherHost) }
    }

    /// Writes `<stream:error/>`. Inside a TCP stream the prefix `stream` is bound already
    /// (`prefix_bound`); a WebSocket message or a `<body/>` needs its declaration.
    pub fn write(&self, prefix_bound: bool, out: &mut Vec<u8>) {
        let mut put = |s: &str| out.extend_from_slice(s.as_bytes());
        put("<stream:error");
        if !prefix_bound {
            put(" xmlns:stream='");
            put(ns::STREAM);
            put("'");
        }
        put("><");
        put(self.condition.name());
        put(" xmlns='");
        put(ns::STREAM_ERRORS);
        match &self.host {
            Some(host) => {
                put("'>");
                push_text(out, host);
                out.extend_from_slice(b"</");
                out.extend_from_slice(self.condition.name().as_bytes());
                out.push(b'>');
            }
            None => put("'/>"),
        }
        if let Some(text) = &self.text {
            out.extend_from_slice(b"<text xmlns='");
            out.extend_from_slice(ns::STREAM_ERRORS.as_bytes());
            out.extend_from_slice(b"' xml:lang='en'>");
            push_text(out, text);
            out.extend_from_slice(b"</text>");
        }
        if let Some(detail) = &self.detail {
            out.extend_from_slice(detail.as_bytes());
        }
        out.extend_from_slice(b"</stream:error>");
    }
}

impl From<XmlError> for StreamError {
    fn from(e: XmlError) -> StreamError {
        let condition = match e {
            XmlError::NotWellFormed(_) | XmlError::UnboundPrefix => Condition::NotWellFormed,
            XmlError::Restricted(_) => Condition::RestrictedXml,
            XmlError::BadUtf8 | XmlError::UnsupportedEncoding => Condition::UnsupportedEncoding,
            XmlError::TooLarge | XmlError::TooDeep | XmlError::TooMany(_) => Condition::PolicyViolation,
        };
        StreamError::new(condition).with_text(compact_str::format_compact!("{e}"))
    }
}

impl From<StreamFault> for StreamError {
    fn from(fault: StreamFault) -> StreamError {
        StreamError::new(match fault {
            StreamFault::UnsupportedStanzaType => Condition::UnsupportedStanzaType,
            StreamFault::InvalidNamespace => Condition::InvalidNamespace,
            StreamFault::InvalidFrom => Condition::InvalidFrom,
            StreamFault::NotWellFormed => Condition::NotWellFormed,
        })
    }
}

impl From<Condition> for StreamError {
    fn from(condition: Condition) -> StreamError {
        StreamError::new(condition)
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{}: {text}", self.condition.name()),
            None => f.write_str(self.condition.name()),
        }
    }
}

impl std::error::Error for StreamError {}
