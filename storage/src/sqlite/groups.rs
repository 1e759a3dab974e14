//! Groups of users in SQL.

use super::accounts::jid_at;
use super::{Sqlite, WRITE_BYTES};
use crate::StoreError;
use crate::traits::{Groups, Then};
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};

impl Groups for Sqlite {
    fn join(&self, group: &str, users: Vec<BareJid>, then: Then<u64>) {
        let group = group.to_owned();
        self.write(weight(&users), then, move |c| join(c, &group, &users));
    }

    fn leave(&self, group: &str, users: Vec<BareJid>, then: Then<u64>) {
        let group = group.to_owned();
        self.write(weight(&users), then, move |c| leave(c, &group, &users));
    }

    fn members(&self, group: &str, after: Option<BareJid>, limit: u32, then: Then<Option<Vec<BareJid>>>) {
        let group = group.to_owned();
        self.read(then, move |c| members(c, &group, after.as_ref(), limit));
    }

    fn groups(&self, after: Option<CompactString>, limit: u32, then: Then<Vec<(CompactString, u64)>>) {
        self.read(then, move |c| groups(c, after.as_deref(), limit));
    }

    fn delete_group(&self, group: &str, then: Then<bool>) {
        let group = group.to_owned();
        self.write(WRITE_BYTES, then, move |c| {
            Ok(c.prepare_cached("DELETE FROM user_group WHERE name = ?1")?.execute([&group])? > 0)
        });
    }
}

fn weight(users: &[BareJid]) -> usize {
    WRITE_BYTES + size_of_val(users)
}

fn id_of(conn: &Connection, group: &str) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT id FROM user_group WHERE name = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([group], |row| row.get(0)).optional()?)
}

fn join(conn: &Connection, group: &str, users: &[BareJid]) -> Result<u64, StoreError> {
    let id = match id_of(conn, group)? {
        Some(id) => id,
        None => {
            conn.prepare_cached("INSERT INTO user_group (name) VALUES (?1)")?.execute([group])?;
            conn.last_insert_rowid()
        }
    };
    let mut account = conn.prepare_cached("SELECT id FROM account WHERE jid = ?1")?;
    let sql = "INSERT INTO member (user_group, jid, user) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let mut insert = conn.prepare_cached(sql)?;
    let mut new = 0;
    for user in users {
        let account = account.query_row([user.as_str()], |row| row.get::<_, i64>(0)).optional()?;
        let account = account.ok_or(StoreError::NoAccount)?;
        new += insert.execute(params![id, user.as_str(), account])? as u64;
    }
    Ok(new)
}

fn leave(conn: &Connection, group: &str, users: &[BareJid]) -> Result<u64, StoreError> {
    let Some(id) = id_of(conn, group)? else { return Ok(0) };
    let mut delete = conn.prepare_cached("DELETE FROM member WHERE user_group = ?1 AND jid = ?2")?;
    let mut gone = 0;
    for user in users {
        gone += delete.execute(params![id, user.as_str()])? as u64;
    }
    Ok(gone)
}

fn members(
    conn: &Connection,
    group: &str,
    after: Option<&BareJid>,
    limit: u32,
) -> Result<Option<Vec<BareJid>>, StoreError> {
    let Some(id) = id_of(conn, group)? else { return Ok(None) };
    let sql = "SELECT jid FROM member WHERE user_group = ?1 AND jid > ?2 ORDER BY jid LIMIT ?3";
    let mut rows = conn.prepare_cached(sql)?;
    let mut rows = rows.query(params![id, after.map_or("", |jid| jid.as_str()), limit])?;
    let mut page = Vec::new();
    while let Some(row) = rows.next()? {
        page.push(jid_at(row, 0)?);
    }
    Ok(Some(page))
}

fn groups(conn: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<(CompactString, u64)>, StoreError> {
    let sql = "SELECT name, (SELECT count(*) FROM member WHERE user_group = user_group.id) FROM user_group
               WHERE name >= ?1 AND NOT (?2 AND name = ?1) ORDER BY name LIMIT ?3";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![after.unwrap_or_default(), after.is_some(), limit], |row| {
        Ok((CompactString::from(row.get::<_, String>(0)?), row.get::<_, i64>(1)? as u64))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
