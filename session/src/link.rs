//! What a connection is to a user, and what it is handed.

use compact_str::CompactString;
use herald_xmpp::{Jid, Stanza};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A bound connection, as its user sees it. Calls come from the user's actor and must not wait.
///
/// The other direction is [`Seat`](crate::Seat), which the driver of the connection holds.
///
/// There are two kinds. Most *acknowledge*: they are handed what was kept, and say [`Seat::acked`](crate::Seat::acked)
/// for each delivery that has a receipt. Those whose transport [follows](Transport::follows) the log have a cursor: the
/// number of the last kept message that their client has. They read from the store what is behind it, and take live
/// deliveries with a receipt for a hint: the stanza is as it was kept, without the stamps of the modules, and one that
/// does not come next, or finds no room, is read from the store later. They say [`Seat::read_to`](crate::Seat::read_to) when the
/// client has acknowledged, and are never handed kept messages page by page.
pub trait Link: Send + Sync + 'static {
    /// Takes a stanza to write to the client.
    ///
    /// `Err` gives it back: the link is full or gone. Its user then hands it nothing more until
    /// [`Seat::room`](crate::Seat::room), or closes it with [`Close::ResourceFull`] and waits for
    /// [`Seat::unbind`](crate::Seat::unbind). One that follows the log never gives back what has a receipt; a message
    /// that it does give back is let go, anything else that cannot be sent back closes it.
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery>;
    /// Ends the connection: the driver sends the stream error, then unbinds its seat and gives back
    /// what it had not delivered. A second call changes nothing.
    fn close(&self, why: Close);
    /// What it is, for an operator to see.
    fn info(&self) -> LinkInfo;
    /// How many stanzas it has taken and may yet give back. Asked when it is full; so many places are kept
    /// for them in the store, before what comes after them. Too many is no harm.
    fn waiting(&self) -> u32;
    /// A number that changes when the client takes something: a full link where it does not change for
    /// [`behind_secs`](crate::Settings::behind_secs) is closed. `None`: it finds out by itself that a
    /// client is gone, and ends.
    fn taken(&self) -> Option<u32>;
}

/// What a link carries down. Cloning shares the stanza.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The stanza; one copy for all who get it.
    pub stanza: Arc<Stanza>,
    /// To be written instead of the stanza's own `to`.
    pub to: Option<Jid>,
    /// When there is one, the message is kept under this number, and the user wants to hear
    /// [`Seat::acked`](crate::Seat::acked) once the stanza is written (TCP, WebSocket) or acknowledged (BOSH); from
    /// one that follows the log [`Seat::read_to`](crate::Seat::read_to).
    pub receipt: Option<Receipt>,
    /// When other resources got it too. To be left as it is.
    pub copies: Option<Copies>,
}

impl Delivery {
    /// A stanza for the address it names itself, with no receipt.
    pub fn new(stanza: impl Into<Arc<Stanza>>) -> Delivery {
        Delivery { stanza: stanza.into(), to: None, receipt: None, copies: None }
    }
}

/// Counts the copies of a message that went to several resources and came back from none of them yet:
/// only when all come back it is sent again, so nobody gets it twice.
#[derive(Clone, Debug)]
pub struct Copies(Arc<AtomicU32>);

impl Copies {
    /// For so many resources.
    pub(crate) fn of(resources: usize) -> Copies {
        Copies(Arc::new(AtomicU32::new(u32::try_from(resources).unwrap_or(u32::MAX))))
    }
    /// How many have not come back.
    pub(crate) fn out(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
    /// One came back. Was it the last?
    pub(crate) fn give_back(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// The number of a kept message, from its user's own counter: it stays in the store until the
/// connection says that it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receipt(pub u64);

/// Names one bound resource for as long as it is bound; never used again while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Binding(pub u64);

/// How a connection travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each line says it all
pub enum Transport {
    Tcp,
    Bosh,
    Websocket,
    Comet,
    Stomp,
    Herald,
}

impl Transport {
    /// All of them, in the order of [`Stats::sessions`](crate::Stats::sessions).
    pub const ALL: [Transport; Transport::COUNT] = {
        use Transport::{Bosh, Comet, Herald, Stomp, Tcp, Websocket};
        [Tcp, Bosh, Websocket, Comet, Stomp, Herald]
    };
    /// How many there are.
    pub const COUNT: usize = 6;

    /// Does it follow the log? See [`Link`].
    pub fn follows(self) -> bool {
        matches!(self, Transport::Comet | Transport::Stomp | Transport::Herald)
    }

    /// `tcp`, `bosh`, `websocket`, `comet`, `stomp` or `herald`.
    pub fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Bosh => "bosh",
            Transport::Websocket => "websocket",
            Transport::Comet => "comet",
            Transport::Stomp => "stomp",
            Transport::Herald => "herald",
        }
    }
}

/// What a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// How it travels.
    pub transport: Transport,
    /// Is there TLS?
    pub secure: bool,
    /// Where it comes from.
    pub peer: IpAddr,
}

/// Why a user ends a connection. The driver says it in a stream error (RFC 6120 section 4.9.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The same resource was bound again: `conflict`.
    Conflict,
    /// An operator did it, or the account is gone: `policy-violation`, with these words.
    Kicked(CompactString),
    /// The server goes down: `system-shutdown`.
    Shutdown,
    /// It did not take what it was handed: `policy-violation`.
    ResourceFull,
    /// The user's actor broke: `internal-server-error`.
    Internal,
}

/// A stanza on its way, with the address it is for. Cloning shares the stanza.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The stanza. [`Arc::make_mut`] to change it: a copy is made only when others have it too.
    pub stanza: Arc<Stanza>,
    /// The address, when it is not the stanza's own `to`.
    pub to: Option<Jid>,
}

impl Parcel {
    /// A stanza for the address it names itself.
    pub fn new(stanza: impl Into<Arc<Stanza>>) -> Parcel {
        Parcel { stanza: stanza.into(), to: None }
    }
    /// Whom it is for.
    pub fn to(&self) -> Option<&Jid> {
        self.to.as_ref().or(self.stanza.to.as_ref())
    }
    /// Who sent it.
    pub fn from(&self) -> Option<&Jid> {
        self.stanza.from.as_ref()
    }
}
