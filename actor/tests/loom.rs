//! Every interleaving of the parts that need it: mailbox, right to run, run queue, room.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p herald-actor --release --test loom`
#![cfg(loom)]

use herald_actor::mailbox::{Chain, Mailbox};
use herald_actor::owned::Owned;
use herald_actor::queue::{RunQueue, Worker};
use herald_actor::room::Room;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Three threads are the most loom can explore in seconds; preemptions beyond three find nothing in these models.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

/// What a cell is to its mailbox. Messages are counted pointers, so that loom sees a lost or doubled one.
struct Cell {
    mailbox: Mailbox<Arc<(usize, usize)>>,
    handled: Owned<Vec<(usize, usize)>>,
}

impl Cell {
    /// Idle, as after its first turn.
    fn idle() -> Arc<Cell> {
        let cell = Arc::new(Cell { mailbox: Mailbox::new_busy(), handled: Owned::new(Vec::new()) });
        assert!(cell.mailbox.rest());
        cell
    }

    /// As a worker does it, with the right to run in hand.
    fn run(&self) {
        // SAFETY: as below. A turn looks at the state before it takes mail, so must see what the last one wrote.
        unsafe { self.handled.with(|handled| handled.reserve(1)) };
        loop {
            let mut mail = self.mailbox.take();
            // SAFETY: the caller has the right to run; loom checks that nobody else uses it.
            unsafe {
                self.handled.with(|handled| {
                    while let Some(item) = mail.pop() {
                        handled.push(*item);
                    }
                });
            }
            if self.mailbox.rest() || self.mailbox.is_closed() {
                return;
            }
        }
    }

    fn handled(&self) -> Vec<(usize, usize)> {
        // SAFETY: every other thread was joined.
        unsafe { self.handled.with(|handled| handled.clone()) }
    }
}

#[test]
fn one_runner_at_a_time_and_every_message_in_its_senders_order() {
    model(|| {
        let cell = Cell::idle();
        let senders: Vec<_> = (0..2)
            .map(|who| {
                let cell = cell.clone();
                thread::spawn(move || {
                    for n in 0..2 {
                        if let Ok(true) = cell.mailbox.push(Arc::new((who, n))) {
                            cell.run();
                        }
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        let handled = cell.handled();
        assert_eq!(handled.len(), 4);
        for who in 0..2 {
            let order: Vec<_> = handled.iter().filter(|(by, _)| *by == who).map(|(_, n)| *n).collect();
            assert_eq!(order, [0, 1]);
        }
        assert!(cell.mailbox.is_idle());
    });
}

#[test]
fn an_idle_stop_loses_nothing() {
    model(|| {
        // The maker has the right to run and wants to stop when idle.
        let cell = Arc::new(Cell { mailbox: Mailbox::new_busy(), handled: Owned::new(Vec::new()) });
        let returned = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..2)
            .map(|who| {
                let (cell, returned) = (cell.clone(), returned.clone());
                thread::spawn(move || match cell.mailbox.push(Arc::new((who, 0))) {
                    Ok(woke) => assert!(!woke),
                    Err(message) => {
                        assert_eq!(*message, (who, 0));
                        returned.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut handled = 0;
        while !cell.mailbox.close_if_empty() {
            let mut mail = cell.mailbox.take();
            while mail.pop().is_some() {
                handled += 1;
            }
        }
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(handled + returned.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn a_close_hands_over_what_waited_and_refuses_the_rest() {
    model(|| {
        let cell = Cell::idle();
        let sender = {
            let cell = cell.clone();
            thread::spawn(move || (0..2).filter(|n| cell.mailbox.push(Arc::new((0, *n))).is_ok()).count())
        };
        let mut got = 0;
        let mut rest: Chain<_> = cell.mailbox.close();
        while rest.pop().is_some() {
            got += 1;
        }
        assert_eq!(sender.join().unwrap(), got);
        assert!(cell.mailbox.is_closed());
    });
}

/// A worker that leaves after it got `want` items (all workers together).
fn work(queue: &RunQueue<usize>, me: usize, got: &AtomicUsize, want: usize) {
    let mut me = Worker::new(me);
    while got.load(Ordering::SeqCst) < want {
        match queue.pop(&mut me) {
            Some(_) => {
                if got.fetch_add(1, Ordering::SeqCst) + 1 == want {
                    queue.wake_all();
                }
            }
            None => block_on(poll_fn(|cx| {
                let asleep = queue.poll_sleep(&mut me, cx);
                // As in the system: who lies down looks once more whether it is over.
                if got.load(Ordering::SeqCst) >= want { Poll::Ready(()) } else { asleep }
            })),
        }
    }
}

#[test]
fn no_item_waits_while_the_worker_sleeps() {
    model(|| {
        let queue = Arc::new(RunQueue::new());
        let pushers: Vec<_> = (0..2)
            .map(|n| {
                let queue = queue.clone();
                thread::spawn(move || queue.push(n))
            })
            .collect();
        // A lost wake-up is a deadlock, which loom reports.
        work(&queue, 0, &AtomicUsize::new(0), 2);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        assert!(queue.is_empty());
    });
}

#[test]
fn two_workers_share_without_losing_a_wake_up() {
    model(|| {
        let queue = Arc::new(RunQueue::new());
        let got = Arc::new(AtomicUsize::new(0));
        let other = {
            let (queue, got) = (queue.clone(), got.clone());
            thread::spawn(move || work(&queue, 1, &got, 2))
        };
        queue.push(1);
        queue.push(2);
        work(&queue, 0, &got, 2);
        other.join().unwrap();
    });
}

const MAX: u32 = 1;

#[test]
fn room_that_comes_free_reaches_who_waits() {
    model(|| {
        let room = Arc::new(Room::<()>::new());
        assert!(room.try_enter(1, MAX));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let room = room.clone();
                thread::spawn(move || {
                    assert!(block_on(room.enter(1, MAX, || false)));
                    assert!(room.load().1 <= MAX);
                    room.leave(1, MAX);
                })
            })
            .collect();
        room.leave(1, MAX);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(room.load(), (0, 0));
        assert!(room.try_enter(1, MAX));
    });
}

#[test]
fn a_dropped_wait_leaves_nothing_behind_whenever_it_is_dropped() {
    model(|| {
        let room = Arc::new(Room::<()>::new());
        assert!(room.try_enter(1, MAX));
        let fickle = {
            let room = room.clone();
            thread::spawn(move || {
                block_on(async {
                    let mut wait = pin!(room.enter(1, MAX, || false));
                    // One look, then gone: granted or not.
                    poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await
                })
                .is_ready()
            })
        };
        room.leave(1, MAX);
        let entered = fickle.join().unwrap();
        assert_eq!(room.load(), if entered { (1, 1) } else { (0, 0) });
    });
}

#[test]
fn a_close_reaches_everybody_in_line() {
    model(|| {
        let (room, closed) = (Arc::new(Room::<()>::new()), Arc::new(AtomicUsize::new(0)));
        assert!(room.try_enter(1, MAX));
        let waiter = {
            let (room, closed) = (room.clone(), closed.clone());
            thread::spawn(move || block_on(room.enter(1, MAX, || closed.load(Ordering::SeqCst) == 1)))
        };
        closed.store(1, Ordering::SeqCst);
        room.close();
        assert!(!waiter.join().unwrap());
    });
}
