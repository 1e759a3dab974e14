//! The user actor, the session manager, the router and the hooks.
//!
//! | room | what is in it |
//! |---|---|
//! | [`sessions`] | the session manager: who has an actor, binding, sendto, presence, drain |
//! | [`link`] | what a connection driver is to a user, and what it is handed |
//! | [`push`] | what a backend asks, and is told |
//! | [`events`] | what happens to users, for somebody who watches |
//! | [`log`] | messages as they are kept |
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
pub mod events;
pub mod hooks;
pub mod link;
pub mod log;
pub mod push;
mod seat;
mod sendto;
pub mod sessions;
pub mod settings;
pub mod subscription;
pub mod user;
mod world;

pub use actor::MAILBOX_BYTES_MAX;
pub use clock::{Clock, Now, SystemClock};
pub use events::{Event, Observer};
pub use hooks::{Module, Modules, Turn};
pub use link::{Binding, Close, Copies, Delivery, Link, LinkInfo, Parcel, Receipt, Transport};
pub use push::{
    Keep, OnlyIf, PresenceInfo, Push, ResourceInfo, SendtoResult, SendtoState, SessionInfo, Stats, Terms, Uid, WhenFull,
};
pub use seat::{Gone, Seat};
pub use sessions::Sessions;
pub use settings::Settings;
