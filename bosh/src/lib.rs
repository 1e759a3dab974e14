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
//! # The driver's turn
//!
//! `handle(now, input)`, then `poll()` until `None`, then sleep until `deadline()` and
//! `handle(now, Input::Tick)`. **`poll` gives everything that goes up before it makes an answer.** So
//! what the stream above has to say at once is put into the same answer: call [`Session::down`] as
//! soon as it is known, also between two `poll`s, and `poll` on.
//!
//! ```
//! use herald_bosh::*;
//! use herald_xmpp::xml::Limits;
//! # use std::{sync::Arc, time::Instant};
//! struct Xml(&'static str);
//! impl Item for Xml {
//!     fn write(&self, out: &mut Vec<u8>) { out.extend_from_slice(self.0.as_bytes()) }
//!     fn bytes_len(&self) -> usize { self.0.len() }
//! }
//! # #[allow(clippy::disallowed_methods)] // the reader's clock
//! # fn clock() -> Instant { Instant::now() }
//! # fn main() -> Result<(), Refused> {
//! # let (now, settings) = (clock(), Arc::new(Settings::default()));
//! let post = b"<body rid='7' to='example.com' ver='1.6' xmlns='http://jabber.org/protocol/httpbind'/>";
//! let body = Body::parse(post, &Limits::DEFAULT)?; // refused: Refused::answer, or Input::Broken
//! let mut session = Session::new(now, settings, Sid::new([1; 16]), "example.com", body, Ticket(1));
//! let mut answers = Vec::new();
//! while let Some(output) = session.poll() {
//!     match output {
//!         Output::Open { .. } => {
//!             let full = session.down(now, Xml("<stream:features/>"));
//!             assert!(full.is_ok());
//!         }
//!         Output::Answer { ticket, answer } => answers.push((ticket, answer)),
//!         _ => {} // Payload: its elements go to the stream; Ended, Gone: out of the table
//!     }
//! }
//! assert!(answers[0].1.body.ends_with(b"<stream:features/></body>"));
//! # Ok(())
//! # }
//! ```
//!
//! What comes a little later is waited for only where that saves the client a request: when one that
//! polls, or one that has another request open, asks something (an iq, a step of SASL), `deadline`
//! is [`Settings::settle_ms`] away, and the empty answer that the rules of hold call for is made only
//! then. A client with one request open, as every client has while it logs in, gets its answer in the
//! response to its own request however long that takes.
//!
//! Answers to requests that have no session are made by [`Answer`] and [`Refused`].
//!
//! # Where the XEP leaves a choice
//!
//! - A rid above the window ends the session; one too old to be answered again gets the same
//!   `item-not-found`, but the session goes on for the client that has the current rids (14.2, 14.3).
//! - A gap that is not closed within ten seconds gets a recoverable error; what came early is kept (17.3), and the
//!   client may go on beside the request it repeats, to five above the last in order. An empty request
//!   then means that nobody repeats anything (a page was loaded anew): the missing rid is skipped.
//! - Five responses are kept, or `requests` + 1 if that is more: Strophe.js, when it was attached to a session, may
//!   ask for the oldest of so many (14.3).
//! - A request that cannot be read ends its session, but not where keys are in use: it shows none (15).
//! - Of two empty requests too soon after each other, section 11 asks that the last be empty; we ask it
//!   of both, do not count one whose connection died, and take half of `polling` for too soon, since a
//!   network may bring requests closer together than they were sent.
//! - More than `requests` unanswered never come about: hold's surplus is answered first (11).
//! - The server acknowledges when the client says it will (9).
//! - An item counts as delivered when the client acknowledges it; when so many requests followed (five) that
//!   it could not have sent them without the answer; or, of a client that lets one request be held, when
//!   an empty request follows. Everything else comes back at the end, the stanzas of a last answer too.
//! - A session that ends while nobody waits gives back its items at once, and tells the next request why.

mod body;
mod condition;
mod ids;
mod keys;
mod session;
mod settings;
mod time;
mod usual;
mod write;

pub use body::{Ask, Body, Payload};
pub use condition::{Answer, CONTENT_TYPE, Condition, Refused};
pub use ids::{Rid, Sid, Ticket, Version};
pub use session::{Close, Input, Item, Output, Session};
pub use settings::Settings;
