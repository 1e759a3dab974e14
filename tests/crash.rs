//! The process is killed in the middle of load, again and again: what it acknowledged is there
//! afterwards, and nothing is there twice.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use support::client::Client;
use support::{Herald, PATIENCE};

const ROUNDS: usize = 6;
const SENDERS: usize = 4;
const USERS: usize = 8;
/// The kill comes after so many acknowledgements, and somewhere in the middle of what is under way then.
const ACKNOWLEDGED_BEFORE_KILL: usize = 120;

#[test]
fn what_sendto_called_stored_survives_sigkill_exactly_once() {
    let mut herald = Herald::start_with("[offline]\nmessages_max = 100000\n");
    for user in 0..USERS {
        herald.user(&name(user), "secret");
    }
    // By user: what was acknowledged, with its id, in the order of the acknowledgements of each sender.
    let mut stored: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let (tell, told) = channel();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (at, token, tell) = (herald.address("admin"), herald.token(), tell.clone());
                thread::spawn(move || send_until_it_dies(at, &token, &format!("{round}.{sender}"), &tell))
            })
            .collect();
        drop(tell);
        let mut acknowledged: Vec<_> = told.iter().take(ACKNOWLEDGED_BEFORE_KILL + 7 * round).collect();
        herald.kill();
        for sender in senders {
            sender.join().expect("a sender ends with the server");
        }
        acknowledged.extend(drain(&told));
        for (uid, id, body) in acknowledged {
            stored.entry(uid).or_default().push((id, body));
        }
        herald.restart();
    }
    for (uid, mut acknowledged) in stored {
        let got = fetch(&herald, &uid);
        let mut seen = got.clone();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), got.len(), "{uid} got something twice");
        // The ids are the order in which the messages were kept, and come in.
        acknowledged.sort_unstable();
        assert!(acknowledged.windows(2).all(|w| w[0].0 < w[1].0), "{uid}: an id was given twice");
        let mut rest = got.iter();
        for (id, body) in &acknowledged {
            assert!(rest.any(|g| g == body), "{uid}: {body} (id {id}) was acknowledged and is gone, or out of order");
        }
        // They were marked as delivered: another login gets none of them.
        assert_eq!(fetch(&herald, &uid), Vec::<String>::new(), "{uid}: delivered twice");
    }
}

fn name(user: usize) -> String {
    format!("user{user}")
}

/// Sends messages to all users in turn, over one connection, and tells of each that was stored.
fn send_until_it_dies(at: SocketAddr, token: &str, sender: &str, tell: &Sender<(String, u64, String)>) {
    let Ok(mut socket) = TcpStream::connect(at) else { return };
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for n in 0.. {
        let (uid, body) = (name(n % USERS), format!("m{sender}.{n}"));
        let Some(answer) = post(&mut socket, token, &json!({ "to": uid, "body": body })) else { return };
        let result = &answer["results"][0];
        assert_eq!(result["state"], "stored", "{answer}");
        let id = result["id"].as_u64().expect("a stored message has an id");
        if tell.send((uid, id, body)).is_err() {
            return;
        }
    }
}

/// One request; `None` when the server died before the answer was whole.
fn post(socket: &mut TcpStream, token: &str, body: &Value) -> Option<Value> {
    let body = body.to_string();
    let head = format!(
        "POST /api/v1/sendto HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = Vec::new();
    loop {
        let mut buf = [0; 4096];
        match socket.read(&mut buf) {
            Ok(n) if n > 0 => answer.extend_from_slice(&buf[..n]),
            _ => return None,
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(usize::MAX) {
            assert!(head.starts_with("HTTP/1.1 200 "), "{text}");
            return serde_json::from_str(body).ok();
        }
    }
}

fn drain(told: &Receiver<(String, u64, String)>) -> Vec<(String, u64, String)> {
    told.try_iter().collect()
}

/// Logs in and takes all kept messages; a push to the now present user marks their end.
fn fetch(herald: &Herald, uid: &str) -> Vec<String> {
    let mut client = Client::bind(herald, uid, "secret", "here");
    client.send("<presence/>");
    client.expect("<presence"); // it is available: what comes from now on is not kept
    let marker = "the end of what was kept";
    let said = herald.api("POST", "/api/v1/sendto", Some(json!({ "to": uid, "body": marker })));
    assert_eq!(said.status, 200, "{}", said.text);
    let text = client.expect(marker);
    let bodies: Vec<String> =
        text.split("<body>").skip(1).filter_map(|rest| Some(rest.split_once("</body>")?.0.to_owned())).collect();
    // The last page is marked as delivered when it is written: an answer behind it says that it was.
    client.send("<iq type='get' id='written' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    client.expect("written");
    bodies
}
