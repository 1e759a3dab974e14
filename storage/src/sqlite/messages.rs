//! Messages kept for users, in SQL.

use crate::StoreError;
use crate::clock::now_ms;
use crate::error::NOT_SET_ASIDE;
use crate::traits::{Appended, Kept, NewMessage};
use bytes::Bytes;
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// The id and the message in one transaction: ids come into sight in their own order, with no gaps.
pub(super) fn append(conn: &Connection, user: &BareJid, message: &NewMessage) -> Result<Appended, StoreError> {
    let (user, id) = count_on(conn, user, 1)?;
    insert(conn, user, id, message)?;
    Ok(Appended { id: id as u64 })
}

pub(super) fn reserve(conn: &Connection, user: &BareJid, count: u32) -> Result<u64, StoreError> {
    let (_, last) = count_on(conn, user, count)?;
    Ok((last - i64::from(count) + 1) as u64)
}

pub(super) fn append_at(conn: &Connection, user: &BareJid, id: u64, message: &NewMessage) -> Result<(), StoreError> {
    let sql = "SELECT user, last_id FROM counter WHERE user = (SELECT id FROM account WHERE jid = ?1)";
    let found = conn.prepare_cached(sql)?.query_row([user.as_str()], user_and_id);
    let (user, last) = found.optional()?.ok_or(StoreError::NoAccount)?;
    if !(1..=last).contains(&within(id)) || insert(conn, user, within(id), message)? == 0 {
        return Err(NOT_SET_ASIDE);
    }
    Ok(())
}

/// The account's number, and the last of the `more` ids that are given out now.
fn count_on(conn: &Connection, user: &BareJid, more: u32) -> Result<(i64, i64), StoreError> {
    let sql = "UPDATE counter SET last_id = last_id + ?2
               WHERE user = (SELECT id FROM account WHERE jid = ?1) RETURNING user, last_id";
    let next = conn.prepare_cached(sql)?.query_row(params![user.as_str(), more], user_and_id);
    next.optional()?.ok_or(StoreError::NoAccount)
}

fn user_and_id(row: &Row<'_>) -> rusqlite::Result<(i64, i64)> {
    Ok((row.get(0)?, row.get(1)?))
}

/// How many rows that made: none when there is such a message already.
fn insert(conn: &Connection, user: i64, id: i64, message: &NewMessage) -> Result<usize, StoreError> {
    let sql = "INSERT INTO inbox (user, id, at_ms, expires_ms, stanza) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (user, id) DO NOTHING";
    let columns = params![user, id, message.at_ms, message.expires_ms, &message.stanza[..]];
    Ok(conn.prepare_cached(sql)?.execute(columns)?)
}

pub(super) fn pending(
    conn: &Connection,
    user: &BareJid,
    after: u64,
    limit: u32,
    bytes_max: usize,
) -> Result<Vec<Kept>, StoreError> {
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
    let (mut page, mut bytes) = (Vec::new(), 0);
    for kept in rows {
        let kept = kept?;
        bytes += kept.stanza.len();
        page.push(kept);
        if bytes >= bytes_max.max(1) {
            break; // the rest is not even read
        }
    }
    Ok(page)
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
