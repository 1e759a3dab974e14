//! What the tests share: an actor that does what it is told and notes what it hears.
#![allow(dead_code)] // each test file uses its part

use herald_actor::{Actor, Addr, Ctx, ManualClock, Reply, Signal, System, TimerId, WaitError};
use std::future::Future;
use std::time::Duration;

/// Noted when a wait ran out of time.
pub const TIMED_OUT: u32 = 900_001;
/// Noted when a reply was dropped.
pub const DROPPED: u32 = 900_002;

/// Runs a test on a system of two workers whose clock stands still, with a bound on real time.
pub fn on_system<F: Future<Output = ()>>(test: impl FnOnce(System, ManualClock) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let clock = ManualClock::new();
    let system = System::with_clock(runtime.handle(), 2, clock.clock());
    // An interpreter (miri) takes a minute for what takes a millisecond.
    let bound = Duration::from_secs(if cfg!(miri) { 1_800 } else { 60 });
    let bounded = async { tokio::time::timeout(bound, test(system, clock)).await };
    runtime.block_on(bounded).expect("the test hangs");
}

/// Yields until something another thread does has happened; the bound is `on_system`'s.
pub async fn until(happened: impl Fn() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
pub struct Probe {
    notes: Vec<u32>,
    tokens: Vec<u64>,
    signals: Vec<Signal>,
}

pub enum Say {
    Note(u32),
    Notes(Reply<Vec<u32>>),
    Tokens(Reply<Vec<u64>>),
    Signals(Reply<Vec<Signal>>),
    Panic(&'static str),
    PanicHolding(Reply<()>),
    Wait(Duration, Reply<Reply<u32>>),
    After(Duration, u64, Reply<TimerId>),
    Cancel(TimerId, Reply<bool>),
    Monitor(Addr<Probe>, Reply<()>),
    Link(Addr<Frail>, Reply<()>),
    Forward(Addr<Probe>, u32),
}

impl Actor for Probe {
    type Msg = Say;
    type Key = std::convert::Infallible;
    type Common = ();
    const MAILBOX_MAX: u32 = 64;

    fn name(&self) -> Option<String> {
        Some("probe".into())
    }

    fn handle(&mut self, msg: Say, ctx: &mut Ctx<Self>) {
        match msg {
            Say::Note(n) => self.notes.push(n),
            Say::Notes(out) => out.send(self.notes.clone()),
            Say::Tokens(out) => out.send(self.tokens.clone()),
            Say::Signals(out) => out.send(self.signals.clone()),
            Say::Panic(text) => panic!("{text}"),
            Say::PanicHolding(_out) => panic!("with a reply in hand"),
            Say::Wait(within, out) => out.send(ctx.wait(within, |me: &mut Probe, answer, _| {
                me.notes.push(match answer {
                    Ok(n) => n,
                    Err(WaitError::TimedOut) => TIMED_OUT,
                    Err(_) => DROPPED,
                });
            })),
            Say::After(after, token, out) => out.send(ctx.after(after, token)),
            Say::Cancel(id, out) => out.send(ctx.cancel(id)),
            Say::Monitor(other, out) => {
                ctx.monitor(&other);
                out.send(());
            }
            Say::Link(other, out) => {
                ctx.link(&other);
                out.send(());
            }
            Say::Forward(to, n) => drop(to.try_send(Say::Note(n))),
        }
    }

    fn signal(&mut self, signal: Signal, _: &mut Ctx<Self>) {
        match signal {
            Signal::Timer { token, .. } => self.tokens.push(token),
            other => self.signals.push(other),
        }
    }
}

/// Ends with whom it is linked to.
pub struct Frail;

impl Actor for Frail {
    type Msg = ();
    type Key = std::convert::Infallible;
    type Common = ();
    const MAILBOX_MAX: u32 = 8;

    fn handle(&mut self, (): (), _: &mut Ctx<Self>) {}
}
