//! Addresses (RFC 7622), parsed once at the edge.
//!
//! A [`Jid`] is a counted pointer to its text, eight bytes: whoever has the same address has the same text, and the bare
//! address of a full one is that text, too. Equality, order and hash are those of the text: two JIDs are the same address
//! exactly when they are equal, and a map keyed by JIDs can be asked with a prepared `&str`.

mod prepare;
mod text;

use compact_str::CompactString;
use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use text::Text;

/// The longest localpart, domainpart or resourcepart, in bytes after preparation (RFC 7622 section 3.1).
/// A longer one is refused with [`JidError::TooLong`].
pub const PART_BYTES_MAX: usize = 1023;

/// A resourcepart, prepared with OpaqueString (RFC 7622 section 3.4). 1 to 1023 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(CompactString);

/// `[local@]domain[/resource]`, normalised: two JIDs are the same address exactly when they are equal. Cloning shares it.
#[derive(Clone)]
pub struct Jid(Text);

/// A [`Jid`] without a resource.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct BareJid(Jid);

/// A [`Jid`] with a resource.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
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
    /// A bare JID was wanted and this one has a resource.
    #[error("the address has a resource where none is allowed")]
    HasResource,
    /// A full JID was wanted and this one has no resource.
    #[error("the address has no resource")]
    NoResource,
}

impl Resource {
    /// Prepares a resourcepart.
    pub fn new(s: &str) -> Result<Resource, JidError> {
        Ok(Resource(CompactString::from(prepare::resource(s)?)))
    }

    /// The prepared text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Jid {
    /// An address from its parts, each prepared here.
    pub fn new(local: Option<&str>, domain: &str, resource: Option<&str>) -> Result<Jid, JidError> {
        let local = local.map(prepare::local).transpose()?;
        let domain = prepare::domain(domain)?;
        let resource = resource.map(prepare::resource).transpose()?;
        Ok(Jid::assemble(local.as_deref(), &domain, resource.as_deref()))
    }

    /// The localpart, when there is one.
    pub fn local(&self) -> Option<&str> {
        let at = self.0.local_len();
        (at > 0).then(|| &self.as_str()[..at])
    }

    /// The domainpart.
    pub fn domain(&self) -> &str {
        let at = self.0.local_len();
        let from = if at > 0 { at + 1 } else { 0 };
        &self.as_str()[from..self.0.slash()]
    }

    /// The resourcepart, when there is one.
    pub fn resource(&self) -> Option<&str> {
        self.as_str().get(self.0.slash() + 1..)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text without the resource: what a map of bare JIDs can be asked with, nothing copied.
    pub fn bare_str(&self) -> &str {
        &self.as_str()[..self.0.slash()]
    }

    /// The same address without its resource; it shares the text, unless the resource is a long one.
    pub fn to_bare(&self) -> BareJid {
        BareJid(Jid(self.0.to_bare()))
    }

    /// The same address with that resource in place of its own.
    pub fn with(&self, resource: &Resource) -> FullJid {
        FullJid(Jid(Text::new(self.local().unwrap_or_default(), self.domain(), resource.as_str())))
    }

    /// The address as a bare JID, when it has no resource.
    pub fn as_bare(&self) -> Option<&BareJid> {
        // SAFETY: BareJid is repr(transparent) over Jid, so the two references have one layout.
        self.is_bare().then(|| unsafe { &*std::ptr::from_ref(self).cast::<BareJid>() })
    }

    /// The address as a full JID, when it has a resource.
    pub fn as_full(&self) -> Option<&FullJid> {
        // SAFETY: FullJid is repr(transparent) over Jid, so the two references have one layout.
        (!self.is_bare()).then(|| unsafe { &*std::ptr::from_ref(self).cast::<FullJid>() })
    }

    /// Is there no resource?
    pub fn is_bare(&self) -> bool {
        self.0.is_bare()
    }

    /// The parts are prepared.
    fn assemble(local: Option<&str>, domain: &str, resource: Option<&str>) -> Jid {
        Jid(Text::new(local.unwrap_or_default(), domain, resource.unwrap_or_default()))
    }
}

impl BareJid {
    /// `local@domain` from parts: the local part is prepared, the domain too.
    pub fn new(local: Option<&str>, domain: &str) -> Result<BareJid, JidError> {
        Jid::new(local, domain, None).map(BareJid)
    }

    /// The address whose text this is: it has come from [`as_str`](Jid::as_str), so that nothing is prepared.
    pub fn of_text(text: &str) -> BareJid {
        let local = memchr::memchr(b'@', text.as_bytes()).unwrap_or(0);
        let jid = BareJid(Jid(Text::of(text, local, text.len())));
        debug_assert_eq!(text.parse().as_ref(), Ok(&jid), "it was no bare address");
        jid
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

    /// The same as a value of its own.
    pub fn to_resource(&self) -> Resource {
        Resource(CompactString::new(self.resource()))
    }
}

impl FromStr for Jid {
    type Err = JidError;

    /// RFC 7622 section 3.2: the first `/` ends the bare part, the first `@` before it ends the localpart.
    fn from_str(s: &str) -> Result<Jid, JidError> {
        let (bare, resource) = match memchr::memchr(b'/', s.as_bytes()) {
            Some(i) => (&s[..i], Some(&s[i + 1..])),
            None => (s, None),
        };
        let (local, domain) = match memchr::memchr(b'@', bare.as_bytes()) {
            Some(i) => (Some(&bare[..i]), &bare[i + 1..]),
            None => (None, bare),
        };
        let local = local.map(prepare::local).transpose()?;
        let domain = prepare::domain(domain)?;
        let resource = resource.map(prepare::resource).transpose()?;
        let as_written = |part: &Option<Cow<'_, str>>| !matches!(part, Some(Cow::Owned(_)));
        // Nearly always it is as it should be, down to the missing dot at the end of the domain.
        if as_written(&local) && as_written(&resource) && matches!(domain, Cow::Borrowed(_)) && !bare.ends_with('.') {
            let at = local.map_or(0, |l| l.len());
            return Ok(Jid(Text::of(s, at, bare.len())));
        }
        Ok(Jid::assemble(local.as_deref(), &domain, resource.as_deref()))
    }
}

impl FromStr for BareJid {
    type Err = JidError;
    fn from_str(s: &str) -> Result<BareJid, JidError> {
        BareJid::try_from(s.parse::<Jid>()?)
    }
}

impl FromStr for FullJid {
    type Err = JidError;
    fn from_str(s: &str) -> Result<FullJid, JidError> {
        FullJid::try_from(s.parse::<Jid>()?)
    }
}

impl FromStr for Resource {
    type Err = JidError;
    fn from_str(s: &str) -> Result<Resource, JidError> {
        Resource::new(s)
    }
}

impl TryFrom<Jid> for BareJid {
    type Error = JidError;
    fn try_from(j: Jid) -> Result<BareJid, JidError> {
        if j.is_bare() { Ok(BareJid(j)) } else { Err(JidError::HasResource) }
    }
}

impl TryFrom<Jid> for FullJid {
    type Error = JidError;
    fn try_from(j: Jid) -> Result<FullJid, JidError> {
        if j.is_bare() { Err(JidError::NoResource) } else { Ok(FullJid(j)) }
    }
}

impl PartialEq for Jid {
    fn eq(&self, other: &Jid) -> bool {
        self.0.is(&other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for Jid {}

impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Jid) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Jid) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

macro_rules! text {
    ($($t:ty),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl fmt::Debug for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl AsRef<str> for $t {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
        impl Borrow<str> for $t {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }
    )*};
}
text!(Resource, Jid, BareJid, FullJid);

macro_rules! is_a_jid {
    ($($t:ty),*) => {$(
        impl std::ops::Deref for $t {
            type Target = Jid;
            fn deref(&self) -> &Jid {
                &self.0
            }
        }
        impl AsRef<Jid> for $t {
            fn as_ref(&self) -> &Jid {
                &self.0
            }
        }
        impl Borrow<Jid> for $t {
            fn borrow(&self) -> &Jid {
                &self.0
            }
        }
        impl From<$t> for Jid {
            fn from(j: $t) -> Jid {
                j.0
            }
        }
    )*};
}
is_a_jid!(BareJid, FullJid);
