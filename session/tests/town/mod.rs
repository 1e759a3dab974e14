//! A town of user machines: no actor, no clock, no thread. Mail is carried by hand, in order.

#![allow(dead_code)] // every test file uses its own part of the town

use bytes::Bytes;
use herald_session::clock::Now;
use herald_session::hooks::{Module, Modules, Offline, Points};
use herald_session::log;
use herald_session::user::{Answer, Ask, Bind, Input, Outcome, Pushed, Query, Shared, User};
use herald_session::{
    Binding, Close, Delivery, Event, Keep, Link, LinkInfo, Parcel, Receipt, Settings, Terms, Transport,
};
use herald_storage::{Appended, Beginning, Kept, NewMessage, Roster, RosterChange, RosterItem, StoreError};
use herald_xmpp::xml::Scope;
use herald_xmpp::{BareJid, FullJid, Stanza, StanzaError};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

pub const DOMAIN: &str = "house.example";

/// A connection that writes down what it is handed.
#[derive(Default)]
pub struct Wire {
    pub got: Mutex<VecDeque<Delivery>>,
    pub closed: Mutex<Vec<Close>>,
    pub full: AtomicBool,
    /// So many deliveries it takes before it is full; 0: any number.
    pub room: AtomicUsize,
    /// Something found no room.
    pub refused: AtomicBool,
    /// Does it follow the log?
    pub follows: AtomicBool,
    /// The last of what a follower had no room for.
    pub missed: AtomicU64,
    /// How many its client has taken.
    pub taken: AtomicU32,
}

impl Link for Wire {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        let mut got = self.got.lock().unwrap();
        let room = self.room.load(Ordering::Relaxed);
        if self.follows.load(Ordering::Relaxed) && delivery.receipt.is_some() && room > 0 && got.len() >= room {
            self.missed.fetch_max(delivery.receipt.map_or(0, |r| r.0), Ordering::Relaxed);
            return Ok(()); // it is read from the log
        }
        if self.full.load(Ordering::Relaxed) || room > 0 && got.len() >= room {
            self.refused.store(true, Ordering::Relaxed);
            return Err(delivery);
        }
        got.push_back(delivery);
        Ok(())
    }
    fn close(&self, why: Close) {
        self.closed.lock().unwrap().push(why);
    }
    fn info(&self) -> LinkInfo {
        let transport = if self.follows.load(Ordering::Relaxed) { Transport::Herald } else { Transport::Tcp };
        LinkInfo { transport, secure: false, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }
    fn waiting(&self) -> u32 {
        self.got.lock().unwrap().len() as u32
    }
    fn taken(&self) -> Option<u32> {
        Some(self.taken.load(Ordering::Relaxed))
    }
}

/// A bound client.
#[derive(Clone)]
pub struct Client {
    pub user: String,
    pub jid: String,
    pub binding: Binding,
    pub wire: Arc<Wire>,
}

impl Client {
    /// What it was handed since the last time, as XML.
    pub fn got(&self) -> Vec<String> {
        self.take().iter().map(xml_of).collect()
    }
    /// The same, as it was handed.
    pub fn take(&self) -> Vec<Delivery> {
        let taken: Vec<Delivery> = self.wire.got.lock().unwrap().drain(..).collect();
        self.wire.taken.fetch_add(taken.len() as u32, Ordering::Relaxed);
        taken
    }
    /// The bodies of the messages it was handed since the last time; everything else is passed over.
    pub fn bodies(&self) -> Vec<String> {
        self.take().iter().filter_map(|d| body_of(&d.stanza)).collect()
    }
    pub fn closed(&self) -> Vec<Close> {
        self.wire.closed.lock().unwrap().drain(..).collect()
    }
}

pub fn body_of(stanza: &Stanza) -> Option<String> {
    stanza.child("body", "jabber:client").map(|b| b.text().into_owned())
}

pub fn xml_of(delivery: &Delivery) -> String {
    let mut out = Vec::new();
    delivery.stanza.write(delivery.to.as_ref(), false, &mut out);
    String::from_utf8(out).unwrap()
}

pub fn stanza(xml: &str) -> Stanza {
    Stanza::parse(xml, &Scope::CLIENT).expect("a test's stanza")
}

/// What the store of one user holds.
#[derive(Default)]
pub struct Shelf {
    pub version: u64,
    pub items: BTreeMap<String, RosterItem>,
    pub changes: Vec<RosterChange>,
    pub last_id: u64,
    /// What is pending.
    pub kept: Vec<(u64, NewMessage)>,
    /// What was ever kept.
    pub log: Vec<(u64, NewMessage)>,
    pub once: BTreeMap<String, u64>,
    pub private: BTreeMap<(String, String), Bytes>,
}

impl Shelf {
    fn roster(&self) -> Roster {
        Roster { version: self.version, items: self.items.values().cloned().collect() }
    }

    fn append(&mut self, message: NewMessage) -> Appended {
        let extra = message.extra.as_deref().cloned().unwrap_or_default();
        if let Some(id) = extra.once.as_ref().and_then(|once| self.once.get(once.as_str())) {
            return Appended { id: *id, repeated: true };
        }
        self.last_id += 1;
        let id = self.last_id;
        if let Some(once) = extra.once {
            self.once.insert(once.to_string(), id);
        }
        if let Some(key) = extra.collapse {
            let has_key = |m: &NewMessage| m.extra.as_ref().is_some_and(|e| e.collapse.as_ref() == Some(&key));
            let gone: Vec<u64> = self.kept.iter().filter(|(_, m)| has_key(m)).map(|(id, _)| *id).collect();
            self.kept.retain(|(id, _)| !gone.contains(id));
            self.log.retain(|(id, _)| !gone.contains(id));
        }
        if !extra.log_only {
            self.kept.push((id, message.clone()));
        }
        self.log.push((id, message));
        Appended { id, repeated: false }
    }

    /// The log behind this number, as a follower reads it.
    pub fn since(&self, id: u64) -> impl Iterator<Item = (u64, Stanza)> + '_ {
        self.log.iter().filter(move |(other, _)| *other > id).filter_map(|(id, m)| match log::read(&m.stanza, None) {
            log::Entry::Message(stanza) => Some((*id, stanza)),
            _ => None,
        })
    }
}

/// Everybody, and the store.
pub struct Town {
    pub now: Now,
    pub shared: Arc<Shared>,
    pub users: BTreeMap<String, User>,
    pub shelves: BTreeMap<String, Shelf>,
    /// Questions the store answers with this error, the next one first.
    pub failures: VecDeque<StoreError>,
    /// Parcels that went to users who are not running.
    pub stops: Vec<String>,
    /// What was told to whoever watches.
    pub events: Vec<Event>,
    /// When users went offline.
    pub seen: BTreeMap<String, i64>,
    /// Does the store take its time about messages, until [`Town::commit_all`] or the next question?
    pub slow: bool,
    in_hand: VecDeque<(String, u64, NewMessage)>,
    mail: VecDeque<(String, Input)>,
    bindings: u64,
}

/// Keeps every message that nobody takes, and stamps it with the time.
pub struct KeepAll;

impl Module for KeepAll {
    fn register(self, points: &mut Points) {
        points.offline(|_, _| Offline::Keep { expires_ms: None });
        points.stamp(|_, stanza, kept| {
            let mut payload = stanza.payload.to_vec();
            if kept.late {
                payload.extend_from_slice(format!("<kept xmlns='test' at='{}'/>", kept.at_ms).as_bytes());
            } else {
                payload.extend_from_slice(format!("<number xmlns='test' id='{}'/>", kept.id).as_bytes());
            }
            stanza.payload = payload.into();
        });
    }
}

#[allow(clippy::disallowed_methods)] // an origin for instants; all else is counted from it
fn origin() -> Instant {
    Instant::now()
}

impl Town {
    pub fn new(users: &[&str]) -> Town {
        Town::with(users, Settings::new(DOMAIN), Modules::builder().add(KeepAll).build())
    }

    pub fn with(users: &[&str], settings: Settings, modules: Modules) -> Town {
        Town {
            now: Now { at: origin(), unix_ms: 1_000_000 },
            shared: Arc::new(Shared::new(settings, modules)),
            users: BTreeMap::new(),
            shelves: users.iter().map(|u| (u.to_string(), Shelf::default())).collect(),
            failures: VecDeque::new(),
            stops: Vec::new(),
            events: Vec::new(),
            seen: BTreeMap::new(),
            slow: false,
            in_hand: VecDeque::new(),
            mail: VecDeque::new(),
            bindings: 0,
        }
    }

    pub fn bind(&mut self, user: &str, resource: &str) -> Client {
        self.try_bind(user, resource).expect("bound")
    }

    pub fn try_bind(&mut self, user: &str, resource: &str) -> Result<Client, StanzaError> {
        self.bind_wire(user, resource, Wire::default())
    }

    /// A follower, available; what it is handed at first is thrown away.
    pub fn follow(&mut self, user: &str, resource: &str) -> Client {
        let wire = Wire { follows: true.into(), ..Wire::default() };
        let client = self.bind_wire(user, resource, wire).expect("bound");
        self.send(&client, "<presence/>");
        client.take();
        client
    }

    pub fn read_to(&mut self, client: &Client, id: u64) {
        self.tell(&client.user, Input::ReadTo(id));
    }

    fn bind_wire(&mut self, user: &str, resource: &str, wire: Wire) -> Result<Client, StanzaError> {
        self.bindings += 1;
        let binding = Binding(self.bindings);
        let wire = Arc::new(wire);
        let (answer, mut answered) = oneshot::channel();
        let jid: FullJid = format!("{user}@{DOMAIN}/{resource}").parse().unwrap();
        let bind = Bind { jid: jid.clone(), link: wire.clone(), binding, answer };
        self.tell(user, Input::Bind(Box::new(bind)));
        answered.try_recv().expect("answered")?;
        Ok(Client { user: user.into(), jid: jid.to_string(), binding, wire })
    }

    /// Bound and available, with what it is handed at first thrown away.
    pub fn login(&mut self, user: &str, resource: &str) -> Client {
        let client = self.bind(user, resource);
        self.send(&client, "<presence/>");
        client.take();
        client
    }

    /// A client sends a stanza.
    pub fn send(&mut self, client: &Client, xml: &str) {
        let stanza = stanza(xml).from(client.jid.parse::<herald_xmpp::Jid>().unwrap());
        self.tell(&client.user, Input::Sent(client.binding, Arc::new(stanza)));
    }

    /// The same, and what the client itself is handed then.
    pub fn ask(&mut self, client: &Client, xml: &str) -> Vec<String> {
        self.send(client, xml);
        client.got()
    }

    /// The connection is over; nothing is given back.
    pub fn drop(&mut self, client: &Client) {
        self.unbind(client, Vec::new());
    }

    pub fn unbind(&mut self, client: &Client, undelivered: Vec<Delivery>) {
        self.tell(&client.user, Input::Unbind(client.binding, undelivered.into()));
    }

    /// The actor breaks, and with it all that only it knew. What the store has in hand it keeps, and tells nobody.
    pub fn break_actor(&mut self, user: &str) {
        self.users.remove(user);
        let (its, others) = std::mem::take(&mut self.in_hand).into_iter().partition(|(of, ..)| of == user);
        self.in_hand = others;
        let its: VecDeque<(String, u64, NewMessage)> = its;
        for (user, _, message) in its {
            drop(self.append(&user, message));
        }
    }

    /// The connection was full, and has room again.
    pub fn room(&mut self, client: &Client) {
        self.tell(&client.user, Input::Room(client.binding));
    }

    pub fn ack(&mut self, client: &Client, id: u64) {
        self.tell(&client.user, Input::Acked(client.binding, Receipt(id)));
    }

    /// A backend's message; what became of it, when that is known at once.
    pub fn push(&mut self, user: &str, xml: &str, keep: Keep) -> Option<Outcome> {
        self.push_later(user, xml, keep).try_recv().ok()
    }

    pub fn push_later(&mut self, user: &str, xml: &str, keep: Keep) -> oneshot::Receiver<Outcome> {
        self.push_on(user, xml, Terms::keep(keep))
    }

    /// The same, on other terms than the usual.
    pub fn push_on(&mut self, user: &str, xml: &str, terms: Terms) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        let to: BareJid = jid(user);
        let parcel = Parcel { stanza: Arc::new(stanza(xml)), to: Some(to.into()) };
        self.tell(user, Input::Push(Box::new(Pushed { parcel, terms: Arc::new(terms), answer })));
        answered
    }

    /// Time passes, and all who have a deadline by then are woken.
    pub fn pass(&mut self, time: Duration) {
        self.now.at += time;
        self.now.unix_ms += time.as_millis() as i64;
        let due: Vec<String> = self
            .users
            .iter()
            .filter(|(_, u)| u.deadline().is_some_and(|d| d <= self.now.at))
            .map(|(name, _)| name.clone())
            .collect();
        for user in due {
            self.tell(&user, Input::Tick);
        }
    }

    /// Mail for a user, and for all whom that concerns, until nobody has any.
    pub fn tell(&mut self, user: &str, input: Input) {
        self.mail.push_back((user.to_string(), input));
        self.carry();
    }

    fn carry(&mut self) {
        while let Some((user, input)) = self.mail.pop_front() {
            let is_new = !self.users.contains_key(&user);
            if is_new {
                self.users.insert(user.clone(), User::new(jid(&user), self.shared.clone()));
                self.step(&user, Input::Start);
            }
            self.step(&user, input);
        }
    }

    fn step(&mut self, name: &str, input: Input) {
        let now = self.now;
        let Some(user) = self.users.get_mut(name) else { return };
        user.handle(now, input);
        while let Some(ask) = self.users.get_mut(name).and_then(User::poll) {
            let Some(user) = self.users.get_mut(name) else { return };
            match ask {
                Ask::Deliver(binding, link, delivery) => {
                    if let Err(back) = link.deliver(delivery) {
                        user.handle(now, Input::Refused(binding, Box::new(back)));
                    }
                }
                Ask::Close(link, why) => link.close(why),
                Ask::Route(parcel) => {
                    let to = parcel.to().and_then(|j| j.local()).expect("a local user").to_string();
                    self.mail.push_back((to, Input::Arrived(parcel)));
                }
                Ask::Store(query) => {
                    let writes = matches!(query, Query::Append(_) | Query::Reserve(_) | Query::AppendAt(..));
                    if writes || matches!(query, Query::Delivered(_) | Query::DeliveredTo(_)) {
                        self.commit(name); // writes are done in order; reads go on beside them
                    }
                    let answer = match self.failures.pop_front() {
                        Some(error) => Err(error),
                        None => answer(self.shelves.get_mut(name), query, now.unix_ms),
                    };
                    let user = self.users.get_mut(name).expect("who asked");
                    user.handle(now, Input::Stored(Box::new(answer)));
                }
                Ask::Keep(number, message) => {
                    if self.slow {
                        self.in_hand.push_back((name.to_string(), number, message));
                        continue;
                    }
                    let kept = self.append(name, message);
                    let user = self.users.get_mut(name).expect("who asked");
                    user.handle(now, Input::Kept(number, Box::new(kept)));
                }
                Ask::Mark(ids) => {
                    self.commit(name);
                    let done = answer(self.shelves.get_mut(name), Query::Delivered(ids.clone()), now.unix_ms).is_ok();
                    let user = self.users.get_mut(name).expect("who asked");
                    user.handle(now, Input::Marked(ids, done));
                }
                Ask::MarkTo(id) => {
                    self.commit(name);
                    let pending = answer(self.shelves.get_mut(name), Query::DeliveredTo(id), now.unix_ms);
                    let pending = pending.map(|a| if let Answer::Count(n) = a { n } else { panic!("{a:?}") });
                    let user = self.users.get_mut(name).expect("who asked");
                    user.handle(now, Input::MarkedTo(id, Box::new(pending)));
                }
                Ask::Seen(at_ms) => drop(self.seen.insert(name.to_string(), at_ms)),
                Ask::Tell(event) => self.events.push(*event),
                Ask::Stop => self.stops.push(name.to_string()),
            }
        }
    }

    /// Everything the store has in hand is there, and is told next.
    fn commit(&mut self, name: &str) {
        for (user, number, message) in std::mem::take(&mut self.in_hand) {
            if user != name {
                self.in_hand.push_back((user, number, message));
                continue;
            }
            let kept = self.append(&user, message);
            self.mail.push_back((user, Input::Kept(number, Box::new(kept))));
        }
    }

    /// The store, which was slow, commits.
    pub fn commit_all(&mut self) {
        let users: Vec<String> = self.in_hand.iter().map(|(user, ..)| user.clone()).collect();
        users.iter().for_each(|user| self.commit(user));
        self.carry();
    }

    fn append(&mut self, user: &str, message: NewMessage) -> Result<Appended, StoreError> {
        match self.failures.pop_front() {
            Some(error) => Err(error),
            None => match answer(self.shelves.get_mut(user), Query::Append(message), self.now.unix_ms)? {
                Answer::Appended(kept) => Ok(kept),
                other => panic!("{other:?}"),
            },
        }
    }

    /// How the user's contact stands in the store: subscription, ask, pending in, in the roster.
    pub fn stands(&self, user: &str, contact: &str) -> String {
        match self.shelves[user].items.get(jid(contact).as_str()) {
            None => "-".into(),
            Some(i) => format!(
                "{}{}{}{}{}",
                i.subscription.as_str(),
                if i.ask { " ask" } else { "" },
                if i.approved { " approved" } else { "" },
                if i.pending_in.is_some() { " pending" } else { "" },
                if i.in_roster { "" } else { " hidden" },
            ),
        }
    }

    /// Makes the two see each other.
    pub fn befriend(&mut self, a: &Client, b: &Client) {
        self.send(a, &format!("<presence type='subscribe' to='{}'/>", jid(&b.user)));
        self.send(b, &format!("<presence type='subscribed' to='{}'/>", jid(&a.user)));
        self.send(b, &format!("<presence type='subscribe' to='{}'/>", jid(&a.user)));
        self.send(a, &format!("<presence type='subscribed' to='{}'/>", jid(&b.user)));
        a.take();
        b.take();
    }
}

pub fn jid(user: &str) -> BareJid {
    BareJid::new(Some(user), DOMAIN).unwrap()
}

/// Up to the one that brings it to so many bytes.
fn page(bytes_max: usize, kept: impl Iterator<Item = Kept>) -> Vec<Kept> {
    let mut bytes = 0;
    let mut page = Vec::new();
    for kept in kept {
        bytes += kept.stanza.len();
        page.push(kept);
        if bytes >= bytes_max {
            break;
        }
    }
    page
}

/// The store, as its traits describe it.
fn answer(shelf: Option<&mut Shelf>, query: Query, now_ms: i64) -> Result<Answer, StoreError> {
    let Some(shelf) = shelf else {
        return match query {
            Query::Beginning => Ok(Answer::Beginning(None)),
            _ => Err(StoreError::NoAccount),
        };
    };
    Ok(match query {
        Query::Beginning => {
            Answer::Beginning(Some(Beginning { roster: shelf.roster(), pending: shelf.kept.len() as u64 }))
        }
        Query::Roster => Answer::Roster(shelf.roster()),
        Query::PutItem(item) => {
            shelf.version += 1;
            shelf.changes.retain(|c| c.jid != item.jid);
            if item.in_roster {
                shelf.changes.push(RosterChange {
                    version: shelf.version,
                    jid: item.jid.clone(),
                    item: Some((*item).clone()),
                });
            }
            shelf.items.insert(item.jid.to_string(), *item);
            Answer::Version(shelf.version)
        }
        Query::RemoveItem(jid) => {
            if shelf.items.remove(jid.as_str()).is_some() {
                shelf.version += 1;
                shelf.changes.retain(|c| c.jid != jid);
                shelf.changes.push(RosterChange { version: shelf.version, jid, item: None });
            }
            Answer::Version(shelf.version)
        }
        Query::RosterSince(0) => Answer::Changes(None),
        Query::RosterSince(version) => {
            Answer::Changes(Some(shelf.changes.iter().filter(|c| c.version > version).cloned().collect()))
        }
        Query::Append(message) => Answer::Appended(shelf.append(message)),
        Query::Reserve(count) => {
            shelf.last_id += u64::from(count);
            Answer::Reserved(shelf.last_id - u64::from(count) + 1)
        }
        Query::AppendAt(id, message) => {
            let place = shelf.kept.partition_point(|(other, _)| *other < id);
            assert!(id <= shelf.last_id && shelf.kept.get(place).is_none_or(|(other, _)| *other != id));
            shelf.kept.insert(place, (id, message.clone()));
            let place = shelf.log.partition_point(|(other, _)| *other < id);
            shelf.log.insert(place, (id, message));
            Answer::Done
        }
        Query::Pending { after, limit, bytes_max } => Answer::Pending(page(
            bytes_max,
            shelf
                .kept
                .iter()
                .filter(|(id, m)| *id > after && m.expires_ms.is_none_or(|e| e > now_ms))
                .take(limit as usize)
                .map(|(id, m)| Kept { id: *id, at_ms: m.at_ms, stanza: m.stanza.clone() }),
        )),
        Query::Delivered(ids) => {
            shelf.kept.retain(|(id, _)| !ids.contains(id));
            Answer::Done
        }
        Query::DeliveredTo(to) => {
            shelf.kept.retain(|(id, _)| *id > to);
            Answer::Count(shelf.kept.len() as u64)
        }
        Query::PendingCount => Answer::Count(shelf.kept.len() as u64),
        Query::Private { space, key } => {
            Answer::Private(shelf.private.get(&(space.to_string(), key.to_string())).cloned())
        }
        Query::PutPrivate { space, key, value } => {
            let key = (space.to_string(), key.to_string());
            match value {
                Some(value) => shelf.private.insert(key, value),
                None => shelf.private.remove(&key),
            };
            Answer::Done
        }
    })
}
