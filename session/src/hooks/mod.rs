//! How a feature hangs itself on the user actor.
//!
//! A feature is one file with one [`Module`], and one line in the list:
//!
//! ```
//! # use herald_session::hooks::{At, Module, Modules, Points, Reply};
//! struct Ping; // XEP-0199
//!
//! impl Module for Ping {
//!     fn register(self, points: &mut Points) {
//!         for at in [At::Server, At::Account] {
//!             points.feature(at, "urn:xmpp:ping");
//!             points.iq(at, "ping", "urn:xmpp:ping", |_, _| Reply::Result(Default::default()));
//!         }
//!     }
//! }
//!
//! let modules = Modules::builder().add(Ping).build();
//! assert!(modules.features(At::Server).eq(["urn:xmpp:ping"]));
//! ```
//!
//! Hooks are plain functions: no async, no lock, no clock, no I/O. They are handed a [`Turn`] (the
//! user whose mail is being handled, and the time) and *ask*; the actor acts when they are done.
//! Stanzas pass the hooks in four stages; within a stage in the order of the list.
//!
//! | stage | what belongs there |
//! |---|---|
//! | [`Stage::Screen`] | may this pass at all? blocking, limits |
//! | [`Stage::Archive`] | what is kept of it, and the number it gets |
//! | [`Stage::Copy`] | who else gets it |
//! | [`Stage::Deliver`] | last looks: what is counted or woken by it |

mod turn;

pub use turn::{Resource, Turn};

use crate::link::{Binding, Parcel};
use bytes::Bytes;
use herald_xmpp::{Stanza, StanzaError};

/// When a hook sees a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// May this pass at all?
    Screen,
    /// What is kept of it.
    Archive,
    /// Who else gets it.
    Copy,
    /// Last looks.
    Deliver,
}

/// What a hook says about a stanza.
#[derive(Clone, Debug, PartialEq)]
pub enum Flow {
    /// On to the next hook.
    Pass,
    /// It ends here, and nobody is told.
    Drop,
    /// It ends here, and goes back to its sender as this error (never when it is an error itself).
    Bounce(StanzaError),
}

/// Whom an iq, a feature or an identity is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Our domain.
    Server,
    /// A user's bare JID: the own account, or another user's (look at `from`).
    Account,
}

/// What an iq handler says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// A result with this payload, XML as it stands inside `<iq/>`; empty for none.
    Result(Bytes),
    /// An error.
    Error(StanzaError),
    /// [`Turn::reply`] comes from a `then`.
    Later,
}

/// What a module says about a message that no resource takes now.
#[derive(Clone, Debug, PartialEq)]
pub enum Offline {
    /// The next module decides. When all pass, the message bounces with `service-unavailable`
    /// (RFC 6121 section 8.5.2.2.1), or `resource-constraint` when a resource is there and behind.
    Pass,
    /// Keep it. It is durable before anybody is told, and given to the next resource.
    Keep {
        /// From when on nobody wants it, in milliseconds since 1970 UTC.
        expires_ms: Option<i64>,
    },
    /// Let it go, tell nobody.
    Drop,
    /// Back to its sender.
    Bounce(StanzaError),
}

/// What is known of a kept message that is handed to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its number in the user's log.
    pub id: u64,
    /// When it was kept, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Was it given out of the store? `false`: it goes on at once.
    pub late: bool,
}

/// A `disco#info` identity (XEP-0030 section 3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Such as `server` or `account`.
    pub category: &'static str,
    /// Such as `im` or `registered`.
    pub kind: &'static str,
    /// Words for a human.
    pub name: Option<&'static str>,
}

/// A feature: says once what it wants. See the example of the [room](self).
pub trait Module {
    /// Hangs its functions on the points it wants.
    fn register(self, points: &mut Points);
}

pub(crate) type Pass = Box<dyn Fn(&mut Turn<'_>, &mut Parcel) -> Flow + Send + Sync>;
pub(crate) type Handle = Box<dyn Fn(&mut Turn<'_>, &Parcel) -> Reply + Send + Sync>;
pub(crate) type Plain = Box<dyn Fn(&mut Turn<'_>) + Send + Sync>;
pub(crate) type OfBinding = Box<dyn Fn(&mut Turn<'_>, Binding) + Send + Sync>;
pub(crate) type OfPresence = Box<dyn Fn(&mut Turn<'_>, Binding, &Stanza) + Send + Sync>;
pub(crate) type OfOffline = Box<dyn Fn(&mut Turn<'_>, &Parcel) -> Offline + Send + Sync>;
pub(crate) type OfStamp = Box<dyn Fn(&mut Turn<'_>, &mut Stanza, Stamp) + Send + Sync>;

/// The points a module can hang on.
#[derive(Default)]
pub struct Points {
    sent: Vec<(Stage, Pass)>,
    arrived: Vec<(Stage, Pass)>,
    on: Modules,
}

impl Points {
    /// A client of this user sent a stanza to someone else, or to its own account. Its `from` is
    /// stamped. Not for what the server itself answers (iq to the server or to the own account).
    pub fn sent(&mut self, at: Stage, f: impl Fn(&mut Turn<'_>, &mut Parcel) -> Flow + Send + Sync + 'static) {
        self.sent.push((at, Box::new(f)));
    }
    /// A stanza for this user came in, before it is decided who gets it.
    pub fn arrived(&mut self, at: Stage, f: impl Fn(&mut Turn<'_>, &mut Parcel) -> Flow + Send + Sync + 'static) {
        self.arrived.push((at, Box::new(f)));
    }
    /// An iq, get or set, whose payload is this element. The first module that wants it has it.
    ///
    /// [`At::Server`]: runs in the actor of the client that asks. [`At::Account`]: in the actor of the
    /// account that is asked; who asks is in `from`, and anybody may: see [`Turn::is_owner`].
    pub fn iq(
        &mut self,
        at: At,
        name: &'static str,
        ns: &'static str,
        f: impl Fn(&mut Turn<'_>, &Parcel) -> Reply + Send + Sync + 'static,
    ) {
        self.on.iqs.push(IqPoint { at, name, ns, handle: Box::new(f) });
    }
    /// The actor has started and knows its user; no mail was handled yet. What it loads here is
    /// there before the first stanza.
    pub fn started(&mut self, f: impl Fn(&mut Turn<'_>) + Send + Sync + 'static) {
        self.on.started.push(Box::new(f));
    }
    /// A resource was bound.
    pub fn bound(&mut self, f: impl Fn(&mut Turn<'_>, Binding) + Send + Sync + 'static) {
        self.on.bound.push(Box::new(f));
    }
    /// A resource is gone; it is in [`Turn::resources`] no more.
    pub fn unbound(&mut self, f: impl Fn(&mut Turn<'_>, Binding) + Send + Sync + 'static) {
        self.on.unbound.push(Box::new(f));
    }
    /// A resource of this user became available, changed its presence or became unavailable.
    pub fn presence(&mut self, f: impl Fn(&mut Turn<'_>, Binding, &Stanza) + Send + Sync + 'static) {
        self.on.presence.push(Box::new(f));
    }
    /// No resource takes a message, or the one that would is behind: keep it?
    pub fn offline(&mut self, f: impl Fn(&mut Turn<'_>, &Parcel) -> Offline + Send + Sync + 'static) {
        self.on.offline.push(Box::new(f));
    }
    /// A kept message is about to be handed to a resource that acknowledges. For a delay stamp, and its number.
    pub fn stamp(&mut self, f: impl Fn(&mut Turn<'_>, &mut Stanza, Stamp) + Send + Sync + 'static) {
        self.on.stamp.push(Box::new(f));
    }
    /// A `disco#info` feature.
    pub fn feature(&mut self, at: At, var: &'static str) {
        if !self.on.features.contains(&(at, var)) {
            self.on.features.push((at, var));
        }
    }
    /// A `disco#info` identity.
    pub fn identity(&mut self, at: At, identity: Identity) {
        self.on.identities.push((at, identity));
    }
}

pub(crate) struct IqPoint {
    at: At,
    name: &'static str,
    ns: &'static str,
    handle: Handle,
}

/// All features of a server, in order. One list for all users.
#[derive(Default)]
pub struct Modules {
    pub(crate) sent: Vec<Pass>,
    pub(crate) arrived: Vec<Pass>,
    pub(crate) started: Vec<Plain>,
    pub(crate) bound: Vec<OfBinding>,
    pub(crate) unbound: Vec<OfBinding>,
    pub(crate) presence: Vec<OfPresence>,
    pub(crate) offline: Vec<OfOffline>,
    pub(crate) stamp: Vec<OfStamp>,
    iqs: Vec<IqPoint>,
    features: Vec<(At, &'static str)>,
    identities: Vec<(At, Identity)>,
}

impl Modules {
    /// An empty list to add to.
    pub fn builder() -> Builder {
        Builder::default()
    }
    /// What `disco#info` names as features, sorted.
    pub fn features(&self, at: At) -> impl Iterator<Item = &'static str> + '_ {
        self.features.iter().filter(move |(a, _)| *a == at).map(|(_, var)| *var)
    }
    /// What `disco#info` names as identities.
    pub fn identities(&self, at: At) -> impl Iterator<Item = &Identity> + '_ {
        self.identities.iter().filter(move |(a, _)| *a == at).map(|(_, i)| i)
    }
    pub(crate) fn iq(&self, at: At, name: &str, ns: &str) -> Option<&Handle> {
        self.iqs.iter().find(|p| p.at == at && p.name == name && p.ns == ns).map(|p| &p.handle)
    }
}

/// Collects modules.
#[derive(Default)]
pub struct Builder {
    points: Points,
}

impl Builder {
    /// One more, after those that are there.
    #[allow(clippy::should_implement_trait)] // it adds to a list; there is no sum
    pub fn add(mut self, module: impl Module) -> Builder {
        module.register(&mut self.points);
        self
    }
    /// The list, with every stage in its place.
    pub fn build(self) -> Modules {
        let Points { mut sent, mut arrived, mut on } = self.points;
        sent.sort_by_key(|(stage, _)| *stage); // stable: the list's order stays within a stage
        arrived.sort_by_key(|(stage, _)| *stage);
        on.sent = sent.into_iter().map(|(_, f)| f).collect();
        on.arrived = arrived.into_iter().map(|(_, f)| f).collect();
        on.features.sort_unstable_by_key(|(_, var)| *var);
        on
    }
}
