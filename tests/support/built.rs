//! Programs of the workspace besides the server, built as they stand.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds a program, when it is not built yet, and says where it is.
pub fn program(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    cargo.args(["build", "--workspace", "--bin", name, "--message-format", "json"]);
    // What cargo tells this test of its package would have build scripts that look at it run again.
    for (key, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|ours| key.to_string_lossy().starts_with(ours)) {
            cargo.env_remove(key);
        }
    }
    let out = cargo.stderr(Stdio::piped()).output().expect("cargo starts");
    assert!(out.status.success(), "{name} does not build: {}", String::from_utf8_lossy(&out.stderr));
    let messages = String::from_utf8_lossy(&out.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let built =
        messages.filter(|m| m["target"]["name"] == name).find_map(|m| m["executable"].as_str().map(PathBuf::from));
    built.unwrap_or_else(|| panic!("cargo does not say where {name} is"))
}
