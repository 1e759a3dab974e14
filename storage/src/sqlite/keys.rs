//! Keys of backends, and answers that are given again, in SQL.

use super::fault::damaged;
use super::{Sqlite, WRITE_BYTES};
use crate::StoreError;
use crate::clock::now_ms;
use crate::traits::{ApiKey, KeptResult, Keys, Results, Then};
use bytes::Bytes;
use compact_str::CompactString;
use rusqlite::{Connection, OptionalExtension, params};

/// Ends each scope in its column.
const SCOPE_END: char = '\u{1f}';

impl Keys for Sqlite {
    fn put_key(&self, key: ApiKey, then: Then<bool>) {
        self.write(WRITE_BYTES, then, move |c| put(c, &key));
    }

    fn keys(&self, then: Then<Vec<ApiKey>>) {
        self.read(then, all);
    }

    fn delete_key(&self, name: &str, then: Then<bool>) {
        let name = name.to_owned();
        self.write(WRITE_BYTES, then, move |c| {
            Ok(c.prepare_cached("DELETE FROM api_key WHERE name = ?1")?.execute([&name])? > 0)
        });
    }
}

fn put(conn: &Connection, key: &ApiKey) -> Result<bool, StoreError> {
    let mut scopes = String::new();
    for scope in &key.scopes {
        if scope.contains(SCOPE_END) {
            return Err(StoreError::Invalid("a scope holds U+001F"));
        }
        scopes.push_str(scope);
        scopes.push(SCOPE_END);
    }
    let columns = params![key.name.as_str(), key.hash, scopes, key.created_ms];
    let sql = "UPDATE api_key SET hash = ?2, scopes = ?3, created_ms = ?4 WHERE name = ?1";
    if conn.prepare_cached(sql)?.execute(columns)? > 0 {
        return Ok(false);
    }
    let sql = "INSERT INTO api_key (name, hash, scopes, created_ms) VALUES (?1, ?2, ?3, ?4)";
    conn.prepare_cached(sql)?.execute(columns)?;
    Ok(true)
}

fn all(conn: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    let mut rows = conn.prepare_cached("SELECT name, hash, scopes, created_ms FROM api_key ORDER BY name")?;
    let mut rows = rows.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        let scopes: String = row.get(2)?;
        keys.push(ApiKey {
            name: row.get::<_, String>(0)?.into(),
            hash: row.get(1).map_err(|_| damaged("the hash of a key"))?,
            scopes: scopes.split_terminator(SCOPE_END).map(CompactString::from).collect(),
            created_ms: row.get(3)?,
        });
    }
    Ok(keys)
}

impl Results for Sqlite {
    fn result(&self, key: &str, then: Then<Option<KeptResult>>) {
        let key = key.to_owned();
        self.read(then, move |c| result(c, &key));
    }

    fn put_result(&self, key: &str, result: KeptResult, then: Then<()>) {
        let key = key.to_owned();
        let bytes = WRITE_BYTES + key.len() + result.answer.len();
        self.write(bytes, then, move |c| {
            let sql = "INSERT INTO result (key, request_hash, answer, expires_ms) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (key) DO UPDATE SET request_hash = excluded.request_hash,
                         answer = excluded.answer, expires_ms = excluded.expires_ms";
            let columns = params![key, result.request_hash, &result.answer[..], result.expires_ms];
            c.prepare_cached(sql)?.execute(columns)?;
            Ok(())
        });
    }
}

fn result(conn: &Connection, key: &str) -> Result<Option<KeptResult>, StoreError> {
    let sql = "SELECT request_hash, answer, expires_ms FROM result WHERE key = ?1 AND expires_ms > ?2";
    let found = conn.prepare_cached(sql)?.query_row(params![key, now_ms()], |row| {
        Ok(KeptResult {
            request_hash: row.get(0)?,
            answer: Bytes::from(row.get::<_, Vec<u8>>(1)?),
            expires_ms: row.get(2)?,
        })
    });
    Ok(found.optional()?)
}
