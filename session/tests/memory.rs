//! What a user costs while nothing happens, counted by an allocator.

mod town;

use herald_session::user::User;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use town::Town;

/// Bytes of the user's state with one available resource and an empty roster, the actor's own header and
/// the connection not counted.
const ONLINE_BYTES_MAX: isize = 320;

/// The same for one who is away.
const AWAY_BYTES_MAX: isize = 208;

struct Counting;

static HELD: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a user owns: found by taking it out of the town and dropping it.
fn bytes_of(town: &mut Town, user: &str) -> isize {
    let user = town.users.remove(user).unwrap();
    let before = HELD.load(Ordering::Relaxed);
    drop(user);
    before - HELD.load(Ordering::Relaxed) + size_of::<User>() as isize
}

#[test]
fn an_idle_user_is_small() {
    let mut town = Town::new(&["ann.of.the.house", "bob"]);
    let client = town.login("ann.of.the.house", "a-resource-of-usual-length");
    town.ask(&client, "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>");
    town.send(&client, "<presence><priority>1</priority></presence>");
    let bob = town.login("bob", "b");
    town.send(&client, "<message to='bob@house.example/b'><body>work has left no buffer</body></message>");
    town.send(&bob, "<message to='ann.of.the.house@house.example'><body>nor here</body></message>");
    client.take();
    let online = bytes_of(&mut town, "ann.of.the.house");
    town.drop(&bob);
    let away = bytes_of(&mut town, "bob");
    assert!(online <= ONLINE_BYTES_MAX, "online: {online} bytes, of them {} the struct", size_of::<User>());
    assert!(away <= AWAY_BYTES_MAX, "away: {away} bytes");
    println!("online {online}, away {away}, struct {}", size_of::<User>());
}
