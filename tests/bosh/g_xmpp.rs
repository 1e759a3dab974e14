//! G. XMPP over BOSH, keys, streams (XEP-0206, XEP-0124 sections 15 and 16).

use crate::scene::{CREATION, HARNESS, PASSWORD, PING, Page, RESTART, Scene, Server, auth, post};
use crate::wire::EMPTY;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn xor(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    std::array::from_fn(|i| a[i] ^ b[i])
}

/// The client's last message (RFC 5802 section 3).
fn scram_final(client_first: &str, server_first: &str) -> String {
    let part = |name| server_first.split(',').find_map(|p| p.strip_prefix(name)).expect("a part");
    let salt = BASE64_STANDARD.decode(part("s=")).expect("base64");
    let rounds: u32 = part("i=").parse().expect("a number");
    let mut u = hmac(PASSWORD.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let mut salted = u;
    for _ in 1..rounds {
        u = hmac(PASSWORD.as_bytes(), &u);
        salted = xor(salted, u);
    }
    let client_key = hmac(&salted, b"Client Key");
    let without_proof = format!("c=biws,r={}", part("r="));
    let signed = format!("{client_first},{server_first},{without_proof}");
    let stored_key: [u8; 32] = Sha256::digest(client_key).into();
    let proof = xor(client_key, hmac(&stored_key, signed.as_bytes()));
    format!("{without_proof},p={}", BASE64_STANDARD.encode(proof))
}

#[test]
fn t68_a_login_costs_no_extra_request() {
    let server = Server::shared(HARNESS);
    let alice = server.user("alice");
    let (page, creation) = Page::create(&server, CREATION);
    let creation = creation.says("SCRAM-SHA-256</mechanism>").omits("-PLUS").omits("starttls").omits("compression");
    assert!(creation.body.contains("<mechanisms"));
    let client_first = format!("n={alice},r=rOprNGfwEbeRWgbNEkqO");
    let first = BASE64_STANDARD.encode(format!("n,,{client_first}"));
    let challenge = page.say(1, &format!("<auth {SASL} mechanism='SCRAM-SHA-256'>{first}</auth>")).answer();
    let challenge = challenge.says("<challenge").body;
    let server_first = challenge.split("</challenge>").next().and_then(|c| c.rsplit('>').next()).expect("a challenge");
    let server_first = String::from_utf8(BASE64_STANDARD.decode(server_first).expect("base64")).expect("text");
    let response = BASE64_STANDARD.encode(scram_final(&client_first, &server_first));
    page.say(2, &format!("<response {SASL}>{response}</response>")).answer().says("<success");
    let features = page.say_with(3, RESTART, "").answer().says("<stream:features");
    features.says("<bind ").omits("starttls").omits("compression").omits("<mechanisms");
    let bind = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    page.say(4, bind).answer().says("id='b'").says(&format!("<jid>{alice}@localhost/"));
    let roster = "<iq xmlns='jabber:client' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
    page.say(5, roster).answer().says("id='r'").says("<query xmlns='jabber:iq:roster'");
}

#[test]
fn t69_the_payload_of_a_restart_is_ignored() {
    let mut s = Scene::new();
    let (mut page, _) = Page::create(&s.server, CREATION);
    page.talk("", &auth(&s.alice), "<success");
    page.talk(RESTART, &s.to_bob("too early"), "<bind ");
    s.bob_has(1, &[]);
}

#[test]
fn t70_a_restart_before_the_login() {
    let server = Server::shared(HARNESS);
    let (mut page, _) = Page::create(&server, CREATION);
    page.talk(RESTART, "", "<mechanisms");
    let alice = server.user("alice");
    page.talk("", &format!("<auth {SASL} mechanism='SCRAM-SHA-256'>biwsbj1hLHI9Yg==</auth>"), "<challenge");
    page.talk(RESTART, "", "<mechanisms");
    page.talk("", &auth(&alice), "<success");
    for _ in 0..2 {
        page.talk(RESTART, "", "<bind ");
    }
    let bind = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    page.talk("", bind, "<jid>");
}

#[test]
fn t71_wrong_passwords() {
    const TRIES: u64 = 5;
    let server = Server::shared(HARNESS);
    let alice = server.user("alice");
    let (page, _) = Page::create(&server, CREATION);
    let wrong = BASE64_STANDARD.encode(format!("\0{alice}\0wrong"));
    let wrong = format!("<auth {SASL} mechanism='PLAIN'>{wrong}</auth>");
    for n in 1..TRIES {
        let answer = page.say(n, &wrong).answer().says("<failure").says("<not-authorized");
        assert_eq!((answer.status, answer.attr("type")), (200, None));
    }
    let last = page.say(TRIES, &wrong).answer().says("<not-authorized");
    last.terminates("remote-stream-error").says("<stream:error><policy-violation ");
    page.ask(TRIES + 1).answer().terminates("item-not-found");
}

/// K(1) to K(n) of a sequence, the last one first.
fn keys(seed: &str, n: usize) -> Vec<String> {
    let hash = |key: &String| Sha1::digest(key.as_bytes()).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut keys: Vec<String> = std::iter::successors(Some(hash(&seed.into())), |k| Some(hash(k))).take(n).collect();
    keys.reverse();
    keys
}

/// A page that goes on with the next key of its sequence whatever it says.
struct Keyed {
    page: Page,
    keys: std::vec::IntoIter<String>,
    n: u64,
}

impl Keyed {
    fn create(server: &Server, keys: Vec<String>) -> Keyed {
        let mut keys = keys.into_iter();
        let attrs = format!("newkey='{}' {CREATION}", keys.next().expect("K(n)"));
        Keyed { page: Page::create(server, &attrs).0, keys, n: 0 }
    }

    fn key(&mut self) -> String {
        format!("key='{}'", self.keys.next().expect("a key is left"))
    }

    fn say(&mut self, attrs: &str, payload: &str) -> crate::wire::Answer {
        self.n += 1;
        self.page.say_with(self.n, attrs, payload).answer()
    }
}

#[test]
fn t72_a_sequence_of_keys() {
    let server = Server::shared(HARNESS);
    let alice = server.user("alice");
    let mut keyed = Keyed::create(&server, keys("first seed", 4));
    let key = keyed.key();
    keyed.say(&key, &auth(&alice)).says("<success");
    // The XEP compares the hash without regard to case; the key itself is what is hashed.
    let key = keyed.key();
    keyed.say(&format!("{RESTART} {key}"), "").says("<bind ");
    // The last key of this sequence, and the first of the next, in capitals.
    let mut next = keys("second seed", 4).into_iter();
    let newkey = next.next().expect("K(n)").to_uppercase();
    let last = format!("{} newkey='{newkey}'", keyed.key());
    let bind = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    keyed.say(&last, bind).says("<jid>");
    keyed.keys = next.collect::<Vec<_>>().into_iter();
    let key = keyed.key();
    keyed.say(&key, PING).says("'ping'");
}

#[test]
fn t73_keys_that_are_wrong() {
    let server = Server::shared(HARNESS);
    type Wrong = fn(&mut Keyed) -> String;
    let wrong: [Wrong; 2] = [|_| String::new(), |_| "key='0123456789012345678901234567890123456789'".into()];
    for wrong in wrong {
        let mut keyed = Keyed::create(&server, keys("seed", 4));
        let key = wrong(&mut keyed);
        keyed.say(&key, "").terminates("item-not-found");
        let key = keyed.key();
        keyed.say(&key, "").terminates("item-not-found");
    }
    // One that cannot be read shows no key: whoever sent it is told, and the session goes on.
    let mut keyed = Keyed::create(&server, keys("seed", 4));
    let large = " ".repeat(300_000);
    for (body, condition) in [("<broken", "bad-request"), (large.as_str(), "policy-violation")] {
        post(&server, &keyed.page.body(1, "", body)).answer().terminates(condition);
    }
    let key = keyed.key();
    keyed.say(&key, &auth(&server.user("alice"))).says("<success");
    // A repeated request, with another key than the first time.
    let mut keyed = Keyed::create(&server, keys("seed", 4));
    let key = keyed.key();
    let alice = server.user("alice");
    let first = keyed.say(&key, &auth(&alice)).says("<success");
    keyed.n -= 1;
    assert_eq!(keyed.say(&key, &auth(&alice)).raw, first.raw);
    keyed.n -= 1;
    keyed.say("key='0123456789012345678901234567890123456789'", "").terminates("item-not-found");
    let key = keyed.key();
    keyed.say(&key, "").terminates("item-not-found");
}

#[test]
fn t74_a_second_stream_is_an_empty_request() {
    let mut s = Scene::new();
    let held = s.page.say_with(1, "to='localhost' stream='x'", "");
    s.is_held(held);
    s.page.is_alive(2);
}

#[test]
fn t75_stanzas_without_a_namespace() {
    let mut s = Scene::new();
    let bob = s.bob_uid.clone();
    let held = s.page.say(1, &format!("<message to='{bob}@localhost' type='chat'><body>hi</body></message>"));
    s.bob.expect("<body>hi</body>");
    let alice = s.alice.clone();
    s.bob.send(&format!(
        "<message to='{alice}@localhost'><body>a</body></message><presence to='{alice}@localhost/page'/>\
         <iq to='{alice}@localhost/page' type='get' id='q'><query xmlns='urn:example'/></iq>"
    ));
    let mut said = held.answer().body;
    let mut n = 2;
    while !said.contains("<iq ") {
        said += &s.page.ask(n).answer().body;
        n += 1;
    }
    for kind in ["message", "presence", "iq"] {
        let stanza = said.split(&format!("<{kind} ")).nth(1).unwrap_or_else(|| panic!("no {kind} in {said}"));
        let start = stanza.split('>').next().unwrap_or_default();
        assert!(start.contains("xmlns='jabber:client'"), "{start}");
    }
}

/// Not offered: BOSH numbers and repeats by itself, and a terminated session must not linger.
#[test]
fn t76_stream_management_is_not_offered() {
    let server = Server::shared(HARNESS);
    let alice = server.user("alice");
    let (mut page, creation) = Page::create(&server, CREATION);
    creation.omits("urn:xmpp:sm:3");
    page.talk("", &auth(&alice), "<success");
    let features = page.talk(RESTART, "", "</stream:features>");
    assert!(!features.contains("urn:xmpp:sm:3"), "{features}");
    let answer = page.say(1, "<enable xmlns='urn:xmpp:sm:3'/>").answer().omits("<enabled");
    assert_ne!(answer.body, EMPTY, "it is told so");
}
