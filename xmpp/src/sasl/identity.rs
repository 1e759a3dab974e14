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
        let same = || self.authzid.parse::<BareJid>().is_ok_and(|authzid| authzid == account);
        if !self.authzid.is_empty() && !same() {
            return Err(Failure::new(
                Condition::InvalidAuthzid,
                "The authorization identity must be the bare JID of the same user, or empty.",
            ));
        }
        Ok(account)
    }
}
