//! Followers, events and messages with an answer, with real actors over a store.

use herald_actor::{ManualClock, System};
use herald_session::hooks::{At, Flow, Module, Modules, Offline, Points, Stage};
use herald_session::{
    Close, Delivery, Event, Keep, Link, LinkInfo, Observer, Push, Receipt, Seat, SendtoState, Sessions, Settings,
    Terms, Transport,
};
use herald_storage::{Memory, Put, Slice, Store};
use herald_xmpp::sasl::Credentials;
use herald_xmpp::xml::Scope;
use herald_xmpp::{BareJid, Kind, MessageType, Resource, Stanza, StanzaError, stanza::Condition};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

const DOMAIN: &str = "house.example";

struct Wire(mpsc::UnboundedSender<Delivery>, Transport);

impl Link for Wire {
    fn deliver(&self, delivery: Delivery) -> Result<(), Delivery> {
        self.0.send(delivery).map_err(|e| e.0)
    }
    fn close(&self, _: Close) {}
    fn info(&self) -> LinkInfo {
        LinkInfo { transport: self.1, secure: true, peer: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }
    fn waiting(&self) -> u32 {
        0
    }
    fn taken(&self) -> Option<u32> {
        None
    }
}

/// What was told, as it came.
struct Watch(mpsc::UnboundedSender<Event>);

impl Observer for Watch {
    fn event(&self, _: i64, event: Event) {
        drop(self.0.send(event)); // the test may be over
    }
}

struct Client {
    seat: Seat,
    down: mpsc::UnboundedReceiver<Delivery>,
}

impl Client {
    async fn send(&self, xml: &str) {
        let stanza = Stanza::parse(xml, &Scope::CLIENT).expect("a test's stanza");
        self.seat.send(stanza.from(self.seat.jid().clone())).await.expect("the user is there");
    }
    /// The next message; what else comes is passed over.
    async fn message(&mut self) -> (Option<u64>, String) {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.down.recv()).await;
            let delivery = next.expect("in time").expect("the wire is whole");
            if let Some(body) = delivery.stanza.child("body", "jabber:client") {
                return (delivery.receipt.map(|Receipt(id)| id), body.text().into_owned());
            }
        }
    }
}

struct Rules;

impl Module for Rules {
    fn register(self, points: &mut Points) {
        points.offline(|_, parcel| match parcel.stanza.kind {
            Kind::Message(MessageType::Headline) => Offline::Drop,
            _ => Offline::Keep { expires_ms: None },
        });
        points.sent(Stage::Screen, |_, parcel| match parcel.to().and_then(|to| to.local()) {
            Some("eve") => Flow::Bounce(StanzaError::new(Condition::NotAcceptable)),
            Some("dan") => Flow::Drop,
            _ => Flow::Pass,
        });
        points.iq(At::Account, "boom", "x", |_, _| panic!("a feature with a mistake in it"));
    }
}

struct House {
    runtime: Runtime,
    sessions: Sessions,
    store: Arc<dyn Store>,
    events: Mutex<mpsc::UnboundedReceiver<Event>>,
    clock: ManualClock,
}

fn jid(user: &str) -> BareJid {
    BareJid::new(Some(user), DOMAIN).unwrap()
}

impl House {
    fn new(users: &[&str]) -> House {
        let store: Arc<dyn Store> = Arc::new(Memory::default());
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
        let clock = ManualClock::new();
        let system = System::with_clock(runtime.handle(), 2, clock.clock());
        let sessions = {
            let _inside = runtime.enter();
            let modules = Modules::builder().add(Rules).build();
            Sessions::new(system, store.clone(), modules, Settings::new(DOMAIN), Arc::new(clock.clock()))
        };
        let (told, events) = mpsc::unbounded_channel();
        sessions.observe(Arc::new(Watch(told)));
        let keys = Credentials::derive("secret", [7; 16], 1).unwrap();
        for user in users {
            herald_storage::wait(|then| store.put_account(&jid(user), keys.clone(), Put::Create, then)).unwrap();
        }
        House { runtime, sessions, store, events: Mutex::new(events), clock }
    }

    async fn login(&self, user: &str, resource: &str, transport: Transport) -> Client {
        let (out, down) = mpsc::unbounded_channel();
        let resource = Resource::new(resource).unwrap();
        let seat = self.sessions.bind(jid(user), Some(resource), Arc::new(Wire(out, transport))).await.expect("bound");
        let client = Client { seat, down };
        client.send("<presence/>").await;
        client
    }

    /// All that is told until this one, and this one.
    async fn told_until(&self, last: &Event) -> Vec<Event> {
        let mut told = Vec::new();
        while told.last() != Some(last) {
            let next = std::future::poll_fn(|cx| self.events.lock().unwrap().poll_recv(cx));
            told.push(tokio::time::timeout(Duration::from_secs(20), next).await.expect("in time").expect("open"));
        }
        told
    }
}

fn push(body: &str, terms: Terms) -> Push {
    let xml = format!("<message type='chat'><body>{body}</body></message>");
    Push { stanza: Stanza::parse(&xml, &Scope::CLIENT).unwrap(), terms }
}

#[test]
fn a_users_message_with_an_answer() {
    let house = House::new(&["ann", "bob", "cat"]);
    house.runtime.block_on(async {
        let ann = house.login("ann", "a", Transport::Herald).await;
        let mut bob = house.login("bob", "b", Transport::Herald).await;
        let mut desk = house.login("bob", "desk", Transport::Tcp).await;
        bob.send("<message type='chat' to='bob@house.example/b'><body>settled</body></message>").await;
        assert_eq!(bob.message().await, (Some(1), "settled".into()));
        let to = ["bob", "cat@house.example", "eve", "dan", "nobody", "bob@house.example/desk", "house.example", "x@y"];
        let said = house.sessions.send_as(&ann.seat, to.map(Into::into).into(), push("hi", Terms::default())).await;
        let said: Vec<_> = said.iter().map(|r| (r.uid.as_str(), r.state, r.sessions, r.id)).collect();
        assert_eq!(
            said,
            [
                ("bob", SendtoState::Delivered, 2, Some(2)),
                ("cat@house.example", SendtoState::Stored, 0, Some(1)),
                ("eve", SendtoState::Refused, 0, None),
                ("dan", SendtoState::Dropped, 0, None),
                ("nobody", SendtoState::NoSuchUser, 0, None),
                ("bob@house.example/desk", SendtoState::Delivered, 2, Some(3)), // and who follows
                ("house.example", SendtoState::NoSuchUser, 0, None),
                ("x@y", SendtoState::NoSuchUser, 0, None),
            ]
        );
        assert_eq!((bob.message().await, bob.message().await), ((Some(2), "hi".into()), (Some(3), "hi".into())));
        assert_eq!((desk.message().await.0, desk.message().await.0), (Some(2), Some(3)));
        // it is from her, whatever it says; said again under the same name it is there once
        let once = || Terms { once: Some("ref:ann:1".into()), ..Terms::default() };
        let mut forged = push("once", once());
        forged.stanza.from = Some(jid("cat").into());
        let first = &house.sessions.send_as(&ann.seat, vec!["cat".into()], forged).await[0];
        let second = &house.sessions.send_as(&ann.seat, vec!["cat".into()], push("once", once())).await[0];
        assert_eq!((first.id, second.id, first.repeated, second.repeated), (Some(2), Some(2), false, true));
        let kept = herald_storage::wait(|then| house.store.pending(&jid("cat"), 0, 9, 9_999, then)).unwrap();
        assert_eq!(kept.len(), 2);
        let stanza = String::from_utf8_lossy(&kept[1].stanza).into_owned();
        assert!(stanza.contains("from='ann@house.example/a'"), "{stanza}");
        let iq = Push { stanza: Stanza::parse("<iq type='get' id='1'/>", &Scope::CLIENT).unwrap(), terms: once() };
        assert_eq!(house.sessions.send_as(&ann.seat, vec!["bob".into()], iq).await[0].state, SendtoState::Invalid);
    });
}

#[test]
fn an_actor_that_breaks_is_told_of_like_one_that_is_left() {
    let house = House::new(&["bob"]);
    house.runtime.block_on(async {
        let page = house.login("bob", "page", Transport::Comet).await;
        let link = Wire(mpsc::unbounded_channel().0, Transport::Comet).info();
        let jid_of_page = page.seat.jid().clone();
        page.send("<iq type='get' id='1'><boom xmlns='x'/></iq>").await;
        let down = Event::SessionDown { jid: jid_of_page.clone(), link };
        let offline = Event::Offline { user: jid("bob") };
        let told = house.told_until(&down).await;
        let presence = |available: bool| Event::Presence {
            from: jid_of_page.clone(),
            available,
            priority: available.then_some(0),
            show: None,
            status: None,
        };
        assert_eq!(
            told,
            [
                Event::SessionUp { jid: jid_of_page.clone(), link },
                Event::Online { user: jid("bob") },
                presence(true),
                presence(false),
                offline.clone(),
                down,
            ]
        );
        // its driver gives up its seat; the next is told of anew, and the time is kept
        drop(page);
        let mut login = std::pin::pin!(house.login("bob", "page", Transport::Comet));
        let page = loop {
            // The pause before a restart. It may begin only now: then the time has to pass once more.
            house.clock.advance(Duration::from_secs(1));
            if let Ok(page) = tokio::time::timeout(Duration::from_millis(250), &mut login).await {
                break page;
            }
        };
        let told = house.told_until(&presence(true)).await;
        assert!(matches!(told[..], [Event::SessionUp { .. }, Event::Online { .. }, _]), "{told:?}");
        let there = house.sessions.presence(&["bob".into()]).await;
        assert!(there[0].since_ms.is_some());
        drop(page);
        house.told_until(&offline).await;
        let seen = herald_storage::wait(|then| house.store.last_seen(vec![jid("bob")], then)).unwrap();
        assert!(seen[0].is_some());
        assert_eq!(house.sessions.presence(&["bob".into()]).await[0].since_ms, None);
    });
}

/// The numbers on the wire are those in the store; what a client has said to have read is not pending.
#[test]
fn a_follower_and_the_store_agree() {
    let house = House::new(&["bob"]);
    house.runtime.block_on(async {
        let mut page = house.login("bob", "page", Transport::Stomp).await;
        for n in 1..=200_u64 {
            let said = house.sessions.sendto(vec!["bob".into()], push(&n.to_string(), Terms::keep(Keep::Always))).await;
            assert_eq!((said[0].state, said[0].id), (SendtoState::Delivered, Some(n)));
            assert_eq!(page.message().await, (Some(n), n.to_string()));
            page.seat.read_to(n);
        }
        let bob = jid("bob");
        let log =
            herald_storage::wait(|then| house.store.history(&bob, Slice::after(0, 1_000, 1 << 20), then)).unwrap();
        assert!(log.items.iter().map(|kept| kept.id).eq(1..=200) && log.last == 200);
        page.seat.unbind(Vec::new());
        assert!(house.sessions.sessions_of(&bob).await.is_empty()); // behind all that came before
        let pending = herald_storage::wait(|then| house.store.pending_count(&bob, then)).unwrap();
        assert_eq!(pending, 0);
        let delivered: Vec<Event> = house.told_until(&Event::Offline { user: bob }).await;
        let ids = delivered.iter().filter_map(|e| if let Event::Delivered { id, .. } = e { Some(*id) } else { None });
        assert!(ids.eq(1..=200), "each once, in order");
    });
}
