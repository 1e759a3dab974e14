//! XMPP without I/O: no socket, no clock, no randomness of its own.
//!
//! | room | what is in it |
//! |---|---|
//! | [`xml`] | framing a growing buffer, the strict check, reading and writing elements |
//! | [`jid`] | addresses (RFC 7622), parsed once at the edge |
//! | [`stanza`] | message, presence and iq: typed outside, their payload left as the bytes it came in |
//! | [`sasl`] | SCRAM-SHA-256, SCRAM-SHA-1, their -PLUS, PLAIN |
//! | [`stream`] | framings for TCP (RFC 6120) and WebSocket (RFC 7395), and the client-to-server machine |
//! | [`ns`] | the namespaces, by name |
//!
//! Every machine has one shape: `handle(now, input)`, then `poll()` until `None`, and `deadline()`.

pub mod jid;
pub mod ns;
pub mod sasl;
pub mod stanza;
pub mod stream;
pub mod xml;

pub use jid::{BareJid, FullJid, Jid, Resource};
pub use stanza::{Condition, IqType, Kind, MessageType, PresenceType, Refusal, Stanza, StanzaError};
