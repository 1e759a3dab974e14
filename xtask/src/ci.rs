//! The judge. Every check runs, so that one look shows all that is wrong.

use crate::step::{Steps, cargo};
use crate::{floors, guard, licences, test, tidy as tree_checks};

/// All checks, the quick ones first, then every test, then the guard, which builds on what the tests have built.
pub fn ci(steps: &mut Steps) {
    steps.run("fmt", cargo(["fmt", "--all", "--check"]));
    tidy(steps);
    steps.check("licences", licences::licences);
    steps.check("advisories", licences::advisories);
    steps.run("clippy", cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    let mut docs = cargo(["doc", "--workspace", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    steps.run("docs", docs);
    test::test(steps);
    guard::guard(steps, false);
}

/// The checks of the tree itself, which build nothing.
pub fn tidy(steps: &mut Steps) {
    steps.check("floors", floors::floors);
    steps.check("tidy", tree_checks::tidy);
}
