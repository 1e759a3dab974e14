//! The lot: connections at rest are parked here, without a task and without a place in the runtime's reactor.
//!
//! Most connections say nothing most of the time. One that has said and heard nothing for [`REST`] ends its task and
//! leaves what it has to keep ([`Resting`]) in a [`Spot`]: one allocation, which is also the waker that was given to
//! whatever it waits for, an outbox say. What wakes it is that waker, or its socket, which stands in a poll of the
//! lot's own. Then it goes on with a new task, and nobody else noticed: neither what it waits for nor its client can
//! tell a parked connection from another.
//!
//! ```text
//!            REST without a word                    Lot::park
//! task of a connection ---------> Resting ----------------------------> Spot
//!        ^                           |  stood up at once: it was        |  socket readable, Waker::wake
//!        +---------------------------+  woken while it was parked       |
//!        +--------------------------------------------------------------+  Resting::go_on
//! ```
//!
//! A spot's lock orders the two sides: whoever parks holds it until the spot can be found, whoever wakes takes what
//! rests out of it. A spot is used once.

use super::deadlines::{Deadlines, SLOT, Slot};
use super::timer::Timer;
use crate::metrics;
use mio::unix::SourceFd;
use mio::{Events, Interest, Registry, Token};
use parking_lot::Mutex;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// After so long without a word a connection is parked; it may take twice as long.
const REST: Duration = Duration::from_secs(1);
/// So many sockets are looked at in one go.
const EVENTS_MAX: usize = 1024;
/// Tables of spots: so that parking and waking seldom meet.
const SHARDS: usize = 16;

/// What is left of a connection while it rests.
pub(crate) trait Resting: AsRawFd + Send + Sized + 'static {
    /// Where it rests.
    fn lot(&self) -> &Lot;
    /// Where it stands among those that wait no longer than till some time.
    fn slot(&self) -> Option<Slot> {
        None
    }
    /// Something happened: goes on with a task of its own. Whoever woke it may hold a lock; the runtime is entered.
    fn go_on(self);
}

/// Tells when a connection has come to rest. Nobody looks at a clock when something happens: a timer looks from time to
/// time whether something did. All look at the same moments, so that the system is woken for many at once.
pub(crate) struct Doze {
    timer: Timer,
    stirred: bool,
}

impl Default for Doze {
    fn default() -> Doze {
        Doze { timer: Timer::at(Some(next_look())), stirred: true }
    }
}

impl Doze {
    /// Something happened.
    pub(crate) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Ready when nothing has happened for [`REST`], and after each further one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.poll(cx));
            self.timer.wind_to(next_look());
            if !std::mem::take(&mut self.stirred) {
                return Poll::Ready(());
            }
        }
    }
}

/// When [`REST`] from now is over, up to a slot later.
fn next_look() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    let slots = (start.elapsed() + REST).as_nanos().div_ceil(SLOT.as_nanos());
    start + SLOT * u32::try_from(slots).unwrap_or(u32::MAX)
}

/// See the module page.
pub(crate) struct Lot {
    sockets: Registry,
    /// By the numbers of their sockets, which the system keeps small.
    spots: [Mutex<Spots>; SHARDS],
    /// Those that wait no longer than till some time.
    deadlines: Deadlines<dyn Sleeper>,
    runtime: Handle,
}

type Spots = Vec<Option<Arc<dyn Sleeper>>>;

/// Where one connection is parked.
pub(crate) struct Spot<R>(Mutex<State<R>>);

enum State<R> {
    /// It is not there yet.
    Free,
    Taken(R),
    /// It was woken: nobody will rest here any more.
    Left,
}

/// A spot, whatever rests in it.
trait Sleeper: Send + Sync {
    fn wake_up(self: Arc<Self>);
}

impl Lot {
    /// An empty one on this runtime, and what [`Lot::drive`] needs.
    pub(crate) fn new(now: Instant) -> io::Result<(Arc<Lot>, Sockets)> {
        let poll = mio::Poll::new()?;
        let sockets = poll.registry().try_clone()?;
        // SAFETY: a poll has one descriptor from its making to its drop, and is not taken out of there.
        let poll = unsafe { AsyncFd::register_with_interest(Pollable(poll), tokio::io::Interest::READABLE)? };
        let (spots, deadlines, runtime) = (Default::default(), Deadlines::new(now), Handle::current());
        Ok((Arc::new(Lot { sockets, spots, deadlines, runtime }), Sockets(poll)))
    }

    /// Wakes those whose socket has something, or whose time has come, until it is told to stop.
    pub(crate) async fn drive(self: Arc<Lot>, sockets: Sockets, stop: CancellationToken) {
        let Sockets(mut poll) = sockets;
        let mut events = Events::with_capacity(EVENTS_MAX);
        let mut slots = tokio::time::interval(SLOT);
        slots.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut ready = tokio::select! {
                ready = poll.readable_mut() => match ready {
                    Ok(ready) => ready,
                    Err(e) => return tracing::error!("connections at rest are not heard any more: {e}"),
                },
                now = slots.tick() => {
                    self.deadlines.due(now.into_std()).into_iter().for_each(Sleeper::wake_up);
                    continue;
                }
                () = stop.cancelled() => return,
            };
            // Edges: all there is has to be taken before the next is waited for.
            if let Err(e) = ready.get_inner_mut().0.poll(&mut events, Some(Duration::ZERO))
                && e.kind() != io::ErrorKind::Interrupted
            {
                tracing::warn!("connections at rest: {e}");
            }
            if events.is_empty() {
                ready.clear_ready();
                continue;
            }
            for event in &events {
                if let Some(spot) = self.find(event.token()) {
                    spot.wake_up();
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// Wakes what rests in this spot at that time, or up to a slot later.
    pub(crate) fn wake_at<R: Resting>(&self, when: Instant, spot: &Arc<Spot<R>>) -> Slot {
        let spot: Arc<dyn Sleeper> = spot.clone();
        self.deadlines.put(when, &spot)
    }

    fn find(&self, token: Token) -> Option<Arc<dyn Sleeper>> {
        self.spots[token.0 % SHARDS].lock().get(token.0 / SHARDS)?.clone()
    }

    fn enter(&self, fd: RawFd, spot: Arc<dyn Sleeper>) -> io::Result<()> {
        let at = fd as usize;
        {
            let mut spots = self.spots[at % SHARDS].lock();
            if spots.len() <= at / SHARDS {
                spots.resize_with(at / SHARDS + 1, || None);
            }
            spots[at / SHARDS] = Some(spot);
        }
        metrics::parked();
        self.sockets.register(&mut SourceFd(&fd), Token(at), Interest::READABLE)
    }

    fn leave(&self, fd: RawFd) {
        // It fails for a socket that never came in.
        let _ = self.sockets.deregister(&mut SourceFd(&fd));
        let spot = self.spots[fd as usize % SHARDS].lock().get_mut(fd as usize / SHARDS).and_then(Option::take);
        metrics::unparked();
        drop(spot);
    }
}

impl<R: Resting> Spot<R> {
    /// A spot for one connection. Its [`Spot::waker`] may be used from now on.
    pub(crate) fn new() -> Arc<Spot<R>> {
        Arc::new(Spot(Mutex::new(State::Free)))
    }

    /// Wakes what rests here, or will.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(self.clone())
    }

    /// Parks it. `Err`: it was woken meanwhile, or the system has no room for it.
    pub(crate) fn park(self: Arc<Self>, resting: R) -> Result<(), R> {
        let mut state = self.0.lock();
        if matches!(*state, State::Left) {
            return Err(resting);
        }
        let fd = resting.as_raw_fd();
        if resting.lot().enter(fd, self.clone()).is_err() {
            *state = State::Left;
            resting.lot().leave(fd);
            return Err(resting);
        }
        *state = State::Taken(resting);
        Ok(())
    }

    fn leave(self: &Arc<Self>) -> Option<R> {
        let mut state = self.0.lock();
        let State::Taken(resting) = std::mem::replace(&mut *state, State::Left) else { return None };
        resting.lot().leave(resting.as_raw_fd());
        if let Some(slot) = resting.slot() {
            // What is left in the wheel would keep the spot's memory until its time has come.
            let spot: &dyn Sleeper = &**self;
            resting.lot().deadlines.take_back(slot, spot);
        }
        Some(resting)
    }
}

impl<R: Resting> Sleeper for Spot<R> {
    fn wake_up(self: Arc<Self>) {
        if let Some(resting) = self.leave() {
            let runtime = resting.lot().runtime.clone();
            let _in = runtime.enter();
            resting.go_on();
        }
    }
}

impl<R: Resting> Wake for Spot<R> {
    fn wake(self: Arc<Self>) {
        self.wake_up();
    }
}

/// The sockets of all who rest.
pub(crate) struct Sockets(AsyncFd<Pollable>);

/// The poll, as something that can be polled.
struct Pollable(mio::Poll);

impl AsRawFd for Pollable {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    struct Quiet {
        lot: Arc<Lot>,
        io: TcpStream,
        woken: mpsc::UnboundedSender<TcpStream>,
        slot: Option<Slot>,
    }

    impl AsRawFd for Quiet {
        fn as_raw_fd(&self) -> RawFd {
            self.io.as_raw_fd()
        }
    }

    impl Resting for Quiet {
        fn lot(&self) -> &Lot {
            &self.lot
        }
        fn slot(&self) -> Option<Slot> {
            self.slot
        }
        fn go_on(self) {
            let _ = self.woken.send(self.io);
        }
    }

    struct Scene {
        lot: Arc<Lot>,
        woken: mpsc::UnboundedReceiver<TcpStream>,
        tell: mpsc::UnboundedSender<TcpStream>,
        listener: TcpListener,
        stop: CancellationToken,
    }

    fn scene() -> Scene {
        let (lot, sockets) = Lot::new(Instant::now()).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(lot.clone().drive(sockets, stop.clone()));
        let (tell, woken) = mpsc::unbounded_channel();
        Scene { lot, woken, tell, listener: TcpListener::bind("127.0.0.1:0").unwrap(), stop }
    }

    impl Scene {
        /// A connection to be parked, and its other end.
        fn quiet(&self) -> (Quiet, TcpStream) {
            let theirs = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            let (io, _) = self.listener.accept().unwrap();
            io.set_nonblocking(true).unwrap();
            (Quiet { lot: self.lot.clone(), io, woken: self.tell.clone(), slot: None }, theirs)
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    impl Lot {
        fn taken(&self) -> usize {
            self.spots.iter().map(|spots| spots.lock().iter().flatten().count()).sum()
        }
    }

    #[tokio::test]
    async fn the_socket_wakes_it_and_so_does_its_end() {
        let mut scene = scene();
        for ends in [false, true] {
            let (quiet, mut theirs) = scene.quiet();
            let fd = quiet.as_raw_fd();
            assert!(Spot::new().park(quiet).is_ok());
            assert_eq!(scene.lot.taken(), 1);
            if ends {
                drop(theirs);
            } else {
                theirs.write_all(b"x").unwrap();
            }
            assert_eq!(scene.woken.recv().await.unwrap().as_raw_fd(), fd);
            assert_eq!(scene.lot.taken(), 0);
        }
    }

    #[tokio::test]
    async fn what_was_there_before_wakes_it_too() {
        let mut scene = scene();
        let (quiet, mut theirs) = scene.quiet();
        theirs.write_all(b"x").unwrap();
        assert!(Spot::new().park(quiet).is_ok());
        scene.woken.recv().await.unwrap();
    }

    #[tokio::test]
    async fn the_waker_wakes_it_once() {
        let mut scene = scene();
        let (quiet, mut theirs) = scene.quiet();
        let spot = Spot::new();
        let waker = spot.waker();
        assert!(spot.park(quiet).is_ok());
        waker.wake_by_ref();
        let mine = scene.woken.recv().await.unwrap();
        theirs.write_all(b"x").unwrap();
        waker.wake();
        assert!(scene.woken.try_recv().is_err(), "it is not there any more");
        // The same socket, parked again.
        let again = Quiet { lot: scene.lot.clone(), io: mine, woken: scene.tell.clone(), slot: None };
        assert!(Spot::new().park(again).is_ok());
        scene.woken.recv().await.unwrap();
    }

    #[tokio::test]
    async fn woken_while_it_is_parked_it_is_given_back() {
        let scene = scene();
        let (quiet, _theirs) = scene.quiet();
        let spot = Spot::new();
        spot.waker().wake();
        assert!(spot.park(quiet).is_err());
        assert_eq!(scene.lot.taken(), 0);
    }

    #[tokio::test]
    async fn its_time_comes() {
        let mut scene = scene();
        let (quiet, _theirs) = scene.quiet();
        let spot = Spot::new();
        let due = Instant::now() + SLOT;
        scene.lot.wake_at(due, &spot);
        assert!(spot.park(quiet).is_ok());
        scene.woken.recv().await.unwrap();
        assert!(Instant::now() >= due);
    }

    #[tokio::test]
    async fn the_wheel_keeps_nothing_of_what_was_woken_before() {
        let mut scene = scene();
        let (mut quiet, mut theirs) = scene.quiet();
        let spot = Spot::new();
        quiet.slot = Some(scene.lot.wake_at(Instant::now() + SLOT * 400, &spot));
        assert_eq!(Arc::weak_count(&spot), 1);
        assert!(spot.clone().park(quiet).is_ok());
        theirs.write_all(b"x").unwrap();
        scene.woken.recv().await.unwrap();
        assert_eq!(Arc::weak_count(&spot), 0);
    }

    #[tokio::test]
    async fn it_dozes_off_when_nothing_stirs() {
        let mut doze = Doze::default();
        let begun = Instant::now();
        std::future::poll_fn(|cx| doze.poll(cx)).await;
        assert!(begun.elapsed() >= REST * 2, "it began with something");
        doze.stir();
        std::future::poll_fn(|cx| doze.poll(cx)).await;
        assert!(begun.elapsed() >= REST * 4);
    }
}
