//! herald.js: its own tests, and the built file; then, against the real server, in Node.js and in Chromium, while the
//! server is killed, the network is cut, the tab sleeps and WebSockets are blocked.

#[path = "../support/mod.rs"]
mod support;

mod backend;
#[allow(dead_code)] // each test file needs its own part of them
#[path = "../e2e/clients.rs"]
mod clients;
mod demo;
mod kills;
#[allow(dead_code)]
#[path = "../e2e/needs.rs"]
mod needs;
mod path;
mod push;
mod talk;

use needs::{Needs, root};
use std::process::Command;

#[test]
fn the_client_passes_its_own_tests() {
    let Some(needs) = Needs::all() else { return };
    node(&needs, &["--test", "test/client.test.mjs", "test/storm.test.mjs"]);
}

#[test]
fn the_built_file_is_what_the_source_builds_to_and_is_small() {
    let Some(needs) = Needs::all() else { return };
    let built = std::fs::read(root().join("client/dist/herald.js")).expect("client/dist/herald.js is committed");
    assert!(built.len() < 12_000, "{} bytes", built.len());
    if !root().join("client/node_modules/esbuild").exists() {
        return support::skip("no client/node_modules; run cargo xtask test");
    }
    node(&needs, &["build.mjs", "--check"]);
}

fn node(needs: &Needs, arguments: &[&str]) {
    let out = Command::new(&needs.node).args(arguments).current_dir(root().join("client")).output();
    let out = out.expect("Node.js starts");
    let (said, faults) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "node {arguments:?}:\n{said}\n{faults}");
}
