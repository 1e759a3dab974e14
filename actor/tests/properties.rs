//! What must hold whatever happens: order per sender, nothing lost, the bound, idle stops, restarts, timers.
#![cfg(not(loom))]

mod kit;

use herald_actor::{Actor, Ctx, Exit, Policy, Registry, Reply, TrySendError};
use kit::on_system;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// Notes who sent what; its mailbox holds little.
#[derive(Default)]
struct Tight(Vec<(usize, u32)>);

enum Item {
    One { who: usize, n: u32, weight: u32 },
    All(Reply<Vec<(usize, u32)>>),
}

impl Actor for Tight {
    type Msg = Item;
    type Key = std::convert::Infallible;
    type Common = ();
    const MAILBOX_MAX: u32 = 10;

    fn weight(msg: &Item) -> u32 {
        match msg {
            Item::One { weight, .. } => *weight,
            Item::All(_) => 1,
        }
    }

    fn handle(&mut self, msg: Item, _: &mut Ctx<Self>) {
        match msg {
            Item::One { who, n, .. } => self.0.push((who, n)),
            Item::All(out) => out.send(self.0.clone()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Send(u32),
    TrySend(u32),
    /// A send whose future is dropped after one look.
    Fickle(u32),
    Yield,
}

fn way() -> impl Strategy<Value = Way> {
    // 12 is heavier than the mailbox: it must get in alone.
    let weight = 1..=12u32;
    prop_oneof![
        4 => weight.clone().prop_map(Way::Send),
        3 => weight.clone().prop_map(Way::TrySend),
        2 => weight.prop_map(Way::Fickle),
        1 => Just(Way::Yield),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_senders_messages_come_in_order_all_of_them_and_within_the_bound(scripts in vec(vec(way(), 0..40), 1..5)) {
        on_system(|system, _| async move {
            let addr = system.spawn(Tight::default());
            let senders: Vec<_> = scripts.into_iter().enumerate().map(|(who, script)| {
                let addr = addr.clone();
                tokio::spawn(async move {
                    let mut taken = Vec::new();
                    for (n, way) in (0..).zip(script) {
                        let item = |weight| Item::One { who, n, weight };
                        let sent = match way {
                            Way::Send(weight) => addr.send(item(weight)).await.is_ok(),
                            Way::TrySend(weight) => match addr.try_send(item(weight)) {
                                Ok(()) => true,
                                Err(TrySendError::Full(Item::One { n: back, .. })) => {
                                    assert_eq!(back, n);
                                    false
                                }
                                Err(_) => panic!("closed, or another message back"),
                            },
                            Way::Fickle(weight) => tokio::select! {
                                biased;
                                sent = addr.send(item(weight)) => sent.is_ok(),
                                () = std::future::ready(()) => false,
                            },
                            Way::Yield => {
                                tokio::task::yield_now().await;
                                false
                            }
                        };
                        assert!(addr.look().weight <= Tight::MAILBOX_MAX);
                        if sent {
                            taken.push(n);
                        }
                    }
                    taken
                })
            }).collect();
            let mut taken = Vec::new();
            for sender in senders {
                taken.push(sender.await.unwrap());
            }
            let all = addr.ask(Item::All).await.unwrap();
            for (who, taken) in taken.iter().enumerate() {
                let handled: Vec<u32> = all.iter().filter(|(by, _)| *by == who).map(|(_, n)| *n).collect();
                assert_eq!(&handled, taken);
            }
            let seen = addr.look();
            assert_eq!((seen.depth, seen.weight), (0, 0));
        });
    }

    #[test]
    fn an_idle_stop_loses_no_message_and_there_is_one_actor_per_key(senders in 2..6usize, each in 1..200u32, keys in 1..4u32) {
        on_system(|system, _| async move {
            let (alive, handled) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU32::new(0)));
            let most: Arc<Vec<AtomicUsize>> = Arc::new((0..keys).map(|_| AtomicUsize::new(0)).collect());
            let registry = {
                let (alive, handled, most) = (alive.clone(), handled.clone(), most.clone());
                Registry::new(&system, Policy::NEVER, move |key: &u32| {
                    let here = &most[*key as usize];
                    assert_eq!(here.fetch_add(1, Ordering::SeqCst), 0, "two actors of one key");
                    alive.fetch_add(1, Ordering::SeqCst);
                    Hasty { key: *key, alive: alive.clone(), handled: handled.clone(), here: most.clone() }
                })
            };
            let tasks: Vec<_> = (0..senders).map(|_| {
                let registry = registry.clone();
                tokio::spawn(async move {
                    for n in 0..each {
                        let mut msg = n;
                        loop {
                            match registry.find_or_spawn(&(n % keys)).send(msg).await {
                                Ok(()) => break,
                                Err(closed) => msg = closed.0,
                            }
                        }
                    }
                })
            }).collect();
            for task in tasks {
                task.await.unwrap();
            }
            let sent = senders as u32 * each;
            kit::until(|| handled.load(Ordering::SeqCst) == sent && registry.is_empty()).await;
            assert_eq!(alive.load(Ordering::SeqCst), 0);
        });
    }

    #[test]
    fn a_stop_loses_nothing_that_was_accepted(senders in 1..5usize, before in 0..200u32) {
        on_system(|system, _| async move {
            let handled = Arc::new(AtomicU32::new(0));
            let addr = system.spawn(Counter(handled.clone()));
            let tasks: Vec<_> = (0..senders).map(|n| {
                let addr = addr.clone();
                tokio::spawn(async move {
                    let mut accepted = 0;
                    loop {
                        let sent = match n % 2 {
                            0 => addr.send(()).await.map_err(|_| None),
                            _ => addr.try_send(()).map_err(Some),
                        };
                        match sent {
                            Ok(()) => accepted += 1,
                            Err(Some(TrySendError::Full(()))) => tokio::task::yield_now().await,
                            Err(_) => return accepted,
                        }
                    }
                })
            }).collect();
            let (why, ()) = tokio::join!(addr.ended(), async {
                kit::until(|| handled.load(Ordering::SeqCst) >= before).await;
                addr.stop();
                addr.stop();
            });
            assert_eq!(why, Exit::Stopped);
            let mut accepted = 0;
            for task in tasks {
                accepted += task.await.unwrap();
            }
            assert_eq!(accepted, handled.load(Ordering::SeqCst));
        });
    }

    #[test]
    fn a_panic_costs_its_own_message_and_no_other(script in vec(any::<bool>(), 1..80)) {
        on_system(|system, _| async move {
            let log = Arc::new(parking_lot::Mutex::new(Vec::new()));
            let policy = Policy { restarts_max: u32::MAX, backoff: Duration::ZERO, ..Policy::DEFAULT };
            let of_actor = log.clone();
            let addr = system.supervise(policy, move || Shaky(of_actor.clone()));
            for (n, &ok) in script.iter().enumerate() {
                addr.send((n, ok)).await.unwrap();
            }
            let (why, ()) = tokio::join!(addr.ended(), async { addr.stop() });
            assert_eq!(why, Exit::Stopped);
            let good: Vec<usize> = script.iter().enumerate().filter(|(_, ok)| **ok).map(|(n, _)| n).collect();
            assert_eq!(*log.lock(), good);
            assert_eq!(addr.look().restarts as usize, script.len() - good.len());
            assert_eq!(addr.look().handled as usize, script.len());
        });
    }

    #[test]
    fn timers_agree_with_a_sorted_list(
        steps in vec((0..200_000u64, any::<bool>(), 0..60_000u64), 1..60)
    ) {
        on_system(|system, clock| async move {
            let addr = system.spawn(kit::Probe::default());
            // Due time in ms -> token; the wheel may be late by a tick, so what is due within it may or may not be in.
            let (mut now, mut open, mut fired) = (0, BTreeMap::new(), Vec::new());
            for (token, &(delay, cancel, advance)) in (0u64..).zip(&steps) {
                let id = addr.ask(|out| kit::Say::After(Duration::from_millis(delay), token, out)).await.unwrap();
                if cancel {
                    assert_eq!(addr.ask(|out| kit::Say::Cancel(id, out)).await, Ok(true));
                } else {
                    open.insert((now + delay, token), ());
                }
                now += advance;
                clock.advance(Duration::from_millis(advance));
                let tokens = addr.ask(kit::Say::Tokens).await.unwrap();
                let news: Vec<u64> = tokens[fired.len()..].to_vec();
                for token in &news {
                    let &(due, _) = open.keys().find(|(_, open)| open == token).expect("not set, or twice");
                    assert!(due <= now, "{token} came {} ms early", due - now);
                    open.remove(&(due, *token));
                }
                fired.extend(news);
                let late = open.keys().filter(|(due, _)| due + herald_actor::TICK_MS < now).count();
                // One set with no delay waits for the next tick to be turned.
                assert_eq!(late, 0, "overdue: {open:?} at {now}");
            }
            assert_eq!(system.timers(), open.len());
        });
    }
}

/// Stops as soon as it has nothing to do.
struct Hasty {
    key: u32,
    alive: Arc<AtomicUsize>,
    handled: Arc<AtomicU32>,
    here: Arc<Vec<AtomicUsize>>,
}

impl Actor for Hasty {
    type Msg = u32;
    type Key = u32;
    type Common = ();
    const MAILBOX_MAX: u32 = 4;

    fn handle(&mut self, _: u32, ctx: &mut Ctx<Self>) {
        self.handled.fetch_add(1, Ordering::SeqCst);
        ctx.stop_when_idle();
    }

    fn stopping(&mut self, why: &Exit) {
        assert_eq!(*why, Exit::Idle);
        self.here[self.key as usize].fetch_sub(1, Ordering::SeqCst);
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Counter(Arc<AtomicU32>);

impl Actor for Counter {
    type Msg = ();
    type Key = std::convert::Infallible;
    type Common = ();
    const MAILBOX_MAX: u32 = 4;

    fn handle(&mut self, (): (), _: &mut Ctx<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Panics when told.
struct Shaky(Arc<parking_lot::Mutex<Vec<usize>>>);

impl Actor for Shaky {
    type Msg = (usize, bool);
    type Key = std::convert::Infallible;
    type Common = ();
    const MAILBOX_MAX: u32 = 16;

    fn handle(&mut self, (n, ok): (usize, bool), _: &mut Ctx<Self>) {
        assert!(ok, "as told");
        self.0.lock().push(n);
    }
}
