//! BOSH (XEP-0124 1.11 and XEP-0206 1.4) as a machine without I/O: no socket, no clock, no randomness.
//!
//! A [`Body`] is one request, read once and strictly. A [`Session`] takes requests in whatever order
//! the network brings them, sends their payload up in rid order, holds them, and answers them with
//! what is to go down. It is generic over the [`Item`] that goes down, and gives every item back:
//! as [`Output::Acked`] once the client is known to have it, or undelivered when the session ends.
//!
//! ```text
//!   POST --Body::parse--> Input::Post --> Session --> Output::Payload --> the XMPP stream
//!   HTTP answer <-------- Output::Answer <--   <-- Session::down(item) <------ its stanzas
//! ```
//!
//! The driver's turn: `handle(now, input)`, then `poll()` until `None`, then sleep until `deadline()`
//! and `handle(now, Input::Tick)`. **`poll` gives everything that goes up before it makes an answer.**
//! So what the stream above has to say at once is put into the same answer: call [`Session::down`]
//! as soon as it is known, also between two `poll`s. What comes a little later is waited for only
//! where it saves a request: when a client that polls, or one that has another request open, asks
//! something (an iq, a step of SASL), `deadline` is [`Settings::settle_ms`] away and the empty answer
//! that the rules of hold call for is made only then.
//!
//! Answers to requests that have no session are made by [`Answer`] and [`Refused`].

mod body;
mod condition;
mod ids;
mod keys;
mod session;
mod settings;
mod write;

pub use body::{Ask, Body, Payload};
pub use condition::{Answer, CONTENT_TYPE, Condition, Refused};
pub use ids::{Rid, Sid, Ticket, Version};
pub use session::{Close, Input, Item, Output, Session};
pub use settings::Settings;
