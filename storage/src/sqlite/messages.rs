//! Messages kept for users, in SQL.

use crate::StoreError;
use crate::clock::now_ms;
use crate::traits::{Appended, Kept, NewMessage};
use bytes::Bytes;
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};

/// The id and the message in one transaction: ids come into sight in their own order, with no gaps.
pub(super) fn append(conn: &Connection, user: &BareJid, message: &NewMessage) -> Result<Appended, StoreError> {
    let next = "UPDATE counter SET last_id = last_id + 1
                WHERE user = (SELECT id FROM account WHERE jid = ?1) RETURNING user, last_id";
    let next =
        conn.prepare_cached(next)?.query_row([user.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
    let (user, id) = next.optional()?.ok_or(StoreError::NoAccount)?;
    let keep = "INSERT INTO inbox (user, id, at_ms, expires_ms, stanza) VALUES (?1, ?2, ?3, ?4, ?5)";
    let columns = params![user, id, message.at_ms, message.expires_ms, &message.stanza[..]];
    conn.prepare_cached(keep)?.execute(columns)?;
    Ok(Appended { id: id as u64 })
}

pub(super) fn pending(conn: &Connection, user: &BareJid, after: u64, limit: u32) -> Result<Vec<Kept>, StoreError> {
    let sql = "SELECT id, at_ms, stanza FROM inbox
               WHERE user = (SELECT id FROM account WHERE jid = ?1) AND id > ?2
                 AND (expires_ms IS NULL OR expires_ms > ?3)
               ORDER BY id LIMIT ?4";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![user.as_str(), within(after), now_ms(), limit], |row| {
        Ok(Kept {
            id: row.get::<_, i64>(0)? as u64,
            at_ms: row.get(1)?,
            stanza: Bytes::from(row.get::<_, Vec<u8>>(2)?),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn delivered(conn: &Connection, user: &BareJid, ids: &[u64]) -> Result<(), StoreError> {
    let sql = "DELETE FROM inbox
               WHERE user = (SELECT id FROM account WHERE jid = ?1) AND id = ?2";
    let mut delete = conn.prepare_cached(sql)?;
    for id in ids {
        delete.execute(params![user.as_str(), within(*id)])?;
    }
    Ok(())
}

pub(super) fn pending_count(conn: &Connection, user: &BareJid) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM inbox
               WHERE user = (SELECT id FROM account WHERE jid = ?1)
                 AND (expires_ms IS NULL OR expires_ms > ?2)";
    let mut count = conn.prepare_cached(sql)?;
    let count: i64 = count.query_row(params![user.as_str(), now_ms()], |row| row.get(0))?;
    Ok(count as u64)
}

/// Removes expired messages, the oldest first. Answers how many.
pub(super) fn sweep(conn: &Connection, rows_max: u32) -> Result<usize, StoreError> {
    let sql = "DELETE FROM inbox WHERE (user, id) IN
                 (SELECT user, id FROM inbox WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)";
    Ok(conn.prepare_cached(sql)?.execute(params![now_ms(), rows_max])?)
}

/// An id as SQLite counts; one beyond its numbers is beyond every message.
fn within(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
