//! What time takes away: expired messages, history that is too old, keys that are over.
//!
//! The writer's thread sweeps between commits, a little at a time. Looking costs reads only; what is found
//! goes in a transaction of its own.

use super::messages::{raise_removed_to, remove};
use crate::StoreError;
use crate::clock::now_ms;
use crate::traits::{Expired, Retention};
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};
use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// So often it looks, at least.
const EVERY: Duration = Duration::from_secs(60);

/// And at most, for messages that expire sooner.
pub(super) const SOONEST: Duration = Duration::from_millis(500);

/// So many rows of a kind are removed at once; when there are more, the next lot goes after the next commit.
const ROWS_MAX: u32 = 512;

/// So many users' histories are looked at in one go.
const USERS_MAX: usize = 256;

/// After all histories were looked at, so long nobody's is.
const ROUND_MS: i64 = 60 * 60 * 1000;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

thread_local! {
    /// When the next message expires, as far as the writer's thread knows.
    static NEXT_MS: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// A message is kept that expires then. On the writer's thread.
pub(super) fn expires(at_ms: i64) {
    NEXT_MS.set(NEXT_MS.get().min(at_ms));
}

/// The sweeper of one store.
pub(super) struct Sweeper {
    history: Retention,
    expired: Arc<OnceLock<Expired>>,
    /// Where the round through the histories is.
    user: i64,
    /// And the one through the collapse keys, which follows it.
    collapsed: i64,
    /// When the next round begins.
    round_ms: i64,
}

impl Sweeper {
    pub(super) fn new(history: Retention, expired: Arc<OnceLock<Expired>>) -> Sweeper {
        Sweeper { history, expired, user: 0, collapsed: 0, round_ms: 0 }
    }

    /// Removes some; says when to come again.
    pub(super) fn sweep(&mut self, conn: &Connection) -> Duration {
        match self.all(conn) {
            Ok(true) => Duration::ZERO,
            Ok(false) => until_next(),
            Err(e) => {
                tracing::warn!(error = %e, "cannot remove what is over; it stays until that works");
                EVERY
            }
        }
    }

    /// Is there more of it right now?
    fn all(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        let expired = self.expired(conn)?;
        let once = "DELETE FROM once WHERE (user, key) IN
                      (SELECT user, key FROM once WHERE until_ms <= ?1 ORDER BY until_ms LIMIT ?2)";
        let result = "DELETE FROM result WHERE key IN
                        (SELECT key FROM result WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)";
        let mut full = expired >= ROWS_MAX as usize;
        for sql in [once, result] {
            full |= conn.prepare_cached(sql)?.execute(params![now_ms(), ROWS_MAX])? >= ROWS_MAX as usize;
        }
        Ok(self.aged(conn)? || full)
    }

    /// Pending messages that nobody wants any more, the oldest first; they are told when they are gone. A
    /// delivered one just loses its date. Answers how many there were.
    fn expired(&self, conn: &Connection) -> Result<usize, StoreError> {
        NEXT_MS.set(i64::MAX);
        let sql = "SELECT account.jid, inbox.user, inbox.id, inbox.delivered = 0 AND inbox.id > counter.delivered_to
                   FROM inbox JOIN counter ON counter.user = inbox.user JOIN account ON account.id = inbox.user
                   WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2";
        let rows = |row: &rusqlite::Row<'_>| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, bool>(3)?))
        };
        let found: Vec<_> = conn
            .prepare_cached(sql)?
            .query_map(params![now_ms(), ROWS_MAX], rows)?
            .collect::<Result<_, rusqlite::Error>>()?;
        if !found.is_empty() {
            transaction(conn, || {
                let mut keep = conn.prepare_cached("UPDATE inbox SET expires_ms = NULL WHERE user = ?1 AND id = ?2")?;
                for &(_, user, id, pending) in &found {
                    if pending {
                        remove(conn, user, id)?
                    } else {
                        keep.execute([user, id])?
                    };
                }
                Ok(())
            })?;
        }
        if let Some(tell) = self.expired.get() {
            for (jid, _, id, _) in found.iter().filter(|(.., pending)| *pending) {
                if let Ok(jid) = jid.parse::<BareJid>() {
                    tell(&jid, *id as u64);
                }
            }
        }
        let next = "SELECT min(expires_ms) FROM inbox WHERE expires_ms IS NOT NULL";
        if let Some(next) = conn.prepare_cached(next)?.query_row([], |row| row.get::<_, Option<i64>>(0))? {
            expires(next);
        }
        Ok(found.len())
    }

    /// Delivered messages that are too old, of some users. Is there more of it right now?
    fn aged(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        let now = now_ms();
        if now < self.round_ms {
            return Ok(false);
        }
        let cutoff = match self.history.keeps() {
            true => now.saturating_sub(i64::from(self.history.days) * DAY_MS),
            false => i64::MAX, // left from when there was a history
        };
        for _ in 0..USERS_MAX {
            let next = "SELECT user FROM inbox WHERE user > ?1 ORDER BY user LIMIT 1";
            let Some(user) = conn.prepare_cached(next)?.query_row([self.user], |row| row.get(0)).optional()? else {
                if self.forget_collapsed(conn)? {
                    return Ok(true);
                }
                self.user = 0;
                self.round_ms = now.saturating_add(ROUND_MS);
                return Ok(false);
            };
            if aged_of(conn, user, cutoff)? >= ROWS_MAX as usize {
                return Ok(true);
            }
            self.user = user;
        }
        Ok(true)
    }

    /// Collapse keys whose message is gone, of some users. Is there more of it right now?
    fn forget_collapsed(&mut self, conn: &Connection) -> Result<bool, StoreError> {
        for _ in 0..USERS_MAX {
            let next = "SELECT user FROM collapse WHERE user > ?1 ORDER BY user LIMIT 1";
            let Some(user) = conn.prepare_cached(next)?.query_row([self.collapsed], |row| row.get(0)).optional()?
            else {
                self.collapsed = 0;
                return Ok(false);
            };
            let sql = "DELETE FROM collapse WHERE user = ?1 AND NOT EXISTS
                         (SELECT 1 FROM inbox WHERE inbox.user = collapse.user AND inbox.id = collapse.id)";
            conn.prepare_cached(sql)?.execute([user])?;
            self.collapsed = user;
        }
        Ok(true)
    }
}

/// Removes the oldest delivered messages of this user, as far as they are too old. Answers how many.
fn aged_of(conn: &Connection, user: i64, cutoff_ms: i64) -> Result<usize, StoreError> {
    let sql = "SELECT id, at_ms FROM inbox
               WHERE user = ?1 AND (delivered = 1 OR id <= (SELECT delivered_to FROM counter WHERE user = ?1))
               ORDER BY id LIMIT ?2";
    let mut rows = conn.prepare_cached(sql)?;
    let mut rows = rows.query(params![user, ROWS_MAX])?;
    let mut old = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(1)? >= cutoff_ms {
            break; // they came in the order of their numbers, nearly
        }
        old.push(row.get::<_, i64>(0)?);
    }
    drop(rows);
    if let Some(&last) = old.last() {
        transaction(conn, || {
            for &id in &old {
                remove(conn, user, id)?;
            }
            raise_removed_to(conn, user, last)
        })?;
    }
    Ok(old.len())
}

fn transaction(conn: &Connection, act: impl FnOnce() -> Result<(), StoreError>) -> Result<(), StoreError> {
    conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let done = act().and_then(|()| Ok(conn.prepare_cached("COMMIT")?.execute([]).map(drop)?));
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK")?;
    }
    done
}

/// How long until the next message expires, within bounds.
pub(super) fn until_next() -> Duration {
    let wait_ms = NEXT_MS.get().saturating_sub(now_ms());
    Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)).clamp(SOONEST, EVERY)
}
