//! Rosters on a map.

use super::{Account, Memory};
use crate::StoreError;
use crate::traits::{ROSTER_REMOVALS_MAX, Roster, RosterChange, RosterItem, Rosters, Then};
use herald_xmpp::jid::BareJid;

impl Account {
    pub(super) fn whole_roster(&self) -> Roster {
        let items = self.roster.values().map(|(_, item)| item.clone()).collect();
        Roster { version: self.version, items }
    }

    fn remember_removal(&mut self, contact: BareJid) {
        self.removed.insert(contact, self.version);
        if self.removed.len() > ROSTER_REMOVALS_MAX as usize {
            let oldest = self.removed.values().min().copied().unwrap_or_default();
            self.removed.retain(|_, version| *version > oldest);
            self.versions_from = self.versions_from.max(oldest);
        }
    }
}

impl Rosters for Memory {
    fn roster(&self, user: &BareJid, then: Then<Roster>) {
        self.read(then, |w| Ok(w.accounts.get(user).map_or_else(Roster::default, Account::whole_roster)));
    }

    fn put_item(&self, user: &BareJid, item: RosterItem, then: Then<u64>) {
        self.write(then, |w| {
            if item.groups.iter().any(|g| g.contains('\u{1f}')) {
                return Err(StoreError::Invalid("a group's name holds U+001F"));
            }
            let account = w.of(user)?;
            account.version += 1;
            let (jid, shown) = (item.jid.clone(), item.in_roster);
            let old = account.roster.insert(jid.clone(), (account.version, item));
            if shown {
                account.removed.remove(&jid);
            } else if old.is_some_and(|(_, old)| old.in_roster) {
                account.remember_removal(jid);
            }
            Ok(account.version)
        });
    }

    fn remove_item(&self, user: &BareJid, contact: &BareJid, then: Then<u64>) {
        self.write(then, |w| {
            let account = w.of(user)?;
            if let Some((_, old)) = account.roster.remove(contact) {
                account.version += 1;
                if old.in_roster {
                    account.remember_removal(contact.clone());
                }
            }
            Ok(account.version)
        });
    }

    fn roster_since(&self, user: &BareJid, version: u64, then: Then<Option<Vec<RosterChange>>>) {
        self.read(then, |w| {
            let Some(account) = w.accounts.get(user) else { return Ok(None) };
            if version < account.versions_from || version > account.version {
                return Ok(None);
            }
            let shown = account.roster.values().filter(|(_, item)| item.in_roster);
            let set = shown.map(|(at, item)| (*at, &item.jid, Some(item)));
            let gone = account.removed.iter().map(|(jid, at)| (*at, jid, None));
            let mut changes: Vec<RosterChange> = set
                .chain(gone)
                .filter(|(at, ..)| *at > version)
                .map(|(at, jid, item)| RosterChange { version: at, jid: jid.clone(), item: item.cloned() })
                .collect();
            changes.sort_by_key(|change| change.version);
            Ok(Some(changes))
        });
    }
}
