//! Stanza errors (RFC 6120 section 8.3).

use crate::ns;
use crate::xml::{Element, push_attr, push_text};
use compact_str::CompactString;
use std::fmt;

/// A stanza error (RFC 6120 section 8.3.2): type, condition, words for a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// What the sender may do about it; from the condition unless said otherwise.
    pub kind: ErrorType,
    /// One of the defined conditions.
    pub condition: Condition,
    /// Text for a human, in English.
    pub text: Option<CompactString>,
    /// Where to go instead: a URI, with `gone` and `redirect` only.
    pub uri: Option<CompactString>,
}

/// What the sender may do (RFC 6120 section 8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Proceed: it was only a warning.
    Continue,
    /// Retry after changing what was sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

/// Makes the conditions, their names on the wire and their usual types from one table.
macro_rules! conditions {
    ($($condition:ident $name:literal $kind:ident),* $(,)?) => {
        /// The defined conditions (RFC 6120 section 8.3.3), each with its usual error type.
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

            /// The condition of that name.
            pub fn of_name(name: &str) -> Option<Condition> {
                match name { $($name => Some(Condition::$condition),)* _ => None }
            }

            /// The type the RFC associates with it; where it leaves a choice, the milder one.
            pub fn kind(self) -> ErrorType {
                match self { $(Condition::$condition => ErrorType::$kind),* }
            }
        }
    };
}

conditions! {
    BadRequest "bad-request" Modify,
    Conflict "conflict" Cancel,
    FeatureNotImplemented "feature-not-implemented" Cancel,
    Forbidden "forbidden" Auth,
    Gone "gone" Cancel,
    InternalServerError "internal-server-error" Cancel,
    ItemNotFound "item-not-found" Cancel,
    JidMalformed "jid-malformed" Modify,
    NotAcceptable "not-acceptable" Modify,
    NotAllowed "not-allowed" Cancel,
    NotAuthorized "not-authorized" Auth,
    PolicyViolation "policy-violation" Modify,
    RecipientUnavailable "recipient-unavailable" Wait,
    Redirect "redirect" Modify,
    RegistrationRequired "registration-required" Auth,
    RemoteServerNotFound "remote-server-not-found" Cancel,
    RemoteServerTimeout "remote-server-timeout" Wait,
    ResourceConstraint "resource-constraint" Wait,
    ServiceUnavailable "service-unavailable" Cancel,
    SubscriptionRequired "subscription-required" Auth,
    UndefinedCondition "undefined-condition" Cancel,
    UnexpectedRequest "unexpected-request" Wait,
}

impl StanzaError {
    /// That condition with its usual type and no text.
    pub fn new(condition: Condition) -> StanzaError {
        StanzaError { kind: condition.kind(), condition, text: None, uri: None }
    }

    /// The same with words for a human.
    pub fn with_text(mut self, text: impl Into<CompactString>) -> StanzaError {
        self.text = Some(text.into());
        self
    }

    /// The same with another type than the usual one.
    pub fn with_type(mut self, kind: ErrorType) -> StanzaError {
        self.kind = kind;
        self
    }

    /// Writes the `<error/>` element, for a stanza in `jabber:client`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = self.condition.name().as_bytes();
        out.extend_from_slice(b"<error type='");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.extend_from_slice(b"'><");
        out.extend_from_slice(name);
        out.extend_from_slice(b" xmlns='");
        push_attr(out, ns::STANZA_ERRORS);
        match &self.uri {
            Some(uri) => {
                out.extend_from_slice(b"'>");
                push_text(out, uri);
                out.extend_from_slice(b"</");
                out.extend_from_slice(name);
                out.push(b'>');
            }
            None => out.extend_from_slice(b"'/>"),
        }
        if let Some(text) = &self.text {
            out.extend_from_slice(b"<text xmlns='");
            push_attr(out, ns::STANZA_ERRORS);
            out.extend_from_slice(b"' xml:lang='en'>");
            push_text(out, text);
            out.extend_from_slice(b"</text>");
        }
        out.extend_from_slice(b"</error>");
    }

    /// Reads an `<error/>` element. A type that is missing or unknown is taken from the condition, a
    /// condition that is unknown is `undefined-condition` (RFC 6120 section 8.3.3.21); `None` when the
    /// element names no condition at all.
    pub fn read(error: &Element<'_>) -> Option<StanzaError> {
        let mut found: Option<StanzaError> = None;
        let mut text = None;
        for child in error.children().filter(|c| c.ns() == ns::STANZA_ERRORS) {
            if child.name() == "text" {
                text = Some(CompactString::from(child.text()));
                continue;
            }
            let condition = Condition::of_name(child.name()).unwrap_or(Condition::UndefinedCondition);
            let said = child.text();
            let uri = matches!(condition, Condition::Gone | Condition::Redirect) && !said.is_empty();
            found = Some(StanzaError { uri: uri.then(|| said.into()), ..StanzaError::new(condition) });
        }
        let mut found = found?;
        found.text = text;
        if let Some(kind) = error.attr("type").as_deref().and_then(ErrorType::of_name) {
            found.kind = kind;
        }
        Some(found)
    }
}

impl From<Condition> for StanzaError {
    fn from(condition: Condition) -> StanzaError {
        StanzaError::new(condition)
    }
}

impl fmt::Display for StanzaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{}: {text}", self.condition.name()),
            None => f.write_str(self.condition.name()),
        }
    }
}

impl std::error::Error for StanzaError {}

impl ErrorType {
    /// The value of the `type` attribute.
    pub fn name(self) -> &'static str {
        match self {
            ErrorType::Auth => "auth",
            ErrorType::Cancel => "cancel",
            ErrorType::Continue => "continue",
            ErrorType::Modify => "modify",
            ErrorType::Wait => "wait",
        }
    }

    /// The type of that name.
    pub fn of_name(name: &str) -> Option<ErrorType> {
        Some(match name {
            "auth" => ErrorType::Auth,
            "cancel" => ErrorType::Cancel,
            "continue" => ErrorType::Continue,
            "modify" => ErrorType::Modify,
            "wait" => ErrorType::Wait,
            _ => return None,
        })
    }
}
