//! The log of a user, read by number, in SQL.

use super::Sqlite;
use super::messages::{kept_of, state, within};
use crate::StoreError;
use crate::clock::now_ms;
use crate::traits::{History, Page, Slice, Then};
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, params};

impl History for Sqlite {
    fn history(&self, user: &BareJid, slice: Slice, then: Then<Page>) {
        let user = user.clone();
        self.read(then, move |c| page(c, &user, slice));
    }
}

macro_rules! page_sql {
    ($order:literal) => {
        concat!(
            "SELECT id, at_ms, coalesce(stanza, (SELECT stanza FROM body WHERE body.id = inbox.body)) FROM inbox
             WHERE user = ?1 AND id > ?2 AND id < ?3
               AND (expires_ms IS NULL OR expires_ms > ?4 OR delivered = 1 OR id <= ?5)
             ORDER BY id ",
            $order,
            " LIMIT ?6"
        )
    };
}

fn page(conn: &Connection, user: &BareJid, slice: Slice) -> Result<Page, StoreError> {
    let Some(at) = state(conn, user)? else { return Ok(Page::default()) };
    let mut page = Page { items: Vec::new(), last: at.last as u64, removed_to: at.removed_to as u64, more: false };
    let sql = if slice.newest_first { page_sql!("DESC") } else { page_sql!("ASC") };
    let before = slice.before.map_or(i64::MAX, within);
    let limit = i64::from(slice.limit) + 1; // whether there are more
    let mut rows = conn.prepare_cached(sql)?;
    let mut rows = rows.query(params![at.user, within(slice.since), before, now_ms(), at.delivered_to, limit])?;
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        if page.items.len() >= slice.limit as usize || (bytes >= slice.bytes_max && !page.items.is_empty()) {
            page.more = true;
            break;
        }
        let kept = kept_of(row)?;
        bytes += kept.stanza.len();
        page.items.push(kept);
    }
    Ok(page)
}
