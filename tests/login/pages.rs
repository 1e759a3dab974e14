//! The pages of docs/login.md, run in Chromium as they stand there.

use crate::needs::{Needs, root};
use crate::support::{Home, PATIENCE, end_of, skip};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// Pieces of JavaScript in the document.
const PAGES: usize = 6;

#[test]
fn the_pages_of_the_document_log_in() {
    let Some(needs) = Needs::all() else { return };
    if !root().join("tests/e2e/node_modules/converse.js").exists() {
        return skip("no tests/e2e/node_modules/converse.js");
    }
    let home = Home::new("[jwt]\nsecret_file = \"secret\"\n");
    let secret = home.path().join("secret");
    std::fs::write(&secret, [b'k'; 32]).expect("a file");
    let herald = home.start();
    herald.user("alice", "secret");
    let mut pages = Command::new(&needs.node)
        .arg(root().join("tests/login/pages.mjs"))
        .arg(&needs.chromium)
        .arg(format!("http://{}/http-bind", herald.address("http")))
        .arg(format!("http://{}", herald.address("admin")))
        .arg(herald.token())
        .arg(&secret)
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let lines = BufReader::new(pages.stdout.take().expect("it is piped")).lines();
    let pid = libc::pid_t::try_from(pages.id()).expect("a pid");
    let ended = end_of(pages);
    let (tell, said) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
    let mut expected: Vec<String> = (0..PAGES).map(|n| format!("PAGE {n} ONLINE")).collect();
    expected.push(format!("DONE {PAGES}"));
    for line in expected {
        let came = said.recv_timeout(PATIENCE);
        if came.as_ref() != Ok(&line) {
            // SAFETY: kill takes no pointer; the pid is that of a child of ours. It ends its browser before itself.
            unsafe { libc::kill(pid, libc::SIGTERM) };
            panic!("waited for {line}; got {came:?}");
        }
    }
    assert!(ended.recv_timeout(PATIENCE).expect("node ends").success());
}
