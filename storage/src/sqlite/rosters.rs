//! Rosters in SQL. Each row knows the version that wrote it; removed contacts leave a row that knows
//! the version that removed them, and of those only the newest are kept.

use super::accounts::jid_at;
use super::fault::damaged;
use crate::StoreError;
use crate::traits::{ROSTER_REMOVALS_MAX, Roster, RosterChange, RosterItem, Subscription};
use bytes::Bytes;
use compact_str::CompactString;
use herald_xmpp::jid::BareJid;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// Ends each group's name in its column. XML cannot hold it.
const GROUP_END: char = '\u{1f}';

pub(super) fn whole(conn: &Connection, user: &BareJid) -> Result<Roster, StoreError> {
    let Some(at) = state(conn, user)? else { return Ok(Roster::default()) };
    let sql = "SELECT contact, name, groups, subscription, ask, approved, pending_in, in_roster
               FROM roster WHERE user = ?1 ORDER BY contact";
    let mut rows = conn.prepare_cached(sql)?;
    let mut rows = rows.query([at.user])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(item_of(row)?);
    }
    Ok(Roster { version: at.version as u64, items })
}

pub(super) fn put(conn: &Connection, user: &BareJid, item: &RosterItem) -> Result<u64, StoreError> {
    let groups = groups_text(&item.groups)?;
    let at = state(conn, user)?.ok_or(StoreError::NoAccount)?;
    let version = next_version(conn, &at)?;
    let was_shown = shown(conn, at.user, &item.jid)? == Some(true);
    let sql = "INSERT INTO roster (user, contact, version, name, groups, subscription, ask, approved,
                 pending_in, in_roster)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
               ON CONFLICT (user, contact) DO UPDATE SET version = excluded.version,
                 name = excluded.name, groups = excluded.groups,
                 subscription = excluded.subscription, ask = excluded.ask,
                 approved = excluded.approved, pending_in = excluded.pending_in,
                 in_roster = excluded.in_roster";
    conn.prepare_cached(sql)?.execute(params![
        at.user,
        item.jid.as_str(),
        version,
        item.name.as_deref(),
        groups,
        item.subscription.as_str(),
        item.ask,
        item.approved,
        item.pending_in.as_deref(),
        item.in_roster,
    ])?;
    if item.in_roster {
        let sql = "DELETE FROM roster_removed WHERE user = ?1 AND contact = ?2";
        conn.prepare_cached(sql)?.execute(params![at.user, item.jid.as_str()])?;
    } else if was_shown {
        remember_removal(conn, at.user, &item.jid, version)?;
    }
    Ok(version as u64)
}

pub(super) fn remove(conn: &Connection, user: &BareJid, contact: &BareJid) -> Result<u64, StoreError> {
    let at = state(conn, user)?.ok_or(StoreError::NoAccount)?;
    let Some(was_shown) = shown(conn, at.user, contact)? else { return Ok(at.version as u64) };
    let version = next_version(conn, &at)?;
    let sql = "DELETE FROM roster WHERE user = ?1 AND contact = ?2";
    conn.prepare_cached(sql)?.execute(params![at.user, contact.as_str()])?;
    if was_shown {
        remember_removal(conn, at.user, contact, version)?;
    }
    Ok(version as u64)
}

pub(super) fn since(conn: &Connection, user: &BareJid, version: u64) -> Result<Option<Vec<RosterChange>>, StoreError> {
    let Some(at) = state(conn, user)? else { return Ok(None) };
    let known = match i64::try_from(version) {
        Ok(known) if (at.from..=at.version).contains(&known) => known,
        _ => return Ok(None),
    };
    // The same columns as for an item, then the version, then whether it is gone.
    let sql = "SELECT contact, name, groups, subscription, ask, approved, pending_in, in_roster,
                 version, 0
               FROM roster WHERE user = ?1 AND version > ?2 AND in_roster
               UNION ALL
               SELECT contact, NULL, '', 'none', 0, 0, NULL, 0, version, 1
               FROM roster_removed WHERE user = ?1 AND version > ?2
               ORDER BY 9";
    let mut rows = conn.prepare_cached(sql)?;
    let mut rows = rows.query(params![at.user, known])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let item = item_of(row)?;
        let version = row.get::<_, i64>(8)? as u64;
        let gone: bool = row.get(9)?;
        changes.push(RosterChange { version, jid: item.jid.clone(), item: (!gone).then_some(item) });
    }
    Ok(Some(changes))
}

/// Where a user's roster stands.
struct State {
    user: i64,
    version: i64,
    from: i64,
}

fn state(conn: &Connection, user: &BareJid) -> Result<Option<State>, StoreError> {
    let sql = "SELECT user, roster_version, roster_from FROM counter
               WHERE user = (SELECT id FROM account WHERE jid = ?1)";
    let state = conn
        .prepare_cached(sql)?
        .query_row([user.as_str()], |row| Ok(State { user: row.get(0)?, version: row.get(1)?, from: row.get(2)? }));
    Ok(state.optional()?)
}

fn next_version(conn: &Connection, at: &State) -> Result<i64, StoreError> {
    let version = at.version + 1;
    let sql = "UPDATE counter SET roster_version = ?2 WHERE user = ?1";
    conn.prepare_cached(sql)?.execute([at.user, version])?;
    Ok(version)
}

/// Is the contact an item that clients see? `None`: there is no such row.
fn shown(conn: &Connection, user: i64, contact: &BareJid) -> Result<Option<bool>, StoreError> {
    let sql = "SELECT in_roster FROM roster WHERE user = ?1 AND contact = ?2";
    let mut found = conn.prepare_cached(sql)?;
    Ok(found.query_row(params![user, contact.as_str()], |row| row.get(0)).optional()?)
}

fn remember_removal(conn: &Connection, user: i64, contact: &BareJid, version: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO roster_removed (user, contact, version) VALUES (?1, ?2, ?3)
               ON CONFLICT (user, contact) DO UPDATE SET version = excluded.version";
    conn.prepare_cached(sql)?.execute(params![user, contact.as_str(), version])?;

    // Who knows at least the version of the newest forgotten removal misses nothing.
    let too_old = "SELECT version FROM roster_removed WHERE user = ?1
                   ORDER BY version DESC LIMIT 1 OFFSET ?2";
    let too_old: Option<i64> =
        conn.prepare_cached(too_old)?.query_row(params![user, ROSTER_REMOVALS_MAX], |row| row.get(0)).optional()?;
    if let Some(version) = too_old {
        let sql = "DELETE FROM roster_removed WHERE user = ?1 AND version <= ?2";
        conn.prepare_cached(sql)?.execute([user, version])?;
        let sql = "UPDATE counter SET roster_from = max(roster_from, ?2) WHERE user = ?1";
        conn.prepare_cached(sql)?.execute([user, version])?;
    }
    Ok(())
}

fn item_of(row: &Row<'_>) -> Result<RosterItem, StoreError> {
    Ok(RosterItem {
        jid: jid_at(row, 0)?,
        name: row.get::<_, Option<String>>(1)?.map(CompactString::from),
        groups: groups_of(row.get_ref(2)?.as_str().map_err(|_| damaged("a group"))?),
        subscription: match row.get_ref(3)?.as_str() {
            Ok("none") => Subscription::None,
            Ok("to") => Subscription::To,
            Ok("from") => Subscription::From,
            Ok("both") => Subscription::Both,
            _ => return Err(damaged("a subscription")),
        },
        ask: row.get(4)?,
        approved: row.get(5)?,
        pending_in: row.get::<_, Option<Vec<u8>>>(6)?.map(Bytes::from),
        in_roster: row.get(7)?,
    })
}

fn groups_text(groups: &[CompactString]) -> Result<String, StoreError> {
    let mut text = String::new();
    for group in groups {
        if group.contains(GROUP_END) {
            return Err(StoreError::Invalid("a group's name holds U+001F"));
        }
        text.push_str(group);
        text.push(GROUP_END);
    }
    Ok(text)
}

fn groups_of(text: &str) -> Vec<CompactString> {
    text.split_terminator(GROUP_END).map(CompactString::from).collect()
}
