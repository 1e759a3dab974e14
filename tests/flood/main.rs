//! A flood: many messages to a page that has paused and to a client that does not read. Memory stays within
//! what is configured, others do not notice, and who comes back gets every kept message once and in order.
//!
//! It prints what it measured: `cargo test --test flood -- --nocapture`.

#[path = "../support/mod.rs"]
mod support;

mod page;
mod pair;
mod senders;

use page::Page;
use pair::Pair;
use senders::{Flood, States, sent_by};
use socket2::SockRef;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use support::client::Client;
use support::{Herald, PATIENCE};

/// Backends that send at the same time; each waits for its answer before it sends the next.
const SENDERS: usize = 32;
/// Messages to each of the two.
const MESSAGES: usize = 50_000;
/// Beside its text, what a stanza takes in a queue: with texts as short as here, about as much again as
/// the text, and the store's caches.
const RSS_BYTES_BESIDE: u64 = 24 << 20;

/// The receiving sides as the configuration has them: a quarter of a MiB for each.
const CONFIG: &str = "
    [limits]
    outbox_bytes_max = 262144
    behind_secs = 600
    [bosh]
    queue_bytes_max = 262144
    maxpause_secs = 600
";

/// A client with a small socket, so that it is the server that has to hold what it does not read.
fn client_that_does_not_read(herald: &Herald, uid: &str) -> Client {
    let mut client = Client::connect(herald);
    SockRef::from(&client.socket()).set_recv_buffer_size(16 * 1024).expect("a small buffer");
    client.log_in(uid, "secret", "desk");
    client
}

/// All bodies in what came, in their order.
fn bodies(xml: &str) -> Vec<String> {
    xml.split("<body>").skip(1).filter_map(|rest| Some(rest.split_once("</body>")?.0.to_owned())).collect()
}

/// Reads so many messages.
fn read(client: &mut Client, messages: usize) -> Vec<String> {
    SockRef::from(&client.socket()).set_recv_buffer_size(1 << 20).expect("a large buffer");
    let mut came = Vec::with_capacity(messages);
    while came.len() < messages {
        came.extend(bodies(&client.expect("</message>")));
    }
    came
}

#[allow(clippy::disallowed_methods)] // it measures
fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = act();
    (done, began.elapsed())
}

/// Those of one sender came in their order, and none twice.
#[track_caller]
fn assert_ascending(who: &str, came: &[String]) {
    let mut last = BTreeMap::new();
    for (sender, n) in came.iter().map(|text| sent_by(text)) {
        let before = last.insert(sender, n);
        assert!(before.is_none_or(|before| before < n), "{who}: {n} of sender {sender} came behind {before:?}");
    }
}

/// Every text that was accepted came once, those of one sender in their order, and no other came.
#[track_caller]
fn assert_all_in_order(who: &str, accepted: &[String], came: &[String]) {
    let by_sender = |texts: &[String]| {
        let mut by: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        texts.iter().map(|text| sent_by(text)).for_each(|(sender, n)| by.entry(sender).or_default().push(n));
        by
    };
    let (accepted_by, came_by) = (by_sender(accepted), by_sender(came));
    assert_ascending(who, came);
    assert_eq!(came.len(), accepted.len(), "{who}: so many came");
    for (sender, came) in &came_by {
        assert_eq!(came, &accepted_by[sender], "{who}: what sender {sender} sent");
    }
}

#[test]
fn everything_is_kept_and_comes_later() {
    let herald = Herald::start_with(&format!("{CONFIG}\n[offline]\nmessages_max = 1_000_000\n"));
    for uid in ["page", "desk", "ann", "bob"] {
        herald.user(uid, "secret");
    }
    let mut page = Page::login(&herald, "page", "secret");
    page.pause(600);
    let mut desk = client_that_does_not_read(&herald, "desk");
    let mut pair = Pair::login(&herald, "ann", "bob");
    let before = pair.round_trips(300);
    let rss_before = herald.rss_bytes();

    let flood = Flood::begin(&herald, &["page", "desk"], SENDERS, MESSAGES, |_| "chat");
    let mut during = Vec::new();
    let mut rss_max = rss_before;
    while !flood.is_over() {
        during.extend(pair.round_trips(20));
        rss_max = rss_max.max(herald.rss_bytes());
    }
    let sent = flood.end();
    let grown = rss_max - rss_before;
    println!(
        "{} messages in {:?}: {:?}; RSS {} -> {} KiB; round trips before p50 {:?} p99 {:?}, during p50 {:?} p99 {:?}",
        2 * MESSAGES,
        sent.took,
        [sent.states("page"), sent.states("desk")],
        rss_before >> 10,
        rss_max >> 10,
        pair::percentile(&before, 50),
        pair::percentile(&before, 99),
        pair::percentile(&during, 50),
        pair::percentile(&during, 99),
    );
    for uid in ["page", "desk"] {
        let States { delivered, stored, full, dropped } = sent.states(uid);
        assert_eq!((delivered + stored, full, dropped), (MESSAGES, 0, 0), "{uid}");
        assert!(stored > MESSAGES / 2, "{uid} was behind: {stored} stored");
    }
    assert!(grown < RSS_BYTES_BESIDE + 8 * 262_144, "grown by {grown} bytes");
    let bound = pair::percentile(&before, 99) * 20 + Duration::from_millis(250);
    assert!(pair::percentile(&during, 99) < bound, "others notice: p99 {:?}", pair::percentile(&during, 99));

    // They come back.
    let (came, took) = timed(|| page.read(MESSAGES));
    println!("the page read its {MESSAGES} in {took:?}");
    page.go_on();
    assert_all_in_order("page", &sent.accepted("page"), &came);
    let (came, took) = timed(|| read(&mut desk, MESSAGES));
    println!("the other read its {MESSAGES} in {took:?}");
    assert_all_in_order("desk", &sent.accepted("desk"), &came);
    for uid in ["page", "desk"] {
        let waiting = || herald.api("GET", &format!("/api/v1/users/{uid}"), None).json["messages_waiting"].clone();
        assert!((0..10_000).any(|_| waiting() == 0), "{uid}: {} are left", waiting());
    }
}

/// With the usual bound of 1,000 kept messages the rest is refused, and the backend is told so.
#[test]
fn what_is_too_much_is_refused_honestly() {
    let herald = Herald::start_with(CONFIG);
    for uid in ["page", "desk"] {
        herald.user(uid, "secret");
    }
    let mut page = Page::login(&herald, "page", "secret");
    page.pause(600);
    let mut desk = client_that_does_not_read(&herald, "desk");
    let kind = |n: usize| if n % 10 == 9 { "headline" } else { "chat" };
    let sent = Flood::begin(&herald, &["page", "desk"], SENDERS, MESSAGES, kind).end();
    for uid in ["page", "desk"] {
        let states = sent.states(uid);
        println!("{uid}: {states:?}");
        assert_eq!(states.stored, 1_000, "{uid}");
        assert!(states.full > 1_000 && states.dropped > 100, "{uid}: {states:?}");
    }
    let accepted = sent.accepted("page");
    assert_all_in_order("page", &accepted, &page.read(accepted.len()));
    let accepted = sent.accepted("desk");
    assert_all_in_order("desk", &accepted, &read(&mut desk, accepted.len()));
}

/// A client that takes nothing at all is closed in the end, and what it had not taken is there for the next.
#[test]
fn a_client_that_never_reads_is_closed_and_loses_nothing_that_was_not_written() {
    let config = CONFIG.replace("behind_secs = 600", "behind_secs = 1");
    let herald = Herald::start_with(&config);
    herald.user("desk", "secret");
    let silent = client_that_does_not_read(&herald, "desk");
    let sent = Flood::begin(&herald, &["desk"], 4, MESSAGES, |_| "chat").end();
    assert!(sent.states("desk").full > 0, "it was behind: {:?}", sent.states("desk"));
    let sessions = || herald.api("GET", "/api/v1/sessions?uid=desk", None).json["sessions"].clone();
    assert!((0..100_000).any(|_| sessions().as_array().is_some_and(Vec::is_empty)), "{}", sessions());
    // What the system had taken for the first client is written, as far as the server can know; of the last piece
    // it took a part, and all of that piece comes again.
    let mut socket = silent.socket();
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let first = bodies(&support::read_all(&mut socket));
    let accepted = sent.accepted("desk");
    let mut got: BTreeSet<String> = first.iter().cloned().collect();
    let mut next = Client::login(&herald, "desk", "secret", "next");
    let mut came = Vec::new();
    while got.len() < accepted.len() {
        came.extend(bodies(&next.expect("</message>")));
        got.extend(came.last().cloned());
    }
    println!("{} were written to the first client, {} came to the next", first.len(), came.len());
    assert!(first.len() + came.len() - accepted.len() < 1_000, "no more comes twice than stands in one write");
    assert_ascending("next", &came);
    let came_again = accepted.iter().filter(|text| came.contains(text)).cloned().collect::<Vec<_>>();
    assert_eq!(came_again.len(), came.len(), "and none of them twice");
}
