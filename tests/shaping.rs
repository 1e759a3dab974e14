//! Token buckets over real sockets: who is too fast is slowed, who begins too much is refused by the name that
//! each protocol has for it, and nobody else notices.

#![allow(clippy::disallowed_methods)] // it looks how long something took, generously

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use support::client::Client;
use support::websocket::{WebSocket, handshake};
use support::{Herald, PATIENCE, read_all};

/// Loopback is an address like any other here, and no proxy.
const STRICT: &str = "[shaping]\nexempt = []\ntrusted_proxies = []\n";
/// Loopback is a proxy, and its clients are limited.
const BEHIND_A_PROXY: &str = "[shaping]\nexempt = []\n";

fn server(base: &str, rules: &str) -> Herald {
    let herald = Herald::start_with(&format!("{base}{rules}"));
    for user in ["alice", "bob"] {
        herald.user(user, "secret");
    }
    herald
}

fn ping(id: usize) -> String {
    format!("<iq xmlns='jabber:client' type='get' id='p{id}'><ping xmlns='urn:xmpp:ping'/></iq>")
}

/// Pings back and forth until told to stop; the longest time that one took.
fn watch(mut bob: Client, stop: Arc<AtomicBool>) -> Duration {
    let mut worst = Duration::ZERO;
    for id in 0.. {
        let sent = Instant::now();
        bob.send(&ping(id));
        bob.expect(&format!("id='p{id}'"));
        worst = worst.max(sent.elapsed());
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    worst
}

/// Runs `flood` beside bob, who must be served as if nothing were; says how long the flood took.
fn beside_bob(herald: &Herald, flood: impl FnOnce()) -> Duration {
    let stop = Arc::new(AtomicBool::new(false));
    let bob = Client::login(herald, "bob", "secret", "watcher");
    let watching = std::thread::spawn({
        let stop = stop.clone();
        move || watch(bob, stop)
    });
    let begun = Instant::now();
    flood();
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let worst = watching.join().expect("bob was served");
    // The flood owes more than this at any time: whoever waited for it took longer.
    assert!(worst < took / 2, "bob waited {worst:?} while the flood took {took:?}");
    took
}

/// 100 stanzas at once, then 50 each second.
const FEW_STANZAS: &str = "stanzas_per_sec = 50\nstanzas_burst = 100\n";

#[test]
fn too_many_stanzas_are_slowed_and_none_is_lost_over_tcp() {
    let herald = server(STRICT, FEW_STANZAS);
    let mut alice = Client::login(&herald, "alice", "secret", "flood");
    let took = beside_bob(&herald, || {
        alice.send(&(0..500).map(ping).collect::<String>());
        let all = alice.expect("id='p499'");
        assert_eq!(all.matches("type='result'").count(), 500, "each is answered, in order");
    });
    // What is read at once may be more than the burst; the debt for it is paid before the next read. So 50 at
    // least are owed before the last one, however the bytes are cut into reads.
    let last_read = 16 * 1024 / ping(0).len();
    assert!(500 > last_read + 100 + 50, "{last_read}");
    assert!(took > Duration::from_secs(1), "{took:?}");
}

#[test]
fn too_many_stanzas_are_slowed_over_websocket() {
    let herald = server(STRICT, FEW_STANZAS);
    let mut alice = WebSocket::login(&herald, "http", "alice", "secret", "flood");
    let took = beside_bob(&herald, || {
        // As many as over TCP.
        for id in 0..500 {
            alice.say(&ping(id));
        }
        for id in 0..500 {
            alice.expect(&format!("id='p{id}'"));
        }
    });
    assert!(took > Duration::from_secs(1), "{took:?}");
}

#[test]
fn too_many_bytes_are_slowed_under_tls() {
    // 100 KB at once, then 100 KB each second.
    let herald = server(STRICT, "bytes_per_sec = 100000\nbytes_burst = 100000\n");
    let mut alice = WebSocket::login(&herald, "https", "alice", "secret", "flood");
    let body = "x".repeat(10_000);
    let took = beside_bob(&herald, || {
        for id in 0..30 {
            alice.say(&format!(
                "<message xmlns='jabber:client' to='nobody@localhost' id='m{id}'><body>{body}</body></message>"
            ));
        }
        alice.say(&ping(0));
        while !alice.next().expect("a frame").text().contains("id='p0'") {}
    });
    assert!(took > Duration::from_millis(1_500), "{took:?}");
}

#[test]
fn all_connections_of_one_address_share_its_bytes() {
    let herald = server(STRICT, "ip_bytes_per_sec = 100000\nip_bytes_burst = 100000\n");
    let flood = |resource: &str| {
        let mut alice = Client::login(&herald, "alice", "secret", resource);
        let body = "x".repeat(10_000);
        for id in 0..10 {
            alice.send(&format!("<message to='nobody@localhost' id='m{id}'><body>{body}</body></message>"));
        }
        alice
    };
    let begun = Instant::now();
    let mut clients: Vec<Client> = ["a", "b", "c"].into_iter().map(flood).collect();
    for client in &mut clients {
        client.send(&ping(0));
        client.expect("id='p0'");
    }
    // 300 KB, of which 100 KB go at once.
    assert!(begun.elapsed() > Duration::from_millis(1_500), "{:?}", begun.elapsed());
}

#[test]
fn requests_count_for_their_address_too() {
    let herald = server(BEHIND_A_PROXY, "ip_bytes_per_sec = 50000\nip_bytes_burst = 50000\n");
    let body = " ".repeat(25_000);
    // 125 KB and some heads, of which 50 KB go at once.
    let flood = |client: &str| {
        let begun = Instant::now();
        for _ in 0..5 {
            let (_, answer) = post(&herald, &format!("X-Forwarded-For: {client}\r\n"), &body);
            assert!(answer.contains("condition='bad-request'"), "{answer}");
        }
        begun.elapsed()
    };
    let took = flood("192.0.2.1");
    assert!(took > Duration::from_secs(1), "{took:?}");
    let begun = Instant::now();
    post(&herald, "X-Forwarded-For: 192.0.2.2\r\n", &body);
    assert!(begun.elapsed() < took / 2, "another address waits for nothing");
}

/// One POST on a connection of its own; the status and the body.
fn post(herald: &Herald, fields: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(herald.address("http")).expect("the listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!(
        "POST /http-bind HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).expect("the server reads");
    let answer = read_all(&mut socket);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.expect("a status"), body.expect("a body"))
}

fn create(herald: &Herald, fields: &str) -> (u16, String) {
    let body = "<body xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh' to='localhost' rid='100' \
                wait='5' hold='1' ver='1.6' xmpp:version='1.0'/>";
    post(herald, fields, body)
}

/// The next request of a BOSH session.
fn ask(herald: &Herald, sid: &str, rid: u32, attributes: &str, inside: &str) -> String {
    let body = format!(
        "<body xmlns='http://jabber.org/protocol/httpbind' sid='{sid}' rid='{rid}'{attributes}>{inside}</body>"
    );
    let (status, answer) = post(herald, "", &body);
    assert_eq!(status, 200, "{answer}");
    answer
}

fn sid(created: &str) -> &str {
    created.split("sid='").nth(1).and_then(|rest| rest.split('\'').next()).expect("a sid")
}

/// A BOSH session of alice's, bound; its sid. The next rid is 104.
fn bosh_login(herald: &Herald) -> String {
    let (_, created) = create(herald, "");
    let sid = sid(&created).to_owned();
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>";
    assert!(ask(herald, &sid, 101, "", auth).contains("<success"));
    let restart = " xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true' to='localhost'";
    assert!(ask(herald, &sid, 102, restart, "").contains("<bind"));
    let bind = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    assert!(ask(herald, &sid, 103, "", bind).contains("<jid>"));
    sid
}

#[test]
fn a_bosh_session_that_is_too_fast_is_answered_later_and_in_order() {
    let herald = server(STRICT, FEW_STANZAS);
    let sid = bosh_login(&herald);
    let took = beside_bob(&herald, || {
        let mut answers = String::new();
        for rid in 104.. {
            let n = rid as usize - 104;
            let pings: String = (n * 50..n * 50 + 50).filter(|n| *n < 200).map(ping).collect();
            answers += &ask(&herald, &sid, rid, "", &pings);
            assert!(!answers.contains("terminate"), "{answers}");
            if answers.contains("id='p199'") {
                break;
            }
        }
        let ids: Vec<usize> =
            answers.split(" id='p").skip(1).filter_map(|rest| rest.split('\'').next()?.parse().ok()).collect();
        assert_eq!(ids, (0..200).collect::<Vec<_>>());
    });
    // 200 stanzas and those of the login, of which 100 go at once.
    assert!(took > Duration::from_millis(1_500), "{took:?}");
}

#[test]
fn a_bosh_session_that_asks_on_though_it_owes_is_ended() {
    let herald = server(STRICT, "stanzas_per_sec = 1\nstanzas_burst = 10\n");
    let sid = bosh_login(&herald);
    let address = herald.address("http");
    let (tell, ended) = mpsc::channel();
    for rid in 104..120 {
        let (tell, sid) = (tell.clone(), sid.clone());
        std::thread::spawn(move || {
            // Each owes a quarter of a minute, and the next one does not wait for that.
            let pings: String = (0..15).map(ping).collect();
            let answer = ask_or_end(address, &sid, rid, &pings);
            let _ = tell.send(answer); // the test may have ended
        });
    }
    // The others wait, or find no session any more.
    let answers = std::iter::from_fn(|| ended.recv_timeout(PATIENCE).ok()).take(8);
    let found =
        answers.into_iter().any(|a| a.contains("type='terminate'") && a.contains("condition='policy-violation'"));
    assert!(found, "one was too many");
}

/// Like [`ask`], for a server that may be gone before it answers.
fn ask_or_end(address: SocketAddr, sid: &str, rid: u32, inside: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("the listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let body = format!("<body xmlns='http://jabber.org/protocol/httpbind' sid='{sid}' rid='{rid}'>{inside}</body>");
    let head = format!("POST /http-bind HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all((head + &body).as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer); // a reset is an end too
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn too_many_connections_are_closed_without_a_word() {
    let herald = server(STRICT, "ip_connections_per_sec = 1\nip_connections_burst = 5\n");
    let begun = Instant::now();
    let mut sockets: Vec<TcpStream> = std::iter::repeat_with(|| {
        let socket = TcpStream::connect(herald.address("xmpp")).expect("the kernel accepts");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    })
    .take(20)
    .collect();
    let may_come = 5 + begun.elapsed().as_secs() as usize + 1;
    // Whoever was let in gets an answer to anything.
    let answered = |socket: &mut TcpStream| {
        let _ = socket.write_all(b"?"); // a reset is an end too
        matches!(socket.read(&mut [0; 16]), Ok(n) if n > 0)
    };
    let let_in = sockets.iter_mut().map(answered).filter(|answered| *answered).count();
    assert!((5..=may_come).contains(&let_in), "{let_in} of 20 were let in");
}

/// Three sessions at once, then one in a long while.
const FEW_SESSIONS: &str = "ip_sessions_per_sec = 0\n";

#[test]
fn a_rule_of_nought_is_off() {
    let herald = server(STRICT, FEW_SESSIONS);
    for _ in 0..50 {
        Client::connect(&herald).open();
    }
}

const THREE_SESSIONS: &str = "ip_sessions_per_sec = 1\nip_sessions_burst = 3\n";

/// Begins sessions, each of which says whether it was refused, and what was said; the last refusal.
fn until_refused(what: &str, mut begin: impl FnMut(&Herald) -> (bool, String)) -> String {
    let herald = server(STRICT, THREE_SESSIONS);
    // A second may pass, and let one in; so more than one is tried.
    let answers: Vec<_> = (0..10).map(|_| begin(&herald)).collect();
    assert!(answers[..3].iter().all(|(refused, _)| !refused), "{what}: a burst goes through: {answers:?}");
    let (_, last) = answers.into_iter().rfind(|(refused, _)| *refused).unwrap_or_else(|| panic!("{what}: none"));
    last
}

#[test]
fn too_many_streams_are_refused_by_name_on_each_transport() {
    let header = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                  to='localhost' version='1.0'>";
    let tcp = until_refused("TCP", |herald| {
        let mut client = Client::connect(herald);
        client.send(header);
        let said = client.expect(">") + &client.expect("</stream:");
        (said.contains("<stream:error"), said)
    });
    assert!(tcp.contains("<policy-violation "), "{tcp}");
    let ws = until_refused("WebSocket", |herald| {
        let mut ws = WebSocket::connect(herald, "http");
        ws.send_raw(handshake("/ws", "").as_bytes());
        let head = ws.expect_head();
        (!head.starts_with("HTTP/1.1 101 "), head)
    });
    assert!(ws.starts_with("HTTP/1.1 429 ") && ws.contains("\r\nRetry-After: "), "{ws}");
    assert!(ws.contains("\r\nAccess-Control-Allow-Origin: *\r\n"), "{ws}");
    let bosh = until_refused("BOSH", |herald| {
        let (status, body) = create(herald, "");
        assert_eq!(status, 200);
        (body.contains("type='terminate'"), body)
    });
    assert!(bosh.contains("condition='policy-violation'"), "{bosh}");
}

#[test]
fn clients_behind_a_proxy_are_counted_each_for_itself() {
    let herald = server(BEHIND_A_PROXY, "ip_sessions_per_sec = 1\nip_sessions_burst = 3\n");
    let refused = |fields: &str| create(&herald, fields).1.contains("type='terminate'");
    // The proxy itself is not limited, nor are clients that it does not name.
    assert!((0..10).all(|_| !refused("")));
    let flooding = (0..10).filter(|_| refused("X-Forwarded-For: 192.0.2.1\r\n")).count();
    assert!(flooding >= 4, "{flooding}");
    // What the client wrote itself stands to the left of what the proxy saw.
    let lying = (0..10).filter(|n| refused(&format!("X-Forwarded-For: 203.0.113.{n}, 192.0.2.2\r\n"))).count();
    assert!(lying >= 4, "{lying}");
    let others = (0..10).filter(|n| refused(&format!("X-Forwarded-For: 198.51.100.{n}\r\n"))).count();
    assert_eq!(others, 0);
    let mut ws = WebSocket::connect(&herald, "http");
    ws.send_raw(handshake("/ws", "Forwarded: for=198.51.100.200;proto=https\r\n").as_bytes());
    assert!(ws.expect_head().starts_with("HTTP/1.1 101 "));
    // The proxy says TLS was there: so a password may come.
    let features = ws.open();
    assert!(features.contains("<mechanism>PLAIN</mechanism>"), "{features}");
}

#[test]
fn nobody_names_himself() {
    let herald = server(STRICT, THREE_SESSIONS);
    let refused = (0..10)
        .filter(|n| create(&herald, &format!("X-Forwarded-For: 198.51.100.{n}\r\n")).1.contains("type='terminate'"));
    assert!(refused.count() >= 4, "the field of somebody who is no proxy is not looked at");
}

#[test]
fn an_operator_sees_the_client_and_not_the_proxy() {
    let herald = server(BEHIND_A_PROXY, "");
    let mut ws = WebSocket::connect(&herald, "http");
    ws.send_raw(handshake("/ws", "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n").as_bytes());
    ws.expect_head();
    ws.open();
    ws.say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>");
    ws.expect("<success");
    ws.open();
    ws.say("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    ws.expect("<jid>");
    let seen = herald.api("GET", "/api/v1/sessions", None).text;
    assert!(seen.contains("198.51.100.7"), "{seen}");
}

#[test]
fn too_many_failed_logins_bar_the_next_though_it_were_right() {
    let herald = server(STRICT, "ip_failed_logins_per_min = 1\nip_failed_logins_burst = 3\n[auth]\ntries_max = 10\n");
    let auth = |password: &str| {
        use base64::Engine;
        let plain = base64::prelude::BASE64_STANDARD.encode(format!("\0alice\0{password}"));
        format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>")
    };
    // Right ones cost nothing.
    for _ in 0..5 {
        Client::bind(&herald, "alice", "secret", "a");
    }
    let mut client = Client::connect(&herald);
    client.open();
    for _ in 0..3 {
        client.send(&auth("wrong"));
        client.expect("<not-authorized");
        client.expect("</failure>");
    }
    client.send(&auth("secret"));
    let said = client.expect_end();
    assert!(said.contains("<temporary-auth-failure/><text"), "{said}");
    assert!(said.contains("<stream:error") && said.contains("<policy-violation "), "{said}");
    // Over BOSH it is the same.
    let (_, created) = create(&herald, "");
    let answer = ask(&herald, sid(&created), 101, "", &auth("secret"));
    let rest = if answer.contains("terminate") { answer.clone() } else { ask(&herald, sid(&created), 102, "", "") };
    assert!(answer.contains("<temporary-auth-failure/>"), "{answer}");
    assert!(rest.contains("terminate"), "{rest}");
    let metrics = herald.api("GET", "/metrics", None).text;
    let barred = metrics.lines().find(|line| line.starts_with("herald_shaped_total{what=\"login_refused\"}"));
    assert_eq!(barred, Some("herald_shaped_total{what=\"login_refused\"} 2"), "the store was asked for neither");
}

#[test]
fn the_defaults_let_loopback_do_what_it_likes() {
    let herald = server("", "");
    let connect = || TcpStream::connect(herald.address("xmpp")).expect("the listener accepts");
    let _sockets: Vec<TcpStream> = std::iter::repeat_with(connect).take(800).collect();
    let mut alice = Client::login(&herald, "alice", "secret", "heavy");
    alice.send(&(0..3_000).map(ping).collect::<String>());
    alice.expect("id='p2999'");
    let metrics = herald.api("GET", "/metrics", None).text;
    for line in metrics.lines().filter(|line| line.starts_with("herald_shaped_total{")) {
        assert!(line.ends_with(" 0"), "{line}");
    }
}
