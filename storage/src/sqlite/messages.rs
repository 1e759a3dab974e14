//! The numbered log of each user, in SQL.
//!
//! A message is delivered when its number is not above `counter.delivered_to`, or its row says so. With no
//! history kept, a delivered message has no row.

use super::sweep::expires;
use super::{Sqlite, WRITE_BYTES};
use crate::StoreError;
use crate::clock::now_ms;
use crate::error::NOT_SET_ASIDE;
use crate::traits::{Appended, Extra, Kept, Messages, NewMessage, ONCE_MS, Retention, Then};
use bytes::Bytes;
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, Row, params};

impl Messages for Sqlite {
    fn append(&self, user: &BareJid, message: NewMessage, then: Then<Appended>) {
        let (user, history) = (user.clone(), self.history);
        self.write(weight(&message), then, move |c| append(c, &user, &message, history));
    }

    fn reserve(&self, user: &BareJid, count: u32, then: Then<u64>) {
        let user = user.clone();
        self.write(WRITE_BYTES, then, move |c| reserve(c, &user, count));
    }

    fn append_at(&self, user: &BareJid, id: u64, message: NewMessage, then: Then<()>) {
        let user = user.clone();
        self.write(weight(&message), then, move |c| append_at(c, &user, id, &message));
    }

    fn pending(&self, user: &BareJid, after: u64, limit: u32, bytes_max: usize, then: Then<Vec<Kept>>) {
        let user = user.clone();
        self.read(then, move |c| pending(c, &user, after, limit, bytes_max));
    }

    fn delivered(&self, user: &BareJid, ids: Vec<u64>, then: Then<()>) {
        let (user, history) = (user.clone(), self.history);
        let bytes = WRITE_BYTES + ids.len() * size_of::<u64>();
        self.write(bytes, then, move |c| delivered(c, &user, ids, history));
    }

    fn delivered_to(&self, user: &BareJid, id: u64, then: Then<u64>) {
        let (user, history) = (user.clone(), self.history);
        self.write(WRITE_BYTES, then, move |c| delivered_to(c, &user, id, history));
    }

    fn pending_count(&self, user: &BareJid, then: Then<u64>) {
        let user = user.clone();
        self.read(then, move |c| pending_count(c, &user));
    }
}

/// What a message weighs in the queue.
fn weight(message: &NewMessage) -> usize {
    let extra = message.extra.as_ref().map_or(0, |e| {
        let key = |key: &Option<compact_str::CompactString>| key.as_ref().map_or(0, |key| key.len());
        size_of::<Extra>() + key(&e.collapse) + key(&e.once)
    });
    WRITE_BYTES + message.stanza.len() + extra
}

/// Where a user's log stands.
pub(super) struct State {
    pub(super) user: i64,
    pub(super) last: i64,
    pub(super) delivered_to: i64,
    pub(super) removed_to: i64,
}

pub(super) fn state(conn: &Connection, user: &BareJid) -> Result<Option<State>, StoreError> {
    let sql = "SELECT user, last_id, delivered_to, removed_to FROM counter
               WHERE user = (SELECT id FROM account WHERE jid = ?1)";
    let state = conn.prepare_cached(sql)?.query_row([user.as_str()], |row| {
        Ok(State { user: row.get(0)?, last: row.get(1)?, delivered_to: row.get(2)?, removed_to: row.get(3)? })
    });
    Ok(state.optional()?)
}

/// The id and the message in one transaction: ids come into sight in their own order, with no gaps.
fn append(conn: &Connection, user: &BareJid, message: &NewMessage, history: Retention) -> Result<Appended, StoreError> {
    if let Some(once) = message.extra.as_ref().and_then(|e| e.once.as_deref())
        && let Some(id) = kept_once(conn, user, once)?
    {
        return Ok(Appended { id, repeated: true });
    }
    let (user, id) = count_on(conn, user, 1)?;
    if let Some(extra) = &message.extra {
        note_keys(conn, user, id, extra)?;
    }
    let log_only = message.extra.as_ref().is_some_and(|e| e.log_only);
    if !is_over(message) && (history.keeps() || !log_only) {
        insert(conn, user, id, message, log_only)?;
    } else if log_only && !history.keeps() {
        raise_removed_to(conn, user, id)?; // whoever was not handed it misses it
    }
    if let Some(to) = history.remove_to(id as u64) {
        remove_delivered(conn, user, within(to))?;
    }
    Ok(Appended { id: id as u64, repeated: false })
}

fn reserve(conn: &Connection, user: &BareJid, count: u32) -> Result<u64, StoreError> {
    let (_, last) = count_on(conn, user, count)?;
    Ok((last - i64::from(count) + 1) as u64)
}

fn append_at(conn: &Connection, user: &BareJid, id: u64, message: &NewMessage) -> Result<(), StoreError> {
    let at = state(conn, user)?.ok_or(StoreError::NoAccount)?;
    let id = within(id);
    if !(1..=at.last).contains(&id) || insert(conn, at.user, id, message, false)? == 0 {
        return Err(NOT_SET_ASIDE);
    }
    if is_over(message) {
        remove(conn, at.user, id)?;
    } else if id <= at.delivered_to {
        // Those behind it are delivered, and it is not.
        let sql = "UPDATE inbox SET delivered = 1 WHERE user = ?1 AND id > ?2 AND id <= ?3";
        conn.prepare_cached(sql)?.execute([at.user, id, at.delivered_to])?;
        set_delivered_to(conn, at.user, id - 1)?;
    }
    Ok(())
}

/// The account's number, and the last of the `more` ids that are given out now.
fn count_on(conn: &Connection, user: &BareJid, more: u32) -> Result<(i64, i64), StoreError> {
    let sql = "UPDATE counter SET last_id = last_id + ?2
               WHERE user = (SELECT id FROM account WHERE jid = ?1) RETURNING user, last_id";
    let next = conn.prepare_cached(sql)?.query_row(params![user.as_str(), more], |row| Ok((row.get(0)?, row.get(1)?)));
    next.optional()?.ok_or(StoreError::NoAccount)
}

/// How many rows that made: none when there is such a message already.
fn insert(conn: &Connection, user: i64, id: i64, message: &NewMessage, delivered: bool) -> Result<usize, StoreError> {
    if let Some(at_ms) = message.expires_ms {
        expires(at_ms);
    }
    let stanza = &message.stanza[..];
    let Some(extra) = &message.extra else {
        let sql = "INSERT INTO inbox (user, id, at_ms, expires_ms, stanza) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (user, id) DO NOTHING";
        let columns = params![user, id, message.at_ms, message.expires_ms, stanza];
        return Ok(conn.prepare_cached(sql)?.execute(columns)?);
    };
    let body = extra.shared.map(|number| body_of(conn, number, stanza)).transpose()?;
    let stanza = body.is_none().then_some(stanza);
    let sql = "INSERT INTO inbox (user, id, at_ms, expires_ms, stanza, delivered, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (user, id) DO NOTHING";
    let columns = params![user, id, message.at_ms, message.expires_ms, stanza, delivered, body];
    Ok(conn.prepare_cached(sql)?.execute(columns)?)
}

/// Where the stanza that has this number lies; it is put there when it is the first.
fn body_of(conn: &Connection, number: u128, stanza: &[u8]) -> Result<i64, StoreError> {
    let number = number.to_be_bytes();
    let find = "SELECT id FROM body WHERE number = ?1";
    if let Some(id) = conn.prepare_cached(find)?.query_row([&number], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    conn.prepare_cached("INSERT INTO body (number, stanza) VALUES (?1, ?2)")?.execute(params![number, stanza])?;
    Ok(conn.last_insert_rowid())
}

/// The id of the message that came with this key, when that is not too long ago.
fn kept_once(conn: &Connection, user: &BareJid, key: &str) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT id FROM once
               WHERE user = (SELECT id FROM account WHERE jid = ?1) AND key = ?2 AND until_ms > ?3";
    let found = conn.prepare_cached(sql)?.query_row(params![user.as_str(), key, now_ms()], |row| row.get::<_, i64>(0));
    Ok(found.optional()?.map(|id| id as u64))
}

/// The message of this number came with these keys; the pending one it takes the place of goes.
fn note_keys(conn: &Connection, user: i64, id: i64, extra: &Extra) -> Result<(), StoreError> {
    if let Some(key) = extra.once.as_deref() {
        let sql = "INSERT INTO once (user, key, id, until_ms) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (user, key) DO UPDATE SET id = excluded.id, until_ms = excluded.until_ms";
        conn.prepare_cached(sql)?.execute(params![user, key, id, now_ms().saturating_add(ONCE_MS)])?;
    }
    if let Some(key) = extra.collapse.as_deref() {
        let sql = "DELETE FROM inbox WHERE user = ?1 AND delivered = 0
                     AND id = (SELECT id FROM collapse WHERE user = ?1 AND key = ?2)
                     AND id > (SELECT delivered_to FROM counter WHERE user = ?1)";
        conn.prepare_cached(sql)?.execute(params![user, key])?;
        let sql = "INSERT INTO collapse (user, key, id) VALUES (?1, ?2, ?3)
                   ON CONFLICT (user, key) DO UPDATE SET id = excluded.id";
        conn.prepare_cached(sql)?.execute(params![user, key, id])?;
    }
    Ok(())
}

/// A message in a row of `id, at_ms, stanza`.
pub(super) fn kept_of(row: &Row<'_>) -> Result<Kept, StoreError> {
    Ok(Kept { id: row.get::<_, i64>(0)? as u64, at_ms: row.get(1)?, stanza: Bytes::from(row.get::<_, Vec<u8>>(2)?) })
}

fn pending(
    conn: &Connection,
    user: &BareJid,
    after: u64,
    limit: u32,
    bytes_max: usize,
) -> Result<Vec<Kept>, StoreError> {
    let Some(at) = state(conn, user)? else { return Ok(Vec::new()) };
    let sql = "SELECT id, at_ms, coalesce(stanza, (SELECT stanza FROM body WHERE body.id = inbox.body)) FROM inbox
               WHERE user = ?1 AND id > ?2 AND delivered = 0 AND (expires_ms IS NULL OR expires_ms > ?3)
               ORDER BY id LIMIT ?4";
    let mut rows = conn.prepare_cached(sql)?;
    let mut rows = rows.query(params![at.user, within(after).max(at.delivered_to), now_ms(), limit])?;
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let kept = kept_of(row)?;
        bytes += kept.stanza.len();
        page.push(kept);
        if bytes >= bytes_max.max(1) {
            break; // the rest is not even read
        }
    }
    Ok(page)
}

fn delivered(conn: &Connection, user: &BareJid, mut ids: Vec<u64>, history: Retention) -> Result<(), StoreError> {
    let Some(at) = state(conn, user)? else { return Ok(()) };
    ids.retain(|id| (1..=at.last as u64).contains(id));
    ids.sort_unstable();
    if !history.keeps() {
        let mut removed_to = 0;
        for id in ids {
            if remove(conn, at.user, id as i64)? > 0 {
                removed_to = id as i64;
            }
        }
        return raise_removed_to(conn, at.user, removed_to);
    }
    ids.dedup();
    ids.retain(|id| *id as i64 > at.delivered_to);
    if ids.is_empty() {
        return Ok(());
    }
    // As far as all of them are delivered now, the counter alone says so.
    let sql = "SELECT id FROM inbox WHERE user = ?1 AND id > ?2 AND delivered = 0 ORDER BY id LIMIT ?3";
    let mut pending = conn.prepare_cached(sql)?;
    let mut pending = pending.query(params![at.user, at.delivered_to, ids.len() as i64 + 1])?;
    let mut delivered_to = at.last;
    while let Some(row) = pending.next()? {
        let id: i64 = row.get(0)?;
        if ids.binary_search(&(id as u64)).is_err() {
            delivered_to = id - 1;
            break;
        }
    }
    let mut mark = conn.prepare_cached("UPDATE inbox SET delivered = 1 WHERE user = ?1 AND id = ?2")?;
    for id in ids {
        if id as i64 > delivered_to {
            mark.execute([at.user, id as i64])?;
        }
    }
    if delivered_to > at.delivered_to {
        set_delivered_to(conn, at.user, delivered_to)?;
    }
    Ok(())
}

fn delivered_to(conn: &Connection, user: &BareJid, id: u64, history: Retention) -> Result<u64, StoreError> {
    let Some(at) = state(conn, user)? else { return Ok(0) };
    let id = within(id).min(at.last);
    if !history.keeps() {
        let sql = "DELETE FROM inbox WHERE user = ?1 AND id <= ?2";
        if conn.prepare_cached(sql)?.execute([at.user, id])? > 0 {
            raise_removed_to(conn, at.user, id)?;
        }
    } else if id > at.delivered_to {
        set_delivered_to(conn, at.user, id)?;
    }
    count_after(conn, at.user, at.delivered_to.max(id))
}

pub(super) fn pending_count(conn: &Connection, user: &BareJid) -> Result<u64, StoreError> {
    match state(conn, user)? {
        Some(at) => count_after(conn, at.user, at.delivered_to),
        None => Ok(0),
    }
}

fn count_after(conn: &Connection, user: i64, after: i64) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM inbox
               WHERE user = ?1 AND id > ?2 AND delivered = 0 AND (expires_ms IS NULL OR expires_ms > ?3)";
    let count: i64 = conn.prepare_cached(sql)?.query_row(params![user, after, now_ms()], |row| row.get(0))?;
    Ok(count as u64)
}

fn set_delivered_to(conn: &Connection, user: i64, id: i64) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE counter SET delivered_to = ?2 WHERE user = ?1")?.execute([user, id])?;
    Ok(())
}

pub(super) fn raise_removed_to(conn: &Connection, user: i64, id: i64) -> Result<(), StoreError> {
    if id > 0 {
        let sql = "UPDATE counter SET removed_to = max(removed_to, ?2) WHERE user = ?1";
        conn.prepare_cached(sql)?.execute([user, id])?;
    }
    Ok(())
}

/// Removes the delivered messages up to this one from the history.
fn remove_delivered(conn: &Connection, user: i64, to: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM inbox WHERE user = ?1 AND id <= ?2
                 AND (delivered = 1 OR id <= (SELECT delivered_to FROM counter WHERE user = ?1)) RETURNING id";
    let mut gone = conn.prepare_cached(sql)?;
    let mut gone = gone.query([user, to])?;
    let mut removed_to = 0;
    while let Some(row) = gone.next()? {
        removed_to = removed_to.max(row.get(0)?);
    }
    raise_removed_to(conn, user, removed_to)
}

pub(super) fn remove(conn: &Connection, user: i64, id: i64) -> Result<usize, StoreError> {
    Ok(conn.prepare_cached("DELETE FROM inbox WHERE user = ?1 AND id = ?2")?.execute([user, id])?)
}

/// Has it expired before it was kept?
fn is_over(message: &NewMessage) -> bool {
    message.expires_ms.is_some_and(|at| at <= now_ms())
}

/// An id as SQLite counts; one beyond its numbers is beyond every message.
pub(super) fn within(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
