//! Who plays: a page (alice, over BOSH), a contact who sees whether she is online (bob, over TCP), and
//! the server, which tests of the same configuration share while there is one.

use crate::support::client::Client;
use crate::support::{Answer as ApiAnswer, Herald};
use crate::wire::{Answer, Conn, ERROR, messages};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The settings of section 4: wait=10 hold=1 inactivity=5 maxpause=20 polling=2.
pub const HARNESS: &str = "[bosh]\nwait_max_secs = 10\ninactivity_secs = 5\nmaxpause_secs = 20\npolling_secs = 2\n";

/// Five times as fast, but for the wait.
pub const FAST: &str = "[bosh]\nwait_max_secs = 10\ninactivity_secs = 1\nmaxpause_secs = 4\npolling_secs = 1\n";

/// How often a page that polls may come.
const POLLING: Duration = Duration::from_millis(1_100);

/// What a page asks for when its session is made.
pub const CREATION: &str = "wait='60' hold='1' ver='1.6' xml:lang='en' xmpp:version='1.0' \
                            xmlns:xmpp='urn:xmpp:xbosh'";

pub const PASSWORD: &str = "secret";

/// A server; the tests that use it at the same time share it.
#[derive(Clone)]
pub struct Server(Arc<Mutex<Herald>>);

impl Server {
    /// One with this configuration.
    pub fn shared(toml: &'static str) -> Server {
        static RUNNING: Mutex<BTreeMap<&str, Weak<Mutex<Herald>>>> = Mutex::new(BTreeMap::new());
        let mut running = RUNNING.lock();
        if let Some(herald) = running.get(toml).and_then(Weak::upgrade) {
            return Server(herald);
        }
        let Server(herald) = Server::alone(toml);
        running.insert(toml, Arc::downgrade(&herald));
        Server(herald)
    }

    /// One of its own.
    pub fn alone(toml: &str) -> Server {
        Server(Arc::new(Mutex::new(Herald::start_with(toml))))
    }

    pub fn herald(&self) -> MutexGuard<'_, Herald> {
        self.0.lock()
    }

    pub fn api(&self, method: &str, path: &str, body: Value) -> ApiAnswer {
        self.herald().api(method, path, Some(body))
    }

    /// A new account.
    pub fn user(&self, name: &str) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let uid = format!("{name}{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let made = self.api("POST", "/api/v1/users", json!({ "uid": uid, "password": PASSWORD }));
        assert_eq!(made.status, 201, "{}", made.text);
        uid
    }

    /// Somebody over TCP, who is online.
    pub fn tcp(&self, uid: &str, resource: &str) -> Client {
        Client::login(&self.herald(), uid, PASSWORD, resource)
    }

    /// An operator's push; it has been acknowledged when this returns.
    pub fn push(&self, uid: &str, text: &str) -> Value {
        let said = self.api("POST", "/api/v1/sendto", json!({ "to": uid, "body": text }));
        assert_eq!(said.status, 200, "{}", said.text);
        said.json["results"][0].clone()
    }

    /// Ends what somebody has open.
    pub fn kick(&self, uid: &str) {
        let said = self.api("POST", "/api/v1/kick", json!({ "uid": uid, "reason": "enough" }));
        assert_eq!(said.status, 200, "{}", said.text);
    }
}

/// A BOSH session. Its requests have numbers as in the table: R+1 is the first one a test makes.
pub struct Page {
    pub server: Server,
    pub sid: String,
    pub r: u64,
    /// Nothing is held of it.
    pub polls: bool,
}

/// One request on a connection of its own, and its answer to come.
pub struct Post(pub Conn);

impl Page {
    /// Makes a session; R is the creation request.
    pub fn create(server: &Server, attrs: &str) -> (Page, Answer) {
        let (page, answer) = Page::try_create(server, attrs, "");
        let page = page.unwrap_or_else(|| panic!("no session: {}", answer.body));
        (page, answer)
    }

    /// Asks for a session.
    pub fn try_create(server: &Server, attrs: &str, payload: &str) -> (Option<Page>, Answer) {
        let r = 1_573_741_820;
        let answer = post(server, &creation(r, &format!("to='localhost' {attrs}"), payload)).answer();
        let polls = ["wait", "hold"].iter().any(|name| answer.attr(name).as_deref() == Some("0"));
        let page = answer.attr("sid").map(|sid| Page { server: server.clone(), sid, r, polls });
        (page, answer)
    }

    /// Logs in and binds; the numbers begin anew.
    pub fn login(&mut self, uid: &str) {
        self.login_as(uid, "page");
    }

    /// Logs in and binds this resource.
    pub fn login_as(&mut self, uid: &str, resource: &str) {
        self.talk("", &auth(uid), "<success");
        self.talk(RESTART, "", "<bind ");
        let bind = format!(
            "<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        );
        self.talk("", &bind, &format!("<jid>{uid}@localhost/{resource}</jid>"));
    }

    /// Says this and asks on until the server has said that; the numbers begin anew.
    pub fn talk(&mut self, attrs: &str, payload: &str, wanted: &str) -> String {
        let mut said = self.say_with(1, attrs, payload).answer().body;
        self.r += 1;
        while !said.contains(wanted) {
            assert!(!said.contains("type='terminate'"), "waited for {wanted}, got {said}");
            if self.polls {
                Conn::open(&self.server).stays_silent(POLLING); // as a client that polls has to
            }
            said += &self.ask(1).answer().body;
            self.r += 1;
        }
        said
    }

    /// Says this and reads everything that the server has to say to it; the numbers begin anew.
    pub fn settle(&mut self, payload: &str) -> String {
        let id = format!("id='settled{}'", self.r);
        let ask = format!("{payload}<iq type='get' {id} xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.talk("", &ask, &id)
    }

    /// The body of request R+n.
    pub fn body(&self, n: u64, attrs: &str, payload: &str) -> String {
        let (sid, rid) = (&self.sid, self.r + n);
        let space = if attrs.is_empty() { "" } else { " " };
        format!(
            "<body xmlns='http://jabber.org/protocol/httpbind' sid='{sid}' rid='{rid}'{space}{attrs}>{payload}</body>"
        )
    }

    /// Sends R+n on a connection of its own.
    pub fn say(&self, n: u64, payload: &str) -> Post {
        self.say_with(n, "", payload)
    }

    /// Sends R+n with nothing in it.
    pub fn ask(&self, n: u64) -> Post {
        self.say(n, "")
    }

    /// Sends R+n with more attributes.
    pub fn say_with(&self, n: u64, attrs: &str, payload: &str) -> Post {
        post(&self.server, &self.body(n, attrs, payload))
    }

    /// The session lives: R+n, a question, is answered. Nothing may be held when it comes.
    #[track_caller]
    pub fn is_alive(&self, n: u64) {
        self.say(n, PING).answer().says("id='ping'").says("type='result'");
    }
}

/// Asks for a new stream after a login.
pub const RESTART: &str = "xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh' to='localhost'";

/// A question that the server answers at once.
pub const PING: &str = "<iq type='get' id='ping' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>";

impl Post {
    /// Waits for it.
    pub fn answer(mut self) -> Answer {
        self.0.answer()
    }

    /// Of two copies of a request, the one that the other one (whichever came first) gave way to.
    pub fn latest_of(mut posts: [Post; 2]) -> Post {
        let gave_way = |post: &mut Post| post.0.comes_within(Duration::from_millis(10));
        let older = loop {
            if let Some(at) = posts.iter_mut().position(gave_way) {
                break at;
            }
        };
        let [first, second] = posts;
        let (older, newer) = if older == 0 { (first, second) } else { (second, first) };
        older.answer().is(ERROR);
        newer
    }
}

/// One POST on a connection of its own.
pub fn post(server: &Server, body: &str) -> Post {
    let mut conn = Conn::open(server);
    conn.post(body);
    Post(conn)
}

/// SASL PLAIN.
pub fn auth(uid: &str) -> String {
    let plain = BASE64_STANDARD.encode(format!("\0{uid}\0{PASSWORD}"));
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>")
}

/// The body of a request that is to make a session.
pub fn creation(rid: u64, attrs: &str, payload: &str) -> String {
    format!("<body xmlns='http://jabber.org/protocol/httpbind' rid='{rid}' {attrs}>{payload}</body>")
}

/// A page whose user is online, and a contact of hers.
pub struct Scene {
    pub server: Server,
    pub page: Page,
    pub bob: Client,
    /// Uids.
    pub alice: String,
    pub bob_uid: String,
}

impl Scene {
    /// With the settings of section 4.
    pub fn new() -> Scene {
        Scene::of(Server::shared(HARNESS), CREATION)
    }

    /// A session with these attributes at its creation.
    pub fn with(attrs: &str) -> Scene {
        Scene::of(Server::shared(HARNESS), attrs)
    }

    /// Logged in, online, seen by bob, with nothing open and nothing on its way.
    pub fn of(server: Server, attrs: &str) -> Scene {
        let (alice, bob_uid) = (server.user("alice"), server.user("bob"));
        let mut bob = server.tcp(&bob_uid, "desk");
        bob.send(&format!("<presence type='subscribe' to='{alice}@localhost'/>"));
        let (mut page, _) = Page::create(&server, attrs);
        page.login(&alice);
        let mut said = page.settle("<presence xmlns='jabber:client'/>");
        while !said.contains("'subscribe'") {
            said = page.settle("");
        }
        page.settle(&format!("<presence xmlns='jabber:client' type='subscribed' to='{bob_uid}@localhost'/>"));
        bob.expect(&format!("from='{alice}@localhost/page'"));
        Scene { server, page, bob, alice, bob_uid }
    }

    /// What alice says to bob.
    pub fn to_bob(&self, text: &str) -> String {
        let bob = &self.bob_uid;
        format!("<message xmlns='jabber:client' to='{bob}@localhost' type='chat'><body>{text}</body></message>")
    }

    /// Bob says something to alice.
    pub fn bob_says(&mut self, text: &str) {
        let alice = &self.alice;
        self.bob.send(&format!("<message to='{alice}@localhost' type='chat'><body>{text}</body></message>"));
    }

    /// Bob has got exactly this from alice, as R+n then shows, which must be next.
    #[track_caller]
    pub fn bob_has(&mut self, n: u64, texts: &[&str]) -> Post {
        let end = self.page.say(n, &self.to_bob("that was all"));
        let mut came = messages(&self.bob.expect("that was all</body>"));
        assert_eq!(came.pop().as_deref(), Some("that was all"));
        assert_eq!(came, texts);
        end
    }

    /// R+n, which says something, so that it is known to have come, and is held.
    pub fn held(&mut self, n: u64) -> Post {
        let text = format!("this is {n}");
        let post = self.page.say(n, &self.to_bob(&text));
        self.bob.expect(&format!("<body>{text}</body>"));
        post
    }

    /// This request is held: what bob says next comes in its answer.
    #[track_caller]
    pub fn is_held(&mut self, held: Post) {
        self.bob_says("are you there?");
        held.answer().says("are you there?");
    }

    /// "Session gone": R+n does not find it, and bob sees that alice is offline.
    #[track_caller]
    pub fn is_gone(&mut self, n: u64) {
        self.page.ask(n).answer().terminates("item-not-found");
        self.bob_sees_her_go();
    }

    #[track_caller]
    pub fn bob_sees_her_go(&mut self) {
        let alice = &self.alice;
        let gone = self.bob.expect("type='unavailable'");
        assert!(gone.contains(&format!("from='{alice}@localhost/page'")), "{gone}");
    }

    /// What was kept for alice, as her next connection gets it.
    pub fn kept(&self) -> Vec<String> {
        let mut later = Client::bind(&self.server.herald(), &self.alice, PASSWORD, "later");
        later.send("<presence/><message type='chat'><body>that was all</body></message>");
        let mut kept = messages(&later.expect("that was all</body>"));
        kept.pop();
        kept
    }
}
