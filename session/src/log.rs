//! Messages as they stand in the log of a user.
//!
//! A stanza is kept as it came, with its namespace. When it is not for all resources it says so in a child of its own,
//! which no client gets to see: `<not-for xmlns='urn:herald:log:0' resource='tab'/>`.

use crate::link::Parcel;
use bytes::Bytes;
use herald_xmpp::xml::{Scope, push_attr};
use herald_xmpp::{Resource, Stanza};
use memchr::memmem;

/// The namespace of what is ours alone.
const NS: &str = "urn:herald:log:0";

/// A message that was read from the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// It is this one.
    Message(Stanza),
    /// This resource is not to be handed it ([`Terms::exclude`](crate::Terms::exclude)).
    NotForIt,
    /// It cannot be read.
    Broken,
}

/// Reads what [`Kept::stanza`](herald_storage::Kept) holds, for a resource, or for nobody special.
pub fn read(kept: &[u8], resource: Option<&str>) -> Entry {
    let stanza = std::str::from_utf8(kept).ok().and_then(|text| Stanza::parse(text, &Scope::NONE).ok());
    let Some(mut stanza) = stanza else { return Entry::Broken };
    if has_ours(&stanza) {
        let is_name = |name: &str| resource == Some(name);
        if stanza.child("not-for", NS).is_some_and(|e| e.attr("resource").is_some_and(|r| is_name(&r))) {
            return Entry::NotForIt;
        }
        stanza.payload = without_ours(&stanza).into();
    }
    Entry::Message(stanza)
}

/// Writes a message as it is kept. `shared`: once for many users, so it names none.
pub(crate) fn write(parcel: &Parcel, shared: bool, exclude: Option<&Resource>) -> Bytes {
    let to = parcel.to.as_ref().filter(|_| !shared);
    let mut out = Vec::with_capacity(parcel.stanza.bytes_len() + 64);
    let is_forged = has_ours(&parcel.stanza);
    if exclude.is_none() && !is_forged {
        parcel.stanza.write(to, true, &mut out);
        return out.into();
    }
    let mut stanza = Stanza::clone(&parcel.stanza);
    let mut payload = if is_forged { without_ours(&stanza) } else { stanza.payload.to_vec() };
    if let Some(resource) = exclude {
        payload.extend_from_slice(b"<not-for xmlns='");
        payload.extend_from_slice(NS.as_bytes());
        payload.extend_from_slice(b"' resource='");
        push_attr(&mut payload, resource.as_str());
        payload.extend_from_slice(b"'/>");
    }
    stanza.payload = payload.into();
    stanza.write(to, true, &mut out);
    out.into()
}

fn has_ours(stanza: &Stanza) -> bool {
    memmem::find(&stanza.payload, NS.as_bytes()).is_some()
}

/// Its payload without what only we may say.
fn without_ours(stanza: &Stanza) -> Vec<u8> {
    stanza.children().filter(|c| c.ns() != NS).flat_map(|c| c.raw().bytes()).collect()
}
