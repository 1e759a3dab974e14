//! The project's own commands: `cargo xtask test`, `cargo xtask install`, `cargo xtask ci`, `cargo xtask tidy`,
//! `cargo xtask guard`, `cargo xtask million`.
//!
//! | room | what is in it |
//! |---|---|
//! | [`ci`] | the judge: all the checks, then the tests |
//! | [`mod@test`] | every test, after installing what they need |
//! | [`mod@guard`] | what a session weighs and a message costs, held against what is committed |
//! | [`install`] | Chromium, Node.js, Python and their packages, nginx, HAProxy, Redis, PostgreSQL, RabbitMQ, valgrind, on Debian |
//! | [`tidy`] | checks of the tree itself: lengths, leftovers, lock files, links |
//! | [`million`] | a million sessions on this machine, and what they take |
//! | [`floors`] | arrows between crates point down |
//! | [`licences`] | licences of what we build on; known weaknesses, where they can be looked up |
//! | [`step`] | running commands with one line of progress |

mod ci;
mod floors;
mod guard;
mod install;
mod licences;
mod million;
mod step;
mod test;
mod tidy;
mod tree;

use std::process::ExitCode;
use step::Steps;

const USAGE: &str = "\
cargo xtask test      passes every test; on Debian it installs what is missing first
cargo xtask ci        is the judge: fmt, tidy, licences, clippy, docs, then cargo xtask test, then the guard
cargo xtask guard     fails when a session weighs or a message costs 5 % more than benches/baseline.toml says;
                      with --renew it writes that file anew
cargo xtask install   installs what the tests need, and passes none
cargo xtask tidy      checks the tree itself: floors, file lengths, leftovers, lock files, links
cargo xtask million   holds a million sessions on this machine and says what they take; --help says more";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut steps = Steps::default();
    if let [first, rest @ ..] = &arguments[..]
        && first == "million"
    {
        return million::main(rest);
    }
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => test::test(&mut steps),
        ["install"] => install::all(&mut steps),
        ["ci"] => ci::ci(&mut steps),
        ["guard"] => guard::guard(&mut steps, false),
        ["guard", "--renew"] => guard::guard(&mut steps, true),
        ["tidy"] => ci::tidy(&mut steps),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    steps.end()
}
