//! What a key may be used for.

/// A part of the API. A key has one or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Sending: `sendto`, `batch`, reading groups.
    Push,
    /// Who is online.
    PresenceRead,
    /// Messages that were sent.
    HistoryRead,
    /// Accounts, groups, logging users in, ending sessions.
    Users,
    /// The stream of events.
    EventsRead,
    /// Everything.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 6] =
        [Scope::Push, Scope::PresenceRead, Scope::HistoryRead, Scope::Users, Scope::EventsRead, Scope::Admin];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Push => "push",
            Scope::PresenceRead => "presence:read",
            Scope::HistoryRead => "history:read",
            Scope::Users => "users",
            Scope::EventsRead => "events:read",
            Scope::Admin => "admin",
        }
    }

    /// The scope of that word.
    pub fn parse(word: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// Several scopes, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Of these.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Scopes {
        Scopes(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
    /// Do they let one do this? `admin` lets one do everything.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8 | 1 << Scope::Admin as u8) != 0
    }
    /// Is it none?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Their words, in the order of [`Scope::ALL`].
    pub fn words(self) -> Vec<&'static str> {
        Scope::ALL.into_iter().filter(|scope| self.0 & 1 << *scope as u8 != 0).map(Scope::as_str).collect()
    }
}
