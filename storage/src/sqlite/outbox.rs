//! What is on its way out, in SQL.

use super::messages::within;
use super::{Sqlite, WRITE_BYTES};
use crate::StoreError;
use crate::traits::{Outbox, Then};
use bytes::Bytes;
use rusqlite::{Connection, params};

impl Outbox for Sqlite {
    fn put_out(&self, sink: &str, items: Vec<Bytes>, then: Then<u64>) {
        let sink = sink.to_owned();
        let bytes = WRITE_BYTES + items.iter().map(|item| item.len() + size_of::<Bytes>()).sum::<usize>();
        self.write(bytes, then, move |c| put(c, &sink, &items));
    }

    fn out(&self, sink: &str, after: u64, limit: u32, then: Then<Vec<(u64, Bytes)>>) {
        let sink = sink.to_owned();
        self.read(then, move |c| out(c, &sink, after, limit));
    }

    fn done_out(&self, sink: &str, upto: u64, then: Then<()>) {
        let sink = sink.to_owned();
        self.write(WRITE_BYTES, then, move |c| {
            let sql = "DELETE FROM outbox WHERE sink = (SELECT id FROM sink WHERE name = ?1) AND seq <= ?2";
            c.prepare_cached(sql)?.execute(params![sink, within(upto)])?;
            Ok(())
        });
    }
}

fn put(conn: &Connection, sink: &str, items: &[Bytes]) -> Result<u64, StoreError> {
    let sql = "INSERT INTO sink (name, last_seq) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET last_seq = last_seq + ?2 RETURNING id, last_seq";
    let (id, last): (i64, i64) =
        conn.prepare_cached(sql)?.query_row(params![sink, items.len() as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut insert = conn.prepare_cached("INSERT INTO outbox (sink, seq, item) VALUES (?1, ?2, ?3)")?;
    for (n, item) in items.iter().rev().enumerate() {
        insert.execute(params![id, last - n as i64, &item[..]])?;
    }
    Ok(last as u64)
}

fn out(conn: &Connection, sink: &str, after: u64, limit: u32) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let sql = "SELECT seq, item FROM outbox
               WHERE sink = (SELECT id FROM sink WHERE name = ?1) AND seq > ?2 ORDER BY seq LIMIT ?3";
    let mut rows = conn.prepare_cached(sql)?;
    let rows = rows.query_map(params![sink, within(after), limit], |row| {
        Ok((row.get::<_, i64>(0)? as u64, Bytes::from(row.get::<_, Vec<u8>>(1)?)))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
