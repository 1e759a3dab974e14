//! The snippets of docs/push.md, run as they stand there.

use crate::needs::{Needs, root};
use crate::support::{Herald, PATIENCE, end_of};
use std::process::Command;

#[test]
fn the_document_pushes_to_a_page() {
    let Some(needs) = Needs::all() else { return };
    let herald = Herald::start();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Command::new(&needs.node)
        .arg(root().join("tests/herald_js/push.mjs"))
        .arg(&needs.chromium)
        .arg(format!("http://{}", herald.address("http")))
        .arg(format!("http://{}", herald.address("admin")))
        .arg(herald.token())
        .arg(folder.path())
        .spawn()
        .expect("node starts");
    assert!(end_of(node).recv_timeout(2 * PATIENCE).expect("node ends").success());
}
