//! From what people write, a uid and a password, to what the store keeps: an address and keys.

use anyhow::{Result, anyhow, bail};
use herald_xmpp::BareJid;
use herald_xmpp::sasl::Credentials;

/// The longest password, in bytes. A longer one is refused.
pub use herald_xmpp::sasl::PASSWORD_BYTES_MAX;

/// The address of a uid: the localpart, or the whole bare JID when it is of our domain.
pub fn user(uid: &str, domain: &str) -> Result<BareJid> {
    let local = match uid.split_once('@') {
        Some((local, of)) if of.eq_ignore_ascii_case(domain) => local,
        Some((_, of)) => bail!("{uid:?} is not of the domain {domain} but of {of:?}"),
        None => uid,
    };
    BareJid::new(Some(local), domain).map_err(|e| anyhow!("{uid:?} is no uid: {e}"))
}

/// The keys of an account without a password: only a token opens it.
pub fn locked(iterations: u32) -> Result<Credentials> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| anyhow!("no randomness for a salt: {e}"))?;
    Ok(Credentials::locked(&random, iterations))
}

/// The keys of a password, with a salt of their own. Takes some milliseconds.
pub fn keys(password: &str, iterations: u32) -> Result<Credentials> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|e| anyhow!("no randomness for a salt: {e}"))?;
    Ok(Credentials::derive(password, salt, iterations)?)
}
