//! When users were last there, in SQL.

use super::{Sqlite, WRITE_BYTES};
use crate::StoreError;
use crate::traits::{Activity, Then};
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};

impl Activity for Sqlite {
    fn last_seen(&self, users: Vec<BareJid>, then: Then<Vec<Option<i64>>>) {
        self.read(then, move |c| last_seen(c, &users));
    }

    fn put_last_seen(&self, user: &BareJid, at_ms: i64, then: Then<()>) {
        let user = user.clone();
        self.write(WRITE_BYTES, then, move |c| put(c, &user, at_ms));
    }
}

fn last_seen(conn: &Connection, users: &[BareJid]) -> Result<Vec<Option<i64>>, StoreError> {
    let sql = "SELECT at_ms FROM last_seen WHERE user = (SELECT id FROM account WHERE jid = ?1)";
    let mut found = conn.prepare_cached(sql)?;
    let seen = users.iter().map(|user| Ok(found.query_row([user.as_str()], |row| row.get(0)).optional()?));
    seen.collect()
}

fn put(conn: &Connection, user: &BareJid, at_ms: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO last_seen (user, at_ms) SELECT id, ?2 FROM account WHERE jid = ?1
               ON CONFLICT (user) DO UPDATE SET at_ms = excluded.at_ms";
    match conn.prepare_cached(sql)?.execute(params![user.as_str(), at_ms])? {
        0 => Err(StoreError::NoAccount),
        _ => Ok(()),
    }
}
