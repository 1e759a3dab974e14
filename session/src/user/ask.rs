//! What a user is told, and what it asks.

use crate::events::Event;
use crate::link::{Binding, Close, Delivery, Link, Parcel, Receipt};
use crate::push::{PresenceInfo, SendtoState, SessionInfo, Terms};
use crate::sendto::Screened;
use bytes::Bytes;
use compact_str::CompactString;
use herald_storage::{Appended, Beginning, Kept, NewMessage, Roster, RosterChange, RosterItem, StoreError};
use herald_xmpp::{BareJid, FullJid, Resource, Stanza, StanzaError};
use std::sync::Arc;
use tokio::sync::oneshot;

/// One thing that happened to a user. It stands in a mailbox, so what is large and rare is boxed.
pub enum Input {
    /// The first of all: read what is known about the user. Nothing else comes before it.
    Start,
    /// A client binds a resource.
    Bind(Box<Bind>),
    /// A client of this user sent a stanza; its `from` is stamped.
    Sent(Binding, Arc<Stanza>),
    /// A stanza for this user.
    Arrived(Parcel),
    /// A backend sends a message, or a user does who wants to hear what became of it.
    Push(Box<Pushed>),
    /// A client of this user is about to send these: do they pass?
    Screen(Binding, Box<ToScreen>),
    /// A connection wrote what had this receipt, or its client acknowledged it.
    Acked(Binding, Receipt),
    /// One that follows the log: its client has everything up to this number.
    ReadTo(u64),
    /// A connection that was full has room again.
    Room(Binding),
    /// A connection ended, and gives back what it had not delivered, oldest first.
    Unbind(Binding, Box<[Delivery]>),
    /// A link did not take what [`Ask::Deliver`] handed it.
    Refused(Binding, Box<Delivery>),
    /// The answer to [`Ask::Store`].
    Stored(Box<Result<Answer, StoreError>>),
    /// The answer to the [`Ask::Keep`] of that number.
    Kept(u64, Box<Result<Appended, StoreError>>),
    /// The answer to [`Ask::Mark`]: these ids are marked, or (`false`) may not be.
    Marked(Vec<u64>, bool),
    /// The answer to the [`Ask::MarkTo`] of that number: how many are pending.
    MarkedTo(u64, Box<Result<u64, StoreError>>),
    /// End the connections, of one resource or of all; how many were there.
    Close(Box<(Option<Resource>, Close, oneshot::Sender<u32>)>),
    /// The account is gone: forget it all, end all connections.
    Deleted(oneshot::Sender<()>),
    /// Is the user there?
    Presence(oneshot::Sender<PresenceInfo>),
    /// Which resources are bound?
    Sessions(oneshot::Sender<Vec<SessionInfo>>),
    /// The time of [`User::deadline`](super::User::deadline) has come.
    Tick,
}

/// A client binds a resource.
pub struct Bind {
    /// The address it wants, of this user.
    pub jid: FullJid,
    /// The connection.
    pub link: Arc<dyn Link>,
    /// What it is called from now on.
    pub binding: Binding,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<(), StanzaError>>,
}

/// A message from a backend.
pub struct Pushed {
    /// The message.
    pub parcel: Parcel,
    /// On which terms.
    pub terms: Arc<Terms>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Outcome>,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// In a word.
    pub state: SendtoState,
    /// How many sessions it was handed to.
    pub sessions: u32,
    /// Its number, when it was kept.
    pub id: Option<u64>,
    /// It had been kept before, by [`Terms::once`].
    pub repeated: bool,
}

impl Outcome {
    /// This, and nothing more to say.
    pub fn only(state: SendtoState) -> Outcome {
        Outcome { state, sessions: 0, id: None, repeated: false }
    }
}

/// Parcels that a client is about to send, and where those go that pass.
pub type ToScreen = (Vec<Screened>, oneshot::Sender<Vec<Screened>>);

/// What a user asks of the actor around it, in order.
pub enum Ask {
    /// Hand this to the connection; when it is not taken, say [`Input::Refused`].
    Deliver(Binding, Arc<dyn Link>, Delivery),
    /// End the connection.
    Close(Arc<dyn Link>, Close),
    /// Send it to another user, or nowhere.
    Route(Parcel),
    /// Ask the store. Nothing else happens to this user before [`Input::Stored`].
    Store(Query),
    /// Keep a message. [`Input::Kept`] comes later, with the same number; mail goes on meanwhile, so
    /// that many are kept at once.
    Keep(u64, NewMessage),
    /// Mark kept messages as delivered; [`Input::Marked`] may come any time later.
    Mark(Vec<u64>),
    /// Mark all kept messages up to this number as delivered; [`Input::MarkedTo`] may come any time later.
    MarkTo(u64),
    /// The user has gone offline at that time, in milliseconds since 1970 UTC: keep that. Nobody waits.
    Seen(i64),
    /// Tell whoever watches.
    Tell(Box<Event>),
    /// Nobody needs this actor now.
    Stop,
}

/// A question to the store, about this user.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // the methods of the store's traits, one by one
pub enum Query {
    Beginning,
    Roster,
    PutItem(Box<RosterItem>),
    RemoveItem(BareJid),
    RosterSince(u64),
    Append(NewMessage),
    Reserve(u32),
    AppendAt(u64, NewMessage),
    Pending { after: u64, limit: u32, bytes_max: usize },
    Delivered(Vec<u64>),
    DeliveredTo(u64),
    PendingCount,
    Private { space: CompactString, key: CompactString },
    PutPrivate { space: CompactString, key: CompactString, value: Option<Bytes> },
}

/// What the store said.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // see the store's traits
pub enum Answer {
    Beginning(Option<Beginning>),
    Roster(Roster),
    Version(u64),
    Changes(Option<Vec<RosterChange>>),
    Appended(Appended),
    Reserved(u64),
    Pending(Vec<Kept>),
    Count(u64),
    Private(Option<Bytes>),
    Done,
}
