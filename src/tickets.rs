//! Tickets: what a page that has logged in comes back with, after a reload or a restart of the server, until they run
//! out. Nothing is kept of them: a ticket is a proof made with a secret of this server.
//!
//! The proof covers the account's keys. So tickets are void as soon as the account has another password, or is another
//! account of the same name, however that came about.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use herald_xmpp::BareJid;
use herald_xmpp::sasl::Credentials;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What every ticket begins with. No password or token of ours is likely to.
const PREFIX: &str = "ht1.";

/// Makes and knows tickets.
pub struct Tickets {
    key: [u8; 32],
    ttl_secs: u32,
}

/// A ticket as it was shown, not yet believed.
pub struct Shown<'a> {
    /// Whose it says it is: the localpart.
    pub uid: String,
    until: u64,
    proof: &'a str,
}

impl Tickets {
    /// `secret` stays the same over restarts. Tickets hold for `ttl_secs`.
    pub fn new(secret: &[u8; 32], ttl_secs: u32) -> Tickets {
        // Decoy keys are made of the same secret: one must tell nothing of the other.
        Tickets { key: mac(secret, &[b"herald.v1 tickets"]), ttl_secs }
    }

    /// One for `user`, whose account stands as `account`, and when it ends, in seconds since 1970 UTC.
    pub fn issue(&self, now_secs: u64, user: &BareJid, account: &Credentials) -> (String, u64) {
        let until = now_secs + u64::from(self.ttl_secs);
        let uid = BASE64.encode(user.local().unwrap_or_default());
        let proof = BASE64.encode(self.proof(user, account, until));
        (format!("{PREFIX}{until:x}.{uid}.{proof}"), until)
    }

    /// Reads what a client showed; `None` when it is no ticket.
    pub fn read(text: &str) -> Option<Shown<'_>> {
        let mut parts = text.strip_prefix(PREFIX)?.split('.');
        let (until, uid, proof) = (parts.next()?, parts.next()?, parts.next()?);
        let until = u64::from_str_radix(until, 16).ok()?;
        let uid = String::from_utf8(BASE64.decode(uid).ok()?).ok()?;
        parts.next().is_none().then_some(Shown { uid, until, proof })
    }

    /// Is it a ticket of ours for `user`, whose account stands as `account`? Takes the same time for any proof.
    pub fn holds(&self, now_secs: u64, shown: &Shown<'_>, user: &BareJid, account: &Credentials) -> bool {
        let Ok(proof) = BASE64.decode(shown.proof) else { return false };
        let sealed = subtle::ConstantTimeEq::ct_eq(&*proof, &self.proof(user, account, shown.until)[..]);
        bool::from(sealed) && now_secs < shown.until
    }

    fn proof(&self, user: &BareJid, account: &Credentials, until: u64) -> [u8; 32] {
        let (sha1, sha256) = (&account.sha1, &account.sha256);
        let keys: [&[u8]; 4] = [&sha1.salt, &sha1.stored_key, &sha256.salt, &sha256.stored_key];
        let mut parts = vec![user.as_str().as_bytes()];
        parts.extend(keys);
        let until = until.to_be_bytes();
        parts.push(&until);
        mac(&self.key, &parts)
    }
}

/// Each part with its length, so that no two lists of them look alike.
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: &str) -> BareJid {
        BareJid::new(Some(uid), "localhost").expect("a uid")
    }

    fn account(salt: u8) -> Credentials {
        Credentials::derive("pencil", [salt; 16], 1).expect("a password")
    }

    #[test]
    fn a_ticket_holds_for_its_user_its_time_and_its_password() {
        let tickets = Tickets::new(&[7; 32], 100);
        let (text, until) = tickets.issue(1_000, &user("bob"), &account(1));
        assert_eq!(until, 1_100);
        let shown = Tickets::read(&text).expect("a ticket");
        assert_eq!(shown.uid, "bob");
        assert!(tickets.holds(1_099, &shown, &user("bob"), &account(1)));
        assert!(!tickets.holds(1_100, &shown, &user("bob"), &account(1)), "it has run out");
        assert!(!tickets.holds(1_000, &shown, &user("eve"), &account(1)), "another's");
        assert!(!tickets.holds(1_000, &shown, &user("bob"), &account(2)), "another password");
        let other = Tickets::new(&[8; 32], 100);
        assert!(!other.holds(1_000, &shown, &user("bob"), &account(1)), "of another server");
        let again = Tickets::new(&[7; 32], 5);
        assert!(again.holds(1_000, &shown, &user("bob"), &account(1)), "of this one, before it was started again");
    }

    #[test]
    fn what_was_changed_is_worth_nothing() {
        let tickets = Tickets::new(&[7; 32], 100);
        let (text, _) = tickets.issue(1_000, &user("bob"), &account(1));
        for (from, to) in [("44c.", "fffff."), ("Ym9i", "ZXZl")] {
            let forged = text.replace(from, to);
            assert_ne!(forged, text);
            let shown = Tickets::read(&forged).expect("it looks like one");
            let whose = user(&shown.uid);
            assert!(!tickets.holds(1_000, &shown, &whose, &account(1)), "{forged}");
        }
    }

    #[test]
    fn what_is_no_ticket() {
        for text in ["", "ht1.", "ht1.1.Ym9i", "ht1.x.Ym9i.AA", "ht1.1.%.AA", "ht1.1.Ym9i.AA.AA", "pencil"] {
            assert!(Tickets::read(text).is_none(), "{text}");
        }
    }
}
