//! Addresses (RFC 7622), parsed once at the edge.
//!
//! A [`Jid`] is one string with two marks in it, so that short ones need no heap at all.

use compact_str::CompactString;
use std::fmt;
use std::str::FromStr;

/// A resourcepart, prepared with OpaqueString (RFC 7622 section 3.4). 1 to 1023 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(CompactString);

/// `[local@]domain[/resource]`, normalised: two JIDs are the same address exactly when they are equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jid {
    text: CompactString,
    at: u16,    // length of the localpart; 0 when there is none
    slash: u16, // where the bare part ends
}

/// A [`Jid`] without a resource.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BareJid(Jid);

/// A [`Jid`] with a resource.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FullJid(Jid);

/// Why a string is no address. The message names the part and the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JidError {
    /// A part is empty where it must not be.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// A part is longer than 1023 bytes.
    #[error("the {0} is longer than 1023 bytes")]
    TooLong(&'static str),
    /// A part holds something its profile does not allow.
    #[error("the {0} holds a character that is not allowed there")]
    Forbidden(&'static str),
}

impl Resource {
    /// Prepares a resourcepart.
    pub fn new(s: &str) -> Result<Resource, JidError> {
        let _ = s;
        todo!()
    }
    /// The prepared text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Jid {
    /// The localpart, when there is one.
    pub fn local(&self) -> Option<&str> {
        (self.at > 0).then(|| &self.text[..self.at as usize])
    }
    /// The domainpart.
    pub fn domain(&self) -> &str {
        let from = if self.at > 0 { self.at as usize + 1 } else { 0 };
        &self.text[from..self.slash as usize]
    }
    /// The resourcepart, when there is one.
    pub fn resource(&self) -> Option<&str> {
        self.text.get(self.slash as usize + 1..)
    }
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// The same address without its resource.
    pub fn to_bare(&self) -> BareJid {
        todo!()
    }
    /// The address as a full JID, when it has a resource.
    pub fn as_full(&self) -> Option<&FullJid> {
        todo!()
    }
    /// Is there no resource?
    pub fn is_bare(&self) -> bool {
        self.resource().is_none()
    }
}

impl BareJid {
    /// `local@domain` from parts: the local part is prepared, the domain too.
    pub fn new(local: Option<&str>, domain: &str) -> Result<BareJid, JidError> {
        let _ = (local, domain);
        todo!()
    }
    /// This address with a resource.
    pub fn with(&self, resource: &Resource) -> FullJid {
        let _ = resource;
        todo!()
    }
    /// The address as a [`Jid`].
    pub fn as_jid(&self) -> &Jid {
        &self.0
    }
}

impl FullJid {
    /// The address as a [`Jid`].
    pub fn as_jid(&self) -> &Jid {
        &self.0
    }
    /// The resource, always there.
    pub fn resource(&self) -> &str {
        self.0.resource().unwrap_or_default()
    }
}

impl std::ops::Deref for BareJid {
    type Target = Jid;
    fn deref(&self) -> &Jid {
        &self.0
    }
}

impl std::ops::Deref for FullJid {
    type Target = Jid;
    fn deref(&self) -> &Jid {
        &self.0
    }
}

impl From<BareJid> for Jid {
    fn from(j: BareJid) -> Jid {
        j.0
    }
}

impl From<FullJid> for Jid {
    fn from(j: FullJid) -> Jid {
        j.0
    }
}

impl FromStr for Jid {
    type Err = JidError;
    fn from_str(s: &str) -> Result<Jid, JidError> {
        let _ = s;
        todo!()
    }
}

macro_rules! text {
    ($($t:ty),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}
text!(Resource, Jid, BareJid, FullJid);
// Also: FromStr for BareJid, FullJid, Resource.
