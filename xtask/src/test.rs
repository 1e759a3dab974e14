//! Every test: units, integration, documentation, the clients, and the models of the actor crate.

use crate::install;
use crate::step::{Steps, cargo};
use crate::tree::root;

/// Installs what is missing, then passes every test. The end-to-end tests skip nothing.
pub fn test(steps: &mut Steps) {
    install::all(steps);
    let mut tests = cargo(["test", "--workspace", "--no-fail-fast"]);
    tests.env("HERALD_TEST_ALL", "1");
    steps.tests("tests", tests);
    steps.tests("models", models());
}

// Loom explores every interleaving that matters of the mailbox and the run queue. It is another
// build of that one crate, optimised because there are many of them.
fn models() -> std::process::Command {
    let mut models = cargo(["test", "--package", "herald-actor", "--test", "loom", "--no-fail-fast"]);
    models
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", root().join("target/loom"))
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2");
    models
}
