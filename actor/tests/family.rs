//! A registry: one actor per key, its name, its restart, its end.
#![cfg(not(loom))]

mod kit;

use herald_actor::{Actor, Ctx, Exit, Policy, Registry, Reply, State, TrySendError};
use kit::on_system;
use std::sync::{Arc, mpsc};
use std::time::Duration;

struct User {
    name: String,
    greeted: u32,
    /// Its `stopping` waits here until the test lets it go on.
    gate: Option<Arc<parking_lot::Mutex<mpsc::Receiver<()>>>>,
}

enum To {
    Greet(Reply<(String, u32)>),
    Panic,
    Rest,
}

impl Actor for User {
    type Msg = To;
    type Key = String;
    type Common = ();
    const MAILBOX_MAX: u32 = 8;

    fn handle(&mut self, msg: To, ctx: &mut Ctx<Self>) {
        match msg {
            To::Greet(out) => {
                self.greeted += 1;
                out.send((self.name.clone(), self.greeted));
            }
            To::Panic => panic!("{} has a bad day", self.name),
            To::Rest => assert!(ctx.stop_when_idle()),
        }
    }

    fn stopping(&mut self, _: &Exit) {
        if let Some(gate) = &self.gate {
            gate.lock().recv().expect("the test holds the other end");
        }
    }
}

fn user(name: &str) -> User {
    User { name: name.to_owned(), greeted: 0, gate: None }
}

#[test]
fn a_key_finds_its_actor_and_a_restart_keeps_it() {
    on_system(|system, clock| async move {
        let registry = Registry::new(&system, Policy::DEFAULT, |key: &String| user(key));
        assert!(registry.find("ann").is_none());
        let ann = registry.find_or_spawn(&"ann".to_owned());
        let bob = registry.find_or_spawn(&"bob".to_owned());
        assert_eq!(registry.find("ann").as_ref(), Some(&ann));
        assert_eq!(registry.find_or_spawn(&"ann".to_owned()), ann);
        assert_eq!(ann.ask(To::Greet).await, Ok(("ann".into(), 1)));

        ann.send(To::Panic).await.unwrap();
        kit::until(|| ann.look().state == State::BackingOff).await;
        clock.advance(Duration::from_millis(60));
        // The same address, a fresh state, and it knows whose it is.
        assert_eq!(ann.ask(To::Greet).await, Ok(("ann".into(), 1)));
        assert_eq!(bob.ask(To::Greet).await, Ok(("bob".into(), 1)));

        let mut names: Vec<_> = system.observe().filter_map(|seen| seen.name).collect();
        names.sort();
        assert_eq!(names, ["ann", "bob"]);
        let mut keys: Vec<_> = registry.iter().map(|(key, addr)| (key, addr.look().restarts)).collect();
        keys.sort();
        assert_eq!(keys, [("ann".to_owned(), 1), ("bob".to_owned(), 0)]);
    });
}

#[test]
fn one_that_ended_leaves_its_key() {
    on_system(|system, _| async move {
        let registry = Registry::new(&system, Policy::NEVER, |key: &String| user(key));
        let keys = ["idle", "panicked", "stopped", "killed"].map(str::to_owned);
        let all = keys.each_ref().map(|key| registry.find_or_spawn(key));
        assert_eq!(registry.len(), 4);
        let ends = tokio::join!(all[0].ended(), all[1].ended(), all[2].ended(), all[3].ended(), async {
            assert!(all[0].try_send(To::Rest).is_ok() && all[1].try_send(To::Panic).is_ok());
            all[2].stop();
            all[3].kill();
        });
        assert_eq!((ends.0, ends.2, ends.3), (Exit::Idle, Exit::Stopped, Exit::Killed));
        assert_eq!(ends.1, Exit::Panicked("panicked has a bad day".into()));
        assert!(registry.is_empty() && system.is_empty());
        assert!(keys.iter().all(|key| registry.find(key).is_none()));
        let again = registry.find_or_spawn(&keys[0]);
        assert_ne!(again.id(), all[0].id());
        assert_eq!(again.ask(To::Greet).await, Ok(("idle".into(), 1)));
    });
}

#[test]
fn a_successor_takes_mail_at_once_but_starts_only_after_the_last_ended() {
    on_system(|system, _| async move {
        let (open, gate) = mpsc::channel();
        let gate = Arc::new(parking_lot::Mutex::new(gate));
        let registry =
            Registry::new(&system, Policy::DEFAULT, move |key: &String| User { gate: Some(gate.clone()), ..user(key) });
        let key = "carol".to_owned();
        let first = registry.find_or_spawn(&key);
        first.ask(To::Greet).await.unwrap();
        first.stop();
        assert!(matches!(first.try_send(To::Rest), Err(TrySendError::Closed(To::Rest))));
        let second = registry.find_or_spawn(&key);
        assert_ne!(first, second);
        assert_eq!(registry.find_or_spawn(&key), second);
        second.try_send(To::Panic).unwrap();
        // One worker is held in `stopping`; the other could run the second, but must not.
        kit::until(|| first.look().state == State::Running).await;
        assert_eq!((second.look().handled, second.look().depth), (0, 1));
        open.send(()).unwrap();
        kit::until(|| second.look().handled == 1).await;
        assert_eq!(registry.len(), 1);
        assert_eq!(registry.find(&key), Some(second));
        open.send(()).unwrap();
    });
}

#[test]
fn a_factory_that_panics_is_restarted_like_any_other() {
    on_system(|system, _| async move {
        let policy = Policy { restarts_max: 3, backoff: Duration::ZERO, ..Policy::DEFAULT };
        let registry = Registry::new(&system, policy, |key: &String| {
            assert!(key != "bad", "no state for this one");
            user(key)
        });
        let bad = registry.find_or_spawn(&"bad".to_owned());
        assert!(matches!(bad.ended().await, Exit::GaveUp { restarts: 3, .. } | Exit::Gone));
        assert!(registry.is_empty());
    });
}
