//! Messages while connections come, go, break, hang and fill: none lost, none doubled, none out of order.
//! A failure names its seed.

mod town;

use herald_session::Settings;
use herald_session::hooks::Modules;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;
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

/// A connection of the receiver. What is on its wire is lost when it breaks; the driver gives it back.
struct Phone {
    client: Client,
    closing: bool,
}

struct Day {
    town: Town,
    dice: Dice,
    phones: Vec<Phone>,
    read: Vec<(String, String)>, // who read it, what
    resources: u64,
}

impl Day {
    fn come(&mut self, resource: &str, priority: u64) {
        let client = self.town.bind("bob", resource);
        let room = self.dice.below(2) * (1 + self.dice.below(12));
        client.wire.room.store(room as usize, Ordering::Relaxed);
        self.town.send(&client, &format!("<presence><priority>{priority}</priority></presence>"));
        self.phones.push(Phone { client, closing: false });
        for phone in &mut self.phones {
            phone.closing |= !phone.client.closed().is_empty();
        }
    }

    /// The phone reads some of what is on its wire, and its driver says so.
    fn read(&mut self, place: usize, count: u64) {
        for _ in 0..count {
            let client = self.phones[place].client.clone();
            let Some(delivery) = client.wire.got.lock().unwrap().pop_front() else { return };
            client.wire.taken.fetch_add(1, Ordering::Relaxed);
            if let Some(receipt) = delivery.receipt {
                self.town.ack(&client, receipt.0);
            }
            // As a driver does: it says so once, when the half of it is free.
            let (room, held) = (client.wire.room.load(Ordering::Relaxed), client.wire.got.lock().unwrap().len());
            if held <= room / 2 && client.wire.refused.swap(false, Ordering::Relaxed) {
                self.town.room(&client);
            }
            if let Some(body) = body_of(&delivery.stanza) {
                self.read.push((client.jid.clone(), body));
            }
        }
    }

    /// The connection is over; the driver gives back what was not read.
    fn end(&mut self, place: usize) {
        let phone = self.phones.remove(place);
        let undelivered = phone.client.take();
        self.town.unbind(&phone.client, undelivered);
    }

    fn note_closed(&mut self) {
        for phone in &mut self.phones {
            phone.closing |= !phone.client.closed().is_empty();
        }
    }
}

fn live(seed: u64, several: bool) -> (Vec<(String, String)>, u64) {
    let mut settings = Settings::new(DOMAIN);
    settings.held_max = u32::MAX; // what is over the bound goes back to ann; here nothing may
    settings.leaving_secs = 1_000_000;
    settings.behind_secs = 3;
    settings.offline_page = 7;
    let town = Town::with(&["ann", "bob"], settings, Modules::builder().add(KeepAll).build());
    let mut day = Day { town, dice: Dice(seed), phones: Vec::new(), read: Vec::new(), resources: 0 };
    let ann = day.town.login("ann", "a");
    let mut sent = 0;
    for _ in 0..200 {
        match day.dice.below(15) {
            0..=4 => {
                for _ in 0..=day.dice.below(8) {
                    sent += 1;
                    let phone = day.phones.iter().rev().find(|p| !p.closing && day.dice.below(3) == 0);
                    let to = phone.map_or("bob@house.example".into(), |p| p.client.jid.clone());
                    let xml = format!("<message type='chat' to='{to}'><body>{sent}</body></message>");
                    day.town.send(&ann, &xml);
                }
            }
            5 => {
                let may_come = several || day.phones.iter().all(|p| p.closing);
                if may_come && day.phones.len() < 5 {
                    day.resources += 1;
                    // with several, priorities differ: a tie would be read twice, as it should
                    let (name, priority) = (format!("r{}", day.resources), day.resources % 100);
                    day.come(&name, priority);
                }
            }
            6 if !day.phones.is_empty() => {
                // the same name again: the old one is told to go
                let resource = day.phones.last().map(|p| p.client.jid.split('/').nth(1).unwrap().to_string()).unwrap();
                day.resources += 1;
                let priority = day.resources % 100;
                day.come(&resource, priority);
            }
            7..=9 if !day.phones.is_empty() => {
                let place = day.dice.below(day.phones.len() as u64) as usize;
                let count = day.dice.below(20);
                if !day.phones[place].closing {
                    day.read(place, count);
                }
            }
            10 if !day.phones.is_empty() => {
                let place = day.dice.below(day.phones.len() as u64) as usize;
                day.end(place);
            }
            11 if !day.phones.is_empty() => {
                let place = day.dice.below(day.phones.len() as u64) as usize;
                day.phones[place].client.wire.full.store(true, Ordering::Relaxed);
            }
            12 => day.town.pass(Duration::from_secs(1)),
            13 => day.town.slow = true,
            14 => {
                day.town.slow = false;
                day.town.commit_all();
            }
            _ => {}
        }
        day.note_closed();
    }
    day.town.slow = false;
    day.town.commit_all();
    // the evening: all go, and one comes that reads it all
    while !day.phones.is_empty() {
        day.end(0);
    }
    day.town.pass(Duration::from_secs(1));
    day.come("last", 1);
    day.phones[0].client.wire.room.store(0, Ordering::Relaxed);
    for _ in 0..sent + 64 {
        day.read(0, 64);
    }
    assert_eq!(day.town.shelves["bob"].kept.len(), 0, "seed {seed}: all is acknowledged");
    assert_eq!(ann.got(), [""; 0], "seed {seed}: nothing went back");
    (day.read, sent)
}

#[test]
fn one_phone_at_a_time_reads_everything_in_order() {
    for seed in 0..1_000 {
        let (read, sent) = live(seed, false);
        let bodies: VecDeque<String> = read.into_iter().map(|(_, body)| body).collect();
        let expected: VecDeque<String> = (1..=sent).map(|n| n.to_string()).collect();
        assert!(bodies == expected, "seed {seed}");
    }
}

#[test]
fn several_phones_read_everything_once() {
    for seed in 0..1_000 {
        let (read, sent) = live(seed, true);
        let mut numbers: Vec<u64> = read.iter().map(|(_, body)| body.parse().unwrap()).collect();
        numbers.sort_unstable();
        assert!(numbers == (1..=sent).collect::<Vec<_>>(), "seed {seed}");
    }
}
