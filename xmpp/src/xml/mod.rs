//! XML as XMPP allows it (RFC 6120 section 11): frame first, then check the whole piece, then read it.
//!
//! | step | what it does |
//! |---|---|
//! | [`Framer`] | finds where each top-level piece of a byte stream ends; a few bytes of state, no buffer |
//! | [`check`] | the strict layer: everything XMPP forbids is refused, within [`Limits`] |
//! | [`Element`] | a read view of a checked element: names resolved, references resolved, bytes as they came |
//! | [`escape_text`] and its sisters | writing |
//!
//! [`Scope`] is the set of namespace bindings in force around an element: a stanza is read as a
//! slice, without the stream header that declared its namespace.

mod chars;
mod check;
mod element;
mod escape;
mod framer;
mod scope;
mod tag;

pub use check::{check, check_declaration, check_start_tag};
pub use element::{Children, Element, Node, Nodes};
pub use escape::{escape_attr, escape_text, push_attr, push_text};
pub use framer::{Framer, Piece, PieceKind};
pub use scope::Scope;

pub(crate) use chars::{resolve_attr, split_name};
pub(crate) use element::{mentions, push_decl};
pub(crate) use tag::{Tag, declared_prefix};

/// How much of a top-level element is taken. What is over a limit is refused with the error named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one top-level element, or of a stream header: [`XmlError::TooLarge`].
    pub bytes_max: usize,
    /// Elements inside one another, the outermost counted: [`XmlError::TooDeep`].
    pub depth_max: u32,
    /// Attributes of one element, namespace declarations counted: [`XmlError::TooMany`].
    pub attrs_max: u32,
    /// Elements in one top-level element, itself counted: [`XmlError::TooMany`].
    pub elements_max: u32,
}

impl Limits {
    /// 256 KiB, 64 deep, 128 attributes, 8192 elements.
    pub const DEFAULT: Limits = Limits { bytes_max: 262_144, depth_max: 64, attrs_max: 128, elements_max: 8192 };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}

/// Why a piece of XML is refused. The words name the rule, for a log or the text of an error.
///
/// As a stream error (RFC 6120 section 4.9.3): `NotWellFormed` and `UnboundPrefix` are
/// `not-well-formed`, `Restricted` is `restricted-xml`, `BadUtf8` and `UnsupportedEncoding` are
/// `unsupported-encoding`, the three limits are `policy-violation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Against XML 1.0 or Namespaces in XML 1.0.
    #[error("not well-formed: {0}")]
    NotWellFormed(&'static str),
    /// Well-formed perhaps, but forbidden by RFC 6120 section 11.1: DTD, comment, processing instruction.
    #[error("not allowed in XMPP: {0}")]
    Restricted(&'static str),
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    BadUtf8,
    /// Another encoding than UTF-8 is declared or seen (RFC 6120 section 11.6).
    #[error("the encoding is not UTF-8")]
    UnsupportedEncoding,
    /// A prefix that nothing in scope declares.
    #[error("a prefix is not bound to a namespace")]
    UnboundPrefix,
    /// Over [`Limits::bytes_max`].
    #[error("too many bytes in one element")]
    TooLarge,
    /// Over [`Limits::depth_max`].
    #[error("elements nested too deep")]
    TooDeep,
    /// Over [`Limits::attrs_max`] or [`Limits::elements_max`]; the word says of what.
    #[error("too many {0}")]
    TooMany(&'static str),
}
