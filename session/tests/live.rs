//! Users as real actors, over a store: what a driver, a backend and an operator see.

use herald_actor::{ManualClock, System};
use herald_session::hooks::{At, Module, Modules, Offline, Points};
use herald_session::{
    Close, Delivery, Link, LinkInfo, Push, Receipt, Seat, SendtoState, Sessions, Settings, Stats, Terms, Transport,
};
use herald_storage::{Memory, Put, Sqlite, Store};
use herald_xmpp::sasl::Credentials;
use herald_xmpp::xml::Scope;
use herald_xmpp::{BareJid, FullJid, Resource, Stanza};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::mpsc;

const DOMAIN: &str = "house.example";

/// One wire: what it is handed comes out at the other end.
struct Wire {
    out: mpsc::UnboundedSender<Down>,
    /// Deliveries wait here once, when a test holds the other end.
    gate: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
}

enum Down {
    Stanza(Delivery),
    Close(Close),
}

impl Link for Wire {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        if let Some(gate) = self.gate.lock().unwrap().take() {
            // the other tasks of this thread go on elsewhere
            let _ = tokio::task::block_in_place(|| gate.recv_timeout(Duration::from_secs(20)));
        }
        self.out.send(Down::Stanza(delivery)).map_err(|mpsc::error::SendError(down)| match down {
            Down::Stanza(delivery) => delivery,
            Down::Close(_) => unreachable!("a stanza was sent"),
        })
    }
    fn close(&self, why: Close) {
        drop(self.out.send(Down::Close(why))); // the driver may be gone
    }
    fn waiting(&self) -> u32 {
        0
    }
    fn taken(&self) -> Option<u32> {
        None
    }
    fn info(&self) -> LinkInfo {
        LinkInfo { transport: Transport::Bosh, secure: true, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }
}

/// A client with its driver's end of the wire.
struct Client {
    seat: Seat,
    wire: Arc<Wire>,
    down: mpsc::UnboundedReceiver<Down>,
}

impl Client {
    async fn send(&self, xml: &str) {
        let stanza = Stanza::parse(xml, &Scope::CLIENT).expect("a test's stanza");
        self.seat.send(stanza.from(self.seat.jid().clone())).await.expect("the user is there");
    }
    async fn next(&mut self) -> Down {
        let next = tokio::time::timeout(Duration::from_secs(20), self.down.recv()).await;
        next.expect("in time").expect("the wire is whole")
    }
    async fn delivery(&mut self) -> Delivery {
        match self.next().await {
            Down::Stanza(delivery) => delivery,
            Down::Close(why) => panic!("closed: {why:?}"),
        }
    }
    async fn xml(&mut self) -> String {
        let delivery = self.delivery().await;
        let mut out = Vec::new();
        delivery.stanza.write(delivery.to.as_ref(), false, &mut out);
        String::from_utf8(out).unwrap()
    }
    /// The next message; what else comes is passed over.
    async fn message(&mut self) -> (String, Option<Receipt>) {
        loop {
            let delivery = self.delivery().await;
            if let Some(body) = delivery.stanza.child("body", "jabber:client") {
                return (body.text().into_owned(), delivery.receipt);
            }
        }
    }
    async fn closed(&mut self) -> Close {
        loop {
            if let Down::Close(why) = self.next().await {
                return why;
            }
        }
    }
    /// All that is on the wire now.
    fn rest(&mut self) -> Vec<Delivery> {
        std::iter::from_fn(|| self.down.try_recv().ok())
            .filter_map(|down| match down {
                Down::Stanza(delivery) => Some(delivery),
                Down::Close(_) => None,
            })
            .collect()
    }
    /// The connection breaks; the driver gives back what is on the wire.
    fn kill(mut self) {
        let undelivered = self.rest();
        self.seat.unbind(undelivered);
    }
    /// Comes back when everything sent before has been handled by this user's own actor.
    async fn settle(&mut self) -> Vec<String> {
        self.send("<iq type='get' id='settle'><settle xmlns='x'/></iq>").await;
        let mut before = Vec::new();
        loop {
            let xml = self.xml().await;
            if xml.contains("id='settle'") {
                return before;
            }
            before.push(xml);
        }
    }
}

struct TestModule;

impl Module for TestModule {
    fn register(self, points: &mut Points) {
        points.offline(|_, _| Offline::Keep { expires_ms: None });
        points.iq(At::Account, "boom", "x", |_, _| panic!("a feature with a mistake in it"));
    }
}

struct House {
    runtime: Runtime,
    sessions: Sessions,
    store: Arc<dyn Store>,
    clock: ManualClock,
}

impl House {
    fn new(users: &[&str]) -> House {
        House::over(Arc::new(Memory::default()), users)
    }

    fn over(store: Arc<dyn Store>, users: &[&str]) -> House {
        let runtime = Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap();
        let clock = ManualClock::new();
        let system = System::with_clock(runtime.handle(), 2, clock.clock());
        let sessions = {
            let _inside = runtime.enter();
            let modules = Modules::builder().add(TestModule).build();
            Sessions::new(system, store.clone(), modules, Settings::new(DOMAIN), Arc::new(clock.clock()))
        };
        let keys = Credentials::derive("secret", [7; 16], 1).unwrap();
        for user in users {
            herald_storage::wait(|then| store.put_account(&jid(user), keys.clone(), Put::Create, then)).unwrap();
        }
        House { runtime, sessions, store, clock }
    }

    async fn bind(&self, user: &str, resource: &str) -> Client {
        let (out, down) = mpsc::unbounded_channel();
        let wire = Arc::new(Wire { out, gate: Mutex::new(None) });
        let resource = Resource::new(resource).unwrap();
        let seat = self.sessions.bind(jid(user), Some(resource), wire.clone()).await.expect("bound");
        Client { seat, wire, down }
    }

    async fn login(&self, user: &str, resource: &str) -> Client {
        let mut client = self.bind(user, resource).await;
        client.send("<presence/>").await;
        client.settle().await;
        client
    }

    fn push(text: &str) -> Push {
        let xml = format!("<message><body>{text}</body></message>");
        Push { stanza: Stanza::parse(&xml, &Scope::CLIENT).unwrap(), terms: Terms::default() }
    }

    fn kept(&self, user: &str) -> u64 {
        herald_storage::wait(|then| self.store.pending_count(&jid(user), then)).unwrap()
    }
}

fn jid(user: &str) -> BareJid {
    BareJid::new(Some(user), DOMAIN).unwrap()
}

#[test]
fn two_subscribe_see_each_other_and_talk() {
    let house = House::new(&["ann", "bob"]);
    house.runtime.block_on(async {
        let (mut ann, mut bob) = (house.login("ann", "a").await, house.login("bob", "b").await);
        ann.send("<presence type='subscribe' to='bob@house.example'/>").await;
        assert_eq!(bob.xml().await, "<presence from='ann@house.example' to='bob@house.example/b' type='subscribe'/>");
        bob.send("<presence type='subscribed' to='ann@house.example'/>").await;
        assert_eq!(ann.xml().await, "<presence from='bob@house.example/b' to='ann@house.example'/>");
        bob.send("<presence type='subscribe' to='ann@house.example'/>").await;
        assert_eq!(ann.xml().await, "<presence from='bob@house.example' to='ann@house.example/a' type='subscribe'/>");
        ann.send("<presence type='subscribed' to='bob@house.example'/>").await;
        assert_eq!(bob.xml().await, "<presence from='ann@house.example/a' to='bob@house.example'/>");

        // a thousand each way, at once
        let talk = |from: &'static str, to: &'static str| {
            move |n: u32| format!("<message type='chat' to='{to}@house.example'><body>{from} {n}</body></message>")
        };
        let (to_bob, to_ann) = (talk("ann", "bob"), talk("bob", "ann"));
        let sending = async {
            for n in 0..1_000 {
                tokio::join!(async { ann.seat.send(stamped(&ann, &to_bob(n))).await.unwrap() }, async {
                    bob.seat.send(stamped(&bob, &to_ann(n))).await.unwrap()
                });
            }
        };
        sending.await;
        for n in 0..1_000 {
            assert_eq!(ann.message().await, (format!("bob {n}"), None));
            assert_eq!(bob.message().await, (format!("ann {n}"), None));
        }

        // killed: seen once; back: seen again
        drop(bob.seat);
        assert_eq!(ann.xml().await, "<presence from='bob@house.example/b' to='ann@house.example' type='unavailable'/>");
        let mut bob = house.bind("bob", "b2").await;
        bob.send("<presence/>").await;
        assert_eq!(ann.xml().await, "<presence from='bob@house.example/b2' to='ann@house.example'/>");
        bob.xml().await; // his own
        assert_eq!(bob.xml().await, "<presence from='ann@house.example/a' to='bob@house.example/b2'/>");
    });
}

fn stamped(client: &Client, xml: &str) -> Stanza {
    Stanza::parse(xml, &Scope::CLIENT).unwrap().from(client.seat.jid().clone())
}

#[test]
fn sendto_reaches_all_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path(), Default::default()).unwrap();
    let house = House::over(store, &["ann", "bob"]);
    house.runtime.block_on(async {
        let (mut one, mut two) = (house.login("ann", "1").await, house.login("ann", "2").await);
        let to = ["ann", "bob@house.example", "nobody", "a b", "x@elsewhere.example"].map(Into::into);
        let got = house.sessions.sendto(to.to_vec(), House::push("hear")).await;
        let states: Vec<_> = got.iter().map(|r| (r.uid.as_str(), r.state, r.sessions, r.id)).collect();
        assert_eq!(
            states,
            [
                ("ann", SendtoState::Delivered, 2, None),
                ("bob@house.example", SendtoState::Stored, 0, Some(1)),
                ("nobody", SendtoState::NoSuchUser, 0, None),
                ("a b", SendtoState::NoSuchUser, 0, None),
                ("x@elsewhere.example", SendtoState::NoSuchUser, 0, None),
            ]
        );
        for client in [&mut one, &mut two] {
            assert_eq!(client.message().await.0, "hear");
        }
        assert_eq!(house.kept("bob"), 1, "stored before it was said");
        // he comes, does not acknowledge, goes, comes again, acknowledges
        let mut bob = house.login_keeping("bob", "b").await;
        assert_eq!(bob.message().await, ("hear".into(), Some(Receipt(1))));
        bob.kill();
        let mut bob = house.login_keeping("bob", "b").await;
        let (_, receipt) = bob.message().await;
        bob.seat.acked(receipt.unwrap());
        bob.settle().await;
        bob.kill();
        let mut bob = house.login_keeping("bob", "b").await;
        assert_eq!(bob.settle().await.iter().filter(|x| x.contains("<body>")).count(), 0);
        let marked = async {
            while house.kept("bob") > 0 {
                tokio::task::yield_now().await; // it is marked behind the acknowledgement, at leisure
            }
        };
        tokio::time::timeout(Duration::from_secs(20), marked).await.expect("marked as delivered");
        let iq =
            Push { stanza: Stanza::parse("<iq type='get' id='1'/>", &Scope::CLIENT).unwrap(), terms: Terms::default() };
        assert_eq!(house.sessions.sendto(vec!["ann".into()], iq).await[0].state, SendtoState::Invalid);
    });
}

impl House {
    async fn login_keeping(&self, user: &str, resource: &str) -> Client {
        let client = self.bind(user, resource).await;
        client.send("<presence/>").await;
        client
    }
}

#[test]
fn a_full_mailbox_sends_back_and_loses_nothing() {
    let house = House::new(&["ann", "bob", "cat"]);
    house.runtime.block_on(async {
        let (mut ann, mut bob, cat) =
            (house.login("ann", "a").await, house.login("bob", "b").await, house.login("cat", "c").await);
        let (open, gate) = std::sync::mpsc::channel();
        *bob.wire.gate.lock().unwrap() = Some(gate);
        // bob's actor stands still in the delivery of the first one
        let long = "x".repeat(100_000);
        const SENT: usize = 40;
        for n in 0..SENT {
            ann.send(&format!(
                "<message type='chat' id='{n}' to='bob@house.example'><body>{n} {long}</body></message>"
            ))
            .await;
        }
        let back: Vec<String> = ann.settle().await;
        assert!(!back.is_empty() && back.len() < SENT, "{} came back", back.len());
        assert!(back.iter().all(|x| x.contains("<resource-constraint") && x.contains("from='bob@house.example'")));
        assert_eq!(house.sessions.stats().bounced, back.len() as u64);
        // a backend is told, and others are served
        assert_eq!(house.sessions.sendto(vec!["bob".into()], House::push(&long)).await[0].state, SendtoState::Full);
        cat.send("<message type='chat' to='ann@house.example'><body>hi</body></message>").await;
        assert_eq!(ann.message().await.0, "hi");
        open.send(()).unwrap();
        let mut got = Vec::new();
        for _ in back.len()..SENT {
            let (body, _) = bob.message().await;
            got.push(body.split(' ').next().unwrap().parse::<usize>().unwrap());
        }
        assert!(got.is_sorted(), "{got:?}");
        let mut all = got;
        for error in &back {
            all.push(error.split("id='").nth(1).unwrap().split('\'').next().unwrap().parse().unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..SENT).collect::<Vec<_>>(), "each was delivered or sent back");
    });
}

#[test]
fn a_user_that_breaks_takes_nobody_along() {
    let house = House::new(&["ann", "bob", "cat"]);
    house.runtime.block_on(async {
        let (mut ann, mut bob, mut cat) =
            (house.login("ann", "a").await, house.login("bob", "b").await, house.login("cat", "c").await);
        for (from, say, to) in [(&ann, "subscribe", "bob"), (&bob, "subscribed", "ann")] {
            from.send(&format!("<presence type='{say}' to='{to}@house.example'/>")).await;
            if say == "subscribe" {
                bob_was_asked(&house, &mut cat).await;
            }
        }
        while ann.xml().await != "<presence from='bob@house.example/b' to='ann@house.example'/>" {}

        ann.send("<message type='chat' to='bob@house.example/b'><body>before</body></message>").await;
        assert_eq!(bob.message().await.0, "before");
        bob.send("<iq type='get' id='1'><boom xmlns='x'/></iq>").await;
        assert_eq!(bob.closed().await, Close::Internal);
        assert_eq!(ann.xml().await, "<presence from='bob@house.example/b' to='ann@house.example' type='unavailable'/>");
        bob.kill();
        house.clock.advance(Duration::from_secs(1)); // the pause before a restart
        // from the store: the subscription stands, and a message finds its way
        ann.send("<message type='chat' to='bob@house.example'><body>after</body></message>").await;
        let mut login = std::pin::pin!(house.login_keeping("bob", "again"));
        let mut bob = loop {
            // The pause may have begun only now: then its time has to pass once more.
            match tokio::time::timeout(Duration::from_millis(250), &mut login).await {
                Ok(bob) => break bob,
                Err(_) => house.clock.advance(Duration::from_secs(1)),
            }
        };
        assert_eq!(bob.message().await.0, "after");
        assert_eq!(ann.xml().await, "<presence from='bob@house.example/again' to='ann@house.example'/>");
        assert_eq!(cat.settle().await, [""; 0]);
        assert_eq!(house.sessions.stats().panics, 1);
    });
}

/// A message through bob's actor and back: what was sent to it before is handled.
async fn bob_was_asked(house: &House, by: &mut Client) {
    by.send("<iq type='get' id='q' to='bob@house.example'><what xmlns='x'/></iq>").await;
    assert!(by.xml().await.contains("id='q'"));
    let _ = house;
}

#[test]
fn draining_tells_everybody_and_keeps_what_comes_back() {
    let house = House::new(&["ann", "bob"]);
    house.runtime.block_on(async {
        let ann = house.login("ann", "a").await;
        let mut bob = house.login("bob", "b").await;
        for n in 0..10 {
            ann.send(&format!("<message type='chat' to='bob@house.example'><body>{n}</body></message>")).await;
        }
        let mut first = Vec::new();
        for _ in 0..10 {
            first.push(bob.delivery().await); // on the wire, not written
        }
        let drivers: Vec<_> = [(ann, Vec::new()), (bob, first)]
            .into_iter()
            .map(|(mut client, undelivered)| {
                Handle::current().spawn(async move {
                    let why = client.closed().await;
                    client.seat.unbind(undelivered);
                    why
                })
            })
            .collect();
        assert_eq!(house.sessions.drain(Duration::from_secs(20)).await, 0);
        for driver in drivers {
            assert_eq!(driver.await.unwrap(), Close::Shutdown);
        }
        assert_eq!(house.kept("bob"), 10, "stored when the drain is over");
        let (out, _down) = mpsc::unbounded_channel();
        let late = house.sessions.bind(jid("ann"), None, Arc::new(Wire { out, gate: Mutex::new(None) })).await;
        assert_eq!(late.err().map(|e| e.condition.name()), Some("service-unavailable"));
    });
}

#[test]
fn a_drain_ends_when_its_time_is_over() {
    let house = House::new(&["ann"]);
    house.runtime.block_on(async {
        let ann = house.login("ann", "a").await; // and its driver does nothing
        assert_eq!(house.sessions.drain(Duration::from_millis(50)).await, 1);
        drop(ann);
    });
}

#[test]
fn an_operator_sees_and_ends_sessions() {
    let house = House::new(&["ann", "bob", "cat"]);
    house.runtime.block_on(async {
        let mut ann = house.bind("ann", "a").await;
        ann.send("<presence><show>away</show><status>tea</status><priority>3</priority></presence>").await;
        ann.settle().await;
        let mut quiet = house.bind("ann", "quiet").await;
        let mut bob = house.login("bob", "b").await;

        let there = house.sessions.presence(&["bob".into(), "ann".into(), "cat".into(), "nobody".into()]).await;
        let online: Vec<_> = there.iter().map(|p| (p.uid.as_str(), p.online(), p.resources.len())).collect();
        assert_eq!(online, [("bob", true, 1), ("ann", true, 2), ("cat", false, 0), ("nobody", false, 0)]);
        let first = &there[1].resources[0];
        assert_eq!(
            (first.resource.as_str(), first.priority, first.show.as_deref(), first.status.as_deref()),
            ("a", Some(3), Some("away"), Some("tea"))
        );
        let Stats { actors, sessions, binds, .. } = house.sessions.stats();
        assert_eq!((actors, sessions, binds), (2, [0, 3, 0, 0, 0, 0], 3), "asking starts no actor");

        // page by page
        let mut seen: Vec<String> = Vec::new();
        let mut after: Option<FullJid> = None;
        loop {
            let page = house.sessions.sessions(after.take(), 2).await;
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { break };
            after = Some(last.jid.clone());
            seen.extend(page.iter().map(|s| s.jid.to_string()));
        }
        assert_eq!(seen, ["ann@house.example/a", "ann@house.example/quiet", "bob@house.example/b"]);

        assert_eq!(house.sessions.kick(&jid("ann"), Some(Resource::new("quiet").unwrap()), "no").await, 1);
        assert_eq!(quiet.closed().await, Close::Kicked("no".into()));
        assert_eq!(house.sessions.kick(&jid("ann"), None, "all").await, 1);
        assert_eq!(house.sessions.kick(&jid("cat"), None, "all").await, 0);
        assert_eq!(ann.closed().await, Close::Kicked("all".into()));

        herald_storage::wait(|then| house.store.delete_account(&jid("bob"), then)).unwrap();
        house.sessions.account_deleted(&jid("bob")).await;
        assert!(matches!(bob.closed().await, Close::Kicked(_)));
        bob.kill();
        assert_eq!(house.sessions.sendto(vec!["bob".into()], House::push("x")).await[0].state, SendtoState::NoSuchUser);
    });
}

#[test]
fn a_user_without_anybody_leaves_memory_and_comes_back() {
    let house = House::new(&["ann", "bob"]);
    house.runtime.block_on(async {
        let ann = house.login("ann", "a").await;
        ann.kill();
        // its actor has handled that when it answers
        assert!(!house.sessions.presence(&["ann".into()]).await[0].online());
        assert_eq!(house.sessions.stats().actors, 1);
        house.clock.advance(Duration::from_secs(60));
        let gone = async {
            while house.sessions.stats().actors > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it stops");
        let mut ann = house.login("ann", "a").await;
        ann.send("<message type='chat' to='ann@house.example'><body>me</body></message>").await;
        assert_eq!(ann.message().await.0, "me");
    });
}

#[test]
fn a_resource_without_a_name_is_given_one() {
    let house = House::new(&["ann"]);
    house.runtime.block_on(async {
        let bind = || {
            let (out, _) = mpsc::unbounded_channel();
            house.sessions.bind(jid("ann"), None, Arc::new(Wire { out, gate: Mutex::new(None) }))
        };
        let (one, two) = (bind().await.expect("bound"), bind().await.expect("bound"));
        assert_eq!(one.jid().bare_str(), "ann@house.example");
        assert_eq!((one.jid().resource().len(), two.jid().resource().len()), (16, 16));
        assert_ne!(one.jid(), two.jid());
    });
}

#[test]
fn a_bind_that_is_given_up_leaves_nothing() {
    let house = House::new(&["ann"]);
    house.runtime.block_on(async {
        let keep = house.login("ann", "keep").await;
        for _ in 0..50 {
            let (out, _down) = mpsc::unbounded_channel();
            let bind = house.sessions.bind(jid("ann"), None, Arc::new(Wire { out, gate: Mutex::new(None) }));
            // polled once or not to its end, and dropped
            tokio::select! {
                biased;
                _ = bind => {}
                () = tokio::task::yield_now() => {}
            }
        }
        let there = house.sessions.presence(&["ann".into()]).await;
        assert_eq!(there[0].resources.len(), 1);
        assert_eq!(house.sessions.stats().sessions, [0, 1, 0, 0, 0, 0]);
        drop(keep);
    });
}
