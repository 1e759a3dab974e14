//! Random walks through every method, step by step beside the model. A failure names its seed.

use crate::subject::{Asked, FUTURE_MS, Subject, jid, keys, message};
use bytes::Bytes;
use herald_storage::{Extra, History, Memory, NewMessage, Put, RosterItem, Slice, Store, Subscription, wait};
use herald_xmpp::jid::BareJid;
use std::fmt::Debug;

const WALKS: u64 = 8;
const STEPS: u64 = 400;

pub fn random_walks(subject: &Subject) {
    // One store for all walks: what a walk leaves is removed, and must not show in the next.
    let tested = subject.open();
    let model = Memory::keeping(subject.history);
    for seed in 1..=WALKS {
        let mut dice = Dice(seed);
        for step in 0..STEPS {
            one_step(&tested, &model, &mut dice, &format!("seed {seed}, step {step}"));
        }
        for user in USERS {
            same(&tested, &model, &format!("seed {seed}, at the end"), |s| {
                wait(|then| s.delete_account(&jid(user), then))
            });
        }
    }
}

const USERS: [&str; 3] = ["ada", "bob", "cyd"];

fn one_step(tested: &Asked, model: &Memory, dice: &mut Dice, at: &str) {
    let user = jid(dice.one_of(&USERS));
    let contact = jid(&format!("contact{}", dice.below(6)));
    let (space, key) = (dice.one_of(&["", "a", "b"]), dice.one_of(&["", "k"]));
    // Often one that this user's messages have, or nearly.
    let last = wait(|then| model.history(&user, Slice::after(0, 0, 0), then)).unwrap().last;
    let near = |dice: &mut Dice| (last + 2).saturating_sub(dice.below(20));
    let number = if dice.chance(2) { dice.below(40) } else { near(dice) };
    macro_rules! both {
        ($s:ident, $then:ident => $call:expr) => {
            same(tested, model, at, |$s| wait(|$then| $call))
        };
    }
    match dice.below(45) {
        0 => both!(s, then => s.delete_account(&user, then)),
        1..=3 => {
            let how = dice.one_of(&[Put::Create, Put::Replace, Put::Upsert]);
            both!(s, then => s.put_account(&user, keys(number as u8), how, then))
        }
        4 => {
            let list = USERS.map(|user| (jid(user), keys(number as u8))).to_vec();
            both!(s, then => s.import(list.clone(), then))
        }
        5..=10 => {
            let m = random_message(dice);
            both!(s, then => s.append(&user, m.clone(), then))
        }
        11..=13 => {
            let ids: Vec<u64> = (0..dice.below(5)).map(|_| near(dice)).collect();
            both!(s, then => s.delivered(&user, ids.clone(), then))
        }
        14..=18 => {
            let item = random_item(dice, contact);
            both!(s, then => s.put_item(&user, item.clone(), then))
        }
        19..=20 => both!(s, then => s.remove_item(&user, &contact, then)),
        21..=22 => {
            let value = dice.chance(3).then(|| Bytes::from(number.to_string()));
            both!(s, then => s.put_private(&user, space, key, value.clone(), then))
        }
        23..=24 => both!(s, then => s.private(&user, space, key, then)),
        25..=26 => both!(s, then => s.pending(&user, number, 1 + number as u32 % 7, number as usize, then)),
        27 => both!(s, then => s.pending_count(&user, then)),
        28..=29 => both!(s, then => s.roster(&user, then)),
        30..=31 => both!(s, then => s.roster_since(&user, number, then)),
        32 => both!(s, then => s.accounts(Some(user.clone()), 2, then)),
        33 => both!(s, then => s.account_count(then)),
        34 => both!(s, then => s.reserve(&user, number as u32 % 4, then)),
        35..=36 => both!(s, then => s.delivered_to(&user, number, then)),
        37..=42 => {
            let slice = Slice {
                since: number,
                before: dice.chance(3).then(|| near(dice)),
                limit: dice.below(9) as u32,
                bytes_max: dice.below(30) as usize,
                newest_first: dice.chance(2),
            };
            both!(s, then => s.history(&user, slice, then))
        }
        _ => {
            let m = random_message(dice);
            both!(s, then => s.append_at(&user, number, m.clone(), then))
        }
    }
}

/// Asks both; the answers, errors too, must be the same.
fn same<T: PartialEq + Debug>(tested: &Asked, model: &Memory, at: &str, ask: impl Fn(&dyn Store) -> T) {
    assert_eq!(ask(&*tested.0), ask(model), "{at} (left: the store, right: the model)");
}

fn random_message(dice: &mut Dice) -> NewMessage {
    let expires_ms = match dice.below(4) {
        0 => Some(1),
        1 => Some(i64::MAX),
        _ => None,
    };
    let extra = dice.chance(3).then(|| {
        Box::new(Extra {
            shared: dice.chance(2).then(|| dice.below(4).into()),
            collapse: dice.chance(3).then(|| dice.one_of(&["a", "b"]).into()),
            once: dice.chance(4).then(|| dice.below(30).to_string().into()),
            log_only: dice.chance(4),
        })
    });
    let at_ms = FUTURE_MS + dice.below(1_000) as i64;
    NewMessage { at_ms, expires_ms, extra, ..message(&dice.below(99).to_string()) }
}

fn random_item(dice: &mut Dice, jid: BareJid) -> RosterItem {
    use Subscription::{Both, From, None as Neither, To};
    let groups = (0..dice.below(3)).map(|_| dice.one_of(&["", "a", "b", "\u{1f}"]).into());
    RosterItem {
        jid,
        groups: groups.collect(),
        name: dice.chance(2).then(|| "name".into()),
        subscription: dice.one_of(&[Neither, To, From, Both]),
        ask: dice.chance(2),
        approved: dice.chance(2),
        pending_in: dice.chance(3).then(|| Bytes::from_static(b"<presence/>")),
        in_roster: !dice.chance(3),
    }
}

/// Numbers from a seed (the splitmix64 sequence).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// Once in `n`.
    fn chance(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
