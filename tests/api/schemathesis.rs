//! schemathesis reads the OpenAPI document and asks the real server all that it allows, and much that it does not:
//! no answer may be a server error, and every answer must be as the document says.

use crate::support::client::Client;
use crate::support::{Herald, kill, skip};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// It takes some 20 seconds, and longer on a machine that does much else.
const TIME_MAX: Duration = Duration::from_secs(300);

#[test]
fn every_answer_is_as_the_document_says() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis/.venv/bin/schemathesis");
    if !program.exists() {
        return skip("schemathesis is not installed: cargo xtask install");
    }
    let herald = Herald::start_with("[auth]\nscram_iterations = 4096");
    for uid in ["alice", "bob"] {
        herald.user(uid, "secret");
    }
    let _desk = Client::login(&herald, "alice", "secret", "desk");
    herald.api("PUT", "/api/v1/groups/team", Some(json!({"members": ["alice", "bob"]})));
    let dir = tempfile::tempdir().expect("a folder");
    let child = Command::new(program)
        .arg("run")
        .arg(format!("http://{}/api/v1/openapi.json", herald.address("admin")))
        .args(["--url", &format!("http://{}", herald.address("admin"))])
        .args(["--header", &format!("Authorization: Bearer {}", herald.token())])
        .args(["--checks", CHECKS, "--phases", "examples,fuzzing", "--max-examples", "4", "--seed", "1"])
        // The answers of two do not end; the others are those of the same name without a version.
        .args(["--exclude-path-regex", r"^/api/v1/events$|^/psub$|/v\{version\}$"])
        .args(["--request-timeout", "20"])
        .args(["--suppress-health-check", "all", "--generation-database", "none", "--no-color"])
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let (tell, ended) = mpsc::channel();
    let pid = child.id();
    thread::spawn(move || drop(tell.send(child.wait_with_output())));
    let Ok(output) = ended.recv_timeout(TIME_MAX) else {
        kill(pid, libc::SIGKILL);
        panic!("it did not end in {TIME_MAX:?}");
    };
    let output = output.expect("it ran");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("passed"), "it asked nothing: {said}");
}
