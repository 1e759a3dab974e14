//! One actor's life: messages, stops, signals, restarts, waits.
#![cfg(not(loom))]

mod kit;

use herald_actor::{Actor, Ctx, Exit, Policy, Reply, Signal, State, TrySendError, WaitError};
use kit::{Probe, Say, on_system};
use std::time::Duration;

#[test]
fn messages_are_handled_in_order_and_an_ask_is_answered() {
    on_system(|system, _| async move {
        let addr = system.spawn(Probe::default());
        for n in 0..100 {
            addr.send(Say::Note(n)).await.unwrap();
        }
        assert_eq!(addr.ask(Say::Notes).await, Ok((0..100).collect()));
        let seen = addr.look();
        assert_eq!((seen.handled, seen.depth, seen.restarts), (101, 0, 0));
        assert_eq!(std::mem::size_of_val(&addr), 8);
    });
}

#[test]
fn a_stop_comes_after_the_mail_and_a_kill_at_once() {
    on_system(|system, _| async move {
        let addr = system.spawn(Probe::default());
        let (notes, end) = (addr.ask(Say::Notes), addr.ended());
        addr.try_send(Say::Note(1)).unwrap();
        let (notes, why, ()) = tokio::join!(notes, end, async { addr.stop() });
        assert_eq!((notes, why), (Ok(vec![1]), Exit::Stopped));
        assert!(matches!(addr.try_send(Say::Note(2)), Err(TrySendError::Closed(Say::Note(2)))));
        assert_eq!(addr.ended().await, Exit::Gone);

        let addr = system.spawn(Probe::default());
        let (why, ()) = tokio::join!(addr.ended(), async { addr.kill() });
        assert_eq!(why, Exit::Killed);
        assert!(system.is_empty());
    });
}

#[test]
fn a_panic_ends_one_actor_and_the_sender_never_notices() {
    on_system(|system, _| async move {
        let (bad, good) = (system.spawn(Probe::default()), system.spawn(Probe::default()));
        let (why, sent) = tokio::join!(bad.ended(), bad.send(Say::Panic("boom")));
        assert!(sent.is_ok());
        assert_eq!(why, Exit::Panicked("boom".into()));
        assert_eq!(bad.ask(Say::Notes).await, Err(WaitError::Closed));
        assert_eq!(good.ask(Say::Notes).await, Ok(vec![]));
    });
}

#[test]
fn a_supervised_one_restarts_with_its_mail_then_gives_up() {
    on_system(|system, clock| async move {
        let policy = Policy { restarts_max: 2, ..Policy::DEFAULT };
        let addr = system.supervise(policy, Probe::default);
        addr.send(Say::Note(1)).await.unwrap();
        for round in 1..=2 {
            let asked = addr.ask(Say::PanicHolding);
            assert_eq!(asked.await, Err(WaitError::Dropped));
            addr.try_send(Say::Note(round)).unwrap();
            // It backs off until the clock says so: 50 ms, then 100 ms.
            kit::until(|| addr.look().state == State::BackingOff).await;
            assert_eq!(addr.look().depth, 1);
            clock.advance(Duration::from_millis(100));
            assert_eq!(addr.ask(Say::Notes).await, Ok(vec![round]));
            assert_eq!(addr.look().restarts, round);
        }
        let (why, _) = tokio::join!(addr.ended(), addr.send(Say::Panic("again")));
        assert_eq!(why, Exit::GaveUp { restarts: 2, last: "again".into() });
    });
}

#[test]
fn a_restart_long_after_the_last_starts_a_new_window() {
    on_system(|system, clock| async move {
        let policy = Policy { restarts_max: 1, backoff: Duration::ZERO, ..Policy::DEFAULT };
        let addr = system.supervise(policy, Probe::default);
        for _ in 0..5 {
            addr.send(Say::Panic("now and then")).await.unwrap();
            assert_eq!(addr.ask(Say::Notes).await, Ok(vec![]));
            clock.advance(policy.window + Duration::from_millis(1));
        }
        assert_eq!(addr.look().restarts, 5);
    });
}

#[test]
fn a_wait_pauses_the_mailbox_until_its_answer() {
    on_system(|system, _| async move {
        let addr = system.spawn(Probe::default());
        let reply = addr.ask(|out| Say::Wait(Duration::from_secs(10), out)).await.unwrap();
        for n in 0..40 {
            addr.try_send(Say::Note(n)).unwrap();
        }
        kit::until(|| addr.look().state == State::Waiting).await;
        assert_eq!(addr.look().depth, 40);
        std::thread::spawn(move || reply.into_then()(1_000)).join().unwrap();
        let expected: Vec<u32> = std::iter::once(1_000).chain(0..40).collect();
        assert_eq!(addr.ask(Say::Notes).await, Ok(expected));
        assert_eq!(system.timers(), 0);
    });
}

#[test]
fn a_wait_ends_by_its_deadline_a_dropped_reply_or_a_kill() {
    on_system(|system, clock| async move {
        let addr = system.spawn(Probe::default());
        let late = addr.ask(|out| Say::Wait(Duration::from_secs(10), out)).await.unwrap();
        clock.advance(Duration::from_secs(11));
        assert_eq!(addr.ask(Say::Notes).await, Ok(vec![kit::TIMED_OUT]));
        late.send(5);
        drop(addr.ask(|out| Say::Wait(Duration::from_secs(10), out)).await.unwrap());
        assert_eq!(addr.ask(Say::Notes).await, Ok(vec![kit::TIMED_OUT, kit::DROPPED]));
        let held = addr.ask(|out| Say::Wait(Duration::from_secs(10), out)).await.unwrap();
        let (why, ()) = tokio::join!(addr.ended(), async { addr.kill() });
        assert_eq!(why, Exit::Killed);
        held.send(1);
        assert_eq!(system.timers(), 0);
    });
}

#[test]
fn timers_go_off_in_order_and_a_cancelled_one_never() {
    on_system(|system, clock| async move {
        let addr = system.spawn(Probe::default());
        let mut ids = Vec::new();
        for (ms, token) in [(300, 3), (100, 1), (200, 2), (86_400_000, 4)] {
            ids.push(addr.ask(|out| Say::After(Duration::from_millis(ms), token, out)).await.unwrap());
        }
        assert_eq!(system.timers(), 4);
        assert_eq!(addr.ask(|out| Say::Cancel(ids[2], out)).await, Ok(true));
        clock.advance(Duration::from_millis(99));
        assert_eq!(addr.ask(Say::Tokens).await, Ok(vec![]));
        clock.advance(Duration::from_millis(11));
        assert_eq!(addr.ask(Say::Tokens).await, Ok(vec![1]));
        clock.advance(Duration::from_millis(86_400_000));
        assert_eq!(addr.ask(Say::Tokens).await, Ok(vec![1, 3, 4]));
        assert_eq!(addr.ask(|out| Say::Cancel(ids[0], out)).await, Ok(false));
    });
}

#[test]
fn an_end_takes_its_timers_along() {
    on_system(|system, _| async move {
        let addr = system.spawn(Probe::default());
        addr.ask(|out| Say::After(Duration::from_secs(60), 1, out)).await.unwrap();
        tokio::join!(addr.ended(), async { addr.stop() });
        assert_eq!(system.timers(), 0);
    });
}

#[test]
fn a_monitor_hears_of_the_end_after_the_last_message() {
    on_system(|system, _| async move {
        let (watcher, watched) = (system.spawn(Probe::default()), system.spawn(Probe::default()));
        watcher.ask(|out| Say::Monitor(watched.clone(), out)).await.unwrap();
        watched.send(Say::Forward(watcher.clone(), 7)).await.unwrap();
        let (_, sent) = tokio::join!(watched.ended(), watched.send(Say::Panic("bad day")));
        assert!(sent.is_ok());
        let signals = watcher.ask(Say::Signals).await.unwrap();
        assert!(matches!(&signals[..], [Signal::Down { who, why: Exit::Panicked(_), .. }] if *who == watched.id()));
        assert_eq!(watcher.ask(Say::Notes).await, Ok(vec![7]));
        // One that is gone answers at once.
        watcher.ask(|out| Say::Monitor(watched.clone(), out)).await.unwrap();
        let signals = watcher.ask(Say::Signals).await.unwrap();
        assert!(matches!(&signals[1..], [Signal::Down { why: Exit::Gone, .. }]));
    });
}

#[test]
fn a_link_ends_both_unless_one_ended_well_or_traps() {
    on_system(|system, _| async move {
        // `Probe` traps; `Frail` keeps the default.
        let (a, b) = (system.spawn(kit::Frail), system.spawn(Probe::default()));
        b.ask(|out| Say::Link(a.clone(), out)).await.unwrap();
        let (why, _) = tokio::join!(a.ended(), b.send(Say::Panic("down we go")));
        assert!(matches!(why, Exit::Linked { who, .. } if who == b.id()));

        let (a, b) = (system.spawn(kit::Frail), system.spawn(Probe::default()));
        b.ask(|out| Say::Link(a.clone(), out)).await.unwrap();
        let (why, ()) = tokio::join!(a.ended(), async { a.kill() });
        assert_eq!(why, Exit::Killed);
        let signals = b.ask(Say::Signals).await.unwrap();
        assert!(matches!(&signals[..], [Signal::Exit { why: Exit::Killed, .. }]));
    });
}

#[test]
fn one_that_nobody_can_reach_ends() {
    on_system(|system, _| async move {
        let addr = system.spawn(Probe::default());
        let weak = addr.downgrade();
        addr.ask(Say::Notes).await.unwrap();
        drop(addr);
        kit::until(|| system.is_empty()).await;
        assert!(weak.upgrade().is_none());
    });
}

/// Stands still while it waits; its messages weigh nothing.
struct Feather;

impl Actor for Feather {
    type Msg = Option<Reply<Reply<()>>>;
    type Key = std::convert::Infallible;
    type Common = ();
    const MAILBOX_MAX: u32 = 3;

    fn weight(_: &Self::Msg) -> u32 {
        0
    }

    fn handle(&mut self, msg: Self::Msg, ctx: &mut Ctx<Self>) {
        if let Some(out) = msg {
            out.send(ctx.wait(Duration::from_secs(1_000), |_: &mut Feather, _, _| {}));
        }
    }
}

#[test]
fn messages_of_no_weight_are_bounded_too() {
    on_system(|system, _| async move {
        let addr = system.spawn(Feather);
        let held = addr.ask(Some).await.unwrap();
        for _ in 0..3 {
            assert!(addr.try_send(None).is_ok());
        }
        assert!(matches!(addr.try_send(None), Err(TrySendError::Full(None))));
        held.send(());
        kit::until(|| addr.look().depth == 0).await;
    });
}

#[test]
fn an_observer_sees_every_actor_once() {
    on_system(|system, _| async move {
        let all: Vec<_> = (0..1_000).map(|_| system.spawn(Probe::default())).collect();
        for addr in all.iter().step_by(3) {
            addr.kill();
        }
        kit::until(|| system.len() == 666).await;
        let mut seen: Vec<_> = system.observe().map(|seen| seen.id).collect();
        assert_eq!(seen.len(), 666);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 666);
        assert!(system.observe().all(|seen| seen.kind.ends_with("Probe") && seen.name.as_deref() == Some("probe")));
    });
}

#[test]
fn a_shutdown_lets_mail_be_handled_and_kills_who_will_not_go() {
    on_system(|system, _| async move {
        let polite = system.spawn(Probe::default());
        let stuck = system.spawn(Probe::default());
        let _held = stuck.ask(|out| Say::Wait(Duration::from_secs(1_000), out)).await.unwrap();
        let (notes, why, killed) =
            tokio::join!(polite.ask(Say::Notes), polite.ended(), system.shutdown(Duration::from_millis(50)));
        assert_eq!((notes, why, killed), (Ok(vec![]), Exit::Shutdown, 1));
        assert!(system.is_empty());
    });
}
