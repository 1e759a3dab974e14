//! Accounts in SQL.

use super::fault::damaged;
use crate::StoreError;
use crate::traits::Put;
use herald_xmpp::jid::BareJid;
use herald_xmpp::sasl::{Credentials, ScramKeys};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) fn one(conn: &Connection, user: &BareJid) -> Result<Option<Credentials>, StoreError> {
    let sql = "SELECT sha1_salt, sha1_iterations, sha1_stored, sha1_server,
                      sha256_salt, sha256_iterations, sha256_stored, sha256_server
               FROM account WHERE jid = ?1";
    let keys = conn
        .prepare_cached(sql)?
        .query_row([user.as_str()], |row| Ok(Credentials { sha1: keys_at(row, 0)?, sha256: keys_at(row, 4)? }));
    Ok(keys.optional()?)
}

pub(super) fn exists(conn: &Connection, user: &BareJid) -> Result<bool, StoreError> {
    Ok(conn.prepare_cached("SELECT 1 FROM account WHERE jid = ?1")?.exists([user.as_str()])?)
}

pub(super) fn put(conn: &Connection, user: &BareJid, keys: &Credentials, how: Put) -> Result<bool, StoreError> {
    match how {
        Put::Create => create(conn, user, keys),
        Put::Replace => replace(conn, user, keys),
        Put::Upsert => Ok(create(conn, user, keys)? || replace(conn, user, keys)?),
    }
}

pub(super) fn import(conn: &Connection, accounts: &[(BareJid, Credentials)]) -> Result<u64, StoreError> {
    let mut new = 0;
    for (user, keys) in accounts {
        if create(conn, user, keys)? {
            new += 1;
        } else {
            replace(conn, user, keys)?;
        }
    }
    Ok(new)
}

/// The rows of all other tables go by their foreign keys; the floors rise above what was given out.
pub(super) fn delete(conn: &Connection, user: &BareJid) -> Result<bool, StoreError> {
    let raise = "UPDATE store SET
                   id_floor = max(id_floor, gone.last_id),
                   version_floor = max(version_floor, gone.roster_version + 1)
                 FROM (SELECT last_id, roster_version FROM counter
                       WHERE user = (SELECT id FROM account WHERE jid = ?1)) AS gone";
    conn.prepare_cached(raise)?.execute([user.as_str()])?;
    let gone = conn.prepare_cached("DELETE FROM account WHERE jid = ?1")?.execute([user.as_str()])?;
    Ok(gone > 0)
}

pub(super) fn page(conn: &Connection, after: Option<&BareJid>, limit: u32) -> Result<Vec<BareJid>, StoreError> {
    let sql = "SELECT jid FROM account WHERE jid > ?1 ORDER BY jid LIMIT ?2";
    let after = after.map_or("", |jid| jid.as_str());
    let mut rows = conn.prepare_cached(sql)?;
    let mut rows = rows.query(params![after, limit])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(jid_at(row, 0)?);
    }
    Ok(page)
}

pub(super) fn count(conn: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM account";
    let count: i64 = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(count as u64)
}

/// An address in a row. We wrote it, so it must be one.
pub(super) fn jid_at(row: &Row<'_>, column: usize) -> Result<BareJid, StoreError> {
    let text = row.get_ref(column)?.as_str().map_err(|_| damaged("an address"))?;
    text.parse().map_err(|_| damaged("an address"))
}

fn create(conn: &Connection, user: &BareJid, keys: &Credentials) -> Result<bool, StoreError> {
    let account = "INSERT INTO account (jid, sha1_salt, sha1_iterations, sha1_stored, sha1_server,
                     sha256_salt, sha256_iterations, sha256_stored, sha256_server)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT (jid) DO NOTHING RETURNING id";
    let (a, b) = (&keys.sha1, &keys.sha256);
    let columns = params![
        user.as_str(),
        a.salt,
        a.iterations,
        a.stored_key,
        a.server_key,
        b.salt,
        b.iterations,
        b.stored_key,
        b.server_key,
    ];
    let id = conn.prepare_cached(account)?.query_row(columns, |row| row.get::<_, i64>(0));
    let Some(id) = id.optional()? else { return Ok(false) };
    let counter = "INSERT INTO counter (user, last_id, roster_version, roster_from)
                   SELECT ?1, id_floor, version_floor, version_floor FROM store";
    conn.prepare_cached(counter)?.execute([id])?;
    Ok(true)
}

fn replace(conn: &Connection, user: &BareJid, keys: &Credentials) -> Result<bool, StoreError> {
    let sql = "UPDATE account SET sha1_salt = ?2, sha1_iterations = ?3, sha1_stored = ?4,
                 sha1_server = ?5, sha256_salt = ?6, sha256_iterations = ?7, sha256_stored = ?8,
                 sha256_server = ?9
               WHERE jid = ?1";
    let (a, b) = (&keys.sha1, &keys.sha256);
    let columns = params![
        user.as_str(),
        a.salt,
        a.iterations,
        a.stored_key,
        a.server_key,
        b.salt,
        b.iterations,
        b.stored_key,
        b.server_key,
    ];
    Ok(conn.prepare_cached(sql)?.execute(columns)? > 0)
}

fn keys_at(row: &Row<'_>, first: usize) -> rusqlite::Result<ScramKeys> {
    let blob = |column: usize| -> rusqlite::Result<Box<[u8]>> {
        let value = row.get_ref(column)?;
        let wrong = |_| rusqlite::Error::InvalidColumnType(column, "keys".into(), Type::Blob);
        Ok(value.as_blob().map_err(wrong)?.into())
    };
    Ok(ScramKeys {
        salt: blob(first)?,
        iterations: row.get(first + 1)?,
        stored_key: blob(first + 2)?,
        server_key: blob(first + 3)?,
    })
}
