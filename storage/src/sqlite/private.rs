//! What users keep for themselves, in SQL.

use crate::StoreError;
use bytes::Bytes;
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) fn one(conn: &Connection, user: &BareJid, space: &str, key: &str) -> Result<Option<Bytes>, StoreError> {
    let sql = "SELECT value FROM private
               WHERE user = (SELECT id FROM account WHERE jid = ?1) AND space = ?2 AND key = ?3";
    let mut found = conn.prepare_cached(sql)?;
    let value = found.query_row([user.as_str(), space, key], |row| row.get::<_, Vec<u8>>(0));
    Ok(value.optional()?.map(Bytes::from))
}

pub(super) fn put(
    conn: &Connection,
    user: &BareJid,
    space: &str,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), StoreError> {
    let id = conn
        .prepare_cached("SELECT id FROM account WHERE jid = ?1")?
        .query_row([user.as_str()], |row| row.get::<_, i64>(0))
        .optional()?;
    match (id, value) {
        (Some(id), Some(value)) => {
            let sql = "INSERT INTO private (user, space, key, value) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (user, space, key) DO UPDATE SET value = excluded.value";
            conn.prepare_cached(sql)?.execute(params![id, space, key, value])?;
        }
        (Some(id), None) => {
            let sql = "DELETE FROM private WHERE user = ?1 AND space = ?2 AND key = ?3";
            conn.prepare_cached(sql)?.execute(params![id, space, key])?;
        }
        (None, Some(_)) => return Err(StoreError::NoAccount),
        (None, None) => {}
    }
    Ok(())
}
