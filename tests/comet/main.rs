//! iComet's two ports on the real binary: every row of what iComet answers, what became of its faults, its clients.
//!
//! What iComet answers was taken from a running iComet 0.2.5; where Herald differs the test says why.

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod front;
mod hostile;
mod life;
mod operator;
mod psub;
mod wire;

use support::{Answer, Herald};
use wire::Conn;

/// iComet as it is shipped: everybody may subscribe, and loopback may ask everything.
pub const OPEN: &str = "[comet]\nauth = \"none\"\noperators = [\"127.0.0.1\"]\n";

/// A server where comet is open; `more` goes into the section `[comet]`.
pub fn open(more: &str) -> Herald {
    Herald::start_with(&format!("{OPEN}{more}"))
}

/// Asks one of the operator's calls, without a key.
pub fn ask(herald: &Herald, call: &str) -> Answer {
    herald.http("GET", call, &[], "")
}

/// Pushes, and panics when it is not taken.
pub fn push(herald: &Herald, cname: &str, content: &str) {
    let said = ask(herald, &format!("/push?cname={cname}&content={content}"));
    assert_eq!((said.status, said.text.as_str()), (200, "{\"type\":\"ok\"}\n"));
}

/// Waits until a channel has so many subscribers.
pub fn subscribed(herald: &Herald, cname: &str, subscribers: usize) {
    let wanted = format!("{{\"cname\": \"{cname}\", \"subscribers\": {subscribers}}}\n");
    for _ in 0..100_000 {
        if ask(herald, &format!("/info?cname={cname}")).text == wanted {
            return;
        }
    }
    panic!("{cname} never had {subscribers} subscribers");
}

/// A poll that waits.
pub fn park(herald: &Herald, cname: &str, seq: u64) -> Conn {
    let before = ask(herald, &format!("/info?cname={cname}")).json["subscribers"].as_u64().expect("a number");
    let mut conn = Conn::to(herald);
    conn.get(&format!("/poll?cname={cname}&seq={seq}"));
    subscribed(herald, cname, before as usize + 1);
    conn
}
