//! What can happen: the types of events, and sets of them.

/// A type of event. Its word never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // docs/events.md says what each is
pub enum Kind {
    ServerStarted,
    SessionUp,
    SessionDown,
    UserOnline,
    UserOffline,
    PresenceChanged,
    MessageStored,
    MessageDelivered,
    MessageExpired,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Kind; 9] = [
        Kind::ServerStarted,
        Kind::SessionUp,
        Kind::SessionDown,
        Kind::UserOnline,
        Kind::UserOffline,
        Kind::PresenceChanged,
        Kind::MessageStored,
        Kind::MessageDelivered,
        Kind::MessageExpired,
    ];

    /// The word for it: a family, a dot, and what happened.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::ServerStarted => "server.started",
            Kind::SessionUp => "session.up",
            Kind::SessionDown => "session.down",
            Kind::UserOnline => "user.online",
            Kind::UserOffline => "user.offline",
            Kind::PresenceChanged => "presence.changed",
            Kind::MessageStored => "message.stored",
            Kind::MessageDelivered => "message.delivered",
            Kind::MessageExpired => "message.expired",
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// None.
    pub const NONE: Kinds = Kinds(0);
    /// Every one.
    pub const ALL: Kinds = Kinds((1 << Kind::ALL.len()) - 1);

    /// The set that a word names: one type (`user.online`) or a family (`user`). `None`: it names nothing.
    pub fn named(word: &str) -> Option<Kinds> {
        let named = |kind: &&Kind| {
            let name = kind.as_str();
            name == word || name.strip_prefix(word).is_some_and(|rest| rest.starts_with('.') && !word.is_empty())
        };
        let set = Kind::ALL.iter().filter(named).fold(Kinds::NONE, |set, kind| set.with(Kinds::of(*kind)));
        (set != Kinds::NONE).then_some(set)
    }

    /// Every word that [`Kinds::named`] knows: the families, then the types.
    pub fn words() -> Vec<&'static str> {
        let types = Kind::ALL.map(Kind::as_str);
        let mut words: Vec<&str> = types.iter().filter_map(|t| t.split('.').next()).collect();
        words.dedup();
        words.extend(types);
        words
    }

    /// One alone.
    pub fn of(kind: Kind) -> Kinds {
        Kinds(1 << kind as u8)
    }

    /// What is in either.
    pub fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Is it in the set?
    pub fn has(self, kind: Kind) -> bool {
        self.0 & Kinds::of(kind).0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_a_type_or_a_family() {
        let of = |kinds: &[Kind]| kinds.iter().fold(Kinds::NONE, |set, kind| set.with(Kinds::of(*kind)));
        assert_eq!(Kinds::named("user.online"), Some(of(&[Kind::UserOnline])));
        assert_eq!(Kinds::named("user"), Some(of(&[Kind::UserOnline, Kind::UserOffline])));
        for nothing in ["", "use", "user.", "user.onlin", "USER"] {
            assert_eq!(Kinds::named(nothing), None, "{nothing:?}");
        }
        assert_eq!(of(&Kind::ALL), Kinds::ALL);
        for (i, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, i);
        }
        for word in Kinds::words() {
            assert!(Kinds::named(word).is_some(), "{word}");
        }
    }
}
