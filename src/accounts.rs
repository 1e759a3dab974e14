//! From what people write, a uid and a password, to what the store keeps: an address and keys.

use anyhow::{Context, Result, anyhow, bail};
use herald_xmpp::BareJid;
use herald_xmpp::sasl::Credentials;

/// The longest password, in bytes. A longer one is refused.
pub const PASSWORD_BYTES_MAX: usize = 1_023;

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
    if password.is_empty() {
        bail!("the password is empty");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        bail!("the password is longer than {PASSWORD_BYTES_MAX} bytes");
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|e| anyhow!("no randomness for a salt: {e}"))?;
    Credentials::derive(password, salt, iterations).context("the password cannot be used")
}
