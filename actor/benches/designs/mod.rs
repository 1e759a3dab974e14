//! The same actor in three designs: a cell, an actix actor, a tokio task with a channel.

use herald_actor::{Actor, Addr, Ctx, System, TrySendError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use tokio::runtime::Runtime;

/// Messages handled, by all actors of the process.
pub static HANDLED: AtomicU64 = AtomicU64::new(0);
/// Actors that run.
pub static STARTED: AtomicU64 = AtomicU64::new(0);

/// Workers, arbiters or runtime threads.
pub const THREADS: usize = 2;
/// Messages a mailbox holds.
const MAILBOX: usize = 16;

/// 104 bytes, all of them inline: about what a user's actor keeps while idle.
pub struct State {
    name: [u8; 24],
    sum: u64,
    _rest: [u64; 9],
}

/// 48 bytes.
pub struct Msg {
    pub from: [u8; 24],
    pub text: std::sync::Arc<[u8]>,
    pub id: u64,
}

impl State {
    pub fn new(n: usize) -> State {
        let mut name = [0; 24];
        name[..8].copy_from_slice(&n.to_le_bytes());
        State { name, sum: 0, _rest: [n as u64; 9] }
    }

    fn handle(&mut self, msg: &Msg) {
        self.sum ^= msg.id ^ u64::from(msg.from[0]) ^ u64::from(self.name[0]) ^ msg.text.len() as u64;
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
}

/// One design of three.
pub trait Design {
    type Handle;
    fn new() -> Self;
    fn spawn(&self, state: State) -> Self::Handle;
    /// Never loses a message.
    fn send(handle: &Self::Handle, msg: Msg);
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().expect("a runtime")
}

pub struct Cells {
    system: System,
    _runtime: Runtime,
}

impl Actor for State {
    type Msg = Msg;
    type Key = std::convert::Infallible;
    type Common = ();
    const MAILBOX_MAX: u32 = MAILBOX as u32;

    fn started(&mut self, _: &mut Ctx<Self>) {
        STARTED.fetch_add(1, Ordering::Relaxed);
    }

    fn handle(&mut self, msg: Msg, _: &mut Ctx<Self>) {
        State::handle(self, &msg);
    }
}

impl Design for Cells {
    type Handle = Addr<State>;

    fn new() -> Self {
        let runtime = runtime();
        Cells { system: System::new(runtime.handle(), THREADS), _runtime: runtime }
    }

    fn spawn(&self, state: State) -> Addr<State> {
        self.system.spawn(state)
    }

    #[inline]
    fn send(addr: &Addr<State>, mut msg: Msg) {
        while let Err(TrySendError::Full(back)) = addr.try_send(msg) {
            msg = back;
            std::thread::yield_now();
        }
    }
}

pub struct Actix(Vec<actix::ArbiterHandle>, std::cell::Cell<usize>);

pub struct ActixState(State);

impl actix::Message for Msg {
    type Result = ();
}

impl actix::Actor for ActixState {
    type Context = actix::Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        STARTED.fetch_add(1, Ordering::Relaxed);
    }
}

impl actix::Handler<Msg> for ActixState {
    type Result = ();

    fn handle(&mut self, msg: Msg, _: &mut Self::Context) {
        self.0.handle(&msg);
    }
}

impl Design for Actix {
    type Handle = actix::Addr<ActixState>;

    fn new() -> Self {
        let (tx, rx) = mpsc::channel();
        std::thread::spawn(move || {
            let system = actix::System::new();
            let arbiters: Vec<_> = system.block_on(async { (0..THREADS).map(|_| actix::Arbiter::new()).collect() });
            tx.send(arbiters.iter().map(actix::Arbiter::handle).collect()).expect("the bench waits");
            system.run().expect("actix runs");
        });
        Actix(rx.recv().expect("actix starts"), std::cell::Cell::new(0))
    }

    fn spawn(&self, state: State) -> Self::Handle {
        use actix::Actor;
        self.1.set((self.1.get() + 1) % THREADS);
        ActixState::start_in_arbiter(&self.0[self.1.get()], move |_| ActixState(state))
    }

    #[inline]
    fn send(addr: &Self::Handle, msg: Msg) {
        // Passes by the mailbox's bound, which is its quickest way in.
        addr.do_send(msg);
    }
}

pub struct Tasks(Runtime);

impl Design for Tasks {
    type Handle = tokio::sync::mpsc::Sender<Msg>;

    fn new() -> Self {
        Tasks(runtime())
    }

    fn spawn(&self, mut state: State) -> Self::Handle {
        let (tx, mut rx) = tokio::sync::mpsc::channel::<Msg>(MAILBOX);
        self.0.spawn(async move {
            STARTED.fetch_add(1, Ordering::Relaxed);
            while let Some(msg) = rx.recv().await {
                state.handle(&msg);
            }
        });
        tx
    }

    #[inline]
    fn send(tx: &Self::Handle, mut msg: Msg) {
        use tokio::sync::mpsc::error::TrySendError;
        while let Err(TrySendError::Full(back)) = tx.try_send(msg) {
            msg = back;
            std::thread::yield_now();
        }
    }
}
