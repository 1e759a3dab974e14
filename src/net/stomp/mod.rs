//! STOMP 1.2 (and 1.1, 1.0) over WebSocket, for pages that use `@stomp/stompjs` and the like. `docs/stomp.md` says what
//! the destinations mean.
//!
//! A client is one more resource of its user, a follower: a subscription to `/user/queue/push` has a cursor in the
//! user's log (see [`feed`](super::feed)), `message-id` is the number there, and `last-id` goes on behind it, on
//! whatever connection.
//!
//! | file | what is in it |
//! |---|---|
//! | `codec.rs` | frames as bytes |
//! | `letters.rs` | between frames and stanzas |
//! | `subscription.rs` | a subscription: where it stands in the log, and what is acknowledged |
//! | `session.rs`, `session/say.rs` | one client, without I/O, and what it is told |
//! | `mailbox.rs` | what the user's actor has for it |
//! | `conn.rs`, `conn/door.rs` | the task of a connection, and what it waits for when a client comes in |
//!
//! A page of any origin may connect: nothing is granted by where a page came from, or by a cookie, but by the passcode
//! in CONNECT, so there is nothing that another site could borrow (RFC 6455 section 10.2).

mod codec;
mod conn;
mod letters;
mod mailbox;
mod session;
mod subscription;

pub(crate) use conn::spawn;
pub(crate) use session::Settings;

/// The sub-protocols, the one we like best first.
pub(crate) const PROTOCOLS: [&str; 3] = ["v12.stomp", "v11.stomp", "v10.stomp"];

/// Where clients connect.
pub(crate) fn is_path(path: &str) -> bool {
    matches!(path, "/stomp" | "/stomp/")
}
