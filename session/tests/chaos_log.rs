//! Followers of the log beside phones, while connections come, go and hang, the store takes its time and the actor
//! breaks: a page reads every number once and in order, and nothing that was kept is lost. A failure names its seed.

mod town;

use compact_str::format_compact;
use herald_session::hooks::Modules;
use herald_session::user::Outcome;
use herald_session::{Keep, Settings, Terms};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot::Receiver;
use town::{Client, DOMAIN, KeepAll, Town, body_of};

/// A small generator (splitmix64): the same seed, the same day.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// A page: what it has read lasts, its connection does not.
#[derive(Default)]
struct Page {
    client: Option<Client>,
    cursor: u64,
    read: Vec<(u64, u64)>, // the number in the log, and what was sent
}

struct Day {
    town: Town,
    dice: Dice,
    pages: [Page; 2],
    phones: Vec<Client>,
    phones_read: Vec<(String, u64)>, // who, what
    names: u64,
    sent: u64,
    said: u64, // to be read, by a page
    asked: Vec<(u64, Receiver<Outcome>)>,
}

const OFFLINE_MAX: u32 = 50_000;

impl Day {
    fn new(seed: u64) -> Day {
        let mut settings = Settings::new(DOMAIN);
        settings.held_max = u32::MAX;
        settings.leaving_secs = 1_000_000;
        settings.behind_secs = 3;
        settings.offline_page = 7;
        settings.offline_max = OFFLINE_MAX;
        let town = Town::with(&["ann", "bob"], settings, Modules::builder().add(KeepAll).build());
        let (pages, phones, phones_read, asked) = Default::default();
        Day { town, dice: Dice(seed), pages, phones, phones_read, names: 0, sent: 0, said: 0, asked }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("r{}", self.names)
    }

    fn push(&mut self) {
        self.sent += 1;
        let keep = if self.dice.below(2) == 0 { Keep::Always } else { Keep::Usual };
        let once = (self.dice.below(3) == 0).then(|| format_compact!("m{}", self.sent));
        let xml = format!("<message from='house.example' type='chat'><body>{}</body></message>", self.sent);
        let repeats = once.is_some() && self.dice.below(2) == 0;
        let terms = Terms { once, ..Terms::keep(keep) };
        self.asked.push((self.sent, self.town.push_on("bob", &xml, terms.clone())));
        if repeats {
            self.asked.push((self.sent, self.town.push_on("bob", &xml, terms)));
        }
    }

    fn chat(&mut self, ann: &Client) {
        self.sent += 1;
        let phone = self.phones.iter().rev().find(|_| self.dice.below(3) == 0);
        let to = phone.map_or("bob@house.example".into(), |p| p.jid.clone());
        let xml = format!("<message type='chat' to='{to}'><body>{}</body></message>", self.sent);
        self.town.send(ann, &xml);
    }

    /// As a page does: it is bound first, then asks how far the log is.
    fn open(&mut self, place: usize) {
        let name = self.name();
        let client = self.town.follow("bob", &name);
        client.wire.room.store(self.dice.below(6) as usize, Ordering::Relaxed);
        self.pages[place].client = Some(client);
        self.read_log(place, u64::MAX);
    }

    fn read_log(&mut self, place: usize, to: u64) {
        let page = &mut self.pages[place];
        for (id, stanza) in self.town.shelves["bob"].since(page.cursor).filter(|(id, _)| *id <= to) {
            page.read.push((id, number(&stanza)));
            page.cursor = id;
        }
    }

    /// The page takes what is on its wire. A number that does not come next is read from the log.
    fn look(&mut self, place: usize) {
        let Some(client) = self.pages[place].client.clone() else { return };
        let missed = client.wire.missed.swap(0, Ordering::Relaxed);
        for delivery in client.take() {
            let Some(body) = body_of(&delivery.stanza) else { continue };
            let page = &mut self.pages[place];
            match delivery.receipt.map(|r| r.0) {
                None => page.read.push((0, body.parse().unwrap())),
                Some(id) if id <= page.cursor => {}
                Some(id) if id == page.cursor + 1 => {
                    page.read.push((id, body.parse().unwrap()));
                    page.cursor = id;
                }
                Some(id) => self.read_log(place, id),
            }
        }
        self.read_log(place, missed);
        if self.dice.below(2) == 0 {
            self.said = self.said.max(self.pages[place].cursor);
            self.town.read_to(&client, self.pages[place].cursor);
        }
    }

    fn close(&mut self, place: usize) {
        if let Some(client) = self.pages[place].client.take() {
            // what it had not read is in the log; what is not in the log is given back
            let undelivered = client.take().into_iter().filter(|d| d.receipt.is_none()).collect();
            self.town.unbind(&client, undelivered);
        }
    }

    fn phone(&mut self) {
        let (name, priority) = (self.name(), self.names % 100);
        let client = self.town.bind("bob", &name);
        let room = self.dice.below(2) * (1 + self.dice.below(12));
        client.wire.room.store(room as usize, Ordering::Relaxed);
        self.town.send(&client, &format!("<presence><priority>{priority}</priority></presence>"));
        self.phones.push(client);
    }

    fn hear(&mut self, place: usize, count: u64) {
        for _ in 0..count {
            let client = self.phones[place].clone();
            let Some(delivery) = client.wire.got.lock().unwrap().pop_front() else { return };
            client.wire.taken.fetch_add(1, Ordering::Relaxed);
            if let Some(receipt) = delivery.receipt {
                self.town.ack(&client, receipt.0);
            }
            let (room, held) = (client.wire.room.load(Ordering::Relaxed), client.wire.got.lock().unwrap().len());
            if held <= room / 2 && client.wire.refused.swap(false, Ordering::Relaxed) {
                self.town.room(&client);
            }
            self.phones_read.extend(body_of(&delivery.stanza).map(|body| (client.jid.clone(), body.parse().unwrap())));
        }
    }

    fn hang_up(&mut self, place: usize) {
        let client = self.phones.remove(place);
        let undelivered = client.take();
        self.town.unbind(&client, undelivered);
    }

    /// What was told to be kept, by what was sent.
    fn kept(&mut self) -> Vec<(u64, u64)> {
        let said = self.asked.iter_mut().filter_map(|(n, answer)| Some((*n, answer.try_recv().ok()?.id?)));
        said.collect()
    }
}

fn number(stanza: &herald_xmpp::Stanza) -> u64 {
    body_of(stanza).and_then(|body| body.parse().ok()).expect("a number")
}

fn live(seed: u64, breaks: bool) -> Day {
    let mut day = Day::new(seed);
    let ann = day.town.login("ann", "a");
    for _ in 0..250 {
        match day.dice.below(20) {
            0..=3 => (0..=day.dice.below(8)).for_each(|_| day.push()),
            4..=5 => (0..=day.dice.below(8)).for_each(|_| day.chat(&ann)),
            6..=7 => {
                let place = day.dice.below(2) as usize;
                match day.pages[place].client {
                    None => day.open(place),
                    Some(_) if day.dice.below(3) == 0 => day.close(place),
                    Some(_) => day.look(place),
                }
            }
            8..=10 => (0..2).for_each(|place| day.look(place)),
            11 if day.phones.len() < 3 => day.phone(),
            12..=14 if !day.phones.is_empty() => {
                let (place, count) = (day.dice.below(day.phones.len() as u64), day.dice.below(20));
                day.hear(place as usize, count);
            }
            15 if !day.phones.is_empty() => {
                let place = day.dice.below(day.phones.len() as u64);
                day.hang_up(place as usize);
            }
            16 => day.town.pass(Duration::from_secs(1)),
            17 => day.town.slow = true,
            18 => {
                day.town.slow = false;
                day.town.commit_all();
            }
            19 if breaks && day.dice.below(4) == 0 => {
                day.town.break_actor("bob");
                day.said = 0;
                (0..2).for_each(|place| day.close(place));
                while !day.phones.is_empty() {
                    day.hang_up(0);
                }
            }
            _ => {}
        }
        if let Some(bob) = day.town.users.get("bob") {
            let unread = day.town.shelves["bob"].kept.iter().filter(|(id, _)| *id > day.said);
            let (known, pending) = (bob.pending() as usize, unread.count());
            assert!(known >= pending, "seed {seed}: {pending} are pending, and he knows of {known}");
        }
        // Who was told to end does.
        while let Some(place) = day.phones.iter().position(|p| !p.closed().is_empty()) {
            day.hang_up(place);
        }
        for place in 0..2 {
            if day.pages[place].client.as_ref().is_some_and(|c| !c.closed().is_empty()) {
                day.close(place);
            }
        }
    }
    day.town.slow = false;
    day.town.commit_all();
    while !day.phones.is_empty() {
        day.hang_up(0);
    }
    for place in 0..2 {
        day.close(place);
        day.open(place);
        day.look(place);
        let (client, cursor) = (day.pages[place].client.clone().unwrap(), day.pages[place].cursor);
        day.town.read_to(&client, cursor);
    }
    day.town.pass(Duration::from_secs(1));
    (0..2).for_each(|place| day.close(place));
    assert_eq!(day.town.shelves["bob"].kept.len(), 0, "seed {seed}: all is read");
    assert_eq!(day.town.users["bob"].pending(), 0, "seed {seed}: and he knows");
    day
}

fn check(seed: u64, day: &mut Day) {
    let kept = day.kept();
    for page in &day.pages {
        let numbered: Vec<(u64, u64)> = page.read.iter().filter(|(id, _)| *id > 0).copied().collect();
        assert!(numbered.is_sorted_by(|a, b| a.0 < b.0), "seed {seed}: each number once, in order");
        let read: BTreeSet<(u64, u64)> = numbered.iter().map(|(id, n)| (*n, *id)).collect();
        assert_eq!(read.len(), numbered.len());
        assert!(kept.iter().all(|said| read.contains(said)), "seed {seed}: what was told to be kept is there");
        let sent: BTreeSet<u64> = page.read.iter().map(|(_, n)| *n).collect();
        assert_eq!(sent.len(), page.read.len(), "seed {seed}: nothing twice, under whatever number");
    }
    let phones: BTreeSet<&(String, u64)> = day.phones_read.iter().collect();
    assert_eq!(phones.len(), day.phones_read.len(), "seed {seed}: no phone has the same twice");
}

#[test]
fn what_is_sent_is_read_by_somebody_and_by_nobody_twice() {
    for seed in 0..400 {
        let mut day = live(seed, false);
        check(seed, &mut day);
        let pages = day.pages.iter().flat_map(|page| page.read.iter().map(|(_, n)| *n));
        let read: BTreeSet<u64> = day.phones_read.iter().map(|(_, n)| *n).chain(pages).collect();
        assert!(read.iter().copied().eq(1..=day.sent), "seed {seed}: of {} only {} are read", day.sent, read.len());
    }
}

#[test]
fn what_was_told_to_be_kept_outlives_the_actor() {
    for seed in 0..400 {
        let mut day = live(seed, true);
        check(seed, &mut day);
    }
}
