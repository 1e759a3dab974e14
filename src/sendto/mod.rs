//! A `sendto` request: its JSON, what it means, and carrying it out. The operator's API reads it from HTTP, the
//! ways in besides HTTP from their queues.
//!
//! ```json
//! {"to": "alice", "body": "Your order has left the house", "store": "always", "ttl_secs": 86400}
//! ```
//!
//! [`parse`] checks all of it before anything is done; [`deliver`] finds the receivers and sends.

mod ask;
mod refusal;
mod stanza;
#[cfg(test)]
mod tests;

pub use ask::{Target, parse};
pub use refusal::{Refusal, Why};

use compact_str::CompactString;
use herald_session::{Keep, OnlyIf, Push, SendtoResult, SendtoState, Sessions, Uid};
use herald_storage::{StoreError, ask as ask_store};
use herald_xmpp::BareJid;

/// Users that one request may name; the size of one step where it goes to more.
pub const UIDS_MAX: usize = 1_000;

/// A request that was checked.
#[derive(Clone, Debug)]
pub struct Sendto {
    /// Who gets it.
    pub to: Target,
    /// What, and on which terms. [`Terms::once`](herald_session::Terms::once) is not set here.
    pub push: Push,
    /// The request's own name, under which it is carried out once: its sender decides in which space.
    pub key: Option<CompactString>,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// For each receiver, in the order of the request (else of their addresses). With more than [`UIDS_MAX`]
    /// receivers: only of those for whom it failed, no more than [`UIDS_MAX`].
    pub results: Vec<SendtoResult>,
    /// How many receivers there were.
    pub total: u64,
    /// How many results had each state, in the order in which they were seen first.
    pub counts: Vec<(SendtoState, u64)>,
}

impl Done {
    /// Is every result in [`Done::results`]?
    pub fn is_complete(&self) -> bool {
        self.results.len() as u64 == self.total
    }

    /// Can it be said that all receivers have it, or never will? If not, the request should be made again: under the
    /// same name, so that nobody has it twice.
    pub fn is_settled(&self) -> bool {
        !self.counts.iter().any(|(state, _)| matches!(state, SendtoState::Full | SendtoState::Failed))
    }

    fn add(&mut self, results: Vec<SendtoResult>) {
        for result in &results {
            match self.counts.iter_mut().find(|(state, _)| *state == result.state) {
                Some((_, n)) => *n += 1,
                None => self.counts.push((result.state, 1)),
            }
        }
        self.total += results.len() as u64;
        self.results.extend(results);
        if self.total > UIDS_MAX as u64 {
            self.results.retain(|r| matches!(r.state, SendtoState::Full | SendtoState::Failed));
            self.results.truncate(UIDS_MAX);
        }
    }
}

/// Why a request was not carried out.
#[derive(Debug)]
pub enum Undelivered {
    /// There is no such group.
    NoSuchGroup(CompactString),
    /// The store did not say who the receivers are. Some may have it.
    Store(StoreError),
}

impl From<StoreError> for Undelivered {
    fn from(e: StoreError) -> Undelivered {
        Undelivered::Store(e)
    }
}

/// Finds the receivers and sends to them. What a result says is kept is durable when this returns.
///
/// To users who are named everything is in their mailboxes when this is polled for the first time: who polls two of
/// them one after the other keeps their order.
pub async fn deliver(sessions: &Sessions, what: Sendto) -> Result<Done, Undelivered> {
    let Sendto { to, mut push, .. } = what;
    let mut done = Done::default();
    let many = !matches!(to, Target::User(_));
    if many && push.terms.keep != Keep::Never && push.terms.shared.is_none() {
        push.terms.shared = random(); // without one every receiver's copy is kept for itself
    }
    match to {
        Target::User(uid) => done.add(sessions.sendto(vec![uid], push).await),
        Target::Users(uids) => done.add(sessions.sendto(uids, push).await),
        Target::Online => {
            push.terms.only_if = OnlyIf::Online;
            let users: Vec<Uid> = sessions.running().iter().map(uid).collect();
            for some in users.chunks(UIDS_MAX) {
                let mut results = sessions.sendto(some.to_vec(), push.clone()).await;
                // Who has an actor and no resource, or no account any more, was not meant.
                results.retain(|r| !matches!(r.state, SendtoState::Skipped | SendtoState::NoSuchUser));
                done.add(results);
            }
        }
        Target::Accounts => {
            let mut after: Option<BareJid> = None;
            loop {
                let page = ask_store(|then| sessions.store().accounts(after, UIDS_MAX as u32, then)).await?;
                done.add(sessions.sendto(page.iter().map(uid).collect(), push.clone()).await);
                after = page.last().cloned();
                if page.len() < UIDS_MAX {
                    break;
                }
            }
        }
        Target::Group(group) => {
            let mut after: Option<BareJid> = None;
            loop {
                let page = ask_store(|then| sessions.store().members(&group, after, UIDS_MAX as u32, then)).await?;
                let page = page.ok_or_else(|| Undelivered::NoSuchGroup(group.clone()))?;
                done.add(sessions.sendto(page.iter().map(uid).collect(), push.clone()).await);
                after = page.last().cloned();
                if page.len() < UIDS_MAX {
                    break;
                }
            }
        }
    }
    Ok(done)
}

fn uid(user: &BareJid) -> Uid {
    user.local().unwrap_or(user.as_str()).into()
}

fn random() -> Option<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(u128::from_ne_bytes(bytes))
}
