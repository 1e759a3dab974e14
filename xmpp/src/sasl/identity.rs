//! Who a client says it is.

use super::{Condition, Failure};
use crate::jid::BareJid;

/// The two names of a login, as the client wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose password it is: the localpart of an account here (RFC 6120 section 6.3.8).
    pub authcid: Box<str>,
    /// As whom it wants to act, a bare JID; empty for "the same".
    pub authzid: Box<str>,
}

impl Identity {
    /// The account. Nobody acts for somebody else here: another authzid is `invalid-authzid`.
    pub fn account(&self, domain: &str) -> Result<BareJid, Failure> {
        // A name that cannot be an account's is as wrong as one that is none.
        let account = BareJid::new(Some(&self.authcid), domain).map_err(|_| Failure::NOT_AUTHORIZED)?;
        match Identity::acting(&self.authzid, domain)? {
            Some(authzid) if authzid != account => Err(NOT_SAME),
            _ => Ok(account),
        }
    }

    /// The user of an authzid: none when it is empty. Not the bare JID of a user of `domain`: `invalid-authzid`.
    pub fn acting(authzid: &str, domain: &str) -> Result<Option<BareJid>, Failure> {
        if authzid.is_empty() {
            return Ok(None);
        }
        let user = authzid.parse::<BareJid>().ok().filter(|user| user.domain() == domain && user.local().is_some());
        user.map(Some).ok_or(NOT_SAME)
    }
}

const NOT_SAME: Failure = Failure::new(
    Condition::InvalidAuthzid,
    "The authorization identity must be the bare JID of the same user, or empty.",
);
