//! What a user's actor knows of contacts: who they are and who sees whom, five bytes and the address for each. What
//! clients call them, and in which groups they are, is in the store, where it is read when somebody asks.

use crate::subscription::State;
use bytes::Bytes;
use herald_storage::{Roster, RosterItem, Subscription};
use herald_xmpp::BareJid;

const SEES: u8 = 1;
const SEEN: u8 = 1 << 1;
const ASK: u8 = 1 << 2;
const ASKED: u8 = 1 << 3;
const APPROVED: u8 = 1 << 4;
const IN_ROSTER: u8 = 1 << 5;
const HAS_WORDS: u8 = 1 << 6;

/// All contacts, in the order of their JIDs. Boxed; not there while empty and new.
pub(super) struct Contacts {
    /// The roster's, as in the store.
    pub version: u64,
    /// Their addresses, one behind the other.
    text: Vec<u8>,
    /// Where each address ends.
    ends: Vec<u32>,
    marks: Vec<u8>,
    /// The requests that are unanswered, as they came.
    requests: Vec<(BareJid, Bytes)>,
}

/// One contact.
#[derive(Clone, Copy)]
pub(super) struct Contact<'a> {
    /// A bare JID's text.
    pub jid: &'a str,
    marks: u8,
}

impl Contact<'_> {
    /// The address as such; its text is copied.
    pub fn to_jid(self) -> BareJid {
        BareJid::of_text(self.jid)
    }

    pub fn state(self) -> State {
        State::new(self.subscription(), self.has(ASK), self.has(ASKED))
    }

    pub fn subscription(self) -> Subscription {
        match (self.has(SEES), self.has(SEEN)) {
            (false, false) => Subscription::None,
            (true, false) => Subscription::To,
            (false, true) => Subscription::From,
            (true, true) => Subscription::Both,
        }
    }

    pub fn approved(self) -> bool {
        self.has(APPROVED)
    }

    pub fn in_roster(self) -> bool {
        self.has(IN_ROSTER)
    }

    /// Are there a name or groups in the store?
    pub fn has_words(self) -> bool {
        self.has(HAS_WORDS)
    }

    fn has(self, mark: u8) -> bool {
        self.marks & mark != 0
    }
}

impl Contacts {
    /// What the store has; `None` when that is nothing yet.
    pub fn new(roster: Roster) -> Option<Box<Contacts>> {
        let Roster { version, mut items } = roster;
        if version == 0 && items.is_empty() {
            return None;
        }
        items.sort_unstable_by(|a, b| a.jid.cmp(&b.jid));
        let mut contacts = Contacts::none();
        contacts.version = version;
        contacts.text.reserve_exact(items.iter().map(|item| item.jid.as_str().len()).sum());
        contacts.ends.reserve_exact(items.len());
        contacts.marks.reserve_exact(items.len());
        for item in items {
            contacts.put(&item);
        }
        Some(Box::new(contacts))
    }

    pub const fn none() -> Contacts {
        Contacts { version: 0, text: Vec::new(), ends: Vec::new(), marks: Vec::new(), requests: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = Contact<'_>> {
        (0..self.len()).map(|place| self.at(place))
    }

    pub fn get(&self, bare: &str) -> Option<Contact<'_>> {
        self.find(bare).ok().map(|place| self.at(place))
    }

    pub fn requests(&self) -> impl Iterator<Item = &Bytes> {
        self.requests.iter().map(|(_, request)| request)
    }

    /// One as the store has it, but for what clients call it: that is not known here.
    pub fn item(&self, bare: &str) -> Option<RosterItem> {
        let contact = self.get(bare)?;
        let request = self.requests.iter().find(|(of, _)| of.as_str() == bare);
        Some(RosterItem {
            subscription: contact.subscription(),
            ask: contact.has(ASK),
            approved: contact.approved(),
            pending_in: request.map(|(_, request)| request.clone()),
            in_roster: contact.in_roster(),
            ..RosterItem::new(contact.to_jid())
        })
    }

    /// This is in the store now.
    pub fn put(&mut self, item: &RosterItem) {
        let bare = item.jid.as_str();
        let place = self.find(bare).unwrap_or_else(|place| {
            let from = self.start(place);
            self.text.reserve_exact(bare.len());
            self.text.splice(from..from, bare.bytes());
            self.ends[place..].iter_mut().for_each(|end| *end += bare.len() as u32);
            self.ends.reserve_exact(1);
            self.ends.insert(place, (from + bare.len()) as u32);
            self.marks.reserve_exact(1);
            self.marks.insert(place, 0);
            place
        });
        self.marks[place] = marks(item);
        self.requests.retain(|(of, _)| *of != item.jid);
        self.requests.extend(item.pending_in.clone().map(|request| (item.jid.clone(), request)));
        self.requests.shrink_to_fit();
    }

    /// This is not in the store any more.
    pub fn remove(&mut self, bare: &str) {
        let Ok(place) = self.find(bare) else { return };
        let from = self.start(place);
        self.text.drain(from..from + bare.len());
        self.ends.remove(place);
        self.ends[place..].iter_mut().for_each(|end| *end -= bare.len() as u32);
        self.marks.remove(place);
        self.requests.retain(|(of, _)| of.as_str() != bare);
    }

    fn at(&self, place: usize) -> Contact<'_> {
        let text = &self.text[self.start(place)..self.ends[place] as usize];
        // It was text when it came, and its end is where it was.
        Contact { jid: std::str::from_utf8(text).unwrap_or_default(), marks: self.marks[place] }
    }

    fn start(&self, place: usize) -> usize {
        place.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    /// Where it is, or would be.
    fn find(&self, bare: &str) -> Result<usize, usize> {
        let bytes = |place: usize| &self.text[self.start(place)..self.ends[place] as usize];
        if self.len().checked_sub(1).is_some_and(|last| bytes(last) < bare.as_bytes()) {
            return Err(self.len()); // as all do that come from the store, in order
        }
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = (from + to) / 2;
            match bytes(middle).cmp(bare.as_bytes()) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }
}

fn marks(item: &RosterItem) -> u8 {
    let mark = |is: bool, mark| if is { mark } else { 0 };
    mark(matches!(item.subscription, Subscription::To | Subscription::Both), SEES)
        | mark(matches!(item.subscription, Subscription::From | Subscription::Both), SEEN)
        | mark(item.ask, ASK)
        | mark(item.pending_in.is_some(), ASKED)
        | mark(item.approved, APPROVED)
        | mark(item.in_roster, IN_ROSTER)
        | mark(item.name.is_some() || !item.groups.is_empty(), HAS_WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u32) -> RosterItem {
        let jid: BareJid = format!("contact.number.{n}@a-company.example").parse().unwrap();
        let subscription =
            [Subscription::None, Subscription::To, Subscription::From, Subscription::Both][n as usize % 4];
        let pending_in = (n % 10 == 2).then(|| Bytes::from_static(b"<presence/>"));
        RosterItem {
            subscription,
            ask: n.is_multiple_of(3),
            approved: n.is_multiple_of(5),
            pending_in,
            ..RosterItem::new(jid)
        }
    }

    #[test]
    fn what_is_put_is_found_in_order_and_what_is_removed_is_not() {
        let mut contacts = Contacts::none();
        let mut there: Vec<RosterItem> = (0..200).map(|n| item(n * 7 % 200)).collect();
        there.iter().for_each(|item| contacts.put(item));
        there.iter().for_each(|item| contacts.put(item)); // again changes nothing
        for item in there.split_off(120) {
            contacts.remove(item.jid.as_str());
            assert!(contacts.get(item.jid.as_str()).is_none());
        }
        there.sort_by(|a, b| a.jid.cmp(&b.jid));
        assert!(contacts.iter().map(|c| c.jid).eq(there.iter().map(|item| item.jid.as_str())));
        for item in &there {
            assert_eq!(contacts.item(item.jid.as_str()).as_ref(), Some(item));
        }
        assert_eq!(contacts.requests().count(), there.iter().filter(|item| item.pending_in.is_some()).count());
    }

    #[test]
    fn a_contact_takes_five_bytes_and_its_address() {
        let items: Vec<RosterItem> = (0..1_000)
            .map(|n| RosterItem { name: Some("A name of usual length".into()), pending_in: None, ..item(n) })
            .collect();
        let text: usize = items.iter().map(|item| item.jid.as_str().len()).sum();
        let contacts = Contacts::new(Roster { version: 1, items }).unwrap();
        let bytes = contacts.text.capacity() + 4 * contacts.ends.capacity() + contacts.marks.capacity();
        assert_eq!((bytes, contacts.requests.capacity()), (text + 5_000, 0));
        assert!(contacts.get("contact.number.77@a-company.example").is_some_and(Contact::has_words));
    }
}
