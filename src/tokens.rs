//! One-time login tokens, kept in memory: who asked the operator's API for one may log in once with it in
//! place of a password. A restart forgets them, and whoever holds one asks for another.
//!
//! Nothing here opens an account to whoever reads it: a token is kept as its SHA-256 and as keys of SCRAM.
//! The keys have the account's salt. So a token is void as soon as the account has another password or is
//! gone, whoever did that and however, because the salt is another one then.

use herald_xmpp::BareJid;
use herald_xmpp::sasl::{Credentials, Hash, TokenId, TokenKeys};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// Tokens of one user; one more drives out the oldest. A login by SCRAM tries all of them.
pub const USER_TOKENS_MAX: usize = 8;

/// There are as many as there may be, and none has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// All outstanding tokens.
pub struct Tokens {
    tokens_max: usize,
    book: Mutex<Book>,
}

/// The same tokens in three orders.
#[derive(Default)]
struct Book {
    all: HashMap<TokenId, Token>,
    /// Oldest first.
    of_user: HashMap<BareJid, VecDeque<TokenId>>,
    by_end: BTreeSet<(Instant, TokenId)>,
}

/// One token.
pub struct Token {
    /// Whose it is.
    pub user: BareJid,
    /// Made of it with the account's salt and rounds.
    pub keys: Credentials,
    /// From then on it is worth nothing.
    pub until: Instant,
}

impl Tokens {
    /// None yet, and never more than `tokens_max`.
    pub fn new(tokens_max: usize) -> Tokens {
        Tokens { tokens_max, book: Mutex::default() }
    }

    /// Keeps a new one.
    pub fn put(&self, now: Instant, id: TokenId, token: Token) -> Result<(), Full> {
        let mut book = self.book.lock();
        book.expire(now);
        let of_user = book.of_user.get(&token.user);
        if let Some(oldest) = of_user.filter(|ids| ids.len() >= USER_TOKENS_MAX).and_then(|ids| ids.front()).copied() {
            book.remove(oldest);
        }
        if book.all.len() >= self.tokens_max {
            return Err(Full);
        }
        book.of_user.entry(token.user.clone()).or_default().push_back(id);
        book.by_end.insert((token.until, id));
        book.all.insert(id, token);
        Ok(())
    }

    /// Those that may be used instead of the password of `account`, which is how `user`'s stands now.
    pub fn beside(&self, now: Instant, user: &BareJid, account: &Credentials, hash: Hash) -> Vec<TokenKeys> {
        let mut book = self.book.lock();
        book.expire(now);
        let ids = book.of_user.get(user).into_iter().flatten();
        let tokens = ids.filter_map(|id| Some((*id, book.all.get(id)?)));
        let valid = tokens.filter(|(_, token)| token.keys.is_beside(account));
        valid.map(|(id, token)| TokenKeys { id, keys: token.keys.keys(hash).clone() }).collect()
    }

    /// Takes one out: the only one who gets it may log in, if the account still has its salt. When `user` is
    /// named, another's stays.
    pub fn take(&self, now: Instant, id: TokenId, user: Option<&BareJid>) -> Option<Token> {
        let mut book = self.book.lock();
        book.expire(now);
        let theirs = book.all.get(&id).is_some_and(|token| user.is_none_or(|user| *user == token.user));
        if theirs { book.remove(id) } else { None }
    }

    /// How many there are.
    pub fn outstanding(&self, now: Instant) -> usize {
        let mut book = self.book.lock();
        book.expire(now);
        book.all.len()
    }
}

impl Book {
    fn expire(&mut self, now: Instant) {
        while let Some(&(until, id)) = self.by_end.first()
            && until <= now
        {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: TokenId) -> Option<Token> {
        let token = self.all.remove(&id)?;
        self.by_end.remove(&(token.until, id));
        if let Some(ids) = self.of_user.get_mut(&token.user) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.of_user.remove(&token.user);
            }
        }
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn user(uid: &str) -> BareJid {
        BareJid::new(Some(uid), "localhost").expect("a uid")
    }

    fn account() -> Credentials {
        Credentials::derive("pencil", [1; 16], 1).expect("a password")
    }

    /// The book and a time to begin with.
    fn tokens(max: usize) -> (Tokens, Instant) {
        (Tokens::new(max), Instant::now())
    }

    fn put(tokens: &Tokens, now: Instant, uid: &str, text: &str, secs: u64) -> Result<TokenId, Full> {
        let keys = account().derive_beside(text).expect("a token");
        let token = Token { user: user(uid), keys, until: now + Duration::from_secs(secs) };
        tokens.put(now, TokenId::of(text), token).map(|()| TokenId::of(text))
    }

    #[test]
    fn a_token_is_taken_once_and_by_its_user() {
        let (tokens, now) = tokens(10);
        let id = put(&tokens, now, "alice", "t", 60).expect("room");
        assert!(tokens.take(now, TokenId::of("u"), None).is_none());
        assert!(tokens.take(now, id, Some(&user("bob"))).is_none(), "another's stays");
        assert_eq!(tokens.take(now, id, Some(&user("alice"))).expect("it is there").user, user("alice"));
        assert!(tokens.take(now, id, None).is_none());
        assert_eq!(tokens.outstanding(now), 0);
        let book = tokens.book.lock();
        assert!(book.of_user.is_empty() && book.by_end.is_empty(), "nothing stays behind");
    }

    #[test]
    fn a_token_ends_at_its_time() {
        let (tokens, now) = tokens(10);
        let id = put(&tokens, now, "alice", "t", 60).expect("room");
        let beside = |at| tokens.beside(at, &user("alice"), &account(), Hash::Sha1).len();
        assert_eq!(beside(now + Duration::from_secs(59)), 1);
        assert_eq!(beside(now + Duration::from_secs(60)), 0);
        assert!(tokens.take(now + Duration::from_secs(60), id, None).is_none());
    }

    #[test]
    fn another_password_voids_them() {
        let (tokens, now) = tokens(10);
        put(&tokens, now, "alice", "t", 60).expect("room");
        let changed = Credentials::derive("pencil", [2; 16], 1).expect("a password");
        assert_eq!(tokens.beside(now, &user("alice"), &account(), Hash::Sha256).len(), 1);
        assert_eq!(tokens.beside(now, &user("alice"), &changed, Hash::Sha256), []);
        assert_eq!(tokens.beside(now, &user("bob"), &account(), Hash::Sha256), []);
    }

    #[test]
    fn a_user_has_a_few_and_all_together_have_a_bound() {
        let (tokens, now) = tokens(USER_TOKENS_MAX + 1);
        for n in 0..=USER_TOKENS_MAX {
            put(&tokens, now, "alice", &format!("t{n}"), 60).expect("the oldest goes");
        }
        assert_eq!(tokens.outstanding(now), USER_TOKENS_MAX);
        assert!(tokens.take(now, TokenId::of("t0"), None).is_none(), "the oldest");
        put(&tokens, now, "bob", "b", 61).expect("room for one");
        assert_eq!(put(&tokens, now, "carol", "c", 60), Err(Full));
        put(&tokens, now, "alice", "t", 60).expect("one of hers goes");
        put(&tokens, now + Duration::from_secs(60), "carol", "c", 60).expect("hers have run out");
        assert_eq!(tokens.outstanding(now + Duration::from_secs(60)), 2);
    }
}
