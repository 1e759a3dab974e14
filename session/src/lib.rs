//! The user actor, the session manager, the router and the hooks.
//!
//! | room | what is in it |
//! |---|---|
//! | [`sessions`] | the session manager: who has an actor, binding, sendto, presence, drain |
//! | [`link`] | what a connection driver is to a user, and what it is handed |
//! | [`hooks`] | how a feature hangs itself on the user actor |
//! | [`user`] | the user as a machine without I/O: resources, roster, presence, delivery |
//! | [`subscription`] | the state machine of RFC 6121 section 3 and appendix A, as tables |
//! | [`delivery`] | RFC 6121 section 8.5 as one pure function |
//! | [`clock`], [`settings`] | time and randomness as values; every bound |
//!
//! A user's actor wraps one [`user::User`]: mail goes in, what it asks is done in order, and while it
//! waits for the store its mailbox waits too. No user ever waits for another user.

mod actor;
pub mod clock;
pub mod delivery;
pub mod hooks;
pub mod link;
pub mod push;
pub mod sessions;
pub mod settings;
pub mod subscription;
pub mod user;
mod world;

pub use actor::MAILBOX_BYTES_MAX;
pub use clock::{Clock, Now, SystemClock};
pub use hooks::{Module, Modules, Turn};
pub use link::{Binding, Close, Copies, Delivery, Link, LinkInfo, Parcel, Receipt, Transport};
pub use push::{Keep, PresenceInfo, Push, ResourceInfo, SendtoResult, SendtoState, SessionInfo, Stats, Uid};
pub use sessions::{Gone, Seat, Sessions};
pub use settings::Settings;
