//! The demo page, clicked through in Chromium.

use crate::needs::{Needs, root};
use crate::support::{Herald, PATIENCE, end_of};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

#[test]
fn the_demo_shows_two_people_a_backend_and_lines_that_are_cut() {
    let Some(needs) = Needs::all() else { return };
    let herald = Herald::start();
    let mut clicks = Command::new(&needs.node)
        .arg(root().join("tests/herald_js/demo.mjs"))
        .arg(&needs.chromium)
        .arg(format!("http://{}/", herald.address("http")))
        .arg(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let lines = BufReader::new(clicks.stdout.take().expect("it is piped")).lines();
    let mut input = clicks.stdin.take().expect("it is piped");
    let ended = end_of(clicks);
    for line in lines.map_while(Result::ok) {
        // What the page shows is typed where the server was started, as a visitor would.
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let shown = said["curl"].as_str().expect("a line of curl");
        // Only a port that is configured is shown; here it is any that was free.
        let shown = &shown.replace("127.0.0.1:5281", &herald.address("admin").to_string());
        let out = Command::new("sh").args(["-c", shown]).current_dir(herald.path()).output().expect("sh starts");
        let answer = String::from_utf8_lossy(&out.stdout);
        assert!(
            answer.contains("\"state\":\"delivered\""),
            "{shown}\n{answer}\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
        writeln!(input, "done").expect("it listens");
    }
    assert!(ended.recv_timeout(PATIENCE).expect("node ends").success(), "see {}", env!("CARGO_TARGET_TMPDIR"));
}
