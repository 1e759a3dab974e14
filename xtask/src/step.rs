//! Running commands with one line of progress: a spinner on a terminal, plain lines elsewhere. What
//! a command says is shown when it fails.

use crate::tree::root;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

const SPIN: Duration = Duration::from_millis(120);
const LINE_CHARS_MAX: usize = 100; // what is longer is cut, so that the spinner keeps to its line

/// What has been done so far.
#[derive(Default)]
pub struct Steps {
    failed: Vec<String>,
    tests: Option<Tally>,
}

/// Tests that passed and failed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Tally {
    passed: u64,
    failed: u64,
}

/// What cargo tells us of ourselves. Handed on, it would have build scripts that look at it run again.
const OURS: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];

/// The cargo that runs us, in the project's folder.
pub fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    for (key, _) in env::vars_os() {
        if OURS.iter().any(|ours| key.to_string_lossy().starts_with(ours)) {
            command.env_remove(key);
        }
    }
    command
}

impl Steps {
    /// Runs a command that must succeed.
    pub fn run(&mut self, name: &str, command: Command) {
        self.step(name, |line| run(command, line).map(|_| String::new()));
    }

    /// Runs commands one after the other, and then something that says in a few words what came of it.
    pub fn run_then(
        &mut self,
        name: &str,
        commands: impl IntoIterator<Item = Command>,
        then: impl FnOnce() -> Result<String>,
    ) {
        self.step(name, |line| {
            for command in commands {
                run(command, line)?;
            }
            then()
        });
    }

    /// Does something quick that says in a few words what it found.
    pub fn check(&mut self, name: &str, check: impl FnOnce() -> Result<String>) {
        self.step(name, |_| check());
    }

    /// Runs `cargo test`, and adds its results to the sum.
    pub fn tests(&mut self, name: &str, command: Command) {
        let mut tally = Tally::default();
        self.step(name, |line| {
            let ended = run(command, line);
            let output = match &ended {
                Ok(output) => output.clone(),
                Err(e) => format!("{e:#}"),
            };
            tally = Tally::read(&output);
            match ended {
                // Nothing ran: a build that fails, or a crate whose tests are gone.
                Ok(_) if tally == Tally::default() => bail!("there are no tests"),
                Ok(_) => Ok(format!("{} passed", tally.passed)),
                Err(_) => bail!("{}", without_the_passed(&output)),
            }
        });
        let sum = self.tests.get_or_insert_default();
        sum.passed += tally.passed;
        sum.failed += tally.failed;
    }

    /// Has a step of this name failed?
    pub fn has_failed(&self, name: &str) -> bool {
        self.failed.iter().any(|failed| failed == name)
    }

    /// Says how it went, in the last line.
    pub fn end(self) -> ExitCode {
        if !self.failed.is_empty() {
            println!("failed: {}", self.failed.join(", "));
        }
        if let Some(Tally { passed, failed }) = self.tests {
            println!("{passed} passed, {failed} failed");
        }
        if self.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn step(&mut self, name: &str, act: impl FnOnce(&Line) -> Result<String>) {
        #[allow(clippy::disallowed_methods)] // how long a step took is for people to read
        let began = Instant::now();
        let line = Line::start(name);
        let ended = act(&line);
        line.clear();
        let took = format!("{:.0} s", began.elapsed().as_secs_f64());
        match ended {
            Ok(found) if found.is_empty() => println!("  {name:<12} ok, {took}"),
            Ok(found) => println!("  {name:<12} ok, {found}, {took}"),
            Err(e) => {
                println!("  {name:<12} FAILED, {took}\n{e:#}");
                self.failed.push(name.to_owned());
            }
        }
    }
}

impl Tally {
    /// Adds up the `test result:` lines.
    fn read(output: &str) -> Tally {
        let mut tally = Tally::default();
        for line in output.lines().filter(|line| line.starts_with("test result:")) {
            let number = |word: &str| -> u64 {
                let before = line.split(word).next().filter(|before| before.len() < line.len());
                before.and_then(|b| b.split_whitespace().last()).and_then(|n| n.parse().ok()).unwrap_or(0)
            };
            tally.passed += number(" passed;");
            tally.failed += number(" failed;");
        }
        tally
    }
}

fn without_the_passed(output: &str) -> String {
    let passed = |line: &&str| line.starts_with("test ") && line.ends_with(" ok");
    output.lines().filter(|line| !passed(line)).collect::<Vec<_>>().join("\n")
}

/// Runs a command to its end; all that it said. When it fails, that is the error.
fn run(mut command: Command, line: &Line) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{program} does not start"))?;
    let (say, said) = mpsc::channel();
    let out = child.stdout.take().map(|from| read_lines(from, say.clone()));
    let err = child.stderr.take().map(|from| read_lines(from, say));
    let mut output = String::new();
    for heard in said {
        line.show(&heard);
        output += &heard;
        output.push('\n');
    }
    for reader in [out, err].into_iter().flatten() {
        reader.join().expect("reading lines does not panic");
    }
    if child.wait()?.success() { Ok(output) } else { bail!("{output}") }
}

fn read_lines(from: impl Read + Send + 'static, say: Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            if say.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    })
}

/// The line that shows what is being done.
struct Line {
    spinner: Option<ProgressBar>,
}

impl Line {
    fn start(name: &str) -> Line {
        if !std::io::stderr().is_terminal() {
            println!("  {name:<12} ...");
            return Line { spinner: None };
        }
        let style = ProgressStyle::with_template("  {prefix:12} {spinner} {elapsed} {msg}");
        let spinner =
            ProgressBar::new_spinner().with_style(style.expect("the template is ours")).with_prefix(name.to_owned());
        spinner.enable_steady_tick(SPIN);
        Line { spinner: Some(spinner) }
    }

    fn show(&self, heard: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(heard.trim().chars().take(LINE_CHARS_MAX).collect::<String>());
        }
    }

    fn clear(self) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running unittests src/lib.rs
test a ... ok
test b ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
   Doc-tests xmpp
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_are_added_up() {
        assert_eq!(Tally::read(OUTPUT), Tally { passed: 13, failed: 1 });
        assert_eq!(Tally::read("error: could not compile"), Tally::default());
    }

    #[test]
    fn a_failure_shows_what_did_not_pass() {
        let shown = without_the_passed(OUTPUT);
        assert!(shown.contains("test b ... FAILED") && !shown.contains("test a ... ok"), "{shown}");
    }

    #[test]
    fn a_failing_command_fails_its_step_and_the_whole() {
        let mut steps = Steps::default();
        let mut git = Command::new("git");
        git.arg("no-such-verb");
        steps.run("fails", git);
        assert_eq!(steps.failed, ["fails"]);
        assert_ne!(format!("{:?}", steps.end()), format!("{:?}", ExitCode::SUCCESS));
    }
}
