//! Instructions of a message, of a presence and of a login, each as one of many, one after the other.

use crate::bosh::Page;
use crate::callgrind::Callgrind;
use crate::door::{Door, Verdict};
use crate::support::Herald;
use crate::support::client::Client;
use crate::support::peer::{Peer, Via};
use crate::{Figures, seed};

/// Pairs of users that talk, over each way to connect.
const PAIRS: usize = 4;
/// Messages before it is counted, so that every table has its size and every path was gone once.
const WARM: usize = 200;
const MESSAGES: usize = 2_000;
/// As many characters as a line of a chat has.
const LINE: &str =
    "A line of a chat has about as many characters as this one has, so that it is neither short nor long.";
const WATCHERS: usize = 100;
const CHANGES: usize = 50;
const LOGINS: usize = 50;

/// Who talks, over whichever way.
trait Talker {
    fn message(&mut self, to: &str, body: &str);
    fn expect_body(&mut self, body: &str);
}

impl Talker for Peer {
    fn message(&mut self, to: &str, body: &str) {
        Peer::message(self, to, body);
    }
    fn expect_body(&mut self, body: &str) {
        Peer::expect_body(self, body);
    }
}

impl Talker for Page {
    fn message(&mut self, to: &str, body: &str) {
        self.say(&format!("<message xmlns='jabber:client' type='chat' to='{to}'><body>{body}</body></message>"));
    }
    fn expect_body(&mut self, body: &str) {
        self.expect(&format!("<body>{body}</body>"));
        self.park();
    }
}

/// For each kind of work, of one.
pub fn instructions() -> Figures {
    let talkers = (0..PAIRS * 6).map(|at| format!("talker{at}"));
    let watchers: Vec<_> = (0..WATCHERS).map(|at| format!("watcher{at}")).collect();
    let newcomers = (0..2 * LOGINS + 2).map(|at| format!("newcomer{at}"));
    let home = seed::home(talkers.chain(watchers.clone()).chain(newcomers).chain(["star".to_owned()]));
    let mut server = Callgrind::start(seed::subscribed(home, "star", &watchers));
    let mut figures = Figures::new();
    let mut add = |name: &str, (instructions, of): (u64, usize)| {
        figures.insert(name.to_owned(), instructions as f64 / of as f64);
    };
    add("login_scram", logins(&mut server, 0, Door::scram));
    add("login_plain", logins(&mut server, LOGINS + 1, Door::plain));
    add("message_tcp", messages(&mut server, 0, |herald, uid| stream(herald, Via::Tcp, uid)));
    add("message_websocket", messages(&mut server, 1, |herald, uid| stream(herald, Via::Websocket, uid)));
    add("message_bosh", messages(&mut server, 2, Page::login));
    add("presence", presences(&mut server, &watchers));
    figures
}

fn stream(herald: &Herald, via: Via, uid: &str) -> Peer {
    let mut peer = Peer::bind(herald, via, uid, "work");
    peer.send("<presence xmlns='jabber:client'/>");
    peer.fence();
    peer
}

/// Messages of some pairs, one under way in all.
fn messages<T: Talker>(server: &mut Callgrind, way: usize, login: impl Fn(&Herald, &str) -> T) -> (u64, usize) {
    let uid = |at: usize| format!("talker{}", way * 2 * PAIRS + at);
    let mut talkers: Vec<_> = (0..2 * PAIRS).map(|at| login(server.herald(), &uid(at))).collect();
    let mut talk = |messages: usize| {
        for at in 0..messages {
            // To and fro: who has heard something answers.
            let (from, to) = (at % (2 * PAIRS), (at % (2 * PAIRS)) ^ 1);
            let body = format!("{LINE} {at}");
            talkers[from].message(&format!("{}@localhost", uid(to)), &body);
            talkers[to].expect_body(&body);
        }
    };
    talk(WARM);
    server.count();
    talk(MESSAGES);
    (server.count(), MESSAGES)
}

/// One user's presence, as it comes to many who are there.
fn presences(server: &mut Callgrind, watchers: &[String]) -> (u64, usize) {
    let mut star = available(server.herald(), "star");
    let mut watchers: Vec<_> = watchers.iter().map(|uid| available(server.herald(), uid)).collect();
    let mut change = |changes: usize| {
        for at in 0..changes {
            let shown = format!("<status>change {at}</status></presence>");
            star.send(&format!("<presence><show>away</show>{shown}"));
            star.expect(&shown);
            for watcher in &mut watchers {
                watcher.expect(&shown);
            }
        }
    };
    change(CHANGES / 10);
    server.count();
    change(CHANGES);
    (server.count(), CHANGES * WATCHERS)
}

/// Users who come for the first time, and stay.
fn logins(server: &mut Callgrind, first: usize, login: fn(&mut Door, &str, &str) -> Verdict) -> (u64, usize) {
    let come = |server: &Callgrind, at: usize| enter(server.herald(), &format!("newcomer{}", first + at), login);
    let _warm = come(server, 0);
    server.count();
    let _here: Vec<_> = (1..=LOGINS).map(|at| come(server, at)).collect();
    (server.count(), LOGINS)
}

fn available(herald: &Herald, uid: &str) -> Client {
    enter(herald, uid, Door::scram)
}

fn enter(herald: &Herald, uid: &str, login: fn(&mut Door, &str, &str) -> Verdict) -> Client {
    let mut door = Door::of(herald);
    assert_eq!(login(&mut door, uid, seed::PASSWORD), Verdict::In, "{uid}");
    let mut client = door.client;
    client.open();
    client.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    client.expect("</iq>");
    client.send("<presence/><iq type='get' id='there'><ping xmlns='urn:xmpp:ping'/></iq>");
    client.expect("'there'");
    client
}
