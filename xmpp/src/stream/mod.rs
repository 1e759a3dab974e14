//! Streams between a client and its server (RFC 6120 section 4), without I/O.
//!
//! | room | what is in it |
//! |---|---|
//! | [`tcp`] | the framing of RFC 6120: one long document |
//! | [`ws`] | the framing of RFC 7395: one element in each WebSocket message |
//! | [`c2s`] | the machine: header, TLS, login, binding, then stanzas |
//! | [`sm`] | stream management (XEP-0198): what is not acknowledged yet |
//! | [`StreamError`] | the conditions that end a stream |
//!
//! A framing turns bytes into [`Open`], elements and the close; the machine knows no framing. BOSH
//! has its own, in the `bosh` crate.

pub mod c2s;
mod error;
pub mod sm;
pub mod tcp;
pub mod ws;

pub use error::{Condition, StreamError};

use crate::ns;
use crate::xml::{Element, push_attr};
use compact_str::CompactString;

/// The header of a stream, from either side, whatever the framing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Whom the sender wants: as it was written, not yet an address.
    pub to: Option<CompactString>,
    /// Who the sender says it is. Never believed.
    pub from: Option<CompactString>,
    /// The server's name for the stream.
    pub id: Option<CompactString>,
    /// `xml:lang`: the language of what says none itself.
    pub lang: Option<CompactString>,
    /// The version, major then minor. `None` when it is not given; 0.0 when it is no version.
    pub version: Option<(u16, u16)>,
    /// The namespace of stanzas that name none: `jabber:client`, or what the peer has for it.
    pub xmlns: CompactString,
}

impl Open {
    /// Reads the attributes that all framings share.
    fn read(element: &Element<'_>, xmlns: &str) -> Open {
        let attr = |name| element.attr(name).map(CompactString::from);
        Open {
            to: attr("to"),
            from: attr("from"),
            id: attr("id"),
            lang: element.attr_ns(ns::XML, "lang").map(CompactString::from),
            version: element.attr("version").map(|v| version(&v).unwrap_or((0, 0))),
            xmlns: xmlns.into(),
        }
    }

    /// Writes the attributes that all framings share.
    fn write_attrs(&self, out: &mut Vec<u8>) {
        let mut attr = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            push_attr(out, value);
            out.push(b'\'');
        };
        let fields = [(" from='", &self.from), (" to='", &self.to), (" id='", &self.id), (" xml:lang='", &self.lang)];
        for (name, value) in fields {
            if let Some(value) = value {
                attr(name, value);
            }
        }
        if let Some((major, minor)) = self.version {
            attr(" version='", &format!("{major}.{minor}"));
        }
    }
}

/// `major.minor`, each a number that may have leading zeros (RFC 6120 section 4.7.5).
fn version(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once('.')?;
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?;
    Some((number(major)?, number(minor)?))
}
